// The live view as lines of text: a pure function of what the view knows and the size of the terminal.
import { activityLine, type EntryShape, entryLines } from "./live-entry.ts";
import { footerLine, gaugesLine, identityLine, problemLine, ruler, severityParts } from "./live-header.ts";
import { type Layout, layOut, type Part } from "./live-layout.ts";
import { type Entry, type LiveModel, shownEntries } from "./live-model.ts";
import { wrap } from "./terminal-text.ts";
import { paint, type Span } from "./terminal-theme.ts";
import { grouped } from "./terminal-units.ts";

/** Which of the shown entries are on the screen: indices into shownEntries, -1 for both when there are none. */
export interface Visible {
	readonly first: number;
	readonly last: number;
	readonly total: number;
}

function layoutOf(model: LiveModel, columns: number, rows: number): Layout {
	const { showActivity, status, entries } = model;
	const problem = (status?.problems ?? []).length > 0;
	return layOut(columns, rows, { showActivity, problem, quiet: entries.length === 0 });
}

function shapeOf(model: LiveModel, layout: Layout, columns: number): EntryShape {
	const summaryLines = layout.alerts >= 12 ? 2 : 1;
	return { columns, narrow: layout.narrow, summaryLines, glyphs: model.theme.glyphs };
}

/** Entries that fit as wholes, upwards from the anchor; what room is left goes to those below it. */
function choose(model: LiveModel, layout: Layout, columns: number): Visible & { lines: Span[][] } {
	const entries = shownEntries(model);
	const total = entries.length;
	const shape = shapeOf(model, layout, columns);
	const gap = layout.spaced ? 1 : 0;
	const { anchor } = model;
	let last = anchor === undefined ? total - 1 : lastIndexOf(entries, anchor);
	let first = last + 1;
	let blocks: Span[][][] = [];
	let used = 0;
	const take = (index: number): Span[][] | undefined => {
		const entry = entries[index];
		if (entry === undefined) return undefined;
		const block = entryLines(entry, shape);
		const height = block.length + (blocks.length > 0 ? gap : 0);
		if (used + height > layout.alerts && blocks.length > 0) return undefined;
		used += height;
		return block;
	};
	for (let block = take(first - 1); block !== undefined; block = take(first - 1)) {
		blocks = [block, ...blocks];
		first--;
	}
	for (let block = take(last + 1); block !== undefined; block = take(last + 1)) {
		blocks.push(block);
		last++;
	}
	const lines = blocks.flatMap((block, index) => (index > 0 && gap > 0 ? [[], ...block] : block));
	return { first: blocks.length === 0 ? -1 : first, last, total, lines: lines.slice(0, layout.alerts) };
}

/** An anchor that is gone (too old, or hidden by now) counts as the oldest entry that is younger. */
function lastIndexOf(entries: readonly Entry[], anchor: Entry): number {
	const index = entries.indexOf(anchor);
	if (index >= 0) return index;
	const younger = entries.findIndex((entry) => entry.time >= anchor.time);
	return younger >= 0 ? younger : entries.length - 1;
}

export function visibleEntries(model: LiveModel, columns: number, rows: number): Visible {
	const { first, last, total } = choose(model, layoutOf(model, columns, rows), columns);
	return { first, last, total };
}

/**
 * Exactly `rows` lines of at most `columns` cells, with colours as the model's theme has them and no other
 * control characters. `now`: Unix ms.
 */
export function renderFrame(model: LiveModel, columns: number, rows: number, now: number): string[] {
	const layout = layoutOf(model, columns, rows);
	const { glyphs } = model.theme;
	const lines: Span[][] = [];
	lines.push(identityLine(model, columns, now));
	if (layout.header > 1) lines.push(gaugesLine(model, columns));
	if (layout.header > 2) lines.push(problemLine(model.status?.problems ?? [], columns));

	const chosen = choose(model, layout, columns);
	if (layout.ruler > 0) lines.push(alertsRuler(model, chosen.total, columns));
	const pane = model.help
		? helpLines(layout.narrow, glyphs.middle)
		: chosen.total === 0
			? quietLines(model, layout, columns)
			: chosen.lines;
	pushPane(lines, pane, layout.alerts);

	if (layout.activity > 0) {
		lines.push(ruler("Activity", [], columns, glyphs));
		const { items } = model.frozen?.activity ?? model.activity;
		const shape = shapeOf(model, layout, columns);
		const shown = items.slice(-(layout.activity - 1)).map((item) => activityLine(item, shape));
		if (shown.length === 0) {
			const text = " Executions and connections appear here as they come.";
			shown.push([{ text, style: "dim" }]);
		}
		pushPane(lines, shown, layout.activity - 1);
	}
	if (layout.footer > 1) lines.push([{ text: glyphs.rule.repeat(columns), style: "line" }]);
	if (layout.footer > 0) {
		lines.push(footerLine(model, columns, Math.max(0, chosen.total - 1 - chosen.last)));
	}
	return Array.from({ length: Math.max(0, rows) }, (_, row) => paint(lines[row] ?? [], columns, model.theme));
}

function pushPane(lines: Span[][], pane: readonly Span[][], height: number): void {
	for (let row = 0; row < height; row++) lines.push(pane[row] ?? []);
}

function alertsRuler(model: LiveModel, shown: number, columns: number): Span[] {
	const all = (model.frozen?.entries ?? model.entries).length;
	const hidden: Part[] =
		all > shown ? [{ keep: 6, spans: [{ text: `${grouped(all - shown)} below hidden`, style: "dim" }] }] : [];
	return ruler("Alerts", [...hidden, ...severityParts(model)], columns, model.theme.glyphs);
}

/** What a new user sees: that silence is good, and how to break it. */
function quietLines(model: LiveModel, layout: Layout, columns: number): Span[][] {
	const words = (text: string): Span[] => [{ text: ` ${text}`, style: "dim" }];
	const command = (text: string): Span[] => [{ text: `   ${text}`, style: "plain" }];
	if (model.entries.length > 0) {
		return [words("No alerts of this severity. Press m to change it.")];
	}
	const title: Span[] = [
		{ text: " All quiet. ", style: "bold" },
		{
			text: layout.narrow ? "Try:" : "Alerts appear here. To see one, try in another terminal:",
			style: "dim",
		},
	];
	const lines = [
		title,
		[],
		command("sudo cat /etc/shadow"),
		command("cp /bin/true /tmp/x && /tmp/x"),
		[],
		...wrap(
			"Picket says what happened, who did it, and what it did or would do about it.",
			columns - 2,
			3,
		).map(words),
	];
	const room = layout.alerts - lines.length;
	if (room < 0) return lines.filter((line) => line.length > 0);
	return room > 2 ? [[], ...lines] : lines;
}

function helpLines(narrow: boolean, middle: string): Span[][] {
	const line = (keys: string, what: string): Span[] => [
		{ text: ` ${keys.padEnd(narrow ? 9 : 16)}`, style: "bold" },
		{ text: what, style: "plain" },
	];
	return [
		line("q Ctrl-C", "leave"),
		line("p", "pause the panes; the sensor goes on"),
		line("Up Down", "older and newer alerts"),
		line("PgUp PgDn", "the same by the page"),
		line("Home End", "oldest, newest"),
		line("m", "least severity that is shown"),
		line("e", "activity pane on or off"),
		line("Ctrl-L", "draw everything anew"),
		line("?", "back to the alerts"),
		[],
		[
			{
				text: ` OBSERVE ${middle} responses are only told.  ENFORCE ${middle} they are carried out.`,
				style: "dim",
			},
		],
		[{ text: " rules 91/93: of 93 rules 91 can fire on this host.", style: "dim" }],
		[{ text: " lost: events the kernel had to drop because the sensor was behind.", style: "dim" }],
		[{ text: " More: picket status, picket doctor, picket rules explain NAME.", style: "dim" }],
	];
}
