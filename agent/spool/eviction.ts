// Keeps the spool within its bounds: what goes first is the oldest of the lowest lane, a tenth is kept free of
// telemetry for alerts and what tells of acts, and nothing goes for something that weighs less.
import type { DatabaseSync } from "node:sqlite";
import type { Entry } from "./batch.ts";
import { classAt, classes, lanes } from "./classes.ts";
import { logBudget, pageBytes } from "./database.ts";
import type { Evicted } from "./messages.ts";

export interface Eviction {
	/** Deletes what has to go for these; within the caller's transaction. `refused` are classes without room. */
	makeRoom(entries: readonly Entry[]): { evicted: Evicted[]; refused: number[] };
}

/** What a row takes besides its payload, bytes: its columns, its cell, its share of the tree. */
const rowOverhead = 96;
const rowsAtOnce = 500;

export function createEviction(db: DatabaseSync, maxBytes: number, counts: number[]): Eviction {
	const budget = maxBytes - logBudget(maxBytes);
	const telemetryBudget = Math.floor(budget * 0.9);
	const pages = db.prepare("PRAGMA page_count");
	const free = db.prepare("PRAGMA freelist_count");
	const heads = classes.map(({ table }) =>
		db.prepare(
			`SELECT position, time, length(payload) AS size FROM ${table} ORDER BY position LIMIT ${rowsAtOnce}`,
		),
	);
	const deletion = classes.map(({ table }) => db.prepare(`DELETE FROM ${table} WHERE position <= ?`));
	const note = db.prepare(
		`INSERT INTO losses(class, count, first, last) VALUES (?, ?, ?, ?) ON CONFLICT(class)
		DO UPDATE SET count = count + excluded.count, first = min(first, excluded.first), last = max(last, excluded.last)`,
	);
	const used = (): number =>
		(Number(pages.get()?.page_count) - Number(free.get()?.freelist_count)) * pageBytes;

	/** Deletes the oldest of a lane, at least `wanted` bytes if there are so many; returns how many it came to. */
	function evict(lane: number, wanted: number, evicted: Evicted[]): number {
		let freed = 0;
		while (freed < wanted) {
			// Kinds of one lane have tables of their own: the one whose oldest is older goes first.
			const candidates = classes
				.map((_, index) => index)
				.filter((index) => classAt(index).lane === lane && (counts[index] ?? 0) > 0)
				.map((index) => ({ index, rows: heads[index]?.all() ?? [] }))
				.filter(({ rows }) => rows.length > 0)
				.sort((a, b) => Number(a.rows[0]?.position) - Number(b.rows[0]?.position));
			const [oldest, other] = candidates;
			if (oldest === undefined) return freed;
			const until = Number(other?.rows[0]?.position ?? Number.POSITIVE_INFINITY);
			let count = 0;
			let upTo = 0;
			let first = Number.POSITIVE_INFINITY;
			let last = 0;
			for (const row of oldest.rows) {
				if (freed >= wanted || Number(row.position) > until) break;
				freed += Number(row.size) + rowOverhead;
				upTo = Number(row.position);
				first = Math.min(first, Number(row.time));
				last = Math.max(last, Number(row.time));
				count++;
			}
			deletion[oldest.index]?.run(upTo);
			counts[oldest.index] = (counts[oldest.index] ?? 0) - count;
			note.run(oldest.index, count, first, last);
			evicted.push({ class: oldest.index, upTo, count, first, last });
		}
		return freed;
	}

	return {
		makeRoom(entries) {
			const evicted: Evicted[] = [];
			const refused: number[] = [];
			const wanted = Array.from({ length: lanes }, () => 0);
			for (const entry of entries) {
				const { lane } = classAt(entry.class);
				wanted[lane] = (wanted[lane] ?? 0) + entry.payload.length + rowOverhead;
			}
			let taken = used();
			// What weighs most gets its room first.
			for (let lane = lanes - 1; lane >= 0; lane--) {
				const bytes = wanted[lane] ?? 0;
				if (bytes === 0) continue;
				const most = lane === 0 ? telemetryBudget : budget;
				for (let from = 0; from <= lane && taken + bytes > most; from++) {
					// Some more than needed: single rows free no page.
					taken -= evict(from, taken + bytes - most + Math.floor(budget / 64), evicted);
				}
				if (taken + bytes <= most) taken += bytes;
				else refused.push(...refuse(entries, lane, evicted));
			}
			return { evicted, refused };
		},
	};

	function refuse(entries: readonly Entry[], lane: number, evicted: Evicted[]): number[] {
		const found = classes.map((_, index) => index).filter((index) => classAt(index).lane === lane);
		for (const index of found) {
			const times = entries.filter((entry) => entry.class === index).map(({ time }) => time);
			if (times.length === 0) continue;
			const first = Math.min(...times);
			const last = Math.max(...times);
			note.run(index, times.length, first, last);
			evicted.push({ class: index, upTo: 0, count: times.length, first, last });
		}
		return found;
	}
}
