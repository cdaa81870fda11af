// What a field is: its type, the kinds of events that have it, and how to get it out of one.
import type { EventKind, Observation, Text } from "../model/event.ts";
import type { Architecture } from "../model/kernel-names.ts";
import type { Container, Process } from "../model/process.ts";
import type { Range } from "./text.ts";

export interface FieldContext {
	userName(uid: number): string | undefined;
	/** Of the host, latin1. */
	groupName?(gid: number): string | undefined;
	readonly hostname: string;
	/** Of the host that captured; this one when left out. */
	readonly architecture?: Architecture;
	/** Unix ms at which the clock of events was 0; 1970 when left out. */
	bootTimeMs?(): number;
	/** The name that was looked up for the remote address of this event, latin1. */
	peerName?(observation: Observation): string | undefined;
}

interface Common {
	/** Undefined: every event has it. */
	readonly kinds?: readonly EventKind[];
}
export interface TextField extends Common {
	readonly type: "text";
	/** Puts the bytes' place into `out`; false when they are nowhere in the event (or there are none). */
	readonly range?: (observation: Observation, out: Range) => boolean;
	readonly get: (observation: Observation, context: FieldContext) => string | undefined;
	/** The text of the record that it is on events of that kind, where it is anything. */
	readonly recorded?: (kind: EventKind) => Text | undefined;
	/** In a condition true when it holds for any of several texts; replaces `get` there. */
	readonly some?: (observation: Observation, holds: (text: string) => boolean) => boolean;
	/** What `get` would put together, piece by piece; false when there is no such text. */
	readonly pieces?: (observation: Observation, say: (piece: string) => void) => boolean;
	/** What it can be on events of a kind, when that is little enough to judge beforehand. */
	readonly possible?: (kind: EventKind) => readonly string[];
	/** Which of those it is on this event: several when the record does not tell them apart. */
	readonly names?: (observation: Observation, context: FieldContext) => readonly string[];
}
export interface NumberField extends Common {
	readonly type: "number" | "bool";
	/** A bool as 0 or 1. */
	readonly get: (observation: Observation, context: FieldContext) => number | undefined;
	/** The condition holds when either does, != when both do. */
	readonly other?: (observation: Observation) => number | undefined;
	/** In a condition true when it holds for any of several numbers; replaces `get` there. */
	readonly some?: (observation: Observation, holds: (number: number) => boolean) => boolean;
}
/** Which end is the server's depends on the kind of event: who accepts is one, who connects is not. */
export type End = "local" | "remote" | "server" | "client";
export interface AddressField extends Common {
	readonly type: "address";
	readonly ends: readonly End[];
}
export type Field = TextField | NumberField | AddressField;
export type Fields = Readonly<Record<string, Field>>;

/** Of a process whose beginning was lost nothing is known, least of all that it is root. */
export function ofProcess(get: (process: Process) => string | undefined): TextField {
	return { type: "text", get: ({ process }) => (process && process.comm !== "" ? get(process) : undefined) };
}

export function numberOfProcess(get: (process: Process) => number | undefined): NumberField {
	return {
		type: "number",
		get: ({ process }) => (process && process.comm !== "" ? get(process) : undefined),
	};
}

export function boolOfProcess(get: (process: Process) => boolean | undefined): NumberField {
	return bool(({ process }) => (process && process.comm !== "" ? get(process) : undefined));
}

/** The same, said in pieces where no text has to be made. */
export function inPieces(
	field: TextField,
	of: (process: Process) => Process | undefined,
	say: (process: Process, say: (piece: string) => void) => void,
): TextField {
	return {
		...field,
		pieces: ({ process }, each) => {
			const subject = process && process.comm !== "" ? of(process) : undefined;
			if (!subject || subject.comm === "") return false;
			say(subject, each);
			return true;
		},
	};
}

/** The first 12 digits; "host" outside containers. */
export function containerId({ cgroup }: Process): string {
	return cgroup?.container?.id.slice(0, 12) ?? "host";
}

export function ofContainer(get: (container: Container) => string | undefined): TextField {
	return {
		type: "text",
		get: ({ process }) => {
			const container = process?.cgroup?.container;
			return container?.known ? get(container) : undefined;
		},
	};
}

export function text(kinds: readonly EventKind[], get: TextField["get"]): TextField {
	return { type: "text", kinds, get };
}

export function number(kinds: readonly EventKind[], get: NumberField["get"]): NumberField {
	return { type: "number", kinds, get };
}

export function bool(
	get: (observation: Observation) => boolean | undefined,
	kinds?: readonly EventKind[],
): NumberField {
	return {
		type: "bool",
		...(kinds && { kinds }),
		get: (observation) => {
			const value = get(observation);
			return value === undefined ? undefined : Number(value);
		},
	};
}
