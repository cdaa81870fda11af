import { describe, expect, test } from "vitest";
import { cut, padEnd, padStart, printable, textWidth, wrap } from "../../../agent/report/terminal-text.ts";
import { createTheme, paint, themeOf } from "../../../agent/report/terminal-theme.ts";
import { counter, grouped, percent, rate, size, span } from "../../../agent/report/terminal-units.ts";
import { bare, hostile } from "./records.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
const dangerous = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/;

describe("printable text", () => {
	test("plain text of any script stays as it is", () => {
		for (const text of ["", "cat /etc/shadow", "Ünïcödé", "漢字", "🎉", "e\u0301", "naïve → café"]) {
			expect(printable(text)).toBe(text);
		}
	});

	test.each([
		["\x1b[31mred", "\\x1b[31mred"],
		["a\nb\tc\rd", "a\\nb\\tc\\rd"],
		["\x9b31m", "\\x9b31m"],
		["x\u202efdp.exe", "x\\u{202e}fdp.exe"],
		["zero\u200bwidth", "zero\\u{200b}width"],
		["\ud800", "\\u{d800}"],
		["filler\u3164", "filler\\u{3164}"],
		["❤\ufe0f", "❤"],
		["a\ufe0f", "a\\u{fe0f}"],
		["\u0301x", "◌\u0301x"],
		[`a${"\u0301".repeat(50)}b`, `a${"\u0301".repeat(4)}b`],
	])("%j is shown as %j", (text, shown) => {
		expect(printable(text)).toBe(shown);
		expect(printable(shown)).toBe(shown);
	});

	test("nothing that a terminal would obey is left of hostile text", () => {
		expect(printable(hostile)).not.toMatch(dangerous);
	});
});

describe("width", () => {
	test.each([
		["", 0],
		["abc", 3],
		["é", 1],
		["e\u0301", 1],
		["漢字", 4],
		["ｆｕｌｌ", 8],
		["ﾊﾝｶｸ", 4],
		["한국어", 6],
		["\u1112\u1161\u11ab", 2],
		["🎉", 2],
		["🇩🇪", 2],
		["✓ → ▌", 5],
		["שלום", 4],
		["กำ", 2],
	])("%j takes %i cells", (text, cells) => {
		expect(textWidth(text)).toBe(cells);
	});

	test("a cut never splits a wide character or tears a mark from its letter", () => {
		expect(cut("漢字漢字", 8)).toBe("漢字漢字");
		expect(cut("漢字漢字", 7)).toBe("漢字漢…");
		expect(cut("漢字漢字", 6)).toBe("漢字…");
		expect(cut("e\u0301e\u0301e\u0301", 2)).toBe("e\u0301…");
		expect(cut("abc", 0)).toBe("");
		expect(cut("abc", 1)).toBe("…");
		expect(cut("🎉x", 1, "...")).toBe("");
		for (let cells = 0; cells < 30; cells++) {
			expect(textWidth(cut(printable(hostile), cells))).toBeLessThanOrEqual(cells);
		}
	});

	test("padding counts cells, not characters", () => {
		expect(padEnd("漢", 4)).toBe("漢  ");
		expect(padStart("漢", 4)).toBe("  漢");
	});

	test("lines break at spaces, long words anywhere, and the last line says that there is more", () => {
		expect(wrap("one two three four", 9, 3)).toEqual(["one two", "three", "four"]);
		expect(wrap("one two three four", 9, 2)).toEqual(["one two", "three fo…"]);
		expect(wrap("abcdefghijkl", 5, 3)).toEqual(["abcde", "fghij", "kl"]);
		expect(wrap("漢字漢字", 5, 2)).toEqual(["漢字", "漢字"]);
		expect(wrap("漢", 1, 2)).toEqual(["…"]);
		expect(wrap("", 5, 2)).toEqual([]);
		expect(wrap("x", 0, 2)).toEqual([]);
	});
});

describe("painting", () => {
	const line = [
		{ text: "漢字", style: "critical" },
		{ text: hostile, style: "plain" },
		{ text: "end", style: "dim" },
	] as const;

	test("a line never takes more cells than there are, and nothing but its own colours", () => {
		for (const depth of [0, 4, 8] as const) {
			for (let cells = 0; cells < 120; cells++) {
				const shown = bare(paint(line, cells, createTheme(depth)));
				expect(textWidth(shown)).toBeLessThanOrEqual(cells);
				expect(shown).not.toMatch(dangerous);
			}
		}
	});

	test("what does not fit is marked, also when the line ends between two parts", () => {
		const two = [
			{ text: "abcd", style: "plain" },
			{ text: "efgh", style: "plain" },
		] as const;
		const theme = createTheme(0);
		expect(paint(two, 8, theme)).toBe("abcdefgh");
		expect(paint(two, 7, theme)).toBe("abcdef…");
		expect(paint(two, 4, theme)).toBe("abc…");
		expect(paint(two, 5, theme)).toBe("abcd…");
	});

	test("the environment decides on colours and characters", () => {
		const depth = (environment: Record<string, string>): number => themeOf(environment).depth;
		expect(depth({ TERM: "xterm-256color" })).toBe(8);
		expect(depth({ TERM: "xterm", COLORTERM: "truecolor" })).toBe(8);
		expect(depth({ TERM: "xterm" })).toBe(4);
		expect(depth({ TERM: "xterm-256color", NO_COLOR: "1" })).toBe(0);
		expect(depth({ TERM: "xterm-256color", NO_COLOR: "" })).toBe(8);
		expect(depth({ TERM: "dumb" })).toBe(0);
		expect(themeOf({ TERM: "xterm", LANG: "de_DE.UTF-8" }).glyphs.arrow).toBe("→");
		expect(themeOf({ TERM: "xterm", LANG: "C.utf8" }).glyphs.arrow).toBe("→");
		expect(themeOf({ TERM: "xterm" }).glyphs.arrow).toBe("→");
		expect(themeOf({ TERM: "xterm", LANG: "de_DE.ISO-8859-1" }).glyphs.arrow).toBe("->");
		expect(themeOf({ TERM: "linux", LANG: "C.UTF-8" }).glyphs.stripe).toBe("|");
	});

	test("without colours no colour is sent", () => {
		const theme = createTheme(0);
		for (const code of Object.values(theme.sgr)) expect(code).not.toMatch(/[349]\d/);
	});
});

describe("units", () => {
	test("numbers are written for people", () => {
		expect([0, 999, 1204, 1_234_567].map(grouped)).toEqual(["0", "999", "1,204", "1,234,567"]);
		expect(grouped(18_446_744_073_709_551_615n)).toBe("18,446,744,073,709,551,615");
		expect([0, 0.42, 9.94, 12.3, 1204.4, Number.NaN].map(rate)).toEqual([
			"0",
			"0.4",
			"9.9",
			"12",
			"1,204",
			"0",
		]);
		expect([0, 999, 1000, 82e6, 1.5e9].map(size)).toEqual(["0 B", "999 B", "1.0 kB", "82 MB", "1.5 GB"]);
		expect([0, 0.018, 0.5, 1.2].map(percent)).toEqual(["0.0 %", "1.8 %", "50 %", "120 %"]);
		expect([-5, 45e3, 1800e3, 7980e3, 270_000e3].map(span)).toEqual(["0s", "45s", "30m", "2h 13m", "3d 3h"]);
	});

	test("a counter that is no number counts as nothing", () => {
		expect([undefined, "", "x", "1e5", "12"].map(counter)).toEqual([0n, 0n, 0n, 0n, 12n]);
	});
});
