// The automaton against a search for each literal by itself, and what a regular expression is known to need.
import { RE2JS } from "re2js";
import { describe, expect, it } from "vitest";
import { Automaton, type Literal } from "../../../agent/detect/automaton.ts";
import { regexLiterals } from "../../../agent/detect/regex-literals.ts";
import { Random } from "./rig.ts";

function found(
	entries: readonly (readonly [Literal, number])[],
	say: (automaton: Automaton) => void,
): number[] {
	const values = new Set<number>();
	const automaton = new Automaton(entries, (each) => {
		for (const value of each) values.add(value);
	});
	automaton.begin();
	say(automaton);
	automaton.end();
	return [...values].sort((a, b) => a - b);
}

describe("the automaton", () => {
	it("finds what a search for each literal finds, in strings, bytes and pieces", () => {
		const random = new Random(3);
		const text = (most: number) =>
			random.several(0, most, () => random.pick(["a", "b", "/", "\xff"])).join("");
		let hits = 0;
		for (let round = 0; round < 2000; round++) {
			const literals = random
				.several(0, 8, () => ({ text: text(4), begin: random.chance(0.4), end: random.chance(0.4) }))
				.filter((each) => each.text !== "" || (each.begin && each.end));
			const entries = literals.map((literal, index) => [literal, index] as const);
			const subject = text(12);
			const expected = literals.flatMap((each, index) => {
				const marked = `${each.begin ? "^" : ""}${each.text}${each.end ? "$" : ""}`;
				return `^${subject}$`.includes(marked) ? [index] : [];
			});
			hits += expected.length;
			const cut = random.below(subject.length + 1);
			const bytes = Buffer.from(`xx${subject}yy`, "latin1");
			expect(found(entries, (automaton) => automaton.string(subject))).toEqual(expected);
			expect(found(entries, (automaton) => automaton.bytes(bytes, 2, subject.length))).toEqual(expected);
			const pieces = (automaton: Automaton) => {
				automaton.string(subject.slice(0, cut));
				automaton.string(subject.slice(cut));
			};
			expect(found(entries, pieces)).toEqual(expected);
		}
		expect(hits).toBeGreaterThan(500);
	}, 30_000);

	it("takes every byte there is, and a character that is none for one that no literal has", () => {
		const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));
		const entries = all.map((each, index) => [{ text: each, begin: false, end: false }, index] as const);
		expect(found(entries, (automaton) => automaton.string(all.join("")))).toHaveLength(256);
		expect(found(entries, (automaton) => automaton.string("\u0141\u4e2d"))).toEqual([]);
	});
});

describe("the literals of a regular expression", () => {
	it.each<[string, readonly string[] | undefined]>([
		["abc", ["abc"]],
		["ab+c", ["ab"]],
		["ab?c", ["a"]],
		["a{2}bc", ["bc"]],
		["(x)?yy", ["yy"]],
		["(foo|ba[rz]) .*", ["foo", "ba"]],
		["(foo|.*)", undefined],
		["(foo|bar){0}", undefined],
		["a[.]b\\.c", ["a.b.c"]],
		["[^a]", undefined],
		["[]a]b", ["b"]],
		["[[:alpha:]]abc", undefined],
		["(?i)abc", undefined],
		["\\x41bc", undefined],
		["a\\d+bcd", ["bcd"]],
		["^abc$", ["abc"]],
		["", undefined],
	])("of %s are %j", (pattern, literals) => {
		expect(regexLiterals(pattern)).toEqual(literals);
	});

	it("stand in every text that matches", () => {
		const random = new Random(11);
		const part = (depth: number): string =>
			random.pick([
				() => random.pick(["a", "b", "ab", ".", "[ab]", "[.]", "\\.", "c"]),
				() => (depth > 2 ? "a" : `(${part(depth + 1)}|${part(depth + 1)})`),
				() => (depth > 2 ? "b" : `(?:${part(depth + 1)}${part(depth + 1)})`),
			])() + random.pick(["", "", "?", "*", "+", "{2}", "{0,1}", "+?"]);
		let matched = 0;
		for (let round = 0; round < 3000; round++) {
			const pattern = random.several(1, 4, () => part(0)).join("");
			const literals = regexLiterals(pattern);
			if (!literals) continue;
			const regex = RE2JS.compile(pattern, RE2JS.DOTALL);
			for (let i = 0; i < 10; i++) {
				const text = random.several(0, 7, () => random.pick(["a", "b", "c", "."])).join("");
				if (!regex.testExact(text)) continue;
				matched++;
				expect([pattern, text, literals.some((each) => text.includes(each))]).toEqual([pattern, text, true]);
			}
		}
		expect(matched).toBeGreaterThan(500);
	}, 30_000);
});
