// Problems as people see them: the line, and a mark that stands under the place however the line is written.
import { describe, expect, it } from "vitest";
import { pageOf } from "../../../agent/commands/page.ts";
import type { Problem } from "../../../agent/model/verdict.ts";
import { problemLines } from "../../../agent/report/problem.ts";
import { textWidth } from "../../../agent/report/terminal-text.ts";

const problem: Problem = {
	file: "mine.yaml",
	line: 1,
	column: 1,
	where: "rule r",
	message: "there is no field proc.nmae",
	remedy: "did you mean proc.name?",
	level: "error",
};
const plain = pageOf({}, {});

function shown(text: string | undefined, more: Partial<Problem> = {}, cells = 110): string[] {
	return problemLines({ ...problem, ...more }, text, cells).map(plain.line);
}
/** Where in `line` the word stands. */
const place = (line: string, word: string) => ({ line: 1, column: line.indexOf(word) + 1 });
/** The word that the mark stands under, by cells. */
function marked(lines: readonly string[]): string {
	const [, source = "", mark = ""] = lines;
	const begin = mark.indexOf("^");
	let cells = 0;
	let out = "";
	for (const character of source) {
		if (cells >= begin && cells < mark.length) out += character;
		cells += textWidth(character);
	}
	return out;
}

describe("a problem", () => {
	it("is told with its place, its line, a mark below it, and what to do", () => {
		const line = "  condition: proc.nmae = x";
		expect(shown(`- rule: r\n${line}\n`, { line: 2, column: 14 })).toEqual([
			"mine.yaml:2:14: error at rule r: there is no field proc.nmae",
			"    2 |   condition: proc.nmae = x",
			"      |              ^~~~~~~~~",
			"      = did you mean proc.name?",
		]);
	});

	it.each([
		["tabs", "\tcondition:\tevt.num > 0 and\tproc.nmae = x"],
		["a tab that follows wide characters", '日\toutput: "日本語\tproc.nmae"'],
		["wide characters", '  output: "日本語 🔥 한국 proc.nmae"'],
		["marks", '  output: "e\u0301e\u0301 proc.nmae"'],
		["controls and text turned round", "  desc: \x1b[31m\u202e x\rproc.nmae"],
		["the end of the line", "  condition: evt.num > 0 and proc.nmae"],
	])("has its mark under the place in a line with %s", (_, line) => {
		const lines = shown(line, place(line, "proc.nmae"));
		expect(marked(lines).replace(/[")]$/, "")).toBe("proc.nmae");
		expect(lines.join("")).not.toMatch(/[\p{Cc}\u202e]/u);
	});

	it("of a long line shows the part around the place", () => {
		const list = Array.from({ length: 400 }, (_, index) => `name${index}`).join(", ");
		for (const line of [
			`  condition: proc.name in (${list}) and proc.nmae = x and proc.name in (${list})`,
			`  condition: proc.nmae = x and proc.name in (${list})`,
			`  condition: proc.name in (${list}) and proc.nmae = x`,
			`  output: ${"語".repeat(300)} proc.nmae ${"語".repeat(300)}`,
		]) {
			for (const cells of [40, 80, 110]) {
				const lines = shown(line, place(line, "proc.nmae"), cells);
				expect(marked(lines)).toBe("proc.nmae");
				for (const each of lines.slice(1, 3)) expect(textWidth(each)).toBeLessThanOrEqual(cells);
				expect(lines[1]).toContain("…");
			}
		}
	});

	it("behind the end of its line is marked there", () => {
		expect(shown("  condition: (a", { line: 1, column: 16 }).slice(1, 3)).toEqual([
			"    1 |   condition: (a",
			"      |                ^",
		]);
	});

	it.each([
		["the file as a whole", { line: 0, column: 0 }, "- rule: r\n", "mine.yaml: error"],
		["a line that is not in the file", { line: 9, column: 1 }, "- rule: r\n", "mine.yaml:9:1: error"],
		["a file that is not at hand", { line: 1, column: 1 }, undefined, "mine.yaml:1:1: error"],
		["an empty line", { line: 1, column: 1 }, "\n", "mine.yaml:1:1: error"],
	])("about %s has no line to show", (_, at, text, head) => {
		const lines = shown(text, at);
		expect(lines).toHaveLength(2);
		expect(lines[0]).toContain(head);
		expect(lines[1]).toBe("      = did you mean proc.name?");
	});

	it("does not take the end of a line from another system for a part of it", () => {
		expect(shown("- rule: r\r\n  condition: x\r\n", { line: 2, column: 14 })[1]).toBe(
			"    2 |   condition: x",
		);
	});
});

describe("colours", () => {
	const painted = (isTTY: boolean, environment: Record<string, string>) =>
		problemLines(problem, "- rule: r\n", 80)
			.map(pageOf({ isTTY, columns: 80 }, environment).line)
			.join("\n");
	it("are for terminals that have them, unless they are unwanted", () => {
		expect(painted(true, { TERM: "xterm-256color" })).toContain("\x1b[1;38;5;203merror\x1b[0m");
		expect(painted(false, { TERM: "xterm-256color" })).not.toContain("\x1b");
		expect(painted(true, { TERM: "xterm-256color", NO_COLOR: "1" })).not.toContain("\x1b");
		expect(painted(true, { TERM: "dumb" })).not.toContain("\x1b");
	});
});
