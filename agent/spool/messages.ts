// What the sensor's thread and the spool's two threads say to each other. The writer answers every request but `stop`
// with one answer, in order; so does the reader, which is a thread of its own so that reading never waits for writing.
import type { Batch } from "./batch.ts";
import type { Place } from "./database.ts";

/** Records of one class that went for want of room: all up to and with a position. */
export interface Evicted {
	readonly class: number;
	readonly upTo: number;
	readonly count: number;
	/** Unix ms of the first and the last one. */
	readonly first: number;
	readonly last: number;
}

export interface Quarantined {
	readonly reader: string;
	readonly position: number;
	readonly time: number;
	readonly reason: string;
}

export type ToWriter =
	| {
			readonly type: "open";
			/** Positions up to here were given already. */
			readonly given: number;
			/** Records were handed out from memory before the file could be opened: what lies in it comes after them. */
			readonly served: boolean;
			/** What was found wrong with the file while it was in use; "" otherwise. */
			readonly damage: string;
	  }
	| {
			readonly type: "commit";
			readonly batch: Batch;
			/** All that changed since the last time. */
			readonly places: readonly Place[];
			readonly quarantined: readonly Quarantined[];
			/** [class, records] whose loss was told. */
			readonly told: readonly (readonly [number, number])[];
			/** [class, position] of rows that were found damaged. */
			readonly broken: readonly (readonly [number, number])[];
	  }
	/** Readers to forget; with none of them it just asks for the figures. */
	| { readonly type: "forget"; readonly names: readonly string[] }
	| { readonly type: "stop" };

export interface Figures {
	/** Records by class. */
	readonly counts: readonly number[];
	/** Of file and log together. */
	readonly bytes: number;
	/** Unix ms; 0 when empty. */
	readonly oldest: number;
	/** What no reader wants any more is still being deleted. */
	readonly tidying: boolean;
}

export type FromWriter =
	| {
			readonly type: "opened";
			readonly first: number;
			readonly places: readonly Place[];
			readonly damaged: boolean;
			readonly broken: number;
			readonly problems: readonly string[];
			readonly unchecked: boolean;
			/** Losses that a run before could not tell any more. */
			readonly untold: readonly Evicted[];
			readonly quarantined: readonly Quarantined[];
			readonly figures: Figures;
	  }
	| {
			readonly type: "committed";
			readonly evicted: readonly Evicted[];
			/** Classes whose records of this batch found no room; counted in `evicted`. */
			readonly refused: readonly number[];
			readonly figures: Figures;
	  }
	/** Nothing of the request was done. */
	| { readonly type: "failed"; readonly reason: string; readonly damage: boolean };

export type ToReader =
	| {
			readonly type: "read";
			/** Another number than before: the file was opened anew. */
			readonly generation: number;
			readonly after: number;
			readonly mask: number;
			readonly maxRecords: number;
			readonly maxBytes: number;
	  }
	| { readonly type: "check"; readonly generation: number }
	/** Records after its place, for each. */
	| { readonly type: "count"; readonly generation: number; readonly places: readonly Place[] }
	| { readonly type: "stop" };

export type FromReader =
	| {
			readonly type: "records";
			readonly batch: Batch;
			/** [class, position] of rows whose content is not what was written. */
			readonly broken: readonly (readonly [number, number])[];
	  }
	| { readonly type: "counts"; readonly counts: readonly number[] }
	| { readonly type: "checked" }
	| { readonly type: "failed"; readonly reason: string; readonly damage: boolean };
