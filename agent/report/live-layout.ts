// Who gets how many rows, and lines whose parts give way by importance when a terminal is narrow.
import { lineWidth, type Span } from "./terminal-theme.ts";

export interface Layout {
	/** Below 60 columns: fewer words, no frames. */
	readonly narrow: boolean;
	readonly header: number;
	/** 1 when the alerts pane has a ruler above it. */
	readonly ruler: number;
	readonly alerts: number;
	/** Its ruler included; 0 when hidden. */
	readonly activity: number;
	readonly footer: number;
	/** An empty line between alerts. */
	readonly spaced: boolean;
}

/** `problem`: a line for a problem is wanted. `quiet`: there are no alerts yet. */
export function layOut(
	columns: number,
	rows: number,
	wish: { readonly showActivity: boolean; readonly problem: boolean; readonly quiet: boolean },
): Layout {
	const header = Math.min(rows, (rows >= 10 ? 2 : 1) + (wish.problem && rows >= 12 ? 1 : 0));
	const ruler = rows >= 8 ? 1 : 0;
	const footer = rows >= 6 ? (rows >= 20 ? 2 : 1) : 0;
	const left = Math.max(0, rows - header - ruler - footer);
	let activity = 0;
	if (wish.showActivity && rows >= 16) {
		const share = wish.quiet ? 0.5 : rows >= 40 ? 0.3 : 0.25;
		activity = Math.max(4, Math.floor(left * share));
	}
	return {
		narrow: columns < 60,
		header,
		ruler,
		alerts: left - activity,
		activity,
		footer,
		spaced: rows >= 28,
	};
}

export interface Part {
	readonly spans: readonly Span[];
	/** Parts with the lowest number go first when there is no room. */
	readonly keep: number;
}

const space: Span = { text: "   ", style: "plain" };

/** Parts from the left and from the right edge on one line, with room between them. */
export function arrange(left: readonly Part[], right: readonly Part[], columns: number): Span[] {
	const all = [...left, ...right];
	let chosen = new Set(all);
	// Without the least important until it fits, then whatever of those still finds room.
	const byImportance = [...all].sort((a, b) => b.keep - a.keep);
	for (let index = byImportance.length - 1; index > 0 && roomFor(chosen, left, right, columns) < 0; index--) {
		chosen = new Set(byImportance.slice(0, index));
	}
	for (const part of byImportance) {
		const more = new Set(chosen).add(part);
		if (!chosen.has(part) && roomFor(more, left, right, columns) >= 0) chosen = more;
	}
	const start = join(left.filter((part) => chosen.has(part)));
	const end = join(right.filter((part) => chosen.has(part)));
	if (end.length === 0) return start;
	const room = Math.max(0, columns - lineWidth(start) - lineWidth(end));
	return [...start, { text: " ".repeat(room), style: "plain" }, ...end];
}

/** Cells to spare; below 0 when the parts do not fit. */
function roomFor(
	parts: ReadonlySet<Part>,
	left: readonly Part[],
	right: readonly Part[],
	columns: number,
): number {
	const start = join(left.filter((part) => parts.has(part)));
	const end = join(right.filter((part) => parts.has(part)));
	const between = start.length > 0 && end.length > 0 ? 2 : 0;
	return columns - lineWidth(start) - lineWidth(end) - between;
}

function join(parts: readonly Part[]): Span[] {
	return parts.flatMap((part, index) => (index === 0 ? part.spans : [space, ...part.spans]));
}
