// One check on one field, made once however many rules ask it: compared in place where the bytes lie in the event,
// on the strings a process has already where they do not. Remembers its answer for the event at hand.
import { RE2JS } from "re2js";
import { containsBytes, type Network, parseNetwork } from "../model/address.ts";
import type { EventKind, Observation } from "../model/event.ts";
import {
	type AddressField,
	type Field,
	type FieldContext,
	findField,
	type NumberField,
	type TextField,
} from "./fields.ts";
import { isKnownField } from "./known-fields.ts";
import type { FieldRef, Node, Operator, Term } from "./syntax.ts";
import {
	asBytes,
	asLatin1,
	ByteSet,
	contains,
	endsWith,
	equals,
	Glob,
	hash,
	lowerCase,
	PathPattern,
	type Range,
	RangeSequence,
	StringSequence,
	startsWith,
	upperCase,
} from "./text.ts";

export type Check = Extract<Node, { is: "check" }>;

/** A check that can never be evaluated as written. */
export class CheckProblem extends Error {
	readonly remedy: string;
	constructor(message: string, remedy: string) {
		super(message);
		this.remedy = remedy;
	}
}

export type Test = (observation: Observation, context: FieldContext) => boolean;

export interface Predicate {
	readonly key: string;
	readonly check: Check;
	/** Relative; cheap ones are asked first. */
	readonly cost: number;
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
				field: undefined,
				fieldName: shown,
				values,
				constant: () => false,
				test: () => false,
				missing: true,
			};
		}
		if (constants) {
			const made = { ...base, field, fieldName: shown, values, missing: false };
			const { test, cost } = testOf(field, operator, check.match, values, shown);
			return { ...made, cost, test, constant: (kind) => constantOf(field, kind, check) };
		}
	}
	return {
		...base,
		cost: 30,
		field: left.is === "field" ? findField(left.field.name, left.field.argument) : undefined,
		fieldName: left.is === "field" ? left.field.name : left.is,
		values,
		constant: () => undefined,
		test: computedTest(check),
		missing: false,
	};
}

function unknownField({ name, argument }: FieldRef): CheckProblem {
	const shown = argument === undefined ? name : `${name}[${argument}]`;
	return new CheckProblem(`there is no field ${shown}`, "see the list of fields in the README");
}

function constantOf(field: Field, kind: EventKind, { operator, match, right }: Check): boolean | undefined {
	if (field.kinds && !field.kinds.includes(kind)) return false;
	if (field.type !== "text" || !field.constant) return undefined;
	const names = field.constant(kind);
	if (operator === "exists") return true;
	const values = right.flatMap((term) => (term.is === "text" ? [term.text] : []));
	if (operator === "!=") {
		const differs = (value: string) => !names.includes(value);
		return match === "all" ? values.every(differs) : values.some(differs);
	}
	const { onString } = matcher(operator, values, match === "all");
	return names.some(onString);
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
	// Nearly every open has succeeded: asking for it first would sort nothing out.
	const cost = name === "evt.rawres" || name === "evt.res" ? 9 : 1;
	return { test: numberTest(field, operator, match, values, name), cost };
}

function existence(field: Field): Test {
	if (field.type === "address") return isInet;
	return (observation, context) => field.get(observation, context) !== undefined;
}

interface Matcher {
	readonly cost: number;
	onString(text: string): boolean;
	onRange(range: Range): boolean;
}

/** What `operator` with constant values says of a text. */
function matcher(operator: Operator, values: readonly string[], all = false): Matcher {
	const bytes = values.map(asBytes);
	const texts = values.map(asLatin1);
	/** Any (or all) of the values satisfies. */
	const each = (
		cost: number,
		onBytes: (range: Range, value: Uint8Array) => boolean,
		onText: (text: string, value: string) => boolean,
	): Matcher => {
		if (texts.length === 1) {
			const [value = ""] = texts;
			const [raw = Buffer.alloc(0)] = bytes;
			return { cost, onString: (text) => onText(text, value), onRange: (range) => onBytes(range, raw) };
		}
		return {
			cost: cost + texts.length,
			// Loops and no closures: they run for every event.
			onString: (text) => {
				for (let i = 0; i < texts.length; i++) if (onText(text, texts[i] as string) !== all) return !all;
				return all;
			},
			onRange: (range) => {
				for (let i = 0; i < bytes.length; i++) if (onBytes(range, bytes[i] as Buffer) !== all) return !all;
				return all;
			},
		};
	};
	switch (operator) {
		case "=":
			return each(2, equals, (text, value) => text === value);
		case "!=":
			return each(
				2,
				(range, value) => !equals(range, value),
				(text, value) => text !== value,
			);
		case "in":
		case "intersects": {
			const set = new ByteSet(bytes);
			const strings = new Set(texts);
			return {
				cost: 3,
				onString: (text) => strings.has(text),
				onRange: (range) => set.has(range, hash(range)),
			};
		}
		case "startswith":
			return each(2, startsWith, (text, value) => text.startsWith(value));
		case "endswith":
			return each(2, endsWith, (text, value) => text.endsWith(value));
		case "contains":
			return each(6, contains, (text, value) => text.includes(value));
		case "icontains": {
			const folded = texts.map(lowerCase);
			return strings(12, (text) => {
				const lower = lowerCase(text);
				return all
					? folded.every((value) => lower.includes(value))
					: folded.some((value) => lower.includes(value));
			});
		}
		case "<":
			return strings(3, (text) => text < (texts[0] ?? ""));
		case ">":
			return strings(3, (text) => text > (texts[0] ?? ""));
		case "<=":
			return strings(3, (text) => text <= (texts[0] ?? ""));
		case ">=":
			return strings(3, (text) => text >= (texts[0] ?? ""));
		case "glob":
		case "iglob": {
			const globs = values.map((value) => new Glob(value, operator === "iglob"));
			const ranges = new RangeSequence();
			const sequence = new StringSequence();
			const check = (on: RangeSequence | StringSequence) =>
				all ? globs.every((glob) => glob.matches(on)) : globs.some((glob) => glob.matches(on));
			return {
				cost: 10,
				onString: (text) => {
					sequence.text = text;
					return check(sequence);
				},
				onRange: (range) => {
					ranges.range = range;
					return check(ranges);
				},
			};
		}
		case "pmatch": {
			const patterns = values.map((value) => new PathPattern(value));
			return strings(12, (text) => patterns.some((pattern) => pattern.matches(text)));
		}
		case "regex": {
			const compiled = texts.map(compileRegex);
			const check = (text: string) => (regex: RE2JS) => regex.matcher(text).matches();
			return strings(40, (text) => (all ? compiled.every(check(text)) : compiled.some(check(text))));
		}
		case "bcontains":
		case "bstartswith": {
			const raw = values.map((value) => Buffer.from(value, "hex").toString("latin1"));
			if (values.some((value) => !/^([0-9a-fA-F]{2})+$/.test(value))) {
				throw new CheckProblem(
					`${operator} needs bytes in hexadecimal`,
					"write pairs of digits such as cafebabe",
				);
			}
			const at = (text: string, value: string) =>
				operator === "bcontains" ? text.includes(value) : text.startsWith(value);
			return strings(6, (text) =>
				all ? raw.every((value) => at(text, value)) : raw.some((value) => at(text, value)),
			);
		}
		case "exists":
			return strings(1, () => true);
	}
}

function strings(cost: number, onString: (text: string) => boolean): Matcher {
	return {
		cost,
		onString,
		onRange: (range) => onString(range.bytes.toString("latin1", range.start, range.start + range.size)),
	};
}

function compileRegex(pattern: string): RE2JS {
	try {
		return RE2JS.compile(pattern, RE2JS.DOTALL);
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new CheckProblem(
			`the regular expression ${JSON.stringify(pattern)} cannot be used: ${reason}`,
			"RE2 syntax; no look-around, no back references",
		);
	}
}

function textTest(
	field: TextField,
	operator: Operator,
	match: "any" | "all",
	values: readonly string[],
): { test: Test; cost: number } {
	const { cost, onString, onRange } = matcher(operator, values, match === "all");
	const { get, range: place, any } = field;
	if (any) {
		return {
			cost: cost + 8,
			test: (observation) => {
				for (const text of any(observation)) if (onString(text)) return true;
				return false;
			},
		};
	}
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

const numberOperators: Partial<Record<Operator, (a: number, b: number) => boolean>> = {
	"=": (a, b) => a === b,
	in: (a, b) => a === b,
	intersects: (a, b) => a === b,
	"!=": (a, b) => a !== b,
	"<": (a, b) => a < b,
	"<=": (a, b) => a <= b,
	">": (a, b) => a > b,
	">=": (a, b) => a >= b,
};

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
	const { get, other } = field;
	const any = (value: number | undefined) => {
		if (value === undefined) return false;
		const all = match === "all";
		for (let i = 0; i < numbers.length; i++) if (compare(value, numbers[i] as number) !== all) return !all;
		return all;
	};
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
function numberValue(value: string, name: string): number {
	const number = Number(value);
	if (value.trim() === "" || Number.isNaN(number))
		throw new CheckProblem(`${name} is a number, ${JSON.stringify(value)} is none`, "write a number");
	return number;
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
	const isIn = ({ event }: Observation, each: Network, end: "local" | "remote"): boolean =>
		containsBytes(
			each,
			event.family,
			event.bytes,
			end === "local" ? event.localAddressStart : event.remoteAddressStart,
		);
	/** = is true of either end, != of both. */
	const holds = (observation: Observation, each: Network): boolean => {
		for (const end of field.ends) if (isIn(observation, each, end)) return operator !== "!=";
		return operator === "!=";
	};
	return (observation) => {
		if (!isInet(observation)) return false;
		for (const each of networks) if (holds(observation, each) !== (match === "all")) return match !== "all";
		return match === "all";
	};
}
function isInet({ event }: Observation): boolean {
	return event.family === 2 || event.family === 10;
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

type Computed = (observation: Observation, context: FieldContext) => readonly string[] | undefined;

/** Anything with a call in it: made into strings, compared as strings or numbers. Rare, so not made fast. */
function computedTest({ left, operator, right, match }: Check): Test {
	const leftValue = computed(left);
	const rightValues = right.map(computed);
	const compare = computedComparison(left, operator, right, match === "all");
	return (observation, context) => {
		const lefts = leftValue(observation, context);
		if (!lefts) return false;
		if (operator === "exists") return true;
		const rights = rightValues.map((value) => value(observation, context));
		if (rights.some((value) => value === undefined)) return false;
		return compare(
			lefts,
			rights.flatMap((value) => value ?? []),
		);
	};
}

type Comparison = (lefts: readonly string[], rights: readonly string[]) => boolean;

function computedComparison(
	left: Term,
	operator: Operator,
	right: readonly Term[],
	all: boolean,
): Comparison {
	const name = left.is === "field" ? left.field.name : left.is === "call" ? left.name : "";
	const type = left.is === "field" ? findField(left.field.name, left.field.argument)?.type : undefined;
	const constants = right.flatMap((term) => (term.is === "text" ? [term.text] : []));
	if (name === "len" || type === "number") {
		const compare = numberOperators[operator];
		if (!compare && operator !== "exists")
			throw new CheckProblem(
				`${operator} does not go with ${name}, which is a number`,
				"use = != < <= > >= or in",
			);
		for (const value of constants) numberValue(value, name);
		return (lefts, rights) => {
			const check = (value: string) => compare?.(Number(lefts[0]), Number(value)) === true;
			return all ? rights.every(check) : rights.some(check);
		};
	}
	if (constants.length === right.length) {
		// Made once, and a mistake in it is told when the rule is loaded.
		const { onString } = matcher(operator, constants, all);
		return (lefts) => lefts.some(onString);
	}
	return (lefts, rights) => {
		try {
			return lefts.some(matcher(operator, rights.map(fromLatin1), all).onString);
		} catch (error) {
			if (error instanceof CheckProblem) return false; // another field's text that is no regular expression
			throw error;
		}
	};
}
function fromLatin1(text: string): string {
	return Buffer.from(text, "latin1").toString("utf8");
}

function computed(term: Term): Computed {
	if (term.is === "text") {
		const value = [asLatin1(term.text)];
		return () => value;
	}
	if (term.is === "field") {
		const field = findField(term.field.name, term.field.argument);
		if (!field && !isKnownField(term.field.name)) throw unknownField(term.field);
		if (!field || field.type === "address") return () => undefined;
		const { get, kinds, type } = field;
		return (observation, context) => {
			if (kinds && !kinds.includes(observation.event.kind)) return undefined;
			const value = get(observation, context);
			if (value === undefined) return undefined;
			return [type === "bool" ? String(value === 1) : String(value)];
		};
	}
	const parts = term.terms.map(computed);
	const first = parts[0];
	const one = (convert: (text: string) => string): Computed => {
		if (!first || parts.length !== 1)
			throw new CheckProblem(`${term.name} takes one value`, `write ${term.name}(field)`);
		return (observation, context) => first(observation, context)?.map(convert);
	};
	switch (term.name) {
		case "val":
			return one((text) => text);
		case "tolower":
			return one(lowerCase);
		case "toupper":
			return one(upperCase);
		case "b64":
			return one((text) => Buffer.from(text, "base64").toString("latin1"));
		case "basename":
			return one((text) => text.replace(/^.*\//s, ""));
		case "len":
			return one((text) => String(text.length));
		case "list":
		case "concat":
		case "join":
		case "getopt":
			return many(term.name, parts);
		default:
			throw new CheckProblem(
				`there is no function ${term.name}`,
				"known: tolower toupper b64 basename len join concat getopt val",
			);
	}
}

function many(name: string, parts: readonly Computed[]): Computed {
	return (observation, context) => {
		const values = parts.map((part) => part(observation, context));
		if (values.some((value) => value === undefined)) return undefined;
		const flat = values.flatMap((value) => value ?? []);
		if (name === "list") return flat;
		if (name === "concat") return [flat.join("")];
		if (name === "join") return [flat.slice(1).join(flat[0] ?? "")];
		return option(values[0] ?? [], flat.at(-1) ?? "");
	};
}
/** getopt(list, name): what follows "-n" or "--name" or stands behind its "=". */
function option(words: readonly string[], name: string): string[] | undefined {
	const list = words.length === 1 ? (words[0] ?? "").split(" ") : words;
	for (const [index, word] of list.entries()) {
		if (word === `-${name}` || word === `--${name}`) return [list[index + 1] ?? ""];
		if (word.startsWith(`--${name}=`)) return [word.slice(name.length + 3)];
	}
	return undefined;
}
