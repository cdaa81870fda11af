// Is the write-ahead log whole? SQLite ends its recovery in silence at the first frame that is not: all commits behind
// it would be gone although they lie there unharmed.
import { closeSync, openSync, readSync } from "node:fs";
import { DamageError, pageBytes } from "./database.ts";

const headerBytes = 32;
const frameBytes = 24 + pageBytes;

/** Throws DamageError when frames of the same log lie behind one that is damaged. No log is a whole one. */
export function checkLog(path: string): void {
	let fd: number;
	try {
		fd = openSync(path, "r");
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
		throw error;
	}
	try {
		checkFrames(fd);
	} finally {
		closeSync(fd);
	}
}

function checkFrames(fd: number): void {
	const header = Buffer.alloc(headerBytes);
	if (readSync(fd, header, 0, headerBytes, 0) < headerBytes) return;
	const magic = header.readUInt32BE(0);
	const bigEndian = magic === 0x377f0683;
	const sums: [number, number] = [0, 0];
	if (!bigEndian && magic !== 0x377f0682)
		throw new DamageError("its write-ahead log begins with other bytes");
	add(sums, header, 0, 24, bigEndian);
	if (sums[0] !== header.readUInt32BE(24) || sums[1] !== header.readUInt32BE(28)) {
		throw new DamageError("the header of its write-ahead log is damaged");
	}
	const salts = header.subarray(16, 24);
	const frame = Buffer.alloc(frameBytes);
	let bad = -1;
	for (let index = 0; ; index++) {
		if (readSync(fd, frame, 0, frameBytes, headerBytes + index * frameBytes) < frameBytes) return;
		const ours = frame.compare(salts, 0, 8, 8, 16) === 0;
		if (bad >= 0) {
			// A row of frames of an older round may lie behind the end; one of this round may not.
			if (ours) throw new DamageError(`frame ${bad} of its write-ahead log is damaged`);
			continue;
		}
		add(sums, frame, 0, 8, bigEndian);
		add(sums, frame, 24, frameBytes, bigEndian);
		const right = sums[0] === frame.readUInt32BE(16) && sums[1] === frame.readUInt32BE(20);
		if (!ours || !right) {
			bad = index;
			// The salts are right and the content is not, or the other way round: no older frame looks like that.
			if (ours || right) throw new DamageError(`frame ${index} of its write-ahead log is damaged`);
		}
	}
}

/** SQLite's own checksum, continued. */
function add(sums: [number, number], bytes: Buffer, from: number, to: number, bigEndian: boolean): void {
	let [first, second] = sums;
	for (let at = from; at < to; at += 8) {
		const one = bigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
		const two = bigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
		first = (first + one + second) >>> 0;
		second = (second + two + first) >>> 0;
	}
	sums[0] = first;
	sums[1] = second;
}
