// Asks every rule about every event. An event that matches nothing costs a few comparisons and makes no object and
// no string; each predicate is evaluated at most once an event, however many rules share it.
import type { EventKind, Observation } from "../model/event.ts";
import type { Finding } from "../model/verdict.ts";
import type { FieldContext } from "./fields.ts";
import type { LoadedRule, RuleSet } from "./load.ts";
import { kinds, type Plan } from "./plan.ts";
import type { Predicate } from "./predicate.ts";

interface Entry {
	readonly rule: LoadedRule;
	readonly plan: Plan;
}

const unknown = 0;
const no = 1;
const yes = 2;

export class Engine {
	readonly #context: FieldContext;
	readonly #predicates: readonly Predicate[];
	readonly #byKind: Entry[][] = [];
	/** Answers for the event at hand; those written before it have an older generation. */
	readonly #answers: Uint8Array;
	readonly #asked: Uint32Array;
	#generation = 0;
	/** Matches by rule name. */
	readonly matches = new Map<string, number>();

	constructor(set: RuleSet, context: FieldContext) {
		this.#context = context;
		this.#predicates = set.predicates.all;
		this.#answers = new Uint8Array(this.#predicates.length);
		this.#asked = new Uint32Array(this.#predicates.length);
		for (const kind of kinds) {
			this.#byKind[kind] = set.rules
				.filter((rule) => rule.enabled)
				.flatMap((rule) => {
					const plan = rule.plans.get(kind) ?? false;
					return plan === false ? [] : [{ rule, plan }];
				});
		}
	}

	/** Calls back for every rule that matches, in the order of the files. */
	evaluate(observation: Observation, onFinding: (finding: Finding, rule: LoadedRule) => void): void {
		const entries = this.#byKind[observation.event.kind as EventKind];
		if (!entries) return;
		this.#generation++;
		if (this.#generation === 0xffff_ffff) {
			this.#asked.fill(0);
			this.#generation = 1;
		}
		for (let i = 0; i < entries.length; i++) {
			const { rule, plan } = entries[i] as Entry;
			if (!this.#holds(plan, observation)) continue;
			this.matches.set(rule.name, (this.matches.get(rule.name) ?? 0) + 1);
			onFinding(rule.finding(observation, this.#context), rule);
		}
	}

	#holds(plan: Plan, observation: Observation): boolean {
		if (typeof plan === "boolean") return plan;
		switch (plan.is) {
			case "test":
				return this.#ask(plan.index, observation);
			case "not":
				return !this.#holds(plan.plan, observation);
			case "and": {
				const { plans } = plan;
				for (let i = 0; i < plans.length; i++) if (!this.#holds(plans[i] as Plan, observation)) return false;
				return true;
			}
			case "or": {
				const { plans } = plan;
				for (let i = 0; i < plans.length; i++) if (this.#holds(plans[i] as Plan, observation)) return true;
				return false;
			}
		}
	}

	#ask(index: number, observation: Observation): boolean {
		const known = this.#asked[index] === this.#generation ? (this.#answers[index] as number) : unknown;
		if (known !== unknown) return known === yes;
		const answer = (this.#predicates[index] as Predicate).test(observation, this.#context);
		this.#asked[index] = this.#generation;
		this.#answers[index] = answer ? yes : no;
		return answer;
	}
}
