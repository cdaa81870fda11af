// What is counted over the whole life of the view, and the summary that is left when it ends.
import type * as wire from "../model/picket.v1.ts";
import { type Level, levels } from "./live-words.ts";
import { printable } from "./terminal-text.ts";
import { counted, counter, grouped, span } from "./terminal-units.ts";

/** A rule's name may hold anything, so their number has to be bounded too. */
const maxRules = 1000;
const topRules = 5;

export interface Tally {
	events: number;
	readonly byLevel: Readonly<Record<Level, number>>;
	readonly actions: ReadonlyMap<wire.ActionOutcome, number>;
	alert(rule: string, level: Level, count: number): void;
	action(outcome: wire.ActionOutcome): void;
	/** Most frequent first. */
	rules(limit: number): { readonly rule: string; readonly level: Level; readonly count: number }[];
}

export function createTally(): Tally {
	const byLevel: Record<Level, number> = { informational: 0, low: 0, medium: 0, high: 0, critical: 0 };
	const rules = new Map<string, { level: Level; count: number }>();
	const actions = new Map<wire.ActionOutcome, number>();
	return {
		events: 0,
		byLevel,
		actions,
		alert(rule, level, count) {
			byLevel[level] += count;
			const known = rules.get(rule);
			if (known === undefined) {
				if (rules.size < maxRules) rules.set(rule, { level, count });
				return;
			}
			known.count += count;
			if (levels.indexOf(level) > levels.indexOf(known.level)) known.level = level;
		},
		action(outcome) {
			actions.set(outcome, (actions.get(outcome) ?? 0) + 1);
		},
		rules: (limit) =>
			[...rules]
				.map(([rule, { level, count }]) => ({ rule, level, count }))
				.sort((a, b) => levels.indexOf(b.level) - levels.indexOf(a.level) || b.count - a.count)
				.slice(0, limit),
	};
}

const outcomes: readonly [wire.ActionOutcome, string][] = [
	["OUTCOME_VERIFIED", "done and verified"],
	["OUTCOME_WOULD_ACT", "would have been done (observe mode)"],
	["OUTCOME_NO_EFFECT", "without effect"],
	["OUTCOME_FAILED", "failed"],
	["OUTCOME_REFUSED", "refused"],
	["OUTCOME_UNCHANGED", "with nothing to do"],
	["OUTCOME_UNSPECIFIED", "of unknown outcome"],
];

export interface SummaryFacts {
	readonly host: string;
	/** ms. */
	readonly duration: number;
	/** True for a view on a sensor that goes on, false when the sensor itself ends. */
	readonly watching: boolean;
	readonly status: wire.Status | undefined;
	/** Records that did not reach this view. */
	readonly missed: number;
}

/** Plain text for after the full screen, several lines, no escape sequences, no line end at its end. */
export function renderSummary(tally: Tally, facts: SummaryFacts): string {
	const { host, duration, watching, status, missed } = facts;
	const where = host === "" ? "" : ` on ${printable(host)}`;
	const lines = [`Picket ${watching ? "was watched" : "ran"} for ${span(duration)}${where}.`];
	const counters = status?.counters ?? [];
	const lost = counters.reduce((sum, one) => sum + counter(one.lost), 0n);
	const seen = counters.reduce((sum, one) => sum + counter(one.delivered), 0n);
	const total = seen > 0n ? seen : BigInt(tally.events);
	lines.push(
		`  events   ${grouped(total)} seen, ${lost === 0n ? "none lost" : `${grouped(lost)} LOST`}` +
			(missed > 0 ? `, ${grouped(missed)} not shown here` : ""),
	);
	const found = [...levels].reverse().filter((level) => tally.byLevel[level] > 0);
	const all = found.reduce((sum, level) => sum + tally.byLevel[level], 0);
	lines.push(
		`  alerts   ${all === 0 ? "none" : `${grouped(all)}: ${found.map((level) => `${grouped(tally.byLevel[level])} ${level}`).join(", ")}`}`,
	);
	const top = tally.rules(topRules);
	const widest = Math.max(0, ...top.map(({ count }) => grouped(count).length));
	for (const { rule, level, count } of top) {
		lines.push(`           ${grouped(count).padStart(widest)} × ${printable(rule)} (${level})`);
	}
	const done = outcomes.flatMap(([outcome, words]) => {
		const count = tally.actions.get(outcome) ?? 0;
		return count === 0 ? [] : [`${grouped(count)} ${words}`];
	});
	const sum = [...tally.actions.values()].reduce((total, count) => total + count, 0);
	lines.push(`  actions  ${sum === 0 ? "none" : `${counted(sum, "action")}: ${done.join(", ")}`}`);
	return lines.join("\n");
}
