// The conditions of all rules as one graph: what two rules have in common, a check or a whole macro, is one node and
// evaluated at most once an event.
import type { Observation } from "../model/event.ts";
import type { FieldContext } from "./field.ts";
import type { Plan, Predicates } from "./plan.ts";
import type { Predicate } from "./predicate.ts";

interface Node {
	readonly is: Exclude<Plan, boolean>["is"] | "constant";
	/** Of and, or, not: nodes by id. */
	readonly of: readonly number[];
	readonly predicate: Predicate | undefined;
	readonly value: boolean;
}

/** Answers are kept with the number of their event; beyond this the count begins anew. Fits a small integer. */
const lastEvent = 0x3fff_fff0;

export class Conditions {
	readonly #predicates: Predicates;
	readonly #context: FieldContext;
	readonly #nodes: Node[] = [];
	readonly #byKey = new Map<string, number>();
	/** For each node the event it was last evaluated for, plus one if it was true. */
	#answers = new Int32Array(0);
	#event = 2;
	#observation: Observation | undefined;

	constructor(predicates: Predicates, context: FieldContext) {
		this.#predicates = predicates;
		this.#context = context;
	}

	/** The node of that plan. All are added before the first event. */
	add(plan: Plan): number {
		if (typeof plan === "boolean")
			return this.#node(String(plan), { is: "constant", of: [], predicate: undefined, value: plan });
		if (plan.is === "test") return this.test(plan.index);
		const of = plan.is === "not" ? [this.add(plan.plan)] : plan.plans.map((each) => this.add(each));
		const distinct = [...new Set(of)];
		return this.#node(`${plan.is} ${distinct.join(" ")}`, {
			is: plan.is,
			of: distinct,
			predicate: undefined,
			value: false,
		});
	}

	test(index: number): number {
		const predicate = this.#predicates.at(index);
		return this.#node(`test ${index}`, { is: "test", of: [], predicate, value: false });
	}

	#node(key: string, node: Node): number {
		const known = this.#byKey.get(key);
		if (known !== undefined) return known;
		const id = this.#nodes.push(node) - 1;
		this.#byKey.set(key, id);
		return id;
	}

	/** The event that is asked about from now on. */
	begin(observation: Observation): void {
		this.#observation = observation;
		this.#event += 2;
		if (this.#answers.length !== this.#nodes.length) this.#answers = new Int32Array(this.#nodes.length);
		if (this.#event < lastEvent) return;
		this.#answers.fill(0);
		this.#event = 2;
	}

	holds(id: number): boolean {
		const known = this.#answers[id] as number;
		if (known >= this.#event) return known > this.#event;
		const answer = this.#evaluate(this.#nodes[id] as Node);
		this.#answers[id] = answer ? this.#event + 1 : this.#event;
		return answer;
	}

	#evaluate(node: Node): boolean {
		const { of } = node;
		switch (node.is) {
			case "test":
				return (node.predicate as Predicate).test(this.#observation as Observation, this.#context);
			case "and":
				for (let i = 0; i < of.length; i++) if (!this.holds(of[i] as number)) return false;
				return true;
			case "or":
				for (let i = 0; i < of.length; i++) if (this.holds(of[i] as number)) return true;
				return false;
			case "not":
				return !this.holds(of[0] as number);
			case "constant":
				return node.value;
		}
	}
}
