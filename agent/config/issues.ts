// Turns what zod finds wrong into words for the person who wrote the file: what is there, what belongs there.
import type { z } from "zod";
import { defaultOf, describe, isSection, keysOf, schemaAt } from "./shape.ts";

export type Path = readonly (string | number)[];

export interface Explanation {
	readonly path: Path;
	/** Set when a key below `path` is the trouble, not the value there. */
	readonly key?: string;
	readonly message: string;
	readonly remedy: string;
}

type Issue = z.core.$ZodIssue;

/** One issue may name several keys. `raw` is the whole value as parsed from YAML. */
export function explainIssue(schema: z.ZodType, issue: Issue, raw: unknown, base: Path = []): Explanation[] {
	const path = [...base, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
	const here = schemaAt(schema, path);
	if (issue.code === "unrecognized_keys") {
		const known = here === undefined ? [] : keysOf(here);
		return issue.keys.map((key) => ({ path, key, ...unknownKey(key, known) }));
	}
	if (issue.code === "invalid_union") {
		const branch = likeliestBranch(issue.errors);
		if (branch !== undefined) return branch.flatMap((inner) => explainIssue(schema, inner, raw, path));
	}
	const value = valueAt(raw, path);
	const remedy = remedyFor(here) || remedyAbove(schema, path);
	if (value === undefined && issue.code !== "custom") {
		return [{ path, message: "is missing", remedy: remedy || "add it" }];
	}
	return [{ path, message: wrongValue(issue, value), remedy: remedy || "correct it or remove the key" }];
}

/** "scopes[0].files", as the user would look for it. */
export function pathText(path: Path): string {
	return path.reduce<string>((text, step) => {
		if (typeof step === "number") return `${text}[${step}]`;
		return text === "" ? step : `${text}.${step}`;
	}, "");
}

/** The one of `known` that was probably meant: at most two or a third of its letters away. */
export function nearest(word: string, known: readonly string[]): string | undefined {
	const ranked = known
		.map((name) => ({ name, distance: editDistance(word.toLowerCase(), name) }))
		.sort((a, b) => a.distance - b.distance);
	const best = ranked[0];
	return best !== undefined && best.distance <= Math.max(2, word.length / 3) ? best.name : undefined;
}

/** Keys of earlier versions, by what is known beside them. */
const renamed: Readonly<Record<string, { readonly beside: string; readonly remedy: string }>> = {
	console: {
		beside: "consoles",
		remedy: "it is a list now: consoles: [{name: hq, addresses: [console.example:7443], ca: …}]",
	},
};

function unknownKey(key: string, known: readonly string[]): { message: string; remedy: string } {
	const old = Object.hasOwn(renamed, key) ? renamed[key] : undefined;
	if (old !== undefined && known.includes(old.beside))
		return { message: `there is no key "${key}" any more`, remedy: old.remedy };
	const meant = nearest(key, known);
	const list = known.length === 0 ? "" : `; known here: ${known.join(", ")}`;
	const remedy = meant === undefined ? `remove it${list}` : `write "${meant}"`;
	return { message: `there is no key "${key}"`, remedy };
}

/** The branch that the user meant: the one whose mistakes lie deepest; undefined when none fits at all. */
function likeliestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
	const depth = (issues: readonly Issue[]) =>
		Math.max(...issues.map((one) => one.path.length + (one.code === "unrecognized_keys" ? 1 : 0)));
	const deep = branches.filter((issues) => issues.length > 0 && depth(issues) > 0);
	return deep.sort((a, b) => depth(b) - depth(a))[0];
}

function wrongValue(issue: Issue, value: unknown): string {
	const given = show(value);
	switch (issue.code) {
		case "invalid_type":
			return `must be ${typeWords[issue.expected] ?? issue.expected}, not ${given}`;
		case "invalid_value":
			return `must be one of ${issue.values.map(String).join(", ")}, not ${given}`;
		case "too_small":
			return issue.origin === "array" || issue.origin === "string"
				? "must not be empty"
				: `must be at least ${issue.minimum}, not ${given}`;
		case "too_big":
			return `must be at most ${issue.maximum}, not ${given}`;
		case "custom":
			return issue.message;
		case "invalid_union":
			return `cannot be ${given}`;
		default:
			return `${issue.message} (it is ${given})`;
	}
}

const typeWords: Readonly<Record<string, string>> = {
	number: "a number",
	int: "a whole number",
	string: "a text",
	boolean: "true or false",
	array: "a list, such as [a, b]",
	object: "a section with keys below it",
	record: "a section with keys below it",
};

function remedyFor(schema: z.ZodType | undefined): string {
	if (schema === undefined) return "";
	const words = describe(schema);
	const value = isSection(schema) ? undefined : defaultOf(schema);
	return value === undefined ? words : `${words} Without the key it is ${JSON.stringify(value)}.`.trim();
}

/** An item of a list is documented with the list. */
function remedyAbove(schema: z.ZodType, path: Path): string {
	const list = typeof path.at(-1) === "number" ? schemaAt(schema, path.slice(0, -1)) : undefined;
	return list === undefined ? "" : describe(list);
}

function show(value: unknown): string {
	const text = JSON.stringify(value) ?? String(value);
	return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function valueAt(raw: unknown, path: Path): unknown {
	return path.reduce<unknown>(
		(value, step) =>
			typeof value === "object" && value !== null
				? (value as Record<string | number, unknown>)[step]
				: undefined,
		raw,
	);
}

function editDistance(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, index) => index);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[b.length] ?? 0;
}
