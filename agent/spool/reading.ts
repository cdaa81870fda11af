// The reading half: gives readers what lies behind a position, from memory where it is there, else from the disk.
import { setTimeout as delay } from "node:timers/promises";
import { type Entry, unpack } from "./batch.ts";
import type { Figures, FromReader, ToReader } from "./messages.ts";
import type { ReaderPlace } from "./place.ts";
import type { Parts } from "./state.ts";
import { createThread } from "./thread.ts";

export interface Reading {
	/** In order; waits for a disk that does not answer. Nothing when there is nothing, or once the spool is closed. */
	read(reader: ReaderPlace, after: number, maxRecords: number, maxBytes: number): Promise<Entry[]>;
	/** How much waits for each reader, from the tables; what comes meanwhile is counted as it comes. */
	recount(figures: Figures): void;
	/** Reads the whole file once, to find damage before it is met. */
	check(): void;
	stop(): Promise<void>;
}

export interface ReadingOptions extends Parts {
	readonly maxBytes: number;
	/** The file is found damaged. */
	readonly damaged: (reason: string) => void;
	/** There is something to tell the disk. */
	readonly due: () => void;
}

const readerIdleMs = 30_000;

export function createReading(options: ReadingOptions): Reading {
	const { path, state, queue, tail, readers, changes, losses, clock, logger, damaged, due } = options;
	const thread = createThread<ToReader, FromReader>({
		data: { role: "reader", path, maxBytes: options.maxBytes },
		farewell: { type: "stop" },
		idle: readerIdleMs,
	});
	const knownBroken = new Set<number>();

	function recount(figures: Figures): void {
		const all = [...readers.values()];
		const memory = queue.list();
		for (const reader of all) reader.setBacklog(memory.filter((entry) => reader.wants(entry)).length);
		if (figures.counts.every((count) => count === 0)) return;
		const places = all.map((reader) => reader.place());
		thread
			.ask({ type: "count", generation: state.generation, places })
			.then((answer) => {
				if (answer.type !== "counts") return;
				all.forEach((reader, index) => {
					// Acknowledged meanwhile: an estimate that the next empty read corrects.
					reader.setBacklog(reader.backlog + (answer.counts[index] ?? 0));
				});
			})
			.catch(() => undefined);
	}
	function check(): void {
		thread
			.ask({ type: "check", generation: state.generation })
			.then((answer) => {
				if (answer.type === "failed" && answer.damage) damaged(answer.reason);
			})
			.catch(() => undefined);
	}
	function memory(reader: ReaderPlace, after: number, maxRecords: number, maxBytes: number): Entry[] {
		const found: Entry[] = [];
		let bytes = 0;
		const take = (entry: Entry): boolean => {
			if (entry.position <= after || !reader.wants(entry)) return true;
			bytes += entry.payload.length;
			if (found.length >= maxRecords || (found.length > 0 && bytes > maxBytes)) return false;
			found.push(entry);
			return true;
		};
		for (const entry of tail.read(after, reader.mask)) if (!take(entry)) return found;
		if (!state.away) return found;
		for (const entry of state.flying) if (!take(entry)) return found;
		const left = maxRecords - found.length;
		if (left > 0) {
			const wants = (entry: Entry): boolean => entry.position > after && reader.wants(entry);
			for (const entry of queue.peek(wants, left, maxBytes)) if (!take(entry)) break;
		}
		if (!state.everOpened && found.length > 0) state.served = true;
		return found;
	}
	async function read(
		reader: ReaderPlace,
		after: number,
		maxRecords: number,
		maxBytes: number,
	): Promise<Entry[]> {
		for (let from = Math.max(after, reader.acknowledged); !state.closed; ) {
			if (!state.tried) {
				await delay(5);
				continue;
			}
			if (!state.everOpened || from >= tail.floor) return memory(reader, from, maxRecords, maxBytes);
			const { floor } = tail;
			const asked = state.generation;
			const answer = await thread
				.ask({
					type: "read",
					generation: asked,
					after: from,
					mask: reader.mask,
					maxRecords,
					maxBytes,
				})
				.catch((): FromReader => ({ type: "failed", reason: "the reader ended", damage: false }));
			if (answer.type === "records") {
				noteBroken(answer.broken);
				const entries = unpack(answer.batch);
				const fresh = entries.filter((entry) => reader.wants(entry));
				if (fresh.length > 0) return fresh;
				// Nothing for it on the disk up to where memory begins, or only what it has set aside.
				from = entries.at(-1)?.position ?? Math.max(from, floor);
				continue;
			}
			if (answer.type === "failed" && answer.damage && asked === state.generation && state.damage === "") {
				damaged(answer.reason);
			}
			// What lies on the disk comes first; until it can be read again there is nothing to give.
			await delay(200);
		}
		return [];
	}
	function noteBroken(rows: readonly (readonly [number, number])[]): void {
		for (const [index, position] of rows) {
			// Read again before it is deleted it is not lost again.
			if (knownBroken.has(position)) continue;
			if (knownBroken.size >= 10_000) knownBroken.clear();
			knownBroken.add(position);
			changes.broken(index, position);
			const now = clock();
			losses.add(index, 1, now, now, false);
			logger.warn({ position }, "a record in the spool was damaged and is lost");
		}
		if (rows.length > 0) due();
	}

	return { read, recount, check, stop: () => thread.stop(1000) };
}
