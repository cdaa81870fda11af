// Finds the record that a console cannot take. A stream that ends again and again upon the same batch is no proof: a
// console whose disk is full ends it too. So batches are halved until one record is left, and that one counts as
// poison only when it is refused and, at once afterwards, the record behind it goes through.
import type { Stored } from "../model/delivery.ts";

export interface Suspect {
	/** How many records the next batch may hold; Infinity when nothing is suspected. */
	readonly limit: number;
	/** One batch on the way at a time, so that it is clear upon which the stream ends. */
	readonly alone: boolean;
	/** Leave these out and see whether the next one goes through. */
	readonly onTrial: readonly Stored[];
	/** The trial should follow at once: whatever else ailed the console may be over later. */
	readonly eager: boolean;
	/** Batches are being halved: the console answers, and this should not take hours. */
	readonly halving: boolean;
	/** The stream ended while these were the oldest ones on the way. */
	ended(records: readonly Stored[], cause: "refused" | "broken"): void;
	/** The record after those on trial was not taken either. */
	controlEnded(control: Stored, cause: "refused" | "broken"): void;
	/** There is no proof to be had now. */
	acquit(): void;
	/** All up to this position has arrived. */
	passed(position: number): void;
	/** Nothing is suspected any more. */
	clear(): void;
}

/** Times that a stream must end upon the same batch. Broken connections are mostly the network's fault. */
const strikesToSplit = 3;
const strikesAlone = { refused: 3, broken: 30 };
/** So many in a row may be such records. */
const maxOnTrial = 8;
/** Times in a row that the next try may come at once. */
const maxEager = maxOnTrial + 1;

export function createSuspect(): Suspect {
	let limit = Number.POSITIVE_INFINITY;
	/** Up to here batches are as small as `limit` says. */
	let until = 0;
	let first = 0;
	let strikes = { refused: 0, broken: 0 };
	let onTrial: Stored[] = [];
	let eager = 0;
	/** A trial has shown nothing: the console may refuse all there is, and gets time. */
	let inVain = false;

	const clear = (): void => {
		limit = Number.POSITIVE_INFINITY;
		until = 0;
		first = 0;
		onTrial = [];
		eager = 0;
		inVain = false;
	};
	/** The next time that the record ends the stream alone is a trial again. */
	const acquit = (): void => {
		onTrial = [];
		eager = 0;
		inVain = true;
		strikes = { refused: strikesAlone.refused - 1, broken: strikesAlone.broken - 1 };
	};
	const hurry = (cause: "refused" | "broken"): void => {
		eager = cause === "refused" && eager < maxEager ? eager + 1 : 0;
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
		get eager() {
			return onTrial.length > 0 && eager > 0;
		},
		get halving() {
			return first !== 0 && !inVain;
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
				if (strikes[cause] < strikesAlone[cause]) return;
				onTrial = [oldest];
				hurry(cause);
				return;
			}
			// Once something is known to be wrong, halving on is cheap and loses nothing.
			const enough = limit !== Number.POSITIVE_INFINITY && cause === "refused" ? 1 : strikesToSplit;
			if (strikes[cause] < enough) return;
			limit = Math.ceil(records.length / 2);
			until = Math.max(until, records.at(-1)?.position ?? 0);
			strikes = { refused: 0, broken: 0 };
		},
		controlEnded(control, cause) {
			if (cause === "broken" || onTrial.length >= maxOnTrial) return acquit();
			onTrial.push(control);
			hurry(cause);
		},
		acquit,
		passed(position) {
			inVain = false;
			if (position >= first) first = 0;
			if (position >= until) clear();
		},
		clear,
	};
}
