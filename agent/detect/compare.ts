// Which rules came, went or changed from one rule set to the next: by what they check after lists, macros and
// exceptions are put in, and by what they say.
import { createHash } from "node:crypto";
import type { LoadedRule, RuleSet } from "./load.ts";
import type { Plan } from "./plan.ts";

export interface RuleChanges {
	/** Names, in the order of the files. */
	readonly came: readonly string[];
	readonly went: readonly string[];
	readonly changed: readonly string[];
}

/** By rule name a digest of all that makes it act as it does. */
export type RuleForms = ReadonlyMap<string, string>;

/** In steps of a rule each. A rule with an error has no form: it comes when it is mended, and goes when it breaks. */
export function* formsOf(set: RuleSet): Generator<void, RuleForms> {
	const forms = new Map<string, string>();
	for (const rule of set.rules) {
		if (rule.status === "error") continue;
		// Sigma's titles need not differ.
		forms.set(rule.name, `${forms.get(rule.name) ?? ""}${formOf(rule, set)}`);
		yield;
	}
	return forms;
}

export function compareForms(before: RuleForms, after: RuleForms): RuleChanges {
	const names = [...after.keys()];
	return {
		came: names.filter((name) => !before.has(name)),
		went: [...before.keys()].filter((name) => !after.has(name)),
		changed: names.filter((name) => before.has(name) && before.get(name) !== after.get(name)),
	};
}

function formOf(rule: LoadedRule, { predicates }: RuleSet): string {
	const keys = (plan: Plan): unknown => {
		if (typeof plan === "boolean") return plan;
		if (plan.is === "test") return predicates.at(plan.index).key;
		return plan.is === "not" ? ["not", keys(plan.plan)] : [plan.is, ...plan.plans.map(keys)];
	};
	const { priority, enabled, status, description, output, tags, condition } = rule;
	const said = [priority, enabled, status, description, output, tags, condition];
	const checked = [...rule.plans].map(([kind, plan]) => [kind, keys(plan)]);
	return createHash("sha256")
		.update(JSON.stringify([said, checked]))
		.digest("base64");
}
