// The YAML of a Falco rule file: items with their keys and places. Every scalar is text, as in Falco. What an item
// means is decided in load.ts.
import {
	isMap,
	isScalar,
	isSeq,
	LineCounter,
	type Node,
	parseAllDocuments,
	type Scalar,
	type Document as YamlDocument,
} from "yaml";
import type { Problem } from "../model/verdict.ts";
import { asText, type Value, YamlReader, YamlRefusal, yamlErrors } from "./yaml-values.ts";

export interface Place {
	readonly line: number;
	readonly column: number;
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

const scalarText = ({ value }: Scalar): Value => String(value ?? "");

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

/** The items of every document in the file; what cannot be read is told in `problems`, and the rest is kept. */
export function readItems(file: string, text: string, problems: Problem[]): Item[] {
	const counter = new LineCounter();
	const documents = parseAllDocuments(text, { schema: "failsafe", lineCounter: counter, uniqueKeys: false });
	const at = (offset: number): Place => {
		const { line, col } = counter.linePos(offset);
		return { line, column: col };
	};
	const placeOf = (node: unknown): Place => {
		const range = (node as Node | null | undefined)?.range;
		return range ? at(range[0]) : { line: 1, column: 1 };
	};
	const report = (place: Place, message: string, remedy: string, level: Problem["level"] = "error"): void => {
		problems.push({ file, ...place, where: "", message, remedy, level });
	};
	const repeated = (key: Node, name: string): void =>
		report(placeOf(key), `${name} is there twice; the first one counts`, "leave out the other", "warning");
	const items: Item[] = [];
	for (const document of Array.isArray(documents) ? documents : []) {
		for (const { offset, message, remedy } of yamlErrors(document)) report(at(offset), message, remedy);
		const { contents } = document;
		if (document.errors.length > 0 || isEmpty(contents)) continue;
		if (!isSeq(contents)) {
			report(
				placeOf(contents),
				"a rule file is a list of items",
				"begin each item with `- rule:`, `- macro:` or `- list:`",
			);
			continue;
		}
		const reader = new YamlReader(document as YamlDocument, scalarText, repeated);
		for (const node of contents.items) {
			if (isEmpty(node)) continue;
			try {
				const item = itemOf(file, node, reader);
				const { is } = item;
				if (is !== "required_plugin_versions" && item.name === "")
					throw new YamlRefusal(`a ${is} has no name`, node, `write its name behind ${is}:`);
				items.push({ ...item, place: placeOf(node), placeOf: placesIn(text, node, reader, placeOf, at) });
			} catch (error) {
				if (!(error instanceof YamlRefusal)) throw error;
				report(placeOf(error.node ?? node), error.message, error.remedy);
			}
		}
	}
	return items;
}

/** Nothing between two dashes, or an empty document. */
function isEmpty(node: unknown): boolean {
	return node === null || (isScalar(node) && node.type === "PLAIN" && (node.value ?? "") === "");
}

/** Throws YamlRefusal. */
function itemOf(
	file: string,
	node: unknown,
	reader: YamlReader,
): Pick<Item, "file" | "is" | "name" | "values"> {
	const remedy = "begin it with `- rule:`, `- macro:` or `- list:`";
	if (!isMap(reader.target(node))) throw new YamlRefusal("an item is not a map", node, remedy);
	const values = reader.plain(node) as Record<string, Value>;
	const is = itemKeys.find((key) => Object.hasOwn(values, key));
	if (!is)
		throw new YamlRefusal(`an item is none of ${itemKeys.join(", ")}`, node, "give it one of these keys");
	return { file, is, name: asText(values[is]), values };
}

function placesIn(
	text: string,
	item: unknown,
	reader: YamlReader,
	placeOf: (node: unknown) => Place,
	at: (offset: number) => Place,
): Item["placeOf"] {
	const target = reader.target(item);
	return (key, skip = 0) => {
		const pair = isMap(target)
			? target.items.find((each) => isScalar(each.key) && String(each.key.value) === key)
			: undefined;
		if (!pair) return placeOf(item);
		if (skip === 0 || !isScalar(pair.value)) return placeOf(pair.value ?? pair.key);
		return at(offsetIn(text, pair.value, skip));
	};
}
