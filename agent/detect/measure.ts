// What a rule costs on this host: the rule alone before events that are judged over and over, in several rounds. The
// CPU time to hand an event over is measured in between and taken off.
import { EventKind, type EventName, type Observation } from "../model/event.ts";
import { Conditions } from "./conditions.ts";
import { Dispatch } from "./dispatch.ts";
import { Engine } from "./engine.ts";
import type { FieldContext } from "./field.ts";
import type { LoadedRule, RuleSet } from "./load.ts";
import { finish } from "./steps.ts";

/** Events that can be judged any number of times. */
export interface Events {
	readonly kinds: readonly EventKind[];
	readonly observation: Observation;
	/** Makes `observation` tell of the event at that place in `kinds`. */
	show(place: number): void;
}

/** The cost of a rule on events of one kind. CPU times in ns an event, of the rule alone. */
export interface Cost {
	readonly event: EventName;
	readonly events: number;
	readonly rounds: number;
	/** The middle one of the rounds, the lowest and the highest. */
	readonly median: number;
	readonly lowest: number;
	readonly highest: number;
	/** Events for which the index was not enough and the condition itself was judged. */
	readonly judged: number;
	readonly matched: number;
}

export interface MeasureOptions {
	readonly rounds?: number;
	/** ns that a round lasts at least. */
	readonly roundNs?: number;
	/** CPU time of this thread in ns: a busy host does not make a rule dearer. */
	readonly clock?: () => number;
}

function threadTime(): number {
	const { user, system } = process.threadCpuUsage();
	return (user + system) * 1000;
}

/** Of every kind that the rule can match on and of which there are events. Takes some tenths of a second. */
export function measureRule(
	rule: LoadedRule,
	{ predicates }: Pick<RuleSet, "predicates">,
	events: Events,
	context: FieldContext,
	{ rounds = 11, roundNs = 4e6, clock = threadTime }: MeasureOptions = {},
): Cost[] {
	const engine = new Engine({ predicates, rules: [{ ...rule, enabled: true, silent: false }] }, context);
	const costs: Cost[] = [];
	for (const event of rule.events) {
		const kind = EventKind[event];
		const places = events.kinds.flatMap((each, place) => (each === kind ? [place] : []));
		if (places.length === 0) continue;
		const show = (place: number): void => events.show(place);
		let matched = 0;
		const judge = (place: number): void => {
			events.show(place);
			engine.evaluate(events.observation, () => matched++);
		};
		const round = (act: (place: number) => void): number => {
			const begin = clock();
			let now = begin;
			let passes = 0;
			for (; now - begin < roundNs; passes++) {
				for (const place of places) act(place);
				now = clock();
			}
			return (now - begin) / (passes * places.length);
		};
		// The first rounds are the compiler's.
		for (let i = 0; i < 3; i++) for (const act of [show, judge]) round(act);
		const times = Array.from({ length: rounds }, () => Math.max(0, -round(show) + round(judge)));
		times.sort((a, b) => a - b);
		matched = 0;
		for (const place of places) judge(place);
		costs.push({
			event,
			events: places.length,
			rounds,
			median: times[rounds >> 1] ?? 0,
			lowest: times[0] ?? 0,
			highest: times.at(-1) ?? 0,
			judged: judgedOf(rule, kind, predicates, events, places, context),
			matched,
		});
	}
	return costs;
}

function judgedOf(
	rule: LoadedRule,
	kind: EventKind,
	predicates: RuleSet["predicates"],
	events: Events,
	places: readonly number[],
	context: FieldContext,
): number {
	const plan = rule.plans.get(kind) ?? false;
	const conditions = new Conditions(predicates, context);
	conditions.add(plan);
	const dispatch = finish(Dispatch.steps([plan], kind, predicates, conditions));
	let judged = 0;
	for (const place of places) {
		events.show(place);
		conditions.begin(events.observation);
		dispatch.find(events.observation, context);
		judged += dispatch.count;
	}
	return judged;
}
