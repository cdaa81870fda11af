// From the items of rule files to complete rules: later items change earlier ones (append, override, enabled). The
// order of the files is the order of the rules; what lists, macros and exceptions put in is decided elsewhere.
import type { Problem } from "../model/verdict.ts";
import { exceptionsOf, mergeExceptions } from "./exceptions.ts";
import {
	expandLists,
	expandMacros,
	type ListDefinition,
	type Lists,
	type MacroDefinition,
	type Macros,
	resolveLists,
	writtenBefore,
} from "./expand.ts";
import type { RuleFile } from "./load.ts";
import { asList, asMap, asText, type Item, type Place, readItems, type Value } from "./rule-file.ts";
import { type Node, parseCondition } from "./syntax.ts";

export interface RuleSource {
	readonly name: string;
	readonly origin: RuleFile["origin"] | "sigma";
	readonly file: string;
	readonly place: Place;
	/** "" when there is none. */
	readonly id: string;
	/** A Sigma document's `name`, by which others may refer to it; "" when there is none. */
	readonly shortName: string;
	readonly author: string;
	readonly references: readonly string[];
	/** Where a key's value stands, or what comes in it behind the text `before`. */
	placeOf(key: string, before?: string): Place & { readonly file: string };
	/** Lists put in. */
	readonly condition: string;
	/** Where the part of the condition stands to which a check's or a problem's `at` belongs. */
	placeAt(at: number): Place & { readonly file: string };
	/** The condition with macros and exceptions in it. Throws CheckProblem or SyntaxProblem. */
	tree(): Tree;
	readonly output: string;
	readonly description: string;
	readonly priority: string;
	readonly tags: readonly string[];
	readonly enabled: boolean;
	readonly samples: unknown;
	readonly falsePositives: readonly string[];
	/** Why no event here can match it. */
	readonly unable: string | undefined;
	/** What keeps it from being compiled at all. */
	readonly wrong:
		| {
				readonly key: string;
				readonly message: string;
				readonly remedy: string;
				/** Of the mistake; the key's when left out. */
				readonly place?: Place & { readonly file: string };
		  }
		| undefined;
}

export interface Tree {
	readonly node: Node;
	/** Why parts of it can never hold. */
	readonly reasons: readonly string[];
	/** For people to read, where it is not the condition itself. */
	readonly shown: string | undefined;
}

/** A key's text comes from one item, and from further ones that appended to it. */
interface Piece {
	readonly item: Item;
	readonly text: string;
}
interface Rule {
	readonly item: Item;
	readonly origin: RuleFile["origin"];
	values: Record<string, Value>;
	readonly pieces: Map<string, Piece[]>;
	wrong: RuleSource["wrong"];
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const knownKeys: Readonly<Record<string, ReadonlySet<string>>> = {
	rule: words(
		"rule desc condition output priority tags enabled exceptions append override source warn_evttypes skip-if-unknown-filter capture capture_duration",
	),
	macro: words("macro condition append override"),
	list: words("list items append override"),
};
const textKeys = ["condition", "output", "priority", "desc", "source", "enabled"];
/** Falco's engine version this language level corresponds to. */
const engine = [0, 63, 0] as const;

/** YAML 1.1 knows more words for no and yes than one. */
function isNo(value: Value | undefined): boolean {
	return /^(false|no|off|n)$/i.test(asText(value));
}
function isYes(value: Value | undefined): boolean {
	return /^(true|yes|on|y)$/i.test(asText(value));
}

export function collect(files: readonly RuleFile[], problems: Problem[]): RuleSource[] {
	const lists = new Map<string, ListDefinition>();
	const macros = new Map<string, MacroDefinition>();
	const rules = new Map<string, Rule>();
	let count = 0;
	const report = (
		item: Item,
		key: string,
		message: string,
		remedy: string,
		level: Problem["level"] = "error",
	): void => {
		problems.push({
			file: item.file,
			...item.placeOf(key),
			where: `${item.is} ${item.name}`,
			message,
			remedy,
			level,
		});
	};

	const takeList = (item: Item): void => {
		const before = lists.get(item.name);
		const { append } = modeOf(item, "items");
		const items = asList(item.values.items);
		if (item.values.items === undefined)
			report(item, "list", "the list has no items", "write items: [a, b], or items: [] for an empty list");
		else if (items.some((each) => typeof each !== "string"))
			report(item, "items", "an item of the list is no single value", "name another list without brackets");
		else if (append && !before)
			report(item, "list", "there is no list to append to", "define the list first, or leave out append");
		else {
			const index = count++;
			const texts = items.map(asText);
			lists.set(item.name, {
				items: append ? [...(before?.items ?? []), ...texts] : texts,
				index: before?.index ?? index,
				seesBefore: index,
			});
		}
	};
	const takeMacro = (item: Item): void => {
		const before = macros.get(item.name);
		const { append } = modeOf(item, "condition");
		const { condition = "" } = item.values;
		if (typeof condition !== "string")
			report(item, "condition", "the condition is no text", "write it behind condition:, without - or {}");
		else if (append && !before)
			report(item, "macro", "there is no macro to append to", "define the macro first, or leave out append");
		else {
			const index = count++;
			const { line } = item.placeOf("condition");
			macros.set(item.name, {
				condition: append && before ? `${before.condition} ${condition}` : condition,
				place: `${item.file}:${line}`,
				index: before?.index ?? index,
				seesBefore: index,
			});
		}
	};
	const takeRule = (item: Item, origin: RuleFile["origin"]): void => {
		const before = rules.get(item.name);
		const changes = isYes(item.values.append) || item.values.override !== undefined;
		const onlySwitch = item.values.condition === undefined && item.values.enabled !== undefined;
		if (!changes && !(onlySwitch && before)) {
			// A redefinition takes the old one's place.
			rules.set(item.name, ruleOf(item, origin));
			return;
		}
		const refuse = (key: string, message: string, remedy: string) => report(item, key, message, remedy);
		if (!before) {
			refuse("rule", "there is no rule to change", "define the rule first, or leave out append and override");
			return;
		}
		if (isYes(item.values.append) && item.values.override !== undefined) {
			refuse("append", "append and override do not go together", "use override alone");
			return;
		}
		const mode = Object.entries(asMap(item.values.override)).find(
			([, word]) => word !== "append" && word !== "replace",
		);
		if (mode) {
			refuse("override", `${mode[0]}: ${asText(mode[1])} is no way to override`, "write append or replace");
			return;
		}
		const strange = noText(item);
		if (strange) {
			refuse(strange.key, strange.message, strange.remedy);
			return;
		}
		for (const [key, value] of Object.entries(item.values)) {
			if (key === "rule" || key === "append" || key === "override") continue;
			const { append } = modeOf(item, key);
			const piece = { item, text: asText(value) };
			before.pieces.set(key, append ? [...(before.pieces.get(key) ?? []), piece] : [piece]);
			before.values[key] = change(before.values[key], value, key, append);
		}
	};

	for (const { path, text, origin } of files) {
		for (const item of readItems(path, text, problems)) {
			const known = knownKeys[item.is];
			for (const key of known ? Object.keys(item.values) : []) {
				if (known?.has(key) || key.startsWith("picket_")) continue;
				report(item, key, `unknown key ${key}`, `known: ${[...(known ?? [])].join(", ")}`, "warning");
			}
			if (item.is === "list") takeList(item);
			else if (item.is === "macro") takeMacro(item);
			else if (item.is === "rule") takeRule(item, origin);
			else if (item.is === "required_engine_version" && !isSupported(item.name)) {
				report(
					item,
					item.is,
					`the file needs engine ${item.name}, this is ${engine.join(".")}`,
					"use a newer version of Picket, or an older file",
				);
			}
		}
	}
	const resolved = resolveLists(lists);
	return [...rules.values()].map((rule) => sourceOf(rule, resolved, macros));
}

function ruleOf(item: Item, origin: RuleFile["origin"]): Rule {
	const lacking = ["condition", "output", "priority"].filter((key) => item.values[key] === undefined);
	const wrong =
		lacking.length === 0
			? noText(item)
			: { key: "rule", message: `the rule has no ${lacking.join(", no ")}`, remedy: "add what is missing" };
	const pieces = Object.entries(item.values).map(([key, value]): [string, Piece[]] => [
		key,
		[{ item, text: asText(value) }],
	]);
	return { item, origin, values: { ...item.values }, pieces: new Map(pieces), wrong };
}

/** A list or a map where one text belongs. */
function noText({ values }: Item): RuleSource["wrong"] {
	const key = textKeys.find((each) => values[each] !== undefined && typeof values[each] !== "string");
	return key === undefined
		? undefined
		: { key, message: `${key} is no text`, remedy: `write it behind ${key}:, without - or {}` };
}

/** A key is appended to or replaced: `append: true` is for what can be joined, override says it per key. */
function modeOf(item: Item, key: string): { append: boolean } {
	const override = asMap(item.values.override)[key];
	if (override !== undefined) return { append: override === "append" };
	return { append: isYes(item.values.append) };
}
function change(before: Value | undefined, value: Value, key: string, append: boolean): Value {
	if (!append || key === "enabled" || key === "priority") return value;
	if (key === "exceptions") return mergeExceptions(asList(before), asList(value));
	if (key === "tags") return [...asList(before), ...asList(value)];
	return `${asText(before)} ${asText(value)}`;
}

/** "0.57.0", or the plain number of old files, which is the middle one of the three. */
function isSupported(version: string): boolean {
	const parts = (/^\d+$/.test(version) ? `0.${version}` : version).split(".").map(Number);
	if (parts.some(Number.isNaN) || parts[0] !== engine[0]) return false;
	return (parts[1] ?? 0) < engine[1] || ((parts[1] ?? 0) === engine[1] && (parts[2] ?? 0) <= engine[2]);
}

const ink = (text: string): number => text.replace(/\s+/g, "").length;

function sourceOf(rule: Rule, lists: Lists, macros: Macros): RuleSource {
	const { item, origin, values, wrong } = rule;
	const source = asText(values.source);
	const written = asText(values.condition);
	const condition = expandLists(written, lists);
	const placeOf: RuleSource["placeOf"] = (key, before = "") => {
		const pieces = rule.pieces.get(key) ?? [{ item, text: "" }];
		let skip = ink(before);
		let at = 0;
		// Without a place in it, the item that wrote last is the likeliest to be wrong.
		if (before === "") at = pieces.length - 1;
		for (; at < pieces.length - 1; at++) {
			const size = ink(pieces[at]?.text ?? "");
			if (skip < size) break;
			skip -= size;
		}
		const from = pieces[at]?.item ?? item;
		return { file: from.file, ...from.placeOf(key, skip) };
	};
	return {
		name: item.name,
		origin,
		file: item.file,
		place: item.place,
		id: "",
		shortName: "",
		author: "",
		references: [],
		placeOf,
		condition,
		placeAt: (at) => placeOf("condition", writtenBefore(written, lists, at)),
		tree: () => ({
			node: exceptionsOf(values.exceptions, lists).reduce<Node>(
				(sum, each) => ({ is: "and", nodes: [sum, { is: "not", node: each }] }),
				expandMacros(parseCondition(condition), lists, macros),
			),
			reasons: [],
			shown: undefined,
		}),
		output: asText(values.output).replace(/\s+/g, " "),
		description: asText(values.desc).replace(/\s+/g, " ").trim(),
		priority: asText(values.priority),
		tags: asList(values.tags).map(asText),
		enabled: !isNo(values.enabled),
		// Of another source nothing here can say whether its fields are right.
		unable: /^(syscall)?$/.test(source)
			? undefined
			: `its events come from ${source}, not from this host's system calls`,
		samples: values.picket_samples,
		falsePositives: asList(values.picket_false_positives).map(asText),
		wrong,
	};
}
