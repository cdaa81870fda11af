// Asks of every event the rules that it can match at all. An event that matches nothing costs one look at its texts
// and numbers, however many rules there are, and makes no object and no string; what rules have in common is
// evaluated at most once an event.
import type { EventKind, Observation } from "../model/event.ts";
import type { Finding } from "../model/verdict.ts";
import { Conditions } from "./conditions.ts";
import { Correlator } from "./correlation/runtime.ts";
import { Dispatch } from "./dispatch.ts";
import type { FieldContext } from "./field.ts";
import type { LoadedRule, RuleSet } from "./load.ts";
import { kinds } from "./plan.ts";

/** The rules about one kind of event. */
interface Stage {
	readonly rules: readonly LoadedRule[];
	/** Of each rule its condition. */
	readonly nodes: readonly number[];
	readonly dispatch: Dispatch;
}

export class Engine {
	readonly #context: FieldContext;
	readonly #conditions: Conditions;
	readonly #byKind: (Stage | undefined)[] = [];
	/** Joins the matches over time. */
	readonly correlator: Correlator;
	/** Matches by rule name. */
	readonly matches = new Map<string, number>();

	constructor({ predicates, rules }: RuleSet, context: FieldContext) {
		this.#context = context;
		this.#conditions = new Conditions(predicates, context);
		this.correlator = new Correlator(rules);
		for (const kind of kinds) {
			const able = rules.filter((rule) => rule.enabled && (rule.plans.get(kind) ?? false) !== false);
			if (able.length === 0) continue;
			const plans = able.map((rule) => rule.plans.get(kind) ?? false);
			this.#byKind[kind] = {
				rules: able,
				nodes: plans.map((plan) => this.#conditions.add(plan)),
				dispatch: new Dispatch(plans, kind, predicates, this.#conditions),
			};
		}
	}

	/** Calls back for every rule that matches, in the order of the files, and for the correlations that this completes. */
	evaluate(observation: Observation, onFinding: (finding: Finding, rule: LoadedRule) => void): void {
		const stage = this.#byKind[observation.event.kind as EventKind];
		if (!stage) return;
		const { dispatch, rules, nodes } = stage;
		this.#conditions.begin(observation);
		dispatch.find(observation, this.#context);
		for (let i = 0; i < dispatch.count; i++) {
			const place = dispatch.candidates[i] as number;
			if (!this.#conditions.holds(nodes[place] as number)) continue;
			const rule = rules[place] as LoadedRule;
			this.matches.set(rule.name, (this.matches.get(rule.name) ?? 0) + 1);
			if (!rule.silent) onFinding(rule.finding(observation, this.#context), rule);
			this.correlator.matched(rule, observation, this.#context, onFinding);
		}
	}
}
