// The condition of a Sigma rule and the shapes of its selections, asked of the real engine; mistakes with their places.
import { describe, expect, it } from "vitest";
import { errorsOf, fired, load } from "./rig.ts";
import { type Detection, ran, sigmaError, sigmaOf } from "./sigma-rig.ts";

/** Selections that hold when the command line has their letter. */
const letters: Detection = Object.fromEntries(
	["a", "b", "c", "sel_d", "sel_e", "_f"].map((name) => [name, { "CommandLine|contains": name.at(-1) }]),
);

function holds(condition: unknown, text: string, selections: Detection = letters): boolean {
	return fired(sigmaOf({ ...selections, condition }).set, ran([text])).length > 0;
}

describe("a condition", () => {
	it.each<[condition: unknown, yes: string[], no: string[]]>([
		["a", ["a"], ["b"]],
		["a and b", ["ab"], ["a", "b"]],
		["a or b", ["a", "b"], ["c"]],
		["not a", ["b"], ["a"]],
		["not not a", ["a"], ["b"]],
		["a and not b", ["a"], ["ab", "b"]],
		["a or b and c", ["a", "bc"], ["b", "c"]],
		["(a or b) and c", ["ac", "bc"], ["a", "c", "ab"]],
		["not (a or b)", ["c"], ["a", "b"]],
		["not(a)and(b)", ["b"], ["ab", "c"]],
		["not a and b", ["b"], ["ab", "c"]],
		["A_".toLowerCase().slice(0, 1), ["a"], ["b"]],
		["a AND b OR NOT c", ["ab", "d"], ["c", "ac"]],
		["1 of sel_*", ["d", "e"], ["a", ""]],
		["all of sel_*", ["de"], ["d", "e"]],
		["any of sel_*", ["d"], ["a"]],
		["1 of *_d", ["d"], ["e"]],
		["1 of s*_*", ["d", "e"], ["a"]],
		["1 of sel_d", ["d"], ["e"]],
		["1 of them", ["a", "e"], ["f", ""]],
		["all of them", ["abcde"], ["abcd", "f"]],
		["1 of _*", ["f"], ["a"]],
		["_f", ["f"], ["a"]],
		["a and not 1 of sel_*", ["a"], ["ad", "d"]],
		["a and 1 of sel_* or b", ["ad", "b"], ["a", "d"]],
		["not all of sel_*", ["d", ""], ["de"]],
		[
			["a", "b and c"],
			["a", "bc"],
			["b", "c"],
		],
		["  a\n  and\n  b ", ["ab"], ["a"]],
	])("%j", (condition, yes, no) => {
		for (const text of yes) expect(holds(condition, text), text).toBe(true);
		for (const text of no) expect(holds(condition, text), text).toBe(false);
	});

	it.each<[condition: unknown, message: RegExp, remedy: RegExp]>([
		["", /has no condition/, /selection/],
		[[], /has no condition/, /write/],
		[["a", null], /has no condition/, /write/],
		[{ a: 1 }, /has no condition/, /write/],
		["d", /no selection is named d/, /known: a, b/],
		["sel_*", /no selection is named sel_\*/, /1 of sel_\*/],
		["1 of x*", /no selection is named x\*/, /known/],
		["2 of sel_*", /2 of is not known/, /1 of/],
		["1 of", /of what/, /them/],
		["a and", /missing at the end/, /known/],
		["and a", /missing before "and"/, /known/],
		["a b", /unexpected "b"/, /join/],
		["(a", /\) is missing/, /add/],
		["a)", /unexpected "\)"/, /parenthesis/],
		["()", /missing before "\)"/, /known/],
		["a | count() > 5", /no part of a Sigma condition/, /correlation/],
		["a | near b", /no part of a Sigma condition/, /correlation/],
		[`${"(".repeat(5000)}a`, /nested too deeply/, /levels/],
		["not ".repeat(5000), /nested too deeply/, /levels/],
	])("%j is told", (condition, message, remedy) => {
		const error = sigmaError({ ...letters, condition });
		expect(error.message).toMatch(message);
		expect(error.remedy).toMatch(remedy);
	});

	it("says where its mistake is", () => {
		const text = `title: r
logsource: { category: process_creation }
detection:
  sel: { Image: x }
  condition: >
    sel and
    nothing
`;
		expect(errorsOf(load(text))).toMatchObject([{ line: 7, column: 5, where: "rule r" }]);
	});
});

describe("a selection", () => {
	it.each<[shape: string, selection: unknown, yes: string[][], no: string[][]]>([
		["of a map wants all its fields", { Image: "*/tool", "CommandLine|contains": "x" }, [["x"]], [["y"]]],
		[
			"of a list of maps wants one of them",
			[{ CommandLine: "x" }, { CommandLine: "y" }],
			[["x"], ["y"]],
			[["z"]],
		],
		[
			"of a list of maps wants all fields of that one",
			[{ CommandLine: "x", Image: "/nothing" }, { CommandLine: "y" }],
			[["y"]],
			[["x"]],
		],
		["of words wants one of them anywhere", ["one", "two"], [["xONEx"], ["a", "two"]], [["three"]]],
		["of a word", "one", [["xonex"]], [["two"]]],
		["of words with |all wants each", { "|all": ["one", "two"] }, [["two", "one"]], [["one"], ["two"]]],
		["of words with wildcards", ["wget *| sh"], [["wget x | sh"], ["WGET y| sh -x"]], [["wget x", "sh"]]],
		["of words with |re", { "|re": "^w.t$" }, [["wat"]], [["wait"]]],
		["of words that are numbers", [0, 6], [["init", "6"], ["10"]], [["init", "5"]]],
		["of words and maps wants one", ["one", { CommandLine: "y" }], [["one"], ["y"]], [["x"]]],
		[
			"of one field twice",
			{ "CommandLine|startswith": "a", "CommandLine|endswith": "z" },
			[["a-z"]],
			[["a"], ["z"]],
		],
	])("%s", (_, selection, yes, no) => {
		const { set } = sigmaOf({ s: selection, condition: "s" });
		for (const args of yes) expect(fired(set, ran(args)), args.join(" ")).toEqual(["r"]);
		for (const args of no) expect(fired(set, ran(args)), args.join(" ")).toEqual([]);
	});

	it.each<[selection: unknown, message: RegExp]>([
		[{}, /selection is empty/],
		[[], /selection is empty/],
		[[{ CommandLine: "x" }, {}], /selection is empty/],
		[[null], /null cannot be compared/],
	])("%j is told", (selection, message) => {
		expect(sigmaError({ s: selection, condition: "s" }).message).toMatch(message);
	});

	it("says where its mistake is", () => {
		const text = `title: r
logsource:
  category: process_creation
detection:
  sel:
    - Image: x
    - CommandLine|lt:
        - 1
        - many
  condition: sel
`;
		expect(errorsOf(load(text))).toMatchObject([{ line: 9, column: 11, where: "rule r" }]);
		expect(errorsOf(load(text.replace("many", "2").replace("Image", "Image|foo")))).toMatchObject([
			{ line: 6, column: 18 },
		]);
		expect(
			errorsOf(load(text.replace("many", "2").replace("Image", "CommandLine|re").replace("x", "'('"))),
		).toMatchObject([{ line: 6, column: 23 }]);
	});

	it("of an old rule may have a timeframe, which says nothing alone", () => {
		expect(sigmaOf({ s: { Image: "*/tool" }, timeframe: "5m", condition: "s" }).rule.status).toBe(
			"evaluable",
		);
	});
});
