// What the spool could not keep, counted by class and told as gaps, not more often than the gaps themselves can be kept.
import type * as wire from "../model/picket.v1.ts";
import { formatUnixMs } from "../report/time.ts";
import { classAt, classes } from "./classes.ts";

export interface Losses {
	/** `stored`: the spool's file has noted it, too, until it is told. Times in Unix ms. */
	add(index: number, count: number, first: number, last: number, stored: boolean): void;
	/** [class, records] of stored losses that were told since the last call. */
	takeTold(): [number, number][];
	/** Damage of which nobody knows what it cost. */
	addUnknown(count: number, time: number): void;
	/** Tells at once what was not told yet. */
	tell(): void;
	/** By kind, since the start. */
	totals(): Record<string, string>;
	stop(): void;
}

/** ms from a loss to its gap, and between gaps. */
const firstDelay = 500;
const spacing = 10_000;

export function createLosses(clock: () => number, gap: (gap: wire.Gap) => void): Losses {
	const dropped = new Map<string, number>();
	let pending = new Map<string, number>();
	let stored = new Map<number, number>();
	let told: [number, number][] = [];
	let from = Number.POSITIVE_INFINITY;
	let to = 0;
	let unknown = false;
	let lastTold = Number.NEGATIVE_INFINITY;
	let timer: NodeJS.Timeout | undefined;

	function tell(): void {
		clearTimeout(timer);
		timer = undefined;
		if (pending.size === 0 && !unknown) return;
		const lost = [...pending].map(([kind, count]) => ({ class: kind, count: String(count) }));
		const message: wire.Gap = { from: formatUnixMs(from), to: formatUnixMs(to), where: "spool", lost };
		told.push(...stored);
		pending = new Map();
		stored = new Map();
		from = Number.POSITIVE_INFINITY;
		to = 0;
		unknown = false;
		lastTold = clock();
		gap(message);
	}
	function note(kind: string, count: number, first: number, last: number): void {
		if (count > 0) {
			dropped.set(kind, (dropped.get(kind) ?? 0) + count);
			pending.set(kind, (pending.get(kind) ?? 0) + count);
		}
		from = Math.min(from, first);
		to = Math.max(to, last);
		// A clock that was set back must not keep a gap from being told.
		const wait = Math.min(spacing, lastTold + spacing - clock());
		timer ??= setTimeout(tell, Math.max(firstDelay, wait)).unref();
	}
	return {
		add(index, count, first, last, isStored) {
			if (classes[index] === undefined || !(count > 0)) return;
			if (isStored) stored.set(index, (stored.get(index) ?? 0) + count);
			note(classAt(index).kind, count, first, last);
		},
		takeTold() {
			const all = told;
			told = [];
			return all;
		},
		addUnknown(count, time) {
			unknown = true;
			note("record", count, time, time);
		},
		tell,
		totals: () => Object.fromEntries([...dropped].map(([kind, count]) => [kind, String(count)])),
		stop() {
			clearTimeout(timer);
			timer = undefined;
		},
	};
}
