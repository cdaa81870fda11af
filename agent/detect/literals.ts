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
			return globLiteral(text);
		case "pmatch":
			// Parts are compared one by one, and empty ones do not count.
			return within(longest(text.split("/").filter((part) => !special.test(part))));
		case "regex":
		case "search": {
			const required = regexLiterals(text);
			return required?.every((each) => each !== "")
				? required.map((each) => ({ text: each, begin: false, end: false }))
				: undefined;
		}
		default:
			return undefined;
	}
}

/** Operators to which a letter is the same in either case: their literals have to be looked for like that. */
export function ignoresCase(operator: Check["operator"]): boolean {
	return /^i(equals|contains|startswith|endswith|glob)$/.test(operator);
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
