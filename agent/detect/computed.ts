// Checks with a call in them, tolower(proc.name) or val(fd.name): made into strings and compared as such.
import type { Observation } from "../model/event.ts";
import { type Check, CheckProblem, type Test, unknownField } from "./check.ts";
import type { Field, FieldContext } from "./field.ts";
import { findField } from "./fields.ts";
import { addressField } from "./fields-socket.ts";
import { isKnownField } from "./known-fields.ts";
import { matcher, matcherOf, numberOperators, numberValue } from "./matcher.ts";
import type { Operator, Term } from "./syntax.ts";
import { asLatin1, lowerCase, upperCase } from "./text.ts";

type Computed = (observation: Observation, context: FieldContext) => readonly string[] | undefined;

/** Anything with a call in it: made into strings, compared as strings or numbers. Rare, so not made fast. */
export function computedTest({ left, operator, right, match }: Check): Test {
	for (const term of right) checkTypes(left, term);
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

type Type = Field["type"] | undefined;
/** Undefined for a constant, which can be of any, and for a field that no event here has. */
function typeOf(term: Term): Type {
	if (term.is === "text") return undefined;
	if (term.is === "field") return findField(term.field.name, term.field.argument)?.type;
	if (isNumeric(term.name)) return "number";
	return term.name === "val" && term.terms[0] ? typeOf(term.terms[0]) : "text";
}
/** What is compared has to be of one type. Throws CheckProblem. */
function checkTypes(left: Term, right: Term): void {
	const [one, other] = [typeOf(left), typeOf(right)];
	if (one === undefined || other === undefined || one === other) return;
	throw new CheckProblem(`a ${one} is compared with a ${other}`, "compare fields of the same type");
}

/** Of two texts of an event, without anything made for it; their bytes as they are, whether they spell UTF-8 or not. */
const plainly: Partial<Record<Operator, (left: string, right: string) => boolean>> = {
	"=": (left, right) => left === right,
	in: (left, right) => left === right,
	intersects: (left, right) => left === right,
	"!=": (left, right) => left !== right,
	contains: (left, right) => left.includes(right),
	startswith: (left, right) => left.startsWith(right),
	endswith: (left, right) => left.endsWith(right),
};

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
	if (type === "address" && operator !== "exists" && operator !== "=" && operator !== "!=")
		throw new CheckProblem(`${operator} does not go with ${name}, which is an address`, "use = or !=");
	if (isNumeric(name) || type === "number") {
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
	const plain = plainly[operator];
	if (plain) {
		return (lefts, rights) =>
			lefts.some((left) =>
				all ? rights.every((right) => plain(left, right)) : rights.some((right) => plain(left, right)),
			);
	}
	const matchers = remembered((texts) => matcherOf(operator, texts, all));
	return (lefts, rights) => {
		const found = matchers(rights);
		return found !== undefined && lefts.some(found.onString);
	};
}

/** Of each a table of half a megabyte at most. */
const mostKept = 16;

/**
 * What `make` makes of texts, kept for those asked about last: compiling a pattern takes a thousand times as long as using
 * it. Undefined for a text that is no pattern.
 */
function remembered<T>(make: (texts: readonly string[]) => T): (texts: readonly string[]) => T | undefined {
	const kept = new Map<string, T | undefined>();
	return (texts) => {
		const key = texts.map((text) => `${text.length}:${text}`).join("");
		let made = kept.get(key);
		if (made === undefined && !kept.has(key)) {
			try {
				made = make(texts);
			} catch (error) {
				if (!(error instanceof CheckProblem)) throw error;
			}
		}
		// Behind all others: the first one is the one longest without use.
		kept.delete(key);
		kept.set(key, made);
		const [oldest] = kept.keys();
		if (kept.size > mostKept && oldest !== undefined) kept.delete(oldest);
		return made;
	};
}

/** What a term, with or without calls in it, is for an event; undefined where it is missing. Throws CheckProblem. */
export function computed(term: Term): Computed {
	if (term.is === "text") {
		const value = [asLatin1(term.text)];
		return () => value;
	}
	if (term.is === "field") {
		const field = findField(term.field.name, term.field.argument);
		if (!field && !isKnownField(term.field.name)) throw unknownField(term.field);
		if (!field) return () => undefined;
		if (field.type === "address") {
			const ends = field.ends.map((end) => addressField({ ...field, ends: [end] }));
			return (observation, context) => {
				const shown = ends.flatMap((end) => end(observation, context) ?? []);
				return shown.length === 0 ? undefined : shown;
			};
		}
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
		const [given] = term.terms;
		if (!first || !given || parts.length !== 1)
			throw new CheckProblem(`${term.name} takes one value`, `write ${term.name}(field)`);
		const type = typeOf(given);
		const takesAll = ["val", "number"].includes(term.name) || isTimePart(term.name);
		if (!takesAll && type !== undefined && type !== "text")
			throw new CheckProblem(
				`${term.name} takes a text, not ${type === "address" ? "an" : "a"} ${type}`,
				"name a field that is a text",
			);
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
		case "number":
			// What is no number compares with none.
			return one((text) => (text.trim() === "" ? "none" : text));
		case "list":
		case "concat":
		case "join":
		case "getopt":
			return many(term.name, parts);
		default:
			if (isTimePart(term.name)) {
				const part = timeParts[term.name];
				return one((text) => String(part(new Date(Number(text) / 1e6))));
			}
			throw new CheckProblem(
				`there is no function ${term.name}`,
				"known: tolower toupper b64 basename len join concat getopt val",
			);
	}
}

/** Of a moment in UTC; functions of no language, but of what other front ends compile to. */
const timeParts = {
	minute: (date: Date) => date.getUTCMinutes(),
	hour: (date: Date) => date.getUTCHours(),
	day: (date: Date) => date.getUTCDate(),
	week: isoWeek,
	month: (date: Date) => date.getUTCMonth() + 1,
	year: (date: Date) => date.getUTCFullYear(),
};
/** Is what the call makes a number? */
function isNumeric(call: string): boolean {
	return call === "len" || call === "number" || isTimePart(call);
}
function isTimePart(name: string): name is keyof typeof timeParts {
	return Object.hasOwn(timeParts, name);
}
/** Weeks begin on Monday; the first one of a year has its first Thursday (ISO 8601). */
function isoWeek(date: Date): number {
	const dayMs = 86_400_000;
	const thursday = new Date(date.getTime() + (3 - ((date.getUTCDay() + 6) % 7)) * dayMs);
	return 1 + Math.floor((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / (7 * dayMs));
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
