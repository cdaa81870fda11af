// The YAML of a Falco rule file: items with their keys and places. Every scalar is text, as in Falco. What an item
// means is decided in load.ts.
import { isMap, isScalar, isSeq, type LineCounter, type Node, type Scalar } from "yaml";
import type { Problem } from "../model/verdict.ts";
import { parseYaml } from "./yaml-steps.ts";
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

/** Where a value stands in its file's text: all that is kept of the syntax tree, which takes many times the text. */
export interface Spot {
	readonly start: number;
	readonly end: number;
	/** How a scalar is written; undefined for what is none. */
	readonly type: Scalar["type"] | undefined;
}

export function spotOf(node: unknown): Spot {
	const [start, end] = (node as Node).range ?? [0, 0];
	return { start, end, type: isScalar(node) ? node.type : undefined };
}

/**
 * Where in the file a scalar's text goes on behind so many characters that are no space. YAML folds lines and changes
 * spaces, so only the other characters can be counted; in quotes an escape counts as one.
 */
export function offsetIn(text: string, { start, end, type }: Spot, skip: number): number {
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

/**
 * The items of every document in the file; what cannot be read is told in `problems`, and the rest is kept. In steps of
 * some milliseconds each.
 */
export function* readItems(file: string, text: string, problems: Problem[]): Generator<void, Item[]> {
	const { documents, lines } = yield* parseYaml(text, false);
	const at = placesIn(lines);
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
	for (const document of documents) {
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
		const reader = new YamlReader(document, scalarText, repeated);
		for (const node of contents.items) {
			if (isEmpty(node)) continue;
			try {
				const item = itemOf(file, node, reader);
				const { is } = item;
				if (is !== "required_plugin_versions" && item.name === "")
					throw new YamlRefusal(`a ${is} has no name`, node, `write its name behind ${is}:`);
				items.push({ ...item, place: placeOf(node), placeOf: placesOf(text, spotsIn(reader, node), at) });
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

/** The item's own spot is the one without a name. */
function spotsIn(reader: YamlReader, item: unknown): ReadonlyMap<string, Spot> {
	const spots = new Map([["", spotOf(item)]]);
	const target = reader.target(item);
	for (const { key, value } of isMap(target) ? target.items : []) {
		if (!isScalar(key) || spots.has(String(key.value))) continue;
		spots.set(String(key.value), spotOf(value ?? key));
	}
	return spots;
}

/** Apart from what reads the file: a closure made in there would keep its syntax tree in memory. */
function placesOf(
	text: string,
	spots: ReadonlyMap<string, Spot>,
	at: (offset: number) => Place,
): Item["placeOf"] {
	return (key, skip = 0) => {
		const spot = spots.get(key);
		if (!spot) return at(spots.get("")?.start ?? 0);
		return at(skip > 0 && spot.type ? offsetIn(text, spot, skip) : spot.start);
	};
}

/** Lines and columns of offsets. */
export function placesIn(lines: LineCounter): (offset: number) => Place {
	return (offset) => {
		const { line, col } = lines.linePos(offset);
		return { line, column: col };
	};
}
