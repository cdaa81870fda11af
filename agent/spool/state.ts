// What the writing and the reading half of the spool both go by, in memory of the sensor's own thread.
import type { Logger } from "pino";
import type { Entry } from "./batch.ts";
import type { Changes } from "./changes.ts";
import type { Losses } from "./losses.ts";
import type { ReaderPlace } from "./place.ts";
import type { WaitingQueue } from "./queue.ts";
import type { Tail } from "./tail.ts";

export interface State {
	/** The newest position given; 0 until the first ones are known. */
	given: number;
	/** The file was tried once, whatever came of it. */
	tried: boolean;
	everOpened: boolean;
	/** Records are handed out from memory since the disk takes none. */
	away: boolean;
	/** Some were, before the file was ever opened. */
	served: boolean;
	/** What is wrong with the file, until it is opened anew; "" otherwise. */
	damage: string;
	/** Places may have gone with a damaged file: who is new begins with all that is there. */
	placesLost: boolean;
	/** How often the file was opened. */
	generation: number;
	/** On their way to the disk. */
	flying: readonly Entry[];
	/** Records set aside, since the file began. */
	quarantined: number;
	closed: boolean;
}

export interface Parts {
	readonly path: string;
	readonly state: State;
	readonly queue: WaitingQueue;
	readonly tail: Tail;
	readonly readers: Map<string, ReaderPlace>;
	readonly changes: Changes;
	readonly losses: Losses;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
}

export function firstState(): State {
	return {
		given: 0,
		tried: false,
		everOpened: false,
		away: false,
		served: false,
		damage: "",
		placesLost: false,
		generation: 0,
		flying: [],
		quarantined: 0,
		closed: false,
	};
}
