// Correlation documents put on top of the rules they name: references found, loops refused, what each can do on this
// host judged by what its rules can. Rules that feed a correlation fall silent, unless it says generate: true.
import type { EventName } from "../../model/event.ts";
import { eventNames } from "../../model/event.ts";
import type { Problem } from "../../model/verdict.ts";
import { attackOf } from "../attack.ts";
import { type Document, DocumentProblem, levels } from "../documents.ts";
import type { LoadedRule } from "../load.ts";
import { nearest } from "../suggest.ts";
import { asList, asText } from "../yaml-values.ts";
import { satisfies } from "./condition.ts";
import { findText } from "./fields.ts";
import { type Draft, parseCorrelation, titleOf } from "./parse.ts";
import { type Correlation, correlationText, type Feed, type Getter } from "./runtime.ts";

export interface CorrelationDocument {
	readonly document: Document;
	readonly origin: LoadedRule["origin"];
}

/** A Sigma rule's short name, by which documents may refer to it. */
export interface Named {
	readonly name: string;
	readonly id: string;
	readonly shortName: string;
}

/** One document on its way to a rule. */
interface Node extends Named {
	readonly source: CorrelationDocument;
	/** Undefined when the document has a mistake. */
	readonly draft: Draft | undefined;
	/** What is wrong then. */
	readonly mistake: string;
	rule: LoadedRule | undefined;
	/** Correlations above each other, this one included. */
	levels: number;
}
const mostLevels = 16;
type Target = { readonly rule: LoadedRule } | { readonly node: Node };

type MakeFinding = (rule: Omit<LoadedRule, "finding" | "correlation" | "silent">) => LoadedRule["finding"];

/**
 * All rules: those given, silent where need be, and one for each document, those with a mistake among them. `finding`
 * makes what a rule reports of an event.
 */
export function correlate(
	documents: readonly CorrelationDocument[],
	rules: readonly LoadedRule[],
	finding: MakeFinding,
	problems: Problem[],
): LoadedRule[] {
	if (documents.length === 0) return [...rules];
	return new Resolver(documents, rules, finding, problems).resolve();
}

class Resolver {
	readonly #nodes: Node[];
	readonly #targets = new Map<string, Target[]>();
	readonly #finding: MakeFinding;
	readonly #problems: Problem[];
	readonly #rules: readonly LoadedRule[];

	constructor(
		documents: readonly CorrelationDocument[],
		rules: readonly LoadedRule[],
		finding: MakeFinding,
		problems: Problem[],
	) {
		this.#finding = finding;
		this.#problems = problems;
		// Their own objects: the feeds know a rule by its object, and silent is only known once all is read.
		this.#rules = rules.map((rule) => ({ ...rule }));
		this.#nodes = documents.map((source) => this.#nodeOf(source));
		for (const rule of this.#rules) this.#name(rule, { rule });
		for (const node of this.#nodes) this.#name(node, { node });
	}

	resolve(): LoadedRule[] {
		for (const node of this.#inOrder()) node.rule = this.#ruleOf(node);
		const made = this.#nodes.flatMap(({ rule }) => rule ?? []);
		const silent = new Map<LoadedRule, LoadedRule>();
		for (const above of made) {
			if (!above.enabled || !above.correlation) continue;
			for (const { rule } of above.correlation.feeds) silent.set(rule, above);
		}
		for (const above of made) {
			if (!above.enabled || !above.correlation?.generate) continue;
			for (const { rule } of above.correlation.feeds) silent.delete(rule);
		}
		for (const [rule, above] of silent) {
			Object.assign(rule, { silent: true });
			if (rule.origin === "picket" && above.origin !== "picket") this.#tellSilenced(rule, above);
		}
		return [...this.#rules, ...made];
	}

	#tellSilenced(rule: LoadedRule, above: LoadedRule): void {
		this.#problems.push({
			file: above.file,
			line: above.line,
			column: 1,
			where: above.name,
			message: `the signature ${rule.name} does not alert by itself any more, since this correlation is made of it`,
			remedy: "write generate: true to keep its alerts",
			level: "warning",
		});
	}

	#nodeOf(source: CorrelationDocument): Node {
		const { document } = source;
		const { values } = document;
		const names = { name: titleOf(document), id: asText(values.id), shortName: asText(values.name) };
		let draft: Draft | undefined;
		let mistake = "";
		try {
			draft = parseCorrelation(document, this.#problems);
		} catch (error) {
			mistake = this.#refuse(document, error);
		}
		return { ...names, source, draft, mistake, rule: undefined, levels: 1 };
	}

	#name(named: Named, target: Target): void {
		for (const name of new Set([named.id, named.shortName, named.name])) {
			if (name === "") continue;
			this.#targets.set(name, [...(this.#targets.get(name) ?? []), target]);
		}
	}

	/** Tells a mistake of the document; what is none is thrown on. */
	#refuse(document: Document, error: unknown): string {
		if (!(error instanceof DocumentProblem)) throw error;
		const { message, remedy, path } = error;
		this.#problems.push({
			file: document.file,
			...document.placeOf(path),
			where: titleOf(document),
			message,
			remedy,
			level: "error",
		});
		return message;
	}

	/** Each behind those it refers to, as far as there is no circle. */
	#inOrder(): Node[] {
		const order: Node[] = [];
		const seen = new Set<Node>();
		const done = new Set<Node>();
		const stack = this.#nodes.toReversed();
		for (let node = stack.at(-1); node; node = stack.at(-1)) {
			if (!seen.has(node)) {
				seen.add(node);
				const below = node.draft?.references.flatMap((each) => this.#targets.get(each) ?? []) ?? [];
				for (const target of below) if ("node" in target && !seen.has(target.node)) stack.push(target.node);
				continue;
			}
			stack.pop();
			if (!done.has(node)) order.push(node);
			done.add(node);
		}
		return order;
	}

	#ruleOf(node: Node): LoadedRule {
		const base = baseOf(node);
		if (!node.draft) return brokenRule(base, node.mistake);
		try {
			return this.#compile(node, node.draft, base);
		} catch (error) {
			return brokenRule(base, this.#refuse(node.source.document, error));
		}
	}

	#find(node: Node, reference: string, index: number): LoadedRule {
		const path = ["correlation", "rules", index];
		const targets = this.#targets.get(reference) ?? [];
		const [target, second] = targets;
		if (!target) {
			const near = nearest(reference, this.#targets.keys());
			throw new DocumentProblem(
				`there is no rule ${reference}`,
				path,
				near === "" ? "write the id, name or title of a rule that is loaded too" : `did you mean ${near}?`,
			);
		}
		if (second)
			throw new DocumentProblem(
				`${targets.length} rules are called ${reference}`,
				path,
				"write the rule's id",
			);
		if ("rule" in target) return target.rule;
		const { rule } = target.node;
		if (!rule)
			throw new DocumentProblem(
				`${reference} is made of this correlation itself`,
				path,
				"leave out one of the references that make the circle",
			);
		node.levels = Math.max(node.levels, 1 + target.node.levels);
		if (node.levels > mostLevels)
			throw new DocumentProblem(
				`correlations stand on each other more than ${mostLevels} deep`,
				path,
				"refer to the rules themselves",
			);
		return rule;
	}

	#compile(node: Node, draft: Draft, base: Base): LoadedRule {
		const reasons: string[] = [];
		const missing = new Set<string>();
		const getters = (names: readonly string[], path: readonly string[], rule: Aliased): Getter[] =>
			names.map((name) => {
				const field = rule.aliased(name) ?? name;
				const found = findText(field);
				if (found.is === "found") return found.get;
				if (found.is === "unknown")
					throw new DocumentProblem(
						`there is no field ${field}`,
						path,
						"write a Falco or Sigma field's name",
					);
				missing.add(field);
				return () => undefined;
			});
		const feeds: Feed[] = [];
		const found = draft.references.map((reference, index) => this.#find(node, reference, index));
		const aliased = aliasesOf(draft, found, (rule) => this.#namesOf(rule));
		for (const [position, rule] of found.entries()) {
			const at = { aliased: (name: string) => aliased.get(name)?.get(position) };
			const feed = {
				rule,
				position,
				group: getters(draft.groupBy, ["correlation", "group-by"], at),
				values: getters(draft.fields, ["correlation", "condition", "field"], at),
			};
			if (rule.enabled) feeds.push(feed);
			if (rule.enabled && rule.status === "evaluable") continue;
			const why = rule.enabled || rule.status !== "evaluable" ? rule.status : "switched off";
			reasons.push(`${rule.name} is ${why}${rule.reasons[0] ? `: ${rule.reasons[0]}` : ""}`);
		}
		if (missing.size > 0) reasons.push(`these fields are never set: ${[...missing].join(", ")}`);
		const correlation: Correlation = {
			type: draft.type,
			timespan: draft.timespan,
			timespanText: draft.timespanText,
			thresholds: draft.thresholds,
			percentile: draft.percentile,
			groupBy: draft.groupBy,
			fields: draft.fields,
			feeds,
			positions: found.length,
			generate: draft.generate,
			aliases: [...draft.aliases].flatMap(([alias, fields]) => [...fields].map((each) => [alias, ...each])),
		};
		const able = missing.size === 0 && canHold(correlation);
		if (!able && reasons.length === 0)
			reasons.push(`of ${found.length} rules never more than ${found.length} match`);
		const events = new Set<EventName>(feeds.flatMap(({ rule }) => rule.events));
		const whole: Omit<LoadedRule, "finding"> = {
			...base,
			status: !able ? "not-evaluable" : reasons.length > 0 ? "degraded" : "evaluable",
			reasons,
			enabled: able,
			events: eventNames.filter((name) => events.has(name)),
			condition: `${correlationText(correlation)}: ${draft.references.join(", ")}`,
			correlation,
		};
		return { ...whole, finding: this.#finding(whole) };
	}

	#namesOf(rule: LoadedRule): readonly string[] {
		const node = this.#nodes.find((each) => each.rule === rule);
		return [rule.name, rule.id, node?.shortName ?? rule.shortName].filter((name) => name !== "");
	}
}

interface Aliased {
	/** The field that the name stands for with this rule. */
	aliased(name: string): string | undefined;
}

/** Alias → position of a rule → field. Throws DocumentProblem. */
function aliasesOf(
	draft: Draft,
	rules: readonly LoadedRule[],
	namesOf: (rule: LoadedRule) => readonly string[],
): Map<string, Map<number, string>> {
	const found = new Map<string, Map<number, string>>();
	for (const [alias, mapping] of draft.aliases) {
		const path = ["correlation", "aliases", alias];
		const fields = new Map<number, string>();
		for (const [name, field] of mapping) {
			const positions = rules.flatMap((rule, index) =>
				draft.references[index] === name || namesOf(rule).includes(name) ? [index] : [],
			);
			if (positions.length === 0)
				throw new DocumentProblem(
					`${name} is none of the listed rules`,
					[...path, name],
					`listed: ${draft.references.join(", ")}`,
				);
			if (findText(field).is === "unknown")
				throw new DocumentProblem(
					`there is no field ${field}`,
					[...path, name],
					"write a Falco or Sigma field's name",
				);
			for (const position of positions) fields.set(position, field);
		}
		const lacking = draft.references.find((_, index) => !fields.has(index));
		if (lacking !== undefined && findText(alias).is === "unknown")
			throw new DocumentProblem(
				`the alias ${alias} has no field for ${lacking}`,
				path,
				`add ${lacking}: and the field that is meant there`,
			);
		found.set(alias, fields);
	}
	return found;
}

/** Can enough of the listed rules match here? */
function canHold({ type, thresholds, feeds }: Correlation): boolean {
	if (feeds.length === 0) return false;
	if (type !== "temporal" && type !== "temporal_ordered") return true;
	return feeds.some((_, index) => satisfies(thresholds, index + 1));
}

type Base = ReturnType<typeof baseOf>;

function baseOf({ source, draft, name, id, shortName }: Node) {
	const { document, origin } = source;
	const { values, file, place } = document;
	const tags = asList(values.tags).map(asText);
	const severity = draft?.severity ?? "medium";
	return {
		name,
		id,
		shortName,
		author: asText(values.author),
		references: asList(values.references ?? values.reference).map(asText),
		origin,
		file,
		line: place.line,
		priority: levels.get(severity) ?? "Warning",
		severity,
		tags,
		...attackOf(tags),
		description: asText(values.description).replace(/\s+/g, " ").trim(),
		condition: "",
		output: "command=%proc.cmdline user=%user.name parent=%proc.pname container=%container.name",
		interest: undefined,
		plans: new Map(),
		samples: values.picket_samples,
		falsePositives: asList(values.falsepositives).map(asText),
		silent: false,
	};
}

function brokenRule(base: Base, reason: string): LoadedRule {
	return {
		...base,
		status: "error",
		reasons: [reason],
		enabled: false,
		events: [],
		correlation: undefined,
		finding: () => {
			throw new Error(`the correlation ${base.name} has an error and cannot match`);
		},
	};
}
