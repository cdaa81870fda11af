// A spool with a known content, and which of its bytes each record lies on: found by the records' own text in the files,
// not by the code under test.
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import type { Entry } from "../../agent/spool/batch.ts";
import { pack } from "../../agent/spool/batch.ts";
import { classes } from "../../agent/spool/classes.ts";
import { openSpool } from "../../agent/spool/open.ts";
import { createStore } from "../../agent/spool/store.ts";

export const pageBytes = 4096;
export const spoolBytes = 64 * 1024 * 1024;
export const suffixes = ["", "-wal"] as const;

export interface Base {
	/** Copies lie at `path` and `path`-wal. */
	readonly path: string;
	readonly files: Readonly<Record<string, Buffer>>;
	readonly entries: ReadonlyMap<number, Entry>;
	/** Records up to here were acknowledged by the only reader. */
	readonly acknowledged: number;
	/** Of each record not acknowledged, all pages ("suffix:number") that hold anything of it. */
	readonly pages: ReadonlyMap<number, ReadonlySet<string>>;
}

function textOf(position: number): string {
	return `<${String(position).slice(-14).padStart(14, "0")}>`;
}

/** Every 16 bytes name their record, so that every page it lies on is found. */
export function payloadOf(position: number, size: number): Buffer {
	return Buffer.alloc(size, textOf(position));
}

export interface BaseShape {
	readonly records: number;
	/** Some records that do not fit on one page. */
	readonly long: boolean;
	/** The newest commits are in the log only, as after a kill. */
	readonly log: boolean;
	readonly acknowledged: number;
}

export function makeBase(folder: string, name: string, shape: BaseShape): Base {
	const live = `${folder}/${name}.live`;
	const path = `${folder}/${name}.db`;
	const opened = openSpool({ path: live, maxBytes: spoolBytes, now: Date.now(), given: 0, damage: "" });
	const store = createStore(live, opened, spoolBytes);
	// Nothing here is about power cuts.
	opened.db.exec("PRAGMA synchronous = OFF");
	const entries = new Map<number, Entry>();
	let acknowledged = 0;
	const nothing = { places: [], quarantined: [], told: [], broken: [] };
	for (let group = 0; group * 20 < shape.records; group++) {
		const batch: Entry[] = Array.from({ length: 20 }, (_, index) => {
			const sequence = group * 20 + index;
			const position = opened.first + sequence;
			const size = shape.long && sequence % 9 === 0 ? 5000 + sequence * 7 : 60 + ((sequence * 37) % 700);
			const bootId = "8a6e2f0c-0000-4000-8000-00000000000b";
			const time = 1_700_000_000_000 + sequence;
			const payload = payloadOf(position, size);
			return { position, class: (sequence * 5) % classes.length, bootId, sequence, time, payload };
		});
		for (const entry of batch) entries.set(entry.position, entry);
		if (group * 20 <= shape.acknowledged) acknowledged = opened.first + group * 20 - 1;
		const place = { name: "a", mask: 2 ** classes.length - 1, acknowledged };
		store.commit({ type: "commit", batch: pack(batch), ...nothing, places: [place] });
		while (store.tidy());
		if (!shape.log && group % 3 === 0) opened.db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
	}
	if (!shape.log) store.close();
	for (const suffix of suffixes) {
		if (existsSync(`${live}${suffix}`)) copyFileSync(`${live}${suffix}`, `${path}${suffix}`);
	}
	copyFileSync(`${live}.mark`, `${path}.mark`);
	if (shape.log) store.close();
	const files = Object.fromEntries(
		suffixes.flatMap((suffix) =>
			existsSync(`${path}${suffix}`) ? [[suffix, readFileSync(`${path}${suffix}`)]] : [],
		),
	);
	const pages = new Map<number, ReadonlySet<string>>();
	for (const { position, payload } of entries.values()) {
		if (position > acknowledged) pages.set(position, pagesOf(files, position, payload.length));
	}
	return { path, files, entries, acknowledged, pages };
}

/**
 * Frames of transactions whose last frame, which commits them, is no longer what was written, as pages. When such a log
 * ends there it is to the byte what a kill in the middle of a commit leaves, and SQLite reads it as that: the transaction
 * was never committed, and none of its frames counts.
 */
export function uncommitted(before: Buffer | undefined, after: Buffer | undefined): Set<string> {
	const pages = new Set<string>();
	const stride = pageBytes + 24;
	let begins = 0;
	for (let frame = 0; before !== undefined && 32 + (frame + 1) * stride <= before.length; frame++) {
		const at = 32 + frame * stride;
		// The size of the file after the commit; 0 in all other frames.
		if (before.readUInt32BE(at + 4) === 0) continue;
		const same = after?.subarray(at, at + stride).equals(before.subarray(at, at + stride)) ?? false;
		for (let each = begins; !same && each <= frame; each++) pages.add(`-wal:${each}`);
		begins = frame + 1;
	}
	return pages;
}

/** The page a byte lies on, "" for a header of the log. */
export function pageAt(suffix: string, offset: number): string {
	if (suffix === "") return `:${Math.floor(offset / pageBytes)}`;
	const frame = Math.floor((offset - 32) / (pageBytes + 24));
	return offset < 32 || (offset - 32) % (pageBytes + 24) < 24 ? `-wal:header` : `-wal:${frame}`;
}

function pagesOf(
	files: Readonly<Record<string, Buffer>>,
	position: number,
	size: number,
): ReadonlySet<string> {
	const text = textOf(position);
	const found = new Set<string>();
	for (const [suffix, bytes] of Object.entries(files)) {
		for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 16)) {
			found.add(pageAt(suffix, at));
		}
	}
	// Old copies stay where a page was rearranged, and only SQLite knows which one counts: none may be touched.
	const long = size > 2000 ? ["-wal:header"] : [];
	return new Set([...found, ...long]);
}
