// Opens the spool whatever lies in its place: a sound file as it is, a damaged one after all that can be read was moved
// into a new one, anything else aside. Runs in the spool's thread. What it throws is the file system's refusal (full,
// read-only, no descriptors): then the file is as it was, and it is worth another try later.
import {
	chmodSync,
	chownSync,
	closeSync,
	existsSync,
	fsyncSync,
	lstatSync,
	mkdirSync,
	openSync,
	readSync,
	renameSync,
	rmdirSync,
	rmSync,
	type Stats,
} from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import {
	applicationId,
	checkPages,
	createDatabase,
	DamageError,
	isDamage,
	lastPosition,
	openDatabase,
	type Place,
	readPlaces,
	schemaVersion,
} from "./database.ts";
import { checkLog } from "./log-check.ts";
import { marked, readMark, syncFolder, writeMark } from "./mark.ts";
import { salvage } from "./salvage.ts";

export interface Opened {
	readonly db: DatabaseSync;
	/** All positions from here to `limit` are free. */
	readonly first: number;
	readonly limit: number;
	readonly places: readonly Place[];
	/** Readers may be missing from `places`, or records from the tables: what was there was damaged. */
	readonly damaged: boolean;
	/** Rows of ours whose content was no longer what was written: all that is known to be lost. */
	readonly broken: number;
	/** What was found and done, in words; empty when all was well. */
	readonly problems: readonly string[];
	/** Pages were not checked yet, for the file is large: `checkPages` is to follow elsewhere. */
	readonly unchecked: boolean;
}

export interface OpenOptions {
	readonly path: string;
	readonly maxBytes: number;
	/** Unix ms. */
	readonly now: number;
	/** Positions up to here were given in this run already. */
	readonly given: number;
	/** Found damaged while it was in use: what was found. "" otherwise. */
	readonly damage: string;
}

/** Larger files are checked after the start: about 0.3 s from a slow disk. */
const checkedAtOnce = 64 * 1024 * 1024;

export function openSpool(options: OpenOptions): Opened {
	const { path, maxBytes } = options;
	const problems: string[] = [];
	// Node says ENOENT for a recursive one on a read-only disk.
	if (!existsSync(dirname(path))) mkdirSync(dirname(path), { mode: 0o700 });
	finishSwap(path);
	const found = lstatSync(path, { throwIfNoEntry: false });
	const hasLog = existsSync(`${path}-wal`);
	let damaged = options.damage;
	let unchecked = false;
	let db: DatabaseSync | undefined;
	let broken = 0;
	let foreign = "";

	if (found !== undefined && !found.isFile()) {
		problems.push(`${path} is ${kindOf(found)} and no file: moved to ${setAside(path)}`);
	} else if (found === undefined || found.size === 0) {
		if (hasLog) damaged ||= "the file is missing or empty and only its write-ahead log is there";
	} else {
		own(path, found, problems);
		foreign = foreignness(path);
		if (damaged === "") {
			try {
				if (foreign !== "") throw new DamageError(foreign);
				checkLog(`${path}-wal`);
				db = openDatabase(path, maxBytes);
				unchecked = found.size > checkedAtOnce;
				if (!unchecked) checkPages(db);
			} catch (error) {
				db?.close();
				db = undefined;
				if (!isDamage(error)) throw error;
				damaged = error instanceof Error ? error.message : String(error);
			}
		}
	}
	if (damaged !== "") {
		const saved = salvage(path, maxBytes);
		broken = saved.broken;
		const aside = swapIn(path);
		const rows = saved.records === 1 ? "1 record was" : `${saved.records} records were`;
		problems.push(
			foreign !== "" && saved.records + broken === 0
				? `${path} ${foreign}: moved to ${aside}`
				: `${path} was damaged (${damaged}): ${rows} read out of it, ${broken} could not be; it lies at ${aside}`,
		);
	}
	db ??= existsSync(path) && damaged !== "" ? openDatabase(path, maxBytes) : createDatabase(path, maxBytes);
	try {
		chmodSync(path, 0o600);
		const { places, damaged: placesDamaged } = readPlaces(db);
		const newest = Math.max(
			lastPosition(db),
			options.given,
			...places.map(({ acknowledged }) => acknowledged),
		);
		// The clock keeps positions apart where both file and mark were lost: nobody makes a million records a second.
		const first = Math.max(newest + 1, readMark(path), Math.floor(options.now * 1000));
		writeMark(path, first + marked);
		return {
			db,
			first,
			limit: first + marked,
			places,
			damaged: damaged !== "" || placesDamaged || found?.isFile() === false,
			broken,
			problems,
			unchecked,
		};
	} catch (error) {
		db.close();
		throw error;
	}
}

function kindOf(stats: Stats): string {
	if (stats.isDirectory()) return "a directory";
	return stats.isSymbolicLink() ? "a link" : "a special file";
}

/** Only root and we may read it or write to it: whoever writes to it speaks in the sensor's name. */
function own(path: string, stats: Stats, problems: string[]): void {
	const uid = process.geteuid?.() ?? stats.uid;
	if (stats.uid !== uid) {
		try {
			chownSync(path, uid, process.getegid?.() ?? stats.gid);
			problems.push(`${path} belonged to user ${stats.uid}: it is ours again`);
		} catch {
			problems.push(`${path} belongs to user ${stats.uid}: remove it or give it to user ${uid}`);
		}
	}
	if ((stats.mode & 0o077) === 0 && (stats.mode & 0o600) === 0o600) return;
	chmodSync(path, 0o600);
	problems.push(`${path} had mode ${(stats.mode & 0o777).toString(8)}: it is 600 again`);
}

/** What makes a file another's than ours; "" when its header is ours. Ours with a damaged header looks like that, too. */
function foreignness(path: string): string {
	const header = Buffer.alloc(100);
	const fd = openSync(path, "r");
	try {
		readSync(fd, header, 0, 100, 0);
	} finally {
		closeSync(fd);
	}
	if (header.toString("latin1", 0, 16) !== "SQLite format 3\0") return "is no SQLite database";
	if (header.readUInt32BE(68) !== applicationId) return "is another program's database";
	const version = header.readUInt32BE(60);
	return version > schemaVersion ? `was written by a newer version (${version})` : "";
}

/** Moves what lies in the spool's place, with its log, to one name; what was moved before makes room. */
function setAside(path: string): string {
	const aside = `${path}.damaged`;
	const earlier = lstatSync(aside, { throwIfNoEntry: false });
	// Of a directory that somebody has put there nothing is deleted; then the name gets a number.
	if (earlier?.isDirectory()) {
		try {
			rmdirSync(aside);
		} catch {
			const spare = [1, 2, 3].map((n) => `${aside}-${n}`).find((name) => !existsSync(name));
			if (spare === undefined) throw new Error(`${aside} and three more are directories: remove them`);
			renameSync(aside, spare);
		}
	}
	for (const suffix of ["", "-wal", "-shm"]) {
		const file = `${path}${suffix}`;
		rmSync(`${aside}${suffix}`, { force: true });
		if (suffix === "-shm") rmSync(file, { force: true });
		else if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) renameSync(file, `${aside}${suffix}`);
	}
	syncFolder(path);
	return aside;
}

/** Puts the new file that `salvage` has made in the damaged one's place. */
function swapIn(path: string): string {
	const fd = openSync(`${path}.new`, "r");
	try {
		fsyncSync(fd);
	} finally {
		closeSync(fd);
	}
	const aside = setAside(path);
	renameSync(`${path}.new`, path);
	syncFolder(path);
	return aside;
}

/** A crash between the two renames leaves the new file under its first name; one before them leaves rubbish. */
function finishSwap(path: string): void {
	const made = `${path}.new`;
	if (!existsSync(made)) return;
	const old = lstatSync(path, { throwIfNoEntry: false });
	if (old === undefined && !existsSync(`${path}-wal`) && existsSync(`${path}.damaged`))
		renameSync(made, path);
	else for (const suffix of ["", "-wal", "-shm"]) rmSync(`${made}${suffix}`, { force: true });
}
