// Regular expressions of rules: in time linear to the text and bounded for each letter of it, or refused. The library
// reads them; what runs is a table, or sets of places where a table would be too large.
import { RE2JS } from "re2js";
import { CheckProblem } from "./check.ts";
import { Bits } from "./regex-bits.ts";
import { lettersOf, Positions, type Program, TooLarge } from "./regex-positions.ts";
import { Table } from "./regex-table.ts";

export interface Regex {
	/** Operations that a letter of a text takes at most, some ns each. */
	readonly cost: number;
	/** Latin1. */
	string(text: string): boolean;
	bytes(bytes: Uint8Array, start: number, size: number): boolean;
}

/** Letters of an expression with its repetitions written out. */
const mostLetters = 2048;
/** Of `Regex.cost`: with 32 of them 100 kB of text take 4 to 5 ms. */
const mostCost = 32;

/**
 * `whole`: the text as a whole matches, and . is any sign; else some part of it, and . is no line end. A sign is a
 * character of UTF-8. Throws CheckProblem.
 */
export function compileRegex(pattern: string, whole: boolean): Regex {
	const refuse = (reason: string, remedy: string): CheckProblem =>
		new CheckProblem(
			`the regular expression ${JSON.stringify(pattern.slice(0, 200))} cannot be used: ${reason}`,
			remedy,
		);
	if (sizeOf(pattern) > mostLetters)
		throw refuse(
			`with its repetitions written out it has more than ${mostLetters} letters`,
			"repeat less often, or write a list of words with contains or in",
		);
	const program = programOf(pattern, whole, refuse);
	try {
		const letters = lettersOf(program);
		const positions = new Positions(program, letters);
		const bits = new Bits(positions, whole);
		const regex = Table.of(positions, bits, whole) ?? bits;
		if (regex.cost <= mostCost) return letters.over(regex);
	} catch (error) {
		if (!(error instanceof TooLarge)) throw error;
	}
	throw refuse(
		"it could be in too many places of its pattern at once, which takes too long on long texts",
		"repeat less often, as .{0,50} instead of .{0,500}, use * and + instead of counts, or split it in several",
	);
}

function programOf(
	pattern: string,
	whole: boolean,
	refuse: (reason: string, remedy: string) => CheckProblem,
): Program {
	try {
		return RE2JS.compile(pattern, whole ? RE2JS.DOTALL : 0).re2().prog as Program;
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw refuse(reason, "RE2 syntax; no look-around, no back references");
	}
}

/** How many letters it has, roughly, with repetitions written out; before the library does that. */
function sizeOf(pattern: string): number {
	const outer: number[] = [];
	let all = 0;
	let last = 0;
	// A class that is not closed goes to the end: looked for from each bracket anew, that end takes quadratic time.
	const sign = /\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*(?:\]|$)|\{(\d+)(?:,(\d*))?\}|[\s\S]/g;
	for (const [text, least, most] of pattern.matchAll(sign)) {
		if (least !== undefined) all += last * (Math.max(1, Number(least), Number(most ?? 0)) - 1);
		else if (text === "(") {
			outer.push(all);
			all = 0;
		} else if (text === ")") {
			last = all;
			all += outer.pop() ?? 0;
		} else if (!/^[*+?|]$/.test(text)) {
			all++;
			last = 1;
		}
	}
	return all + outer.reduce((sum, each) => sum + each, 0);
}
