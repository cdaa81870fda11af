// What a text must hold for a check to be true: the necessary literals of a predicate, by which the rules are found
// that an event can match at all. More may hold one than satisfy the check, never fewer.
import type { Literal } from "./automaton.ts";
import type { Check } from "./check.ts";
import type { TextField } from "./field.ts";
import { findField } from "./fields.ts";
import type { Predicate } from "./predicate.ts";
import { regexLiterals } from "./regex-literals.ts";
import { asLatin1 } from "./text.ts";

/** A text, and literals of which it holds one if the check is true. */
export interface Sought {
	readonly fieldName: string;
	readonly field: TextField;
	readonly literals: readonly Literal[];
	/** The literals are the same in either case. */
	readonly ignoreCase: boolean;
}

/** What to look for to find out whether a check can be true; undefined: no such bound. */
export function soughtOf({ field, fieldName, check }: Predicate): Sought | undefined {
	const { left, operator } = check;
	if (left.is === "text") return undefined;
	const literals = literalsOf(check);
	if (!literals) return undefined;
	if (left.is === "field") {
		if (field?.type !== "text") return undefined;
		return { fieldName, field, literals, ignoreCase: ignoresCase(operator) };
	}
	// Of a text that is converted letter by letter the original holds the same literals in some case.
	const [term] = left.terms;
	if (!/^(tolower|toupper)$/.test(left.name) || term?.is !== "field") return undefined;
	const { name, argument } = term.field;
	const of = findField(name, argument);
	if (of?.type !== "text" || of.some) return undefined;
	const shown = argument === undefined ? name : `${name}[${argument}]`;
	return { fieldName: shown, field: of, literals, ignoreCase: true };
}

/** Of these literals the text holds one if the check is true; undefined: no such bound. */
function literalsOf({ operator, match, right }: Check): readonly Literal[] | undefined {
	if (operator === "exists" || right.some((term) => term.is !== "text")) return undefined;
	const values = right.flatMap((term) => (term.is === "text" ? [term.text] : []));
	const found = values.map((value) => literalsOfValue(operator, value));
	// Of several that all hold any one will do, the rarest best. allof () is true of every text.
	if (match === "all") {
		const known = found.filter((each) => each !== undefined);
		return known.sort((a, b) => frequencyOf(a) - frequencyOf(b))[0];
	}
	return found.some((each) => each === undefined) ? undefined : found.flatMap((each) => each ?? []);
}

/** Programs that run, and places that files lie in, all day on most hosts: to see one of them sorts little out. */
const commonPrograms = new Set(
	"sh bash dash cat cp curl env find git grep ls make mv node perl php python python3 rm ruby sed tar".split(
		" ",
	),
);
const commonPlace =
	/^(\/usr)?(\/s?bin|\/lib(64|exec)?|\/share|\/include|\/local)?\/?$|^\/(dev|etc|home|opt|proc|root|run|snap|srv|sys|tmp|var|var\/lib|var\/tmp)\/?$/;
/** Parts of many command lines. */
const commonParts = new Set(
	"http https :// http:// https:// root admin config conf .conf .sh .py .json user name".split(" "),
);

/** How often a text holds one of these, roughly, in no unit; a text of its own kind, such as a file's name. */
export function frequencyOf(literals: readonly Literal[]): number {
	return literals.reduce((sum, literal) => sum + frequencyOfOne(literal), 0);
}
function frequencyOfOne({ text, begin, end }: Literal): number {
	const { length } = text;
	const byLength = begin && end ? 1 : length > 5 ? 2 : length > 3 ? 4 : length > 2 ? 16 : 200;
	if (commonPlace.test(text) || commonPrograms.has(text.replace(/^\//, "").trim()))
		return Math.max(100, byLength);
	return commonParts.has(text) ? Math.max(20, byLength) : byLength;
}

function literalsOfValue(operator: Check["operator"], value: string): readonly Literal[] | undefined {
	const text = asLatin1(value);
	switch (operator) {
		case "=":
		case "in":
		case "intersects":
		case "iequals":
			return [{ text, begin: true, end: true }];
		case "startswith":
		case "istartswith":
			return text === "" ? undefined : [{ text, begin: true, end: false }];
		case "endswith":
		case "iendswith":
			return text === "" ? undefined : [{ text, begin: false, end: true }];
		case "contains":
		case "icontains":
			return within(text);
		case "bstartswith":
			return [{ text: Buffer.from(value, "hex").toString("latin1"), begin: true, end: false }];
		case "bcontains":
			return within(Buffer.from(value, "hex").toString("latin1"));
		case "glob":
		case "iglob":
		case "like":
			return globLiteral(text);
		case "pmatch":
			// Parts are compared one by one, and empty ones do not count.
			return within(longest(text.split("/").filter((part) => !special.test(part))));
		case "regex":
		case "search": {
			const required = regexLiterals(value);
			return required?.every((each) => each !== "")
				? required.map((each) => ({ text: asLatin1(each), begin: false, end: false }))
				: undefined;
		}
		default:
			return undefined;
	}
}

/** Operators to which a letter is the same in either case: their literals have to be looked for like that. */
function ignoresCase(operator: Check["operator"]): boolean {
	return /^(i(equals|contains|startswith|endswith|glob)|like)$/.test(operator);
}

const special = /[*?[\\]/;

function within(text: string): readonly Literal[] | undefined {
	return text === "" ? undefined : [{ text, begin: false, end: false }];
}
function longest(texts: readonly string[]): string {
	return texts.reduce((best, each) => (each.length > best.length ? each : best), "");
}

/** The longest run of ordinary signs, or what stands at the pattern's begin or end. */
function globLiteral(glob: string): readonly Literal[] | undefined {
	const runs: string[] = [""];
	for (let i = 0; i < glob.length; i++) {
		const sign = glob[i] as string;
		// What belongs to the set is not looked at: only what stands before it is known.
		if (sign === "[") {
			const before = runs.length === 1 ? (runs[0] as string) : longest(runs);
			return before === "" ? undefined : [{ text: before, begin: runs.length === 1, end: false }];
		}
		if (sign === "*" || sign === "?") runs.push("");
		else runs[runs.length - 1] += sign === "\\" && i + 1 < glob.length ? (glob[++i] as string) : sign;
	}
	if (runs.length === 1) return [{ text: runs[0] as string, begin: true, end: true }];
	const text = longest(runs);
	if (text === "") return undefined;
	return [{ text, begin: runs[0] === text, end: runs[0] !== text && runs.at(-1) === text }];
}
