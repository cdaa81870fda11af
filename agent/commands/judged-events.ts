// Events that rules can be put before again and again: the built-in ones, or those of a recording.
import { pino } from "pino";
import type { Config } from "../config/load.ts";
import { RecordView } from "../decode/view.ts";
import type { FieldContext } from "../detect/field.ts";
import type { Events } from "../detect/measure.ts";
import { ProcessTree } from "../enrich/tree.ts";
import { memoryOf } from "../model/encode.ts";
import { EventKind, type Observation } from "../model/event.ts";
import type { Process } from "../model/process.ts";
import { replayInto } from "./recording.ts";
import { usualRecords } from "./usual-events.ts";

/** More are not kept: a cost does not become truer by them. */
const mostPerKind = 20_000;

export interface Stream {
	readonly events: Events;
	readonly context: FieldContext;
	/** What it is, for people. */
	readonly name: string;
}

class Kept implements Events {
	readonly kinds: EventKind[];
	readonly observation: { readonly event: RecordView; process: Process | undefined };
	readonly #processes: readonly (Process | undefined)[];
	readonly #places: readonly [offset: number, size: number][];

	constructor(records: readonly Buffer[], kinds: EventKind[], processes: readonly (Process | undefined)[]) {
		const { memory, places } = memoryOf(records);
		const event = new RecordView();
		event.attach(memory);
		this.observation = { event, process: undefined };
		this.kinds = kinds;
		this.#places = places;
		this.#processes = processes;
	}
	show(place: number): void {
		const [offset, size] = this.#places[place] as [number, number];
		// A new number: nothing that was found out of the event before holds now.
		this.observation.event.move(offset, size, ++this.#number);
		this.observation.process = this.#processes[place];
	}
	#number = 0;
}

/** The events that every host has, as far as they can be made up. */
export function usualEvents(): Stream {
	const records = usualRecords();
	const { memory, places } = memoryOf(records);
	const view = new RecordView();
	view.attach(memory);
	const tree = new ProcessTree({
		limit: 65_536,
		cgroup: () => undefined,
		read: () => undefined,
		onRead: () => undefined,
	});
	const kinds: EventKind[] = [];
	const processes = places.map(([offset, size], index) => {
		if (!view.move(offset, size, index + 1)) throw new Error("a made-up record is none");
		const process = tree.apply(view);
		kinds.push(view.kind);
		if (view.kind === EventKind.exit) tree.forget(view);
		return process;
	});
	return {
		name: "built-in events of ordinary work",
		events: new Kept(records, kinds, processes),
		context: { hostname: "host", userName: () => "www-data" },
	};
}

/** Those of a recording. Throws what reading it throws. */
export function recordedEvents(file: string, limits: Config["limits"]): Stream {
	const records: Buffer[] = [];
	const kinds: EventKind[] = [];
	const processes: (Process | undefined)[] = [];
	const counts: number[] = [];
	let context: FieldContext = { hostname: "", userName: () => undefined };
	let seen: Process | undefined;
	let kind: EventKind = EventKind.exec;
	replayInto(file, limits, pino({ level: "silent" }), (replayed) => {
		context = replayed.context;
		const note = ({ event, process }: Observation): void => {
			kind = event.kind;
			seen = process;
		};
		return {
			detectors: [{ evaluate: note }],
			tap: (memory, offset, bytes) => {
				const count = counts[kind] ?? 0;
				if (count === mostPerKind) return;
				counts[kind] = count + 1;
				kinds.push(kind);
				processes.push(seen);
				records.push(Buffer.from(memory.subarray(offset, offset + bytes)));
			},
		};
	});
	return { name: `events of ${file}`, events: new Kept(records, kinds, processes), context };
}
