// The ledger as it lies on disk: a line for each change, so that a change costs one line however much is in force,
// and so that plain shell can read it (packaging/release.sh does, with the sensor and Node dead).
//
//   picket-responses 2 BOOT
//   + KIND EXPIRES TARGET NETWORKS JSON .
//   - KIND TARGET .
//
// EXPIRES in Unix ms. NETWORKS: "-", or NETWORK|IPV4|IPV6|ALIAS…, joined by commas. Words are escaped as printf's %b
// reads them. A line without its final dot was torn by a crash and counts for nothing.
import { readFileSync, renameSync } from "node:fs";
import type { Direction, Order } from "../model/verdict.ts";

export const entryKinds = ["block", "pause", "disconnect", "stop", "refuseEgress", "refuseExec"] as const;
export type EntryKind = (typeof entryKinds)[number];

/** How a container was connected to a network before it was disconnected. */
export interface Membership {
	/** Id or name. */
	readonly network: string;
	/** Addresses it had asked for; "" when they were given to it. */
	readonly ipv4: string;
	readonly ipv6: string;
	readonly aliases: readonly string[];
}

export interface Entry {
	readonly kind: EntryKind;
	/** Canonical network, full container id, or "host PROGRAM" and "CONTAINER PROGRAM". */
	readonly target: string;
	readonly targetName: string;
	readonly actionId: string;
	readonly requester: string;
	readonly reason: string;
	readonly alertId: string;
	/** Unix ms. */
	readonly since: number;
	/** Unix ms; 0 for never. */
	readonly expires: number;
	/** What the act has to know to be taken back, as it wrote it: JSON. */
	readonly detail?: string;
	/** Of a disconnect, for the shell: what to connect it to again. */
	readonly networks?: readonly Membership[];
	/** Of a block; absent for both. */
	readonly direction?: Direction;
	/** The order that takes it back, where kind and target do not say it all. */
	readonly undo?: Order;
}

/** The engine remembers these over a restart of the host; the rest lives in the kernel and ends with it. */
const survivesBoot: ReadonlySet<EntryKind> = new Set<EntryKind>(["disconnect", "stop"]);
const magic = "picket-responses 2 ";

export interface Loaded {
	readonly entries: readonly Entry[];
	/** Lines in the file; 0 when it has to be written anew before anything is appended. */
	readonly lines: number;
	readonly notice: string | undefined;
}

export function headerLine(bootId: string): string {
	return `${magic}${escaped(bootId)}\n`;
}

export function putLine(entry: Entry): string {
	const networks = (entry.networks ?? []).map(({ network, ipv4, ipv6, aliases }) =>
		[network, ipv4, ipv6, ...aliases].map(escaped).join("|"),
	);
	const words = [entry.kind, entry.expires, escaped(entry.target), networks.join(",") || "-"];
	return `+ ${words.join(" ")} ${JSON.stringify(entry)} .\n`;
}

export function removeLine(kind: EntryKind, target: string): string {
	return `- ${kind} ${escaped(target)} .\n`;
}

/** Each byte that is not plain as \0ooo. */
function escaped(text: string): string {
	return text.replace(/[^A-Za-z0-9._:/-]+/g, (odd) =>
		[...Buffer.from(odd)].map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join(""),
	);
}

/**
 * What is in force by the word of `file`, or of `older`, the ledger of version 1. Entries that ended with an earlier
 * boot are left out. What cannot be read at all is set aside, never guessed at.
 */
export function loadLedger(file: string, older: string, bootId: string): Loaded {
	for (const [path, parse] of [
		[file, parseLines],
		[older, parseOlder],
	] as const) {
		let text: string;
		try {
			text = readFileSync(path, "utf8");
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
			const message = error instanceof Error ? error.message : String(error);
			return nothing(`the record of active responses cannot be read: ${message}`);
		}
		const parsed = parse(text);
		if (parsed === undefined) return setAside(path);
		return ofThisBoot(parsed, bootId, path === file);
	}
	return nothing(undefined);
}

interface Parsed {
	readonly bootId: string;
	readonly entries: readonly Entry[];
	readonly lines: number;
	readonly torn: number;
}

function nothing(notice: string | undefined): Loaded {
	return { entries: [], lines: 0, notice };
}

function setAside(path: string): Loaded {
	const aside = `${path}.unreadable`;
	renameSync(path, aside);
	return nothing(
		`the record of active responses was unreadable and is now ${aside}; run picket release --all`,
	);
}

function ofThisBoot(
	{ bootId: written, entries, lines, torn }: Parsed,
	bootId: string,
	current: boolean,
): Loaded {
	const same = written === bootId;
	const kept = same ? entries : entries.filter(({ kind }) => survivesBoot.has(kind));
	const ended = entries.length - kept.length;
	const notices = [
		...(ended > 0 ? [`${ended} responses of an earlier boot ended with it`] : []),
		...(torn > 0 ? [`${torn} lines of the record of active responses were torn by a crash`] : []),
	];
	const whole = current && same && torn === 0;
	return { entries: kept, lines: whole ? lines : 0, notice: notices.join("; ") || undefined };
}

function parseLines(text: string): Parsed | undefined {
	const [header = "", ...lines] = text.split("\n");
	if (!header.startsWith(magic)) return undefined;
	const rest = lines.pop() ?? "";
	const entries = new Map<string, Entry>();
	let torn = rest === "" ? 0 : 1;
	for (const line of lines) {
		const gone = /^- (\S+ \S+) \.$/.exec(line)?.[1];
		const entry = gone === undefined ? entryOfLine(line) : undefined;
		if (gone !== undefined) entries.delete(gone);
		else if (entry !== undefined) entries.set(`${entry.kind} ${escaped(entry.target)}`, entry);
		else torn++;
	}
	return { bootId: header.slice(magic.length), entries: [...entries.values()], lines: lines.length, torn };
}

function entryOfLine(line: string): Entry | undefined {
	const json = /^\+ \S+ \S+ \S+ \S+ (\{.*\}) \.$/.exec(line)?.[1];
	if (json === undefined) return undefined;
	try {
		const entry: unknown = JSON.parse(json);
		return isEntry(entry) ? entry : undefined;
	} catch {
		return undefined;
	}
}

/** Version 1: one JSON object with all entries. */
function parseOlder(text: string): Parsed | undefined {
	try {
		const { version, bootId, entries } = JSON.parse(text) as Record<string, unknown>;
		const valid =
			version === 1 && typeof bootId === "string" && Array.isArray(entries) && entries.every(isEntry);
		return valid ? { bootId, entries, lines: 0, torn: 0 } : undefined;
	} catch {
		return undefined;
	}
}

function isEntry(value: unknown): value is Entry {
	if (typeof value !== "object" || value === null) return false;
	const entry = value as Record<string, unknown>;
	const texts = ["target", "targetName", "actionId", "requester", "reason", "alertId"];
	return (
		(entryKinds as readonly unknown[]).includes(entry.kind) &&
		texts.every((name) => typeof entry[name] === "string") &&
		Number.isFinite(entry.since) &&
		Number.isFinite(entry.expires) &&
		(entry.detail === undefined || typeof entry.detail === "string") &&
		(entry.networks === undefined || (Array.isArray(entry.networks) && entry.networks.every(isMembership))) &&
		(entry.undo === undefined || typeof (entry.undo as { kind?: unknown } | null)?.kind === "string")
	);
}

function isMembership(value: unknown): value is Membership {
	if (typeof value !== "object" || value === null) return false;
	const { network, ipv4, ipv6, aliases } = value as Record<string, unknown>;
	return (
		[network, ipv4, ipv6].every((text) => typeof text === "string") &&
		Array.isArray(aliases) &&
		aliases.every((alias) => typeof alias === "string")
	);
}
