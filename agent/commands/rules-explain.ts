// `picket rules explain`: a rule as the engine sees it, and what it costs on this host.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { readConfig } from "../content.ts";
import type { Correlation } from "../detect/correlation/runtime.ts";
import {
	type Explanation,
	explainer,
	type FieldUse,
	type Files,
	type Index,
	type KernelInterest,
	type Part,
} from "../detect/explain.ts";
import { type Bounds, type LoadedRule, loadRules } from "../detect/load.ts";
import { type Cost, measureRule } from "../detect/measure.ts";
import { nearNames } from "../detect/suggest.ts";
import { CommandError } from "../failure.ts";
import type { Problem } from "../model/verdict.ts";
import { neutralise } from "../report/shown.ts";
import { wrap } from "../report/terminal-text.ts";
import { recordedEvents, type Stream, usualEvents } from "./judged-events.ts";
import type { Page } from "./page.ts";
import { loadedFiles, type Outcome, problemsText, type RuleFlags } from "./rules.ts";

export interface ExplainFlags extends RuleFlags {
	readonly recording?: string;
	/** False: do not measure. */
	readonly cost?: boolean;
}

/** To measure takes some tenths of a second a rule: of more rules than this only when a recording is given. */
const mostMeasured = 10;

/** Explains the rules of these names, and all of the files and folders among the words. Throws CommandError. */
export function explainRules(words: readonly string[], flags: ExplainFlags, page: Page): Outcome {
	const paths = words.filter((word) => existsSync(word) || /\.ya?ml$|\//.test(word));
	const files = loadedFiles(flags, paths);
	const bounds: Bounds = new Map();
	const set = loadRules(files, bounds);
	const within = paths.map((path) => resolve(path));
	const named = words.filter((word) => !paths.includes(word)).map((word) => ruleNamed(word, set.rules));
	const rules = set.rules.filter(
		(rule) => named.includes(rule) || within.some((path) => isAt(resolve(rule.file), path)),
	);
	const explain = explainer(set, bounds);
	const wanted = flags.recording !== undefined || (flags.cost !== false && rules.length <= mostMeasured);
	const stream = wanted ? streamOf(flags) : undefined;
	const explained = rules.map((rule) => ({
		explanation: explain(rule),
		problems: set.problems.filter(
			({ where, file, line }) =>
				where === `rule ${rule.name}` || (where === rule.name && file === rule.file && line === rule.line),
		),
		costs: stream && rule.plans.size > 0 ? measureRule(rule, set, stream.events, stream.context) : undefined,
	}));
	const status = rules.some((rule) => rule.status === "error") ? 1 : 0;
	if (flags.json) {
		const measuredOn = stream?.name ?? null;
		return { text: JSON.stringify({ rules: explained.map(explanationJson), measuredOn }), status };
	}
	if (rules.length === 0) return { text: "there is no rule in what was named", status };
	const texts = explained.map(({ explanation, problems, costs }) =>
		[
			...explanationText(explanation, page.cells),
			...(costs && stream ? costText(explanation.rule, costs, stream) : []),
			...problemsText(problems, files, page),
		].join("\n"),
	);
	return { text: texts.join("\n\n\n"), status };
}

function isAt(file: string, path: string): boolean {
	return file === path || file.startsWith(`${path}/`);
}

function streamOf(flags: ExplainFlags): Stream {
	if (flags.recording === undefined) return usualEvents();
	return recordedEvents(flags.recording, readConfig(flags.config).config.limits);
}

/** By its exact name, its id, else by the same in other capitals. Throws CommandError that suggests others. */
export function ruleNamed(name: string, rules: readonly LoadedRule[]): LoadedRule {
	const found =
		rules.find((rule) => rule.name === name) ??
		rules.find((rule) => rule.id === name || rule.shortName === name) ??
		rules.find((rule) => rule.name.toLowerCase() === name.toLowerCase());
	if (found) return found;
	const near = nearNames(
		name,
		rules.map((rule) => rule.name),
	);
	throw new CommandError(
		`no rule is named ${JSON.stringify(name)}`,
		near.length > 0 ? `did you mean: ${near.join(", ")}` : "see `picket rules list`",
		1,
	);
}

interface Explained {
	readonly explanation: Explanation;
	readonly problems: readonly Problem[];
	readonly costs: readonly Cost[] | undefined;
}

function explanationJson({ explanation, problems, costs }: Explained): unknown {
	const { rule, types, condition, indexes, fields, kernel } = explanation;
	const { name, origin, file, line, description, priority, severity, status, reasons, enabled } = rule;
	const { tags, tactics, techniques, events, output, falsePositives, id, author, references, silent } = rule;
	const { correlation } = rule;
	return {
		...(correlation && {
			correlation: {
				type: correlation.type,
				timespan: correlation.timespanText,
				groupBy: correlation.groupBy,
				fields: correlation.fields,
				condition: correlation.thresholds,
				rules: correlation.feeds.map((feed) => feed.rule.name),
			},
		}),
		...{ name, source: origin, file, line, description, priority, severity, status, reasons, enabled },
		...{ tags, tactics, techniques, events, types, condition, indexes, fields, kernel, output },
		...{ falsePositives, problems, costs, id, author, references, silent, feeds: explanation.feeds },
	};
}

const title = (words: string): string => words.padEnd(12);

/** Words behind a title, further lines below them. */
function row(head: string, words: string, cells: number): string[] {
	const lines = wrap(neutralise(words), Math.max(40, cells - 12), 50);
	return lines.map((line, index) => `${index === 0 ? title(head) : title("")}${line}`);
}

function explanationText(explanation: Explanation, cells: number): string[] {
	const { rule, types, condition, indexes, fields, kernel } = explanation;
	const able = `${rule.status}${rule.enabled || rule.status === "error" ? "" : ", switched off"}`;
	const lines = [
		neutralise(rule.name),
		...wrap(neutralise(rule.description || "no description"), cells - 2, 50).map((line) => `  ${line}`),
		"",
		...row("source", `${rule.origin}, ${rule.file}:${rule.line}`, cells),
		...(rule.author === "" ? [] : row("author", rule.author, cells)),
		...(rule.id === "" ? [] : row("id", rule.id, cells)),
		...rule.references.flatMap((each, index) => row(index === 0 ? "references" : "", each, cells)),
		...row("severity", `${rule.severity} (priority ${rule.priority})`, cells),
		...row("ATT&CK", [...rule.tactics, ...rule.techniques].join(", ") || "none given", cells),
		...(rule.tags.length > 0 ? row("tags", rule.tags.join(", "), cells) : []),
		...row("here", able, cells),
		...rule.reasons.flatMap((reason) => row("", reason, cells)),
		...row("events", rule.events.length > 0 ? eventsText(rule.events, types) : "none", cells),
		...row("output", rule.output, cells),
		...rule.falsePositives.flatMap((each, index) => row(index === 0 ? "harmless" : "", each, cells)),
	];
	if (rule.correlation) lines.push("", "correlation", ...correlationText(rule, cells));
	if (explanation.feeds.length > 0) lines.push(...row("feeds", explanation.feeds.join(", "), cells));
	if (rule.silent) lines.push(...row("alerts", "none of its own: it is there for what it feeds", cells));
	if (condition) {
		lines.push("", "condition   lists, macros and exceptions put in");
		lines.push(...partText(condition, 1, 0).map((line) => neutralise(line)));
	}
	if (indexes.length > 0) lines.push("", "found by", ...indexes.flatMap((index) => indexText(index, cells)));
	if (fields.length > 0) lines.push("", "fields", ...fieldsText(fields));
	if (rule.interest) lines.push("", "the kernel sends", ...kernelText(kernel, cells));
	return lines;
}

function correlationText({ correlation, condition }: LoadedRule, cells: number): string[] {
	const { type, groupBy, feeds, fields } = correlation as Correlation;
	return [
		...row("  type", type, cells),
		...row("  condition", condition, cells),
		...(fields.length > 0 ? row("  of", fields.join(", "), cells) : []),
		...(groupBy.length > 0 ? row("  group by", groupBy.join(", "), cells) : []),
		...feeds.flatMap(({ rule }, index) =>
			row(index === 0 ? "  rules" : "", `${rule.name}${rule.silent ? "" : " (alerts, too)"}`, cells),
		),
	];
}

function eventsText(events: readonly string[], types: readonly string[]): string {
	return `${events.join(", ")} (${types.join(", ")})`;
}

const mostValues = 12;
const mostIndexed = 8;

const heads = { and: "all of", or: "any of" } as const;
const negatedHeads = { and: "not all of", or: "none of" } as const;

/** A part that other rules have too is judged once for all of them; said where more have it than what is around it. */
function partText(part: Part, depth: number, around: number, negated = false): string[] {
	const indent = "  ".repeat(depth);
	const shared = part.rules > around ? `   [${part.rules} more rule${part.rules === 1 ? "" : "s"}]` : "";
	const inner = Math.max(around, part.rules);
	if (part.is === "check") return [`${indent}${negated ? "not " : ""}${shortened(part.text)}${shared}`];
	if (part.is === "not") return part.parts.flatMap((each) => partText(each, depth, around, !negated));
	return [
		`${indent}${(negated ? negatedHeads : heads)[part.is]}${shared}`,
		...flattened(part.parts, part.is, inner).flatMap((each) => partText(each, depth + 1, inner)),
	];
}

/** An "and" within an "and" is the same list, unless there is something to say of it. */
function flattened(parts: readonly Part[], is: "and" | "or", around: number): readonly Part[] {
	return parts.flatMap((each) =>
		each.is === is && each.rules <= around ? flattened(each.parts, is, around) : [each],
	);
}

/** The first of many values, and how many more there are. */
export function shortened(check: string): string {
	const found = /^(.*? \()(.*)\)$/s.exec(check);
	const values = found?.[2]?.split(", ") ?? [];
	if (!found || values.length <= mostValues) return check;
	const shown = values.slice(0, mostValues - 1).join(", ");
	return `${found[1]}${shown}, … ${values.length - mostValues + 1} more)`;
}

function indexText({ events, checks }: Index, cells: number): string[] {
	const head = `  ${events.join(", ")}: `;
	if (!checks) return [`${head}no check that has to hold is known: the whole condition is judged on each`];
	if (checks.length === 0) return [`${head}nothing: it cannot match`];
	const shown = checks.slice(0, mostIndexed);
	const more = checks.length - shown.length;
	return [
		`${head}${checks.length === 1 ? "this has to hold" : "one of these has to hold"}`,
		...shown.map(({ text, how }) => `    ${neutralise(shortened(text)).slice(0, cells * 2)}   (${how})`),
		...(more > 0 ? [`    … ${more} more`] : []),
	];
}

function fieldsText(fields: readonly FieldUse[]): string[] {
	const wide = Math.max(...fields.map(({ name }) => name.length)) + 2;
	return fields.map(({ name, type, meaning, events, in: where }) => {
		const on = events === undefined ? "all" : events.length === 0 ? "none" : eventList(events);
		const only = where.includes("condition") ? "" : " (output only)";
		return neutralise(`  ${name.padEnd(wide)}${type.padEnd(9)}${meaning}; on: ${on}${only}`);
	});
}

function eventList(events: readonly string[]): string {
	return events.length <= 8
		? events.join(", ")
		: `${events.slice(0, 7).join(", ")} and ${events.length - 7} more`;
}

function kernelText(kernel: KernelInterest, cells: number): string[] {
	const files = (head: string, found: Files, what: string): string[] => {
		if (found === "none") return [];
		if (found === "all")
			return row(
				`  ${head}`,
				`every ${what}: this costs CPU; name the files (fd.name =, in or startswith)`,
				cells,
			);
		return row(`  ${head}`, found.join(" "), cells);
	};
	const { peers } = kernel;
	const ports = peers === "all" ? "every peer" : peers === "none" ? "" : `peers on port ${peers.join(", ")}`;
	const connections = [ports, kernel.unixSockets ? "Unix sockets" : ""].filter((each) => each !== "");
	const lines = [
		...files("reads", kernel.reads, "file that is opened for reading"),
		...files("writes", kernel.writes, "file that is opened for writing"),
		...(kernel.failedOpens ? row("  failures", "every open that fails", cells) : []),
		...files("changes", kernel.changes, "change of a file's name or attributes"),
		...(connections.length > 0 ? row("  connects", connections.join("; "), cells) : []),
		...(kernel.whole.length > 0 ? row("  all of", kernel.whole.join(", "), cells) : []),
	];
	return lines.length > 0 ? lines : ["  nothing"];
}

function costText(rule: LoadedRule, costs: readonly Cost[], { name }: Stream): string[] {
	const ns = (value: number): string => value.toFixed(value < 10 ? 1 : 0);
	const lines = costs.map(({ event, events, rounds, median, lowest, highest, judged, matched }) => {
		const share = ((100 * judged) / events).toFixed(judged === 0 || judged === events ? 0 : 2);
		return (
			`  ${event.padEnd(10)}${ns(median)} ns an event (middle of ${rounds} rounds, ${ns(lowest)} to ${ns(highest)}); ` +
			`the index lets ${share} % through; ${matched} of ${events} matched`
		);
	});
	const without = rule.events.filter((event) => !costs.some((cost) => cost.event === event));
	if (without.length > 0) lines.push(`  not measured, for there are no such events: ${without.join(", ")}`);
	return [
		"",
		`cost        measured here and now on ${neutralise(name)}, this rule alone; beside others it shares their searches`,
		...lines,
	];
}
