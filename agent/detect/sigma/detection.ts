// The selections of a Sigma rule: maps and lists of what is asked of which field, and the condition they make on the
// events of one sort.
import { isSingle, parseNetwork } from "../../model/address.ts";
import { CheckProblem } from "../check.ts";
import { type Document, DocumentProblem, type Path } from "../documents.ts";
import { findField } from "../fields.ts";
import { matcher, numberOperators } from "../matcher.ts";
import type { FieldRef, Node, Operator, Term } from "../syntax.ts";
import type { Value } from "../yaml-values.ts";
import { type Ask, ModifierProblem, type Modifiers, parseModifiers } from "./modifiers.ts";
import { hasForeignCase, ordinary, regexOfGlob } from "./pattern.ts";
import type { Mapped, Variant } from "./taxonomy.ts";
import { always, never } from "./text.ts";

/** A field with what is asked of it; without a field, of the event's whole text. */
export interface Item {
	readonly field: string | undefined;
	readonly modifiers: Modifiers;
	readonly values: readonly {
		readonly asks: readonly Ask[];
		readonly not: boolean;
		readonly shown: string;
	}[];
	readonly path: Path;
}
export type Selection =
	| { readonly is: "and" | "or"; readonly of: readonly Selection[] }
	| { readonly is: "item"; readonly item: Item };

export interface Where {
	readonly document: Document;
	readonly path: Path;
}

/** Throws DocumentProblem. */
export function parseSelection(value: Value, path: Path): Selection {
	if (Array.isArray(value)) {
		if (value.length === 0)
			throw new DocumentProblem("the selection is empty", path, "write a field and a value");
		// Texts are keywords; those that stand side by side are looked for at once.
		const words = value.flatMap((each, index) => (isScalar(each) ? [[each, index] as const] : []));
		const maps = value.flatMap((each, index) =>
			isScalar(each) ? [] : [parseSelection(each, [...path, index])],
		);
		if (words.length === 0) return joined("or", maps);
		const item = itemOf(
			"",
			words.map(([word]) => word),
			path,
		);
		return joined("or", [{ is: "item", item }, ...maps]);
	}
	if (isScalar(value)) return { is: "item", item: itemOf("", [value], path) };
	const entries = Object.entries(value as Readonly<Record<string, Value>>);
	if (entries.length === 0)
		throw new DocumentProblem("the selection is empty", path, "write a field and a value");
	return joined(
		"and",
		entries.map(([key, each]): Selection => {
			const at = [...path, key];
			if (each !== null && typeof each === "object" && !Array.isArray(each))
				throw new DocumentProblem(`${key} is a map`, at, "give it a value or a list of values");
			const values = Array.isArray(each) ? each : [each];
			if (values.length === 0) throw new DocumentProblem(`${key} has no value`, at, "write at least one");
			const strange = values.findIndex((one) => !isScalar(one));
			if (strange >= 0)
				throw new DocumentProblem("a value is no single value", [...at, strange], "write it without - or {}");
			return { is: "item", item: itemOf(key, values, at) };
		}),
	);
}

const isScalar = (value: Value): value is string | null => value === null || typeof value === "string";
function joined(is: "and" | "or", of: readonly Selection[]): Selection {
	return of.length === 1 ? (of[0] as Selection) : { is, of };
}

function itemOf(key: string, values: readonly (string | null)[], path: Path): Item {
	const [field = "", ...words] = key.split("|");
	try {
		const modifiers = parseModifiers(words, field === "");
		return {
			field: field === "" ? undefined : field,
			modifiers,
			values: values.map((value, index) => {
				try {
					return { ...modifiers.asks(value), shown: value ?? "null" };
				} catch (error) {
					if (!(error instanceof ModifierProblem)) throw error;
					throw new DocumentProblem(error.message, [...path, index], error.remedy);
				}
			}),
			path,
		};
	} catch (error) {
		if (!(error instanceof ModifierProblem)) throw error;
		throw new DocumentProblem(error.message, path, error.remedy);
	}
}

export function itemsOf(selection: Selection): readonly Item[] {
	return selection.is === "item" ? [selection.item] : selection.of.flatMap(itemsOf);
}

const not = (node: Node): Node => ({ is: "not", node });

/** Selections as conditions on the events of a variant; notes what no event can answer. */
export class Binder {
	readonly #places: Where[];
	readonly #document: Document;
	/** Fields that some variant has. */
	readonly #known = new Set<string>();
	readonly #unknown = new Set<string>();
	/** Of constants: "type SERVICE_STOP", and whether any variant has it. */
	readonly #constants = new Map<string, boolean>();

	/** Puts into `places` where each check's `at` is, in `document`. */
	constructor(places: Where[], document: Document) {
		this.#places = places;
		this.#document = document;
	}

	/** Why parts of what was bound can never hold. */
	reasons(): string[] {
		const fields = [...this.#unknown].filter((name) => !this.#known.has(name));
		const constants = [...this.#constants].flatMap(([shown, found]) => (found ? [] : [shown]));
		return [
			...(fields.length > 0 ? [`these fields are never set: ${fields.join(", ")}`] : []),
			...(constants.length > 0 ? [`no event here has ${constants.join(", ")}`] : []),
		];
	}

	bind(selection: Selection, variant: Variant): Node {
		if (selection.is !== "item")
			return { is: selection.is, nodes: selection.of.map((each) => this.bind(each, variant)) };
		const { item } = selection;
		const at = this.#places.push({ document: this.#document, path: item.path }) - 1;
		if (item.field === undefined) return this.#keywords(item, variant, at);
		const mapped = variant.field(item.field);
		if (!mapped) {
			this.#unknown.add(item.field);
			// Nothing is there: null and "exists: false" hold.
			const holds = item.values.map(({ asks, not: opposite }) =>
				asks.some(({ is }) => (is === "empty" && !item.modifiers.negated) || (is === "exists" && opposite)),
			);
			const { all } = item.modifiers;
			return (all ? holds.every(Boolean) : holds.some(Boolean)) ? always : never;
		}
		this.#known.add(item.field);
		if (mapped.is === "constant") return this.#constant(item, mapped.text) ? always : never;
		return this.#check(item, mapped, variant, at);
	}

	/** What is asked of a text that is the same for all these events. */
	#constant({ field = "", values, modifiers }: Item, text: string): boolean {
		const holds = (ask: Ask): boolean => {
			switch (ask.is) {
				case "text":
					return matcher(ask.operator, [ask.text]).onString(text);
				case "compare":
					return numberOperators[ask.operator]?.(Number(text), Number(ask.number)) === true;
				case "exists":
					return true;
				default:
					return false;
			}
		};
		const answers = values.map(({ asks, not: opposite, shown }) => {
			const answer = asks.some(holds);
			const key = `${field} ${shown}`;
			this.#constants.set(key, answer || this.#constants.get(key) === true);
			return (answer !== opposite) !== modifiers.negated;
		});
		return modifiers.all ? answers.every(Boolean) : answers.some(Boolean);
	}

	/** A word may stand in any of the texts. */
	#keywords({ values, modifiers }: Item, { texts }: Variant, at: number): Node {
		const nodes = values.map(
			({ asks }): Node => ({
				is: "or",
				nodes: texts.flatMap((field) => asks.map((ask) => nodeOf(ask, field, at))),
			}),
		);
		return { is: modifiers.all ? "and" : "or", nodes };
	}

	#check(
		{ values, modifiers }: Item,
		mapped: Extract<Mapped, { is: "field" }>,
		variant: Variant,
		at: number,
	): Node {
		const { all, negated, part } = modifiers;
		const { field, as } = mapped;
		const nodes = values.map(({ asks, not: opposite }): Node => {
			const each = asks.map((ask): Node => {
				if (ask.is === "field") return this.#reference(ask, field, variant, at);
				return nodeOf(as === undefined ? ask : converted(ask, as), field, at, part);
			});
			const node: Node = each.length === 1 ? (each[0] as Node) : { is: "or", nodes: each };
			if (opposite) return not(node);
			if (!negated) return node;
			const there = [field, ...asks.flatMap((ask) => this.#referred(ask, variant))];
			return { is: "and", nodes: [...there.map((one) => exists(one, at)), not(node)] };
		});
		return merged(all ? "and" : "or", nodes);
	}

	/** Of what is missing nothing differs. */
	#referred(ask: Ask, variant: Variant): FieldRef[] {
		const other = ask.is === "field" ? variant.field(ask.name) : undefined;
		return other?.is === "field" ? [other.field] : [];
	}

	#reference(
		{ name, operator }: Extract<Ask, { is: "field" }>,
		field: FieldRef,
		variant: Variant,
		at: number,
	): Node {
		const other = variant.field(name);
		if (!other) {
			this.#unknown.add(name);
			return never;
		}
		this.#known.add(name);
		if (other.is === "constant") return nodeOf({ is: "text", operator, text: other.text }, field, at);
		const right: Term = { is: "call", name: "val", terms: [{ is: "field", field: other.field }] };
		return check({ is: "call", name: "val", terms: [{ is: "field", field }] }, operator, [right], at);
	}
}

function check(left: Term, operator: Operator, right: readonly Term[], at: number): Node {
	return { is: "check", left, operator, match: "any", right, at };
}
const exists = (field: FieldRef, at: number): Node => check({ is: "field", field }, "exists", [], at);
const call = (name: string, field: FieldRef): Term => ({ is: "call", name, terms: [{ is: "field", field }] });

/** Checks of one field with one operator are one check with several values. */
function merged(is: "and" | "or", nodes: readonly Node[]): Node {
	const groups = new Map<string, Node>();
	for (const node of nodes.flatMap((each) => (each.is === is ? each.nodes : [each]))) {
		if (node.is !== "check") {
			groups.set(`${groups.size}`, node);
			continue;
		}
		const key = JSON.stringify([node.left, node.operator]);
		const before = groups.get(key);
		const match = is === "and" ? "all" : "any";
		const right = before?.is === "check" ? [...before.right, ...node.right] : node.right;
		groups.set(key, { ...node, match: right.length > 1 ? match : "any", right });
	}
	const all = [...groups.values()];
	return all.length === 1 ? (all[0] as Node) : { is, nodes: all };
}

/** A field of ours is written otherwise than Sigma's of that meaning. */
function converted(ask: Ask, as: NonNullable<Extract<Mapped, { is: "field" }>["as"]>): Ask {
	if (ask.is !== "text") return ask;
	const { operator, text } = ask;
	switch (as) {
		case "folder": {
			// Ours end in a slash.
			const atEnd = ["=", "iequals", "endswith", "iendswith"].includes(operator);
			return atEnd && !text.endsWith("/") ? { ...ask, text: `${text}/` } : ask;
		}
		case "hexadecimal":
			return /^[0-9a-f]+$/i.test(text) ? { ...ask, text: String(Number.parseInt(text, 16)) } : ask;
		case "yes or no": {
			const word = text.toLowerCase();
			if (word !== "yes" && word !== "no") return ask;
			return { ...ask, text: word === "yes" ? "false" : "true" };
		}
	}
}

/** Case is known to the operators in ASCII only; where there is more, a regular expression takes their place. */
function anyCase(ask: Extract<Ask, { is: "text" }>): Extract<Ask, { is: "text" }> {
	const globs: Partial<Record<Operator, (text: string) => string>> = {
		iequals: ordinary,
		istartswith: (text) => `${ordinary(text)}*`,
		iendswith: (text) => `*${ordinary(text)}`,
		icontains: (text) => `*${ordinary(text)}*`,
		like: (text) => text,
	};
	const globOf = globs[ask.operator];
	if (!globOf || !hasForeignCase(ask.text)) return ask;
	return { is: "text", operator: "search", text: regexOfGlob(globOf(ask.text)) };
}

const equality: readonly Operator[] = ["=", "iequals"];

function nodeOf(ask: Ask, field: FieldRef, at: number, part?: string): Node {
	const type = findField(field.name, field.argument)?.type;
	const left: Term = { is: "field", field };
	const text = (value: string): readonly Term[] => [{ is: "text", text: value }];
	switch (ask.is) {
		case "text": {
			if (type === "text" || type === undefined) {
				const { operator, text: value } = anyCase(ask);
				return check(left, operator, text(value), at);
			}
			if (!equality.includes(ask.operator))
				return check(call("val", field), ask.operator, text(ask.text), at);
			const value = type === "bool" ? ask.text.toLowerCase() : ask.text;
			return isOf(type, value) ? check(left, "=", text(value), at) : never;
		}
		case "compare":
			if (part !== undefined) return check(call(part, field), ask.operator, text(ask.number), at);
			return check(type === "number" ? left : call("number", field), ask.operator, text(ask.number), at);
		case "network":
			if (type !== "address")
				throw new CheckProblem(
					"cidr asks for a network, and the field is no address",
					"use it on an address",
					at,
				);
			return check(left, "=", text(ask.network), at);
		case "exists":
			return exists(field, at);
		case "empty": {
			const missing = not(exists(field, at));
			return type === "text" ? { is: "or", nodes: [missing, check(left, "=", text(""), at)] } : missing;
		}
		case "placeholder":
		case "field":
			return never;
	}
}

/** Can a value of that type be this text? */
function isOf(type: "number" | "bool" | "address", text: string): boolean {
	if (type === "bool") return text === "true" || text === "false";
	if (type === "number") return text.trim() !== "" && !Number.isNaN(Number(text));
	try {
		// A network is no event's address: without cidr it is a text like any other.
		return isSingle(parseNetwork(text));
	} catch {
		return false;
	}
}
