// In the core: one outlet's records from its reader of the spool into the pipe, and what comes back about them. It answers
// requests only, one at a time, so that what waits in the pipe is bounded, and believes no position that it has not sent.
import type { FromUplink, OutletConfig, OutletState, SpoolReader, ToUplink } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";

export interface Feed {
	readonly id: number;
	/** Takes what the uplink says of this outlet; a text says what is impossible about it. */
	more(message: Extract<FromUplink, { type: "more" }>): string | undefined;
	acknowledged(position: number): string | undefined;
	quarantine(position: number, reason: string): string | undefined;
	state(state: OutletState): void;
	/** There is room in the pipe again. */
	resume(): void;
	/** The uplink is another one, or none: what was sent and not acknowledged goes again. */
	reset(problem: string): void;
	/** Records not acknowledged, while somebody could take them. */
	readonly pending: number;
	status(): wire.SinkStatus;
}

export interface FeedOptions {
	readonly config: Pick<OutletConfig, "id" | "kind" | "name">;
	readonly reader: SpoolReader;
	readonly send: (message: ToUplink) => void;
	/** False while so much waits in the pipe that what need not be sent is not. */
	readonly room: () => boolean;
	readonly log: (level: "warn" | "error", message: string) => void;
}

const most = { records: 1000, bytes: 1024 * 1024 };
const overtaking: ReadonlySet<string> = new Set(["alert", "incident", "action", "gap"]);
const againMs = 1000;

export function createFeed(options: FeedOptions): Feed {
	const { reader, send } = options;
	const { id, kind, name } = options.config;
	let state: OutletState | undefined;
	let problem = "not connected yet";
	/** By uplinks that are gone. */
	const before = { sent: 0, acknowledged: 0 };
	let highest = reader.acknowledged;
	let wanted: { readonly after: number; readonly records: number; readonly bytes: number } | undefined;
	let reading = false;
	let committed = false;
	let again: NodeJS.Timeout | undefined;
	let told = false;

	const serve = async (): Promise<void> => {
		const want = wanted;
		// Whoever asks again and again without reading gets nothing more until it has: `resume`.
		if (want === undefined || reading || !options.room()) return;
		reading = true;
		committed = false;
		try {
			const records = await reader.read(Math.max(want.after, reader.acknowledged), want.records, want.bytes);
			const last = records.at(-1);
			if (wanted === want && last !== undefined) {
				wanted = undefined;
				highest = Math.max(highest, last.position);
				send({ type: "records", outlet: id, records });
			}
			told = false;
		} catch (error) {
			if (!told) options.log("warn", `the spool cannot be read for ${name}: ${errorText(error)}`);
			told = true;
			committed = false;
			clearTimeout(again);
			again = setTimeout(() => void serve(), againMs).unref();
			return;
		} finally {
			reading = false;
		}
		if (wanted !== undefined && (wanted !== want || committed)) void serve();
	};
	reader.onCommitted((records) => {
		committed = true;
		// Who waits for records gets them in their place right now.
		if (wanted !== undefined) return void serve();
		if (state?.connected !== true) return;
		for (const record of records) {
			if (!overtaking.has(record.kind) || !options.room()) continue;
			send({ type: "ahead", outlet: id, record });
		}
	});

	return {
		id,
		more(message) {
			if (message.after > highest)
				return `wants records after ${message.after}, ${highest} is the newest sent`;
			wanted = {
				after: message.after,
				records: Math.min(message.records, most.records),
				bytes: Math.min(message.bytes, most.bytes),
			};
			void serve();
			return undefined;
		},
		acknowledged(position) {
			if (position > highest) return `acknowledges ${position}, ${highest} is the newest sent`;
			if (position > reader.acknowledged) reader.acknowledge(position);
			return undefined;
		},
		quarantine(position, reason) {
			if (position > highest) return `sets ${position} aside, ${highest} is the newest sent`;
			if (position > reader.acknowledged) reader.quarantine(position, reason);
			return undefined;
		},
		state(next) {
			state = next;
		},
		resume: () => void serve(),
		reset(text) {
			wanted = undefined;
			before.sent += state?.sent ?? 0;
			before.acknowledged += state?.acknowledged ?? 0;
			state = undefined;
			problem = text;
			highest = reader.acknowledged;
		},
		get pending() {
			return state?.connected === true ? reader.backlog : 0;
		},
		status: () => ({
			name: `${kind}:${name}`,
			connected: state?.connected === true,
			sent: String(before.sent + (state?.sent ?? 0)),
			acknowledged: String(before.acknowledged + (state?.acknowledged ?? 0)),
			queued: String(reader.backlog),
			problem: state?.problem ?? problem,
		}),
	};
}
