// What is in force right now because of us, on disk, so that it can be undone by a later process when this
// one is dead. Written before the act it records: rather an entry without an act than the other way round.
import {
	closeSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

export const entryKinds = ["block", "pause", "refuseEgress", "refuseExec"] as const;
export type EntryKind = (typeof entryKinds)[number];

export interface Entry {
	readonly kind: EntryKind;
	/** Canonical network, full container id, or that or "host" and a program. */
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
}

export interface Ledger {
	entries(): readonly Entry[];
	find(kind: Entry["kind"], target: string): Entry | undefined;
	/** Adds or replaces. Throws when the disk refuses. */
	put(entry: Entry): void;
	/** Never throws: an entry that stays on a full disk is harmless, undoing twice changes nothing. */
	remove(kind: Entry["kind"], target: string): void;
}

export interface LedgerNotice {
	/** What happened to an older ledger that could not be taken over as it was; undefined when nothing did. */
	readonly notice: string | undefined;
}

/**
 * Blocks live in the kernel and paused containers die with it: entries of an earlier boot are forgotten.
 * An unreadable ledger is set aside, never guessed at. Nothing is written before the first response.
 */
export function openLedger(file: string, bootId: string): Ledger & LedgerNotice {
	const loaded = load(file, bootId);
	const entries = new Map(loaded.entries.map((entry) => [keyOf(entry.kind, entry.target), entry]));

	function save(): void {
		mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
		const temporary = `${file}.new`;
		rmSync(temporary, { force: true });
		writeFileSync(
			temporary,
			JSON.stringify({ version: 1, bootId, entries: [...entries.values()] }, null, "\t"),
			{
				mode: 0o600,
				flag: "wx",
				flush: true,
			},
		);
		renameSync(temporary, file);
		const directory = openSync(dirname(file), "r");
		try {
			fsyncSync(directory);
		} finally {
			closeSync(directory);
		}
	}

	return {
		notice: loaded.notice,
		entries: () => [...entries.values()],
		find: (kind, target) => entries.get(keyOf(kind, target)),
		put(entry) {
			const key = keyOf(entry.kind, entry.target);
			const before = entries.get(key);
			entries.set(key, entry);
			try {
				save();
			} catch (error) {
				if (before === undefined) entries.delete(key);
				else entries.set(key, before);
				throw error;
			}
		},
		remove(kind, target) {
			if (!entries.delete(keyOf(kind, target))) return;
			try {
				save();
			} catch {
				// The next change writes it again.
			}
		},
	};
}

function keyOf(kind: Entry["kind"], target: string): string {
	return `${kind} ${target}`;
}

function load(file: string, bootId: string): { entries: Entry[]; notice: string | undefined } {
	let text: string;
	try {
		text = readFileSync(file, "utf8");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return { entries: [], notice: undefined };
		const message = error instanceof Error ? error.message : String(error);
		return { entries: [], notice: `the record of active responses cannot be read: ${message}` };
	}
	try {
		const parsed: unknown = JSON.parse(text);
		if (!isStored(parsed)) throw new Error("not a ledger");
		if (parsed.bootId === bootId) return { entries: parsed.entries, notice: undefined };
		const count = parsed.entries.length;
		const notice = count === 0 ? undefined : `${count} responses of an earlier boot ended with it`;
		return { entries: [], notice };
	} catch {
		const aside = `${file}.unreadable`;
		renameSync(file, aside);
		const notice = `the record of active responses was unreadable and is now ${aside}; run picket release --all`;
		return { entries: [], notice };
	}
}

function isStored(value: unknown): value is { bootId: string; entries: Entry[] } {
	if (typeof value !== "object" || value === null) return false;
	const { version, bootId, entries } = value as Record<string, unknown>;
	return version === 1 && typeof bootId === "string" && Array.isArray(entries) && entries.every(isEntry);
}

function isEntry(value: unknown): value is Entry {
	if (typeof value !== "object" || value === null) return false;
	const entry = value as Record<string, unknown>;
	const texts = ["target", "targetName", "actionId", "requester", "reason", "alertId"];
	return (
		entryKinds.includes(entry.kind as EntryKind) &&
		texts.every((name) => typeof entry[name] === "string") &&
		Number.isFinite(entry.since) &&
		Number.isFinite(entry.expires)
	);
}
