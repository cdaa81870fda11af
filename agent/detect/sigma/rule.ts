// A Sigma document as a rule like any other: who wrote it, how bad it is, and its detection as one condition over our
// events, one part for each sort of event that its log source stands for.
import type { Problem } from "../../model/verdict.ts";
import type { RuleSource } from "../collect.ts";
import { type Document, DocumentProblem, levels, type Path } from "../documents.ts";
import { eventTypes } from "../event-types.ts";
import { matcher } from "../matcher.ts";
import { nearest } from "../suggest.ts";
import { type Node, parseCondition } from "../syntax.ts";
import { asList, asMap, asText, type Value } from "../yaml-values.ts";
import type { Condition } from "./condition.ts";
import { Binder, type Item, itemsOf, type Selection, type Where } from "./detection.ts";
import { type Filter, filtersOf } from "./filter.ts";
import { outputOf } from "./output.ts";
import { checkLogSource, detectionOf, logSourceOf, type Parsed } from "./parsed.ts";
import { type Variant, variantsOf } from "./taxonomy.ts";
import { simplified, textOf } from "./text.ts";

/** The specification's, and `filter` and `correlation`, which make a document another one. Others are custom keys. */
const topKeys =
	"title id related name taxonomy status description license author references date modified logsource detection fields falsepositives level tags scope filter correlation".split(
		" ",
	);
const sourceKeys = ["product", "category", "service", "definition"];

const statuses = ["stable", "test", "experimental", "deprecated", "unsupported"];
const callNames: ReadonlySet<string> = new Set(Object.values(eventTypes).flat());

/** The rules of Sigma documents, in steps of one each; what is wrong with one of them is told when it is compiled. */
export function* sigmaSources(
	documents: readonly Document[],
	problems: Problem[],
): Generator<void, RuleSource[]> {
	const byId = new Map<string, Document>();
	const filters = filtersOf(documents, problems);
	const sources: RuleSource[] = [];
	for (const document of documents) {
		if (document.is === "correlation") continue;
		checkKeys(document, problems);
		if (document.is === "filter") continue;
		yield;
		const { values, file } = document;
		const title = asText(values.title).trim();
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
			continue;
		}
		const id = asText(values.id).trim().toLowerCase();
		const twin = id === "" ? undefined : byId.get(id);
		if (id !== "") byId.set(id, twin ?? document);
		sources.push(
			sourceOf(
				document,
				title,
				twin,
				filters.filter(({ appliesTo }) => appliesTo(document)),
				problems,
			),
		);
	}
	return sources;
}

const oneLine = (value: Value | undefined): string => asText(value).replace(/\s+/g, " ").trim();
const texts = (value: Value | undefined): string[] =>
	asList(value).flatMap((each) => (typeof each === "string" ? [each.replace(/\s+/g, " ").trim()] : []));

function sourceOf(
	document: Document,
	title: string,
	twin: Document | undefined,
	filters: readonly Filter[],
	problems: Problem[],
): RuleSource {
	const { values, file, place } = document;
	const logsource = logSourceOf(values);
	const level = asText(values.level).toLowerCase();
	const status = asText(values.status).toLowerCase();
	let parsed: Parsed | undefined;
	let wrong: RuleSource["wrong"];
	try {
		checkTop(document, twin);
		parsed = detectionOf(values.detection, ["detection"], ["timeframe"]);
		for (const name of parsed.unused)
			warn(document, ["detection", name], problems, {
				message: `no condition asks for the selection ${name}`,
				remedy: "name it in the condition, or leave it out",
			});
	} catch (error) {
		if (!(error instanceof DocumentProblem)) throw error;
		const { message, remedy, path, skip } = error;
		wrong = { key: "detection", message, remedy, place: { file, ...document.placeOf(path, skip) } };
	}
	const calls = parsed ? callsOf(parsed) : [];
	const variants = variantsOf(logsource, calls);
	const retired = status === "deprecated" || status === "unsupported";
	const placeholders = parsed ? placeholdersOf(parsed) : [];
	const taxonomy = asText(values.taxonomy).toLowerCase();
	const unable = retired
		? `its status is ${status}`
		: !/^(sigma)?$/.test(taxonomy)
			? `its names are of the taxonomy ${taxonomy}`
			: placeholders.length > 0
				? `nothing says what these placeholders stand for: ${placeholders.join(", ")}`
				: typeof variants === "string"
					? variants
					: undefined;
	const places: Where[] = [];
	return {
		name: title,
		origin: "sigma",
		file,
		place,
		id: asText(values.id).trim(),
		shortName: asText(values.name).trim(),
		author: oneLine(values.author),
		references: texts(values.references),
		placeOf: () => ({ file, ...document.placeOf(["detection"]) }),
		placeAt: (at) => {
			const { document: from, path } = places[at] ?? { document, path: ["detection"] };
			return { file: from.file, ...from.placeOf(path) };
		},
		condition: texts(asMap(values.detection).condition).join(" or "),
		tree: () => {
			const known = typeof variants === "string" ? [] : variants;
			const binder = new Binder(places, document);
			const added = filters.map((filter) => ({ filter, binder: new Binder(places, filter.document) }));
			const nodes = known.map((variant): Node => {
				const own = nodeOf(parsed as Parsed, variant, binder);
				const others = added.map((each) => nodeOf(each.filter.parsed, variant, each.binder));
				return { is: "and", nodes: [guardOf(variant), own, ...others] };
			});
			const node = simplified({ is: "or", nodes });
			const reasons = added.flatMap(({ filter, binder: its }) =>
				its.reasons().map((reason) => `filter ${asText(filter.document.values.title)}: ${reason}`),
			);
			return { node, reasons: [...binder.reasons(), ...reasons], shown: textOf(node) };
		},
		output: outputOf(title, logsource, texts(values.fields)),
		description: oneLine(values.description),
		priority: levels.get(level) ?? "Warning",
		tags: texts(values.tags),
		enabled: true,
		unable,
		skipUnknown: false,
		samples: undefined,
		falsePositives: texts(values.falsepositives),
		wrong,
	};
}

function warn(
	{ values, file, placeOf }: Document,
	path: Path,
	problems: Problem[],
	words: Pick<Problem, "message" | "remedy">,
): void {
	const where = asText(values.title).trim();
	problems.push({ file, ...placeOf(path), where, ...words, level: "warning" });
}

/** Warns of keys that nothing reads: a misspelt one would change what the rule means, or how bad it is. */
function checkKeys(document: Document, problems: Problem[]): void {
	const { values } = document;
	const unknown = (path: Path, remedy: string): void =>
		warn(document, path, problems, { message: `unknown key ${path.at(-1)}`, remedy });
	for (const key of Object.keys(values)) {
		// The specification lets everybody have keys of their own, so only what looks like a slip is told.
		const near = topKeys.includes(key) ? "" : nearest(key, topKeys);
		if (near !== "") unknown([key], `did you mean ${near}?`);
	}
	for (const key of Object.keys(asMap(values.logsource)))
		if (!sourceKeys.includes(key)) unknown(["logsource", key], `known: ${sourceKeys.join(", ")}`);
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
	choose("level", [...levels.keys()]);
	choose("status", statuses);
	checkLogSource(values);
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
function nodeOf({ selections, conditions }: Parsed, variant: Variant, binder: Binder): Node {
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
	return { is: "or", nodes: conditions.map(convert) };
}

/** "%admins%", of names that stand for values nobody has given: a rule with one cannot be judged. */
function placeholdersOf({ selections }: Parsed): string[] {
	const asks = [...selections.values()]
		.flatMap(itemsOf)
		.flatMap(({ values }) => values.flatMap((each) => each.asks));
	return [...new Set(asks.flatMap((ask) => (ask.is === "placeholder" ? [`%${ask.name}%`] : [])))];
}
