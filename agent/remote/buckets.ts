// How much each console may ask for, and all of them together: token buckets, bounded by the consoles configured.

export interface Buckets {
	/** Takes one of this console; false when it has none left, or all together have none. */
	take(console: string): boolean;
}

export interface BucketLimits {
	readonly perMinute: number;
	/** How many at once after a quiet time. */
	readonly burst: number;
	/** Of all consoles together; so many at once as well. */
	readonly allPerMinute: number;
}

interface Bucket {
	tokens: number;
	/** Unix ms. */
	filled: number;
}

const mostConsoles = 1000;

/** `clock` in unix ms; one that is set back stops the filling and loses nothing. */
export function createBuckets(
	{ perMinute, burst, allPerMinute }: BucketLimits,
	clock: () => number,
): Buckets {
	const buckets = new Map<string, Bucket>();
	const all: Bucket = { tokens: allPerMinute, filled: clock() };

	const fill = (bucket: Bucket, rate: number, most: number): void => {
		const now = clock();
		const passed = Math.max(0, now - bucket.filled);
		bucket.tokens = Math.min(most, bucket.tokens + (passed / 60_000) * rate);
		bucket.filled = now;
	};

	return {
		take(console) {
			let own = buckets.get(console);
			if (own === undefined) {
				if (buckets.size >= mostConsoles) return false;
				own = { tokens: burst, filled: clock() };
				buckets.set(console, own);
			}
			fill(own, perMinute, burst);
			fill(all, allPerMinute, allPerMinute);
			if (own.tokens < 1 || all.tokens < 1) return false;
			own.tokens--;
			all.tokens--;
			return true;
		},
	};
}
