// Finds the record that a console cannot take. A stream that ends again and again upon the same batch is no proof: a
// console whose disk is full ends it too. So batches are halved until one record is left, and that one counts as
// poison only when the record after it goes through where it did not.
import type { Stored } from "../model/delivery.ts";

export interface Suspect {
	/** How many records the next batch may hold; Infinity when nothing is suspected. */
	readonly limit: number;
	/** One batch on the way at a time, so that it is clear upon which the stream ends. */
	readonly alone: boolean;
	/** Leave this one out and see whether the next goes through. */
	readonly onTrial: Stored | undefined;
	/** The stream ended while these were the oldest ones on the way. */
	ended(records: readonly Stored[], cause: "refused" | "broken"): void;
	/** The record after the one on trial was not taken either. */
	acquit(): void;
	/** All up to this position has arrived. */
	passed(position: number): void;
	/** Nothing is suspected any more. */
	clear(): void;
}

/** Times that a stream must end upon the same batch. Broken connections are mostly the network's fault. */
const strikesToSplit = 3;
const strikesAlone = { refused: 3, broken: 10 };

export function createSuspect(): Suspect {
	let limit = Number.POSITIVE_INFINITY;
	/** Up to here batches are as small as `limit` says. */
	let until = 0;
	let first = 0;
	let strikes = { refused: 0, broken: 0 };
	let onTrial: Stored | undefined;

	const clear = (): void => {
		limit = Number.POSITIVE_INFINITY;
		until = 0;
		first = 0;
		onTrial = undefined;
	};
	return {
		get limit() {
			return limit;
		},
		get alone() {
			return first !== 0 || limit !== Number.POSITIVE_INFINITY;
		},
		get onTrial() {
			return onTrial;
		},
		ended(records, cause) {
			const [oldest] = records;
			if (oldest === undefined) return;
			if (oldest.position !== first) {
				first = oldest.position;
				strikes = { refused: 0, broken: 0 };
			}
			strikes[cause]++;
			if (records.length === 1) {
				if (strikes[cause] >= strikesAlone[cause]) onTrial = oldest;
				return;
			}
			// Once something is known to be wrong, halving on is cheap and loses nothing.
			const enough = limit !== Number.POSITIVE_INFINITY && cause === "refused" ? 1 : strikesToSplit;
			if (strikes[cause] < enough) return;
			limit = Math.ceil(records.length / 2);
			until = Math.max(until, records.at(-1)?.position ?? 0);
			strikes = { refused: 0, broken: 0 };
		},
		acquit() {
			onTrial = undefined;
			strikes = { refused: 0, broken: 0 };
		},
		passed(position) {
			if (position >= first) first = 0;
			if (position >= until) clear();
		},
		clear,
	};
}
