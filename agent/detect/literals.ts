// What a text must hold for a check to be true: the necessary literals of a predicate, by which the rules are found
// that an event can match at all. More may hold one than satisfy the check, never fewer.
import type { Literal } from "./automaton.ts";
import type { Check } from "./check.ts";
import { regexLiterals } from "./regex-literals.ts";
import { asLatin1 } from "./text.ts";

/** Of these literals the text holds one if the check is true; undefined: no such bound. */
export function literalsOf({ operator, match, right }: Check): readonly Literal[] | undefined {
	if (operator === "exists" || right.some((term) => term.is !== "text")) return undefined;
	const values = right.flatMap((term) => (term.is === "text" ? [term.text] : []));
	// allof () is true of every text. Of several, any one will do: they all hold.
	if (match === "all" && values.length === 0) return undefined;
	const found = values.map((value) => literalsOfValue(operator, value));
	return found.some((each) => each === undefined) ? undefined : found.flatMap((each) => each ?? []);
}

function literalsOfValue(operator: Check["operator"], value: string): readonly Literal[] | undefined {
	const text = asLatin1(value);
	switch (operator) {
		case "=":
		case "in":
		case "intersects":
			return [{ text, begin: true, end: true }];
		case "startswith":
			return text === "" ? undefined : [{ text, begin: true, end: false }];
		case "endswith":
			return text === "" ? undefined : [{ text, begin: false, end: true }];
		case "contains":
			return within(text);
		case "bstartswith":
			return [{ text: Buffer.from(value, "hex").toString("latin1"), begin: true, end: false }];
		case "bcontains":
			return within(Buffer.from(value, "hex").toString("latin1"));
		case "glob":
			return globLiteral(text);
		case "pmatch":
			// Parts are compared one by one, and empty ones do not count.
			return within(longest(text.split("/").filter((part) => !special.test(part))));
		case "regex": {
			const required = regexLiterals(text);
			return required?.every((each) => each !== "")
				? required.map((each) => ({ text: each, begin: false, end: false }))
				: undefined;
		}
		default:
			return undefined;
	}
}

const special = /[*?[\\]/;

function within(text: string): readonly Literal[] | undefined {
	return text === "" ? undefined : [{ text, begin: false, end: false }];
}
function longest(texts: readonly string[]): string {
	return texts.reduce((best, each) => (each.length > best.length ? each : best), "");
}

/** Where nothing special stands at its begin, that; else what stands at its end. */
function globLiteral(glob: string): readonly Literal[] | undefined {
	const first = glob.search(special);
	if (first < 0) return [{ text: glob, begin: true, end: true }];
	if (first > 0) return [{ text: glob.slice(0, first), begin: true, end: false }];
	if (/[[\\]/.test(glob)) return undefined;
	const end = glob.slice(Math.max(glob.lastIndexOf("*"), glob.lastIndexOf("?")) + 1);
	return end === "" ? undefined : [{ text: end, begin: false, end: true }];
}
