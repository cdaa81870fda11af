// What an operator with constant values says of a text: on bytes in place and on strings, and of numbers.
import { RE2JS } from "re2js";
import { CheckProblem } from "./check.ts";
import { regexLiterals } from "./regex-literals.ts";
import type { Operator } from "./syntax.ts";
import {
	asBytes,
	asLatin1,
	ByteSet,
	contains,
	endsWith,
	equals,
	fromLatin1,
	Glob,
	hash,
	lowerCase,
	PathPattern,
	type Range,
	RangeSequence,
	StringSequence,
	startsWith,
} from "./text.ts";

export interface Matcher {
	readonly cost: number;
	onString(text: string): boolean;
	onRange(range: Range): boolean;
}

/** What `operator` with constant values says of a text. */
export function matcher(operator: Operator, values: readonly string[], all = false): Matcher {
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
		case "icontains":
			return foldedContains(texts, all);
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
			const globs = values.map(
				(value) => new Glob(value, { ignoreCase: operator !== "glob", characters: operator === "like" }),
			);
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
		case "regex":
		case "search": {
			const compiled = values.map((value) => compileRegex(value, operator === "regex"));
			const check = (text: string) => (matches: (text: string) => boolean) => matches(text);
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

/** Several checks of one text follow each other: it is folded once. */
let lastText = "";
let lastLower = "";
function lowerOf(text: string): string {
	if (text !== lastText) {
		lastText = text;
		lastLower = lowerCase(text);
	}
	return lastLower;
}

function foldedContains(values: readonly string[], all: boolean): Matcher {
	const lower = values.map(lowerCase);
	return strings(12, (text) => {
		const own = lowerOf(text);
		for (let i = 0; i < lower.length; i++) if (own.includes(lower[i] as string) !== all) return !all;
		return all;
	});
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
				for (let j = 0; same && j < value.length; j++) same = folded(text.charCodeAt(at + j)) === value[j];
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
					same = folded(bytes[start + at + j] as number) === value[j];
				if (same !== all) return same;
			}
			return all;
		},
	};
}
function folded(sign: number): number {
	return sign >= 0x41 && sign <= 0x5a ? sign + 0x20 : sign;
}

/**
 * `whole`: the text as a whole matches, and . is any sign; else some part of it, and . is no line end. A sign is what
 * UTF-8 spells, as in RE2, and a byte only where it spells nothing.
 */
function compileRegex(pattern: string, whole: boolean): (text: string) => boolean {
	try {
		const regex = RE2JS.compile(pattern, whole ? RE2JS.DOTALL : 0);
		const matches = (bytes: string): boolean => {
			const text = fromLatin1(bytes);
			return whole ? regex.testExact(text) : regex.test(text);
		};
		const literals = regexLiterals(pattern)?.map(asLatin1);
		if (!literals) return matches;
		return (text) => literals.some((literal) => text.includes(literal)) && matches(text);
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new CheckProblem(
			`the regular expression ${JSON.stringify(pattern)} cannot be used: ${reason}`,
			"RE2 syntax; no look-around, no back references",
		);
	}
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
