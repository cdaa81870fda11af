// What is in force right now because of us, on disk, so that it can be undone by a later process when this
// one is dead. Written before the act it records: rather an entry without an act than the other way round.
import { closeSync, constants, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Entry, type EntryKind, headerLine, loadLedger, putLine, removeLine } from "./ledger-file.ts";

export type { Entry, EntryKind, Membership } from "./ledger-file.ts";

export interface Ledger {
	entries(): readonly Entry[];
	/** How many of a kind; does not walk them. */
	count(kind: EntryKind): number;
	find(kind: EntryKind, target: string): Entry | undefined;
	/** Adds or replaces. Throws when the disk refuses. */
	put(entry: Entry): void;
	/** All or none, with one wait for the disk. */
	putAll(entries: readonly Entry[]): void;
	/** Never throws: an entry that stays on a full disk is harmless, undoing twice changes nothing. */
	remove(kind: EntryKind, target: string): void;
	removeAll(entries: readonly Pick<Entry, "kind" | "target">[]): void;
}

export interface LedgerNotice {
	/** What happened to an older ledger that could not be taken over as it was; undefined when nothing did. */
	readonly notice: string | undefined;
}

/** Below so many lines a file is not worth being written anew. */
const fewLines = 1000;
const ledgerName = "responses.ledger";
/** Of version 1, taken over and removed. */
const olderName = "responses.json";

/** Nothing is written before the first response. */
export function openLedger(stateDir: string, bootId: string): Ledger & LedgerNotice {
	const file = join(stateDir, ledgerName);
	const older = join(stateDir, olderName);
	const loaded = loadLedger(file, older, bootId);
	const kinds = new Map<EntryKind, Map<string, Entry>>();
	/** Lines in the file; 0: it has to be written anew. */
	let lines = loaded.lines;
	for (const entry of loaded.entries) ofKind(entry.kind).set(entry.target, entry);

	function ofKind(kind: EntryKind): Map<string, Entry> {
		const found = kinds.get(kind) ?? new Map<string, Entry>();
		kinds.set(kind, found);
		return found;
	}

	function all(): Entry[] {
		return [...kinds.values()].flatMap((entries) => [...entries.values()]);
	}

	function save(changes: readonly string[]): void {
		const live = [...kinds.values()].reduce((sum, entries) => sum + entries.size, 0);
		const worn = lines + changes.length > Math.max(fewLines, 2 * live);
		const known = lines;
		// Whatever fails below may have left half a line.
		lines = 0;
		if (known === 0 || worn || !append(changes)) {
			rewrite();
			lines = live + 1;
		} else {
			lines = known + changes.length;
		}
	}

	/** False when the file is not there any more. */
	function append(changes: readonly string[]): boolean {
		try {
			writeDurably(file, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW, changes.join(""));
			return true;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
			throw error;
		}
	}

	function rewrite(): void {
		mkdirSync(stateDir, { recursive: true, mode: 0o700 });
		const temporary = `${file}.new`;
		rmSync(temporary, { force: true });
		const text = headerLine(bootId) + all().map(putLine).join("");
		writeDurably(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, text);
		renameSync(temporary, file);
		const directory = openSync(dirname(file), "r");
		try {
			fsyncSync(directory);
		} finally {
			closeSync(directory);
		}
		rmSync(older, { force: true });
	}

	function putAll(entries: readonly Entry[]): void {
		if (entries.length === 0) return;
		const before = entries.map(({ kind, target }) => ofKind(kind).get(target));
		for (const entry of entries) ofKind(entry.kind).set(entry.target, entry);
		try {
			save(entries.map(putLine));
		} catch (error) {
			for (const [index, { kind, target }] of entries.entries()) {
				const old = before[index];
				if (old === undefined) ofKind(kind).delete(target);
				else ofKind(kind).set(target, old);
			}
			throw error;
		}
	}

	function removeAll(entries: readonly Pick<Entry, "kind" | "target">[]): void {
		const known = entries.filter(({ kind, target }) => ofKind(kind).delete(target));
		if (known.length === 0) return;
		try {
			save(known.map(({ kind, target }) => removeLine(kind, target)));
		} catch {
			// The next change writes all of it anew.
		}
	}

	return {
		notice: loaded.notice,
		entries: all,
		count: (kind) => ofKind(kind).size,
		find: (kind, target) => ofKind(kind).get(target),
		put: (entry) => putAll([entry]),
		putAll,
		remove: (kind, target) => removeAll([{ kind, target }]),
		removeAll,
	};
}

function writeDurably(file: string, flags: number, text: string): void {
	const fd = openSync(file, flags, 0o600);
	try {
		const bytes = Buffer.from(text);
		const written = writeSync(fd, bytes);
		if (written !== bytes.length)
			throw new Error(`only ${written} of ${bytes.length} bytes could be written`);
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}
