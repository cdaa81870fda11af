// What the fuzzers of rule files ask of a load, whatever the language: it ends in time, and errors can be acted upon.
import { expect } from "vitest";
import { loadRules, type RuleFile, type RuleSet } from "../../agent/detect/load.ts";
import type { Problem } from "../../agent/model/verdict.ts";

/** A file of ten rules loads in some ms; one that takes this long hangs. */
const limitMs = 3000;

/** The rules, and the CPU time they took in this thread. Fails when that is too long. */
export function loadInTime(files: readonly RuleFile[], what: string): { set: RuleSet; ms: number } {
	const begun = process.threadCpuUsage();
	const set = loadRules(files);
	const { user, system } = process.threadCpuUsage(begun);
	const ms = (user + system) / 1000;
	expect(ms, what).toBeLessThan(limitMs);
	return { set, ms };
}

/** Fails unless each error has a place, words and a remedy; returns how many errors there are. */
export function checkProblems(problems: readonly Problem[], what: string): number {
	const errors = problems.filter(({ level }) => level === "error");
	for (const { line, column, message, remedy } of errors)
		expect(line >= 1 && column >= 1 && message !== "" && remedy !== "", what).toBe(true);
	return errors.length;
}
