// How many acts a minute. A sliding window: no burst at the edge of two minutes.

export interface RateLimit {
	/** Takes one slot; false when none is free. */
	take(): boolean;
	/** Gives the last slot back, for an order that turned out to change nothing. */
	giveBack(): void;
}

export function createRateLimit(perMinute: number, clock: () => number): RateLimit {
	let taken: number[] = [];
	return {
		take() {
			const now = clock();
			taken = taken.filter((at) => now - at < 60_000 && at <= now);
			if (taken.length >= perMinute) return false;
			taken.push(now);
			return true;
		},
		giveBack() {
			taken.pop();
		},
	};
}
