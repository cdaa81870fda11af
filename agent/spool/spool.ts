// The spool as the sensor sees it: takes records without waiting, gives them to readers in order, and goes on in memory
// while the disk is away. Files are touched by its two threads only (worker.ts).
import type { Logger } from "pino";
import type { Spool, SpoolReader } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";
import { neutralise } from "../report/shown.ts";
import { formatUnixMs } from "../report/time.ts";
import type { Entry } from "./batch.ts";
import { createChanges } from "./changes.ts";
import { classOf, has, isUrgent } from "./classes.ts";
import { createLosses } from "./losses.ts";
import { createPlace, type ReaderPlace, storedOf } from "./place.ts";
import { createWaitingQueue } from "./queue.ts";
import { createReading } from "./reading.ts";
import { firstState, type Parts } from "./state.ts";
import { createTail } from "./tail.ts";
import { createWriting } from "./writing.ts";

export interface SpoolOptions {
	/** The database; beside it lie its log, `.mark`, and at most one `.damaged`. */
	readonly path: string;
	/** Of file and log together. */
	readonly maxBytes: number;
	/** What may wait in memory for a slow or absent disk; what does not fit is lost and told. */
	readonly memoryBytes?: number;
	readonly memoryRecords?: number;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
	/** Records went: `where` is "spool", or "quarantine:<reader>" for one that a destination could not take. */
	readonly gap: (gap: wire.Gap) => void;
}

const leastSpoolBytes = 4 * 1024 * 1024;

/**
 * Never throws and never refuses to start: what is wrong is in `status().problem` and in the log. Register readers in
 * the same turn: records are kept for readers that are known (from this run or from the file).
 */
export function createSpool(options: SpoolOptions): Spool {
	const { path, clock, logger } = options;
	const maxBytes = Math.max(leastSpoolBytes, options.maxBytes);
	const losses = createLosses(clock, options.gap);
	const queue = createWaitingQueue({
		maxRecords: options.memoryRecords ?? 50_000,
		maxBytes: options.memoryBytes ?? 16 * 1024 * 1024,
		lost: (entry) => {
			losses.add(entry.class, 1, entry.time, entry.time, false);
			for (const reader of readers.values()) reader.went(entry.class, entry.position, 1);
		},
	});
	const tail = createTail(4096, 2 * 1024 * 1024);
	const readers = new Map<string, ReaderPlace>();

	const changes = createChanges();
	const state = firstState();
	const parts: Parts = { path, state, queue, tail, readers, changes, losses, clock, logger };
	const writing = createWriting({
		...parts,
		maxBytes,
		onOpened(figures, unchecked) {
			reading.recount(figures);
			if (unchecked) reading.check();
		},
	});
	const reading = createReading({
		...parts,
		maxBytes,
		damaged(reason) {
			writing.repair(reason);
			writing.schedule();
		},
		due: writing.schedule,
	});

	function readerOf(place: ReaderPlace): SpoolReader {
		return {
			name: place.name,
			get acknowledged() {
				return place.acknowledged;
			},
			get backlog() {
				return place.backlog;
			},
			async read(after, maxRecords, maxBytes) {
				const entries = await reading.read(place, after, Math.max(1, maxRecords), maxBytes);
				// What waits on its way to the disk is not read yet.
				if (entries.length === 0 && state.everOpened && !state.away && after >= state.given)
					place.setBacklog(place.handed);
				place.handedOut(entries);
				return entries.map(storedOf);
			},
			onCommitted(listener) {
				place.listener = listener;
			},
			acknowledge(position) {
				const before = place.acknowledged;
				place.moveTo(Math.min(position, state.given));
				if (place.acknowledged === before) return;
				changes.moved(place);
				if (state.away) writing.dropUnwanted();
				writing.schedule();
			},
			quarantine(position, reason) {
				if (position <= place.acknowledged || position > state.given) return;
				place.setAside(position);
				const time = clock();
				const shown = neutralise(reason).slice(0, 500);
				changes.setAside({ reader: place.name, position, time, reason: shown });
				state.quarantined++;
				logger.error(
					{ reader: place.name, position, reason: shown },
					"a record was set aside: it is refused there",
				);
				const moment = formatUnixMs(time);
				options.gap({
					from: moment,
					to: moment,
					where: `quarantine:${place.name}`,
					lost: [{ class: "record", count: "1" }],
				});
				writing.schedule();
			},
		};
	}

	return {
		push({ bootId, sequence, kind, severity, payload }) {
			if (state.closed) return;
			const index = classOf(kind, severity);
			if (state.tried && ![...readers.values()].some(({ mask }) => has(mask, index))) return;
			const position = state.given === 0 ? 0 : ++state.given;
			const entry: Entry = { position, class: index, bootId, sequence, time: clock(), payload };
			for (const reader of readers.values()) if (has(reader.mask, index)) reader.added(entry);
			queue.push(entry);
			writing.pushed(isUrgent(index));
		},
		reader(name, filter) {
			let place = readers.get(name);
			if (place === undefined) {
				place = createPlace(name, undefined);
				if (state.tried && !state.placesLost) place.moveTo(state.given);
				readers.set(name, place);
			}
			place.register(filter);
			changes.moved(place);
			writing.schedule();
			return readerOf(place);
		},
		retain(names) {
			for (const name of [...readers.keys()]) {
				if (names.includes(name)) continue;
				const place = readers.get(name);
				if (place === undefined) continue;
				readers.delete(name);
				changes.forget(place);
			}
			writing.schedule();
		},
		status() {
			const { figures, problem } = writing;
			const onDisk = figures.counts.reduce((sum, count) => sum + count, 0);
			const oldest = figures.oldest > 0 && Number.isFinite(figures.oldest);
			return {
				records: String(onDisk + queue.waiting + state.flying.length),
				bytes: String(figures.bytes + queue.heldBytes),
				capacityBytes: String(maxBytes),
				dropped: losses.totals(),
				quarantined: String(state.quarantined),
				...(oldest ? { oldest: formatUnixMs(figures.oldest) } : {}),
				problem,
			};
		},
		flush: writing.flush,
		async close() {
			if (state.closed) return;
			losses.tell();
			losses.stop();
			await writing.finish();
			await Promise.all([writing.stop(), reading.stop()]);
		},
	};
}
