// What a terminal can show: its colours and its characters. Colours carry severity and nothing else; without
// them every meaning is still there in words.
import { cut, printable, textWidth } from "./terminal-text.ts";

/** Bits of colour: none, 16 or 256. */
export type ColourDepth = 0 | 4 | 8;

// [256 colours, 16 colours, no colours], the parameters of SGR.
const styles = {
	plain: ["", "", ""],
	dim: ["38;5;245", "90", "2"],
	bold: ["1", "1", "1"],
	/** Frames and rulers. */
	line: ["38;5;239", "90", "2"],
	reverse: ["7", "7", "7"],
	critical: ["1;38;5;231;48;5;160", "1;97;41", "1;7"],
	high: ["1;38;5;203", "1;91", "1"],
	medium: ["38;5;221", "93", ""],
	low: ["38;5;110", "36", ""],
	informational: ["38;5;248", "37", ""],
	/** Critical as a foreground. */
	bad: ["1;38;5;203", "1;91", "1"],
	warn: ["38;5;221", "93", ""],
	good: ["38;5;114", "32", ""],
} as const satisfies Record<string, readonly [string, string, string]>;
export type Style = keyof typeof styles;

/** A piece of a line. The text need not be safe: paint sees to it. */
export interface Span {
	readonly text: string;
	readonly style: Style;
}

const unicodeGlyphs = {
	rule: "─",
	stripe: "▌",
	arrow: "→",
	follows: "↳",
	dot: "●",
	ring: "○",
	middle: "·",
	times: "×",
	yes: "✓",
	no: "✗",
	dash: "—",
	down: "↓",
	up: "↑",
	ellipsis: "…",
	levels: "▁▂▃▄▅▆▇█",
};
export type Glyphs = Readonly<typeof unicodeGlyphs>;
const asciiGlyphs: Glyphs = {
	rule: "-",
	stripe: "|",
	arrow: "->",
	follows: "=>",
	dot: "*",
	ring: "o",
	middle: ".",
	times: "x",
	yes: "ok",
	no: "NO",
	dash: "-",
	down: "v",
	up: "^",
	ellipsis: "...",
	levels: "_.-=+*#@",
};

export interface Theme {
	readonly depth: ColourDepth;
	readonly glyphs: Glyphs;
	/** Start of a style, empty for none. */
	readonly sgr: Readonly<Record<Style, string>>;
}

export function createTheme(depth: ColourDepth, unicode = true): Theme {
	const column = depth === 8 ? 0 : depth === 4 ? 1 : 2;
	const sgr = Object.fromEntries(
		Object.entries(styles).map(([name, codes]) => [name, codes[column] && `\x1b[${codes[column]}m`]),
	) as Record<Style, string>;
	return { depth, glyphs: unicode ? unicodeGlyphs : asciiGlyphs, sgr };
}

/** NO_COLOR (no-color.org), COLORTERM, TERM and the locale decide. */
export function themeOf(environment: Readonly<Record<string, string | undefined>>): Theme {
	const { NO_COLOR = "", TERM = "", COLORTERM = "" } = environment;
	const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || "";
	// No locale, or C, says nothing: most often it is a container whose terminal knows UTF-8 well.
	const unicode = TERM !== "linux" && (/^$|^C$|^POSIX$/.test(locale) || /utf-?8/i.test(locale));
	if (NO_COLOR !== "" || TERM === "dumb" || TERM === "") return createTheme(0, unicode);
	return createTheme(COLORTERM !== "" || /256|direct|kitty|alacritty|ghostty/.test(TERM) ? 8 : 4, unicode);
}

/** Cells of a line. */
export function lineWidth(line: readonly Span[]): number {
	return line.reduce((cells, span) => cells + textWidth(printable(span.text)), 0);
}

/** One line for the terminal, made safe and cut to `cells`; ends in the plain style. */
export function paint(line: readonly Span[], cells: number, theme: Theme): string {
	let left = cells;
	let painted = "";
	const total = lineWidth(line);
	for (const [index, { text, style }] of line.entries()) {
		let safe = printable(text);
		const width = textWidth(safe);
		// The mark goes where the line ends, also when the end falls between two spans.
		const last = width > left || (width === left && total > cells && index < line.length - 1);
		if (last) safe = cut(width > left ? safe : `${safe} `, left, theme.glyphs.ellipsis);
		if (safe !== "") painted += theme.sgr[style] === "" ? safe : `${theme.sgr[style]}${safe}\x1b[0m`;
		left -= last ? left : width;
		if (left <= 0) break;
	}
	return painted;
}
