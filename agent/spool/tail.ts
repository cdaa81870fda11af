// The newest committed records, in memory: a reader that keeps up is served from here and costs the disk nothing.
import type { Entry } from "./batch.ts";
import { has } from "./classes.ts";
import { costOf } from "./queue.ts";

export interface Tail {
	/** All committed records behind this position are here. */
	readonly floor: number;
	/** In order; all behind what came before. */
	add(entries: readonly Entry[]): void;
	/** They went from the disk, so nobody is to get them any more. */
	evict(index: number, upTo: number): void;
	read(after: number, mask: number): Iterable<Entry>;
	/** Holds nothing; what comes is behind this position. */
	reset(floor: number): void;
}

export function createTail(maxRecords: number, maxBytes: number): Tail {
	let entries: Entry[] = [];
	let bytes = 0;
	let floor = 0;
	return {
		get floor() {
			return floor;
		},
		add(added) {
			entries.push(...added);
			for (const entry of added) bytes += costOf(entry);
			if (entries.length <= maxRecords && bytes <= maxBytes) return;
			// Half of it at a time, so that the array is not moved for each record.
			let cut = 0;
			while (cut < entries.length && (entries.length - cut > maxRecords / 2 || bytes > maxBytes / 2)) {
				const entry = entries[cut++];
				if (entry === undefined) break;
				bytes -= costOf(entry);
				floor = entry.position;
			}
			entries = entries.slice(cut);
		},
		evict(index, upTo) {
			entries = entries.filter((entry) => entry.class !== index || entry.position > upTo);
			bytes = entries.reduce((sum, entry) => sum + costOf(entry), 0);
		},
		*read(after, mask) {
			let low = 0;
			let high = entries.length;
			while (low < high) {
				const middle = (low + high) >> 1;
				if ((entries[middle]?.position ?? 0) <= after) low = middle + 1;
				else high = middle;
			}
			for (const entry of entries.slice(low)) if (has(mask, entry.class)) yield entry;
		},
		reset(position) {
			entries = [];
			bytes = 0;
			floor = position;
		},
	};
}
