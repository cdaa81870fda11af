// From the items of rule files to complete rules: later items change earlier ones (append, override, enabled). The
// order of the files is the order of the rules; what lists, macros and exceptions put in is decided elsewhere.
import type { Problem } from "../model/verdict.ts";
import { CheckProblem } from "./check.ts";
import { exceptionsOf, exceptionsProblem, mergeExceptions } from "./exceptions.ts";
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
import {
	appends,
	changeProblem,
	changes,
	type ItemProblem,
	isNo,
	isSwitch,
	isYes,
	withoutEffect,
} from "./override.ts";
import { checkRequirement } from "./requirements.ts";
import { type Item, type Place, readItems } from "./rule-file.ts";
import { type Node, parseCondition } from "./syntax.ts";
import { asList, asText, type Value } from "./yaml-values.ts";

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
	/** Not an error when a field or event is unknown here. */
	readonly skipUnknown: boolean;
	readonly samples: unknown;
	readonly falsePositives: readonly string[];
	/** Why no event here can match it. */
	readonly unable: string | undefined;
	/** What keeps it from being compiled at all. */
	readonly wrong: ItemProblem | undefined;
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
	wrong: ItemProblem | undefined;
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
/** The keys of each sort of item; others are warned of. */
export const knownKeys: Readonly<Record<string, ReadonlySet<string>>> = {
	rule: words(
		"rule desc condition output priority tags enabled exceptions append override source warn_evttypes skip-if-unknown-filter capture capture_duration",
	),
	macro: words("macro condition append override"),
	list: words("list items append override"),
};
const isKnown = (is: string, key: string): boolean =>
	knownKeys[is]?.has(key) === true || key.startsWith("picket_");
const textKeys = ["condition", "output", "priority", "desc", "source", "enabled"];
const source = (values: Readonly<Record<string, Value>>): string => asText(values.source) || "syscall";

/** In steps of a file or a rule each. */
export function* collect(files: readonly RuleFile[], problems: Problem[]): Generator<void, RuleSource[]> {
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
		const append = appends(item, "items");
		const items = asList(item.values.items);
		if (!/^[^()"'\s=,]+$/.test(item.name))
			report(item, "list", "no condition can name this list", "leave out spaces, quotes, ( ) = and ,");
		else if (item.values.items === undefined)
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
		const append = appends(item, "condition");
		const { condition = "" } = item.values;
		if (!/^[a-zA-Z]+\w*$/.test(item.name))
			report(item, "macro", "no condition can name this macro", "use letters, digits and _ alone");
		else if (typeof condition !== "string")
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
		const refuse = (key: string, message: string, remedy: string) => report(item, key, message, remedy);
		if (!changes(item) && !isSwitch(item)) {
			if (before && source(item.values) !== source(before.values)) {
				refuse(
					"rule",
					`the rule is there already, for ${source(before.values)}`,
					"give it another name, or the same source",
				);
				return;
			}
			// A redefinition takes the old one's place.
			rules.set(item.name, ruleOf(item, origin));
			return;
		}
		if (!before) {
			const what = isSwitch(item) ? "enabled alone" : "append and override";
			refuse("rule", "there is no rule to change", `define the rule first, or leave out ${what}`);
			return;
		}
		const strange =
			noText(item) ??
			inExceptions(item, appends(item, "exceptions") ? asList(before.values.exceptions) : undefined);
		if (strange) {
			refuse(strange.key, strange.message, strange.remedy);
			return;
		}
		const silent = withoutEffect(item);
		for (const [key, value] of Object.entries(item.values)) {
			if (key === "rule" || key === "append" || key === "override" || silent.includes(key)) continue;
			// Unknown ones are told of, and must not become something else: __proto__ would.
			if (!isKnown(item.is, key)) continue;
			const append = appends(item, key);
			const piece = { item, text: asText(value) };
			before.pieces.set(key, append ? [...(before.pieces.get(key) ?? []), piece] : [piece]);
			before.values[key] = change(before.values[key], value, key, append);
		}
	};

	for (const { path, text, origin } of files) {
		for (const item of yield* readItems(path, text, problems)) {
			const known = knownKeys[item.is];
			for (const key of known ? Object.keys(item.values) : []) {
				if (isKnown(item.is, key)) continue;
				report(item, key, `unknown key ${key}`, `known: ${[...(known ?? [])].join(", ")}`, "warning");
			}
			for (const key of withoutEffect(item))
				report(item, key, `${key} has no effect here`, "leave it out, or use override", "warning");
			const wrong = changeProblem(item);
			if (wrong) report(item, wrong.key, wrong.message, wrong.remedy);
			else if (item.is === "list") takeList(item);
			else if (item.is === "macro") takeMacro(item);
			else if (item.is === "rule") takeRule(item, origin);
			else checkRequirement(item, report);
		}
		yield;
	}
	const resolved = resolveLists(lists);
	/** Signs that all conditions together may have with their lists put in. */
	let left = 16 << 20;
	const sources: RuleSource[] = [];
	for (const rule of rules.values()) {
		const condition = conditionOf(rule, resolved, left);
		left -= condition.text.length;
		sources.push(sourceOf(rule, condition, resolved, macros));
		yield;
	}
	return sources;
}

function ruleOf(item: Item, origin: RuleFile["origin"]): Rule {
	const lacking = ["condition", "output", "priority"].filter((key) => item.values[key] === undefined);
	const wrong =
		lacking.length === 0
			? (noText(item) ?? inExceptions(item, undefined))
			: { key: "rule", message: `the rule has no ${lacking.join(", no ")}`, remedy: "add what is missing" };
	const pieces = Object.entries(item.values).map(([key, value]): [string, Piece[]] => [
		key,
		[{ item, text: asText(value) }],
	]);
	return { item, origin, values: { ...item.values }, pieces: new Map(pieces), wrong };
}

/** A list or a map where one text belongs. */
function noText({ values }: Item): ItemProblem | undefined {
	const key = textKeys.find((each) => values[each] !== undefined && typeof values[each] !== "string");
	return key === undefined
		? undefined
		: { key, message: `${key} is no text`, remedy: `write it behind ${key}:, without - or {}` };
}

function inExceptions(item: Item, before: readonly Value[] | undefined): ItemProblem | undefined {
	const problem = exceptionsProblem(item.values.exceptions, before);
	return problem && { key: "exceptions", ...problem };
}

function change(before: Value | undefined, value: Value, key: string, append: boolean): Value {
	if (!append || key === "enabled" || key === "priority") return value;
	if (key === "exceptions") return mergeExceptions(asList(before), asList(value));
	if (key === "tags") return [...asList(before), ...asList(value)];
	return `${asText(before)} ${asText(value)}`;
}

const ink = (text: string): number => text.replace(/\s+/g, "").length;

/** With its lists put in, as far as that is short enough. */
interface Condition {
	readonly text: string;
	readonly wrong: ItemProblem | undefined;
}
function conditionOf({ values, wrong }: Rule, lists: Lists, left: number): Condition {
	if (wrong) return { text: asText(values.condition), wrong };
	const tooLong = (message: string, remedy: string): Condition => ({
		text: "",
		wrong: { key: "condition", message, remedy },
	});
	try {
		const text = expandLists(asText(values.condition), lists);
		if (text.length <= left) return { text, wrong: undefined };
		return tooLong("the conditions of all rules together are too long", "use fewer lists, or shorter ones");
	} catch (error) {
		if (!(error instanceof CheckProblem)) throw error;
		return tooLong(error.message, error.remedy);
	}
}

function sourceOf(rule: Rule, condition: Condition, lists: Lists, macros: Macros): RuleSource {
	const { item, origin, values } = rule;
	const written = asText(values.condition);
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
		condition: condition.text,
		placeAt: (at) => placeOf("condition", writtenBefore(written, lists, at)),
		tree: () => ({
			node: exceptionsOf(values.exceptions, lists).reduce<Node>(
				(sum, each) => ({ is: "and", nodes: [sum, { is: "not", node: each }] }),
				expandMacros(parseCondition(condition.text), lists, macros),
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
		unable:
			source(values) === "syscall"
				? undefined
				: `its events come from ${source(values)}, not from this host's system calls`,
		skipUnknown: isYes(values["skip-if-unknown-filter"]),
		samples: values.picket_samples,
		falsePositives: asList(values.picket_false_positives).map(asText),
		wrong: condition.wrong,
	};
}
