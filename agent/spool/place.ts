// One reader's place on the sensor's side: what it has acknowledged, what it was handed, how much waits for it.
import type { RecordFilter, Stored } from "../model/delivery.ts";
import type { Entry } from "./batch.ts";
import { classAt, has, maskOf } from "./classes.ts";
import type { Place } from "./database.ts";

export interface ReaderPlace {
	readonly name: string;
	readonly mask: number;
	/** A configuration named it in this run. */
	readonly registered: boolean;
	readonly acknowledged: number;
	readonly backlog: number;
	/** Records handed out and not acknowledged. */
	readonly handed: number;
	listener: ((records: readonly Stored[]) => void) | undefined;
	register(filter: RecordFilter): void;
	/** Only forward. */
	moveTo(position: number): void;
	/** A record that it wants is there now. */
	added(entry: Entry): void;
	handedOut(entries: readonly Entry[]): void;
	went(index: number, upTo: number, count: number): void;
	setBacklog(count: number): void;
	wants(entry: Entry): boolean;
	setAside(position: number): void;
	/** What the disk keeps of it. */
	place(): Place;
}

export function storedOf(entry: Entry): Stored {
	const { kind, severity } = classAt(entry.class);
	const { position, bootId, sequence, payload } = entry;
	return {
		position,
		bootId,
		sequence,
		kind,
		severity,
		payload: Buffer.isBuffer(payload)
			? payload
			: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength),
	};
}

export function createPlace(name: string, start: Place | undefined): ReaderPlace {
	let mask = start?.mask ?? 0;
	let acknowledged = start?.acknowledged ?? 0;
	let registered = false;
	let backlog = 0;
	/** Positions handed out and not acknowledged, in order. */
	let handed: number[] = [];
	const aside = new Set<number>();
	const lower = (count: number): void => {
		backlog = Math.max(0, backlog - count);
	};
	return {
		name,
		listener: undefined,
		get mask() {
			return mask;
		},
		get registered() {
			return registered;
		},
		get acknowledged() {
			return acknowledged;
		},
		get handed() {
			return handed.length;
		},
		get backlog() {
			return backlog;
		},
		register(filter) {
			registered = true;
			mask = maskOf(filter);
		},
		moveTo(position) {
			if (!(position > acknowledged)) return;
			acknowledged = position;
			const left = handed.findIndex((each) => each > position);
			lower(left < 0 ? handed.length : left);
			handed = left < 0 ? [] : handed.slice(left);
			for (const each of aside) if (each <= position) aside.delete(each);
		},
		added: () => {
			backlog++;
		},
		handedOut(entries) {
			const last = handed.at(-1) ?? acknowledged;
			for (const { position } of entries) if (position > last) handed.push(position);
		},
		went(index, upTo, count) {
			if (has(mask, index) && upTo > acknowledged) lower(count);
		},
		setBacklog(count) {
			backlog = count;
		},
		wants: (entry) => has(mask, entry.class) && entry.position > acknowledged && !aside.has(entry.position),
		setAside(position) {
			if (position <= acknowledged || aside.has(position)) return;
			aside.add(position);
			handed = handed.filter((each) => each !== position);
			lower(1);
		},
		place: () => ({ name, mask, acknowledged }),
	};
}
