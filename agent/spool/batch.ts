// How records go between the threads: one block of bytes and a few arrays of numbers, handed over without a copy. An
// object a record would be cloned member by member on the sensor's own thread.
import { crc32 } from "node:zlib";

/** A record with the number of its class (classes.ts). */
export interface Entry {
	position: number;
	readonly class: number;
	readonly bootId: string;
	readonly sequence: number;
	/** Unix ms of its push. */
	readonly time: number;
	readonly payload: Uint8Array;
}

export interface Batch {
	readonly positions: Float64Array<ArrayBuffer>;
	readonly sequences: Float64Array<ArrayBuffer>;
	readonly times: Float64Array<ArrayBuffer>;
	readonly classes: Uint8Array<ArrayBuffer>;
	readonly sizes: Uint32Array<ArrayBuffer>;
	/** Places in `bootIds`. */
	readonly boots: Uint16Array<ArrayBuffer>;
	readonly bootIds: readonly string[];
	readonly payloads: Uint8Array<ArrayBuffer>;
}

/** At most 65,535 entries. */
export function pack(entries: readonly Entry[]): Batch {
	const count = entries.length;
	const bootIds: string[] = [];
	const batch: Batch = {
		positions: new Float64Array(count),
		sequences: new Float64Array(count),
		times: new Float64Array(count),
		classes: new Uint8Array(count),
		sizes: new Uint32Array(count),
		boots: new Uint16Array(count),
		bootIds,
		payloads: new Uint8Array(entries.reduce((sum, { payload }) => sum + payload.length, 0)),
	};
	let offset = 0;
	let lastBoot = -1;
	entries.forEach((entry, index) => {
		if (bootIds[lastBoot] !== entry.bootId) {
			lastBoot = bootIds.indexOf(entry.bootId);
			if (lastBoot < 0) lastBoot = bootIds.push(entry.bootId) - 1;
		}
		batch.positions[index] = entry.position;
		batch.sequences[index] = entry.sequence;
		batch.times[index] = entry.time;
		batch.classes[index] = entry.class;
		batch.sizes[index] = entry.payload.length;
		batch.boots[index] = lastBoot;
		batch.payloads.set(entry.payload, offset);
		offset += entry.payload.length;
	});
	return batch;
}

/** The payloads are views into the batch. */
export function unpack(batch: Batch): Entry[] {
	const entries: Entry[] = [];
	let offset = 0;
	for (let index = 0; index < batch.positions.length; index++) {
		const size = batch.sizes[index] ?? 0;
		entries.push({
			position: batch.positions[index] ?? 0,
			class: batch.classes[index] ?? 0,
			bootId: batch.bootIds[batch.boots[index] ?? 0] ?? "",
			sequence: batch.sequences[index] ?? 0,
			time: batch.times[index] ?? 0,
			payload: batch.payloads.subarray(offset, offset + size),
		});
		offset += size;
	}
	return entries;
}

/** What need not be cloned when it is posted. */
export function transferables(batch: Batch): ArrayBuffer[] {
	const { positions, sequences, times, classes, sizes, boots, payloads } = batch;
	return [positions, sequences, times, classes, sizes, boots, payloads].map(({ buffer }) => buffer);
}

/** Over all that makes a record, so that nothing which the disk has changed is delivered as if it were true. */
export function checksumOf(entry: Entry): number {
	const { position, class: number, bootId, sequence, time } = entry;
	return crc32(entry.payload, crc32(`${position} ${number} ${sequence} ${time} ${bootId}`));
}
