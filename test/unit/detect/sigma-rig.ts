// Sigma rules for tests: a detection as data, given as JSON, which is YAML too.
import type { LoadedRule, RuleSet } from "../../../agent/detect/load.ts";
import type { Sample } from "../../../agent/detect/sample.ts";
import type { Problem } from "../../../agent/model/verdict.ts";
import { errorsOf, fired, load } from "./rig.ts";

export type Detection = Readonly<Record<string, unknown>>;

export function sigmaText(detection: Detection, more: Detection = {}): string {
	const logsource = { product: "linux", category: "process_creation" };
	return JSON.stringify({ title: "r", logsource, level: "high", detection, ...more });
}

/** The one rule with this detection. Throws when it has an error. */
export function sigmaOf(detection: Detection, more: Detection = {}): { set: RuleSet; rule: LoadedRule } {
	const set = load(sigmaText(detection, more));
	const [rule] = set.rules;
	const errors = errorsOf(set);
	if (!rule || errors.length > 0)
		throw new Error(errors.map(({ message }) => message).join("; ") || "no rule");
	return { set, rule };
}

/** Does one selection with this key and value hold for the sample? */
export function selects(key: string, value: unknown, sample: Sample, more: Detection = {}): boolean {
	return fired(sigmaOf({ s: { [key]: value }, condition: "s" }, more).set, sample).length > 0;
}

/** The error of a rule with this detection; throws when there is none or more than one. */
export function sigmaError(detection: Detection, more: Detection = {}): Problem {
	const errors = errorsOf(load(sigmaText(detection, more)));
	const [error] = errors;
	if (!error || errors.length > 1) throw new Error(`${errors.length} errors`);
	return error;
}

export function ran(args: readonly string[], exe = "/usr/bin/tool"): Sample {
	return { process: { exe, args } };
}
