// What the tests of the detect stage share: rules from text, observations from samples, which rules fire, and random
// numbers that are the same every time.
import { Engine } from "../../../agent/detect/engine.ts";
import type { FieldContext } from "../../../agent/detect/field.ts";
import { type LoadedRule, loadRules, type RuleFile, type RuleSet } from "../../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import type { Observation } from "../../../agent/model/event.ts";
import type { Finding, Problem } from "../../../agent/model/verdict.ts";

export const context: FieldContext = {
	hostname: "host-1",
	userName: (uid) => ({ 0: "root", 1000: "ada" })[uid],
};

export function load(text: string, origin: RuleFile["origin"] = "falco", path = "rules.yaml"): RuleSet {
	return loadRules([{ path, text, origin }]);
}

/** A rule file with one rule of that condition, given as JSON, which is YAML too. */
export function ruleText(condition: string, more: Readonly<Record<string, unknown>> = {}): string {
	return JSON.stringify([{ rule: "r", desc: "d", condition, output: "o", priority: "Notice", ...more }]);
}

/** The one rule of that condition. Throws when it does not load without an error. */
export function ruleOf(condition: string, before = ""): { set: RuleSet; rule: LoadedRule } {
	const set = loadRules([
		{ path: "before.yaml", text: before, origin: "falco" },
		{ path: "rules.yaml", text: ruleText(condition), origin: "falco" },
	]);
	const rule = set.rules.find(({ name }) => name === "r");
	const errors = errorsOf(set);
	if (!rule || errors.length > 0) {
		throw new Error(`${condition}: ${errors.map(({ message }) => message).join("; ") || "no rule"}`);
	}
	return { set, rule };
}

export function errorsOf(set: RuleSet): readonly Problem[] {
	return set.problems.filter(({ level }) => level === "error");
}

export function findings(set: RuleSet, observation: Observation): Finding[] {
	const found: Finding[] = [];
	new Engine(set, context).evaluate(observation, (finding) => found.push(finding));
	return found;
}

export function fired(set: RuleSet, sample: Sample | Observation): string[] {
	const observation = "event" in sample ? sample : observationOf(sample);
	return findings(set, observation).map(({ rule }) => rule);
}

/** Does the condition hold for the sample's event? `before` holds lists and macros. */
export function holds(condition: string, sample: Sample, before = ""): boolean {
	return fired(ruleOf(condition, before).set, sample).includes("r");
}

/** The error of a rule with this condition; throws when there is none. */
export function errorOf(condition: string, before = ""): Problem {
	const set = loadRules([
		{ path: "before.yaml", text: before, origin: "falco" },
		{ path: "rules.yaml", text: ruleText(condition), origin: "falco" },
	]);
	const [error] = errorsOf(set);
	if (!error) throw new Error(`${condition} has no error`);
	return error;
}

export class Random {
	#state: number;
	constructor(seed: number) {
		this.#state = seed >>> 0;
	}
	/** 0 … 2^32-1 (mulberry32). */
	word(): number {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return (mixed ^ (mixed >>> 14)) >>> 0;
	}
	below(limit: number): number {
		return Math.floor((this.word() / 2 ** 32) * limit);
	}
	chance(part: number): boolean {
		return this.word() / 2 ** 32 < part;
	}
	pick<T>(from: readonly T[]): T {
		return from[this.below(from.length)] as T;
	}
	/** Between `least` and `most` of them. */
	several<T>(least: number, most: number, make: () => T): T[] {
		return Array.from({ length: least + this.below(most - least + 1) }, make);
	}
}
