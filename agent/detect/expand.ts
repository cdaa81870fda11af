// Lists and macros put in: lists as text before a condition is read, macros as parts of its tree. Which definition
// sees which is decided by their order in the files.
import { CheckProblem } from "./check.ts";
import { type Node, parseCondition, SyntaxProblem } from "./syntax.ts";

/** A definition keeps its place when a later item changes it; from then on it sees what was defined before that item. */
interface Definition {
	readonly index: number;
	seesBefore: number;
}
export interface ListDefinition extends Definition {
	items: readonly string[];
}
export interface MacroDefinition extends Definition {
	condition: string;
	/** "file:line", for messages. */
	readonly place: string;
}
/** Items of a list by its name, with lists within it put in. */
export type Lists = Pick<ReadonlyMap<string, readonly string[]>, "get" | "has">;
export type Macros = ReadonlyMap<string, MacroDefinition>;

/** Signs that a condition may have with its lists put in, and parts with its macros put in. */
const mostText = 1 << 20;
const mostNodes = 100_000;

/** The lists as they are when all files are read. Lists within lists count one level deep; repeated items once. */
export function resolveLists(lists: ReadonlyMap<string, ListDefinition>): Lists {
	const resolved = new Map<string, readonly string[]>();
	const itemsOf = ({ items, seesBefore }: ListDefinition): readonly string[] => {
		const all = new Set<string>();
		for (const item of new Set(items)) {
			const inner = lists.get(item);
			for (const each of inner && inner.index < seesBefore ? inner.items : [item]) all.add(each);
		}
		return [...all];
	};
	return {
		has: (name) => lists.has(name),
		get(name) {
			const list = lists.get(name);
			if (!list) return undefined;
			const items = resolved.get(name) ?? itemsOf(list);
			resolved.set(name, items);
			return items;
		},
	};
}

/** Marks where an empty list stood; a character no rule file has a use for. */
const hole = "\ue000";
/** An operator that is followed by a list's bare name instead of ( ). */
const wantsList = /(?:^|[\s(\]])(?:in|intersects|pmatch|oneof|anyof|allof)\s+$/;
const listWord = /(?<=^|[\s(),=])[^\s(),=]+(?=$|[\s(),=])/g;

/**
 * Lists stand for their items wherever their name stands alone. An empty one takes a neighbouring comma along. Throws
 * CheckProblem when that makes the condition too long.
 */
export function expandLists(condition: string, lists: Lists): string {
	let emptied = false;
	let size = condition.length;
	const out = condition.replace(listWord, (word, at: number) => {
		const items = lists.get(word);
		if (!items) return word;
		if (items.length === 0) emptied = true;
		const text = items.length === 0 ? hole : items.map(quoteItem).join(", ");
		size += text.length;
		if (size > mostText)
			throw new CheckProblem(
				"the condition is too long with its lists put in",
				"use fewer lists, or shorter ones",
			);
		return wantsList.test(condition.slice(Math.max(0, at - 16), at)) ? `(${text})` : text;
	});
	if (!emptied) return out;
	return out
		.replace(new RegExp(`${hole}\\s*,`, "g"), "")
		.replace(new RegExp(`,\\s*${hole}`, "g"), "")
		.replaceAll(hole, "");
}
/** As it is when it brings its own quotes; quoted when it would fall apart otherwise. */
function quoteItem(item: string): string {
	if (/^(["']).*\1$/s.test(item)) return item;
	if (item === "") return '""';
	// Falco joins items as text: one with commas and nothing else that needs quotes is several.
	return /[\s()='"]/.test(item) ? `"${item.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : item;
}

/** The part of a condition, as written, that stands before `at` of what it became with its lists put in. */
export function writtenBefore(condition: string, lists: Lists, at: number): string {
	const places = [
		0,
		...[...condition.matchAll(listWord)].flatMap(({ 0: word, index }) => [index, index + word.length]),
	];
	let low = 0;
	for (let high = places.length - 1; low < high; ) {
		const middle = Math.ceil((low + high) / 2);
		if (expandLists(condition.slice(0, places[middle]), lists).length <= at) low = middle;
		else high = middle - 1;
	}
	const begin = places[low] ?? 0;
	const rest = at - expandLists(condition.slice(0, begin), lists).length;
	const end = places[low + 1] ?? condition.length;
	// Within a list's items the list's name is the place.
	const named = lists.has(condition.slice(begin, end));
	return condition.slice(0, named ? begin : Math.min(begin + rest, end));
}

/** Throws CheckProblem. What comes out of a macro is placed where the rule's own text names the macro. */
export function expandMacros(node: Node, lists: Lists, macros: Macros): Node {
	return new MacroExpansion(lists, macros).expand(node, Number.POSITIVE_INFINITY, [], undefined);
}

/** As they were read, each once however many rules use it. */
const parsed = new WeakMap<MacroDefinition, Node>();

class MacroExpansion {
	readonly #lists: Lists;
	readonly #macros: Macros;
	/** A macro that names another twice, which does the same, stands for any number of checks. */
	#left = mostNodes;

	constructor(lists: Lists, macros: Macros) {
		this.#lists = lists;
		this.#macros = macros;
	}

	expand(node: Node, seesBefore: number, path: readonly string[], place: number | undefined): Node {
		if (--this.#left < 0)
			throw new CheckProblem("the condition is too long with its macros put in", "use fewer macros", place);
		switch (node.is) {
			case "check":
				return place === undefined ? node : { ...node, at: place };
			case "not":
				return { is: "not", node: this.expand(node.node, seesBefore, path, place) };
			case "and":
			case "or":
				return {
					is: node.is,
					nodes: node.nodes.map((each) => this.expand(each, seesBefore, path, place)),
				};
			case "name": {
				const { name } = node;
				const at = place ?? node.at;
				const macro = this.#macros.get(name);
				if (!macro) throw new CheckProblem(`no macro is named ${name}`, "define it, or correct its name", at);
				if (path.includes(name))
					throw new CheckProblem(`the macro ${name} contains itself`, "break the circle", at);
				if (macro.index >= seesBefore)
					throw new CheckProblem(
						`the macro ${name} is defined after the macro that uses it`,
						"move it up",
						at,
					);
				return this.expand(this.#parse(name, macro, at), macro.seesBefore, [...path, name], at);
			}
		}
	}

	#parse(name: string, macro: MacroDefinition, at: number): Node {
		try {
			const node = parsed.get(macro) ?? parseCondition(expandLists(macro.condition, this.#lists));
			parsed.set(macro, node);
			return node;
		} catch (error) {
			if (!(error instanceof SyntaxProblem || error instanceof CheckProblem)) throw error;
			throw new CheckProblem(`in the macro ${name}: ${error.message} (${macro.place})`, error.remedy, at);
		}
	}
}
