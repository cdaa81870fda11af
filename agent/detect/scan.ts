// Looks a field's text up in the literals of all rules at once, wherever the text is: in the event's bytes, in a
// string of the process, or in several pieces. Makes no string of its own where the field has a cheaper way.
import { EventFlag, EventKind, type Observation } from "../model/event.ts";
import { Automaton, type Literal } from "./automaton.ts";
import type { FieldContext, TextField } from "./field.ts";
import { findField } from "./fields.ts";
import { recordedField } from "./fields-file.ts";
import { sockets } from "./fields-socket.ts";
import { type Sought, soughtOf } from "./literals.ts";
import type { Predicate } from "./predicate.ts";
import { type Range, slotOf } from "./text.ts";

export interface Scanner {
	/** Reports what may be true of this event. */
	scan(observation: Observation, context: FieldContext): void;
}

export type Entry = readonly [literal: Literal, value: number];

/** The text a predicate is looked up in; of a file's name one look answers for its parts. */
export type Place = Sought;

/** The text that a predicate is looked up in, and the literals there; undefined when it cannot be looked up. */
export function placeOf(predicate: Predicate, kind: EventKind): Place | undefined {
	const place = soughtOf(predicate);
	// One of a few words, judged by what they say of an event as a whole: nothing to look up.
	if (!place || place.field.names) return undefined;
	const { fieldName, field, literals } = place;
	// Several fields are the same text of the record, and one look answers for all.
	const text = field.recorded?.(kind);
	if (text !== undefined) return { ...place, fieldName: `text ${text}`, field: recordedField(text) };
	// Arguments are the end of the command line.
	if (fieldName === "proc.args" && line?.type === "text" && literals.every(({ text: each }) => each !== ""))
		return { ...place, fieldName: "proc.cmdline", field: line, literals: literals.map(inLine) };
	// A file's directory and its last name are parts of its path: one look at that answers for all three.
	const path = kind === EventKind.open && findField("fd.name", undefined);
	if (path && path.type === "text") {
		if (fieldName === "fd.directory")
			return { ...place, fieldName: "fd.name", field: path, literals: literals.map(inDirectory) };
		if (fieldName === "fd.filename")
			return { ...place, fieldName: "fd.name", field: path, literals: literals.flatMap(inFilename) };
	}
	return place;
}

const line = findField("proc.cmdline", undefined);
function inLine({ text, begin, end }: Literal): Literal {
	return { text: begin ? ` ${text}` : text, begin: false, end };
}
function inDirectory({ text, begin, end }: Literal): Literal {
	return { text: end && text !== "/" ? `${text}/` : text, begin, end: false };
}
/** The name begins after a slash, or is all there is. */
function inFilename({ text, begin, end }: Literal): Literal[] {
	if (!begin) return [{ text, begin, end }];
	return [
		{ text: `/${text}`, begin: false, end },
		{ text, begin: true, end },
	];
}

/** `onFound` gets values of the entries, the same ones perhaps more than once. */
export function scannerOf(
	{ fieldName, field, ignoreCase }: Omit<Place, "literals">,
	kind: EventKind,
	entries: readonly Entry[],
	onFound: (values: Int32Array) => void,
): Scanner {
	const read = reader(field, entries, onFound, ignoreCase);
	if (fieldName !== "fd.name") return { scan: read };
	if (kind === EventKind.open) return { scan: openReader(entries, read, onFound) };
	if (sockets.includes(kind)) return { scan: socketReader(entries, read, onFound) };
	return { scan: read };
}

type Read = (observation: Observation, context: FieldContext) => void;

function reader(
	{ range: place, pieces, some, get }: TextField,
	entries: readonly Entry[],
	onFound: (values: Int32Array) => void,
	ignoreCase: boolean,
): Read {
	const automaton = new Automaton(entries, (values) => found(values), ignoreCase);
	let found = onFound;
	const range: Range = { bytes: Buffer.alloc(0), start: 0, size: 0 };
	const say = (piece: string): void => automaton.string(piece);
	const whole = remembering((text, collect) => {
		found = collect;
		automaton.begin();
		automaton.string(text);
		automaton.end();
		found = onFound;
	}, onFound);
	if (some) return (observation) => void some(observation, whole);
	if (pieces) {
		return (observation) => {
			automaton.begin();
			if (pieces(observation, say)) automaton.end();
		};
	}
	return (observation, context) => {
		if (place?.(observation, range)) {
			automaton.begin();
			automaton.bytes(range.bytes, range.start, range.size);
			automaton.end();
			return;
		}
		const text = get(observation, context);
		if (text !== undefined) whole(text);
	};
}

/** A power of two. */
const slots = 256;
/** Longer texts are not kept alive. */
const longest = 256;
const nothing = new Int32Array(0);

/**
 * What a look at a text finds, kept for the texts looked at last: strings are texts of processes, of which there are
 * few. Makes an object only for a text that is not among them and in which something is found.
 */
function remembering(
	look: (text: string, onFound: (values: Int32Array) => void) => void,
	onFound: (values: Int32Array) => void,
): (text: string) => false {
	const texts = new Array<string | undefined>(slots).fill(undefined);
	const answers = new Array<Int32Array>(slots).fill(nothing);
	const collected = new Set<number>();
	const collect = (values: Int32Array): void => {
		for (let i = 0; i < values.length; i++) collected.add(values[i] as number);
	};
	return (text) => {
		if (text.length > longest) {
			look(text, onFound);
			return false;
		}
		const slot = slotOf(text) & (slots - 1);
		if (texts[slot] !== text) {
			look(text, collect);
			texts[slot] = text;
			answers[slot] = collected.size === 0 ? nothing : Int32Array.from(collected);
			if (collected.size > 0) collected.clear();
		}
		const answer = answers[slot] as Int32Array;
		if (answer.length > 0) onFound(answer);
		return false;
	};
}

/** A record that has a file and yet only the directory of it is none of the kernel's: everything may be true. */
function openReader(entries: readonly Entry[], read: Read, onFound: (values: Int32Array) => void): Read {
	const all = Int32Array.from(new Set(entries.map(([, value]) => value)));
	return (observation, context) => {
		const { event } = observation;
		if ((event.flags & EventFlag.pathIsBase) !== 0 && event.result >= 0) onFound(all);
		else read(observation, context);
	};
}

/** The name of a connection between addresses would have to be put together, and hardly a literal can stand in it. */
function socketReader(entries: readonly Entry[], read: Read, onFound: (values: Int32Array) => void): Read {
	const possible = entries.filter(([{ text }]) => /^[0-9a-f.:>[\]-]*$/.test(text));
	const inSockets = Int32Array.from(new Set(possible.map(([, value]) => value)));
	const unix = 1;
	return (observation, context) => {
		if (observation.event.family === unix) read(observation, context);
		else if (inSockets.length > 0) onFound(inSockets);
	};
}
