import { describe, expect, test } from "vitest";
import { neutralise, showText } from "../../../agent/report/shown.ts";
import { seeded } from "./samples.ts";

const latin1 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

/** Reads shown text back: the rule, told the other way round. */
function unshow(shown: string): string {
	if (!/\\[x\\]/.test(shown)) return latin1(shown);
	const parts = shown.split(/(\\\\|\\x[0-9a-f]{2})/);
	return parts
		.map((part) => {
			if (part === "\\\\") return "\\";
			return part.startsWith("\\x") ? String.fromCharCode(Number.parseInt(part.slice(2), 16)) : latin1(part);
		})
		.join("");
}

test.each([
	["/usr/bin/cat", "/usr/bin/cat"],
	[latin1("/home/jürgen/中文/𝄞"), "/home/jürgen/中文/𝄞"],
	["\xff\xfe", "\\xff\\xfe"],
	["a\\b", "a\\b"],
	["a\\xff", "a\\\\xff"],
	["a\\\\b", "a\\\\\\\\b"],
	[`${latin1("ü")}\xfc`, "ü\\xfc"],
	["\\\xff", "\\\\\\xff"],
	["\xc0\xaf", "\\xc0\\xaf"],
	["\xed\xa0\x80", "\\xed\\xa0\\x80"],
	["\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"],
	[latin1("\ufeffx"), "\ufeffx"],
	["\xe2\x82", "\\xe2\\x82"],
])("%j is shown as %j", (bytes, shown) => {
	expect(showText(bytes)).toBe(shown);
});

test("no two byte strings are shown the same: each can be read back", () => {
	const random = seeded(42);
	const alphabet = [
		"\\",
		"x",
		"f",
		"0",
		"a",
		"\xff",
		"\xc3",
		"\xbc",
		"\x80",
		"\xe2\x82\xac",
		"\xf0\x9f",
		"\x1b",
		"\0",
	];
	for (let round = 0; round < 20_000; round++) {
		let bytes = "";
		for (let count = Math.floor(random() * 7); count >= 0; count--) {
			bytes +=
				random() < 0.8
					? alphabet[Math.floor(random() * alphabet.length)]
					: String.fromCharCode(Math.floor(random() * 256));
		}
		const shown = showText(bytes);
		expect(unshow(shown)).toBe(bytes);
		expect(shown.isWellFormed()).toBe(true);
	}
});

test("all strings of up to three bytes from the risky ones are shown differently", () => {
	const risky = ["\\", "x", "5", "c", "\xff", "\xc3", "\xa9", "\x80"];
	let all = [""];
	const seen = new Map<string, string>();
	for (let length = 0; length < 5; length++) {
		for (const bytes of all) {
			const shown = showText(bytes);
			expect(seen.get(shown)).toBeUndefined();
			seen.set(shown, bytes);
		}
		all = all.flatMap((bytes) => risky.map((byte) => bytes + byte));
	}
});

test("well-formed text is what a strict decoder makes of it", () => {
	const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
	for (let point = 0; point <= 0x10ffff; point += point < 0x900 ? 1 : 97) {
		if (point >= 0xd800 && point <= 0xdfff) continue;
		const bytes = Buffer.from(String.fromCodePoint(point), "utf8");
		expect(showText(bytes.toString("latin1"))).toBe(decoder.decode(bytes));
	}
});

describe("before a terminal", () => {
	test.each([
		["plain", "plain"],
		["grün 中文", "grün 中文"],
		["\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"],
		["a\r\nb\tc", "a\\r\\nb\\tc"],
		["\x07\x08\x7f", "\\x07\\x08\\x7f"],
		["\u009b31m", "\\x9b31m"],
		["\u202egnp.exe", "\\u{202e}gnp.exe"],
		["a\u2028b\u200bc", "a\\u{2028}b\\u{200b}c"],
		["\u{e0041}", "\\u{e0041}"],
		["\ud800", "\\u{d800}"],
		["\0", "\\x00"],
	])("%j becomes %j", (text, safe) => {
		expect(neutralise(text)).toBe(safe);
	});
});
