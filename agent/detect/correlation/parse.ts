// A correlation document read and checked, but for what depends on other rules: see resolve.ts.
import type { Problem, Severity } from "../../model/verdict.ts";
import { severities } from "../../model/verdict.ts";
import { type Document, DocumentProblem, type Path } from "../documents.ts";
import { asList, asMap, asText, type Value } from "../yaml-values.ts";
import {
	type Comparison,
	type CorrelationType,
	comparisonNames,
	correlationTypes,
	satisfies,
	type Thresholds,
} from "./condition.ts";
import { largestThreshold } from "./runtime.ts";

export interface Draft {
	readonly document: Document;
	readonly type: CorrelationType;
	/** As written: ids, names or titles. */
	readonly references: readonly string[];
	readonly groupBy: readonly string[];
	/** ns. */
	readonly timespan: number;
	readonly timespanText: string;
	readonly thresholds: Thresholds;
	readonly fields: readonly string[];
	readonly percentile: number;
	/** Alias → reference → field. */
	readonly aliases: ReadonlyMap<string, ReadonlyMap<string, string>>;
	readonly generate: boolean;
	readonly severity: Severity;
}

/** Sigma's, of every document. */
const documentKeys = new Set(
	"title id name status description references reference author date modified related tags level falsepositives fields license taxonomy scope correlation generate".split(
		" ",
	),
);
const correlationKeys = new Set("type rules group-by timespan condition aliases generate".split(" "));
const mostRules = 32;
const longest = 30 * 86_400;
const seconds = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Throws DocumentProblem. What is strange and costs nothing is told in `problems`. */
export function parseCorrelation(document: Document, problems: Problem[]): Draft {
	const { values } = document;
	const warn = (path: Path, message: string, remedy: string): void => {
		problems.push({
			file: document.file,
			...document.placeOf(path),
			where: titleOf(document),
			message,
			remedy,
			level: "warning",
		});
	};
	if (asText(values.title) === "")
		throw new DocumentProblem("the document has no title", ["title"], "write title: and what it detects");
	for (const key of Object.keys(values)) {
		if (documentKeys.has(key) || key.startsWith("picket_")) continue;
		warn([key], `unknown key ${key}`, `known: ${[...documentKeys].join(", ")}`);
	}
	const given = asMap(values.correlation);
	for (const key of Object.keys(given)) {
		if (correlationKeys.has(key)) continue;
		throw new DocumentProblem(
			`unknown key ${key}`,
			["correlation", key],
			`known: ${[...correlationKeys].join(", ")}`,
		);
	}
	const type = typeOf(given);
	const references = textsOf(given.rules, ["correlation", "rules"], "the id, name or title of a rule");
	if (references.length === 0)
		throw new DocumentProblem(
			"no rules are listed",
			["correlation", "rules"],
			"write rules: with the id, name or title of each",
		);
	if (references.length > mostRules)
		throw new DocumentProblem(
			`${references.length} rules are listed`,
			["correlation", "rules"],
			`list at most ${mostRules}; join several in a correlation of their own`,
		);
	const double = references.findIndex((each, index) => references.indexOf(each) < index);
	if (double >= 0 && type !== "temporal_ordered")
		throw new DocumentProblem(
			`${references[double]} is listed twice`,
			["correlation", "rules", double],
			"list each rule once",
		);
	const groupBy = textsOf(given["group-by"], ["correlation", "group-by"], "the name of a field");
	const timespanText = asText(given.timespan);
	const condition = conditionOf(type, given.condition, references.length);
	if (conditionHoldsAlways(type, condition.thresholds))
		warn(
			["correlation", "condition"],
			"the condition holds at the first match already, and nothing is ever told of too few",
			"it is judged at each match; ask for at least so many with gte:",
		);
	return {
		document,
		type,
		references,
		groupBy,
		timespan: timespanOf(given.timespan),
		timespanText,
		...condition,
		aliases: aliasesOf(given.aliases),
		generate: switchOf(given.generate ?? values.generate, given.generate === undefined),
		severity: levelOf(values.level),
	};
}

export function titleOf({ values }: Document): string {
	return asText(values.title) || asText(values.name) || asText(values.id) || "correlation";
}

function typeOf(given: Readonly<Record<string, Value>>): CorrelationType {
	const type = correlationTypes.find((each) => each === given.type);
	if (type) return type;
	throw new DocumentProblem(
		given.type === undefined ? "the correlation has no type" : `unknown type ${shown(given.type)}`,
		["correlation", "type"],
		`known: ${correlationTypes.join(", ")}`,
	);
}

function shown(value: Value | undefined): string {
	return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

/** One text or a list of them; none when there is nothing. */
function textsOf(value: Value | undefined, path: Path, what: string): string[] {
	if (typeof value === "object" && value !== null && !Array.isArray(value))
		throw new DocumentProblem("a map stands where a list belongs", path, "put - before each, without :");
	return asList(value).map((each, index) => {
		if (typeof each === "string" && each !== "") return each;
		throw new DocumentProblem(`${shown(each)} is no text`, [...path, index], `write ${what}`);
	});
}

function timespanOf(value: Value | undefined): number {
	const path = ["correlation", "timespan"];
	const remedy = "write a number and s, m, h or d, as in timespan: 5m";
	if (value === undefined) throw new DocumentProblem("the correlation has no timespan", path, remedy);
	const [, digits = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(asText(value)) ?? [];
	const length = Number(digits) * (seconds[unit as keyof typeof seconds] ?? 0);
	if (length === 0) throw new DocumentProblem(`${shown(value)} is no timespan`, path, remedy);
	if (length > longest)
		throw new DocumentProblem(`${shown(value)} is longer than 30 days`, path, "write at most 30d");
	return length * 1e9;
}

type Condition = Pick<Draft, "thresholds" | "fields" | "percentile">;

function conditionOf(type: CorrelationType, value: Value | undefined, rules: number): Condition {
	const path = ["correlation", "condition"];
	const temporal = type === "temporal" || type === "temporal_ordered";
	if (temporal && value === undefined)
		return { thresholds: [{ comparison: "gte", limit: rules }], fields: [], percentile: 0 };
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw new DocumentProblem(
			value === undefined ? "the correlation has no condition" : "the condition is no map",
			path,
			"write what is compared, as in condition: {gte: 10}",
		);
	const given = asMap(value);
	for (const key of Object.keys(given)) {
		if (key === "field" || key === "percentile" || comparisonNames.includes(key as Comparison)) continue;
		const known = [...comparisonNames, "field", "percentile"].join(", ");
		throw new DocumentProblem(`unknown key ${key}`, [...path, key], `known: ${known}`);
	}
	const thresholds = comparisonNames.flatMap((comparison) => {
		const written = given[comparison];
		return written === undefined
			? []
			: [{ comparison, limit: limitOf(type, written, [...path, comparison]) }];
	});
	if (thresholds.length === 0)
		throw new DocumentProblem("the condition compares nothing", path, "write gt, gte, lt, lte, eq or neq");
	return { thresholds, ...fieldsOf(type, given) };
}

function limitOf(type: CorrelationType, value: Value, path: Path): number {
	const limit = Number(asText(value));
	if (!/^-?\d+(\.\d+)?$/.test(asText(value)))
		throw new DocumentProblem(`${shown(value)} is no number`, path, "write a number");
	const counts = !/^value_(sum|avg|percentile|median)$/.test(type);
	if (counts && (!Number.isInteger(limit) || limit < 0 || limit > largestThreshold))
		throw new DocumentProblem(
			`${shown(value)} cannot be counted to`,
			path,
			`write a whole number from 0 to ${largestThreshold}`,
		);
	return limit;
}

function fieldsOf(
	type: CorrelationType,
	given: Readonly<Record<string, Value>>,
): Omit<Condition, "thresholds"> {
	const path = ["correlation", "condition", "field"];
	const fields = textsOf(given.field, path, "the name of a field");
	const ofField = type.startsWith("value_");
	if (ofField && fields.length === 0)
		throw new DocumentProblem(`${type} has no field`, path, "write field: and whose values are meant");
	if (!ofField && fields.length > 0)
		throw new DocumentProblem(`${type} has no use for a field`, path, "leave it out, or use value_count");
	if (fields.length > 1 && type !== "value_count")
		throw new DocumentProblem(`${type} is of one field`, path, "name one");
	if (type !== "value_percentile") {
		if (given.percentile === undefined) return { fields, percentile: 0 };
		throw new DocumentProblem(
			`${type} has no use for a percentile`,
			["correlation", "condition", "percentile"],
			"leave it out, or use value_percentile",
		);
	}
	const percentile = Number(asText(given.percentile));
	if (!/^\d+(\.\d+)?$/.test(asText(given.percentile)) || percentile > 100)
		throw new DocumentProblem(
			given.percentile === undefined ? "the percentile is missing" : "that is no percentile",
			["correlation", "condition", "percentile"],
			"write percentile: and a number from 0 to 100",
		);
	return { fields, percentile };
}

function conditionHoldsAlways(type: CorrelationType, thresholds: Thresholds): boolean {
	return !/^value_(sum|avg|percentile|median)$/.test(type) && satisfies(thresholds, 1);
}

function aliasesOf(value: Value | undefined): Draft["aliases"] {
	const path = ["correlation", "aliases"];
	const aliases = new Map<string, ReadonlyMap<string, string>>();
	if (value !== undefined && (typeof value !== "object" || value === null || Array.isArray(value)))
		throw new DocumentProblem("aliases is no map", path, "write alias: {rule: field}");
	for (const [alias, mapping] of Object.entries(asMap(value))) {
		const fields = Object.entries(asMap(mapping));
		for (const [rule, field] of fields) {
			if (asText(field) === "")
				throw new DocumentProblem("that is no field", [...path, alias, rule], "write the name of a field");
		}
		aliases.set(alias, new Map(fields.map(([rule, field]) => [rule, asText(field)])));
	}
	return aliases;
}

function switchOf(value: Value | undefined, atTop: boolean): boolean {
	if (value === undefined || value === null) return false;
	if (/^(true|false|yes|no|on|off)$/i.test(asText(value))) return /^(true|yes|on)$/i.test(asText(value));
	const path = atTop ? ["generate"] : ["correlation", "generate"];
	throw new DocumentProblem(`${shown(value)} is neither true nor false`, path, "write true or false");
}

function levelOf(value: Value | undefined): Severity {
	if (value === undefined || value === null) return "medium";
	const level = severities.find((each) => each === asText(value).toLowerCase());
	if (level) return level;
	throw new DocumentProblem(`unknown level ${shown(value)}`, ["level"], `known: ${severities.join(", ")}`);
}
