// The YAML of a Falco rule file: items with their keys and places. Every scalar is text, as in Falco. What an item
// means is decided in load.ts.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type Scalar, visit } from "yaml";
import type { Problem } from "../model/verdict.ts";

export interface Place {
	readonly line: number;
	readonly column: number;
}

/** Plain data: text, lists, maps; null only in Sigma documents, where it is not the text "null". */
export type Value = string | null | readonly Value[] | { readonly [key: string]: Value };

export function asText(value: Value | undefined): string {
	return typeof value === "string" ? value : "";
}
/** One value is a list of one, nothing is an empty list. */
export function asList(value: Value | undefined): readonly Value[] {
	if (Array.isArray(value)) return value;
	return value === undefined || value === null || value === "" ? [] : [value];
}
export function asMap(value: Value | undefined): Readonly<Record<string, Value>> {
	return typeof value === "object" && value !== null && !Array.isArray(value)
		? (value as Record<string, Value>)
		: {};
}

export interface Item {
	/** "rule", "macro", "list", "required_engine_version", …: the key that says what it is. */
	readonly is: string;
	readonly name: string;
	readonly file: string;
	readonly place: Place;
	readonly values: Readonly<Record<string, Value>>;
	/** Of a key's value, or of what stands in it behind `skip` characters that are no space. */
	placeOf(key: string, skip?: number): Place;
}

const itemKeys = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions"] as const;

function plain(node: unknown): Value {
	if (isScalar(node)) return String(node.value ?? "");
	if (isSeq(node)) return node.items.map(plain);
	if (isMap(node))
		return Object.fromEntries(node.items.map((pair) => [String(plain(pair.key)), plain(pair.value)]));
	return "";
}

/**
 * Where in the file a scalar's text goes on behind so many characters that are no space. YAML folds lines and changes
 * spaces, so only the other characters can be counted; in quotes an escape counts as one.
 */
export function offsetIn(text: string, { range, type }: Scalar, skip: number): number {
	const [start, end] = range ?? [0, 0];
	const block = type === "BLOCK_FOLDED" || type === "BLOCK_LITERAL";
	const quoted = type === "QUOTE_DOUBLE" || type === "QUOTE_SINGLE";
	let at = block ? text.indexOf("\n", start) + 1 : quoted ? start + 1 : start;
	const isSpace = () => /\s/.test(text[at] ?? "");
	for (let left = skip; left > 0 && at < end; at++) {
		if (isSpace()) continue;
		if (type === "QUOTE_DOUBLE" && text[at] === "\\") at++;
		else if (type === "QUOTE_SINGLE" && text.startsWith("''", at)) at++;
		left--;
	}
	const behind = at;
	while (at < end && isSpace()) at++;
	// At the end of the text nothing follows that could be pointed at.
	return at < end ? at : behind;
}

export function readItems(file: string, text: string, problems: Problem[]): Item[] {
	const counter = new LineCounter();
	const document = parseDocument(text, { schema: "failsafe", lineCounter: counter, uniqueKeys: true });
	const placeOf = (node: unknown): Place => {
		const range = (node as Node | null | undefined)?.range;
		if (!range) return { line: 1, column: 1 };
		const { line, col } = counter.linePos(range[0]);
		return { line, column: col };
	};
	let aliases = false;
	const report = (place: Place, where: string, message: string, remedy: string): void => {
		problems.push({ file, ...place, where, message, remedy, level: "error" });
	};
	visit(document, {
		Alias: (_, alias) => {
			report(
				placeOf(alias),
				"",
				`*${alias.source} refers to another place of the file`,
				"write out what it stands for",
			);
			aliases = true;
		},
	});
	for (const error of document.errors) {
		const { line, col } = counter.linePos(error.pos[0]);
		const [first = error.message] = error.message.split("\n");
		report({ line, column: col }, "", first, "mend the YAML; check indentation and quotes");
	}
	if (document.errors.length > 0 || aliases || document.contents === null) return [];
	if (!isSeq(document.contents)) {
		report(
			placeOf(document.contents),
			"",
			"a rule file is a list of items",
			"begin each item with `- rule:`, `- macro:` or `- list:`",
		);
		return [];
	}
	const items: Item[] = [];
	for (const node of document.contents.items) {
		const place = placeOf(node);
		if (!isMap(node)) {
			report(place, "", "an item is not a map", "begin it with `- rule:`, `- macro:` or `- list:`");
			continue;
		}
		const values = plain(node) as Record<string, Value>;
		const is = itemKeys.find((key) => key in values);
		if (!is) {
			report(place, "", `an item is none of ${itemKeys.join(", ")}`, "give it one of these keys");
			continue;
		}
		const name = values[is];
		if (is !== "required_plugin_versions" && (typeof name !== "string" || name === "")) {
			report(place, "", `a ${is} has no name`, `write its name behind ${is}:`);
			continue;
		}
		items.push({
			is,
			name: typeof name === "string" ? name : "",
			file,
			place,
			values,
			placeOf: (key, skip = 0) => {
				const pair = node.items.find((each) => plain(each.key) === key);
				if (!pair) return place;
				if (skip === 0 || !isScalar(pair.value)) return placeOf(pair.value);
				const { line, col } = counter.linePos(offsetIn(text, pair.value, skip));
				return { line, column: col };
			},
		});
	}
	return items;
}
