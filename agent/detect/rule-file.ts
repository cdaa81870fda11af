// The YAML of a Falco rule file: items with their keys and places. Every scalar is text, as in Falco. What an item
// means is decided in load.ts.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from "yaml";
import type { Problem } from "../model/verdict.ts";

export interface Place {
	readonly line: number;
	readonly column: number;
}

/** Plain data: text, lists, maps. */
export type Value = string | readonly Value[] | { readonly [key: string]: Value };

export interface Item {
	/** "rule", "macro", "list", "required_engine_version", …: the key that says what it is. */
	readonly is: string;
	readonly name: string;
	readonly file: string;
	readonly place: Place;
	readonly values: Readonly<Record<string, Value>>;
	placeOf(key: string): Place;
}

const itemKeys = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions"] as const;

function plain(node: unknown): Value {
	if (isScalar(node)) return String(node.value ?? "");
	if (isSeq(node)) return node.items.map(plain);
	if (isMap(node))
		return Object.fromEntries(node.items.map((pair) => [String(plain(pair.key)), plain(pair.value)]));
	return "";
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
			placeOf: (key) => {
				const pair = node.items.find((each) => plain(each.key) === key);
				return pair ? placeOf(pair.value) : place;
			},
		});
	}
	return items;
}
