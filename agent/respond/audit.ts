// The audit of everything that changed this host: one JSON object a line, each carrying the hash of the one
// before, so that a removed or altered line shows. Synced to disk before the act it announces.
import { closeSync, constants, fstatSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { firstHash, hashOf, readLine, readTail } from "./audit-read.ts";

export interface AuditEntry {
	/** What is about to happen, what came of it, or what the audit noticed about itself. */
	readonly stage: "intent" | "outcome" | "note";
	readonly [field: string]: unknown;
}

export interface Audit {
	/** Writes and syncs. Throws when it could not; then nothing of it is claimed to be on disk. */
	append(entry: AuditEntry): void;
	/** The same for many, with one wait for the disk. */
	appendAll(entries: readonly AuditEntry[]): void;
	close(): void;
}

const tailBytes = 256 * 1024;
/** Longest line written: the tail read back must always hold a whole one. */
const maxLine = 64 * 1024;
/** Of a character (a UTF-16 unit) in UTF-8. */
const mostBytes = 3;

/**
 * Opens or continues the chain in `file`. A last line without its newline was torn by a crash: it stays, the
 * chain goes on from the line before it, on a new line, with a note that says so.
 */
export function openAudit(file: string, clock: () => number): Audit {
	mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
	const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW;
	const fd = openSync(file, flags, 0o600);
	let expectedSize = -1;
	let last = { number: 0, hash: firstHash };

	function write(entries: readonly AuditEntry[]): void {
		let next = last;
		const lines = entries.map((entry) => {
			const body = {
				number: next.number + 1,
				time: new Date(clock()).toISOString(),
				previous: next.hash,
				...entry,
			};
			const text = JSON.stringify(body);
			next = { number: body.number, hash: hashOf(text) };
			const line = `${text.slice(0, -1)},"hash":"${next.hash}"}\n`;
			// Most are far below, whatever their characters take.
			const size = line.length * mostBytes > maxLine ? Buffer.byteLength(line) : 0;
			if (size > maxLine) throw new Error(`audit entry of ${size} bytes is above ${maxLine}`);
			return line;
		});
		const bytes = Buffer.from(lines.join(""));
		// A short write (disk full) leaves a torn line, which the next append finds and tells.
		const written = writeSync(fd, bytes);
		if (written !== bytes.length)
			throw new Error(`only ${written} of ${bytes.length} bytes could be written`);
		fsyncSync(fd);
		expectedSize = fstatSync(fd).size;
		last = next;
	}

	/** Another process (`release --all` by hand) may have continued the chain: go on from its last line. */
	function catchUp(): void {
		const size = fstatSync(fd).size;
		if (size === expectedSize) return;
		const tail = lastEntry(readTail(fd, tailBytes));
		last = tail.last;
		if (tail.tornBytes > 0) {
			writeSync(fd, "\n");
			const message = "the line before was torn by a crash or a full disk";
			write([{ stage: "note", message, bytes: tail.tornBytes }]);
		}
		expectedSize = fstatSync(fd).size;
	}

	function appendAll(entries: readonly AuditEntry[]): void {
		catchUp();
		if (entries.length > 0) write(entries);
	}

	catchUp();
	return {
		append: (entry) => appendAll([entry]),
		appendAll,
		close() {
			closeSync(fd);
		},
	};
}

function lastEntry(tail: string): { last: { number: number; hash: string }; tornBytes: number } {
	const lines = tail.split("\n");
	const tornBytes = Buffer.byteLength(lines.pop() ?? "");
	for (const line of lines.reverse()) {
		const entry = readLine(line);
		if (entry !== undefined) return { last: entry, tornBytes };
	}
	return { last: { number: 0, hash: firstHash }, tornBytes };
}
