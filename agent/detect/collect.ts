// From the items of rule files to complete rules: later items change earlier ones (append, override, enabled), lists
// are put in as text, macros and exceptions as parts of the tree. The order of the files is the order of the rules.
import type { Problem } from "../model/verdict.ts";
import { CheckProblem } from "./check.ts";
import type { RuleFile } from "./load.ts";
import { type Item, type Place, readItems, type Value } from "./rule-file.ts";
import {
	listOperators,
	type Node,
	type Operator,
	parseCondition,
	SyntaxProblem,
	signs,
	textOperators,
} from "./syntax.ts";

export interface RuleSource {
	readonly name: string;
	readonly origin: RuleFile["origin"];
	readonly file: string;
	readonly place: Place;
	/** Where a key was written last. */
	placeOf(key: string): Place & { readonly file: string };
	/** Lists put in. */
	readonly condition: string;
	/** Puts macros in and adds the exceptions. Throws CheckProblem or SyntaxProblem. */
	tree(node: Node): Node;
	readonly output: string;
	readonly description: string;
	readonly priority: string;
	readonly tags: readonly string[];
	readonly enabled: boolean;
	readonly source: string;
	readonly samples: unknown;
	readonly falsePositives: readonly string[];
	/** What keeps it from being compiled at all. */
	readonly wrong: { readonly key: string; readonly message: string; readonly remedy: string } | undefined;
}

interface Rule {
	readonly item: Item;
	readonly origin: RuleFile["origin"];
	values: Record<string, Value>;
	/** Which later item changed a key last: a mistake is most likely there. */
	readonly changed: Map<string, Item>;
	wrong: RuleSource["wrong"];
}

const ruleKeys: ReadonlySet<string> = new Set(
	"rule desc condition output priority tags enabled exceptions append override source warn_evttypes skip-if-unknown-filter capture capture_duration".split(
		" ",
	),
);
/** Falco's engine version this language level corresponds to. */
const engine = [0, 63, 0] as const;

function text(value: Value | undefined): string {
	return typeof value === "string" ? value : "";
}
function list(value: Value | undefined): readonly Value[] {
	if (Array.isArray(value)) return value;
	return value === undefined || value === "" ? [] : [value];
}
/** YAML 1.1 knows more words for no and yes than one. */
function isNo(value: Value | undefined): boolean {
	return /^(false|no|off|n)$/i.test(text(value));
}
function isYes(value: Value | undefined): boolean {
	return /^(true|yes|on|y)$/i.test(text(value));
}
function map(value: Value | undefined): Readonly<Record<string, Value>> {
	return typeof value === "object" && !Array.isArray(value) ? (value as Record<string, Value>) : {};
}

export function collect(files: readonly RuleFile[], problems: Problem[]): RuleSource[] {
	const lists = new Map<string, string[]>();
	const macros = new Map<string, { condition: string; order: number }>();
	const rules = new Map<string, Rule>();
	let order = 0;
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
		const items = list(item.values.items).flatMap((each) => lists.get(text(each)) ?? [text(each)]);
		const before = lists.get(item.name);
		const { append } = modeOf(item, "items");
		if (append && !before)
			report(item, "list", "there is no list to append to", "define the list first, or leave out append");
		else lists.set(item.name, append ? [...(before ?? []), ...items] : items);
	};
	const takeMacro = (item: Item): void => {
		const condition = text(item.values.condition);
		const before = macros.get(item.name);
		const { append } = modeOf(item, "condition");
		if (append && !before)
			report(item, "macro", "there is no macro to append to", "define the macro first, or leave out append");
		else if (append && before) before.condition += ` ${condition}`;
		else macros.set(item.name, { condition, order: before?.order ?? order++ });
	};
	const takeRule = (item: Item, origin: RuleFile["origin"]): void => {
		for (const key of Object.keys(item.values)) {
			if (ruleKeys.has(key) || key.startsWith("picket_")) continue;
			report(item, key, `unknown key ${key}`, `known: ${[...ruleKeys].join(", ")}`, "warning");
		}
		const before = rules.get(item.name);
		const changes = isYes(item.values.append) || item.values.override !== undefined;
		const onlySwitch = item.values.condition === undefined && item.values.enabled !== undefined;
		if (changes || (onlySwitch && before)) {
			if (!before) {
				report(
					item,
					"rule",
					"there is no rule to change",
					"define the rule first, or leave out append and override",
				);
				return;
			}
			if (isYes(item.values.append) && item.values.override !== undefined) {
				report(item, "append", "append and override do not go together", "use override alone");
				return;
			}
			const mode = Object.entries(map(item.values.override)).find(
				([, word]) => word !== "append" && word !== "replace",
			);
			if (mode) {
				report(
					item,
					"override",
					`${mode[0]}: ${text(mode[1])} is no way to override`,
					"write append or replace",
				);
				return;
			}
			for (const key of Object.keys(item.values)) {
				if (key === "rule" || key === "append" || key === "override") continue;
				before.changed.set(key, item);
				before.values[key] = change(before.values[key], item.values[key], key, modeOf(item, key));
			}
			return;
		}
		const lacking = ["condition", "output", "priority"].filter((key) => item.values[key] === undefined);
		const wrong =
			lacking.length === 0
				? undefined
				: { key: "rule", message: `the rule has no ${lacking.join(", no ")}`, remedy: "add what is missing" };
		// A redefinition takes the old one's place.
		rules.set(item.name, { item, origin, values: { ...item.values }, changed: new Map(), wrong });
	};

	for (const { path, text: content, origin } of files) {
		for (const item of readItems(path, content, problems)) {
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
	return [...rules.values()].map((rule) => sourceOf(rule, lists, macros));
}

/** A key is appended to or replaced: `append: true` is for what can be joined, override says it per key. */
function modeOf(item: Item, key: string): { append: boolean } {
	const override = map(item.values.override)[key];
	if (override !== undefined) return { append: override === "append" };
	return { append: isYes(item.values.append) };
}
function change(
	before: Value | undefined,
	value: Value | undefined,
	key: string,
	{ append }: { append: boolean },
): Value {
	if (!append || key === "enabled" || key === "priority") return value ?? "";
	if (key === "exceptions") return mergeExceptions(list(before), list(value));
	if (key === "tags") return [...list(before), ...list(value)];
	return `${text(before)} ${text(value)}`;
}
function mergeExceptions(before: readonly Value[], more: readonly Value[]): readonly Value[] {
	const out = before.map((each) => ({ ...map(each) }));
	for (const each of more) {
		const found = out.find((known) => known.name === map(each).name);
		if (found) found.values = [...list(found.values), ...list(map(each).values)];
		else out.push({ ...map(each) });
	}
	return out;
}

/** "0.57.0", or an old plain number, which always is older than ours. */
function isSupported(version: string): boolean {
	if (/^\d+$/.test(version)) return true;
	const parts = version.split(".").map(Number);
	if (parts.some(Number.isNaN) || parts[0] !== engine[0]) return false;
	return (parts[1] ?? 0) < engine[1] || ((parts[1] ?? 0) === engine[1] && (parts[2] ?? 0) <= engine[2]);
}

function sourceOf(
	rule: Rule,
	lists: ReadonlyMap<string, string[]>,
	macros: ReadonlyMap<string, { condition: string; order: number }>,
): RuleSource {
	const { item, origin, values, wrong } = rule;
	return {
		name: item.name,
		origin,
		file: item.file,
		place: item.place,
		placeOf: (key) => {
			const written = rule.changed.get(key) ?? item;
			return { file: written.file, ...written.placeOf(key) };
		},
		condition: expandLists(text(values.condition), lists),
		tree: (node) => {
			const whole = expandMacros(node, Number.POSITIVE_INFINITY, lists, macros, []);
			const exceptions = list(values.exceptions).flatMap((each) => exceptionOf(map(each), lists));
			return exceptions.reduce<Node>(
				(sum, each) => ({ is: "and", nodes: [sum, { is: "not", node: each }] }),
				whole,
			);
		},
		output: text(values.output).replace(/\s+/g, " "),
		description: text(values.desc).replace(/\s+/g, " ").trim(),
		priority: text(values.priority),
		tags: list(values.tags).map(text),
		enabled: !isNo(values.enabled),
		source: text(values.source) || "syscall",
		samples: values.picket_samples,
		falsePositives: list(values.picket_false_positives).map(text),
		wrong,
	};
}

/** Marks where an empty list stood; a character no rule file has a use for. */
const hole = "\ue000";
const listWord = /(?<=^|[\s(),=])[^\s(),=]+(?=$|[\s(),=])/g;

/** Lists stand for their items wherever their name stands alone. An empty one takes a neighbouring comma along. */
export function expandLists(condition: string, lists: ReadonlyMap<string, readonly string[]>): string {
	let emptied = false;
	const out = condition.replace(listWord, (word) => {
		const items = lists.get(word);
		if (!items) return word;
		if (items.length === 0) emptied = true;
		return items.length === 0 ? hole : items.map(quoteItem).join(", ");
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
	return /[\s(),='"]/.test(item) ? `"${item.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : item;
}

function expandMacros(
	node: Node,
	before: number,
	lists: ReadonlyMap<string, readonly string[]>,
	macros: ReadonlyMap<string, { condition: string; order: number }>,
	path: readonly string[],
): Node {
	switch (node.is) {
		case "check":
			return node;
		case "not":
			return { is: "not", node: expandMacros(node.node, before, lists, macros, path) };
		case "and":
		case "or":
			return {
				is: node.is,
				nodes: node.nodes.map((each) => expandMacros(each, before, lists, macros, path)),
			};
		case "name": {
			const macro = macros.get(node.name);
			if (!macro) throw new CheckProblem(`no macro is named ${node.name}`, "define it, or correct its name");
			if (path.includes(node.name))
				throw new CheckProblem(`the macro ${node.name} contains itself`, "break the circle");
			if (macro.order >= before)
				throw new CheckProblem(
					`the macro ${node.name} is defined after the macro that uses it`,
					"move it up",
				);
			const inner = parseMacro(node.name, expandLists(macro.condition, lists));
			return expandMacros(inner, macro.order, lists, macros, [...path, node.name]);
		}
	}
}
function parseMacro(name: string, condition: string): Node {
	try {
		return parseCondition(condition);
	} catch (error) {
		if (!(error instanceof SyntaxProblem)) throw error;
		throw new CheckProblem(`in the macro ${name}: ${error.message}`, error.remedy);
	}
}

const operators: ReadonlySet<string> = new Set([...signs, ...textOperators, ...listOperators]);
function operatorOf(comparison: string): Operator {
	if (!operators.has(comparison)) {
		throw new CheckProblem(
			`an exception compares with ${JSON.stringify(comparison)}, which is no operator`,
			`known: ${[...operators].join(" ")}`,
		);
	}
	return (comparison === "==" ? "=" : comparison) as Operator;
}
/** One value or several; an empty text is a value too. */
function several(value: Value | undefined): string[] {
	return typeof value === "string" ? [value] : list(value).map(text);
}

/** An exception's values as a condition: any of its tuples, each all of its fields. */
function exceptionOf(
	exception: Readonly<Record<string, Value>>,
	lists: ReadonlyMap<string, readonly string[]>,
): Node[] {
	const { fields, comps, values } = exception;
	const rows = list(values);
	if (rows.length === 0) return [];
	const check = (field: string, comparison: string, right: readonly string[]): Node => {
		const items = right
			.flatMap((each) => lists.get(each) ?? [each])
			.map((each) => each.replace(/^(["'])(.*)\1$/s, "$2"));
		const found = /^([a-zA-Z][\w.]*)(?:\[(.*)\])?$/.exec(field);
		if (!found)
			throw new CheckProblem(
				`an exception names ${JSON.stringify(field)}, which is no field`,
				"name a field",
			);
		const [, name = "", argument] = found;
		return {
			is: "check",
			left: { is: "field", field: { name, argument } },
			operator: operatorOf(comparison),
			match: "any",
			right: items.map((each) => ({ is: "text", text: each })),
			at: 0,
		};
	};
	if (!Array.isArray(fields)) {
		return [check(text(fields), text(comps) || "in", rows.flatMap(several))];
	}
	const names = list(fields).map(text);
	const comparisons = list(comps).map(text);
	const nodes = rows.map((row): Node => {
		const cells = list(row);
		if (cells.length !== names.length) {
			throw new CheckProblem(
				`an exception has ${names.length} fields and a row of ${cells.length} values`,
				"give one value a field",
			);
		}
		return {
			is: "and",
			nodes: names.map((name, i) => check(name, comparisons[i] ?? "=", several(cells[i]))),
		};
	});
	return [nodes.length === 1 ? (nodes[0] as Node) : { is: "or", nodes }];
}
