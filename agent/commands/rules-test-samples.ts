// `picket rules test` with samples: each before the engine that judges real events. For a sample that fails, which check
// decided, and what the event really had.

import { observationsOf, type Step } from "../detect/correlation/sample.ts";
import { Engine } from "../detect/engine.ts";
import type { FieldContext } from "../detect/field.ts";
import type { LoadedRule } from "../detect/load.ts";
import { observationOf, type Sample } from "../detect/sample.ts";
import type { PlacedSample } from "../detect/samples.ts";
import { type Trace, traceOf } from "../detect/trace.ts";
import type { Observation } from "../model/event.ts";
import type { Problem } from "../model/verdict.ts";
import { neutralise } from "../report/shown.ts";
import type { Span } from "../report/terminal-theme.ts";
import type { Page } from "./page.ts";
import { counted, type Outcome, problemsText } from "./rules.ts";
import type { Subject, TestFlags } from "./rules-subject.ts";
import { readable, traceLines } from "./trace-text.ts";

export interface SampleResult {
	readonly sample: PlacedSample;
	readonly passed: boolean;
	/** All rules that matched. */
	readonly matched: readonly string[];
	readonly trace: Trace | undefined;
	/** Of acts one after another: the rules that matched on each. */
	readonly steps: readonly (readonly string[])[];
}

export interface RuleResult {
	readonly rule: LoadedRule;
	readonly status: "passed" | "failed" | "untested" | "not-evaluable" | "error";
	readonly samples: readonly SampleResult[];
}

/** Those of samples: who is who on the host they are of. */
const sampleContext: FieldContext = {
	hostname: "host",
	userName: (uid) => ({ 0: "root", 33: "www-data", 1000: "user", 65534: "nobody" })[uid],
};

export function samplesRunner(
	{ set, bounds }: Subject,
	problems: Problem[],
	always: boolean,
): (rule: LoadedRule, samples: readonly PlacedSample[]) => RuleResult {
	const engine = new Engine(set, sampleContext);
	/** Rules that match; one that only feeds correlations is among them. */
	const matchedBy = (judge: Engine, observation: Observation): string[] => {
		const before = new Map(judge.matches);
		const told: string[] = [];
		judge.evaluate(observation, (_, { name }) => told.push(name));
		const matched = [...judge.matches].filter(([name, count]) => count > (before.get(name) ?? 0));
		return [...new Set([...matched.map(([name]) => name), ...told])];
	};
	const judged = (rule: LoadedRule, { is, sample }: PlacedSample): Omit<SampleResult, "sample"> => {
		const { name } = rule;
		const wanted = is === "positive";
		if (Array.isArray(sample)) {
			// An engine of its own: what came before, in another sample, must not count.
			const rules = [...joinedBy(rule)];
			const judge = new Engine({ predicates: set.predicates, rules }, sampleContext);
			const steps = observationsOf(sample as readonly Step[]).map((step) => matchedBy(judge, step));
			const matched = [...new Set(steps.flat())];
			return { passed: matched.includes(name) === wanted, matched, trace: undefined, steps };
		}
		const observation = observationOf(sample as Sample);
		const matched = matchedBy(engine, observation);
		const passed = matched.includes(name) === wanted;
		const bound = passed && !always ? undefined : bounds.get(name);
		const trace = bound && traceOf(bound, set.predicates, observation, sampleContext);
		return { passed, matched, trace, steps: [] };
	};
	const resultOf = (rule: LoadedRule, sample: PlacedSample): SampleResult | undefined => {
		try {
			return { sample, ...judged(rule, sample) };
		} catch (error) {
			const { file, line, column } = sample;
			const message = error instanceof Error ? error.message : String(error);
			const remedy = "correct the sample; its keys are in `picket rules schema samples`";
			problems.push({ file, line, column, where: `rule ${rule.name}`, message, remedy, level: "error" });
			return undefined;
		}
	};
	const isWrong = ({ name }: LoadedRule): boolean => problems.some(({ where }) => where === `rule ${name}`);
	return (rule, samples) => {
		if (rule.status === "error" || rule.status === "not-evaluable")
			return { rule, status: rule.status, samples: [] };
		const results = samples.map((sample) => resultOf(rule, sample)).filter((each) => each !== undefined);
		const failed = results.some(({ passed }) => !passed) || isWrong(rule);
		return {
			rule,
			status: failed ? "failed" : samples.length === 0 ? "untested" : "passed",
			samples: results,
		};
	};
}

/** The rule, and what it joins, however deep. */
function joinedBy(rule: LoadedRule): Set<LoadedRule> {
	const found = new Set([rule]);
	// A set hands out what is added to it on the way.
	for (const { correlation } of found) for (const feed of correlation?.feeds ?? []) found.add(feed.rule);
	return found;
}

export function outcomeOf(
	results: readonly RuleResult[],
	{ files }: Subject,
	problems: readonly Problem[],
	{ json, strict, trace }: TestFlags,
	page: Page,
): Outcome {
	const totals = { passed: 0, failed: 0, untested: 0, "not-evaluable": 0, error: 0 };
	for (const { status } of results) totals[status]++;
	const bad = totals.failed + totals.error + problems.length + (strict === true ? totals.untested : 0);
	const status = bad > 0 ? 1 : 0;
	if (json) return { text: JSON.stringify({ rules: results.map(resultJson), problems, totals }), status };
	const count = results.reduce((sum, { samples }) => sum + samples.length, 0);
	const lines = [
		...results.flatMap((result) => resultLines(result, strict === true, trace === true)).map(page.line),
		...problemsText(problems, files, page),
		`${counted(results.length, "rule")}, ${counted(count, "sample")}: ${totals.passed} passed, ${totals.failed} failed, ` +
			`${totals.untested} untested, ${totals["not-evaluable"]} not evaluable here, ${totals.error} in error`,
	];
	return { text: lines.join("\n"), status };
}

function resultJson({ rule, status, samples }: RuleResult): unknown {
	const { name, file, line } = rule;
	return {
		...{ name, file, line, status },
		samples: samples.map(
			({ sample: { is, number, file: from, line: at }, passed, matched, trace, steps }) => ({
				...{ is, number, file: from, line: at, passed, matched },
				...(trace && { trace: readable(trace) }),
				...(steps.length > 0 && { steps }),
			}),
		),
	};
}

const words = {
	passed: "pass",
	failed: "FAIL",
	untested: "none",
	"not-evaluable": "skip",
	error: "FAIL",
} as const;
const styles = {
	passed: "good",
	failed: "bad",
	untested: "warn",
	"not-evaluable": "dim",
	error: "bad",
} as const;

function resultLines({ rule, status, samples }: RuleResult, strict: boolean, whole: boolean): Span[][] {
	const sums = (["positive", "negative"] as const)
		.map((is) => `${samples.filter(({ sample }) => sample.is === is).length} ${is}`)
		.join(", ");
	const about =
		status === "untested"
			? "no samples"
			: rule.reasons.length > 0 && samples.length === 0
				? rule.reasons.join("; ")
				: sums;
	const style = status === "untested" && strict ? "bad" : styles[status];
	const head: Span[] = [
		{ text: words[status], style },
		{ text: `  ${neutralise(rule.name)}`, style: "bold" },
		{ text: `  (${neutralise(about)})`, style: "plain" },
	];
	return [head, ...samples.flatMap((result) => sampleLines(result, whole))];
}

function sampleLines(result: SampleResult, whole: boolean): Span[][] {
	const { sample, passed, matched, trace, steps } = result;
	if (passed && !whole) return [];
	const { is, number, file, line, rule } = sample;
	const did = matched.includes(rule) ? "matched" : "did not match";
	const others = matched.filter((name) => name !== rule);
	return [
		[
			{ text: `      ${is} sample ${number} ${did}`, style: passed ? "plain" : "bad" },
			{ text: `  ${file}:${line}`, style: "dim" },
		],
		...(trace ? traceLines(trace, 4, whole) : []),
		...steps.map((names, index): Span[] => [
			{
				text: `        act ${index + 1}: ${names.length > 0 ? names.join(", ") : "no rule matched"}`,
				style: "plain",
			},
		]),
		...(others.length > 0
			? [[{ text: `        others matched: ${others.join(", ")}`, style: "dim" } as const]]
			: []),
	];
}
