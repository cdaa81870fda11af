// The writing half: one request at a time to the thread that writes, in groups that wait a little for company; what fails
// is tried again, and records go on in memory meanwhile.
import { setTimeout as delay } from "node:timers/promises";
import { neutralise } from "../report/shown.ts";
import { type Entry, pack, transferables } from "./batch.ts";
import type { Figures, FromWriter, ToWriter } from "./messages.ts";
import { createPlace, storedOf } from "./place.ts";
import type { Parts } from "./state.ts";
import { createThread } from "./thread.ts";

export interface Writing {
	/** A record is in the queue. */
	pushed(urgent: boolean): void;
	/** Something is due: sent with what else is, at once or when the group is over. */
	schedule(): void;
	/** Opens the file anew and mends it. */
	repair(reason: string): void;
	/** What waits and no reader wants any more needs no disk. */
	dropUnwanted(): void;
	/** Of the disk, as last told. */
	readonly figures: Figures;
	/** What is wrong; "" for nothing. */
	readonly problem: string;
	/** Resolves when all that was pushed is on the disk, or cannot get there now. */
	flush(): Promise<void>;
	/** Waits for the disk as long as it may; nothing is taken any more. */
	finish(): Promise<void>;
	stop(): Promise<void>;
}

export interface WritingOptions extends Parts {
	readonly maxBytes: number;
	/** The file was opened, for the first time or anew; unchecked: nobody has looked through it. */
	readonly onOpened: (figures: Figures, unchecked: boolean) => void;
}

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
/** How long the end of the sensor waits for the disk, ms. */
const closePatience = 4000;
/** A commit that takes longer is a problem worth telling, ms. */
const slowMs = 10_000;

export function createWriting(options: WritingOptions): Writing {
	const { path, state, queue, tail, readers, changes, losses, clock, logger, onOpened } = options;
	const writer = createThread<ToWriter, FromWriter>({
		data: { role: "writer", path, maxBytes: options.maxBytes },
		farewell: { type: "stop" },
		idle: 0,
	});
	let open = false;
	let figures: Figures = { counts: [], bytes: 0, oldest: 0, tidying: false };
	let busy = false;
	let busySince = 0;
	let lastRepair = Number.NEGATIVE_INFINITY;
	let urgent = false;
	let timer: NodeJS.Timeout | undefined;
	let immediate: NodeJS.Immediate | undefined;
	let retry: NodeJS.Timeout | undefined;
	let retryDelay = retryMs.first;
	let problem = "";
	let announced = 0;
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
		if (state.closed || busy || retry !== undefined) return;
		if (!open) {
			ask({ type: "open", given: state.given, served: state.served, damage: state.damage }, [], opened);
			return;
		}
		clearTimeout(timer);
		timer = undefined;
		if (changes.forgetting || stale) {
			stale = false;
			ask({ type: "forget", names: changes.takeForgotten() }, [], done);
			return;
		}
		if (queue.waiting === 0 && changes.waiting === 0 && !changes.telling) {
			settle();
			return;
		}
		state.flying = queue.take(batchRecords, batchBytes);
		urgent = queue.waiting > 0 && urgent;
		changes.told(losses.takeTold());
		const batch = pack(state.flying);
		const { putBack, ...besides } = changes.take(queue.waiting === 0);
		ask({ type: "commit", batch, ...besides }, transferables(batch), (answer) => {
			if (answer.type === "committed") {
				committed(answer);
				if (figures.tidying) refreshLater();
				return;
			}
			queue.putBack(state.flying);
			state.flying = [];
			putBack();
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
		state.tried = true;
		const reason = answer.type === "failed" ? answer.reason : "the writer gave another answer than asked for";
		if (
			answer.type === "failed" &&
			answer.damage &&
			state.damage === "" &&
			clock() - lastRepair > repairSpacing
		) {
			repair(reason);
			return;
		}
		// A file that was just mended and is damaged again is tried later, like a full disk.
		if (answer.type === "failed" && answer.damage) {
			open = false;
			state.damage = reason;
		}
		setProblem(`${path}: ${reason}; trying again`);
		state.away = true;
		if (state.given === 0) number(Math.floor(clock() * 1000));
		announce([...state.flying, ...queue.list()]);
		settle();
		if (state.closed) return;
		retry = setTimeout(() => {
			retry = undefined;
			pump();
		}, retryDelay);
		retryDelay = Math.min(retryMs.most, retryDelay * 2);
	}
	function repair(reason: string): void {
		open = false;
		state.damage = reason;
		lastRepair = clock();
	}
	function number(first: number): void {
		state.given = first - 1;
		for (const entry of queue.list()) entry.position = ++state.given;
	}
	function opened(answer: FromWriter): void {
		if (answer.type !== "opened") {
			failed(answer);
			return;
		}
		const again = state.everOpened;
		state.tried = true;
		open = true;
		state.everOpened = true;
		state.away = false;
		state.damage = "";
		state.generation++;
		retryDelay = retryMs.first;
		figures = answer.figures;
		setProblem("");
		if (!again && !state.served) number(answer.first);
		else state.given = Math.max(state.given, answer.first - 1);
		if (!again) {
			tail.reset(answer.first - 1);
			state.quarantined = answer.quarantined.length;
			for (const each of answer.untold) losses.add(each.class, each.count, each.first, each.last, true);
		}
		state.placesLost ||= answer.damaged;
		takePlaces(answer, again);
		queue.retain(wanted);
		for (const text of answer.problems) logger.warn({ problem: neutralise(text) }, "spool found damaged");
		if (answer.damaged) losses.addUnknown(answer.broken, clock());
		onOpened(figures, answer.unchecked);
		for (const reader of readers.values()) reader.listener?.([]);
	}
	function takePlaces(answer: Extract<FromWriter, { type: "opened" }>, again: boolean): void {
		const known = new Map(answer.places.map((place) => [place.name, place]));
		for (const place of answer.places) {
			const reader = readers.get(place.name);
			if (reader === undefined) readers.set(place.name, createPlace(place.name, place));
			else if (!state.served) reader.moveTo(place.acknowledged);
		}
		for (const { reader, position } of answer.quarantined) readers.get(reader)?.setAside(position);
		for (const reader of readers.values()) {
			if (!reader.registered) continue;
			// One that is new begins with what came since the start; one whose place was lost, with all that is there.
			if (!known.has(reader.name) && !again && !answer.damaged && !state.served)
				reader.moveTo(answer.first - 1);
			changes.moved(reader);
		}
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
		const kept = state.flying.filter((entry) => !answer.refused.includes(entry.class));
		queue.release(state.flying);
		state.flying = [];
		figures = answer.figures;
		state.away = false;
		state.damage = "";
		retryDelay = retryMs.first;
		setProblem("");
		tail.add(kept);
		for (const each of answer.evicted) {
			losses.add(each.class, each.count, each.first, each.last, true);
			if (each.upTo > 0) tail.evict(each.class, each.upTo);
			for (const reader of readers.values()) reader.went(each.class, each.upTo || state.given, each.count);
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
		if (queue.waiting + changes.waiting === 0 && !changes.forgetting && !stale) return;
		timer ??= setTimeout(pump, groupMs);
	}
	function serve(): void {
		immediate = undefined;
		announce(queue.list());
	}

	pump();
	return {
		schedule,
		repair,
		pushed(isUrgent) {
			urgent ||= isUrgent;
			if (state.away) immediate ??= setImmediate(serve);
			else schedule();
		},
		dropUnwanted: () => queue.retain(wanted),
		get figures() {
			return figures;
		},
		get problem() {
			const slow = busy && clock() - busySince > slowMs;
			return slow && problem === "" ? `${path}: the disk has not answered for ${slowMs / 1000} s` : problem;
		},
		flush: () =>
			new Promise((resolve) => {
				settled.push(resolve);
				if (state.away && retry !== undefined) settle();
				schedule();
			}),
		async finish() {
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
			state.closed = true;
			clearTimeout(timer);
			clearTimeout(retry);
			clearTimeout(refresh);
			clearImmediate(immediate);
		},
		async stop() {
			await writer.stop(1000);
			settle();
		},
	};
}
