// Which records are on their way to one console: batches taken from the source, in order and of one boot each, until
// the console has stored them. Knows nothing of sockets.
import type { RecordSource, Stored } from "../model/delivery.ts";
import { createSuspect } from "./stream-suspect.ts";

export interface StreamWindow {
	/** A console has greeted and says what it has of this boot. What it never got is sent all the same. */
	begin(bootId: string, storedSequence: number): void;
	/** The next batch to send, now on its way; undefined when there is none or no room. */
	next(): Batch | undefined;
	/** False when the console has acknowledged what was never sent: nothing is changed then. */
	acknowledge(bootId: string, sequence: number): boolean;
	/** The stream is over; what was on its way comes again. `slow`: nothing came through in time. */
	lost(cause: "refused" | "broken" | "slow" | "here"): void;
	/** It is another console now: what the one before refused may suit it. */
	forgive(): void;
	/** Records on the way. */
	readonly records: number;
	/** performance.now() of the oldest batch on the way; undefined without one. */
	readonly since: number | undefined;
	/** A batch is suspected to end streams: nothing else should be sent meanwhile. */
	readonly alone: boolean;
	/** The next connection should come at once, and to the same address. */
	readonly eager: boolean;
	/** It should come soon. */
	readonly halving: boolean;
	/** Records sent for the first time, and those acknowledged. */
	readonly sent: number;
	readonly acknowledged: number;
}

export interface Batch {
	readonly bootId: string;
	readonly records: readonly Stored[];
	/** There was more than fits into one. */
	readonly full: boolean;
}

interface Entry {
	readonly bootId: string;
	/** Those not acknowledged yet. */
	records: readonly Stored[];
	readonly sentAt: number;
	/** "known": the console has said that it has them; "withheld": left out on trial. */
	readonly state: "sent" | "known" | "withheld";
}

export const batchRecords = 500;
const batchBytes = 256 * 1024;
const leastBytes = 16 * 1024;
const windowBatches = 8;
/** Boots whose highest sequence is remembered. */
const maxBoots = 64;

export function createWindow(source: RecordSource, tell: (text: string) => void): StreamWindow {
	let entries: Entry[] = [];
	/** Taken and not sent yet. */
	let taken: Stored[] = [];
	let takenFull = false;
	let trying = false;
	let onTheWay = 0;
	const highest = new Map<string, number>();
	let highestPosition = 0;
	let known = { bootId: "", sequence: 0 };
	/** Left out up to here; a console that has what comes after may take them for repeats. */
	let doubtful = 0;
	let sent = 0;
	let acknowledged = 0;
	const suspect = createSuspect();
	// A slow link gets less at a time, so that its answers come in time.
	let bytes = batchBytes;
	let batches = windowBatches;

	const fill = (): void => {
		const trial = suspect.onTrial;
		const limit = trial.length > 0 ? trial.length + 1 : Math.min(batchRecords, suspect.limit);
		trying = trial.length > 0;
		taken = source.take(limit, trying ? Number.POSITIVE_INFINITY : bytes);
		const size = taken.reduce((sum, record) => sum + record.payload.length, 0);
		takenFull = taken.length >= limit || size >= bytes * 0.75;
		if (trial.length === 0) return;
		const same = trial.every((record, index) => taken[index]?.position === record.position);
		if (!same) suspect.clear();
		else if (taken.length <= trial.length) suspect.acquit();
		else add(taken.splice(0, trial.length), "withheld");
	};
	const add = (records: readonly Stored[], state: Entry["state"]): void => {
		const bootId = records[0]?.bootId ?? "";
		entries.push({ bootId, records, state, sentAt: performance.now() });
		onTheWay += records.length;
	};
	const remember = (bootId: string, records: readonly Stored[]): void => {
		const last = records.at(-1);
		if (last === undefined) return;
		sent += records.filter((record) => record.position > highestPosition).length;
		highestPosition = Math.max(highestPosition, last.position);
		highest.set(bootId, Math.max(highest.get(bootId) ?? 0, last.sequence));
		for (const old of highest.keys()) {
			if (highest.size <= maxBoots) break;
			highest.delete(old);
		}
	};
	/** The records at the front that are of one boot, and all or none of them known to the console. */
	const cut = (): Stored[] => {
		const bootId = taken[0]?.bootId;
		const isKnown = (record: Stored): boolean =>
			record.bootId === known.bootId && record.sequence <= known.sequence;
		const state = taken[0] !== undefined && isKnown(taken[0]);
		const end = taken.findIndex((record) => record.bootId !== bootId || isKnown(record) !== state);
		// What was taken for a trial that did not come about goes one by one.
		const most = trying ? 1 : taken.length;
		return taken.splice(0, Math.min(most, end === -1 ? taken.length : end));
	};
	const settle = (entry: Entry, count: number): void => {
		onTheWay -= count;
		acknowledged += count;
		entry.records = entry.records.slice(count);
		if (entry.state === "sent" || entry.state === "known") {
			bytes = Math.min(batchBytes, bytes * 2);
			batches = Math.min(windowBatches, batches + 1);
		}
	};
	/** Frees what is at the front and done. */
	const advance = (done: (entry: Entry) => number): void => {
		let position = 0;
		for (let entry = entries[0]; entry !== undefined; entry = entries[0]) {
			const count = done(entry);
			if (count === 0) break;
			position = entry.records[count - 1]?.position ?? position;
			settle(entry, count);
			if (entry.records.length > 0) break;
			entries.shift();
		}
		if (position === 0) return;
		source.acknowledge(position);
		suspect.passed(position);
		if (position >= doubtful) doubtful = 0;
	};
	const condemn = (record: Stored): void => {
		const what = `record ${record.sequence} of boot ${record.bootId} (${record.kind})`;
		const reason = "the console ends the stream whenever it gets this record, and takes the one after it";
		source.quarantine(record.position, reason);
		suspect.clear();
		tell(`${what} is set aside: ${reason}`);
	};

	return {
		begin(bootId, storedSequence) {
			// One that claims to have what it never got is not believed at all.
			const possible = storedSequence <= (highest.get(bootId) ?? 0);
			known = { bootId, sequence: possible ? storedSequence : 0 };
		},
		next() {
			for (;;) {
				if (taken.length === 0) {
					const room = suspect.alone ? 1 : batches;
					if (entries.length >= room || !source.waiting) return undefined;
					fill();
				}
				if (taken.length === 0) return undefined;
				const records = cut();
				const bootId = records[0]?.bootId ?? "";
				if (bootId === known.bootId && (records[0]?.sequence ?? 0) <= known.sequence) {
					for (const record of records) if (record.position <= doubtful) condemn(record);
					add(records, "known");
					advance((entry) => (entry.state === "known" ? entry.records.length : 0));
					continue;
				}
				add(records, "sent");
				remember(bootId, records);
				return { bootId, records, full: takenFull || taken.length > 0 };
			}
		},
		acknowledge(bootId, sequence) {
			if (sequence > (highest.get(bootId) ?? 0)) return false;
			const covers = (record: Stored): boolean => record.bootId === bootId && record.sequence <= sequence;
			const [held, control] = entries;
			if (held?.state === "withheld" && control?.records[0] !== undefined && covers(control.records[0])) {
				for (const record of held.records) condemn(record);
				onTheWay -= held.records.length;
				entries.shift();
				doubtful = 0;
			}
			advance((entry) => {
				if (entry.state === "known") return entry.records.length;
				if (entry.state === "withheld") return 0;
				const rest = entry.records.findIndex((record) => !covers(record));
				return rest === -1 ? entry.records.length : rest;
			});
			return true;
		},
		lost(cause) {
			const oldest = entries.find((entry) => entry.state === "sent");
			const told = cause === "refused" || cause === "broken";
			if (entries[0]?.state === "withheld") {
				doubtful = entries[0].records.at(-1)?.position ?? 0;
				if (told && oldest?.records[0] !== undefined) suspect.controlEnded(oldest.records[0], cause);
				else suspect.acquit();
			} else if (told && oldest !== undefined) suspect.ended(oldest.records, cause);
			if (cause === "slow" && oldest !== undefined) {
				bytes = Math.max(leastBytes, Math.floor(bytes / 4));
				batches = 1;
			}
			entries = [];
			taken = [];
			onTheWay = 0;
			source.rewind();
		},
		forgive: suspect.clear,
		get records() {
			return onTheWay;
		},
		get since() {
			return entries[0]?.sentAt;
		},
		get alone() {
			return suspect.alone;
		},
		get halving() {
			return suspect.halving;
		},
		get eager() {
			return suspect.eager && source.held > suspect.onTrial.length;
		},
		get sent() {
			return sent;
		},
		get acknowledged() {
			return acknowledged;
		},
	};
}
