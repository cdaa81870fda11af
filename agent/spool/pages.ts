// What can be read out of a damaged file without its trees: every page, in the file and in its write-ahead log, is
// searched for rows, and a row counts only when its checksum is right. A page that is damaged costs its own rows; what
// pointed to the others is not needed. Format: https://www.sqlite.org/fileformat2.html
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { SQLOutputValue } from "node:sqlite";
import type { Entry } from "./batch.ts";
import { entryOf, type Place, pageBytes, placeChecksum, readerMark } from "./database.ts";

export interface Scan {
	/** By position. Rows that were deleted may be among them, for their bytes stay until their page is used again. */
	readonly each: (entry: Entry) => void;
	readonly place: (place: Place) => void;
	/** A row of ours whose content is not what was written. */
	readonly broken: () => void;
}

type Bytes = Buffer<ArrayBuffer>;

const leaf = 13;
const logHeader = 32;
const frameHeader = 24;
/** A record is never longer: a damaged length must not make us read the whole file for one row. */
const longestRow = 16 * 1024 * 1024;

/** Reads `path` and `path`-wal, `maxBytes` of each, page by page. What cannot be read at all is left out; throws when neither opens. */
export function scanPages(path: string, maxBytes: number, scan: Scan): void {
	const file = openIfThere(path);
	const log = openIfThere(`${path}-wal`);
	try {
		const newest = log === undefined ? new Map<number, number>() : newestFrames(log);
		const overflow = (number: number): readonly Bytes[] => {
			const frame = newest.get(number);
			const inLog = log !== undefined && frame !== undefined ? readAt(log, frame, pageBytes) : undefined;
			const inFile = file === undefined ? undefined : readAt(file, (number - 1) * pageBytes, pageBytes);
			return [inLog, inFile].filter((page) => page !== undefined);
		};
		if (file !== undefined) {
			eachPage(file, maxBytes, 0, pageBytes, 0, (page, index) =>
				searchPage(page, index === 0 ? 100 : 0, overflow, scan),
			);
		}
		if (log !== undefined) {
			eachPage(log, maxBytes, logHeader, pageBytes + frameHeader, frameHeader, (page) => {
				searchPage(page, 0, overflow, scan);
			});
		}
	} finally {
		if (file !== undefined) closeSync(file);
		if (log !== undefined) closeSync(log);
	}
}

function openIfThere(path: string): number | undefined {
	try {
		return openSync(path, "r");
	} catch (error) {
		if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
		throw error;
	}
}

function readAt(fd: number, offset: number, size: number): Bytes | undefined {
	const bytes = Buffer.alloc(size);
	try {
		return readSync(fd, bytes, 0, size, offset) === size ? bytes : undefined;
	} catch {
		return undefined; // a bad sector
	}
}

/** Blocks of `stride` bytes from `start` on, without the first `skip` bytes of each. */
function eachPage(
	fd: number,
	maxBytes: number,
	start: number,
	stride: number,
	skip: number,
	visit: (page: Bytes, index: number) => void,
): void {
	const size = Math.min(maxBytes, fstatSync(fd).size);
	const perRead = 256;
	for (let first = 0, offset = start; offset + stride <= size; first += perRead, offset += perRead * stride) {
		const many = Math.min(perRead, Math.floor((size - offset) / stride));
		const block = readAt(fd, offset, many * stride);
		for (let index = 0; index < many; index++) {
			const page =
				block?.subarray(index * stride, (index + 1) * stride) ?? readAt(fd, offset + index * stride, stride);
			if (page !== undefined) visit(page.subarray(skip), first + index);
		}
	}
}

/** Where in the log the newest version of each page begins. */
function newestFrames(log: number): Map<number, number> {
	const newest = new Map<number, number>();
	const { size } = fstatSync(log);
	// Frames of the current round carry the header's salts, and the first of them does, should the header be damaged.
	const salts = [readAt(log, 0, logHeader)?.subarray(16, 24), readAt(log, logHeader, 16)?.subarray(8, 16)];
	for (let offset = logHeader; offset + frameHeader + pageBytes <= size; offset += frameHeader + pageBytes) {
		const frame = readAt(log, offset, frameHeader);
		if (frame === undefined || !salts.some((known) => known?.compare(frame, 8, 16) === 0)) continue;
		newest.set(frame.readUInt32BE(0), offset + frameHeader);
	}
	return newest;
}

type Overflow = (number: number) => readonly Bytes[];

function searchPage(page: Bytes, start: number, overflow: Overflow, scan: Scan): void {
	if (page[start] !== leaf) return;
	const count = Math.min(page.readUInt16BE(start + 3), Math.floor((pageBytes - start - 8) / 2));
	for (let index = 0; index < count; index++) {
		const at = page.readUInt16BE(start + 8 + index * 2);
		if (at < start + 8 || at >= pageBytes) continue;
		const row = readCell(page, at, overflow);
		if (row === undefined) continue;
		const place = placeOf(row);
		if (place !== undefined) {
			scan.place(place);
			continue;
		}
		const entry = entryOf(row);
		if (entry !== undefined) scan.each(entry);
		else if (row.length === 7 && row[6] instanceof Uint8Array) scan.broken();
	}
}

function placeOf(row: readonly SQLOutputValue[]): Place | undefined {
	const [, mark, name, mask, acknowledged, checksum] = row;
	if (mark !== readerMark || typeof name !== "string") return undefined;
	if (typeof mask !== "number" || typeof acknowledged !== "number") return undefined;
	const place = { name, mask, acknowledged };
	return placeChecksum(place) === checksum ? place : undefined;
}

/** [value, next offset]; offset -1 when it runs over the end. */
function varint(bytes: Uint8Array, at: number): [number, number] {
	let value = 0;
	for (let index = 0; index < 9; index++) {
		const byte = bytes[at + index];
		if (byte === undefined) return [0, -1];
		if (index === 8) return [value * 256 + byte, at + 9];
		value = value * 128 + (byte & 127);
		if (byte < 128) return [value, at + index + 1];
	}
	return [0, -1];
}

/** The columns of the cell at `at`; undefined when it makes no sense. The first, our key, is the row's number. */
function readCell(page: Bytes, at: number, overflow: Overflow): SQLOutputValue[] | undefined {
	const [size, afterSize] = varint(page, at);
	if (afterSize < 0 || size > longestRow) return undefined;
	const [rowId, start] = varint(page, afterSize);
	if (start < 0 || !Number.isSafeInteger(rowId)) return undefined;
	const most = pageBytes - 35;
	if (size <= most)
		return start + size > pageBytes ? undefined : columns(page.subarray(start, start + size), rowId);
	const least = Math.floor(((pageBytes - 12) * 32) / 255) - 23;
	const kept = least + ((size - least) % (pageBytes - 4));
	const local = kept <= most ? kept : least;
	if (start + local + 4 > pageBytes) return undefined;
	const whole = Buffer.alloc(size);
	page.copy(whole, 0, start, start + local);
	return follow(whole, local, page.readUInt32BE(start + local), overflow) ? columns(whole, rowId) : undefined;
}

/** Fills in the rest of a long row. Of a page that lies in file and log the log's is newer, so it is taken. */
function follow(whole: Bytes, filled: number, first: number, overflow: Overflow): boolean {
	let next = first;
	for (let at = filled; at < whole.length; at += pageBytes - 4) {
		const page = next === 0 ? undefined : overflow(next)[0];
		if (page === undefined) return false;
		page.copy(whole, at, 4, Math.min(pageBytes, 4 + whole.length - at));
		next = page.readUInt32BE(0);
	}
	return true;
}

function columns(row: Bytes, rowId: number): SQLOutputValue[] | undefined {
	const [headerSize, first] = varint(row, 0);
	if (first < 0 || headerSize > row.length || headerSize > 64) return undefined;
	const values: SQLOutputValue[] = [];
	let at = headerSize;
	for (let type = first; type < headerSize; ) {
		const [serial, next] = varint(row, type);
		if (next < 0) return undefined;
		type = next;
		const width = widthOf(serial);
		if (at + width > row.length) return undefined;
		values.push(valueFrom(row, serial, at, width));
		at += width;
	}
	values[0] = rowId;
	return values;
}

const widths: readonly number[] = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0];

function widthOf(serial: number): number {
	return widths[serial] ?? Math.floor((serial - 12) / 2);
}

function valueFrom(row: Bytes, serial: number, at: number, width: number): SQLOutputValue {
	if (serial === 0) return null;
	if (serial <= 5) return row.readIntBE(at, width);
	if (serial === 6) return Number(row.readBigInt64BE(at));
	if (serial === 7) return row.readDoubleBE(at);
	if (serial <= 11) return serial === 9 ? 1 : 0;
	const bytes = row.subarray(at, at + width);
	return serial % 2 === 0 ? bytes : bytes.toString("utf8");
}
