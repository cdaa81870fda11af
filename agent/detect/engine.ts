// Asks of every event the rules that it can match at all. An event that matches nothing costs one look at its texts
// and numbers, however many rules there are, and makes no object and no string; what rules have in common is
// evaluated at most once an event.
import type { EventKind, Observation } from "../model/event.ts";
import type { Finding } from "../model/verdict.ts";
import { Conditions } from "./conditions.ts";
import { Correlator } from "./correlation/runtime.ts";
import { Costs } from "./cost.ts";
import { Dispatch } from "./dispatch.ts";
import type { FieldContext } from "./field.ts";
import type { LoadedRule, RuleSet } from "./load.ts";
import { kinds } from "./plan.ts";
import { finish } from "./steps.ts";

/** The rules about one kind of event. */
interface Stage {
	readonly rules: readonly LoadedRule[];
	/** Of each rule its condition. */
	readonly nodes: readonly number[];
	/** Of each rule its number among the costs. */
	readonly costs: readonly number[];
	readonly dispatch: Dispatch;
}

type Rules = Pick<RuleSet, "predicates" | "rules">;

export class Engine {
	readonly #context: FieldContext;
	readonly #conditions: Conditions;
	readonly #byKind: (Stage | undefined)[] = [];
	readonly costs: Costs;
	/** Joins the matches over time. */
	readonly correlator: Correlator;
	/** Matches by rule name. */
	readonly matches = new Map<string, number>();

	/** A check made for rules of the stage at work, before any of them was looked at as a whole. */
	readonly #onCheck = (rules: Int32Array, ms: number): void => {
		const { costs = [] } = this.#stage ?? {};
		for (const place of rules) this.costs.add(costs[place] as number, ms / rules.length);
	};
	#stage: Stage | undefined;

	/** Built at once, unless it is left to `steps`. */
	constructor(set: Rules, context: FieldContext, how: "at once" | "in steps" = "at once") {
		this.#context = context;
		this.#conditions = new Conditions(set.predicates, context);
		this.costs = new Costs(set.rules.map(({ name }) => name));
		this.correlator = new Correlator(set.rules);
		if (how === "at once") finish(this.#index(set));
	}

	/** Built in steps of one kind of event each, between which a running sensor does its work. */
	static *steps(set: Rules, context: FieldContext): Generator<void, Engine> {
		const engine = new Engine(set, context, "in steps");
		yield* engine.#index(set);
		return engine;
	}

	*#index({ predicates, rules }: Rules): Generator<void> {
		const costs = new Map(rules.map((rule, place) => [rule, place]));
		for (const kind of kinds) {
			yield;
			const able = rules.filter((rule) => rule.enabled && rule.plans.has(kind));
			if (able.length === 0) continue;
			const plans = able.map((rule) => rule.plans.get(kind) ?? false);
			const nodes: number[] = [];
			for (const plan of plans) {
				nodes.push(this.#conditions.add(plan));
				yield;
			}
			this.#byKind[kind] = {
				rules: able,
				nodes,
				costs: able.map((rule) => costs.get(rule) as number),
				dispatch: yield* Dispatch.steps(plans, kind, predicates, this.#conditions),
			};
		}
	}

	/** Calls back for every rule that matches, in the order of the files, and for the correlations that this completes. */
	evaluate(observation: Observation, onFinding: (finding: Finding, rule: LoadedRule) => void): void {
		const stage = this.#byKind[observation.event.kind as EventKind];
		if (!stage) return;
		const { dispatch, rules, nodes } = stage;
		this.#conditions.begin(observation);
		const measured = this.costs.begin();
		if (measured) this.#stage = stage;
		dispatch.find(observation, this.#context, measured ? this.#onCheck : undefined);
		for (let i = 0; i < dispatch.count; i++) {
			const place = dispatch.candidates[i] as number;
			const begun = measured ? performance.now() : 0;
			const holds = this.#conditions.holds(nodes[place] as number);
			if (measured) this.costs.add(stage.costs[place] as number, performance.now() - begun);
			if (!holds) continue;
			const rule = rules[place] as LoadedRule;
			this.matches.set(rule.name, (this.matches.get(rule.name) ?? 0) + 1);
			if (!rule.silent) onFinding(rule.finding(observation, this.#context), rule);
			this.correlator.matched(rule, observation, this.#context, onFinding);
		}
	}
}
