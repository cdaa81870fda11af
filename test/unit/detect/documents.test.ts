// The YAML of Sigma files: what comes out of it, and what is refused with its place.
import { describe, expect, it } from "vitest";
import { languageOf, readDocuments } from "../../../agent/detect/documents.ts";
import { finish } from "../../../agent/detect/steps.ts";
import type { Problem } from "../../../agent/model/verdict.ts";

function read(text: string) {
	const problems: Problem[] = [];
	return { documents: finish(readDocuments("a.yml", text, problems)), problems };
}
const valuesOf = (text: string) => read(text).documents.map(({ values }) => values);

describe("a file", () => {
	it.each<[text: string, language: string]>([
		["- rule: x", "falco"],
		["# words\n\n---\n- list: x", "falco"],
		['[{"rule": "x"}]', "falco"],
		["", "falco"],
		["# nothing", "falco"],
		["--- - rule: x", "falco"],
		["%YAML 1.2\n---\n- macro: x", "falco"],
		["-\n  rule: x", "falco"],
		["title: x", "sigma"],
		["\uFEFFtitle: x", "sigma"],
		["---\ntitle: x\n---\n- rule: y", "sigma"],
		["--- # the first\ntitle: x", "sigma"],
		['{"title": "x"}', "sigma"],
	])("%j is %s's", (text, language) => {
		expect(languageOf(text)).toBe(language);
	});

	it("holds several documents", () => {
		const { documents, problems } = read(
			"title: a\n---\n\ntitle: b\ncorrelation: {}\n---\n---\ntitle: c\nfilter: {}\n...\n",
		);
		expect(problems).toEqual([]);
		expect(documents.map(({ is, place, values }) => [values.title, is, place.line])).toEqual([
			["a", "sigma", 1],
			["b", "correlation", 4],
			["c", "filter", 8],
		]);
	});

	it("with a broken document keeps the others", () => {
		const { documents, problems } = read("title: a\n---\ntitle: [b\n---\ntitle: c\n");
		expect(documents.map(({ values }) => values.title)).toContain("a");
		expect(problems.length).toBeGreaterThan(0);
		for (const { file, line, column, remedy } of problems) {
			expect([file, line >= 3, column > 0]).toEqual(["a.yml", true, true]);
			expect(remedy).not.toBe("");
		}
	});
});

describe("a value", () => {
	it("is text as it is written, or null", () => {
		expect(valuesOf("{a: 1, b: 0x1F, c: 007, d: true, e: yes, f: 1.50, g: 2024-01-02, h: .inf}")).toEqual([
			{ a: "1", b: "0x1F", c: "007", d: "true", e: "yes", f: "1.50", g: "2024-01-02", h: ".inf" },
		]);
		expect(valuesOf("a: null\nb: ~\nc:\nd: 'null'\ne: \"\"\nf: nUll\n")).toEqual([
			{ a: null, b: null, c: null, d: "null", e: "", f: "nUll" },
		]);
		expect(valuesOf("a: [x, null, [y], {b: z}]\n? b\n: |\n  two\n  lines\n")).toEqual([
			{ a: ["x", null, ["y"], { b: "z" }], b: "two\nlines\n" },
		]);
	});

	it("may be that of an anchor", () => {
		const [document] = read("a: &it [x, y]\nb: *it\nc:\n  d: *it\n").documents;
		expect(document?.values).toEqual({ a: ["x", "y"], b: ["x", "y"], c: { d: ["x", "y"] } });
		expect(document?.placeOf(["c", "d"])).toEqual({ line: 4, column: 6 });
	});

	it("has its place", () => {
		const [document] = read("a:\n  - x\n  - b: 'y z'\n    'c|d': |\n      one two\n").documents;
		expect(document?.placeOf(["a", 0])).toEqual({ line: 2, column: 5 });
		expect(document?.placeOf(["a", 1, "b"])).toEqual({ line: 3, column: 8 });
		expect(document?.placeOf(["a", 1, "b"], 1)).toEqual({ line: 3, column: 11 });
		expect(document?.placeOf(["a", 1, "c|d"], 3)).toEqual({ line: 5, column: 11 });
		// The nearest that is there.
		expect(document?.placeOf(["a", 1, "nothing", 3])).toEqual({ line: 3, column: 5 });
	});
});

describe("what is refused", () => {
	it.each<[text: string, line: number, message: RegExp]>([
		["title: a\ntitle: b\n", 2, /unique/],
		["title: a\nb: *nothing\n", 2, /nothing/],
		["a: &x {b: 1}\nc:\n  <<: *x\n", 3, /<< is not read/],
		["a: &x\n  b: *x\n", 2, /too many|deep|nothing/],
		["title: a\n---\n- rule: x\n", 3, /is a map/],
		["title: a\n---\nword\n", 3, /is a map/],
		["a: {b: 1\n", 2, /./],
		["a: 'b\n", 2, /./],
	])("%j is told with its place", (text, line, message) => {
		const { problems } = read(text);
		expect(problems[0]).toMatchObject({ line, level: "error" });
		expect(problems[0]?.message).toMatch(message);
		expect(problems[0]?.remedy).not.toBe("");
	});

	it("is more than 20,000 values, however few lines they are", () => {
		const bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
		for (let i = 1; i < 9; i++) bomb.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}*a${i - 1}]`);
		const { documents, problems } = read(bomb.join("\n"));
		expect(documents).toEqual([]);
		expect(problems).toMatchObject([{ message: "more than 20000 values through aliases" }]);
	});

	it.each(["[", "{a: ", "- ", "!!x "])(
		"is depth, of %j",
		(sign) => {
			const { documents, problems } = read(`a: ${sign.repeat(20_000)}`);
			expect(documents).toEqual([]);
			expect(problems.length).toBeGreaterThan(0);
		},
		60_000,
	);
});
