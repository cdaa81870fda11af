// Rule files in, compiled rules out: lists and macros put in, exceptions added, every rule classified by what it can
// do on this host. An error in one rule costs that rule, and is told with its place.
import { createHash } from "node:crypto";
import { canaryMarker, canaryRule } from "../model/canary.ts";
import type { EventKind, EventName, Observation } from "../model/event.ts";
import { EventKind as Kind } from "../model/event.ts";
import { type Interest, noInterest, sumOfInterests } from "../model/interest.ts";
import { type Finding, type Priority, type Problem, priorities, type Severity } from "../model/verdict.ts";
import { attackOf } from "./attack.ts";
import { CheckProblem, inExceptions } from "./check.ts";
import { collect, type RuleSource } from "./collect.ts";
import { type CorrelationDocument, correlate } from "./correlation/resolve.ts";
import type { Correlation } from "./correlation/runtime.ts";
import { type Document, languageOf, readDocuments } from "./documents.ts";
import { eventTypes } from "./event-types.ts";
import type { FieldContext } from "./field.ts";
import { interestOfRule, type RuleInterest } from "./interest.ts";
import { deliveredTypes } from "./known-event-types.ts";
import { parseTemplate, type Template } from "./output.ts";
import { type Bound, bind, type Plan, Predicates, plansOf } from "./plan.ts";
import type { Place } from "./rule-file.ts";
import { sigmaSources } from "./sigma/rule.ts";
import { finish } from "./steps.ts";
import { parseCondition, SyntaxProblem } from "./syntax.ts";

export interface RuleFile {
	readonly path: string;
	readonly text: string;
	readonly origin: "picket" | "falco";
}

export interface LoadedRule {
	readonly name: string;
	/** "" when there is none. */
	readonly id: string;
	/** A Sigma document's `name`, by which others may refer to it; "" when there is none. */
	readonly shortName: string;
	readonly author: string;
	readonly references: readonly string[];
	readonly origin: "picket" | "falco" | "sigma";
	readonly file: string;
	readonly line: number;
	readonly priority: Priority;
	readonly severity: Severity;
	readonly status: "evaluable" | "degraded" | "not-evaluable" | "error";
	readonly reasons: readonly string[];
	readonly tags: readonly string[];
	readonly tactics: readonly string[];
	readonly techniques: readonly string[];
	readonly description: string;
	readonly enabled: boolean;
	/** Events it can match on. */
	readonly events: readonly EventName[];
	/** With lists and macros put in. */
	readonly condition: string;
	readonly output: string;
	readonly interest: RuleInterest | undefined;
	/** Of the kinds of event that can satisfy it. */
	readonly plans: ReadonlyMap<EventKind, Plan>;
	/** picket_samples of our own signatures, unchecked. */
	readonly samples: unknown;
	readonly falsePositives: readonly string[];
	/** Its matches feed correlations and raise no alert. */
	readonly silent: boolean;
	/** What joins matches of other rules has this instead of plans and an interest of its own. */
	readonly correlation: Correlation | undefined;
	finding(observation: Observation, context: FieldContext): Finding;
}

export interface RuleSet {
	readonly rules: readonly LoadedRule[];
	readonly problems: readonly Problem[];
	readonly interest: Interest;
	/** SHA-256 over all files. */
	readonly contentHash: string;
	readonly predicates: Predicates;
	/** Matches the sensor's canary and nothing else; never among `rules`, and needs no more than executions. */
	readonly canary: LoadedRule;
}

/** It goes the way of any other rule, from its text on. */
const canaryFile: RuleFile = {
	path: "canary",
	text: `- rule: ${canaryRule}
  desc: An execution of the sensor's own.
  condition: evt.type in (execve, execveat) and proc.args startswith "${canaryMarker}"
  output: canary
  priority: DEBUG
`,
	origin: "picket",
};
const [canarySource] = finish(collect([canaryFile], [])) as [RuleSource];

/** What each rule's condition became, by the rule's name: for those who explain rules. */
export type Bounds = Map<string, Bound>;

/** All at once: for commands, and at the start, when nothing else waits. Fills `bounds` when given. */
export function loadRules(files: readonly RuleFile[], bounds?: Bounds): RuleSet {
	return finish(loadSteps(files, bounds));
}

/**
 * The same in steps of a file or a rule each, between which a running sensor does its work. It has no use for
 * `bounds`, which take memory.
 */
export function* loadSteps(files: readonly RuleFile[], bounds?: Bounds): Generator<void, RuleSet> {
	const problems: Problem[] = [];
	const predicates = new Predicates();
	const hash = createHash("sha256");
	const isSigma = (file: RuleFile): boolean => languageOf(file.text) === "sigma";
	const documents: { readonly document: Document; readonly origin: RuleFile["origin"] }[] = [];
	for (const { path, text, origin } of files.filter(isSigma)) {
		for (const document of yield* readDocuments(path, text, problems)) documents.push({ document, origin });
		yield;
	}
	const falcoFiles = files.filter((file) => !isSigma(file));
	const sources = [
		...(yield* collect(falcoFiles, problems)),
		...(yield* sigmaSources(
			documents.map(({ document }) => document),
			problems,
		)),
	];
	for (const { path, text } of files) hash.update(`${path.replace(/^.*\//, "")}\0${text}\0`);
	const compiled: LoadedRule[] = [];
	for (const source of sources) {
		compiled.push(compile(source, predicates, problems, bounds));
		yield;
	}
	const canary = compile(canarySource, predicates, problems, undefined);
	const rules = correlate(
		documents.flatMap(({ document, origin }): CorrelationDocument[] =>
			document.is === "correlation" ? [{ document, origin: origin === "picket" ? "picket" : "sigma" }] : [],
		),
		compiled,
		findings,
		problems,
	);
	const interests = rules.flatMap((rule) => (rule.enabled && rule.interest ? [rule.interest] : []));
	for (const rule of rules) {
		const { readOpens, writeOpens } = rule.interest ?? noInterest;
		const sorts = [readOpens === "all" && "reading", writeOpens === "all" && "writing"].filter(Boolean);
		if (!rule.enabled || sorts.length === 0) continue;
		problems.push({
			file: rule.file,
			line: rule.line,
			column: 1,
			where: rule.name,
			message: `every file that is opened for ${sorts.join(" or ")} has to be looked at for this rule, which costs CPU`,
			remedy:
				rule.origin === "sigma"
					? "name the files by whole paths, |startswith or |endswith in every branch"
					: "name the files: fd.name =, in or startswith, fd.directory or fd.filename",
			level: "warning",
		});
	}
	return {
		rules,
		problems,
		predicates,
		canary,
		interest: sumOfInterests(interests),
		contentHash: hash.digest("hex"),
	};
}

/** Opens of our own signatures are successful ones, unless the signature says otherwise. */
const successfulOpens = `(not evt.type in (${eventTypes[Kind.open].join(", ")}) or evt.rawres >= 0)`;

function compile(
	source: RuleSource,
	predicates: Predicates,
	problems: Problem[],
	bounds: Bounds | undefined,
): LoadedRule {
	const { name, file, place } = source;
	const priority = priorityOf(source.priority);
	const { tactics, techniques } = attackOf(source.tags);
	const base = {
		name,
		id: source.id,
		shortName: source.shortName,
		author: source.author,
		references: source.references,
		origin: source.origin,
		file,
		line: place.line,
		priority: priority ?? "Notice",
		severity: priorities[priority ?? "Notice"],
		tags: source.tags,
		tactics,
		techniques,
		description: source.description,
		condition: source.condition.replace(/\s+/g, " ").trim(),
		output: source.output,
		samples: source.samples,
		falsePositives: source.falsePositives,
		silent: false,
		correlation: undefined,
	};
	const dead = (status: "error" | "not-evaluable", reason: string): LoadedRule => ({
		...base,
		status,
		reasons: [reason],
		enabled: false,
		events: [],
		interest: undefined,
		plans: new Map(),
		finding: () => {
			throw new Error(`rule ${name} cannot match: ${reason}`);
		},
	});
	const broken = (message: string, at: Place & { file: string }, remedy: string): LoadedRule => {
		problems.push({ ...at, where: `rule ${name}`, message, remedy, level: "error" });
		return dead("error", message);
	};
	/** The rule is lost to a mistake in one of its texts; what is no mistake of the rule's is thrown on. */
	const mistaken = (error: unknown, key: "condition" | "output"): LoadedRule => {
		if (error instanceof RangeError)
			return broken("nested too deeply", source.placeOf(key), "use fewer levels");
		if (!(error instanceof SyntaxProblem) && !(error instanceof CheckProblem)) throw error;
		if (source.skipUnknown && error instanceof CheckProblem && error.unknown)
			return dead("not-evaluable", `${error.message}, and the rule asks to be passed over then`);
		const { message, remedy, at = 0 } = error;
		if (key === "output") return broken(message, source.placeOf(key, source.output.slice(0, at)), remedy);
		if (at === inExceptions) return broken(message, source.placeOf("exceptions"), remedy);
		const near = source.condition.slice(Math.max(0, at - 30), at + 30).replace(/\s+/g, " ");
		const shown = error instanceof SyntaxProblem ? `${message} (near: ${near.trim()})` : message;
		return broken(shown, source.placeAt(at), remedy);
	};
	if (source.wrong) {
		const { message, key, remedy, place: at } = source.wrong;
		return broken(message, at ?? source.placeOf(key), remedy);
	}
	if (!priority)
		return broken(
			`unknown priority ${JSON.stringify(source.priority)}`,
			source.placeOf("priority"),
			`known: ${Object.keys(priorities).join(", ")}`,
		);
	if (source.unable !== undefined) return dead("not-evaluable", source.unable);
	let neverSet: readonly string[];
	try {
		neverSet = parseTemplate(source.output).missing;
	} catch (error) {
		return mistaken(error, "output");
	}
	try {
		const { node: parsed, reasons, shown } = source.tree();
		const restricted = source.origin === "picket" && !/\bevt\.(rawres|res|failed)\b/.test(source.condition);
		const node = restricted
			? ({ is: "and", nodes: [parsed, parseCondition(successfulOpens)] } as const)
			: parsed;
		const bound = bind(node, predicates);
		bounds?.set(name, bound);
		const plans = plansOf(bound, predicates);
		const judged = judge(bound, plans, predicates, reasons);
		return {
			...base,
			...judged,
			condition: shown ?? base.condition,
			reasons: [...judged.reasons, ...neverSet.map((field) => `the output's ${field} is always <NA> here`)],
			enabled: source.enabled && judged.status !== "not-evaluable",
			events: (Object.keys(Kind) as EventName[]).filter((event) => plans.has(Kind[event])),
			interest: interestOfRule(bound, plans, predicates),
			plans,
			finding: findings(base),
		};
	} catch (error) {
		return mistaken(error, "condition");
	}
}

/** Apart from compile(): a closure made in there would keep all that the rule was compiled from in memory. */
function findings(
	rule: Pick<
		LoadedRule,
		| "name"
		| "description"
		| "tags"
		| "tactics"
		| "techniques"
		| "origin"
		| "priority"
		| "severity"
		| "id"
		| "author"
		| "references"
		| "falsePositives"
		| "output"
	>,
): LoadedRule["finding"] {
	const { name, description, tags, tactics, techniques, origin, priority, severity } = rule;
	const { id, author, references, falsePositives, output } = rule;
	/** Made of a rule that matches: of thousands few ever do. */
	let template: Template | undefined;
	const said = id !== "" || author !== "" || references.length > 0 || falsePositives.length > 0;
	const credit = said ? { credit: { id, author, references, falsePositives } } : {};
	return (observation, context) => {
		template ??= parseTemplate(output);
		const { summary, fields } = template.render(observation, context);
		return {
			rule: name,
			origin,
			priority,
			severity,
			summary,
			description,
			tactics,
			techniques,
			tags,
			fields,
			...credit,
		};
	};
}

function priorityOf(text: string): Priority | undefined {
	const word = text.toLowerCase();
	const names = Object.keys(priorities) as Priority[];
	return names.find((name) => name.toLowerCase() === (word === "info" ? "informational" : word));
}

/** What this rule can do here, and why not more. */
function judge(
	bound: Bound,
	plans: ReadonlyMap<EventKind, Plan>,
	predicates: Predicates,
	known: readonly string[],
): { status: LoadedRule["status"]; reasons: string[] } {
	const reasons = [...known];
	const types = new Set<string>();
	const missing = new Set<string>();
	let environment = false;
	const walk = (node: Bound): void => {
		if (node.is === "not") {
			walk(node.node);
			return;
		}
		if (node.is !== "test") {
			for (const each of node.nodes) walk(each);
			return;
		}
		const predicate = predicates.at(node.index);
		if (predicate.missing) missing.add(predicate.fieldName);
		if (/^proc\.a?env\b/.test(predicate.fieldName)) environment = true;
		if (predicate.fieldName !== "evt.type" || predicate.check.operator === "!=") return;
		for (const type of predicate.values) if (!deliveredTypes.has(type)) types.add(type);
	};
	walk(bound);
	if (types.size > 0) reasons.push(`these events are not captured: ${[...types].join(", ")}`);
	if (missing.size > 0) reasons.push(`these fields are never set: ${[...missing].join(", ")}`);
	if (plans.size === 0) {
		return {
			status: "not-evaluable",
			reasons: reasons.length > 0 ? reasons : ["no event can satisfy the condition"],
		};
	}
	const status = reasons.length > 0 ? "degraded" : "evaluable";
	if (environment) reasons.push("the environment is captured only with environment_bytes set in picket.yaml");
	return { status, reasons };
}
