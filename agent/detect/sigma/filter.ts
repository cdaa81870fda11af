// Sigma filters: what a site has added to rules that others wrote. A filter's condition must hold too for each of the
// rules it names.
import type { Problem } from "../../model/verdict.ts";
import { type Document, DocumentProblem } from "../documents.ts";
import { asList, asMap, asText } from "../yaml-values.ts";
import type { Condition } from "./condition.ts";

import { checkLogSource, detectionOf, logSourceOf, type Parsed } from "./parsed.ts";
import type { LogSource } from "./taxonomy.ts";

export interface Filter {
	readonly document: Document;
	readonly parsed: Parsed;
	appliesTo(rule: Document): boolean;
}

const isNegative = ({ is }: Condition): boolean => is === "not";

/** What is wrong with one of them, or with what it names, is told in `problems`. */
export function filtersOf(documents: readonly Document[], problems: Problem[]): Filter[] {
	const rules = documents.filter(({ is }) => is === "sigma");
	return documents.flatMap((document): Filter[] => {
		if (document.is !== "filter") return [];
		const { values, file } = document;
		const report = (
			path: (string | number)[],
			skip: number,
			problem: Omit<Problem, "file" | "line" | "column" | "where">,
		) =>
			problems.push({
				file,
				...document.placeOf(path, skip),
				where: `filter ${asText(values.title)}`,
				...problem,
			});
		try {
			checkLogSource(values);
			const named = asMap(values.filter).rules ?? null;
			if (named === null)
				throw new DocumentProblem("the filter names no rules", ["filter"], "write rules: with ids, or any");
			const parsed = detectionOf(values.filter, ["filter"], ["rules"]);
			const names = asList(named).map((each) => asText(each).trim().toLowerCase());
			const all = typeof named === "string" && named.toLowerCase() === "any";
			const source = logSourceOf(values);
			const filter: Filter = {
				document,
				parsed,
				appliesTo: (rule) =>
					isWithin(logSourceOf(rule.values), source) &&
					(all || namesOf(rule).some((name) => names.includes(name))),
			};
			if (!rules.some(filter.appliesTo))
				report(["filter", "rules"], 0, {
					message: "the filter applies to no rule",
					remedy: "name rules by id, of the filter's own log source, and load them too",
					level: "warning",
				});
			if (!parsed.conditions.some(isNegative))
				report(["filter", "condition"], 0, {
					message: "the filter keeps what it selects, and nothing else",
					remedy: "to suppress it, write condition: not and the selection",
					level: "warning",
				});
			return [filter];
		} catch (error) {
			if (!(error instanceof DocumentProblem)) throw error;
			const { message, remedy, path, skip } = error;
			report([...path], skip, { message, remedy, level: "error" });
			return [];
		}
	});
}

function namesOf({ values }: Document): string[] {
	return [values.id, values.name]
		.map((each) => asText(each).trim().toLowerCase())
		.filter((each) => each !== "");
}

function isWithin(rule: LogSource, filter: LogSource): boolean {
	const keys = ["product", "category", "service"] as const;
	return keys.every((key) => filter[key] === "" || filter[key] === rule[key]);
}
