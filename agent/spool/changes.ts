// What the disk is still to be told besides the records: places that moved, records set aside, rows found damaged, losses
// that were told. The next commit carries it; when that fails it waits for the one after.
import type { Place } from "./database.ts";
import type { Quarantined, ToWriter } from "./messages.ts";
import type { ReaderPlace } from "./place.ts";

type Told = Extract<ToWriter, { type: "commit" }>["told"];
type Broken = Extract<ToWriter, { type: "commit" }>["broken"];

export interface Taken {
	readonly places: readonly Place[];
	readonly quarantined: readonly Quarantined[];
	readonly told: Told;
	readonly broken: Broken;
	putBack(): void;
}

export interface Changes {
	moved(reader: ReaderPlace): void;
	setAside(record: Quarantined): void;
	/** [class, position] */
	broken(index: number, position: number): void;
	/** [class, records] whose loss was told. */
	told(losses: Told): void;
	forget(reader: ReaderPlace): void;
	/** Readers that are to be forgotten, each once. */
	takeForgotten(): string[];
	/** `last`: all records go along, so that the gaps that were told do. */
	take(last: boolean): Taken;
	/** Of all but told losses. */
	readonly waiting: number;
	readonly forgetting: boolean;
	readonly telling: boolean;
}

export function createChanges(): Changes {
	const moved = new Set<ReaderPlace>();
	let quarantined: Quarantined[] = [];
	let broken: Broken[number][] = [];
	let told: Told[number][] = [];
	let forgotten: string[] = [];
	return {
		moved: (reader) => void moved.add(reader),
		setAside: (record) => void quarantined.push(record),
		broken: (index, position) => void broken.push([index, position]),
		told: (losses) => void told.push(...losses),
		forget(reader) {
			moved.delete(reader);
			forgotten.push(reader.name);
		},
		takeForgotten() {
			const names = forgotten;
			forgotten = [];
			return names;
		},
		take(last) {
			const readers = [...moved];
			const taken = {
				places: readers.map((reader) => reader.place()),
				quarantined,
				// Their gap is on the disk with this batch, not with one before.
				told: last ? told : [],
				broken,
			};
			moved.clear();
			quarantined = [];
			broken = [];
			if (last) told = [];
			return {
				...taken,
				putBack() {
					for (const reader of readers) moved.add(reader);
					quarantined.unshift(...taken.quarantined);
					broken.unshift(...taken.broken);
					told.unshift(...taken.told);
				},
			};
		},
		get waiting() {
			return moved.size + quarantined.length + broken.length;
		},
		get forgetting() {
			return forgotten.length > 0;
		},
		get telling() {
			return told.length > 0;
		},
	};
}
