// Finds the rules that an event of one kind can match at all, without asking every rule: by the literals in its
// texts, by its numbers and addresses, and by the few checks that have to be made one by one.
import type { EventKind, Observation } from "../model/event.ts";
import type { Conditions } from "./conditions.ts";
import type { FieldContext } from "./field.ts";
import { guardOf } from "./guard.ts";
import { type Found, type Lookup, lookupFor } from "./lookup.ts";
import type { Plan, Predicates } from "./plan.ts";
import { type Entry, type Place, placeOf, type Scanner, scannerOf } from "./scan.ts";

export class Dispatch {
	/** Rules that may match, by their place in `plans`, in that order; the first `count` are valid. */
	readonly candidates: Int32Array;
	count = 0;
	#always = new Int32Array(0);
	#scanners: readonly Scanner[] = [];
	#lookups: readonly Lookup[] = [];
	/** Checks made one by one, and the rules each is about. */
	#checks: readonly Check[] = [];
	readonly #conditions: Conditions;
	/** By rule: is it among the candidates? */
	readonly #chosen: Uint8Array;
	readonly #onFound: Found = (rules) => {
		for (let i = 0; i < rules.length; i++) this.#choose(rules[i] as number);
	};

	private constructor(rules: number, conditions: Conditions) {
		this.candidates = new Int32Array(rules);
		this.#chosen = new Uint8Array(rules);
		this.#conditions = conditions;
	}

	/** Made in steps of a rule or an index each. */
	static *steps(
		plans: readonly Plan[],
		kind: EventKind,
		predicates: Predicates,
		conditions: Conditions,
	): Generator<void, Dispatch> {
		const dispatch = new Dispatch(plans.length, conditions);
		yield* dispatch.#index(plans, kind, predicates);
		return dispatch;
	}

	*#index(plans: readonly Plan[], kind: EventKind, predicates: Predicates): Generator<void> {
		const conditions = this.#conditions;
		const always: number[] = [];
		const texts = new Map<string, { readonly place: Place; readonly entries: Entry[] }>();
		const lookups = new Map<string, Lookup>();
		const checks = new Map<number, number[]>();
		for (const [rule, plan] of plans.entries()) {
			const guard = guardOf(plan, predicates, kind);
			if (!guard) always.push(rule);
			for (const index of guard ?? []) {
				const predicate = predicates.at(index);
				const place = placeOf(predicate, kind);
				const lookup = lookupFor(predicate);
				if (place) {
					const { entries } = entryOf(texts, place.fieldName, () => ({ place, entries: [] }));
					for (const literal of place.literals) entries.push([literal, rule]);
					// One look at a text, in any case if a single rule asks for that, costs less than two.
					if (place.ignoreCase) texts.set(place.fieldName, { place, entries });
				} else if (lookup) entryOf(lookups, predicate.fieldName, lookup).add(predicate.values, rule);
				else entryOf(checks, conditions.test(index), () => []).push(rule);
			}
			yield;
		}
		this.#always = Int32Array.from(always);
		const scanners: Scanner[] = [];
		for (const { place, entries } of texts.values()) {
			scanners.push(scannerOf(place, kind, entries, this.#onFound));
			yield;
		}
		this.#scanners = scanners;
		this.#lookups = [...lookups.values()];
		this.#checks = [...checks].map(([node, rules]) => ({ node, rules: Int32Array.from(rules) }));
	}

	/** Fills in the candidates for the event that `conditions` has begun. */
	find(observation: Observation, context: FieldContext, onCheck?: OnCheck): void {
		for (let i = 0; i < this.count; i++) this.#chosen[this.candidates[i] as number] = 0;
		this.count = 0;
		this.#onFound(this.#always);
		for (let i = 0; i < this.#scanners.length; i++) (this.#scanners[i] as Scanner).scan(observation, context);
		for (let i = 0; i < this.#lookups.length; i++) {
			(this.#lookups[i] as Lookup).find(observation, context, this.#onFound);
		}
		for (let i = 0; i < this.#checks.length; i++) {
			const { node, rules } = this.#checks[i] as Check;
			const begun = onCheck ? performance.now() : 0;
			if (this.#conditions.holds(node)) this.#onFound(rules);
			if (onCheck) onCheck(rules, performance.now() - begun);
		}
	}

	/** Into its place: they are few, and mostly found in order. */
	#choose(rule: number): void {
		if (this.#chosen[rule] === 1) return;
		this.#chosen[rule] = 1;
		const { candidates } = this;
		let at = this.count++;
		for (; at > 0 && (candidates[at - 1] as number) > rule; at--)
			candidates[at] = candidates[at - 1] as number;
		candidates[at] = rule;
	}
}

/** A check was made one by one in so many ms, for the rules at these places. */
type OnCheck = (rules: Int32Array, ms: number) => void;

interface Check {
	readonly node: number;
	readonly rules: Int32Array;
}

function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
	const known = map.get(key);
	if (known !== undefined) return known;
	const made = make();
	map.set(key, made);
	return made;
}
