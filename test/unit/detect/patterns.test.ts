// Patterns of every sort: right by the library's own engine and by plain search, and bounded work for each letter of a
// text, however they and the text are made.
import { RE2JS } from "re2js";
import { describe, expect, it } from "vitest";
import { CheckProblem } from "../../../agent/detect/check.ts";
import { Glob } from "../../../agent/detect/glob.ts";
import { matcher } from "../../../agent/detect/matcher.ts";
import { Needle } from "../../../agent/detect/needle.ts";
import { compileRegex } from "../../../agent/detect/regex.ts";
import { Bits } from "../../../agent/detect/regex-bits.ts";
import { lettersOf, Positions, type Program } from "../../../agent/detect/regex-positions.ts";
import { Table } from "../../../agent/detect/regex-table.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { asLatin1 } from "../../../agent/detect/text.ts";
import {
	hostileGlobs,
	hostilePaths,
	hostileRegexes,
	hostileTexts,
	longTexts,
	refusedRegexes,
} from "../../bench/hostile.ts";
import { errorOf, fired, Random, ruleOf } from "./rig.ts";

const letters = ["a", "b", "A", "_", " ", "\n", "-", "\xe9", "7", "\u212a", "k", "漢", "\u{1f600}", "ω"];

/** Of everything that RE2 has. */
function randomRegex(random: Random, depth = 3): string {
	const inner = (): string => randomRegex(random, depth - 1);
	if (depth === 0 || random.chance(0.3)) {
		return random.pick([
			...["a", "b", "a", "b", ".", "[ab]", "[^a]", "\\w", "\\s", "\\d", "[[:alpha:]]", "\\n", "\\W"],
			...[
				"^",
				"$",
				"\\b",
				"\\B",
				"\\A",
				"\\z",
				"",
				"(?i:a)",
				"(?i:[^b])",
				"(?s:.)",
				"(?m:^)",
				"(?m:$)",
				"\xe9",
				"(?i:k)",
				"(?i:\xc9)",
				"[\xe0-\xf6]",
				"\\p{L}",
				"[^漢]",
			],
		]);
	}
	return random.pick([
		() => inner() + inner(),
		() => inner() + inner() + inner(),
		() => `(?:${inner()}|${inner()})`,
		() => `(${inner()})${random.pick(["*", "+", "?", "*?", "{2}", "{0,3}", "{2,}"])}`,
	])();
}

function randomText(random: Random, most: number): string {
	return random.several(0, most, () => random.pick(letters)).join("");
}

describe("a regular expression", () => {
	it("says what the library says, as a table and by sets of places, on 40,000 random pairs", () => {
		const random = new Random(11);
		const counts = { true: 0, all: 0, tables: 0 };
		for (let round = 0; round < 2000; round++) {
			const pattern = randomRegex(random);
			for (const whole of [false, true]) {
				const regex = RE2JS.compile(pattern, whole ? RE2JS.DOTALL : 0);
				const program = regex.re2().prog as Program;
				const alphabet = lettersOf(program);
				const positions = new Positions(program, alphabet);
				const bits = new Bits(positions, whole);
				const table = Table.of(positions, bits, whole);
				if (table) counts.tables++;
				const ways = [bits, ...(table ? [table] : [])].map((way) => alphabet.over(way));
				for (let times = 0; times < 10; times++) {
					const text = randomText(random, random.pick([3, 12]));
					const expected = whole ? regex.testExact(text) : regex.test(text);
					const captured = asLatin1(text);
					const bytes = Buffer.from(`-${captured}-`, "latin1");
					const what = JSON.stringify([pattern, whole, text]);
					for (const way of ways) {
						expect(way.string(captured), what).toBe(expected);
						expect(way.bytes(bytes, 1, captured.length), what).toBe(expected);
					}
					counts.all++;
					if (expected) counts.true++;
				}
			}
		}
		expect(counts.tables).toBeGreaterThan(3900);
		expect(counts.true).toBeGreaterThan(counts.all / 8);
		expect(counts.true).toBeLessThan((counts.all * 7) / 8);
	}, 60_000);

	it.each(hostileRegexes.map((each) => [each.length > 60 ? `${each.slice(0, 60)}…` : each, each]))(
		"%s takes a bounded number of operations for each letter and says what the library says",
		(_, pattern) => {
			for (const whole of [false, true]) {
				const regex = compileRegex(pattern, whole);
				expect(regex.cost).toBeLessThanOrEqual(32);
				const library = RE2JS.compile(pattern, whole ? RE2JS.DOTALL : 0);
				for (const text of longTexts(300)) {
					const expected = whole ? library.testExact(text) : library.test(text);
					expect(regex.string(text), text).toBe(expected);
				}
			}
		},
	);

	it.each(refusedRegexes.map((each) => [each.length > 60 ? `${each.slice(0, 60)}…` : each, each]))(
		"%s is refused with a remedy",
		(_, pattern) => {
			const { message, remedy } = errorOf(`proc.cmdline regex "${pattern}"`);
			expect(message).toMatch(/cannot be used: (with its repetitions written out|it could be in too many)/);
			expect(remedy).toMatch(/repeat less often/);
			expect(() => compileRegex(pattern, false)).toThrow(CheckProblem);
		},
	);
});

describe("a glob", () => {
	/** By trying every split. */
	const slow = (pattern: string, text: string): boolean => {
		if (pattern === "") return text === "";
		const set = /^\[(!?)([^\]]+)\]/.exec(pattern);
		if (pattern[0] === "*")
			return slow(pattern.slice(1), text) || (text !== "" && slow(pattern, text.slice(1)));
		if (text === "") return false;
		const first = text[0] as string;
		if (set)
			return (
				set[2]?.includes(first) !== (set[1] === "!") && slow(pattern.slice(set[0].length), text.slice(1))
			);
		return (pattern[0] === "?" || pattern[0] === first) && slow(pattern.slice(1), text.slice(1));
	};
	it("says what trying every split says, on 40,000 random pairs", () => {
		const random = new Random(5);
		const counts = { true: 0 };
		for (let times = 0; times < 40_000; times++) {
			const pattern = random
				.several(0, 6, () => random.pick(["*", "*", "?", "a", "b", "ab", "[ab]", "[!a]"]))
				.join("");
			const text = random.several(0, 7, () => random.pick(["a", "b", "/"])).join("");
			const glob = new Glob(pattern);
			const expected = slow(pattern, text);
			if (expected) counts.true++;
			expect(glob.string(text), `${pattern} ${text}`).toBe(expected);
			expect(glob.bytes(Buffer.from(`*${text}*`), 1, text.length), `${pattern} ${text}`).toBe(expected);
		}
		expect(counts.true).toBeGreaterThan(4000);
		expect(counts.true).toBeLessThan(36_000);
	}, 60_000);

	it("finds runs of more than 32 signs, at any place", () => {
		for (const size of [31, 32, 33, 63, 64, 65, 200]) {
			const run = Array.from({ length: size }, (_, index) => "abc"[(index * index) % 3]).join("");
			for (const before of ["", "a", run.slice(0, -1), run.slice(1)]) {
				expect(new Glob(`x*${run}*y`).string(`x${before}${run}y`), `${size} ${before}`).toBe(true);
				expect(new Glob(`x*${run}c*y`).string(`x${before}${run}y`), `${size} ${before}`).toBe(false);
				expect(new Glob(`*${run.toUpperCase()}*`, true).string(`${before}${run}y`)).toBe(true);
			}
		}
	});

	it("that would take too long is refused with a remedy, and others take a bounded number of operations", () => {
		for (const glob of hostileGlobs) expect(new Glob(glob).cost).toBeLessThanOrEqual(36);
		for (const path of hostilePaths) expect(() => matcher("pmatch", [path])).not.toThrow();
		const long = `*${"a".repeat(400)}*b*`;
		expect(errorOf(`proc.cmdline glob "${long}"`)).toMatchObject({
			message: expect.stringContaining("has too many signs between two *"),
			remedy: "use contains for a long text, or split it",
		});
		expect(errorOf(`fd.name pmatch ("/a/${long}")`).message).toContain("too many signs");
		// Only what has to be looked for at every place is dear.
		expect(matcher("glob", [`${"a".repeat(4000)}*b`]).onString(`${"a".repeat(4000)}b`)).toBe(true);
	});
});

describe("a text in a text", () => {
	it("is found where the language's own search finds it, however both repeat themselves", () => {
		const random = new Random(3);
		const periodic = () =>
			random
				.several(1, 3, () => random.pick(["a", "ab", "aab", "B", "\xe9"]).repeat(1 + random.below(60)))
				.join("");
		const counts = { true: 0 };
		for (let times = 0; times < 20_000; times++) {
			const text = periodic() + periodic();
			const value = random.chance(0.5)
				? periodic()
				: text.slice(random.below(text.length), random.below(300));
			const expected = text.includes(value);
			if (expected) counts.true++;
			const bytes = Buffer.from(`${value}${text}${value}`, "latin1");
			const needle = new Needle(Buffer.from(value, "latin1"), false);
			expect(needle.string(text), `${value} ${text}`).toBe(expected);
			expect(needle.bytes(bytes, value.length, text.length), `${value} ${text}`).toBe(expected);
			const folded = new Needle(Buffer.from(value.toUpperCase(), "latin1"), true);
			// É is no letter of ASCII.
			const lower = value.includes("\xe9") ? false : text.toLowerCase().includes(value.toLowerCase());
			expect(folded.string(text), `${value} ${text}`).toBe(lower);
			expect(folded.bytes(bytes, value.length, text.length), `${value} ${text}`).toBe(lower);
		}
		expect(counts.true).toBeGreaterThan(5000);
		expect(counts.true).toBeLessThan(15_000);
	}, 60_000);

	it("is found at the end of what it almost stands in all over", () => {
		for (const value of hostileTexts) {
			const text = `${"a".repeat(20_000)}${value}`;
			for (const operator of ["contains", "icontains"] as const) {
				expect(matcher(operator, [value]).onString(text)).toBe(true);
				expect(matcher(operator, [`${value}c`]).onString(text)).toBe(false);
			}
		}
	});
});

it("a field is compared with another one by its bytes, which need not be UTF-8", () => {
	const { set } = ruleOf("proc.name = val(proc.pname)");
	const named = (comm: string, parent: string) => {
		const observation = observationOf({ exec: "", process: {}, ancestors: [{}] });
		Object.assign(observation.process ?? {}, { comm });
		Object.assign(observation.process?.parent ?? {}, { comm: parent });
		return fired(set, observation);
	};
	expect(named("\xff", "\xff")).toEqual(["r"]);
	expect(named("\xff", "\xfe")).toEqual([]);
	expect(named("\xc3\xa9", "\xc3\xa9")).toEqual(["r"]);
});
