// The lines around the panes: who this is, how the sensor is doing, rulers, keys.
import type * as wire from "../model/picket.v1.ts";
import { arrange, type Part } from "./live-layout.ts";
import { type LiveModel, lostEvents } from "./live-model.ts";
import { type Level, levels, timeOf } from "./live-words.ts";
import { cut, padEnd, printable } from "./terminal-text.ts";
import { type Glyphs, lineWidth, type Span, type Style } from "./terminal-theme.ts";
import { counted, counter, grouped, percent, rate, size, span } from "./terminal-units.ts";

const sparkCells = 14;

function part(keep: number, ...pairs: readonly (readonly [string, Style])[]): Part {
	return { keep, spans: pairs.map(([text, style]) => ({ text, style })) };
}

/** Line 1: product, host, kernel, tier, mode, uptime. */
export function identityLine(model: LiveModel, columns: number, now: number): Span[] {
	const { status, host, theme } = model;
	const started = timeOf(status?.started);
	const mode = status?.mode ?? "";
	const kernel = [status?.kernel && `Linux ${status.kernel}`, status?.architecture].filter(Boolean).join(" ");
	const left: Part[] = [part(10, [" Picket", "bold"], [status?.version ? ` ${status.version}` : "", "dim"])];
	if (host !== "") left.push(part(7, [host, "plain"]));
	if (kernel !== "") left.push(part(3, [kernel, "dim"]));
	const tier = captureTier(status?.capabilities);
	if (tier !== "") left.push(part(2, [tier, "dim"]));
	const right: Part[] = [];
	if (model.frozen !== undefined) right.push(part(9, [" PAUSED ", "reverse"]));
	if (started !== undefined) right.push(part(5, ["up ", "dim"], [span(now - started), "plain"]));
	if (status === undefined) right.push(part(4, [`waiting for the sensor${theme.glyphs.ellipsis}`, "dim"]));
	if (mode === "enforce") right.push(part(8, [" ENFORCE ", "reverse"]));
	else if (mode !== "") right.push(part(8, [`${mode.toUpperCase()} `, "bold"]));
	return arrange(left, right, columns);
}

/** Line 2: rates, loss, cost, and what it works with. */
export function gaugesLine(model: LiveModel, columns: number): Span[] {
	const { status, theme } = model;
	if (status === undefined) return [];
	const { resources, rules, sinks = [], tables = [] } = status;
	const lost = lostEvents(status);
	const left: Part[] = [
		part(8, [" ", "plain"], [rate(status.eventRate ?? 0), "plain"], [" events/s", "dim"]),
		part(4, [padEnd(sparkline(model.rates, sparkCells, theme.glyphs), sparkCells), "plain"]),
		part(9, ["lost ", lost > 0n ? "bad" : "dim"], [grouped(lost), lost > 0n ? "bad" : "good"]),
		part(
			6,
			["cpu ", "dim"],
			[percent(resources?.cpuShare ?? 0), "plain"],
			["  mem ", "dim"],
			[size(Number(counter(resources?.residentBytes))), "plain"],
		),
	];
	const containers = tables.find((table) => table.name === "containers");
	if (containers !== undefined) {
		left.push(part(2, ["containers ", "dim"], [grouped(counter(containers.size)), "plain"]));
	}
	if (rules !== undefined) {
		const working = (rules.evaluable ?? 0) + (rules.degraded ?? 0);
		const silent = (rules.notEvaluable ?? 0) + (rules.error ?? 0);
		left.push(
			part(
				3,
				["rules ", "dim"],
				[grouped(working), working === 0 ? "warn" : "plain"],
				[silent > 0 ? `/${grouped(working + silent)}` : "", "dim"],
			),
		);
	}
	return arrange(left, consolePart(sinks, theme.glyphs), columns);
}

function consolePart(sinks: readonly wire.SinkStatus[], glyphs: Glyphs): Part[] {
	const consoles = sinks.filter((sink) => /^(console|grpc)/.test(sink.name ?? ""));
	if (consoles.length === 0) return [];
	const linked = consoles.filter((sink) => sink.connected).length;
	const ok = linked === consoles.length;
	const queued = consoles.reduce((sum, sink) => sum + counter(sink.queued), 0n);
	const text = ok ? "linked" : queued > 0n ? `not reached, ${grouped(queued)} kept` : "not reached";
	const amount = consoles.length > 1 ? ` ${linked}/${consoles.length}` : "";
	return [
		part(
			5,
			[`console${amount} `, "dim"],
			[ok ? glyphs.dot : glyphs.ring, ok ? "good" : "warn"],
			[` ${text} `, ok ? "plain" : "warn"],
		),
	];
}

/** What keeps the sensor from its whole work; the first in words. */
export function problemLine(problems: readonly string[], columns: number): Span[] {
	const [first = "", ...others] = problems;
	const more = others.length > 0 ? `  +${others.length} more: picket status` : "";
	const room = columns - 3 - more.length;
	const both = room >= 20 && more !== "";
	return [
		{ text: " ! ", style: "warn" },
		{ text: cut(printable(first), both ? room : columns - 3), style: "warn" },
		{ text: both ? more : "", style: "dim" },
	];
}

/** Tier of the event capture: one word when all agree. */
function captureTier(capabilities: readonly wire.Capability[] = []): string {
	const capture = ["exec", "fork", "exit", "open", "connect"];
	const tiers = new Set<string>();
	for (const { name = "", available, tier } of capabilities) {
		if (available && tier && capture.includes(name)) tiers.add(tier);
	}
	return [...tiers].slice(0, 3).join(" + ");
}

/** The last values as bars, each against the highest of those shown. */
export function sparkline(values: readonly number[], cells: number, glyphs: Glyphs): string {
	const shown = values.slice(-cells);
	const top = Math.max(1, ...shown);
	const steps = glyphs.levels.length - 1;
	return shown
		.map((value) => glyphs.levels.charAt(Math.max(0, Math.min(steps, Math.round((value / top) * steps)))))
		.join("");
}

export const levelNames: Readonly<Record<Level, string>> = {
	critical: "CRITICAL",
	high: "HIGH",
	medium: "MEDIUM",
	low: "LOW",
	informational: "INFO",
};

/** A ruler across the screen, its title near the left edge, parts near the right one where there is room. */
export function ruler(title: string, right: readonly Part[], columns: number, glyphs: Glyphs): Span[] {
	const head = `${glyphs.rule.repeat(2)} ${title} `;
	let parts = right;
	let end: Span[] = [];
	let room = 0;
	for (;;) {
		end = parts.flatMap((one, index) => [
			{ text: index === 0 ? " " : ` ${glyphs.rule.repeat(2)} `, style: "line" as const },
			...one.spans,
		]);
		room = columns - head.length - lineWidth(end) - (end.length > 0 ? 3 : 0);
		if (room >= 3 || parts.length === 0) break;
		parts = parts.slice(1);
	}
	return [
		{ text: head.slice(0, 3), style: "line" },
		{ text: head.slice(3), style: "bold" },
		{ text: glyphs.rule.repeat(Math.max(0, room)), style: "line" },
		...end,
		...(end.length > 0 ? [{ text: ` ${glyphs.rule.repeat(2)}`, style: "line" as const }] : []),
	];
}

/** How many alerts of which severity, strongest first. */
export function severityParts(model: LiveModel): Part[] {
	const { byLevel } = model.tally;
	const spans: Span[] = [];
	for (const level of [...levels].reverse()) {
		if (byLevel[level] === 0) continue;
		if (spans.length > 0) spans.push({ text: ` ${model.theme.glyphs.middle} `, style: "line" });
		const style = level === "critical" ? "bad" : level;
		spans.push({ text: `${grouped(byLevel[level])} ${levelNames[level].toLowerCase()}`, style });
	}
	return spans.length === 0 ? [] : [{ keep: 5, spans }];
}

/** Keys on the left, what they are set to on the right. `newer`: alerts below the last one shown. */
export function footerLine(model: LiveModel, columns: number, newer: number): Span[] {
	const { glyphs } = model.theme;
	const key = (name: string, what: string, keep: number): Part =>
		part(keep, [name, "bold"], [` ${what}`, "dim"]);
	const level = model.minimum === "informational" ? "all" : `${levelNames[model.minimum].toLowerCase()} up`;
	const left = [
		key(" q", "quit", 10),
		key("p", model.frozen === undefined ? "pause" : "go on", 8),
		key(`${glyphs.up}${glyphs.down}`, "scroll", 4),
		key("e", model.showActivity ? "hide activity" : "show activity", 3),
		key("m", `severity: ${level}`, 5),
		key("?", "help", 7),
	];
	const right: Part[] = [];
	const arrived = model.frozen?.arrived ?? 0;
	if (arrived > 0) right.push(part(9, [`${counted(arrived, "new alert")} while paused `, "warn"]));
	else if (newer > 0) right.push(part(9, [`${glyphs.down} ${grouped(newer)} newer (End) `, "plain"]));
	else if (model.missed > 0) right.push(part(1, [`${grouped(model.missed)} not shown `, "dim"]));
	return arrange(left, right, columns);
}
