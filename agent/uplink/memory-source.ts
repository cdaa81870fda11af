// A source of records that lie in memory, for the console inside the sensor's own process: bounded, and gone with it.
import type { RecordKind, RecordSource, Stored } from "../model/delivery.ts";
import { createRecordQueue, type Item } from "../report/queue.ts";

export interface MemorySource extends RecordSource {
	push(record: Omit<Stored, "position">): void;
	/** Bytes held, encoded. */
	readonly heldBytes: number;
}

export interface MemorySourceOptions {
	/** Both of what is not acknowledged. */
	readonly maxRecords: number;
	readonly maxBytes: number;
	/** Dropped for want of room, or set aside. */
	readonly lost: (kind: RecordKind) => void;
	readonly log: (level: "warn", text: string) => void;
}

const aheadKinds = new Set<RecordKind>(["alert", "incident", "action", "gap"]);

export function createMemorySource(options: MemorySourceOptions): MemorySource {
	const { maxRecords, maxBytes, lost } = options;
	const queue = createRecordQueue<Stored>({ maxRecords, maxBytes, lost });
	let position = 0;
	/** Taken, oldest first. */
	let out: Item<Stored>[] = [];
	let onWaiting = (): void => {};
	let onAhead = (_record: Stored): void => {};

	return {
		push(record) {
			const stored: Stored = { ...record, position: ++position };
			const before = queue.waiting;
			const { kind, sequence, payload } = stored;
			queue.push({ kind, sequence, bytes: payload.length, payload: stored });
			if (aheadKinds.has(kind)) onAhead(stored);
			if (before === 0 && queue.waiting > 0) onWaiting();
		},
		take(records, bytes) {
			const items = queue.take(records, bytes);
			out.push(...items);
			return items.flatMap((item) => item.payload ?? []);
		},
		get waiting() {
			return queue.waiting > 0;
		},
		onWaiting(listener) {
			onWaiting = listener;
		},
		onAhead(listener) {
			onAhead = listener;
		},
		acknowledge(upTo) {
			const rest = out.findIndex((item) => (item.payload?.position ?? 0) > upTo);
			queue.release(out.splice(0, rest === -1 ? out.length : rest));
		},
		rewind() {
			queue.putBack(out);
			out = [];
		},
		quarantine(at, reason) {
			const index = out.findIndex((item) => item.payload?.position === at);
			const [item] = index === -1 ? [] : out.splice(index, 1);
			if (item === undefined) return;
			lost(item.kind);
			options.log("warn", `record ${item.sequence} (${item.kind}) is dropped: ${reason}`);
			queue.release([item]);
		},
		get held() {
			return queue.held;
		},
		get heldBytes() {
			return queue.heldBytes;
		},
	};
}
