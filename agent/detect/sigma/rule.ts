// A Sigma document as a rule like any other: who wrote it, how bad it is, and its detection as one condition over our
// events, one part for each sort of event that its log source stands for.
import type { Priority, Problem } from "../../model/verdict.ts";
import type { RuleSource } from "../collect.ts";
import type { Document } from "../documents.ts";
import { eventTypes } from "../event-types.ts";
import { matcher } from "../matcher.ts";
import { asList, asMap, asText, type Value } from "../rule-file.ts";
import { type Node, parseCondition, SyntaxProblem } from "../syntax.ts";
import { type Condition, parseSigmaCondition } from "./condition.ts";
import {
	Binder,
	DocumentProblem,
	type Item,
	itemsOf,
	type Path,
	parseSelection,
	type Selection,
} from "./detection.ts";
import { outputOf } from "./output.ts";
import { type LogSource, type Variant, variantsOf } from "./taxonomy.ts";
import { simplified, textOf } from "./text.ts";

const levels: Readonly<Record<string, Priority>> = {
	informational: "Informational",
	low: "Notice",
	medium: "Warning",
	high: "Error",
	critical: "Critical",
};
const statuses = ["stable", "test", "experimental", "deprecated", "unsupported"];
const callNames: ReadonlySet<string> = new Set(Object.values(eventTypes).flat());

/** The rules of Sigma documents; what is wrong with one of them is told when it is compiled. */
export function sigmaSources(documents: readonly Document[], problems: Problem[]): RuleSource[] {
	const byId = new Map<string, Document>();
	return documents.flatMap((document) => {
		if (document.is !== "sigma") return [];
		const { values, file } = document;
		const title = textAt(values.title).trim();
		if (title === "") {
			const isFalco = ["rule", "macro", "list"].some((key) => key in values);
			problems.push({
				file,
				...document.placeOf(["title"]),
				where: "",
				message: isFalco ? "the file is a map, and Falco's are lists" : "a Sigma rule has no title",
				remedy: isFalco
					? "begin each item with `- rule:`, `- macro:` or `- list:`"
					: "write title: and its name",
				level: "error",
			});
			return [];
		}
		const id = textAt(values.id).trim().toLowerCase();
		const twin = id === "" ? undefined : byId.get(id);
		if (id !== "") byId.set(id, twin ?? document);
		return [sourceOf(document, title, twin)];
	});
}

const textAt = (value: Value | undefined): string => asText(value);
const oneLine = (value: Value | undefined): string => textAt(value).replace(/\s+/g, " ").trim();
const texts = (value: Value | undefined): string[] =>
	asList(value).flatMap((each) => (typeof each === "string" ? [each.replace(/\s+/g, " ").trim()] : []));

interface Parsed {
	readonly selections: ReadonlyMap<string, Selection>;
	/** Any of them. */
	readonly conditions: readonly Condition[];
}

function sourceOf(document: Document, title: string, twin: Document | undefined): RuleSource {
	const { values, file, place } = document;
	const logsource = logSourceOf(values);
	const level = textAt(values.level).toLowerCase();
	const status = textAt(values.status).toLowerCase();
	let parsed: Parsed | undefined;
	let wrong: RuleSource["wrong"];
	try {
		checkTop(document, twin);
		parsed = detectionOf(values.detection);
	} catch (error) {
		if (!(error instanceof DocumentProblem)) throw error;
		const { message, remedy, path, skip } = error;
		wrong = { key: "detection", message, remedy, place: { file, ...document.placeOf(path, skip) } };
	}
	const calls = parsed ? callsOf(parsed) : [];
	const variants = variantsOf(logsource, calls);
	const retired = status === "deprecated" || status === "unsupported";
	const unable = retired ? `its status is ${status}` : typeof variants === "string" ? variants : undefined;
	const paths: Path[] = [];
	return {
		name: title,
		origin: "sigma",
		file,
		place,
		id: textAt(values.id).trim(),
		shortName: textAt(values.name).trim(),
		author: oneLine(values.author),
		references: texts(values.references),
		placeOf: () => ({ file, ...document.placeOf(["detection"]) }),
		placeAt: (at) => ({ file, ...document.placeOf(paths[at] ?? ["detection"]) }),
		condition: texts(asMap(values.detection).condition).join(" or "),
		tree: () => {
			const binder = new Binder(paths);
			const node = nodeOf(parsed as Parsed, typeof variants === "string" ? [] : variants, binder);
			return { node, reasons: binder.reasons(), shown: textOf(node) };
		},
		output: outputOf(title, logsource),
		description: oneLine(values.description),
		priority: levels[level] ?? "Warning",
		tags: texts(values.tags),
		enabled: true,
		unable,
		samples: undefined,
		falsePositives: texts(values.falsepositives),
		wrong,
	};
}

/** What stands beside the detection. Throws DocumentProblem. */
function checkTop({ values }: Document, twin: Document | undefined): void {
	if (twin)
		throw new DocumentProblem(
			`its id is that of ${JSON.stringify(asText(twin.values.title))} at ${twin.file}:${twin.place.line}`,
			["id"],
			"give each rule an id of its own",
		);
	const choose = (key: string, known: readonly string[]): void => {
		const value = values[key];
		if (value === undefined || value === null) return;
		if (typeof value === "string" && known.includes(value.toLowerCase())) return;
		throw new DocumentProblem(`unknown ${key} ${JSON.stringify(value)}`, [key], `known: ${known.join(", ")}`);
	};
	choose("level", Object.keys(levels));
	choose("status", statuses);
	const source = asMap(values.logsource);
	if (!["product", "category", "service"].some((key) => textAt(source[key]) !== ""))
		throw new DocumentProblem(
			"the rule does not say which events it is about",
			["logsource"],
			"write logsource: with product, category or service",
		);
}

function logSourceOf({ logsource }: Readonly<Record<string, Value>>): LogSource {
	const map = asMap(logsource);
	const word = (key: string): string => textAt(map[key]).trim().toLowerCase();
	return { product: word("product"), category: word("category"), service: word("service") };
}

/** Throws DocumentProblem. */
function detectionOf(value: Value | undefined): Parsed {
	const path = ["detection"];
	if (value === undefined || value === null || typeof value !== "object" || Array.isArray(value))
		throw new DocumentProblem("the rule has no detection", path, "write selections and a condition in it");
	const { condition, timeframe: _, ...rest } = value as Readonly<Record<string, Value>>;
	const selections = new Map(
		Object.entries(rest).map(([name, each]) => [name, parseSelection(each, [...path, name])]),
	);
	const several = Array.isArray(condition);
	const conditions = (several ? condition : [condition]).map((each: Value | undefined, index) => {
		const at = [...path, "condition", ...(several ? [index] : [])];
		if (typeof each !== "string" || each.trim() === "")
			throw new DocumentProblem("the rule has no condition", at, "write condition: and a selection's name");
		try {
			return parseSigmaCondition(each, [...selections.keys()]);
		} catch (error) {
			if (!(error instanceof SyntaxProblem)) throw error;
			const before = each.slice(0, error.at).replace(/\s+/g, "").length;
			throw new DocumentProblem(error.message, at, error.remedy, before);
		}
	});
	if (conditions.length === 0)
		throw new DocumentProblem("the rule has no condition", [...path, "condition"], "write at least one");
	return { selections, conditions };
}

/** System calls that an auditd rule names; patterns stand for those of ours that they fit. */
function callsOf({ selections }: Parsed): string[] {
	const items = [...selections.values()].flatMap(itemsOf).filter(({ field }) => field === "SYSCALL");
	return [...new Set(items.flatMap(callsOfItem))];
}
function callsOfItem({ values }: Item): string[] {
	return values.flatMap(({ asks }) =>
		asks.flatMap((ask) => {
			if (ask.is !== "text") return [];
			const exact = ask.operator === "iequals" || ask.operator === "=";
			if (exact) return /^[a-z0-9_]+$/i.test(ask.text) ? [ask.text.toLowerCase()] : [];
			const { onString } = matcher(ask.operator, [ask.text]);
			return [...callNames].filter(onString);
		}),
	);
}

const guards = new Map<string, Node>();
/** There are few of them, and all rules have the same ones. */
function guardOf({ guard }: Variant): Node {
	const known = guards.get(guard) ?? parseCondition(guard);
	guards.set(guard, known);
	return known;
}

/** Throws CheckProblem. */
function nodeOf({ selections, conditions }: Parsed, variants: readonly Variant[], binder: Binder): Node {
	const nodes = variants.map((variant): Node => {
		const bound = new Map<string, Node>();
		const bind = (name: string): Node => {
			const known = bound.get(name);
			if (known) return known;
			const node = binder.bind(selections.get(name) as Selection, variant);
			bound.set(name, node);
			return node;
		};
		const convert = (condition: Condition): Node => {
			switch (condition.is) {
				case "selection":
					return bind(condition.name);
				case "not":
					return { is: "not", node: convert(condition.of) };
				default:
					return { is: condition.is, nodes: condition.of.map(convert) };
			}
		};
		return {
			is: "and",
			nodes: [guardOf(variant), { is: "or", nodes: conditions.map(convert) }],
		};
	});
	return simplified({ is: "or", nodes });
}
