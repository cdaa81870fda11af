// Records in memory as an uplink's destination gets them, and what became of them.
import type { RecordSource, Stored } from "../../../agent/model/delivery.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { recordCodec } from "../../../agent/report/protojson.ts";
import { recordKind } from "../../../agent/report/record.ts";

export interface MemorySource extends RecordSource {
	push(record: wire.OutputRecord): void;
	/** Bytes that are no record. */
	pushBytes(payload: Buffer): void;
	/** Positions in the order of their taking, repeats included. */
	readonly taken: number[];
	readonly acknowledged: number;
	readonly quarantined: { readonly position: number; readonly reason: string }[];
	readonly rewinds: number;
}

export function memorySource(): MemorySource {
	let records: Stored[] = [];
	let next = 0;
	let position = 0;
	let acknowledged = 0;
	let rewinds = 0;
	let listener = (): void => {};
	const taken: number[] = [];
	const quarantined: { position: number; reason: string }[] = [];
	const add = (record: Omit<Stored, "position">): void => {
		records.push({ ...record, position: ++position });
		listener();
	};
	return {
		taken,
		quarantined,
		push(record) {
			const kind = recordKind(record) ?? "event";
			add({
				bootId: "b",
				sequence: Number(record.sequence),
				kind,
				severity: "informational",
				payload: recordCodec.encode(record),
			});
		},
		pushBytes: (payload) =>
			add({ bootId: "b", sequence: 0, kind: "alert", severity: "informational", payload }),
		take(maxRecords, maxBytes) {
			const batch: Stored[] = [];
			for (let bytes = 0; next < records.length && batch.length < maxRecords; next++) {
				const record = records[next] as Stored;
				bytes += record.payload.length;
				if (batch.length > 0 && bytes > maxBytes) break;
				batch.push(record);
			}
			taken.push(...batch.map((record) => record.position));
			return batch;
		},
		get waiting() {
			return next < records.length;
		},
		onWaiting(given) {
			listener = given;
		},
		onAhead() {},
		acknowledge(upTo) {
			if (upTo < acknowledged || upTo > position)
				throw new Error(`acknowledged ${upTo} after ${acknowledged}`);
			acknowledged = upTo;
			const kept = records.findIndex((record) => record.position > upTo);
			const gone = kept === -1 ? records.length : kept;
			records = records.slice(gone);
			next = Math.max(0, next - gone);
		},
		rewind() {
			rewinds++;
			next = 0;
		},
		quarantine(at, reason) {
			quarantined.push({ position: at, reason });
			records = records.filter((record, index) => {
				if (record.position !== at) return true;
				if (index < next) next--;
				return false;
			});
		},
		get held() {
			return records.length;
		},
		get acknowledged() {
			return acknowledged;
		},
		get rewinds() {
			return rewinds;
		},
	};
}
