// What an operator with constant values says of a text: on bytes in place and on strings, and of numbers.
import { CheckProblem } from "./check.ts";
import { Glob, PathPattern } from "./glob.ts";
import { Letters } from "./letters.ts";
import { Needle } from "./needle.ts";
import { compileRegex, type Regex } from "./regex.ts";
import type { Operator } from "./syntax.ts";
import {
	asciiLower,
	asLatin1,
	ByteSet,
	endsWith,
	equals,
	fromLatin1,
	hash,
	lowerCase,
	type Range,
	startsWith,
} from "./text.ts";

export interface Matcher {
	readonly cost: number;
	onString(text: string): boolean;
	onRange(range: Range): boolean;
}

/** What `operator` with constant values, as a rule file has them, says of a text. */
export function matcher(operator: Operator, values: readonly string[], all = false): Matcher {
	return matcherOf(operator, values.map(asLatin1), all);
}

/** The same with values in latin1, as an event has them. */
export function matcherOf(operator: Operator, texts: readonly string[], all = false): Matcher {
	const bytes = texts.map((text) => Buffer.from(text, "latin1"));
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
			return containing(bytes, all, false);
		case "icontains":
			return containing(bytes, all, true);
		case "iequals":
			return foldedAt(texts, all, (size, value) => (size === value ? 0 : -1));
		case "istartswith":
			return foldedAt(texts, all, (size, value) => (size < value ? -1 : 0));
		case "iendswith":
			return foldedAt(texts, all, (size, value) => size - value);
		case "<":
			return strings(3, (text) => text < (texts[0] ?? ""));
		case ">":
			return strings(3, (text) => text > (texts[0] ?? ""));
		case "<=":
			return strings(3, (text) => text <= (texts[0] ?? ""));
		case ">=":
			return strings(3, (text) => text >= (texts[0] ?? ""));
		case "glob":
		case "iglob":
		case "like": {
			const globs = texts.map((text) =>
				operator === "like" ? likeOf(text) : new Glob(text, operator === "iglob"),
			);
			return searching(
				10,
				globs.map((glob, place) => bounded(glob, texts[place] as string)),
				all,
			);
		}
		case "pmatch": {
			const patterns = texts.map((value) => bounded(new PathPattern(value), value));
			return strings(12, (text) => patterns.some((pattern) => pattern.matches(text)));
		}
		case "regex":
		case "search": {
			return searching(
				10,
				texts.map((text) => compileRegex(fromLatin1(text), operator === "regex")),
				all,
			);
		}
		case "bcontains":
		case "bstartswith": {
			const raw = texts.map((value) => Buffer.from(value, "hex"));
			if (texts.some((value) => !/^([0-9a-fA-F]{2})+$/.test(value))) {
				throw new CheckProblem(
					`${operator} needs bytes in hexadecimal`,
					"write pairs of digits such as cafebabe",
				);
			}
			if (operator === "bcontains") return containing(raw, all, false);
			const begins = raw.map((value) => value.toString("latin1"));
			const holds = (text: string) => (value: string) => text.startsWith(value);
			return strings(6, (text) => (all ? begins.every(holds(text)) : begins.some(holds(text))));
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

/** Operations that a letter of the text may take: 384 signs between two *; some 4 ms for 100 kB. */
const mostCost = 36;
function bounded<T extends { readonly cost: number }>(pattern: T, text: string): T {
	if (pattern.cost <= mostCost) return pattern;
	throw new CheckProblem(
		`${JSON.stringify(`${text.slice(0, 100)}…`)} has too many signs between two *`,
		"use contains for a long text, or split it",
	);
}

/** Something that looks through a text, wherever that is. */
interface Search {
	string(text: string): boolean;
	bytes(bytes: Uint8Array, start: number, size: number): boolean;
}

/** Any (or all) of them find what they look for. */
function searching(cost: number, searches: readonly Search[], all: boolean): Matcher {
	return {
		cost: cost + searches.length,
		onString: (text) => {
			for (let i = 0; i < searches.length; i++) if ((searches[i] as Search).string(text) !== all) return !all;
			return all;
		},
		onRange: ({ bytes, start, size }) => {
			for (let i = 0; i < searches.length; i++)
				if ((searches[i] as Search).bytes(bytes, start, size) !== all) return !all;
			return all;
		},
	};
}

function containing(values: readonly Buffer[], all: boolean, ignoreCase: boolean): Matcher {
	return searching(
		6,
		values.map((value) => new Needle(value, ignoreCase)),
		all,
	);
}

/** In place, whatever the case; `place` is where a value of that size would stand, negative for nowhere. */
function foldedAt(
	values: readonly string[],
	all: boolean,
	place: (size: number, valueSize: number) => number,
): Matcher {
	const lower = values.map((value) => Buffer.from(lowerCase(value), "latin1"));
	return {
		cost: 3 + values.length,
		onString: (text) => {
			for (let i = 0; i < lower.length; i++) {
				const value = lower[i] as Buffer;
				const at = place(text.length, value.length);
				let same = at >= 0;
				for (let j = 0; same && j < value.length; j++)
					same = asciiLower(text.charCodeAt(at + j)) === value[j];
				if (same !== all) return same;
			}
			return all;
		},
		onRange: ({ bytes, start, size }) => {
			for (let i = 0; i < lower.length; i++) {
				const value = lower[i] as Buffer;
				const at = place(size, value.length);
				let same = at >= 0;
				for (let j = 0; same && j < value.length; j++)
					same = asciiLower(bytes[start + at + j] as number) === value[j];
				if (same !== all) return same;
			}
			return all;
		},
	};
}
/** A glob about characters, in any case of ASCII's letters. */
function likeOf(text: string): Regex {
	const value = fromLatin1(text);
	const codes = [...value].map((sign) => sign.codePointAt(0) ?? 0);
	const letters = Letters.of(
		codes.flatMap((code) => [code, code + 1]),
		(code) => (codes.includes(code) ? String(code) : ""),
	);
	if (!letters)
		throw new CheckProblem(`${JSON.stringify(value)} has too many different characters`, "split the pattern");
	const pattern = String.fromCharCode(...codes.map((code) => letters.letterOf(code)));
	return letters.over(new Glob(pattern, true));
}

export const numberOperators: Partial<Record<Operator, (a: number, b: number) => boolean>> = {
	"=": (a, b) => a === b,
	in: (a, b) => a === b,
	intersects: (a, b) => a === b,
	"!=": (a, b) => a !== b,
	"<": (a, b) => a < b,
	"<=": (a, b) => a <= b,
	">": (a, b) => a > b,
	">=": (a, b) => a >= b,
};

export function numberValue(value: string, name: string): number {
	const number = Number(value);
	if (value.trim() === "" || Number.isNaN(number))
		throw new CheckProblem(`${name} is a number, ${JSON.stringify(value)} is none`, "write a number");
	return number;
}
