// A rule's exceptions as conditions: any of the rows of values, each all of its fields.
import { CheckProblem, inExceptions } from "./check.ts";
import type { Lists } from "./expand.ts";
import { listOperators, type Node, type Operator, signs, textOperators } from "./syntax.ts";
import { asList, asMap, asText, type Value } from "./yaml-values.ts";

const operators: ReadonlySet<string> = new Set([...signs, ...textOperators, ...listOperators]);
function operatorOf(comparison: string): Operator {
	if (!operators.has(comparison)) {
		throw new CheckProblem(
			`an exception compares with ${JSON.stringify(comparison)}, which is no operator`,
			`known: ${[...operators].join(" ")}`,
			inExceptions,
		);
	}
	return (comparison === "==" ? "=" : comparison) as Operator;
}
/** One value or several; an empty text is a value too. */
function several(value: Value | undefined): string[] {
	return typeof value === "string" ? [value] : asList(value).map(asText);
}

function checkOf(field: string, comparison: string, values: readonly string[], lists: Lists): Node {
	const items = values
		.flatMap((each) => lists.get(each) ?? [each])
		.map((each) => each.replace(/^(["'])(.*)\1$/s, "$2"));
	const found = /^([a-zA-Z][\w.]*)(?:\[(.*)\])?$/.exec(field);
	if (!found)
		throw new CheckProblem(
			`an exception names ${JSON.stringify(field)}, which is no field`,
			"name a field",
			inExceptions,
		);
	const [, name = "", argument] = found;
	return {
		is: "check",
		left: { is: "field", field: { name, argument } },
		operator: operatorOf(comparison),
		match: "any",
		right: items.map((each) => ({ is: "text", text: each })),
		at: inExceptions,
	};
}

/** The conditions under which a rule stays silent. Throws CheckProblem. */
export function exceptionsOf(exceptions: Value | undefined, lists: Lists): Node[] {
	return asList(exceptions).flatMap((each) => exceptionOf(asMap(each), lists));
}

function exceptionOf({ fields, comps, values }: Readonly<Record<string, Value>>, lists: Lists): Node[] {
	const rows = asList(values);
	if (rows.length === 0) return [];
	if (!Array.isArray(fields))
		return [checkOf(asText(fields), asText(comps) || "in", rows.flatMap(several), lists)];
	const names = asList(fields).map(asText);
	const comparisons = asList(comps).map(asText);
	const nodes = rows.map((row): Node => {
		const cells = asList(row);
		if (cells.length !== names.length) {
			throw new CheckProblem(
				`an exception has ${names.length} fields and a row of ${cells.length} values`,
				"give one value a field",
				inExceptions,
			);
		}
		return {
			is: "and",
			nodes: names.map((name, i) => checkOf(name, comparisons[i] ?? "=", several(cells[i]), lists)),
		};
	});
	return [nodes.length === 1 ? (nodes[0] as Node) : { is: "or", nodes }];
}

/** Further values go to the exception of the same name; another name is another exception. */
export function mergeExceptions(before: readonly Value[], more: readonly Value[]): readonly Value[] {
	const out = before.map((each) => ({ ...asMap(each) }));
	for (const each of more) {
		const found = out.find((known) => known.name === asMap(each).name);
		if (found) found.values = [...asList(found.values), ...asList(asMap(each).values)];
		else out.push({ ...asMap(each) });
	}
	return out;
}
