// One entry of the alerts pane and one line of the activity pane, as lines of spans.
import type { ActivityItem } from "./live-activity.ts";
import { levelNames } from "./live-header.ts";
import { arrange, type Part } from "./live-layout.ts";
import type { Entry } from "./live-model.ts";
import type { ActionWords } from "./live-words.ts";
import { padEnd, printable, textWidth, wrap } from "./terminal-text.ts";
import { type Glyphs, lineWidth, type Span, type Style } from "./terminal-theme.ts";
import { grouped, timeOfDay } from "./terminal-units.ts";

/** Where the lines under the head start: below the rule's name, below the badge, or at the edge. */
function marginOf(shape: EntryShape): number {
	if (shape.narrow) return 2;
	return shape.columns >= 100 ? 22 : 12;
}

export interface EntryShape {
	readonly columns: number;
	readonly narrow: boolean;
	/** Lines for the summary at most. */
	readonly summaryLines: number;
	readonly glyphs: Glyphs;
}

export function entryLines(entry: Entry, shape: EntryShape): Span[][] {
	const { columns, narrow, glyphs } = shape;
	const margin = marginOf(shape);
	const stripe: Span = {
		text: padEnd(glyphs.stripe, 2),
		style: entry.what === "action" ? "line" : entry.level === "critical" ? "bad" : entry.level,
	};
	const under: Span[] = [stripe, { text: " ".repeat(margin - 2), style: "plain" }];
	const room = Math.max(1, columns - margin - 1);
	const lines: Span[][] = [headLine(entry, stripe, shape)];
	if (entry.tree.length > 0) lines.push([...under, ...treeSpans(entry.tree, room, glyphs)]);
	for (const line of wrap(printable(entry.summary), room, narrow ? 1 : shape.summaryLines)) {
		lines.push([...under, { text: line, style: entry.what === "gap" ? "plain" : "dim" }]);
	}
	for (const action of entry.actions) {
		for (const [index, line] of wrap(printable(actionText(action, glyphs)), room - 2, 2).entries()) {
			const lead = index === 0 ? `${glyphs.follows} ` : " ".repeat(textWidth(glyphs.follows) + 1);
			lines.push([...under, { text: lead, style: "dim" }, { text: line, style: toneStyles[action.tone] }]);
		}
	}
	return lines;
}

const toneStyles: Readonly<Record<ActionWords["tone"], Style>> = {
	done: "good",
	said: "plain",
	amiss: "bad",
};

function actionText(action: ActionWords, glyphs: Glyphs): string {
	const sign = action.tone === "done" ? ` ${glyphs.yes}` : action.tone === "amiss" ? ` ${glyphs.no}` : "";
	const times = action.count > 1 ? `  ${glyphs.times}${grouped(action.count)}` : "";
	return inGlyphs(action.text, glyphs) + sign + times;
}

function headLine(entry: Entry, stripe: Span, shape: EntryShape): Span[] {
	const { columns, narrow, glyphs } = shape;
	const time: Span = { text: timeOfDay(entry.time), style: "dim" };
	const gap: Span = { text: " ", style: "plain" };
	const title: Span = {
		text: entry.title,
		style: entry.tone === undefined ? "bold" : toneStyles[entry.tone],
	};
	const repeats: Part[] = [];
	if (entry.count > 1) {
		if (!narrow && entry.time - entry.firstTime >= 60_000) {
			repeats.push({ keep: 3, spans: [{ text: `since ${timeOfDay(entry.firstTime)}`, style: "dim" }] });
		}
		repeats.push({ keep: 8, spans: [{ text: `${glyphs.times}${grouped(entry.count)} `, style: "bold" }] });
	}
	if (narrow) {
		const label: Span = { ...badgeOf(entry), text: `${badgeOf(entry).text} ` };
		return arrange([{ keep: 10, spans: [stripe, time, gap, label, title] }], repeats, columns);
	}
	const { text, style } = badgeOf(entry);
	const badge: Span = { text: style === "critical" ? ` ${text} ` : ` ${padEnd(text, 9)}`, style };
	const head: Part = { keep: 10, spans: [stripe, time, gap, badge, gap, title] };
	const user: Part[] = entry.user === "" ? [] : [{ keep: 4, spans: [{ text: entry.user, style: "dim" }] }];
	if (entry.place === "") return arrange([head, ...user], repeats, columns);
	// Short of room, the image goes before the user does.
	const withPlace = (place: string): Part[] => [
		head,
		{ keep: 6, spans: [{ text: place, style: "plain" }] },
		...user,
	];
	const parts = [...withPlace(entry.place), ...repeats];
	const width = parts.reduce((sum, part) => sum + lineWidth(part.spans) + 3, 0);
	return arrange(withPlace(width <= columns ? entry.place : entry.container), repeats, columns);
}

function badgeOf(entry: Entry): Span {
	if (entry.what === "action") return { text: "ACTION", style: "dim" };
	if (entry.what === "gap") return { text: "LOST", style: "warn" };
	return { text: levelNames[entry.level], style: entry.level };
}

/** The whole line of descent when it fits; else the eldest, the youngest, and as many above those as fit. */
function treeSpans(tree: readonly string[], room: number, glyphs: Glyphs): Span[] {
	const arrow = ` ${glyphs.arrow} `;
	const names = tree.map(printable);
	const whole = names.join(arrow);
	let shown = names;
	if (textWidth(whole) > room && names.length > 2) {
		const [eldest = ""] = names;
		const kept: string[] = [];
		let used = textWidth(eldest) + textWidth(glyphs.ellipsis) + textWidth(arrow);
		for (const name of [...names.slice(1)].reverse()) {
			const width = textWidth(name) + textWidth(arrow);
			if (used + width > room && kept.length > 0) break;
			used += width;
			kept.unshift(name);
		}
		const skipped = kept.length < names.length - 1;
		shown = skipped ? [eldest, glyphs.ellipsis, ...kept] : names;
		// Too narrow for three: the process itself matters most.
		if (lineWidth([{ text: shown.join(arrow), style: "plain" }]) > room) {
			shown = [glyphs.ellipsis, ...kept.slice(-1)];
		}
	}
	const last = shown.at(-1) ?? "";
	const before = shown
		.slice(0, -1)
		.map((name) => name + arrow)
		.join("");
	return [
		{ text: before, style: "dim" },
		{ text: last, style: "plain" },
	];
}

/** A line of the activity pane. */
export function activityLine(item: ActivityItem, shape: EntryShape): Span[] {
	const { narrow, glyphs } = shape;
	const when = narrow ? " " : ` ${timeOfDay(item.time)}  `;
	if (item.kind === "more") return [{ text: `${when}+${grouped(item.count)} more`, style: "dim" }];
	const who = narrow ? "" : `${padEnd(inCells(item.who), 12)}  `;
	const times = item.count > 1 ? `  ${glyphs.times}${grouped(item.count)}` : "";
	return [{ text: `${when}${item.kind}  ${who}${inGlyphs(item.text, glyphs)}${times}`, style: "dim" }];
}

/** Words are made with the characters of Unicode; a terminal without them gets others. */
function inGlyphs(text: string, glyphs: Glyphs): string {
	return text.replaceAll("→", glyphs.arrow).replaceAll("—", glyphs.dash);
}

function inCells(who: string): string {
	const safe = printable(who);
	return textWidth(safe) <= 12 ? safe : `${safe.slice(0, 11)}…`;
}
