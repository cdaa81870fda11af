// Text for a terminal: how many cells it takes and how it is cut. What leaves here cannot move the cursor.
import { neutralise } from "./shown.ts";

const ascii = /^[\x20-\x7e]*$/;
const pictogramVariant = /(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]/gu;
// Fillers and variation selectors that draw nothing and are neither controls nor format characters.
const invisible = /\p{Default_Ignorable_Code_Point}/gu;
// Marks pile up without limit and would run into the lines above.
const pile = /(\p{M}{4})\p{M}+/gu;

/**
 * Captured text as it may be printed: controls, format characters (bidirectional overrides among them) and
 * fillers are spelled out, marks are kept to four a letter. Idempotent.
 */
export function printable(text: string): string {
	if (ascii.test(text)) return text;
	const safe = neutralise(text.replace(pictogramVariant, ""))
		.replace(invisible, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
		.replace(pile, "$1");
	// A mark at the start would change the character that is printed before the text.
	return /^\p{M}/u.test(safe) ? `◌${safe}` : safe;
}

// First and last code points of East Asian Width W and F outside the pictographs (Unicode 16), in order.
const wide: readonly number[] = [
	0x1100, 0x115f, 0x2329, 0x232a, 0x2e80, 0x303e, 0x3041, 0x3247, 0x3250, 0x4dbf, 0x4e00, 0xa4c6, 0xa960,
	0xa97c, 0xac00, 0xd7a3, 0xf900, 0xfaff, 0xfe10, 0xfe19, 0xfe30, 0xfe6b, 0xff01, 0xff60, 0xffe0, 0xffe6,
	0x16fe0, 0x16ff1, 0x17000, 0x18d08, 0x1aff0, 0x1b2ff, 0x1f200, 0x1f265, 0x20000, 0x2fffd, 0x30000, 0x3fffd,
];
const mark = /^[\p{Mn}\p{Me}]$/u;
const pictograph = /^\p{Emoji_Presentation}$/u;

/** Cells of one printable character: 0, 1 or 2. */
export function characterWidth(character: string): 0 | 1 | 2 {
	const point = character.codePointAt(0) ?? 0;
	if (point < 0x300) return 1;
	// Vowels and finals of Hangul written in its letters join the consonant before them.
	if ((point >= 0x1160 && point <= 0x11ff) || (point >= 0xd7b0 && point <= 0xd7ff)) return 0;
	if (mark.test(character)) return 0;
	for (let index = 0; index < wide.length; index += 2) {
		if (point < (wide[index] ?? 0)) break;
		if (point <= (wide[index + 1] ?? 0)) return 2;
	}
	// Letters of a flag are counted one by one: half a flag is one cell.
	if (point >= 0x1f1e6 && point <= 0x1f1ff) return 1;
	return pictograph.test(character) ? 2 : 1;
}

/** Cells of printable text. */
export function textWidth(text: string): number {
	if (ascii.test(text)) return text.length;
	let cells = 0;
	for (const character of text) cells += characterWidth(character);
	return cells;
}

/** The longest start of printable text that fits into `cells`. */
export function fitting(text: string, cells: number): string {
	if (ascii.test(text)) return text.slice(0, Math.max(0, cells));
	let used = 0;
	let end = 0;
	for (const character of text) {
		used += characterWidth(character);
		if (used > cells) break;
		end += character.length;
	}
	return text.slice(0, end);
}

/** Printable text in at most `cells` cells, with `mark` at its end when something was left out. */
export function cut(text: string, cells: number, mark = "…"): string {
	if (cells <= 0) return "";
	if (textWidth(text) <= cells) return text;
	const room = cells - textWidth(mark);
	return room < 0 ? fitting(text, cells) : fitting(text, room) + mark;
}

/** Printable text with spaces behind it up to `cells`. */
export function padEnd(text: string, cells: number): string {
	return text + " ".repeat(Math.max(0, cells - textWidth(text)));
}

export function padStart(text: string, cells: number): string {
	return " ".repeat(Math.max(0, cells - textWidth(text))) + text;
}

/**
 * Printable text in lines of at most `cells` cells, broken at spaces where there are any; at most `lines` of
 * them, the last one cut.
 */
export function wrap(text: string, cells: number, lines: number): string[] {
	const result: string[] = [];
	let rest = text.trim();
	while (rest !== "" && result.length < lines && cells > 0) {
		const start = fitting(rest, cells);
		if (start.length === rest.length) return [...result, rest];
		if (result.length === lines - 1 || start === "") return [...result, cut(rest, cells)];
		const space = rest.charAt(start.length) === " " ? start.length : start.lastIndexOf(" ");
		// A break that would leave most of the line empty is worse than a broken word.
		const end = space > start.length / 2 ? space : start.length;
		result.push(rest.slice(0, end).trimEnd());
		rest = rest.slice(end).trimStart();
	}
	return result;
}
