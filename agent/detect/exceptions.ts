// A rule's exceptions as conditions: any of the rows of values, each all of its fields.
import { CheckProblem, inExceptions } from "./check.ts";
import { expandLists, type Lists } from "./expand.ts";
import {
	listOperators,
	type Node,
	type Operator,
	parseCondition,
	SyntaxProblem,
	signs,
	type Term,
	textOperators,
} from "./syntax.ts";
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

/** The right side of such a check as its text reads; undefined when it does not read as one. */
function rightSide(check: string): readonly Term[] | undefined {
	try {
		const node = parseCondition(`a.b ${check}`);
		return node.is === "check" ? node.right : undefined;
	} catch (error) {
		if (error instanceof SyntaxProblem) return undefined;
		throw error;
	}
}

/**
 * What one value stands for, read as the text of a condition would be: it may be quoted, the name of a list, val(field),
 * or for a list operator several values with commas between. What does not read as any of these, or has a space in it
 * and is `oneOfSeveral`, is itself.
 */
function termsOf(text: string, operator: Operator, lists: Lists, oneOfSeveral: boolean): readonly Term[] {
	const items = lists.get(text);
	if (items) return items.flatMap((item) => termsOf(item, operator, new Map(), true));
	const itself: readonly Term[] = [{ is: "text", text: text.replace(/^(["'])(.*)\1$/s, "$2") }];
	const quoted = /^["']/.test(text);
	if (text === "" || (oneOfSeveral && /\s/.test(text) && !quoted)) return itself;
	if ((listOperators as readonly string[]).includes(operator)) {
		const inner = text.startsWith("(") && text.endsWith(")") ? text.slice(1, -1) : text;
		return rightSide(`in (${expandLists(inner, lists)})`) ?? itself;
	}
	return quoted || /^val\(/.test(text) ? (rightSide(`= ${text}`) ?? itself) : itself;
}

function checkOf(field: string, comparison: string, values: Value | undefined, lists: Lists): Node {
	const found = /^([a-zA-Z][\w.]*)(?:\[(.*)\])?$/.exec(field);
	if (!found)
		throw new CheckProblem(
			`an exception names ${JSON.stringify(field)}, which is no field`,
			"name a field",
			inExceptions,
		);
	const [, name = "", argument] = found;
	const operator = operatorOf(comparison);
	return {
		is: "check",
		left: { is: "field", field: { name, argument } },
		operator,
		match: "any",
		right: several(values).flatMap((each) => termsOf(each, operator, lists, Array.isArray(values))),
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
			nodes: names.map((name, i) => checkOf(name, comparisons[i] ?? "=", cells[i], lists)),
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

/** What is wrong with a rule's exceptions, appended to those of `before` when there are any. */
export function exceptionsProblem(
	exceptions: Value | undefined,
	before: readonly Value[] | undefined,
): { message: string; remedy: string } | undefined {
	if (exceptions === undefined || exceptions === "") return undefined;
	if (!Array.isArray(exceptions))
		return { message: "exceptions is no list", remedy: "begin each exception with `- name:`" };
	const names = new Set<string>();
	for (const each of exceptions as readonly Value[]) {
		const { name, fields, comps, values } = asMap(each);
		const shown = asText(name);
		if (shown === "") return { message: "an exception has no name", remedy: "begin it with `- name:`" };
		if (names.has(shown)) return { message: `two exceptions are named ${shown}`, remedy: "rename one" };
		names.add(shown);
		const known = before?.some((other) => asMap(other).name === shown) === true;
		if (known && (fields !== undefined || comps !== undefined))
			return {
				message: `the exception ${shown} has its fields already`,
				remedy: "append values alone, or give it another name",
			};
		if (!known && fields === undefined)
			return { message: `the exception ${shown} has no fields`, remedy: "say which fields: it compares" };
		if (Array.isArray(fields) !== Array.isArray(comps) && comps !== undefined && !known)
			return {
				message: `the exception ${shown} has one field and several comps, or one comp for several fields`,
				remedy: "give as many comps as fields",
			};
		if (Array.isArray(fields) && Array.isArray(comps) && fields.length !== comps.length)
			return {
				message: `the exception ${shown} has ${fields.length} fields and ${comps.length} comps`,
				remedy: "give as many comps as fields",
			};
		if (values !== undefined && values !== "" && !Array.isArray(values))
			return { message: `the values of the exception ${shown} are no list`, remedy: "write values: [a, b]" };
	}
	return undefined;
}
