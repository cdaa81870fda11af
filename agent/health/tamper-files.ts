// Files that must stay as they are while the sensor runs: the program's own, what it was configured with, what it has
// written. Looks at what stat(2) says, and reads a file only when that has changed. Main thread; a look at some
// hundred files takes a few ms.
import { createHash } from "node:crypto";
import { type BigIntStats, lstatSync, readdirSync, readFileSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Severity } from "../model/verdict.ts";
import type { Sign, TamperCheck } from "./tamper.ts";

/** Larger ones are not read: their size, times and inode have to do. */
const mostRead = 8 * 1024 * 1024;
const mostTold = 10;
/** Files looked at in one turn of the event loop. */
const manyAtOnce = 50;

interface Baseline {
	readonly identity: string;
	/** SHA-256; undefined where it was too large. */
	readonly hash: string | undefined;
}

export interface KeptFilesOptions {
	readonly paths: () => readonly string[];
	readonly severity: Severity;
	readonly remedy: string;
	/** Grows when the files were read anew by the sensor: what is there then is how it should be. */
	generation?(): unknown;
}

/**
 * Files that were there at the first look, or come later, and are other ones now, or gone. Who replaces them for an
 * upgrade restarts the sensor: a change is told when it stands for two rounds.
 */
export function keptFiles(options: KeptFilesOptions): TamperCheck["look"] {
	const baselines = new Map<string, Baseline | undefined>();
	let generation: unknown;
	let started = false;
	let suspects = new Set<string>();
	const changed = async (path: string): Promise<string> => {
		const before = baselines.get(path);
		const stats = statOf(path);
		if (stats === undefined) return before === undefined ? "" : "is gone";
		if (before === undefined) return "has come";
		if (identityOf(stats) === before.identity) return "";
		if (before.hash === undefined)
			return plainIdentity(stats) === before.identity.split("|")[0] ? "" : "was replaced or changed";
		if ((await hashOf(path, stats)) === before.hash) {
			// Touched only.
			baselines.set(path, { ...before, identity: identityOf(stats) });
			return "";
		}
		return "was replaced or changed";
	};
	return async () => {
		const now = options.generation?.();
		if (!started || now !== generation) {
			started = true;
			generation = now;
			baselines.clear();
			suspects.clear();
			for (const path of options.paths()) {
				const stats = statOf(path);
				const hash = stats && (await hashOf(path, stats));
				baselines.set(path, stats && { identity: identityOf(stats), hash });
			}
			return [];
		}
		const found: { path: string; what: string }[] = [];
		let looked = 0;
		for (const path of [...baselines.keys()]) {
			const what = await changed(path);
			if (what !== "") found.push({ path, what });
			if (++looked % manyAtOnce === 0) await new Promise((resolve) => setImmediate(resolve));
		}
		const stand = found.filter(({ path }) => suspects.has(path));
		suspects = new Set(found.map(({ path }) => path));
		const more = stand.length - mostTold;
		const { severity, remedy } = options;
		const signs = stand
			.slice(0, mostTold)
			.map(({ path, what }): Sign => ({ key: `file ${path}`, severity, seen: `${path} ${what}`, remedy }));
		if (more > 0) {
			const seen = `${more} more files of the sensor were replaced, changed or removed`;
			signs.push({ key: "files more", severity, seen, remedy });
		}
		return signs;
	};
}

function statOf(path: string): BigIntStats | undefined {
	try {
		const stats = statSync(path, { bigint: true });
		return stats.isFile() ? stats : undefined;
	} catch {
		return undefined;
	}
}

function plainIdentity({ dev, ino, size, mtimeNs, mode, uid }: BigIntStats): string {
	return [dev, ino, size, mtimeNs, mode, uid].join(" ");
}

function identityOf(stats: BigIntStats): string {
	return `${plainIdentity(stats)}|${stats.ctimeNs}`;
}

async function hashOf(path: string, { size, mode, uid }: BigIntStats): Promise<string | undefined> {
	if (size > mostRead) return undefined;
	try {
		const content = await readFile(path);
		return createHash("sha256").update(`${mode} ${uid}\n`).update(content).digest("hex");
	} catch {
		return "";
	}
}

export interface GrowingFile {
	readonly path: string;
	readonly what: string;
	/** Only ever longer; rotated, so that what was in it lies beside it; written anew by the sensor itself. */
	readonly changes: "grows" | "rotates" | "rewritten";
}

/** Files that the sensor appends to: gone, or shorter than they were. Not there yet is all right. */
export function growingFiles(files: () => readonly GrowingFile[]): TamperCheck["look"] {
	const before = new Map<string, { readonly inode: string; readonly size: bigint }>();
	const remedy = "find out who did it; what was in it is still with whoever the sensor reports to";
	return () => {
		const signs: Sign[] = [];
		const sign = (path: string, seen: string): void => {
			signs.push({ key: `growing ${path}`, severity: "critical", seen, remedy });
		};
		for (const { path, what, changes } of files()) {
			const stats = statOf(path);
			const last = before.get(path);
			const kept = changes === "rotates" && hasOlder(path);
			if (last === undefined) {
				if (stats) before.set(path, { inode: inodeOf(stats), size: stats.size });
			} else if (stats === undefined) {
				if (!kept) sign(path, `${what} ${path} is gone`);
			} else if (changes !== "rewritten" && inodeOf(stats) !== last.inode && !kept) {
				sign(path, `${what} ${path} is another file now`);
			} else if (changes === "grows" && stats.size < last.size) {
				sign(path, `${what} ${path} was cut from ${last.size} to ${stats.size} bytes`);
			} else before.set(path, { inode: inodeOf(stats), size: stats.size });
		}
		return signs;
	};
}

/** The number alone is given out again at once. */
function inodeOf({ dev, ino, birthtimeNs }: BigIntStats): string {
	return `${dev} ${ino} ${birthtimeNs}`;
}

/** Rotated: beside it lies what it was, under its name with more behind it. */
function hasOlder(path: string): boolean {
	try {
		const own = basename(path);
		return readdirSync(dirname(path)).some((name) => name !== own && name.startsWith(own));
	} catch {
		return false;
	}
}

/** A socket or pid file: gone, or another one. */
export function keptInode(path: string, what: string, remedy: string): TamperCheck["look"] {
	const look = (): string | undefined => {
		try {
			return inodeOf(lstatSync(path, { bigint: true }));
		} catch {
			return undefined;
		}
	};
	let first: string | undefined;
	return () => {
		const now = look();
		first ??= now;
		if (first === undefined || now === first) return [];
		const seen = `${what} ${path} ${now === undefined ? "was removed" : "is another one now"}`;
		return [{ key: `inode ${path}`, severity: "high", seen, remedy }];
	};
}

/** Text of a small file in /proc or /sys; undefined when there is none. */
export function textOf(path: string): string | undefined {
	try {
		return readFileSync(path, "latin1").trim();
	} catch {
		return undefined;
	}
}
