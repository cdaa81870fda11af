// What stands behind a field's name: which modifiers there are, which go together, and what they make of its values.
import type { Operator } from "../syntax.ts";
import {
	base64Offsets,
	dashed,
	type Encoding,
	encoded,
	literalOf,
	type Pattern,
	parsePattern,
	positionOf,
	surrounded,
} from "./pattern.ts";

/** One thing asked of a field. */
export type Ask =
	| { readonly is: "text"; readonly operator: Operator; readonly text: string }
	| { readonly is: "compare"; readonly operator: Operator; readonly number: string }
	| { readonly is: "network"; readonly network: string }
	| { readonly is: "exists" | "empty" }
	/** As another field's text. */
	| { readonly is: "field"; readonly operator: Operator; readonly name: string }
	/** A name that stands for values nobody has given. */
	| { readonly is: "placeholder"; readonly name: string };

export interface Modifiers {
	/** All values must hold; else any of them. */
	readonly all: boolean;
	/** What is asked must not hold of a field that is there. */
	readonly negated: boolean;
	/** Of a time. */
	readonly part: TimePart | undefined;
	/** Several: any of them. A boolean false asks for the opposite. Throws ModifierProblem. */
	asks(value: string | null): { readonly asks: readonly Ask[]; readonly not: boolean };
}

export class ModifierProblem extends Error {
	readonly remedy: string;
	constructor(message: string, remedy: string) {
		super(message);
		this.remedy = remedy;
	}
}

export const timeParts = ["minute", "hour", "day", "week", "month", "year"] as const;
export type TimePart = (typeof timeParts)[number];
const positions = ["contains", "startswith", "endswith"] as const;
const comparisons = { lt: "<", lte: "<=", gt: ">", gte: ">=" } as const;
const encodings: Readonly<Record<string, Encoding>> = {
	wide: "utf16le",
	utf16le: "utf16le",
	utf16be: "utf16be",
	utf16: "utf16",
};
const bases = ["base64", "base64offset"] as const;
const regexFlags = ["i", "m", "s", "ignorecase", "multiline", "dotall"] as const;
/** Each decides alone how a value is compared. */
const manners = ["re", "cidr", "exists", "fieldref", ...Object.keys(comparisons)];
const known: readonly string[] = [
	...positions,
	"all",
	...manners,
	"i",
	"m",
	"s",
	...bases,
	...Object.keys(encodings),
	"windash",
	"cased",
	"expand",
	"neq",
	...timeParts,
];

const isOneOf = <T extends string>(list: readonly T[], word: string): word is T =>
	(list as readonly string[]).includes(word);

function oneOf<T extends string>(words: readonly string[], list: readonly T[]): T | undefined {
	const [found, other] = words.filter((word) => isOneOf(list, word)) as T[];
	if (other !== undefined)
		throw new ModifierProblem(`${found} and ${other} do not go together`, "write one of them");
	return found;
}

/** `keyword`: the values have no field. Throws ModifierProblem. */
export function parseModifiers(words: readonly string[], keyword: boolean): Modifiers {
	for (const [index, word] of words.entries()) {
		if (!known.includes(word) && !isOneOf(regexFlags, word))
			throw new ModifierProblem(
				`there is no modifier ${word || "without a name"}`,
				`known: ${known.join(" ")}`,
			);
		if (words.indexOf(word) !== index)
			throw new ModifierProblem(`${word} stands there twice`, "write it once");
	}
	const has = (word: string): boolean => words.includes(word);
	const manner = oneOf(words, manners);
	const position = oneOf(words, positions);
	const encoding = oneOf(words, Object.keys(encodings));
	const base = oneOf(words, bases);
	const part = oneOf(words, timeParts);
	const flags = words.filter((word) => isOneOf(regexFlags, word));
	const notWith = (word: string | undefined, others: readonly (string | undefined)[]): void => {
		const other = word !== undefined && others.find((each) => each !== undefined && has(each));
		if (other) throw new ModifierProblem(`${word} and ${other} do not go together`, "leave out one of them");
	};
	const text = ["windash", "expand", encoding, base];
	const comparison = manner !== undefined && manner in comparisons;
	if (manner !== "fieldref") notWith(manner, [position]);
	notWith(manner, manner === "fieldref" ? text : [...text, "cased"]);
	notWith(part, [...text, "cased", position, ...(comparison ? [] : [manner])]);
	notWith("exists", has("exists") ? ["all", "neq"] : []);
	notWith("expand", has("expand") ? [base, "windash"] : []);
	for (const flag of flags) {
		const before = words[words.indexOf(flag) - 1] ?? "";
		if (before !== "re" && !isOneOf(regexFlags, before))
			throw new ModifierProblem(`${flag} does not stand behind re`, `write re|${flag}`);
	}
	if (encoding && (!base || words[words.indexOf(encoding) + 1] !== base))
		throw new ModifierProblem(
			`${encoding} is not followed by base64 or base64offset`,
			`write ${encoding}|base64offset|contains`,
		);
	if (base && position && words.indexOf(position) < words.indexOf(base))
		throw new ModifierProblem(`${base} stands behind ${position}`, `write ${base}|${position}`);
	if (keyword) {
		const other = words.find(
			(word) => !["all", "re", "cased", "contains", "windash", ...bases].includes(word),
		);
		if (other !== undefined && !isOneOf(regexFlags, other) && other !== encoding)
			throw new ModifierProblem(`${other} needs a field`, "write the field before it");
	}

	const cased = has("cased");
	const ofText = (value: string): Ask[] => {
		let texts = [value];
		if (has("windash")) {
			const ways = dashed(value);
			if (!ways)
				throw new ModifierProblem("too many dashes for windash", "write at most 4 of them in one value");
			texts = ways;
		}
		return texts.flatMap((each) => ofPattern(parsePattern(each), value));
	};
	const ofPattern = (pattern: Pattern, value: string): Ask[] => {
		const begin = keyword || position === "contains" || position === "endswith";
		const end = keyword || position === "contains" || position === "startswith";
		if (!base) return [textAsk(surrounded(pattern, begin, end), cased)];
		const literal = literalOf(pattern);
		if (literal === undefined)
			throw new ModifierProblem(
				`${JSON.stringify(value)} has a wildcard, which ${base} cannot have`,
				"write \\* or \\? for the sign itself",
			);
		const bytes = encoded(literal, encodings[encoding ?? ""] ?? "utf8");
		const texts = base === "base64" ? [bytes.toString("base64")] : base64Offsets(bytes);
		return texts.map((each) => textAsk(surrounded([{ text: each }], begin, end), cased));
	};
	const asks = (value: string): readonly Ask[] => {
		if (manner === "re") return [{ is: "text", operator: "search", text: regexOf(value, flags) }];
		if (manner === "cidr") return [{ is: "network", network: value }];
		if (manner === "fieldref")
			return [{ is: "field", operator: textOperator(position ?? "equals", cased), name: value }];
		if (manner !== undefined || part !== undefined) {
			if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^0x[0-9a-f]+$/i.test(value))
				throw new ModifierProblem(`${JSON.stringify(value)} is no number`, `${manner ?? part} takes numbers`);
			const operator = manner === undefined ? "=" : comparisons[manner as keyof typeof comparisons];
			return [{ is: "compare", operator, number: value }];
		}
		const name = has("expand") ? /%([^%\s]+)%/.exec(value)?.[1] : undefined;
		return name === undefined ? ofText(value) : [{ is: "placeholder", name }];
	};
	return {
		all: has("all"),
		negated: has("neq"),
		part,
		asks: (value) => {
			if (manner === "exists") {
				if (value === null || !/^(true|false|yes|no)$/i.test(value))
					throw new ModifierProblem("exists is true or false", "write exists: true");
				return { asks: [{ is: "exists" }], not: /^(false|no)$/i.test(value) };
			}
			if (value !== null) return { asks: asks(value), not: false };
			if (words.some((word) => word !== "all" && word !== "neq" && word !== "cased") || keyword)
				throw new ModifierProblem(
					"null cannot be compared like that",
					"leave out the modifiers, or give a value",
				);
			return { asks: [{ is: "empty" }], not: false };
		},
	};
}

const operators = {
	equals: ["iequals", "="],
	contains: ["icontains", "contains"],
	startswith: ["istartswith", "startswith"],
	endswith: ["iendswith", "endswith"],
	glob: ["like", "glob"],
} as const satisfies Record<string, readonly [Operator, Operator]>;

function textOperator(position: keyof typeof operators, cased: boolean): Operator {
	return operators[position][cased ? 1 : 0];
}

function textAsk(pattern: Pattern, cased: boolean): Ask {
	const { position, text } = positionOf(pattern);
	// "*" alone: whatever it is, as long as it is there.
	if (position === "contains" && text === "") return { is: "exists" };
	return { is: "text", operator: textOperator(position, cased), text };
}

/** With its flags in front, as RE2 takes them. */
function regexOf(pattern: string, flags: readonly string[]): string {
	const letters = [
		...new Set(flags.map((flag) => ({ ignorecase: "i", multiline: "m", dotall: "s" })[flag] ?? flag)),
	];
	return letters.length === 0 ? pattern : `(?${letters.join("")})${pattern}`;
}
