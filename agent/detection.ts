// What judges events, as one thing: rules, policy, their engines and what the kernel has to send for them. A candidate
// is made aside, in steps, and put in place between two events. Runs on the main thread.

import type { LoadedPolicy } from "./content.ts";
import { formsOf, type RuleForms } from "./detect/compare.ts";
import { Engine } from "./detect/engine.ts";
import type { FieldContext } from "./detect/field.ts";
import { loadSteps, type RuleFile, type RuleSet } from "./detect/load.ts";
import { finish, finishInTurns } from "./detect/steps.ts";
import type { Observation } from "./model/event.ts";
import { type Interest, sumOfInterests } from "./model/interest.ts";
import type { Finding, Response } from "./model/verdict.ts";
import { type PolicyContext, PolicyEngine } from "./policy/engine.ts";

/** Everything that is in force, or could be. */
export interface Content {
	readonly rules: RuleSet;
	readonly forms: RuleForms;
	readonly policy: LoadedPolicy;
	/** Rules that are not evaluated for now, by name. */
	readonly suspended: ReadonlySet<string>;
	readonly interest: Interest;
	readonly engine: Engine;
	readonly policyEngine: PolicyEngine;
}

export type Parts = Partial<Pick<Content, "rules" | "policy" | "suspended">>;

export interface Detection {
	current(): Content;
	/** Rules compiled in turns with everything else. Rejects for defects of ours only. */
	compile(files: readonly RuleFile[]): Promise<RuleSet>;
	/**
	 * Makes a candidate, in turns, that differs from what is in force in these parts, and hands it to `adopt`; begins
	 * again when something else has come in force meanwhile. Rejects with what `parts` and `adopt` throw.
	 */
	change(parts: (now: Content) => Parts, adopt: (content: Content) => void): Promise<Content>;
	/** A candidate with another policy, at once. */
	withPolicy(policy: LoadedPolicy): Content;
	/** From the next event on; correlations that mean the same go on with what they have counted. */
	adopt(content: Content): void;
	/** For the pipeline; they are asked of whatever is in force. */
	readonly detectors: readonly { evaluate(seen: Observation, onFinding: (finding: Finding) => void): void }[];
	responses(finding: Finding, seen: Observation): readonly Response[];
}

export function createDetection(
	start: { readonly rules: RuleSet; readonly policy: LoadedPolicy },
	context: FieldContext & Pick<PolicyContext, "hostNamespaces">,
): Detection {
	const policyEngineOf = ({ policy }: LoadedPolicy) => new PolicyEngine(policy, context);
	function* build(rules: RuleSet, policy: LoadedPolicy, suspended: ReadonlySet<string>) {
		const forms = yield* formsOf(rules);
		const judging = without(rules, suspended);
		const engine = yield* Engine.steps({ ...judging, rules: [...judging.rules, judging.canary] }, context);
		const policyEngine = policyEngineOf(policy);
		const interest = sumOfInterests([interestOf(rules, suspended), policyEngine.interest]);
		return { rules, forms, policy, suspended, interest, engine, policyEngine };
	}
	let current: Content = finish(build(start.rules, start.policy, new Set()));
	return {
		current: () => current,
		compile: (files) => finishInTurns(loadSteps(files)),
		async change(parts, adopt) {
			for (;;) {
				const base = current;
				const { rules, policy, suspended } = { ...base, ...parts(base) };
				const content = await finishInTurns(build(rules, policy, suspended));
				if (current !== base) continue;
				adopt(content);
				return content;
			}
		},
		withPolicy(policy) {
			const policyEngine = policyEngineOf(policy);
			const { rules, suspended } = current;
			const interest = sumOfInterests([interestOf(rules, suspended), policyEngine.interest]);
			return { ...current, policy, policyEngine, interest };
		},
		adopt(content) {
			// What was counted so far goes on counting.
			if (content.engine !== current.engine) content.engine.correlator.adopt(current.engine.correlator);
			current = content;
		},
		detectors: [
			{ evaluate: (seen, onFinding) => current.engine.evaluate(seen, onFinding) },
			{ evaluate: (seen, onFinding) => current.policyEngine.violations(seen, onFinding) },
		],
		responses: (finding, seen) => current.policyEngine.responses(finding, seen),
	};
}

function without(set: RuleSet, suspended: ReadonlySet<string>): RuleSet {
	if (suspended.size === 0) return set;
	return {
		...set,
		rules: set.rules.map((rule) => (suspended.has(rule.name) ? { ...rule, enabled: false } : rule)),
	};
}

function interestOf(set: RuleSet, suspended: ReadonlySet<string>): Interest {
	if (suspended.size === 0) return set.interest;
	return sumOfInterests(
		set.rules.flatMap(({ name, enabled, interest }) =>
			enabled && interest && !suspended.has(name) ? [interest] : [],
		),
	);
}
