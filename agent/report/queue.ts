// The bounded queue between the sensor and one slow reader: order is kept, and when it is full the least
// telling records go first. What is handed out still counts until it is released.
import type { RecordKind } from "./record.ts";

export interface Item<T> {
	readonly kind: RecordKind;
	readonly sequence: number;
	/** What it holds in memory. */
	readonly bytes: number;
	/** Undefined once it was dropped. */
	payload: T | undefined;
}

export interface RecordQueue<T> {
	/** Adds at the end; may drop this or older records, told through `lost`. */
	push(item: Item<T>): void;
	/** The next records in order, at least one if there is any; they stay counted until `release`. */
	take(maxRecords: number, maxBytes: number): Item<T>[];
	release(items: readonly Item<T>[]): void;
	/** Puts what was taken back in front, in its order. */
	putBack(items: readonly Item<T>[]): void;
	/** Records that wait, without those taken. */
	readonly waiting: number;
	readonly waitingBytes: number;
	/** Waiting and taken. */
	readonly held: number;
	readonly heldBytes: number;
}

export interface QueueOptions {
	readonly maxRecords: number;
	readonly maxBytes: number;
	readonly lost: (kind: RecordKind) => void;
}

// What goes first when there is no room: telemetry, then alerts, then what tells of acts and of losses.
const lanes: Readonly<Record<RecordKind, number>> = {
	event: 0,
	status: 0,
	alert: 1,
	incident: 1,
	action: 2,
	gap: 2,
};

export function createRecordQueue<T>(options: QueueOptions): RecordQueue<T> {
	let order: Deque<Item<T>> = createDeque();
	const byLane: Deque<Item<T>>[] = [createDeque(), createDeque(), createDeque()];
	/** Dropped items that still have their place in `order`. */
	let dropped = 0;
	let waiting = 0;
	let waitingBytes = 0;
	let held = 0;
	let heldBytes = 0;

	const dropOldest = (): boolean => {
		for (const lane of byLane) {
			const item = lane.shift();
			if (item === undefined) continue;
			item.payload = undefined;
			dropped++;
			waiting--;
			held--;
			waitingBytes -= item.bytes;
			heldBytes -= item.bytes;
			options.lost(item.kind);
			return true;
		}
		return false;
	};
	// A record that never leaves would otherwise keep the places of all that were dropped behind it.
	const compact = (): void => {
		if (dropped < 1024 || dropped < waiting) return;
		const kept = createDeque<Item<T>>();
		for (let item = order.shift(); item !== undefined; item = order.shift()) {
			if (item.payload !== undefined) kept.push(item);
		}
		order = kept;
		dropped = 0;
	};

	return {
		push(item) {
			order.push(item);
			byLane[lanes[item.kind]]?.push(item);
			waiting++;
			held++;
			waitingBytes += item.bytes;
			heldBytes += item.bytes;
			while (held > options.maxRecords || heldBytes > options.maxBytes) if (!dropOldest()) break;
			compact();
		},
		take(maxRecords, maxBytes) {
			const items: Item<T>[] = [];
			let bytes = 0;
			while (items.length < maxRecords) {
				const item = order.peek();
				if (item === undefined) break;
				if (item.payload === undefined) {
					order.shift();
					dropped--;
					continue;
				}
				if (items.length > 0 && bytes + item.bytes > maxBytes) break;
				order.shift();
				// The oldest of all is the oldest of its lane.
				byLane[lanes[item.kind]]?.shift();
				waiting--;
				waitingBytes -= item.bytes;
				bytes += item.bytes;
				items.push(item);
			}
			return items;
		},
		release(items) {
			for (const item of items) {
				held--;
				heldBytes -= item.bytes;
				item.payload = undefined;
			}
		},
		putBack(items) {
			for (const item of items.toReversed()) {
				order.unshift(item);
				byLane[lanes[item.kind]]?.unshift(item);
				waiting++;
				waitingBytes += item.bytes;
			}
		},
		get waiting() {
			return waiting;
		},
		get waitingBytes() {
			return waitingBytes;
		},
		get held() {
			return held;
		},
		get heldBytes() {
			return heldBytes;
		},
	};
}

interface Deque<T> {
	push(item: T): void;
	peek(): T | undefined;
	shift(): T | undefined;
	unshift(item: T): void;
}

/** First in, first out in constant time; Array.shift moves the whole array. */
function createDeque<T>(): Deque<T> {
	let items: (T | undefined)[] = [];
	let head = 0;
	return {
		push: (item) => {
			items.push(item);
		},
		peek: () => items[head],
		shift() {
			const item = items[head];
			if (item === undefined) return undefined;
			items[head++] = undefined;
			if (head >= 1024 && head * 2 >= items.length) {
				items = items.slice(head);
				head = 0;
			}
			return item;
		},
		unshift(item) {
			if (head === 0) items.unshift(item);
			else items[--head] = item;
		},
	};
}
