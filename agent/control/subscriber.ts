// One reader of the record stream behind a bounded queue. A reader that falls behind loses records and is told
// how many; the sensor never waits for it.
import type * as wire from "../model/picket.v1.ts";
import { type RecordKind, recordKinds, recordLine } from "../report/record.ts";
import { ControlError, type MissReason } from "./protocol.ts";

/** What one subscriber may hold in memory. The last quarter is kept free of events, so that alerts get through. */
const maxQueuedLines = 2048;
const maxQueuedBytes = 4 * 1024 * 1024;
const batchBytes = 64 * 1024;

export interface SubscribeParams {
	readonly kinds: ReadonlySet<RecordKind>;
	/** Events a second at most; the other kinds are not limited. */
	readonly eventsPerSecond: number;
}

/** The part of a socket that is used here. `write` returns false when its buffer is full, "drain" ends that. */
export interface LineWriter {
	readonly destroyed: boolean;
	write(text: string): boolean;
	on(name: "drain", listener: () => void): unknown;
}

export interface Subscriber {
	/** Whether a record of this kind would be sent now; a refusal is counted. */
	wants(kind: RecordKind): boolean;
	/** `line` is the whole line with its end. */
	offer(line: string): void;
	close(): void;
}

/** Checks the params of `subscribe`. Throws a ControlError BAD_PARAMS. */
export function parseSubscribe(params: Readonly<Record<string, unknown>>): SubscribeParams {
	const { kinds = recordKinds, eventsPerSecond = Number.POSITIVE_INFINITY } = params;
	const wrong = (what: string): ControlError =>
		new ControlError("BAD_PARAMS", what, `Known kinds: ${recordKinds.join(", ")}.`);
	if (!Array.isArray(kinds) || kinds.length === 0) throw wrong("kinds is not a list of record kinds");
	const known = new Set<RecordKind>();
	for (const name of kinds) {
		const kind = recordKinds.find((candidate) => candidate === name);
		if (kind === undefined) throw wrong("kinds names a kind that does not exist");
		known.add(kind);
	}
	if (typeof eventsPerSecond !== "number" || !(eventsPerSecond >= 0)) {
		throw wrong("eventsPerSecond is not a number from 0 upwards");
	}
	return { kinds: known, eventsPerSecond };
}

/** A record as the line that subscribers get. */
export function streamLine(record: wire.OutputRecord): string {
	return `{"record":${recordLine(record)}}\n`;
}

export function createSubscriber(
	params: SubscribeParams,
	writer: LineWriter,
	clock: () => number,
): Subscriber {
	let queue: string[] = [];
	let bytes = 0;
	let scheduled = false;
	let blocked = false;
	let closed = false;
	const missed: Record<MissReason, number> = { rate: 0, slow: 0 };
	let second = Number.NEGATIVE_INFINITY;
	let eventsThisSecond = 0;
	let timer: NodeJS.Timeout | undefined;

	const full = (kind: RecordKind): boolean => {
		const share = kind === "event" ? 0.75 : 1;
		return queue.length >= maxQueuedLines * share || bytes >= maxQueuedBytes * share;
	};
	const miss = (reason: MissReason): void => {
		missed[reason]++;
		// Told with the next record after it or within a second, not once for each record.
		timer ??= setTimeout(() => {
			timer = undefined;
			flush();
		}, 1000).unref();
	};
	const flush = (): void => {
		scheduled = false;
		while (!blocked && !closed && !writer.destroyed) {
			let text = "";
			let taken = 0;
			while (taken < queue.length && text.length < batchBytes) text += queue[taken++];
			queue = queue.slice(taken);
			bytes -= text.length;
			if (queue.length === 0) text += takeMissed();
			if (text === "") return;
			blocked = !writer.write(text);
		}
	};
	const takeMissed = (): string => {
		let text = "";
		for (const reason of ["slow", "rate"] as const) {
			// What the rate left out is told once a second, else every batch would carry a line for it.
			if (missed[reason] === 0 || (reason === "rate" && timer !== undefined)) continue;
			text += missedLine(reason);
		}
		return text;
	};
	const missedLine = (reason: MissReason): string => {
		const line = `{"missed":${missed[reason]},"reason":"${reason}"}\n`;
		missed[reason] = 0;
		return line;
	};
	writer.on("drain", () => {
		blocked = false;
		flush();
	});
	return {
		wants(kind) {
			if (closed || !params.kinds.has(kind)) return false;
			if (kind === "event") {
				const now = clock();
				if (now - second >= 1000 || now < second) {
					second = now;
					eventsThisSecond = 0;
				}
				if (eventsThisSecond >= params.eventsPerSecond) {
					miss("rate");
					return false;
				}
				eventsThisSecond++;
			}
			if (full(kind)) {
				miss("slow");
				return false;
			}
			return true;
		},
		offer(line) {
			if (closed) return;
			// In its place in the stream, before what came after it.
			const gap = missed.slow > 0 ? missedLine("slow") : "";
			queue.push(gap + line);
			bytes += gap.length + line.length;
			if (scheduled || blocked) return;
			scheduled = true;
			// Records of one turn of the loop go out in one write.
			setImmediate(flush);
		},
		close() {
			closed = true;
			queue = [];
			bytes = 0;
			clearTimeout(timer);
		},
	};
}
