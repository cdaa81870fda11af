// What rules and filters have in common: a log source, selections and a condition.

import { DocumentProblem, type Path } from "../documents.ts";
import { SyntaxProblem } from "../syntax.ts";
import { asMap, asText, type Value } from "../yaml-values.ts";
import { type Condition, parseSigmaCondition } from "./condition.ts";
import { parseSelection, type Selection } from "./detection.ts";
import type { LogSource } from "./taxonomy.ts";

export interface Parsed {
	readonly selections: ReadonlyMap<string, Selection>;
	/** Any of them. */
	readonly conditions: readonly Condition[];
	/** Selections that no condition names. */
	readonly unused: readonly string[];
}

export function logSourceOf({ logsource }: Readonly<Record<string, Value>>): LogSource {
	const map = asMap(logsource);
	const word = (key: string): string => asText(map[key]).trim().toLowerCase();
	return { product: word("product"), category: word("category"), service: word("service") };
}

/** `value` stands at `path`; of its keys `others` are no selections. Throws DocumentProblem. */
export function detectionOf(value: Value | undefined, path: Path, others: readonly string[]): Parsed {
	if (value === undefined || value === null || typeof value !== "object" || Array.isArray(value))
		throw new DocumentProblem(`there is no ${path.at(-1)}`, path, "write selections and a condition in it");
	const { condition, ...rest } = value as Readonly<Record<string, Value>>;
	const selections = new Map(
		Object.entries(rest)
			.filter(([name]) => !others.includes(name))
			.map(([name, each]) => [name, parseSelection(each, [...path, name])]),
	);
	const several = Array.isArray(condition);
	const conditions = (several ? condition : [condition]).map((each: Value | undefined, index) => {
		const at = [...path, "condition", ...(several ? [index] : [])];
		if (typeof each !== "string" || each.trim() === "")
			throw new DocumentProblem("there is no condition", at, "write condition: and a selection's name");
		try {
			return parseSigmaCondition(each, [...selections.keys()]);
		} catch (error) {
			if (!(error instanceof SyntaxProblem)) throw error;
			const before = each.slice(0, error.at).replace(/\s+/g, "").length;
			throw new DocumentProblem(error.message, at, error.remedy, before);
		}
	});
	if (conditions.length === 0)
		throw new DocumentProblem("there is no condition", [...path, "condition"], "write at least one");
	const used = new Set(conditions.flatMap(namesIn));
	// By the specification's own custom: these are there to be left out.
	const unused = [...selections.keys()].filter((name) => !used.has(name) && !name.startsWith("_"));
	return { selections, conditions, unused };
}

function namesIn(condition: Condition): readonly string[] {
	switch (condition.is) {
		case "selection":
			return [condition.name];
		case "not":
			return namesIn(condition.of);
		default:
			return condition.of.flatMap(namesIn);
	}
}

type Values = Readonly<Record<string, Value>>;

/** Throws DocumentProblem. */
export function checkLogSource(values: Values): void {
	const { product, category, service } = logSourceOf(values);
	if (product + category + service !== "") return;
	throw new DocumentProblem(
		"nothing says which events this is about",
		["logsource"],
		"write logsource: with product, category or service",
	);
}
