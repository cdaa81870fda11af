// A spool in memory for the tests of what reads from one.
import type { RecordFilter, Spool, SpoolReader, Stored } from "../../../agent/model/delivery.ts";
import { severities } from "../../../agent/model/verdict.ts";

export interface MemorySpool extends Spool {
	readonly quarantined: { readonly name: string; readonly position: number; readonly reason: string }[];
}

export function createMemorySpool(): MemorySpool {
	const records: Stored[] = [];
	const readers = new Map<string, SpoolReader & { committed(record: Stored): void }>();
	const quarantined: { name: string; position: number; reason: string }[] = [];
	let position = 0;
	const wants = (filter: RecordFilter, record: Stored): boolean =>
		filter.kinds.includes(record.kind) &&
		(!["alert", "incident"].includes(record.kind) ||
			severities.indexOf(record.severity) >= severities.indexOf(filter.severity));
	return {
		quarantined,
		push(record) {
			const stored = { ...record, position: ++position };
			records.push(stored);
			setImmediate(() => {
				for (const reader of readers.values()) reader.committed(stored);
			});
		},
		reader(name, filter) {
			let acknowledged = position;
			let listener: (records: readonly Stored[]) => void = () => {};
			const mine = (after: number) => records.filter((each) => each.position > after && wants(filter, each));
			const reader = {
				name,
				get acknowledged() {
					return acknowledged;
				},
				async read(after: number, maxRecords: number, maxBytes: number) {
					const found: Stored[] = [];
					let bytes = 0;
					for (const record of mine(after)) {
						bytes += record.payload.length;
						if (found.length > 0 && (found.length >= maxRecords || bytes > maxBytes)) break;
						found.push(record);
					}
					return found;
				},
				onCommitted(next: (records: readonly Stored[]) => void) {
					listener = next;
				},
				acknowledge(to: number) {
					acknowledged = Math.max(acknowledged, to);
				},
				quarantine(at: number, reason: string) {
					quarantined.push({ name, position: at, reason });
				},
				get backlog() {
					return mine(acknowledged).length;
				},
				committed(record: Stored) {
					if (wants(filter, record)) listener([record]);
				},
			};
			readers.set(name, reader);
			return reader;
		},
		retain: (names) => {
			for (const name of readers.keys()) if (!names.includes(name)) readers.delete(name);
		},
		status: () => ({ records: String(records.length) }),
		flush: async () => {},
		close: async () => {},
	};
}
