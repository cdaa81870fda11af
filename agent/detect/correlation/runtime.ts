// Joins matches of rules over time: what the correlation documents ask for, on the clock of the events, so that a
// replay concludes what the live sensor did. Costs nothing for an event that matches no rule. The condition is judged
// at each match. Once a group has alerted it is quiet for one timespan, unless what is counted grows by a digit: a
// burst is one alert, then one at 10, 100, … times as much, and one a timespan while it goes on.
import { createHash } from "node:crypto";
import type { Observation } from "../../model/event.ts";
import type { Evidence, Finding } from "../../model/verdict.ts";
import type { FieldContext } from "../field.ts";
import type { LoadedRule } from "../load.ts";
import { type CorrelationType, satisfies, symbols, type Thresholds } from "./condition.ts";
import { type Group, Groups, keyOf, type Limits } from "./groups.ts";
import { createMeasure, type Entry } from "./measure.ts";
import { Window } from "./window.ts";

export type Getter = (observation: Observation, context: FieldContext) => string | undefined;

/** What one of the listed rules hands over when it matches. */
export interface Feed {
	readonly rule: LoadedRule;
	readonly position: number;
	readonly group: readonly Getter[];
	readonly values: readonly Getter[];
}

/** A correlation document whose rules are found. */
export interface Correlation {
	readonly type: CorrelationType;
	/** ns. */
	readonly timespan: number;
	/** As written, "60s". */
	readonly timespanText: string;
	readonly thresholds: Thresholds;
	readonly percentile: number;
	readonly groupBy: readonly string[];
	readonly fields: readonly string[];
	readonly feeds: readonly Feed[];
	/** How many rules are listed; some may have no feed, since they cannot match here. */
	readonly positions: number;
	/** The rules alert by themselves, too. */
	readonly generate: boolean;
	/** Alias, rule and field, as written. */
	readonly aliases: readonly (readonly string[])[];
}

const defaultLimits: Limits = { groups: 4096, groupEntries: 1024, entries: 32_768 };
/** Of all correlations together, bytes, as estimated below: under a flood the one that holds most forgets first. */
const mostBytes = 32 << 20;
const entryBytes = 400;
const groupBytes = 1600;
/** The most that a condition may ask for, so that a group can hold it. */
export const largestThreshold = 10_000;
const evidenceSize = 32;
const longestValue = 256;

/** Counted are events, by each alone; of the others a match more is no larger number. */
const grows: ReadonlySet<CorrelationType> = new Set(["event_count", "value_count"]);
/** Holds what is true at each match; the others count how often something has begun. */
const takesStates: ReadonlySet<CorrelationType> = new Set(["value_count", "temporal", "temporal_ordered"]);
/** Several rules that match one event are several things to these. */
const takesEachRule: ReadonlySet<CorrelationType> = takesStates;
const numeric: ReadonlySet<CorrelationType> = new Set([
	"value_sum",
	"value_avg",
	"value_percentile",
	"value_median",
]);

class State {
	readonly rule: LoadedRule;
	readonly correlation: Correlation;
	groups: Groups;
	readonly #numeric: boolean;

	constructor(rule: LoadedRule, correlation: Correlation, limits: Limits) {
		this.rule = rule;
		this.correlation = correlation;
		const { type, positions, percentile, timespan, thresholds } = correlation;
		this.#numeric = numeric.has(type);
		const least = 2 * Math.max(0, ...thresholds.map(({ limit }) => limit));
		const asked = numeric.has(type) ? 0 : least;
		const sizes = {
			groups: limits.groups,
			groupEntries: Math.max(limits.groupEntries, asked),
			entries: Math.max(limits.entries, 4 * asked),
		};
		this.groups = new Groups(
			sizes,
			timespan,
			() =>
				new Window(createMeasure(type, positions, percentile), positions, timespan, !takesEachRule.has(type)),
		);
	}

	/** Roughly, and rather more. */
	get bytes(): number {
		return this.groups.size * groupBytes + this.groups.entries * entryBytes;
	}

	/** The same for documents that make the same of the same matches. */
	get meaning(): string {
		const { feeds, ...rest } = this.correlation;
		return JSON.stringify([this.rule.name, rest, feeds.map(({ rule, position }) => [position, rule.name])]);
	}

	/** The group, when the condition holds for it now. */
	take(feed: Feed, observation: Observation, context: FieldContext): Group | undefined {
		const { event } = observation;
		const group = textsOf(feed.group, observation, context);
		const values = textsOf(feed.values, observation, context);
		if (group === undefined || values === undefined) return undefined;
		const value = this.#numeric ? numberOf(values[0]) : keyOf(values);
		if (value === undefined) return undefined;
		const entry: Entry = {
			time: event.time,
			number: event.number,
			position: feed.position,
			weight: 1 + event.repeats,
			value,
		};
		const found = this.groups.use(group, event.time, (window) => window.add(entry));
		return found && satisfies(this.correlation.thresholds, found.window.value()) ? found : undefined;
	}

	/** Is it to be told now? Then it is noted as told. */
	tell(group: Group): boolean {
		const { type, timespan } = this.correlation;
		const { newest } = group.window;
		const digits = grows.has(type) ? String(group.window.value()).length : 0;
		if (newest <= group.quietUntil && digits <= group.digits) return false;
		group.quietUntil = newest + timespan;
		group.digits = digits;
		return true;
	}
}

/** Undefined when one of them is missing. Long ones are cut, and kept apart by their digest. */
function textsOf(
	getters: readonly Getter[],
	observation: Observation,
	context: FieldContext,
): string[] | undefined {
	const texts: string[] = [];
	for (const get of getters) {
		const text = get(observation, context);
		if (text === undefined) return undefined;
		texts.push(text.length <= longestValue ? text : `${text.slice(0, longestValue)}…${digest(text)}`);
	}
	return texts;
}

/** Undefined for a text that is none, such as an empty one: what cannot be added up is no match. */
function numberOf(text = ""): number | undefined {
	const number = text.trim() === "" ? Number.NaN : Number(text);
	return Number.isFinite(number) ? number : undefined;
}

function digest(text: string): string {
	return createHash("sha256").update(text, "latin1").digest("hex");
}

interface Listener {
	readonly state: State;
	readonly feed: Feed;
}

/** Sums over all correlations. */
export interface CorrelationTotals {
	readonly groups: number;
	readonly groupCapacity: number;
	readonly evicted: number;
	readonly entries: number;
	readonly entryCapacity: number;
	readonly dropped: number;
}

export class Correlator {
	readonly #listeners = new Map<LoadedRule, Listener[]>();
	readonly #states: State[] = [];
	readonly #limits: Limits;
	readonly #mostBytes: number;

	/** `most`: bytes of all correlations together. */
	constructor(rules: readonly LoadedRule[], limits: Limits = defaultLimits, most = mostBytes) {
		this.#limits = limits;
		this.#mostBytes = most;
		for (const rule of rules) {
			const { correlation } = rule;
			if (!correlation || !rule.enabled) continue;
			const state = new State(rule, correlation, limits);
			this.#states.push(state);
			for (const feed of correlation.feeds) {
				const listeners = this.#listeners.get(feed.rule) ?? [];
				listeners.push({ state, feed });
				this.#listeners.set(feed.rule, listeners);
			}
		}
	}

	/** Goes on where the correlations of another rule set stopped, as far as they mean the same. */
	adopt(former: Correlator): void {
		const left = new Map<string, Groups[]>();
		for (const { meaning, groups } of former.#states)
			left.set(meaning, [...(left.get(meaning) ?? []), groups]);
		// Each by one alone: a document may be there twice, and both would count into what they share.
		for (const state of this.#states) state.groups = left.get(state.meaning)?.shift() ?? state.groups;
	}

	/** A rule has matched. Calls back for every correlation that is to be told now, those below others first. */
	matched(
		rule: LoadedRule,
		observation: Observation,
		context: FieldContext,
		onFinding: (finding: Finding, rule: LoadedRule) => void,
	): void {
		const listeners = this.#listeners.get(rule);
		if (!listeners) return;
		this.#feed(listeners, true, observation, context, onFinding);
		this.#makeRoom();
	}

	#makeRoom(): void {
		let bytes = 0;
		for (const state of this.#states) bytes += state.bytes;
		while (bytes > this.#mostBytes) {
			// A group alone is the one in use, and bounded by itself.
			const several = this.#states.filter(({ groups }) => groups.size > 1);
			if (several.length === 0) return;
			const largest = several.reduce((most, each) => (each.bytes > most.bytes ? each : most));
			const before = largest.bytes;
			largest.groups.forgetOldest();
			bytes += largest.bytes - before;
		}
	}

	#feed(
		listeners: readonly Listener[],
		begun: boolean,
		observation: Observation,
		context: FieldContext,
		onFinding: (finding: Finding, rule: LoadedRule) => void,
	): void {
		for (const { state, feed } of listeners) {
			if (!begun && !takesStates.has(state.correlation.type)) continue;
			const group = state.take(feed, observation, context);
			if (!group) continue;
			const told = state.tell(group);
			if (told && !state.rule.silent) onFinding(findingOf(state, group, observation, context), state.rule);
			const above = this.#listeners.get(state.rule);
			if (above) this.#feed(above, told, observation, context, onFinding);
		}
	}

	/** For the status: what may not have been told, and why. */
	problems(): string[] {
		return this.#states.flatMap(({ rule, groups }) =>
			groups.evicted === 0
				? []
				: [
						`correlation ${rule.name} forgot ${groups.evicted} groups before their time was up, since more were ` +
							"open than it can hold: what made so many may have wanted that; look at the matches of its rules",
					],
		);
	}

	totals(): CorrelationTotals {
		const sum = (of: (groups: Groups) => number) =>
			this.#states.reduce((total, { groups }) => total + of(groups), 0);
		return {
			groups: sum((groups) => groups.size),
			groupCapacity: this.#states.length * this.#limits.groups,
			evicted: sum((groups) => groups.evicted),
			entries: sum((groups) => groups.entries),
			entryCapacity: sum((groups) => groups.entryCapacity),
			dropped: sum((groups) => groups.dropped),
		};
	}
}

function findingOf(
	{ rule, correlation }: State,
	group: Group,
	observation: Observation,
	context: FieldContext,
): Finding {
	const finding = rule.finding(observation, context);
	const evidence = evidenceOf(correlation, group);
	const groupText = Object.entries(evidence.group).map(([name, value]) => `${name}=${value}`);
	const about = [...groupText, finding.summary].join(" ");
	return {
		...finding,
		summary: `${rule.name}: ${measuredText(correlation, evidence.value)} within ${correlation.timespanText} (${about})`,
		fields: { ...finding.fields, ...evidence.group },
		evidence,
	};
}

function evidenceOf({ feeds, groupBy, type }: Correlation, { window, values }: Group): Evidence {
	const entries = window.chosen();
	const names = new Map(feeds.map(({ position, rule }) => [position, rule.name]));
	const newest = new Map(entries.map((entry) => [entry.position, entry.number]));
	const numbers = new Set(newest.values());
	for (let i = entries.length - 1; i >= 0 && numbers.size < evidenceSize; i--)
		numbers.add((entries[i] as Entry).number);
	return {
		type,
		value: window.value(),
		matches: entries.reduce((sum, { weight }) => sum + weight, 0),
		events: [...numbers].sort((a, b) => a - b),
		group: Object.fromEntries(groupBy.map((name, index) => [name, values[index] ?? ""])),
		first: entries[0]?.time ?? window.newest,
		last: window.newest,
		rules: [
			...new Set([...newest.keys()].sort((a, b) => a - b).map((position) => names.get(position) ?? "")),
		],
	};
}

function measuredText({ type, fields, percentile }: Correlation, value: number): string {
	const shown = Number.isInteger(value) ? String(value) : value.toFixed(2);
	const field = fields.join(" + ");
	switch (type) {
		case "event_count":
			return `${shown} matches`;
		case "value_count":
			return `${shown} different ${field}`;
		case "value_sum":
			return `${field} adds up to ${shown}`;
		case "value_avg":
			return `${field} is ${shown} on average`;
		case "value_percentile":
			return `percentile ${percentile} of ${field} is ${shown}`;
		case "value_median":
			return `the median of ${field} is ${shown}`;
		case "temporal":
			return `${shown} rules matched`;
		case "temporal_ordered":
			return `${shown} rules matched one after another`;
	}
}

/** "event_count ≥ 10 within 60s by proc.pid"; another text for another meaning. */
export function correlationText(correlation: Correlation): string {
	const { type, thresholds, timespanText, groupBy, fields, aliases, generate } = correlation;
	const limits = thresholds.map(({ comparison, limit }) => `${symbols[comparison]} ${limit}`).join(" and ");
	return [
		type,
		...(type === "value_percentile" ? [`${correlation.percentile}`] : []),
		...(fields.length > 0 ? [`of ${fields.join(" + ")}`] : []),
		limits,
		`within ${timespanText}`,
		...(groupBy.length > 0 ? [`by ${groupBy.join(", ")}`] : []),
		...aliases.map(([alias, rule, field]) => `(${alias} is ${field} of ${rule})`),
		...(generate ? ["besides the alerts of its rules"] : []),
	].join(" ");
}
