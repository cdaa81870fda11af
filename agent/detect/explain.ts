// What the engine made of a rule: its condition with lists, macros and exceptions put in, the checks by which it is
// found, what it has in common with other rules, its fields, and what the kernel sends for it. Plain data; the words
// for people are in commands/rules-explain.ts.
import { EventKind, type EventName, eventNames } from "../model/event.ts";
import { fileChangeKinds, type OpenInterest } from "../model/interest.ts";
import { eventTypes } from "./event-types.ts";
import { fieldWords } from "./field-words.ts";
import { findField } from "./fields.ts";
import { guardOf } from "./guard.ts";
import type { Bounds, LoadedRule, RuleSet } from "./load.ts";
import { lookupFor } from "./lookup.ts";
import { parseTemplate } from "./output.ts";
import type { Bound, Predicates } from "./plan.ts";
import { placeOf } from "./scan.ts";
import { checkText, fieldText } from "./show.ts";
import type { FieldRef, Term } from "./syntax.ts";
import { fromLatin1 } from "./text.ts";

/** A condition as it is evaluated. `rules`: how many other rules have the same part, which is then judged once. */
export type Part =
	| { readonly is: "and" | "or" | "not"; readonly rules: number; readonly parts: readonly Part[] }
	| { readonly is: "check"; readonly rules: number; readonly index: number; readonly text: string };

/** How the engine finds the rule for events of some kinds. */
export interface Index {
	readonly events: readonly EventName[];
	/** Checks, by their numbers, one of which must hold. Undefined: the rule is judged on every such event. */
	readonly checks:
		| readonly { readonly index: number; readonly text: string; readonly how: Lookup }[]
		| undefined;
}
/** One search for the texts of all rules, one look for the numbers and addresses of all, or a check by itself. */
export type Lookup = "text search" | "number look-up" | "one by one";

export interface FieldUse {
	readonly name: string;
	readonly type: string;
	readonly meaning: string;
	/** Kinds of events that have it; undefined: all. Empty: none here. */
	readonly events: readonly EventName[] | undefined;
	readonly in: readonly ("condition" | "output")[];
}

export interface Explanation {
	readonly rule: LoadedRule;
	/** evt.type of the events it can match on. */
	readonly types: readonly string[];
	/** Undefined for a rule that was not compiled. */
	readonly condition: Part | undefined;
	readonly indexes: readonly Index[];
	readonly fields: readonly FieldUse[];
	readonly kernel: KernelInterest;
	/** Correlations that its matches feed, by name. */
	readonly feeds: readonly string[];
}

/** What the kernel is asked to send for the rule. Paths are readable text. */
export interface KernelInterest {
	readonly reads: Files;
	readonly writes: Files;
	readonly failedOpens: boolean;
	readonly changes: Files;
	readonly peers: "none" | "all" | readonly number[];
	readonly unixSockets: boolean;
	/** Kinds of which every event comes. */
	readonly whole: readonly EventName[];
}
/** "all": every file, which costs CPU; else patterns as shells write them. */
export type Files = "none" | "all" | readonly string[];

/** Explains rules of one set. `bounds` are those of loadRules. */
export function explainer({ rules, predicates }: RuleSet, bounds: Bounds): (rule: LoadedRule) => Explanation {
	const users = usersOf(rules, bounds);
	return (rule) => {
		const bound = bounds.get(rule.name);
		const types = rule.events.flatMap((event) => eventTypes[EventKind[event]]);
		return {
			rule,
			types: [...new Set(types)],
			condition: bound && partOf(bound, rule, users, predicates),
			indexes: indexesOf(rule, predicates),
			fields: bound ? fieldsOf(rule, bound, predicates) : [],
			kernel: kernelInterest(rule),
			feeds: rules
				.filter(({ correlation }) => correlation?.feeds.some((feed) => feed.rule === rule))
				.map(({ name }) => name),
		};
	};
}

/** Equal parts have equal keys, whatever rule they are in. */
function keyOf(bound: Bound): string {
	if (bound.is === "test") return String(bound.index);
	if (bound.is === "not") return `not(${keyOf(bound.node)})`;
	return `${bound.is}(${bound.nodes.map(keyOf).join()})`;
}

function usersOf(rules: readonly LoadedRule[], bounds: Bounds): ReadonlyMap<string, ReadonlySet<string>> {
	const users = new Map<string, Set<string>>();
	const note = (bound: Bound, rule: string): void => {
		const key = keyOf(bound);
		const known = users.get(key);
		if (known) known.add(rule);
		else users.set(key, new Set([rule]));
		if (bound.is === "not") note(bound.node, rule);
		else if (bound.is !== "test") for (const each of bound.nodes) note(each, rule);
	};
	for (const { name, enabled } of rules) {
		const bound = enabled ? bounds.get(name) : undefined;
		if (bound) note(bound, name);
	}
	return users;
}

function partOf(
	bound: Bound,
	rule: LoadedRule,
	users: ReadonlyMap<string, ReadonlySet<string>>,
	predicates: Predicates,
): Part {
	const found = users.get(keyOf(bound));
	const others = (found?.size ?? 0) - (found?.has(rule.name) ? 1 : 0);
	const inner = (each: Bound): Part => partOf(each, rule, users, predicates);
	switch (bound.is) {
		case "test":
			return {
				is: "check",
				rules: others,
				index: bound.index,
				text: checkText(predicates.at(bound.index).check),
			};
		case "not":
			return { is: "not", rules: others, parts: [inner(bound.node)] };
		case "and":
		case "or":
			return { is: bound.is, rules: others, parts: bound.nodes.map(inner) };
	}
}

function indexesOf({ plans, events }: LoadedRule, predicates: Predicates): Index[] {
	const found = new Map<string, { events: EventName[]; checks: Index["checks"] }>();
	// A correlation has none of its own: its rules are found.
	if (plans.size === 0) return [];
	for (const name of events) {
		const kind = EventKind[name];
		const checks = guardOf(plans.get(kind) ?? false, predicates, kind)?.map((index) => {
			const predicate = predicates.at(index);
			const how: Lookup = placeOf(predicate, kind)
				? "text search"
				: lookupFor(predicate)
					? "number look-up"
					: "one by one";
			return { index, text: checkText(predicate.check), how };
		});
		const key = JSON.stringify(checks ?? "all");
		const known = found.get(key);
		if (known) known.events.push(name);
		else found.set(key, { events: [name], checks });
	}
	return [...found.values()];
}

function fieldsOf({ output }: LoadedRule, bound: Bound, predicates: Predicates): FieldUse[] {
	const uses = new Map<string, { ref: FieldRef; in: Set<"condition" | "output"> }>();
	const use = (ref: FieldRef, where: "condition" | "output"): void => {
		const known = uses.get(fieldText(ref));
		if (known) known.in.add(where);
		else uses.set(fieldText(ref), { ref, in: new Set([where]) });
	};
	const term = (each: Term): void => {
		if (each.is === "field") use(each.field, "condition");
		else if (each.is === "call") for (const inner of each.terms) term(inner);
	};
	const walk = (node: Bound): void => {
		if (node.is === "not") walk(node.node);
		else if (node.is !== "test") for (const each of node.nodes) walk(each);
		else {
			const { left, right } = predicates.at(node.index).check;
			for (const each of [left, ...right]) term(each);
		}
	};
	walk(bound);
	for (const ref of parseTemplate(output).fields) use(ref, "output");
	return [...uses].map(([name, { ref, in: where }]) => {
		const field = findField(ref.name, ref.argument);
		return {
			name,
			type: field?.type ?? "text",
			meaning: meaningOf(ref, field !== undefined),
			events: field ? field.kinds && eventNames.filter((each) => field.kinds?.includes(EventKind[each])) : [],
			in: [...where],
		};
	});
}

/** In words, as on the reference page. */
export function meaningOf({ name, argument }: FieldRef, known: boolean): string {
	if (!known) return "known, but no event here has it: always missing";
	const inName = /^evt\.(raw)?arg\.(.+)$/.exec(name);
	if (/^evt\.(raw)?arg(\.|$)/.test(name)) {
		const which = inName?.[2] ?? argument ?? "";
		return `argument ${which} of the call${name.startsWith("evt.raw") ? ", as passed" : ""}`;
	}
	return fieldWords[name]?.replaceAll("`", "") ?? "";
}

/** The kinds that can be narrowed down to files or peers. */
const narrowed: ReadonlySet<EventName> = new Set<EventName>(["open", "connect"]);

export function kernelInterest({ interest, events }: LoadedRule): KernelInterest {
	if (!interest) {
		const none = { reads: "none", writes: "none", changes: "none", peers: "none" } as const;
		return { ...none, failedOpens: false, unixSockets: false, whole: [] };
	}
	const { readOpens, writeOpens, fileChanges, failedOpens, connects, kinds } = interest;
	const opens = kinds.has("open");

	return {
		reads: opens ? filesOf(readOpens) : "none",
		writes: opens ? filesOf(writeOpens) : "none",
		failedOpens: opens && failedOpens,
		changes: filesOf(fileChanges),
		peers: kinds.has("connect") ? connects.ip : "none",
		unixSockets: kinds.has("connect") && connects.unix,
		whole: events.filter((event) => !narrowed.has(event) && !isChange(event)),
	};
}

function isChange(event: EventName): boolean {
	return (fileChangeKinds as readonly EventName[]).includes(event);
}

function filesOf(opens: OpenInterest): Files {
	if (typeof opens === "string") return opens;
	const paths = [
		...opens.exact,
		...opens.prefixes.map((each) => `${each}*`),
		...opens.names.map((each) => `*/${each}`),
		...opens.suffixes.map((each) => `*${each}`),
	];
	// As captured they are bytes; people read UTF-8.
	return paths.map(fromLatin1);
}
