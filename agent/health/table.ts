// Aligned columns of plain text, for the answers of `picket status` and `picket doctor`.
import { padEnd, padStart, printable, textWidth, wrap } from "../report/terminal-text.ts";

export interface Column {
	readonly title: string;
	readonly right?: boolean;
	/** Takes what room is left and breaks its text into lines. One column at most, the last. */
	readonly wraps?: boolean;
}

const gap = "  ";

/** Lines without trailing spaces, each behind `indent` spaces. Text is made safe for a terminal. */
export function alignTable(
	columns: readonly Column[],
	rows: readonly (readonly string[])[],
	width: number,
	indent = 2,
): string[] {
	const head = columns.map((column) => column.title);
	const cells = [head, ...rows].map((row) => columns.map((_, index) => printable(row[index] ?? "")));
	const widths = columns.map((_, index) => Math.max(0, ...cells.map((row) => textWidth(row[index] ?? ""))));
	const last = columns.length - 1;
	if (columns[last]?.wraps) {
		const before = widths.slice(0, last).reduce((sum, one) => sum + one + gap.length, indent);
		widths[last] = Math.max(20, width - before);
	}
	return cells.flatMap((row) => {
		const tail = columns[last]?.wraps ? wrap(row[last] ?? "", widths[last] ?? 20, 12) : [row[last] ?? ""];
		return (tail.length === 0 ? [""] : tail).map((text, line) =>
			columns
				.map((column, index) => {
					const cell = index === last ? text : line === 0 ? (row[index] ?? "") : "";
					return column.right ? padStart(cell, widths[index] ?? 0) : padEnd(cell, widths[index] ?? 0);
				})
				.join(gap)
				.replace(/^/, " ".repeat(indent))
				.trimEnd(),
		);
	});
}
