// One check on one field, made once however many rules ask it: compared in place where the bytes lie in the event,
// on the strings a process has already where they do not.
import { containsBytes, type Network, parseNetwork } from "../model/address.ts";
import type { EventKind, Observation } from "../model/event.ts";
import { chanceOf } from "./chance.ts";
import { type Check, CheckProblem, type Test, unknownField } from "./check.ts";
import { computedTest } from "./computed.ts";
import type { AddressField, End, Field, NumberField, TextField } from "./field.ts";
import { findField } from "./fields.ts";
import { addressStart, hasAddresses } from "./fields-socket.ts";
import { knownTypes } from "./known-event-types.ts";
import { isKnownField } from "./known-fields.ts";
import { matcher, numberOperators, numberValue } from "./matcher.ts";
import { eventRemedy } from "./suggest.ts";
import type { Operator, Term } from "./syntax.ts";
import { type Range, slotOf } from "./text.ts";

export interface Predicate {
	readonly key: string;
	readonly check: Check;
	/** Relative. */
	readonly cost: number;
	/** How often it is true, roughly: 0 to 1. */
	readonly chance: number;
	/** Field of the left side when it is a plain one. */
	readonly field: Field | undefined;
	readonly fieldName: string;
	/** Constant values of the right side. */
	readonly values: readonly string[];
	/** The answer for every event of this kind, undefined when it depends on the event. */
	constant(kind: EventKind): boolean | undefined;
	readonly test: Test;
	/** Known to the language, but no event has it. */
	readonly missing: boolean;
}

/** Equal checks have equal keys. */
export function keyOf(check: Check): string {
	return JSON.stringify([check.left, check.operator, check.match, check.right]);
}

/** Throws CheckProblem. */
export function makePredicate(check: Check): Predicate {
	const { left, operator, right } = check;
	const base = { key: keyOf(check), check };
	const constants = right.every((term) => term.is === "text");
	const values = right.flatMap((term) => (term.is === "text" ? [term.text] : []));
	if (left.is === "field") {
		const { name, argument } = left.field;
		const shown = argument === undefined ? name : `${name}[${argument}]`;
		const field = findField(name, argument);
		if (!field) {
			if (!isKnownField(name)) throw unknownField(left.field);
			return {
				...base,
				cost: 0,
				chance: 0,
				field: undefined,
				fieldName: shown,
				values,
				constant: () => false,
				test: () => false,
				missing: true,
			};
		}
		if (name === "evt.type" || name === "syscall.type") checkEventTypes(operator, values);
		if (constants) {
			const made = { ...base, field, fieldName: shown, values, missing: false };
			const { test, cost } = testOf(field, operator, check.match, values, shown);
			const chance = Math.min(chanceOf(field, shown, operator, values), 1);
			return { ...made, cost, chance, test, constant: remembered((kind) => constantOf(field, kind, check)) };
		}
	}
	return {
		...base,
		cost: 30,
		chance: 0.3,
		field: left.is === "field" ? findField(left.field.name, left.field.argument) : undefined,
		fieldName: left.is === "field" ? left.field.name : left.is,
		values,
		// Without one of its texts a call has no value, and what has none satisfies nothing.
		constant: (kind) => ([left, ...right].every((term) => hasTerm(term, kind)) ? undefined : false),
		test: computedTest(check),
		missing: false,
	};
}

/** Can events of that kind have all that the term is made of? */
function hasTerm(term: Term, kind: EventKind): boolean {
	if (term.is === "text") return true;
	if (term.is === "call") return term.terms.every((each) => hasTerm(each, kind));
	const field = findField(term.field.name, term.field.argument);
	return !field?.kinds || field.kinds.includes(kind);
}

/** Every rule that has the check asks it for every kind. */
function remembered(answer: Predicate["constant"]): Predicate["constant"] {
	const answers: (boolean | "depends")[] = [];
	return (kind) => {
		answers[kind] ??= answer(kind) ?? "depends";
		const known = answers[kind];
		return known === "depends" ? undefined : known;
	};
}

/** A misspelled name would be a rule that never fires. */
function checkEventTypes(operator: Operator, values: readonly string[]): void {
	if (!["=", "!=", "in", "intersects"].includes(operator)) return;
	const unknown = values.find((type) => !knownTypes.has(type));
	if (unknown !== undefined) {
		throw new CheckProblem(`there is no event ${unknown}`, eventRemedy(unknown), undefined, true);
	}
}

function constantOf(field: Field, kind: EventKind, { operator, match, right }: Check): boolean | undefined {
	if (field.kinds && !field.kinds.includes(kind)) return false;
	if (field.type !== "text" || !field.possible) return undefined;
	const names = field.possible(kind);
	if (operator === "exists") return true;
	const values = right.flatMap((term) => (term.is === "text" ? [term.text] : []));
	const holds = onNames(operator, match, values);
	// One answer for each name the event may turn out to have, and for all of them when it does not tell.
	const answer = holds(names);
	return names.every((name) => holds([name]) === answer) ? answer : undefined;
}

/** Of several names that an event may have, = is true of any and != of all. */
function onNames(
	operator: Operator,
	match: "any" | "all",
	values: readonly string[],
): (names: readonly string[]) => boolean {
	if (operator === "!=") {
		return (names) => {
			const differs = (value: string) => !names.includes(value);
			return match === "all" ? values.every(differs) : values.some(differs);
		};
	}
	const { onString } = matcher(operator, values, match === "all");
	return (names) => names.some(onString);
}

function testOf(
	field: Field,
	operator: Operator,
	match: "any" | "all",
	values: readonly string[],
	name: string,
): { test: Test; cost: number } {
	if (operator === "exists") return { test: existence(field), cost: 2 };
	if (field.type === "text") return textTest(field, operator, match, values);
	if (field.type === "address") return { test: addressTest(field, operator, match, values, name), cost: 4 };
	return { test: numberTest(field, operator, match, values, name), cost: 1 };
}

function existence(field: Field): Test {
	if (field.type === "address") return (observation) => hasEnd(observation, field.ends);
	return (observation, context) => field.get(observation, context) !== undefined;
}

function textTest(
	field: TextField,
	operator: Operator,
	match: "any" | "all",
	values: readonly string[],
): { test: Test; cost: number } {
	const made = matcher(operator, values, match === "all");
	const { cost, onRange } = made;
	const onString = cost > dear ? remembering(made.onString) : made.onString;
	const { get, names, range: place, some } = field;
	if (names) {
		const holds = onNames(operator, match, values);
		// The lists are few and the same ones every time.
		const answers = new Map<readonly string[], boolean>();
		return {
			cost: 1,
			test: (observation, context) => {
				const list = names(observation, context);
				const known = answers.get(list);
				if (known !== undefined) return known;
				const answer = holds(list);
				answers.set(list, answer);
				return answer;
			},
		};
	}
	if (some) return { cost: cost + 8, test: (observation) => some(observation, onString) };
	if (place) {
		const range: Range = { bytes: Buffer.alloc(0), start: 0, size: 0 };
		return {
			cost,
			test: (observation, context) => {
				if (place(observation, range)) return onRange(range);
				const text = get(observation, context);
				return text !== undefined && onString(text);
			},
		};
	}
	return {
		cost,
		test: (observation, context) => {
			const text = get(observation, context);
			return text !== undefined && onString(text);
		},
	};
}

/** Of a matcher: looking an answer up costs less than finding it. */
const dear = 4;
/** A power of two. */
const slots = 32;
/** Longer texts are not kept alive. */
const longest = 256;

/**
 * The same answers, kept for the texts asked about last: strings are texts of processes, and most processes are asked
 * about many times. Makes no object for a text.
 */
function remembering(onString: (text: string) => boolean): (text: string) => boolean {
	const texts = new Array<string | undefined>(slots).fill(undefined);
	const answers = new Uint8Array(slots);
	return (text) => {
		const { length } = text;
		if (length > longest) return onString(text);
		const slot = slotOf(text) & (slots - 1);
		if (texts[slot] === text) return answers[slot] === 1;
		const answer = onString(text);
		texts[slot] = text;
		answers[slot] = answer ? 1 : 0;
		return answer;
	};
}

/** From so many on a set finds a number quicker than a comparison with each. */
const manyNumbers = 6;

function isMembership(operator: Operator): boolean {
	return operator === "=" || operator === "in" || operator === "intersects";
}

function numberTest(
	field: NumberField,
	operator: Operator,
	match: "any" | "all",
	values: readonly string[],
	name: string,
): Test {
	const compare = numberOperators[operator];
	if (!compare || (field.type === "bool" && !["=", "!=", "in"].includes(operator))) {
		throw new CheckProblem(
			`${operator} does not go with ${name}, which is a ${field.type}`,
			"use = != < <= > >= or in",
		);
	}
	const numbers = values.map((value) =>
		field.type === "bool" ? boolValue(value, name) : numberValue(value, name),
	);
	const { get, other, some } = field;
	const all = match === "all";
	const set = !all && numbers.length >= manyNumbers && isMembership(operator) ? new Set(numbers) : undefined;
	const any = (value: number | undefined) => {
		if (value === undefined) return false;
		if (set) return set.has(value);
		for (let i = 0; i < numbers.length; i++) if (compare(value, numbers[i] as number) !== all) return !all;
		return all;
	};
	if (some) return (observation) => some(observation, any);
	if (!other) return (observation, context) => any(get(observation, context));
	if (operator === "!=")
		return (observation, context) => any(get(observation, context)) && any(other(observation));
	return (observation, context) => any(get(observation, context)) || any(other(observation));
}

function boolValue(value: string, name: string): number {
	if (value !== "true" && value !== "false")
		throw new CheckProblem(`${name} is true or false, not ${value}`, "write true or false");
	return Number(value === "true");
}
function addressTest(
	field: AddressField,
	operator: Operator,
	match: "any" | "all",
	values: readonly string[],
	name: string,
): Test {
	if (!["=", "!=", "in"].includes(operator)) {
		throw new CheckProblem(`${operator} does not go with ${name}, which is an address`, "use = != or in");
	}
	const networks = values.map((value) => network(value, name));
	const isIn = ({ event }: Observation, each: Network, end: End): boolean => {
		const start = addressStart(event, end);
		return start >= 0 && containsBytes(each, event.family, event.bytes, start);
	};
	/** = is true of either end, != of both. */
	const holds = (observation: Observation, each: Network): boolean => {
		for (let i = 0; i < field.ends.length; i++)
			if (isIn(observation, each, field.ends[i] as End)) return operator !== "!=";
		return operator === "!=";
	};
	return (observation) => {
		if (!hasEnd(observation, field.ends)) return false;
		for (let i = 0; i < networks.length; i++)
			if (holds(observation, networks[i] as Network) !== (match === "all")) return match !== "all";
		return match === "all";
	};
}
/** A socket that waits has no remote end, and of a duplicate nobody knows which end is whose. */
function hasEnd({ event }: Observation, ends: readonly End[]): boolean {
	if (!hasAddresses(event)) return false;
	for (let i = 0; i < ends.length; i++) if (addressStart(event, ends[i] as End) >= 0) return true;
	return false;
}
function network(value: string, name: string): Network {
	try {
		return parseNetwork(value);
	} catch (error) {
		throw new CheckProblem(
			`${name}: ${error instanceof Error ? error.message : String(error)}`,
			"write an address or a network such as 10.0.0.0/8",
		);
	}
}
