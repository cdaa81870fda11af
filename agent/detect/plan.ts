// The internal form of a rule: a boolean DAG over shared predicates, one per kind of event, with everything that is
// the same for all events of the kind folded away.
import { EventKind } from "../model/event.ts";
import { CheckProblem } from "./check.ts";
import { keyOf, makePredicate, type Predicate } from "./predicate.ts";
import type { Node } from "./syntax.ts";

interface Weight {
	/** Relative; of several together what they cost on average, since mostly not all are asked. */
	readonly cost: number;
	/** How often it is true, roughly: 0 to 1. */
	readonly chance: number;
}

export type Plan =
	| boolean
	| ({ readonly is: "test"; readonly index: number } & Weight)
	| ({ readonly is: "and" | "or"; readonly plans: readonly Plan[] } & Weight)
	| ({ readonly is: "not"; readonly plan: Plan } & Weight);

/** Predicates of all rules, each once. */
export class Predicates {
	readonly all: Predicate[] = [];
	readonly #byKey = new Map<string, number>();

	/** Throws CheckProblem. */
	index(check: Extract<Node, { is: "check" }>): number {
		const key = keyOf(check);
		const known = this.#byKey.get(key);
		if (known !== undefined) return known;
		const predicate = makePredicate(check);
		this.#byKey.set(key, this.all.length);
		return this.all.push(predicate) - 1;
	}
	at(index: number): Predicate {
		return this.all[index] as Predicate;
	}
}

/** A rule's condition with its predicates found; macros are gone by now. */
export type Bound =
	| { readonly is: "and" | "or"; readonly nodes: readonly Bound[] }
	| { readonly is: "not"; readonly node: Bound }
	| { readonly is: "test"; readonly index: number };

/** Throws CheckProblem, also for a name that is no macro by now. */
export function bind(node: Node, predicates: Predicates): Bound {
	switch (node.is) {
		case "and":
		case "or":
			return { is: node.is, nodes: node.nodes.map((each) => bind(each, predicates)) };
		case "not":
			return { is: "not", node: bind(node.node, predicates) };
		case "name":
			throw new CheckProblem(`no macro is named ${node.name}`, "define the macro before the rule", node.at);
		case "check":
			try {
				return { is: "test", index: predicates.index(node) };
			} catch (error) {
				if (!(error instanceof CheckProblem) || error.at !== undefined) throw error;
				throw new CheckProblem(error.message, error.remedy, node.at, error.unknown);
			}
	}
}

export type Assume = (predicate: Predicate) => boolean | undefined;

/** Puts in what is known of a predicate beforehand and simplifies; what decides most for its cost comes first. */
export function fold(node: Bound, predicates: Predicates, assume: Assume): Plan {
	switch (node.is) {
		case "test": {
			const predicate = predicates.at(node.index);
			const { cost, chance } = predicate;
			return assume(predicate) ?? { is: "test", index: node.index, cost, chance };
		}
		case "not": {
			const plan = fold(node.node, predicates, assume);
			if (typeof plan === "boolean") return !plan;
			if (plan.is === "not") return plan.plan;
			return { is: "not", plan, cost: plan.cost, chance: 1 - plan.chance };
		}
		case "and":
		case "or": {
			/** true ends an or, false ends an and; the other one changes nothing. */
			const decisive = node.is === "or";
			const plans: Exclude<Plan, boolean>[] = [];
			for (const each of node.nodes) {
				const plan = fold(each, predicates, assume);
				if (plan === decisive) return decisive;
				if (typeof plan === "boolean") continue;
				if (plan.is === node.is) plans.push(...(plan.plans as Exclude<Plan, boolean>[]));
				else plans.push(plan);
			}
			const [only] = plans;
			if (!only) return !decisive;
			if (plans.length === 1) return only;
			return inOrder(node.is, plans);
		}
	}
}

type Part = Exclude<Plan, boolean>;

/** One after the other, until one decides: the order in which that costs least, if each is as likely as it seems. */
function inOrder(is: "and" | "or", parts: readonly Part[]): Part {
	const decides = ({ chance }: Part): number => (is === "or" ? chance : 1 - chance);
	const rank = (part: Part): number => part.cost / Math.max(decides(part), 0.001);
	const plans = parts.toSorted((a, b) => rank(a) - rank(b));
	let cost = 0;
	/** That none has decided yet. */
	let open = 1;
	for (const part of plans) {
		cost += open * part.cost;
		open *= 1 - decides(part);
	}
	return { is, plans, cost, chance: is === "or" ? 1 - open : open };
}

/** For the kinds of event that can satisfy it; equal plans are one. */
export function plansOf(bound: Bound, predicates: Predicates): ReadonlyMap<EventKind, Plan> {
	const known: Plan[] = [];
	const plans = new Map<EventKind, Plan>();
	for (const kind of kinds) {
		const plan = planFor(bound, predicates, kind);
		if (plan === false) continue;
		const twin = known.find((each) => isSame(each, plan));
		if (twin === undefined) known.push(plan);
		plans.set(kind, twin ?? plan);
	}
	return plans;
}

function isSame(a: Plan, b: Plan): boolean {
	if (typeof a === "boolean" || typeof b === "boolean") return a === b;
	if (a.is === "test") return b.is === "test" && a.index === b.index;
	if (a.is === "not") return b.is === "not" && isSame(a.plan, b.plan);
	if (a.is !== b.is || a.plans.length !== b.plans.length) return false;
	return a.plans.every((each, index) => isSame(each, b.plans[index] as Plan));
}

export function planFor(node: Bound, predicates: Predicates, kind: EventKind): Plan {
	return fold(node, predicates, (predicate) => predicate.constant(kind));
}

export const kinds: readonly EventKind[] = Object.values(EventKind);
