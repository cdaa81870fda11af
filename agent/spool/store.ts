// What the writer does with an open spool: commits, evictions, places. Every call is one transaction and leaves the file
// as it was when it throws.
import { statSync } from "node:fs";
import { type Entry, unpack } from "./batch.ts";
import { classAt, classes, has } from "./classes.ts";
import { insertEntry, type Place, placeChecksum, readerMark } from "./database.ts";
import { createEviction } from "./eviction.ts";
import { marked, writeMark } from "./mark.ts";
import type { Evicted, Figures, Quarantined, ToWriter } from "./messages.ts";
import type { Opened } from "./open.ts";
import { renumber } from "./renumber.ts";

export interface Store {
	commit(request: Extract<ToWriter, { type: "commit" }>): { evicted: Evicted[]; refused: number[] };
	forget(names: readonly string[]): void;
	/** Deletes some of what no reader wants any more, gives pages back; true when there is more of it. */
	tidy(): boolean;
	/** Moves all records behind everything that was given; the first free position after them. */
	moveBehind(first: number): number;
	untold(): Evicted[];
	quarantined(): Quarantined[];
	figures(tidying: boolean): Figures;
	close(): void;
}

/** Rows deleted in one transaction, so that no commit has to wait for long. */
const tidiedAtOnce = 4000;
/** Quarantined records are for people to look at: the newest of them. */
const keptInQuarantine = 1000;
const quarantinedPayload = 64 * 1024;

export function createStore(path: string, opened: Opened, maxBytes: number): Store {
	const { db } = opened;
	let { limit } = opened;
	const places = new Map(opened.places.map((place) => [place.name, place]));
	const counts = classes.map(({ table }) =>
		Number(db.prepare(`SELECT count(*) AS records FROM ${table}`).get()?.records),
	);
	const insert = insertEntry(db);
	const eviction = createEviction(db, maxBytes, counts);
	const oldest = classes.map(({ table }) =>
		db.prepare(`SELECT time FROM ${table} ORDER BY position LIMIT 1`),
	);
	const deletion = classes.map(({ table }) =>
		db.prepare(
			`DELETE FROM ${table} WHERE position IN (SELECT position FROM ${table} WHERE position <= ? ORDER BY position LIMIT ${tidiedAtOnce})`,
		),
	);
	const setPlace = db.prepare(
		"UPDATE readers SET mask = ?, acknowledged = ?, checksum = ? WHERE name = ? RETURNING id",
	);
	const addPlace = db.prepare(
		"INSERT INTO readers(mark, name, mask, acknowledged, checksum) VALUES (?, ?, ?, ?, ?)",
	);

	function transaction(work: () => void): void {
		const before = [...counts];
		db.exec("BEGIN IMMEDIATE");
		try {
			work();
			db.exec("COMMIT");
		} catch (error) {
			counts.splice(0, counts.length, ...before);
			try {
				db.exec("ROLLBACK");
			} catch {
				// SQLite has rolled back by itself after some errors.
			}
			throw error;
		}
	}
	function move(place: Place): void {
		const known = places.get(place.name);
		const moved = { ...place, acknowledged: Math.max(place.acknowledged, known?.acknowledged ?? 0) };
		const { name, mask, acknowledged } = moved;
		const sum = placeChecksum(moved);
		if (setPlace.get(mask, acknowledged, sum, name) === undefined) {
			addPlace.run(readerMark, name, mask, acknowledged, sum);
		}
		places.set(name, moved);
	}
	/** Up to where all readers that want the class have it. */
	function done(index: number): number {
		const wanting = [...places.values()].filter(({ mask }) => has(mask, index));
		return wanting.length === 0
			? Number.MAX_SAFE_INTEGER
			: Math.min(...wanting.map(({ acknowledged }) => acknowledged));
	}
	function keepQuarantined(each: Quarantined): void {
		const { reader, position, time, reason } = each;
		const row = classes
			.map(({ table }) => db.prepare(`SELECT * FROM ${table} WHERE position = ?`).get(position))
			.find((found) => found !== undefined);
		const payload = row?.payload instanceof Uint8Array ? row.payload.subarray(0, quarantinedPayload) : null;
		db.prepare(
			"INSERT INTO quarantined(reader, position, time, reason, class, boot, sequence, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		).run(
			reader,
			position,
			time,
			reason,
			row?.class ?? null,
			row?.boot ?? null,
			row?.sequence ?? null,
			payload,
		);
		db.prepare("DELETE FROM quarantined WHERE id <= (SELECT max(id) FROM quarantined) - ?").run(
			keptInQuarantine,
		);
	}

	return {
		commit({ batch, places: moved, quarantined, told, broken }) {
			const entries: Entry[] = unpack(batch);
			const last = entries.at(-1)?.position ?? 0;
			if (last > limit - marked / 2) {
				limit = last + marked;
				writeMark(path, limit);
			}
			let outcome: { evicted: Evicted[]; refused: number[] } = { evicted: [], refused: [] };
			transaction(() => {
				for (const place of moved) move(place);
				outcome = eviction.makeRoom(entries);
				for (const entry of entries) {
					if (outcome.refused.includes(entry.class)) continue;
					insert(entry);
					counts[entry.class] = (counts[entry.class] ?? 0) + 1;
				}
				for (const each of quarantined) keepQuarantined(each);
				for (const [index, count] of told) {
					db.prepare("UPDATE losses SET count = count - ? WHERE class = ?").run(count, index);
				}
				if (told.length > 0) db.exec("DELETE FROM losses WHERE count <= 0");
				for (const [index, position] of broken) {
					const { changes } = db
						.prepare(`DELETE FROM ${classAt(index).table} WHERE position = ?`)
						.run(position);
					counts[index] = (counts[index] ?? 0) - Number(changes);
				}
			});
			return outcome;
		},
		forget(names) {
			if (names.length === 0) return;
			transaction(() => {
				for (const name of names) db.prepare("DELETE FROM readers WHERE name = ?").run(name);
			});
			for (const name of names) places.delete(name);
		},
		tidy() {
			let more = false;
			transaction(() => {
				deletion.forEach((statement, index) => {
					if (counts[index] === 0) return;
					const changes = Number(statement.run(done(index)).changes);
					counts[index] = (counts[index] ?? 0) - changes;
					if (changes === tidiedAtOnce) more = true;
				});
			});
			const free = Number(db.prepare("PRAGMA freelist_count").get()?.freelist_count);
			// Some free pages stay for what comes next; giving back costs moving pages.
			if (!more && free > 2048) {
				db.prepare("PRAGMA incremental_vacuum(512)").all();
				return true;
			}
			return more;
		},
		moveBehind(first) {
			let next = first;
			transaction(() => {
				next = renumber(db, first);
			});
			return next;
		},
		untold: () =>
			db
				.prepare("SELECT class, count, first, last FROM losses")
				.all()
				.filter((row) => classes[Number(row.class)] !== undefined)
				.map((row) => ({
					class: Number(row.class),
					upTo: 0,
					count: Number(row.count),
					first: Number(row.first),
					last: Number(row.last),
				})),
		quarantined: () =>
			db
				.prepare("SELECT reader, position, time, reason FROM quarantined")
				.all()
				.map((row) => ({
					reader: String(row.reader),
					position: Number(row.position),
					time: Number(row.time),
					reason: String(row.reason),
				})),
		figures: (tidying) => ({
			tidying,
			counts: [...counts],
			bytes: sizeOf(path) + sizeOf(`${path}-wal`),
			oldest: Math.min(
				...oldest.flatMap((statement, i) =>
					counts[i] === 0 ? [] : [Number(statement.get()?.time ?? Number.POSITIVE_INFINITY)],
				),
			),
		}),
		close() {
			db.close();
		},
	};
}

function sizeOf(file: string): number {
	return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}
