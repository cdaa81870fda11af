// A mistake in a file somebody wrote, for people: what, where, the line itself with a mark under the place, and what
// to do. Tabs, wide characters and hostile ones take the cells they are shown in.
import type { Problem } from "../model/verdict.ts";
import { cut, printable, textWidth } from "./terminal-text.ts";
import type { Span, Style } from "./terminal-theme.ts";

const tabCells = 4;
const styles: Readonly<Record<Problem["level"], Style>> = { error: "bad", warning: "warn" };

/**
 * The lines of a problem. `text` is the whole file, undefined when it is not at hand; the line out of it is shown in
 * at most `cells` cells.
 */
export function problemLines(problem: Problem, text: string | undefined, cells: number): Span[][] {
	const { file, line, column, level, where, message, remedy } = problem;
	const place = line > 0 ? `${file}:${line}:${column}` : file;
	const lines: Span[][] = [
		[
			{ text: `${place}: `, style: "bold" },
			{ text: level, style: styles[level] },
			{ text: `${where === "" ? "" : ` at ${where}`}: ${message}`, style: "plain" },
		],
	];
	const gutter = Math.max(4, String(line).length) + 1;
	const shown = text?.split("\n")[line - 1]?.replace(/\r$/, "");
	if (shown !== undefined && shown.trim() !== "") {
		const [source, mark] = excerpt(shown, column, Math.max(20, cells - gutter - 3));
		lines.push(
			[
				{ text: `${String(line).padStart(gutter)} | `, style: "line" },
				{ text: source, style: "plain" },
			],
			[
				{ text: `${" ".repeat(gutter)} | `, style: "line" },
				{ text: mark, style: styles[level] },
			],
		);
	}
	if (remedy !== "")
		lines.push([
			{ text: `${" ".repeat(gutter)} = `, style: "line" },
			{ text: remedy, style: "plain" },
		]);
	return lines;
}

/** The line around its column (from 1, in UTF-16 units) in at most `room` cells, and the mark for below it. */
function excerpt(line: string, column: number, room: number): [source: string, mark: string] {
	const begin = Math.max(0, column - 1);
	let before = expandTabs(line.slice(0, begin), 0);
	const [word = ""] = /^[^\s()=,]*/.exec(line.slice(begin)) ?? [];
	const named = expandTabs(word, 0);
	const rest = named + expandTabs(line.slice(begin + word.length), textWidth(before) + textWidth(named));
	// What stands before the place is cut so that at least half of the room is left for the place itself.
	const most = Math.max(Math.floor(room / 2), room - textWidth(rest));
	if (textWidth(before) > most) before = `…${lastOf(before, most - 1)}`;
	const at = textWidth(before);
	const marked = Math.max(1, Math.min(textWidth(named), room - at));
	return [before + cut(rest, room - at), `${" ".repeat(at)}^${"~".repeat(marked - 1)}`];
}

/** Printable, with spaces up to the next stop for every tab; the text begins at cell `from`. */
function expandTabs(text: string, from: number): string {
	let out = "";
	for (const [index, piece] of text.split("\t").entries()) {
		if (index > 0) out += " ".repeat(tabCells - ((from + textWidth(out)) % tabCells));
		out += printable(piece);
	}
	return out;
}

/** The longest end of printable text that fits into `cells`. */
function lastOf(text: string, cells: number): string {
	const characters = [...text];
	let begin = characters.length;
	for (let left = cells; begin > 0; begin--) {
		left -= textWidth(characters[begin - 1] ?? "");
		if (left < 0) break;
	}
	return characters.slice(begin).join("");
}
