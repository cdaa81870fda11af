// The form of the spool's file: tables, pragmas, rows. Runs in the spool's threads only, for each call may wait for the
// disk.
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { crc32 } from "node:zlib";
import { checksumOf, type Entry } from "./batch.ts";
import { classAt, classes } from "./classes.ts";

/** "PICK": tells our files from other SQLite databases. */
export const applicationId = 0x5049434b;
/** Raised when older programs could not read the file any more. */
export const schemaVersion = 1;
export const pageBytes = 4096;
/** First column of a reader's row, so that it is known for one wherever it is found in a damaged file. */
export const readerMark = "reader";

const tables: Readonly<Record<string, string>> = {
	...Object.fromEntries(
		classes.map(({ table }) => [
			table,
			`CREATE TABLE ${table}(position INTEGER PRIMARY KEY, class INTEGER, boot TEXT, sequence INTEGER, time INTEGER, checksum INTEGER, payload BLOB)`,
		]),
	),
	readers:
		"CREATE TABLE readers(id INTEGER PRIMARY KEY, mark TEXT, name TEXT, mask INTEGER, acknowledged INTEGER, checksum INTEGER)",
	losses: "CREATE TABLE losses(class INTEGER PRIMARY KEY, count INTEGER, first INTEGER, last INTEGER)",
	quarantined:
		"CREATE TABLE quarantined(id INTEGER PRIMARY KEY, reader TEXT, position INTEGER, time INTEGER, reason TEXT, class INTEGER, boot TEXT, sequence INTEGER, payload BLOB)",
};

/** A reader's place. */
export interface Place {
	readonly name: string;
	/** Of the classes it wants. */
	readonly mask: number;
	readonly acknowledged: number;
}

export function placeChecksum({ name, mask, acknowledged }: Place): number {
	return crc32(`${mask} ${acknowledged} ${name}`);
}

/** The file is there but its content is not what was written; the message says in which way. */
export class DamageError extends Error {
	override readonly name = "DamageError";
}

const corrupt = 11;
const notADatabase = 26;
const plainError = 1;
const readErrors: readonly number[] = [266, 522, 8458];

/** Is it the file's content that is wrong, and not the disk, the permissions or the memory? */
export function isDamage(error: unknown): boolean {
	if (error instanceof DamageError) return true;
	if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return false;
	const primary = error.errcode & 0xff;
	if (readErrors.includes(error.errcode)) return true;
	return primary === corrupt || primary === notADatabase || primary === plainError;
}

/** Bytes the write-ahead log may grow to beside the database itself, within the spool's bounds. */
export function logBudget(maxBytes: number): number {
	return Math.min(8 * 1024 * 1024, Math.floor(maxBytes / 4));
}

/** Makes the tables in an empty file. Throws what SQLite throws. */
export function createDatabase(path: string, maxBytes: number): DatabaseSync {
	const db = new DatabaseSync(path, { allowExtension: false });
	try {
		db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA auto_vacuum = INCREMENTAL`);
		settle(db, maxBytes);
		const all = Object.values(tables).join(";");
		db.exec(
			`BEGIN IMMEDIATE; ${all}; PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}; COMMIT`,
		);
		return db;
	} catch (error) {
		db.close();
		throw error;
	}
}

/** Opens a file that is ours. Throws DamageError where its tables are not as they were made. */
export function openDatabase(path: string, maxBytes: number): DatabaseSync {
	const db = new DatabaseSync(path, { allowExtension: false });
	try {
		settle(db, maxBytes);
		const found = new Map(
			db
				.prepare("SELECT name, sql FROM sqlite_schema")
				.all()
				.map(({ name, sql }) => [name, sql]),
		);
		for (const [name, sql] of Object.entries(tables)) {
			if (found.get(name) !== sql)
				throw new DamageError(`its table ${name} is missing or not as it was made`);
		}
		return db;
	} catch (error) {
		db.close();
		throw error;
	}
}

/** For reading beside the writer. */
export function openForReading(path: string): DatabaseSync {
	const db = new DatabaseSync(path, { readOnly: true, allowExtension: false });
	db.exec("PRAGMA cache_size = -512; PRAGMA busy_timeout = 2000; PRAGMA cell_size_check = 1");
	return db;
}

function settle(db: DatabaseSync, maxBytes: number): void {
	const log = logBudget(maxBytes);
	db.exec(
		`PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -1024;
		PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = 1; PRAGMA trusted_schema = 0;
		PRAGMA wal_autocheckpoint = ${Math.max(16, Math.floor(log / 2 / pageBytes))};
		PRAGMA journal_size_limit = ${Math.floor(log / 2)}`,
	);
}

/** Throws DamageError with SQLite's first finding. Reads the whole file. */
export function checkPages(db: DatabaseSync): void {
	const [row] = db.prepare("PRAGMA quick_check(1)").all();
	const finding = row?.quick_check;
	if (finding !== "ok") throw new DamageError(String(finding).replace(/\s+/g, " ").slice(0, 200));
}

export const entryColumns = "position, class, boot, sequence, time, checksum, payload";

/** What a row of a class's table holds (columns as in `entryColumns`); undefined when it is not what was written. */
export function entryOf(row: readonly SQLOutputValue[]): Entry | undefined {
	const [position, number, bootId, sequence, time, checksum, payload] = row;
	if (typeof position !== "number" || typeof number !== "number" || classes[number] === undefined)
		return undefined;
	if (typeof bootId !== "string" || typeof sequence !== "number" || typeof time !== "number")
		return undefined;
	if (!(payload instanceof Uint8Array)) return undefined;
	const entry: Entry = { position, class: number, bootId, sequence, time, payload };
	return checksumOf(entry) === checksum ? entry : undefined;
}

export function readPlaces(db: DatabaseSync): { places: Place[]; damaged: boolean } {
	let damaged = false;
	const places: Place[] = [];
	for (const { name, mask, acknowledged, checksum } of db.prepare("SELECT * FROM readers").all()) {
		const place = { name: String(name), mask: Number(mask), acknowledged: Number(acknowledged) };
		if (placeChecksum(place) === checksum) places.push(place);
		else damaged = true;
	}
	return { places, damaged };
}

/** The newest position in any table, 0 when all are empty. */
export function lastPosition(db: DatabaseSync): number {
	const newest = classes.map(
		({ table }) => db.prepare(`SELECT max(position) AS newest FROM ${table}`).get()?.newest,
	);
	return Math.max(0, ...newest.map(Number));
}

export function insertEntry(db: DatabaseSync): (entry: Entry) => void {
	const statements = classes.map((_, index) =>
		db.prepare(
			`INSERT OR REPLACE INTO ${classAt(index).table}(${entryColumns}) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		),
	);
	return (entry) => {
		const { position, class: number, bootId, sequence, time, payload } = entry;
		statements[number]?.run(position, number, bootId, sequence, time, checksumOf(entry), payload);
	};
}
