// The audit of everything that changed this host: one JSON object a line, each carrying the hash of the one
// before, so that a removed or altered line shows. Synced to disk before the act it announces.
import { createHash } from "node:crypto";
import {
	closeSync,
	constants,
	fstatSync,
	fsyncSync,
	mkdirSync,
	openSync,
	readSync,
	writeSync,
} from "node:fs";
import { dirname } from "node:path";

export interface AuditEntry {
	/** What is about to happen, what came of it, or what the audit noticed about itself. */
	readonly stage: "intent" | "outcome" | "note";
	readonly [field: string]: unknown;
}

export interface Audit {
	/** Writes and syncs. Throws when it could not; then nothing of it is claimed to be on disk. */
	append(entry: AuditEntry): void;
	close(): void;
}

const firstHash = "0".repeat(64);
const tailBytes = 256 * 1024;
/** Longest line written: the tail read back must always hold a whole one. */
const maxLine = 64 * 1024;

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

	function write(entry: AuditEntry): void {
		const body = {
			number: last.number + 1,
			time: new Date(clock()).toISOString(),
			previous: last.hash,
			...entry,
		};
		const hash = hashOf(JSON.stringify(body));
		const line = Buffer.from(`${JSON.stringify({ ...body, hash })}\n`);
		if (line.length > maxLine) throw new Error(`audit entry of ${line.length} bytes is above ${maxLine}`);
		// A short write (disk full) leaves a torn line, which the next append finds and tells.
		const written = writeSync(fd, line);
		if (written !== line.length) throw new Error(`only ${written} of ${line.length} bytes could be written`);
		fsyncSync(fd);
		expectedSize = fstatSync(fd).size;
		last = { number: body.number, hash };
	}

	/** Another process (`release --all` by hand) may have continued the chain: go on from its last line. */
	function catchUp(): void {
		const size = fstatSync(fd).size;
		if (size === expectedSize) return;
		const tail = readTail(fd, size);
		last = tail.last;
		if (tail.tornBytes > 0) {
			writeSync(fd, "\n");
			write({
				stage: "note",
				message: "the line before was torn by a crash or a full disk",
				bytes: tail.tornBytes,
			});
		}
		expectedSize = fstatSync(fd).size;
	}

	catchUp();
	return {
		append(entry) {
			catchUp();
			write(entry);
		},
		close() {
			closeSync(fd);
		},
	};
}

function readTail(fd: number, size: number): { last: { number: number; hash: string }; tornBytes: number } {
	const buffer = Buffer.alloc(Math.min(size, tailBytes));
	readSync(fd, buffer, 0, buffer.length, size - buffer.length);
	const lines = buffer.toString("utf8").split("\n");
	const torn = lines.pop() ?? "";
	for (const line of lines.reverse()) {
		const entry = readLine(line);
		if (entry !== undefined) return { last: entry, tornBytes: Buffer.byteLength(torn) };
	}
	return { last: { number: 0, hash: firstHash }, tornBytes: Buffer.byteLength(torn) };
}

interface Line {
	readonly number: number;
	readonly hash: string;
	readonly previous: string;
	/** The hash its content really has. */
	readonly computed: string;
}

function readLine(text: string): Line | undefined {
	let parsed: unknown;
	try {
		parsed = JSON.parse(text);
	} catch {
		return undefined;
	}
	if (typeof parsed !== "object" || parsed === null) return undefined;
	const { hash, ...body } = parsed as Record<string, unknown>;
	const { number, previous } = body;
	if (typeof hash !== "string" || typeof number !== "number" || typeof previous !== "string")
		return undefined;
	return { number, hash, previous, computed: hashOf(JSON.stringify(body)) };
}

export interface AuditCheck {
	readonly entries: number;
	/** Line numbers (1-based) of lines torn by a crash; each is explained by the entry after it. */
	readonly torn: readonly number[];
	/** First line at which the chain does not hold, with the reason. */
	readonly broken: { readonly line: number; readonly reason: string } | undefined;
}

/** Walks the chain of a whole audit file. */
export function verifyAudit(text: string): AuditCheck {
	const torn: number[] = [];
	let previous = firstHash;
	let entries = 0;
	const lines = text.split("\n");
	for (const [index, content] of lines.entries()) {
		if (content === "") continue;
		const line = index + 1;
		const broken = (reason: string): AuditCheck => ({ entries, torn, broken: { line, reason } });
		const entry = readLine(content);
		if (entry === undefined) {
			const next = readLine(lines[index + 1] ?? "");
			const explained = next?.previous === previous && (lines[index + 1] ?? "").includes('"stage":"note"');
			if (!explained && index !== lines.length - 1) return broken("is not an audit entry");
			torn.push(line);
			continue;
		}
		if (entry.computed !== entry.hash) return broken("was altered: its hash does not fit its content");
		if (entry.previous !== previous)
			return broken("does not follow the line before: lines were removed or added");
		previous = entry.hash;
		entries++;
	}
	return { entries, torn, broken: undefined };
}

function hashOf(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
