// The spool as the sensor sees it: takes records without waiting, gives them to readers in order, and goes on in memory
// while the disk is away. Files are touched by its two threads only (worker.ts).
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Spool, SpoolReader } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";
import { neutralise } from "../report/shown.ts";
import { formatUnixMs } from "../report/time.ts";
import { type Entry, pack, transferables, unpack } from "./batch.ts";
import { classOf, has, isUrgent } from "./classes.ts";
import { createLosses } from "./losses.ts";
import type { Figures, FromReader, FromWriter, Quarantined, ToReader, ToWriter } from "./messages.ts";
import { createPlace, type ReaderPlace, storedOf } from "./place.ts";
import { createWaitingQueue } from "./queue.ts";
import { createTail } from "./tail.ts";
import { createThread } from "./thread.ts";

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

export const defaultSpoolBytes = 512 * 1024 * 1024;
export const leastSpoolBytes = 4 * 1024 * 1024;

/** The longest that telemetry waits for company, ms. */
const groupMs = 200;
const batchRecords = 8192;
const batchBytes = 4 * 1024 * 1024;
/** So much does not wait for more. */
const fullGroup = { records: 2000, bytes: 512 * 1024 };
/** A file that is found damaged again sooner is tried again like a full disk, ms. */
const repairSpacing = 10_000;
/** What is acknowledged is deleted beside the commits; how many are left is asked after that, ms. */
const refreshMs = 500;
const retryMs = { first: 500, most: 30_000 };
const readerIdleMs = 30_000;
/** How long the end of the sensor waits for the disk, ms. */
const closePatience = 4000;
/** A commit that takes longer is a problem worth telling, ms. */
const slowMs = 10_000;

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
	const writer = createThread<ToWriter, FromWriter>({
		data: { role: "writer", path, maxBytes },
		farewell: { type: "stop" },
		idle: 0,
	});
	const reading = createThread<ToReader, FromReader>({
		data: { role: "reader", path, maxBytes },
		farewell: { type: "stop" },
		idle: readerIdleMs,
	});
	const readers = new Map<string, ReaderPlace>();

	/** The newest position given; 0 until the first ones are known. */
	let given = 0;
	let open = false;
	let everOpened = false;
	/** The file was tried once, whatever came of it. */
	let tried = false;
	/** Records are handed out from memory since the disk takes none. */
	let away = false;
	/** Some were, before the file was ever opened. */
	let served = false;
	let damage = "";
	let placesLost = false;
	let generation = 0;
	let figures: Figures = { counts: [], bytes: 0, oldest: 0, tidying: false };
	let quarantinedTotal = 0;

	let busy = false;
	let busySince = 0;
	let lastRepair = Number.NEGATIVE_INFINITY;
	let flying: readonly Entry[] = [];
	let urgent = false;
	let timer: NodeJS.Timeout | undefined;
	let immediate: NodeJS.Immediate | undefined;
	let retry: NodeJS.Timeout | undefined;
	let retryDelay = retryMs.first;
	let problem = "";
	let closed = false;
	let announced = 0;
	const moved = new Set<ReaderPlace>();
	let quarantines: Quarantined[] = [];
	let broken: [number, number][] = [];
	const knownBroken = new Set<number>();
	let forgotten: string[] = [];
	let told: [number, number][] = [];
	/** The writer has deleted records since it last said how many there are. */
	let stale = false;
	let refresh: NodeJS.Timeout | undefined;
	let settled: (() => void)[] = [];

	function setProblem(text: string): void {
		const shown = neutralise(text);
		if (shown === problem) return;
		if (shown !== "") logger.error({ problem: shown }, "the spool keeps records in memory only");
		else logger.info("the spool keeps records on the disk again");
		problem = shown;
	}
	const wanted = (entry: Entry): boolean => {
		for (const reader of readers.values()) if (reader.wants(entry)) return true;
		return false;
	};

	/** Sends what is due to the writer, one request at a time. */
	function pump(): void {
		if (closed || busy || retry !== undefined) return;
		if (!open) {
			ask({ type: "open", given, served, damage }, [], opened);
			return;
		}
		clearTimeout(timer);
		timer = undefined;
		if (forgotten.length > 0 || stale) {
			const names = forgotten;
			forgotten = [];
			stale = false;
			ask({ type: "forget", names }, [], done);
			return;
		}
		const changes = moved.size + quarantines.length + broken.length;
		if (queue.waiting === 0 && changes === 0 && told.length === 0) {
			settle();
			return;
		}
		flying = queue.take(batchRecords, batchBytes);
		urgent = queue.waiting > 0 && urgent;
		told.push(...losses.takeTold());
		const batch = pack(flying);
		const request: Extract<ToWriter, { type: "commit" }> = {
			type: "commit",
			batch,
			places: [...moved].map((reader) => reader.place()),
			quarantined: quarantines,
			// Their gap is on the disk with this batch, not with one before.
			told: queue.waiting === 0 ? told : [],
			broken,
		};
		const places = [...moved];
		moved.clear();
		quarantines = [];
		broken = [];
		if (queue.waiting === 0) told = [];
		ask(request, transferables(batch), (answer) => {
			if (answer.type === "committed") {
				committed(answer);
				if (figures.tidying) refreshLater();
				return;
			}
			queue.putBack(flying);
			flying = [];
			for (const reader of places) moved.add(reader);
			quarantines.unshift(...request.quarantined);
			broken.unshift(...request.broken.map(([index, position]): [number, number] => [index, position]));
			told.unshift(...request.told.map(([index, count]): [number, number] => [index, count]));
			failed(answer);
		});
	}
	function ask(
		request: ToWriter,
		transfer: readonly ArrayBuffer[],
		then: (answer: FromWriter) => void,
	): void {
		busy = true;
		busySince = clock();
		writer
			.ask(request, transfer)
			.catch((error: unknown): FromWriter => {
				open = false;
				return {
					type: "failed",
					reason: error instanceof Error ? error.message : String(error),
					damage: false,
				};
			})
			.then((answer) => {
				busy = false;
				then(answer);
				schedule();
			})
			.catch((error: unknown) => {
				logger.error(
					{ error: error instanceof Error ? error.message : String(error) },
					"spool listener failed",
				);
				schedule();
			});
	}
	function failed(answer: FromWriter): void {
		tried = true;
		const reason = answer.type === "failed" ? answer.reason : "the writer gave another answer than asked for";
		if (answer.type === "failed" && answer.damage && damage === "" && clock() - lastRepair > repairSpacing) {
			repair(reason);
			return;
		}
		// A file that was just mended and is damaged again is tried later, like a full disk.
		if (answer.type === "failed" && answer.damage) {
			open = false;
			damage = reason;
		}
		setProblem(`${path}: ${reason}; trying again`);
		away = true;
		if (given === 0) number(Math.floor(clock() * 1000));
		announce([...flying, ...waiting()]);
		settle();
		if (closed) return;
		retry = setTimeout(() => {
			retry = undefined;
			pump();
		}, retryDelay);
		retryDelay = Math.min(retryMs.most, retryDelay * 2);
	}
	function repair(reason: string): void {
		open = false;
		damage = reason;
		lastRepair = clock();
	}
	function number(first: number): void {
		given = first - 1;
		queue.each((entry) => {
			entry.position = ++given;
		});
	}
	function waiting(): Entry[] {
		const entries: Entry[] = [];
		queue.each((entry) => entries.push(entry));
		return entries;
	}
	function opened(answer: FromWriter): void {
		if (answer.type !== "opened") {
			failed(answer);
			return;
		}
		const again = everOpened;
		tried = true;
		open = true;
		everOpened = true;
		away = false;
		damage = "";
		generation++;
		retryDelay = retryMs.first;
		figures = answer.figures;
		setProblem("");
		if (!again && !served) number(answer.first);
		else given = Math.max(given, answer.first - 1);
		if (!again) {
			tail.reset(answer.first - 1);
			quarantinedTotal = answer.quarantined.length;
			for (const each of answer.untold) losses.add(each.class, each.count, each.first, each.last, true);
		}
		placesLost ||= answer.damaged;
		takePlaces(answer, again);
		queue.retain(wanted);
		for (const text of answer.problems) logger.warn({ problem: neutralise(text) }, "spool found damaged");
		if (answer.damaged) losses.addUnknown(answer.broken, clock());
		recount();
		if (answer.unchecked) check();
		for (const reader of readers.values()) reader.listener?.([]);
	}
	function takePlaces(answer: Extract<FromWriter, { type: "opened" }>, again: boolean): void {
		const known = new Map(answer.places.map((place) => [place.name, place]));
		for (const place of answer.places) {
			const reader = readers.get(place.name);
			if (reader === undefined) readers.set(place.name, createPlace(place.name, place));
			else if (!served) reader.moveTo(place.acknowledged);
		}
		for (const { reader, position } of answer.quarantined) readers.get(reader)?.setAside(position);
		for (const reader of readers.values()) {
			if (!reader.registered) continue;
			// One that is new begins with what came since the start; one whose place was lost, with all that is there.
			if (!known.has(reader.name) && !again && !answer.damaged && !served) reader.moveTo(answer.first - 1);
			moved.add(reader);
		}
	}
	/** How much waits for each, from the tables; what came meanwhile is counted as it comes. */
	function recount(): void {
		const all = [...readers.values()];
		const memory = waiting();
		for (const reader of all) reader.setBacklog(memory.filter((entry) => reader.wants(entry)).length);
		if (figures.counts.every((count) => count === 0)) return;
		const places = all.map((reader) => reader.place());
		reading
			.ask({ type: "count", generation, places })
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
		reading
			.ask({ type: "check", generation })
			.then((answer) => {
				if (answer.type === "failed" && answer.damage) {
					repair(answer.reason);
					schedule();
				}
			})
			.catch(() => undefined);
	}
	function done(answer: FromWriter): void {
		if (answer.type !== "committed") {
			failed(answer);
			return;
		}
		figures = answer.figures;
		if (figures.tidying) refreshLater();
	}
	function refreshLater(): void {
		refresh ??= setTimeout(() => {
			refresh = undefined;
			stale = true;
			pump();
		}, refreshMs).unref();
	}
	function committed(answer: Extract<FromWriter, { type: "committed" }>): void {
		const kept = flying.filter((entry) => !answer.refused.includes(entry.class));
		queue.release(flying);
		flying = [];
		figures = answer.figures;
		away = false;
		damage = "";
		retryDelay = retryMs.first;
		setProblem("");
		tail.add(kept);
		for (const each of answer.evicted) {
			losses.add(each.class, each.count, each.first, each.last, true);
			if (each.upTo > 0) tail.evict(each.class, each.upTo);
			for (const reader of readers.values()) reader.went(each.class, each.upTo || given, each.count);
		}
		announce(kept);
		if (queue.waiting === 0) settle();
	}
	/** Tells readers of records that can be read now, each once. */
	function announce(entries: readonly Entry[]): void {
		const fresh = entries.filter(({ position }) => position > announced);
		announced = fresh.at(-1)?.position ?? announced;
		if (fresh.length === 0) return;
		for (const reader of readers.values()) {
			if (reader.listener === undefined) continue;
			const records = fresh.filter((entry) => reader.wants(entry)).map(storedOf);
			if (records.length > 0) reader.listener(records);
		}
	}
	function settle(): void {
		const all = settled;
		settled = [];
		for (const resolve of all) resolve();
	}
	function schedule(): void {
		if (busy || retry !== undefined) return;
		const full = queue.waiting >= fullGroup.records || queue.waitingBytes >= fullGroup.bytes;
		if (!open || urgent || full || settled.length > 0) {
			// What arrives in the same turn goes along.
			immediate ??= setImmediate(() => {
				immediate = undefined;
				pump();
			});
			return;
		}
		if (queue.waiting + moved.size + quarantines.length + broken.length + forgotten.length === 0 && !stale)
			return;
		timer ??= setTimeout(pump, groupMs);
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
		if (!away) return found;
		for (const entry of flying) if (!take(entry)) return found;
		const left = maxRecords - found.length;
		if (left > 0) {
			const wants = (entry: Entry): boolean => entry.position > after && reader.wants(entry);
			for (const entry of queue.peek(wants, left, maxBytes)) if (!take(entry)) break;
		}
		if (!everOpened && found.length > 0) served = true;
		return found;
	}
	async function read(
		reader: ReaderPlace,
		after: number,
		maxRecords: number,
		maxBytes: number,
	): Promise<Entry[]> {
		for (let from = Math.max(after, reader.acknowledged); !closed; ) {
			if (!tried) {
				await delay(5);
				continue;
			}
			if (!everOpened || from >= tail.floor) return memory(reader, from, maxRecords, maxBytes);
			const { floor } = tail;
			const asked = generation;
			const answer = await reading
				.ask({ type: "read", generation, after: from, mask: reader.mask, maxRecords, maxBytes })
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
			if (answer.type === "failed" && answer.damage && asked === generation && damage === "") {
				repair(answer.reason);
				schedule();
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
			broken.push([index, position]);
			const now = clock();
			losses.add(index, 1, now, now, false);
			logger.warn({ position }, "a record in the spool was damaged and is lost");
		}
		if (rows.length > 0) schedule();
	}
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
				const entries = await read(place, after, Math.max(1, maxRecords), maxBytes);
				// What waits on its way to the disk is not read yet.
				if (entries.length === 0 && everOpened && !away && after >= given) place.setBacklog(place.handed);
				place.handedOut(entries);
				return entries.map(storedOf);
			},
			onCommitted(listener) {
				place.listener = listener;
			},
			acknowledge(position) {
				const before = place.acknowledged;
				place.moveTo(Math.min(position, given));
				if (place.acknowledged === before) return;
				moved.add(place);
				if (away) queue.retain(wanted);
				schedule();
			},
			quarantine(position, reason) {
				if (position <= place.acknowledged || position > given) return;
				place.setAside(position);
				const time = clock();
				const shown = neutralise(reason).slice(0, 500);
				quarantines.push({ reader: place.name, position, time, reason: shown });
				quarantinedTotal++;
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
				schedule();
			},
		};
	}

	pump();
	return {
		push({ bootId, sequence, kind, severity, payload }) {
			if (closed) return;
			const index = classOf(kind, severity);
			if (tried && ![...readers.values()].some(({ mask }) => has(mask, index))) return;
			const position = given === 0 ? 0 : ++given;
			const entry: Entry = { position, class: index, bootId, sequence, time: clock(), payload };
			for (const reader of readers.values()) if (has(reader.mask, index)) reader.added(entry);
			queue.push(entry);
			urgent ||= isUrgent(index);
			if (away) immediate ??= setImmediate(serve);
			else schedule();
		},
		reader(name, filter) {
			let place = readers.get(name);
			if (place === undefined) {
				place = createPlace(name, undefined);
				if (tried && !placesLost) place.moveTo(given);
				readers.set(name, place);
			}
			place.register(filter);
			moved.add(place);
			schedule();
			return readerOf(place);
		},
		retain(names) {
			for (const name of [...readers.keys()]) {
				if (names.includes(name)) continue;
				const place = readers.get(name);
				if (place !== undefined) moved.delete(place);
				readers.delete(name);
				forgotten.push(name);
			}
			schedule();
		},
		status() {
			const onDisk = figures.counts.reduce((sum, count) => sum + count, 0);
			const slow = busy && clock() - busySince > slowMs;
			const oldest = figures.oldest > 0 && Number.isFinite(figures.oldest);
			return {
				records: String(onDisk + queue.waiting + flying.length),
				bytes: String(figures.bytes + queue.heldBytes),
				capacityBytes: String(maxBytes),
				dropped: losses.totals(),
				quarantined: String(quarantinedTotal),
				...(oldest ? { oldest: formatUnixMs(figures.oldest) } : {}),
				problem:
					slow && problem === "" ? `${path}: the disk has not answered for ${slowMs / 1000} s` : problem,
			};
		},
		flush: () =>
			new Promise((resolve) => {
				settled.push(resolve);
				if (away && retry !== undefined) settle();
				schedule();
			}),
		async close() {
			if (closed) return;
			losses.tell();
			losses.stop();
			const flushed = new Promise<void>((resolve) => settled.push(resolve));
			if (retry !== undefined) {
				clearTimeout(retry);
				retry = undefined;
			}
			schedule();
			const patience = new AbortController();
			await Promise.race([
				flushed,
				delay(closePatience, undefined, { signal: patience.signal }).catch(() => undefined),
			]);
			patience.abort();
			closed = true;
			clearTimeout(timer);
			clearTimeout(retry);
			clearTimeout(refresh);
			clearImmediate(immediate);
			await Promise.all([writer.stop(1000), reading.stop(1000)]);
			settle();
		},
	};

	function serve(): void {
		immediate = undefined;
		announce(waiting());
	}
}
