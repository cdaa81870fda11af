// `picket rules check` and `picket rules list`: which rules there are, what each can do on this host, and what is wrong
// with the files. Reads files only.
import { resolve } from "node:path";
import type { Config } from "../config/load.ts";
import { readConfig, readRuleFiles } from "../content.ts";
import { contentFolder, openStore } from "../delivered/store.ts";
import { type LoadedRule, loadRules, type RuleFile, type RuleSet } from "../detect/load.ts";
import type { Problem } from "../model/verdict.ts";
import { problemLines } from "../report/problem.ts";
import { neutralise } from "../report/shown.ts";
import type { Page } from "./page.ts";

export interface RuleFlags {
	readonly json?: boolean;
	readonly rules?: string[];
	readonly defaultRules?: boolean;
	readonly config?: string;
}

/** The files the sensor would load with these options, and `more`; each once. */
export function loadedFiles(flags: RuleFlags, more: readonly string[] = []): RuleFile[] {
	const { config } = readConfig(flags.config);
	const paths = [...config.rules.files, ...(flags.rules ?? []), ...more];
	const files = readRuleFiles(paths, config.rules.default && flags.defaultRules !== false);
	return [...new Map(files.toReversed().map((file) => [resolve(file.path), file])).values()].toReversed();
}

function totalsOf(rules: readonly LoadedRule[]): Record<LoadedRule["status"], number> {
	const totals = { evaluable: 0, degraded: 0, "not-evaluable": 0, error: 0 };
	for (const rule of rules) totals[rule.status]++;
	return totals;
}

/** The form that `rules check --json` and `rules list --json` print. */
function rulesJson({ rules }: RuleSet, problems: readonly Problem[]): string {
	return JSON.stringify({
		rules: rules.map(({ name, origin, file, line, status, reasons }) => ({
			name,
			source: origin,
			file,
			line,
			status,
			reasons,
		})),
		problems,
		totals: totalsOf(rules),
	});
}

/** What a command prints, and the status it ends with. */
export interface Outcome {
	readonly text: string;
	readonly status: 0 | 1;
}

/** Problems with the lines they are about. */
export function problemsText(
	problems: readonly Problem[],
	files: readonly RuleFile[],
	{ cells, line }: Page,
): string[] {
	return problems.flatMap((problem) => {
		const text = files.find(({ path }) => path === problem.file)?.text;
		return problemLines(problem, text, cells).map(line);
	});
}

/** "1 rule", "2 rules". */
export const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

export interface CheckFlags {
	readonly json?: boolean;
	/** Warnings count as errors. */
	readonly strict?: boolean;
	/** Load our own signatures beside the files, which may change them. */
	readonly defaultRules?: boolean;
}

/** Loads the files, without our own signatures unless asked to, and tells of these files. Status 1 on an error. */
export function checkRules(paths: readonly string[], flags: CheckFlags, page: Page): Outcome {
	const { json, strict, defaultRules } = flags;
	const files = readRuleFiles(paths, false);
	const loaded = loadRules(defaultRules === true ? readRuleFiles(paths, true) : files);
	const isHere = ({ file }: { readonly file: string }): boolean => files.some(({ path }) => path === file);
	const set = { ...loaded, rules: loaded.rules.filter(isHere) };
	const problems = inOrder([...loaded.problems.filter(isHere), ...emptyFiles(paths, files)], files);
	const errors = problems.filter(({ level }) => level === "error").length;
	const warnings = problems.length - errors;
	const status = errors > 0 || (strict === true && warnings > 0) ? 1 : 0;
	if (json) return { text: rulesJson(set, problems), status };
	const totals = totalsOf(set.rules);
	const lines = [
		...set.rules.map(({ name, status: able, reasons }) =>
			neutralise(`${able.padEnd(14)} ${name}${reasons.length > 0 ? `  (${reasons.join("; ")})` : ""}`),
		),
		...problemsText(problems, files, page),
		`${counted(set.rules.length, "rule")} in ${counted(files.length, "file")}: ${totals.evaluable} evaluable, ` +
			`${totals.degraded} degraded, ${totals["not-evaluable"]} not evaluable, ${totals.error} in error`,
		...(problems.length > 0 ? [`${counted(errors, "error")}, ${counted(warnings, "warning")}`] : []),
	];
	return { text: lines.join("\n"), status };
}

/** As the files are read, from top to bottom. */
function inOrder(problems: readonly Problem[], files: readonly RuleFile[]): Problem[] {
	const place = new Map(files.map(({ path }, index) => [path, index]));
	const fileOf = ({ file }: Problem): number => place.get(file) ?? files.length;
	return problems.toSorted((a, b) => fileOf(a) - fileOf(b) || a.line - b.line || a.column - b.column);
}

/** A path that brings nothing is most likely a mistaken one. */
function emptyFiles(paths: readonly string[], files: readonly RuleFile[]): Problem[] {
	const warning = (file: string, message: string, remedy: string): Problem => ({
		...{ file, line: 0, column: 0, where: "", level: "warning" },
		message,
		remedy,
	});
	const folders = paths.filter(
		(path) => !files.some((file) => file.path === path || isBelow(file.path, path)),
	);
	const empty = files.filter(({ text }) => text.replace(/^\s*#.*$/gm, "").trim() === "");
	return [
		...folders.map((path) =>
			warning(path, "there is no rule file in this folder", "name them *.yaml or *.yml, or correct the path"),
		),
		...empty.map(({ path }) =>
			warning(path, "there is nothing in this file", "write a rule into it, or remove it"),
		),
	];
}

function isBelow(path: string, folder: string): boolean {
	return path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

/** `suspended`: names of rules that a running sensor does not evaluate for now. */
export function listRules(flags: RuleFlags, suspended: readonly string[] = []): Outcome {
	const { config } = readConfig(flags.config);
	const delivered = deliveredRules(config);
	const local = loadedFiles(flags);
	const first = local.findIndex(({ origin }) => origin !== "picket");
	const files = local.toSpliced(first < 0 ? local.length : first, 0, ...delivered.files);
	const set = loadRules(files);
	if (flags.json) return { text: rulesJson(set, inOrder(set.problems, files)), status: 0 };
	const fed = feedsOf(set.rules);
	const lines = set.rules.map((rule) => {
		const { name, status, severity, techniques, enabled, silent } = rule;
		const notes = [
			silent ? `feeds ${counted(fed.get(rule) ?? 0, "correlation")} and raises no alert` : "",
			enabled || status === "error" || status === "not-evaluable" ? "" : "switched off",
			delivered.versions.get(rule.file) ?? "",
			suspended.includes(name) ? "suspended by the running sensor for its cost" : "",
		].filter((note) => note !== "");
		const row = `${status.padEnd(14)} ${severity.padEnd(14)} ${techniques.join(",").padEnd(12)} ${name}`;
		return neutralise(notes.length > 0 ? `${row}  (${notes.join("; ")})` : row);
	});
	return { text: [...lines, counted(set.rules.length, "rule")].join("\n"), status: 0 };
}

/** What a console has delivered here, as far as this user may read it; of each file its origin in words. */
function deliveredRules({ paths, content }: Config): {
	readonly files: readonly RuleFile[];
	readonly versions: ReadonlyMap<string, string>;
} {
	const files = openStore(contentFolder(paths.state), content.trust).inForce().files;
	const words = files.map(({ path }): [string, string] => {
		const [, kind, version] = /\/content\/(intel|rules)\/(\d+)\//.exec(path) ?? [];
		return [path, `delivered by a console, ${kind} version ${version}`];
	});
	return { files, versions: new Map(words) };
}

/** Of how many correlations each rule's matches are part. */
function feedsOf(rules: readonly LoadedRule[]): ReadonlyMap<LoadedRule, number> {
	const fed = new Map<LoadedRule, number>();
	for (const { correlation } of rules)
		for (const rule of new Set(correlation?.feeds.map((feed) => feed.rule)))
			fed.set(rule, 1 + (fed.get(rule) ?? 0));
	return fed;
}
