// A record as a syslog message (RFC 5424). Whatever a process has named itself, a message stays one message.
import type * as wire from "../model/picket.v1.ts";
import { type Facility, facilities } from "../model/syslog.ts";
import { recordKind, recordLine } from "./record.ts";
import { recordText } from "./text.ts";

/** Bytes. A larger one is refused by the kernel each time it is tried. */
export const largestDatagram = 65_000;

export interface MessageForm {
	readonly facility: Facility;
	readonly form: "text" | "json";
	readonly pid: number;
	/** Of the whole message; a record that does not fit is sent without its details. */
	readonly maxBytes: number;
}

/** Without a frame; no control character in it. */
export function syslogMessage(record: wire.OutputRecord, wanted: MessageForm): string {
	const priority = facilities[wanted.facility] * 8 + severityOf(record);
	const kind = recordKind(record) ?? "-";
	const { time = "", host = "", sequence = "0" } = record;
	// The standard's own element; its number ends at 2^31 - 1 and begins anew.
	const number = (BigInt(sequence) % 2_147_483_647n) + 1n;
	const head =
		`<${priority}>1 ${timestamp(time)} ${printable(host, 255)} picket ${wanted.pid} ${kind} ` +
		`[meta sequenceId="${number}"]`;
	const room = wanted.maxBytes - head.length - 1;
	return `${head} ${wanted.form === "json" ? jsonBody(record, room) : textBody(record, room)}`;
}

const severityNumbers: Readonly<Record<string, number>> = {
	SEVERITY_CRITICAL: 2,
	SEVERITY_HIGH: 3,
	SEVERITY_MEDIUM: 4,
	SEVERITY_LOW: 5,
	SEVERITY_INFORMATIONAL: 6,
};

function severityOf({ alert, incident, gap, action }: wire.OutputRecord): number {
	const found = alert ?? incident;
	if (found) return severityNumbers[found.severity ?? ""] ?? 5;
	if (gap) return 4;
	return action ? 5 : 6;
}

/** At most microseconds; NILVALUE for what is no time. */
function timestamp(time: string): string {
	const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*Z$/.exec(time);
	return match === null ? "-" : `${match[1]}${match[2] ?? ""}Z`;
}

function printable(text: string, most: number): string {
	return text.replace(/[^\x21-\x7e]/g, "_").slice(0, most) || "-";
}

/** Text that is not ASCII has to say so by its first character. */
function textBody(record: wire.OutputRecord, room: number): string {
	const text = recordText(record);
	return cut(/[^\x20-\x7e]/.test(text) ? `\ufeff${text}` : text, room);
}

/** ASCII: parsers of JSON do not expect the mark of UTF-8. */
function jsonBody(record: wire.OutputRecord, room: number): string {
	const whole = recordLine(record);
	// In ASCII it is longer still, and a record may be a megabyte.
	const ascii = whole.length <= room ? inAscii(whole) : undefined;
	if (ascii !== undefined && ascii.length <= room) return ascii;
	for (const longest of [400, 60]) {
		const line = inAscii(recordLine(withoutDetails(record, longest)));
		if (line.length <= room) return line;
	}
	return inAscii(recordLine(bare(record)));
}

function inAscii(line: string): string {
	return line.replace(
		/[^\x20-\x7e]/g,
		(character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
}

/** What tells the story and finds the whole of it where that is kept; no text in it is longer than `longest`. */
function withoutDetails(record: wire.OutputRecord, longest: number): wire.OutputRecord {
	const { time, host, sequence, alert, action } = record;
	const head = { time, host, sequence } as wire.OutputRecord;
	const short = (text = "") => (text.length > longest ? `${text.slice(0, longest)} …` : text);
	if (alert) {
		const { id, rule, severity, priority, techniques = [], summary, dedupKey, count } = alert;
		const kept = {
			id,
			rule: short(rule),
			severity,
			priority: short(priority),
			techniques: techniques.slice(0, 8).map(short),
			summary: short(summary),
			dedupKey: short(dedupKey),
			count,
		};
		return { ...head, alert: kept as wire.Alert };
	}
	if (action) {
		const { id, kind, outcome, target, requester, alertId } = action;
		const kept = { id, kind, outcome, target: short(target), requester: short(requester), alertId };
		return { ...head, action: kept as wire.Action };
	}
	return bare(record);
}

/** That there was something of this kind, and its number. */
function bare(record: wire.OutputRecord): wire.OutputRecord {
	const { time, host, sequence, alert, action } = record;
	const kind = recordKind(record);
	const head = { time, host, sequence } as wire.OutputRecord;
	if (alert) return { ...head, alert: { id: alert.id, severity: alert.severity } as wire.Alert };
	if (action) return { ...head, action: { id: action.id, outcome: action.outcome } as wire.Action };
	return kind === undefined ? head : { ...head, [kind]: {} };
}

function cut(text: string, bytes: number): string {
	const whole = Buffer.from(text);
	if (whole.length <= bytes) return text;
	const dots = "…";
	let end = Math.max(0, bytes - Buffer.byteLength(dots));
	// Not within a character.
	while (end > 0 && ((whole[end] as number) & 0xc0) === 0x80) end--;
	return `${whole.subarray(0, end).toString()}${dots}`;
}
