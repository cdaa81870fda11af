// Lines for wherever a command prints to: painted on a terminal, plain into a file or a pipe.
import { printable } from "../report/terminal-text.ts";
import { paint, type Span, themeOf } from "../report/terminal-theme.ts";

/** Of output that is no terminal. */
const plainCells = 110;

export interface Page {
	/** Cells that an excerpt of a file may take. */
	readonly cells: number;
	line(spans: readonly Span[]): string;
}

/** Colours only on a terminal that has them, and none where NO_COLOR is set. */
export function pageOf(
	output: { readonly isTTY?: boolean; readonly columns?: number },
	environment: Readonly<Record<string, string | undefined>>,
): Page {
	const theme = output.isTTY === true ? themeOf(environment) : undefined;
	const cells = (theme && output.columns) || plainCells;
	if (!theme || theme.depth === 0)
		return { cells, line: (spans) => spans.map(({ text }) => printable(text)).join("") };
	return { cells, line: (spans) => paint(spans, Number.POSITIVE_INFINITY, theme) };
}
