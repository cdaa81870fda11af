// Raw events in a file and back: what `picket record` writes and `picket replay` reads. The file holds the records
// as they lay in the ring, and beside them, in order, every fact the agent looked up elsewhere (/proc, Docker,
// users), so that a replay comes to the same conclusions without kernel, root or Docker.
//
// Format: the line "PICKET RECORDING 1\n" padded to 24 bytes, then frames: u32 type, u32 payload bytes, payload,
// padded to 8. Little-endian. Type 1 is a record, type 2 one fact as JSON; the first frame is the header fact.
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { layoutHash } from "../model/layout.ts";

const magic = Buffer.from("PICKET RECORDING 1\n".padEnd(24, "\0"), "latin1");
const frameRecord = 1;
const frameFact = 2;
const frameHeader = 8;
/** A record is at most 64 KiB, a fact (a container with its labels, say) far below this. */
const largestFrame = 16 * 1024 * 1024;
const chunk = 1024 * 1024;
/** Unix ms. What a record adds to it is still in a year of four digits. */
const latestTime = 2e14;

export interface RecordingHeader {
	readonly layoutHash: string;
	readonly version: string;
	readonly host: string;
	readonly kernel: string;
	readonly bootId: string;
	/** Unix ms at which CLOCK_BOOTTIME was 0. */
	readonly bootTimeMs: number;
	/** Unix ms. */
	readonly started: number;
}

/** A fact beside the events; `name` says which, `value` is plain JSON. */
export interface Fact {
	readonly name: string;
	readonly value: unknown;
}

export class RecordingError extends Error {
	readonly code: "NOT_A_RECORDING" | "LAYOUT" | "DAMAGED";
	readonly remedy: string;
	constructor(code: RecordingError["code"], message: string, remedy: string) {
		super(message);
		this.code = code;
		this.remedy = remedy;
	}
}

export class RecordingWriter {
	readonly #file: number;
	#buffer = Buffer.alloc(chunk);
	#used = 0;
	records = 0;
	bytes = 0;

	/** Throws what opening throws. An existing file is replaced. */
	constructor(path: string, header: Omit<RecordingHeader, "layoutHash">) {
		this.#file = openSync(path, "w", 0o600);
		this.#put(magic);
		this.fact("header", { layoutHash, ...header });
	}

	record(memory: Buffer, offset: number, bytes: number): void {
		this.#frame(frameRecord, memory, offset, bytes);
		this.records++;
	}

	fact(name: string, value: unknown): void {
		const text = Buffer.from(JSON.stringify({ name, value }));
		this.#frame(frameFact, text, 0, text.length);
	}

	#frame(type: number, from: Buffer, offset: number, bytes: number): void {
		const padded = (frameHeader + bytes + 7) & ~7;
		if (this.#used + padded > this.#buffer.length) this.flush();
		if (padded > this.#buffer.length) this.#buffer = Buffer.alloc(padded);
		this.#buffer.writeUInt32LE(type, this.#used);
		this.#buffer.writeUInt32LE(bytes, this.#used + 4);
		from.copy(this.#buffer, this.#used + frameHeader, offset, offset + bytes);
		this.#buffer.fill(0, this.#used + frameHeader + bytes, this.#used + padded);
		this.#used += padded;
	}

	#put(bytes: Buffer): void {
		bytes.copy(this.#buffer, this.#used);
		this.#used += bytes.length;
	}

	/** Writes out what is gathered; throws what the disk says (ENOSPC …). */
	flush(): void {
		let done = 0;
		try {
			while (done < this.#used) done += writeSync(this.#file, this.#buffer, done, this.#used - done);
		} finally {
			// A disk that was full for a moment has a part already: that part must not come twice.
			this.#buffer.copyWithin(0, done, this.#used);
			this.bytes += done;
			this.#used -= done;
		}
	}

	close(): void {
		try {
			this.flush();
			fsyncSync(this.#file);
		} finally {
			closeSync(this.#file);
		}
	}
}

export interface RecordingHandler {
	/** The memory records lie in; told again when it changes. */
	memory(memory: ArrayBuffer): void;
	record(offset: number, bytes: number): void;
	fact(fact: Fact): void;
}

/**
 * Reads a recording from start to end. Throws RecordingError for a file that is none or of another layout; of a
 * damaged or cut one everything before the damage has been handed out when it throws.
 */
export function readRecording(path: string, onHeader: (header: RecordingHeader) => RecordingHandler): void {
	const file = openSync(path, "r");
	try {
		readFrames(file, path, onHeader);
	} finally {
		closeSync(file);
	}
}

function readFrames(
	file: number,
	path: string,
	onHeader: (header: RecordingHeader) => RecordingHandler,
): void {
	let memory = new ArrayBuffer(chunk);
	let bytes = Buffer.from(memory);
	let filled = 0;
	let at = 0;
	let consumed = 0;
	let handler: RecordingHandler | undefined;

	/** Makes `need` bytes from `at` on available; false at the end of the file. Positions stay multiples of 8. */
	const ensure = (need: number): boolean => {
		if (filled - at >= need) return true;
		if (need > memory.byteLength) {
			// No memory for what only a damaged length says is there.
			const now = fstatSync(file);
			if (now.isFile() && consumed + at + need > now.size) return false;
			memory = new ArrayBuffer((need + chunk + 7) & ~7);
			const larger = Buffer.from(memory);
			bytes.copy(larger, 0, at, filled);
			bytes = larger;
			handler?.memory(memory);
		} else bytes.copy(bytes, 0, at, filled);
		consumed += at;
		filled -= at;
		at = 0;
		while (filled < need) {
			const got = readSync(file, bytes, filled, bytes.length - filled, null);
			if (got === 0) return false;
			filled += got;
		}
		return true;
	};
	const damaged = (what: string) =>
		new RecordingError(
			"DAMAGED",
			`${path}: ${what} at byte ${consumed + at}`,
			"everything before that place was replayed; record again for the rest",
		);

	/** Its value may be of any shape, which shows where it is used. */
	const takeFact = (to: RecordingHandler, fact: Fact): void => {
		try {
			to.fact(fact);
		} catch (error) {
			const reason = error instanceof Error ? error.message : String(error);
			throw damaged(`a fact that makes no sense (${reason.slice(0, 200)})`);
		}
	};

	if (!ensure(magic.length) || !bytes.subarray(0, magic.length).equals(magic)) {
		throw new RecordingError(
			"NOT_A_RECORDING",
			`${path} is no recording`,
			"make one with `picket record -o FILE`",
		);
	}
	at += magic.length;
	for (;;) {
		if (!ensure(frameHeader)) {
			if (filled - at > 0) throw damaged("the file ends within a frame");
			if (!handler) throw damaged("the file ends before its header");
			return;
		}
		const type = bytes.readUInt32LE(at);
		const size = bytes.readUInt32LE(at + 4);
		if ((type !== frameRecord && type !== frameFact) || size > largestFrame) throw damaged("no frame");
		const padded = (frameHeader + size + 7) & ~7;
		if (!ensure(padded)) throw damaged("the file ends within a frame");
		if (type === frameFact) {
			const fact = parseFact(bytes.toString("utf8", at + frameHeader, at + frameHeader + size));
			if (!fact) throw damaged("a fact that is no JSON");
			if (!handler) {
				handler = onHeader(checkHeader(fact, path));
				handler.memory(memory);
			} else takeFact(handler, fact);
		} else if (handler) handler.record(at + frameHeader, size);
		else throw damaged("no header");
		at += padded;
	}
}

function parseFact(text: string): Fact | undefined {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null && "name" in value && "value" in value) {
			return { name: String(value.name), value: value.value };
		}
	} catch {
		// said by the caller
	}
	return undefined;
}

function checkHeader(fact: Fact, path: string): RecordingHeader {
	const header = fact.value as RecordingHeader;
	if (fact.name !== "header" || typeof header?.layoutHash !== "string") {
		throw new RecordingError("DAMAGED", `${path}: the first frame is no header`, "record again");
	}
	if (header.layoutHash !== layoutHash) {
		throw new RecordingError(
			"LAYOUT",
			`${path} was recorded by version ${header.version} with event layout ${header.layoutHash}; this is ${layoutHash}`,
			`replay it with version ${header.version}`,
		);
	}
	if (![header.bootTimeMs, header.started].every((time) => time >= 0 && time <= latestTime)) {
		throw new RecordingError("DAMAGED", `${path}: the header has no times`, "record again");
	}
	if (![header.version, header.host, header.bootId].every((text) => typeof text === "string")) {
		throw new RecordingError("DAMAGED", `${path}: the header names no host`, "record again");
	}
	return header;
}
