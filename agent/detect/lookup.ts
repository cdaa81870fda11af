// Rules by the value they want of one number or address: one look for all of them, however many values there are.
import { isSingle, type Network, parseNetwork, wordAt } from "../model/address.ts";
import type { Observation } from "../model/event.ts";
import type { AddressField, FieldContext, NumberField } from "./field.ts";
import { addressStart, hasAddresses } from "./fields-socket.ts";
import type { Predicate } from "./predicate.ts";

export type Found = (rules: Int32Array) => void;

/** Reports the rules that want what an event has. */
export interface Lookup {
	add(values: readonly string[], rule: number): void;
	find(observation: Observation, context: FieldContext, found: Found): void;
}

/** The lookup for checks such as this one; undefined when it has to be made by itself. */
export function lookupFor({ field, check, values }: Predicate): (() => Lookup) | undefined {
	const { left, operator, match, right } = check;
	if (left.is !== "field" || values.length !== right.length) return undefined;
	// allof () is true of everything.
	if (!["=", "in", "intersects"].includes(operator) || (match === "all" && values.length === 0))
		return undefined;
	if (field?.type === "number" || field?.type === "bool")
		return field.some ? undefined : () => new NumberLookup(field);
	if (field?.type !== "address" || !values.every((value) => isSingle(parseNetwork(value)))) return undefined;
	return () => new AddressLookup(field);
}

class Rules {
	readonly #byKey = new Map<number, Int32Array>();

	add(key: number, rule: number): void {
		this.#byKey.set(key, Int32Array.from([...(this.#byKey.get(key) ?? []), rule]));
	}
	report(key: number | undefined, found: Found): void {
		const rules = key === undefined ? undefined : this.#byKey.get(key);
		if (rules) found(rules);
	}
}

class NumberLookup implements Lookup {
	readonly #field: NumberField;
	readonly #rules = new Rules();

	constructor(field: NumberField) {
		this.#field = field;
	}
	add(values: readonly string[], rule: number): void {
		for (const value of values)
			this.#rules.add(this.#field.type === "bool" ? Number(value === "true") : Number(value), rule);
	}
	find(observation: Observation, context: FieldContext, found: Found): void {
		const { get, other } = this.#field;
		this.#rules.report(get(observation, context), found);
		if (other) this.#rules.report(other(observation), found);
	}
}

/** By a hash of the address: two that share one are told apart when the rule is asked. */
class AddressLookup implements Lookup {
	readonly #ends: AddressField["ends"];
	readonly #rules = new Rules();

	constructor({ ends }: AddressField) {
		this.#ends = ends;
	}
	add(values: readonly string[], rule: number): void {
		for (const value of values) this.#rules.add(hashOf(parseNetwork(value)), rule);
	}
	find({ event }: Observation, _: FieldContext, found: Found): void {
		if (!hasAddresses(event)) return;
		const words = event.family === 2 ? 1 : 4;
		for (let i = 0; i < this.#ends.length; i++) {
			const start = addressStart(event, this.#ends[i] as AddressField["ends"][number]);
			if (start < 0) continue;
			let hash = 0;
			for (let word = 0; word < words; word++) hash = mix(hash, wordAt(event.bytes, start + 4 * word));
			this.#rules.report(hash, found);
		}
	}
}

function hashOf({ words }: Network): number {
	return words.reduce(mix, 0);
}
/** Signed: what does not fit a small integer would be an object. */
function mix(hash: number, word: number): number {
	return (Math.imul(hash, 0x01000193) ^ word) | 0;
}
