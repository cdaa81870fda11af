// In the uplink: the records of one outlet as they come out of the core's spool. Asks ahead, so that the network and not the
// pipe sets the pace; keeps what is not acknowledged, so that a broken connection asks the core for nothing.
import type { FromUplink, RecordSource, Stored } from "../model/delivery.ts";

/** Less than this at hand, and it asks for more: two batches of the stream. */
const low = { records: 1000, bytes: 512 * 1024 };
const ask = { records: 1000, bytes: 512 * 1024 };
/** Not acknowledged; beyond it asks for nothing. */
const most = { records: 20_000, bytes: 8 * 1024 * 1024 };

export interface FrameSource extends RecordSource {
	/** Begins to ask. */
	start(): void;
	/** The answer to `more`. */
	records(records: readonly Stored[]): void;
	ahead(record: Stored): void;
}

export function createFrameSource(outlet: number, send: (message: FromUplink) => void): FrameSource {
	/** Not acknowledged, in order; up to `next` they are taken. */
	const kept: Stored[] = [];
	let next = 0;
	let keptBytes = 0;
	let takenBytes = 0;
	/** Of the newest that has come. */
	let last = 0;
	let asked = false;
	let waiting: () => void = () => {};
	let onAhead: (record: Stored) => void = () => {};

	const sizeOf = (records: readonly Stored[]): number =>
		records.reduce((sum, { payload }) => sum + payload.length, 0);
	const request = (): void => {
		if (asked || kept.length >= most.records || keptBytes >= most.bytes) return;
		if (kept.length - next >= low.records || keptBytes - takenBytes >= low.bytes) return;
		asked = true;
		send({ type: "more", outlet, after: last, ...ask });
	};
	/** Takes records off the front or out of the middle. */
	const drop = (from: number, count: number): void => {
		const gone = kept.splice(from, count);
		const taken = Math.max(0, Math.min(gone.length, next - from));
		keptBytes -= sizeOf(gone);
		takenBytes -= sizeOf(gone.slice(0, taken));
		next -= taken;
	};

	return {
		start: request,
		records(records) {
			asked = false;
			// One request is under way at a time, and each begins where the last answer ended.
			const fresh = records.filter(({ position }) => position > last);
			const wasEmpty = next === kept.length;
			for (const record of fresh) kept.push(record);
			keptBytes += sizeOf(fresh);
			last = fresh.at(-1)?.position ?? last;
			request();
			if (wasEmpty && fresh.length > 0) waiting();
		},
		ahead: (record) => onAhead(record),
		take(maxRecords, maxBytes) {
			const first = next;
			let bytes = 0;
			while (next < kept.length && next - first < maxRecords) {
				const size = (kept[next] as Stored).payload.length;
				if (next > first && bytes + size > maxBytes) break;
				bytes += size;
				next++;
			}
			takenBytes += bytes;
			request();
			return kept.slice(first, next);
		},
		get waiting() {
			return next < kept.length;
		},
		onWaiting(listener) {
			waiting = listener;
		},
		onAhead(listener) {
			onAhead = listener;
		},
		acknowledge(position) {
			const rest = kept.findIndex((record) => record.position > position);
			const done = rest === -1 ? kept.length : rest;
			const newest = kept[done - 1]?.position;
			if (newest === undefined) return;
			drop(0, done);
			send({ type: "acknowledged", outlet, position: newest });
			request();
		},
		rewind() {
			next = 0;
			takenBytes = 0;
		},
		quarantine(position, reason) {
			const at = kept.findIndex((record) => record.position === position);
			if (at === -1) return;
			drop(at, 1);
			send({ type: "quarantine", outlet, position, reason: reason.slice(0, 500) });
			request();
		},
		get held() {
			return kept.length;
		},
	};
}
