// The mark beside the spool: positions below it may have been given to somebody. It is a file of its own, since a
// damaged or deleted spool could not say what it has given, and no position may come twice.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";

/** So many positions are set aside at a time: one small write per 16 million records or start. */
export const marked = 2 ** 24;

/** 0 when there is none or it cannot be believed. */
export function readMark(path: string): number {
	try {
		const [number = "", checksum] = readFileSync(`${path}.mark`, "utf8").trim().split(" ");
		const mark = Number(number);
		return crc32(number).toString(16) === checksum && Number.isSafeInteger(mark) && mark >= 0 ? mark : 0;
	} catch {
		return 0;
	}
}

/** On the disk when it returns; throws what the file system throws. */
export function writeMark(path: string, mark: number): void {
	const text = String(mark);
	const fd = openSync(`${path}.mark.new`, "w", 0o600);
	try {
		writeSync(fd, `${text} ${crc32(text).toString(16)}\n`);
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
	renameSync(`${path}.mark.new`, `${path}.mark`);
	syncFolder(path);
}

/** Makes renames beside `path` last. */
export function syncFolder(path: string): void {
	const fd = openSync(dirname(path), "r");
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
}
