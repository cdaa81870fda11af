// An evaluator of correlations that is as plain and slow as can be: it keeps every match and looks through all of them
// each time.
import type { Act } from "./correlation-rig.ts";

export interface Plan {
	readonly type: string;
	readonly rules: readonly string[];
	readonly grouped: boolean;
	readonly timespan: number;
	readonly percentile: number;
	readonly limits: Readonly<Record<string, number>>;
}
interface Match {
	readonly time: number;
	readonly event: number;
	readonly rule: number;
	readonly act: Act;
}

const holds: Readonly<Record<string, (value: number, limit: number) => boolean>> = {
	gt: (value, limit) => value > limit,
	gte: (value, limit) => value >= limit,
	lt: (value, limit) => value < limit,
	lte: (value, limit) => value <= limit,
	eq: (value, limit) => value === limit,
	neq: (value, limit) => value !== limit,
};
const counted = ["event_count", "value_count"];

function percentileOf(values: readonly number[], percentile: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	const rank = (percentile / 100) * (sorted.length - 1);
	const [below = 0, above = 0] = [sorted[Math.floor(rank)], sorted[Math.ceil(rank)]];
	return below + (above - below) * (rank - Math.floor(rank));
}

/** The most rules that matched one after another, each later in the list and at a later event. */
function longestRow(matches: readonly Match[]): number {
	const best: number[] = [];
	for (const [index, { rule, event }] of matches.entries()) {
		const before = matches
			.slice(0, index)
			.map((each, at) => (each.rule < rule && each.event !== event ? (best[at] ?? 0) : 0));
		best.push(1 + Math.max(0, ...before));
	}
	return Math.max(0, ...best);
}

function measured({ type, percentile }: Plan, window: readonly Match[]): number {
	const numbers = window.map(({ act }) => act.pid ?? 0);
	const sum = numbers.reduce((total, each) => total + each, 0);
	switch (type) {
		case "event_count":
			return window.length;
		case "value_count":
			return new Set(window.map(({ act }) => act.args)).size;
		case "value_sum":
			return sum;
		case "value_avg":
			return sum / numbers.length;
		case "value_median":
			return percentileOf(numbers, 50);
		case "value_percentile":
			return percentileOf(numbers, percentile);
		case "temporal":
			return new Set(window.map(({ rule }) => rule)).size;
		default:
			return longestRow(window);
	}
}

/** Times at which it is told. */
export function slowly(plan: Plan, acts: readonly Act[]): number[] {
	const told: number[] = [];
	const groups = new Map<string, { matches: Match[]; quiet: number; digits: number; newest: number }>();
	let clock = Number.NEGATIVE_INFINITY;
	const once = !["value_count", "temporal", "temporal_ordered"].includes(plan.type);
	for (const [event, act] of acts.entries()) {
		for (const [rule, name] of ["a", "b", "c", "ab"].flatMap((each) =>
			plan.rules.flatMap((listed, index) => (listed === each ? [[index, listed] as const] : [])),
		)) {
			if (![...name].includes(act.name)) continue;
			const key = plan.grouped ? (act.cwd ?? "/") : "";
			const group = groups.get(key) ?? {
				matches: [],
				quiet: Number.NEGATIVE_INFINITY,
				digits: 0,
				newest: Number.NEGATIVE_INFINITY,
			};
			groups.set(key, group);
			if (act.time < clock - plan.timespan) continue;
			clock = Math.max(clock, act.time);
			if (once && group.matches.some((each) => each.event === event)) continue;
			group.matches.push({ time: act.time, event, rule, act });
			group.newest = Math.max(group.newest, act.time);
			const window = group.matches
				.filter(({ time }) => time >= group.newest - plan.timespan)
				.sort((a, b) => a.time - b.time);
			const value = measured(plan, window);
			if (!Object.entries(plan.limits).every(([name, limit]) => holds[name]?.(value, limit))) continue;
			const digits = counted.includes(plan.type) ? String(value).length : 0;
			if (group.newest <= group.quiet && digits <= group.digits) continue;
			group.quiet = group.newest + plan.timespan;
			group.digits = digits;
			told.push(act.time);
		}
	}
	return told;
}
