// What is measured of the matches in a window, kept up to date as they come and go.
import type { CorrelationType } from "./condition.ts";
import { createChains } from "./order.ts";

/** One match of a referenced rule. */
export interface Entry {
	/** ns since boot. */
	readonly time: number;
	/** The event's. */
	readonly number: number;
	/** Which of the listed rules. */
	readonly position: number;
	/** How many events it stands for. */
	readonly weight: number;
	/** Of the fields that are counted; a number for the aggregates, "" where none is asked for. */
	readonly value: string | number;
}

export interface Measure {
	add(entry: Entry): void;
	remove(entry: Entry): void;
	/** Of what is in the window, which begins at `since`. */
	value(since: number): number;
	/** It depends on the order: after one that came late it begins anew. */
	restart?(): void;
	/** The matches that make up the value, oldest first, where not all do. */
	chosen?(since: number): readonly Entry[];
}

/** `positions`: how many rules are listed. `percentile`: 0 to 100, for that type alone. */
export function createMeasure(type: CorrelationType, positions: number, percentile: number): Measure {
	switch (type) {
		case "event_count":
			return createSum(({ weight }) => weight);
		case "value_sum":
			return createSum(({ value }) => Number(value));
		case "value_avg":
			return createAverage();
		case "value_percentile":
			return createPercentile(percentile);
		case "value_median":
			return createPercentile(50);
		case "value_count":
			return createDistinct(({ value }) => value);
		case "temporal":
			return createDistinct(({ position }) => position);
		case "temporal_ordered":
			return createChains(positions);
	}
}

function createSum(of: (entry: Entry) => number): Measure {
	let sum = 0;
	let entries = 0;
	return {
		add(entry) {
			sum += of(entry);
			entries++;
		},
		remove(entry) {
			// What rounding left over must not outlive the window.
			sum = --entries === 0 ? 0 : sum - of(entry);
		},
		value: () => sum,
	};
}

function createAverage(): Measure {
	const sum = createSum(({ value }) => Number(value));
	let entries = 0;
	return {
		add(entry) {
			sum.add(entry);
			entries++;
		},
		remove(entry) {
			sum.remove(entry);
			entries--;
		},
		value: (since) => sum.value(since) / entries,
	};
}

function createDistinct(of: (entry: Entry) => string | number): Measure {
	const counts = new Map<string | number, number>();
	return {
		add(entry) {
			counts.set(of(entry), (counts.get(of(entry)) ?? 0) + 1);
		},
		remove(entry) {
			const left = (counts.get(of(entry)) ?? 0) - 1;
			if (left > 0) counts.set(of(entry), left);
			else counts.delete(of(entry));
		},
		value: () => counts.size,
	};
}

/** Between two ranks the value lies on the line between theirs. */
function createPercentile(percentile: number): Measure {
	const sorted: number[] = [];
	const placeOf = (value: number): number => {
		let [low, high] = [0, sorted.length];
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((sorted[middle] as number) < value) low = middle + 1;
			else high = middle;
		}
		return low;
	};
	return {
		add: ({ value }) => void sorted.splice(placeOf(Number(value)), 0, Number(value)),
		remove: ({ value }) => void sorted.splice(placeOf(Number(value)), 1),
		value() {
			const rank = (percentile / 100) * (sorted.length - 1);
			const below = sorted[Math.floor(rank)] as number;
			const above = sorted[Math.ceil(rank)] as number;
			return below + (above - below) * (rank - Math.floor(rank));
		},
	};
}
