// The bounded queue in front of the disk, in memory of the sensor's own thread. When it is full the oldest of the
// lowest lane goes. What is under way to the disk is not in it but counts.
import type { Entry } from "./batch.ts";
import { classAt, lanes } from "./classes.ts";

export interface WaitingQueue {
	/** Adds at the end; may drop this or older ones, told through `lost`. */
	push(entry: Entry): void;
	/** Takes the first ones off, at least one if there is any; they count until `release` or `putBack`. */
	take(maxRecords: number, maxBytes: number): Entry[];
	release(entries: readonly Entry[]): void;
	/** In front again, in their order. */
	putBack(entries: readonly Entry[]): void;
	/** The first ones that wait for which `wanted` holds; they stay. */
	peek(wanted: (entry: Entry) => boolean, maxRecords: number, maxBytes: number): Entry[];
	/** Drops what waits and is not wanted, without telling. */
	retain(wanted: (entry: Entry) => boolean): void;
	/** All that wait, in order. */
	list(): Entry[];
	/** Without those taken. */
	readonly waiting: number;
	readonly waitingBytes: number;
	/** Waiting and taken, bytes with what a record costs besides its payload. */
	readonly heldBytes: number;
}

export interface QueueOptions {
	readonly maxRecords: number;
	readonly maxBytes: number;
	readonly lost: (entry: Entry) => void;
}

interface Slot {
	readonly entry: Entry;
	dropped: boolean;
}

/** What an entry holds in memory besides its payload, bytes, as measured roundly. */
const overhead = 256;

export function costOf(entry: Entry): number {
	return entry.payload.length + overhead;
}

export function createWaitingQueue(options: QueueOptions): WaitingQueue {
	let order: Slot[] = [];
	let head = 0;
	let byLane: Slot[][] = emptyLanes();
	let laneHeads: number[] = Array.from({ length: lanes }, () => 0);
	let waiting = 0;
	let waitingBytes = 0;
	let taken = 0;
	let takenBytes = 0;

	function rebuild(entries: readonly Entry[]): void {
		order = entries.map((entry) => ({ entry, dropped: false }));
		head = 0;
		byLane = emptyLanes();
		laneHeads = laneHeads.map(() => 0);
		waitingBytes = 0;
		waiting = order.length;
		for (const slot of order) {
			byLane[classAt(slot.entry.class).lane]?.push(slot);
			waitingBytes += costOf(slot.entry);
		}
	}
	const live = (): Entry[] =>
		order
			.slice(head)
			.filter(({ dropped }) => !dropped)
			.map(({ entry }) => entry);

	function dropOldest(): boolean {
		for (let lane = 0; lane < lanes; lane++) {
			const slots = byLane[lane] ?? [];
			const at = laneHeads[lane] ?? 0;
			const slot = slots[at];
			if (slot === undefined) continue;
			laneHeads[lane] = at + 1;
			slot.dropped = true;
			waiting--;
			waitingBytes -= costOf(slot.entry);
			options.lost(slot.entry);
			return true;
		}
		return false;
	}
	/** Array.shift would move the whole array: heads move, and now and then what lies before them is cut off. */
	function compact(): void {
		const stale = order.length - waiting;
		if (stale > 1024 && stale > waiting) rebuild(live());
	}

	return {
		push(entry) {
			const slot = { entry, dropped: false };
			order.push(slot);
			byLane[classAt(entry.class).lane]?.push(slot);
			waiting++;
			waitingBytes += costOf(entry);
			while (waiting + taken > options.maxRecords || waitingBytes + takenBytes > options.maxBytes) {
				if (!dropOldest()) break;
			}
			compact();
		},
		take(maxRecords, maxBytes) {
			const entries: Entry[] = [];
			let bytes = 0;
			while (head < order.length && entries.length < maxRecords) {
				const slot = order[head];
				if (slot === undefined) break;
				if (!slot.dropped) {
					const cost = costOf(slot.entry);
					if (entries.length > 0 && bytes + cost > maxBytes) break;
					bytes += cost;
					entries.push(slot.entry);
					// The oldest of all is the oldest of its lane.
					const { lane } = classAt(slot.entry.class);
					laneHeads[lane] = (laneHeads[lane] ?? 0) + 1;
				}
				head++;
			}
			waiting -= entries.length;
			waitingBytes -= bytes;
			taken += entries.length;
			takenBytes += bytes;
			compact();
			return entries;
		},
		release(entries) {
			taken -= entries.length;
			for (const entry of entries) takenBytes -= costOf(entry);
		},
		putBack(entries) {
			taken -= entries.length;
			for (const entry of entries) takenBytes -= costOf(entry);
			rebuild([...entries, ...live()]);
		},
		peek(wanted, maxRecords, maxBytes) {
			const found: Entry[] = [];
			let bytes = 0;
			for (let at = head; at < order.length && found.length < maxRecords; at++) {
				const slot = order[at];
				if (slot === undefined || slot.dropped || !wanted(slot.entry)) continue;
				bytes += slot.entry.payload.length;
				if (found.length > 0 && bytes > maxBytes) break;
				found.push(slot.entry);
			}
			return found;
		},
		retain(wanted) {
			rebuild(live().filter(wanted));
		},
		list: live,
		get waiting() {
			return waiting;
		},
		get waitingBytes() {
			return waitingBytes;
		},
		get heldBytes() {
			return waitingBytes + takenBytes;
		},
	};
}

function emptyLanes(): Slot[][] {
	return Array.from({ length: lanes }, () => []);
}
