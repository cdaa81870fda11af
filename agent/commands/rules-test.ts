// `picket rules test`: rules before the samples that stand beside them, or before a recording. Finds out what is to be
// tested.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readSamplesFile, yamlFilesAt } from "../content.ts";
import { type Bounds, type LoadedRule, loadRules, type RuleFile } from "../detect/load.ts";
import { isSamplesFile, type PlacedSample, readSamples } from "../detect/samples.ts";
import { nearNames } from "../detect/suggest.ts";
import type { Problem } from "../model/verdict.ts";
import type { Page } from "./page.ts";
import { loadedFiles, type Outcome } from "./rules.ts";
import { ruleNamed } from "./rules-explain.ts";
import type { TestFlags } from "./rules-subject.ts";
import { recordingOutcome } from "./rules-test-recording.ts";
import { outcomeOf, samplesRunner } from "./rules-test-samples.ts";

/** Without paths all rules that would be loaded are tested. Status 1 when a sample fails. Throws CommandError. */
export function testRules(paths: readonly string[], flags: TestFlags, page: Page): Outcome {
	const given = paths.flatMap(yamlFilesAt);
	const files = loadedFiles(
		flags,
		given.filter((path) => !isSamplesFile(path)),
	);
	const bounds: Bounds = new Map();
	// A rule that is switched off is tested all the same.
	const loaded = loadRules(files, bounds);
	const rulesOn = loaded.rules.map((rule) =>
		rule.enabled || rule.plans.size === 0 ? rule : { ...rule, enabled: true },
	);
	const set = { ...loaded, rules: rulesOn };
	const tested = new Set(
		paths.length === 0 ? files.map(({ path }) => resolve(path)) : given.map((path) => resolve(path)),
	);
	const here = files.filter(({ path }) => tested.has(resolve(path)));
	const problems = set.problems.filter(({ file, level }) => level === "error" && tested.has(resolve(file)));
	const sampleFiles = samplesBeside(here, given);
	const samples = [...here, ...sampleFiles].flatMap(({ path, text }) => readSamples(path, text, problems));
	const wanted = flags.rule?.map((name) => ruleNamed(name, set.rules));
	const isWanted = (rule: LoadedRule): boolean => wanted === undefined || wanted.includes(rule);
	const byRule = samplesByRule(samples, set.rules, problems);
	const rules = set.rules.filter(
		(rule) => isWanted(rule) && (wanted !== undefined || tested.has(resolve(rule.file)) || byRule.has(rule)),
	);
	const subject = { set, bounds, files: [...files, ...sampleFiles], rules };
	if (flags.recording !== undefined) return recordingOutcome(subject, flags.recording, flags, page);
	const run = samplesRunner(subject, problems, flags.trace === true);
	// What only feeds a correlation is tested with it.
	const alone = rules.filter((rule) => !rule.silent || byRule.has(rule) || wanted !== undefined);
	const results = alone.map((rule) => run(rule, byRule.get(rule) ?? []));
	return outcomeOf(results, subject, problems, flags, page);
}

/** NAME.samples.yaml beside NAME.yaml, and those that were named or lie in a folder that was. */
function samplesBeside(files: readonly RuleFile[], given: readonly string[]): RuleFile[] {
	const beside = files
		.flatMap(({ path }) => [
			path.replace(/\.ya?ml$/, ".samples.yaml"),
			path.replace(/\.ya?ml$/, ".samples.yml"),
		])
		.filter((path) => isSamplesFile(path) && existsSync(path));
	const paths = new Map([...given.filter(isSamplesFile), ...beside].map((path) => [resolve(path), path]));
	return [...paths.values()].map((path) => ({ path, text: readSamplesFile(path), origin: "falco" }));
}

function samplesByRule(
	samples: readonly PlacedSample[],
	rules: readonly LoadedRule[],
	problems: Problem[],
): ReadonlyMap<LoadedRule, PlacedSample[]> {
	const found = new Map<LoadedRule, PlacedSample[]>();
	const unknown = new Set<string>();
	for (const sample of samples) {
		const rule =
			rules.find(({ name }) => name === sample.rule) ??
			rules.find(({ id, shortName }) => sample.rule === id || sample.rule === shortName);
		if (rule) found.set(rule, [...(found.get(rule) ?? []), sample]);
		else if (!unknown.has(sample.rule)) {
			unknown.add(sample.rule);
			const { file, line, column } = sample;
			const names = rules.map(({ name }) => name);
			const near = nearNames(sample.rule, names, 3).join(", ");
			const remedy = near === "" ? "name a rule of these files" : `did you mean: ${near}`;
			const message = `the samples are of a rule that is not loaded: ${sample.rule}`;
			problems.push({ file, line, column, where: "", message, remedy, level: "error" });
		}
	}
	return found;
}
