// What is asked of content before it may take over: can it be read, does it compile without new errors, does everything
// that was detected before it stay detected, does it leave ordinary work alone, what does an event cost with it.
// Runs in the trial's process; knows nothing of processes.
import { readdirSync, readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import { usualEvents } from "../commands/judged-events.ts";
import { Engine } from "../detect/engine.ts";
import { type LoadedRule, loadRules, type RuleFile, type RuleSet } from "../detect/load.ts";
import type { Events } from "../detect/measure.ts";
import { observationOf, type Sample } from "../detect/sample.ts";
import { readSamples } from "../detect/samples.ts";
import { problemText } from "../failure.ts";
import { type EventKind, type EventName, EventKind as Kind, type Observation } from "../model/event.ts";
import { PolicyEngine } from "../policy/engine.ts";
import { readBundle } from "./bundle.ts";
import { policyOf, ruleFilesOf } from "./join.ts";
import { type Bundle, type ContentKind, ContentRefusal } from "./model.ts";

/** What the core tells the trial besides the signed bytes. */
export interface Question {
	/** Unix ms. */
	readonly now: number;
	/** Why content of that kind is not taken; kinds that are have no entry. */
	readonly refused: Readonly<Partial<Record<ContentKind, string>>>;
	/** The highest version ever taken of each kind; 0 for none. */
	readonly above: Readonly<Record<ContentKind, number>>;
	/** In force, in their order. */
	readonly files: Readonly<Record<"own" | "intel" | "rules" | "local", readonly RuleFile[]>>;
}

/** Events a rule is tried on: at least so many of its kinds, or its share says nothing. */
const fewest = 20;
/** Of the events of its kinds that a rule may match, of those that are no attack. */
const mostMatched = 0.5;
/** Of all made-up events; more than one sort of list has to be about everything for that. */
const mostViolating = 0.15;
/** What an event may cost with the candidate: so many times what it costs now, and ns on top. */
const dearer = 2;
const slackNs = 3000;
const rounds = 3;

/** Where its files seem to lie while they are tried: the place in every message. */
const place = "/bundle";
const signatures = new URL("../detect/signatures/", import.meta.url);
const noNames = { hostname: "host", userName: () => undefined };

interface Corpus {
	readonly positive: readonly { readonly rule: string; readonly observation: Observation }[];
	readonly negative: readonly Observation[];
	/** Ordinary work. */
	readonly usual: Events;
}

/** Read while the process still may: later it is nobody. */
export function readCorpus(): Corpus {
	const samples = readdirSync(signatures)
		.filter((name) => name.endsWith(".yaml"))
		.sort()
		.flatMap((name) => readSamples(name, readFileSync(new URL(name, signatures), "utf8"), []));
	// Acts one after another are for correlations; their single acts are in the rules they join.
	const single = samples.flatMap(({ rule, is, sample }) =>
		Array.isArray(sample) ? [] : [{ rule, is, observation: observationOf(sample as Sample) }],
	);
	return {
		positive: single.filter(({ is }) => is === "positive"),
		negative: single.filter(({ is }) => is === "negative").map(({ observation }) => observation),
		usual: usualEvents().events,
	};
}

/** What was found of content that may take over. */
export interface Examined {
	readonly bundle: Bundle;
	/** Sentences for whoever sent it. */
	readonly findings: readonly string[];
}

/** Throws ContentRefusal with why it may not. */
export function examine(bytes: Buffer, question: Question, corpus: Corpus): Examined {
	const bundle = readBundle(bytes, question.now);
	const { kind, version, files } = bundle;
	const refusal = question.refused[kind];
	if (refusal !== undefined) throw new ContentRefusal(refusal);
	if (version <= question.above[kind])
		throw new ContentRefusal(
			`version ${version} of ${kind} is not above ${question.above[kind]}, which this host has had: give it a higher one`,
		);
	const findings =
		kind === "policy"
			? tryPolicy(bundle, corpus)
			: tryRules(kind, ruleFilesOf(files, place), question, corpus);
	return { bundle, findings };
}

function tryRules(
	kind: "rules" | "intel",
	candidate: readonly RuleFile[],
	{ files }: Question,
	corpus: Corpus,
): string[] {
	if (kind === "intel") for (const file of candidate) onlyLists(file, [...files.own, ...files.local]);
	const { own, local } = files;
	const before = loadRules([...own, ...files.intel, ...files.rules, ...local]);
	const after = loadRules([
		...own,
		...(kind === "intel" ? candidate : files.intel),
		...(kind === "rules" ? candidate : files.rules),
		...local,
	]);
	const known = new Set(before.problems.map(problemText));
	const errors = after.problems.filter((each) => each.level === "error" && !known.has(problemText(each)));
	if (errors.length > 0) {
		const more = errors.length > 5 ? `; and ${errors.length - 5} more` : "";
		throw new ContentRefusal(`it has errors: ${errors.slice(0, 5).map(problemText).join("; ")}${more}`);
	}
	const isNew = ({ file }: LoadedRule): boolean => file.startsWith(`${place}/`);
	const delivered = new Set([...files.intel, ...files.rules].map(({ path }) => path));
	keepsOthers(before, after, (rule) => isNew(rule) || delivered.has(rule.file));
	const engine = new Engine(after, noNames);
	const present = new Engine(before, noNames);
	keepsDetecting(present, engine, corpus);
	leavesOrdinary(after.rules.filter(isNew), engine, corpus);
	// Else each version could be a little dearer than the one before.
	const isAlone = files.intel.length + files.rules.length === 0;
	const cost = costsLittle(
		engine,
		isAlone ? present : new Engine(loadRules([...own, ...local]), noNames),
		corpus,
	);
	const rules = after.rules.filter(isNew);
	const idle = rules.filter(({ enabled }) => !enabled);
	return [
		`${rules.length} rules`,
		...(idle.length > 0 ? [`${idle.length} of them cannot fire here or are switched off`] : []),
		cost,
	];
}

/** Threat intelligence is lists for rules, and can change no rule. */
function onlyLists({ path, text }: RuleFile, others: readonly RuleFile[]): void {
	const name = path.slice(place.length + 1);
	const documents = parseAllDocuments(text, { schema: "failsafe", maxAliasCount: 0 } as never);
	const values = Array.isArray(documents) ? documents : [];
	const taken = new Set(
		others.flatMap((file) => [...file.text.matchAll(/^-\s+list:\s*(\S+)\s*$/gm)].map(([, word]) => word)),
	);
	for (const document of values) {
		const items: unknown = document.errors.length > 0 ? undefined : document.toJS({ maxAliasCount: 0 });
		if (!Array.isArray(items)) throw new ContentRefusal(`${name} holds something that is no list of values`);
		for (const item of items as unknown[]) {
			const keys = typeof item === "object" && item !== null ? Object.keys(item) : [];
			if (!keys.includes("list") || keys.some((key) => key !== "list" && key !== "items"))
				throw new ContentRefusal(
					`${name} holds something besides lists: intelligence is only "- list: NAME" with "items:"`,
				);
			const list = String((item as { list: unknown }).list);
			if (taken.has(list)) throw new ContentRefusal(`${name} would replace the list ${list} of this host`);
		}
	}
}

/** Delivered rules may narrow what is there by an exception, but switch nothing off. */
function keepsOthers(before: RuleSet, after: RuleSet, delivered: (rule: LoadedRule) => boolean): void {
	const able = new Map(after.rules.map((rule) => [rule.name, rule.enabled && !rule.silent]));
	const lost = before.rules
		.filter((rule) => rule.enabled && !rule.silent && !delivered(rule) && able.get(rule.name) !== true)
		.map(({ name }) => name);
	if (lost.length > 0) throw new ContentRefusal(`it would switch off rules of this host: ${some(lost)}`);
}

function keepsDetecting(before: Engine, after: Engine, { positive }: Corpus): void {
	const matches = (engine: Engine, rule: string, observation: Observation): boolean => {
		const count = engine.matches.get(rule) ?? 0;
		engine.evaluate(observation, () => {});
		return (engine.matches.get(rule) ?? 0) > count;
	};
	const lost = positive
		.filter(
			({ rule, observation }) => matches(before, rule, observation) && !matches(after, rule, observation),
		)
		.map(({ rule }) => rule);
	if (lost.length > 0)
		throw new ContentRefusal(
			`with it these would no longer see the attacks they are for: ${some([...new Set(lost)])}`,
		);
}

function leavesOrdinary(rules: readonly LoadedRule[], engine: Engine, { negative, usual }: Corpus): void {
	const harmless: readonly { what: string; kinds: readonly EventKind[]; show(at: number): Observation }[] = [
		{
			what: "acts that are no attack",
			kinds: negative.map(({ event }) => event.kind as EventKind),
			show: (at) => negative[at] as Observation,
		},
		{
			what: "events of ordinary work",
			kinds: usual.kinds,
			show(at) {
				usual.show(at);
				return usual.observation;
			},
		},
	];
	for (const { what, kinds, show } of harmless) {
		const start = new Map(engine.matches);
		for (let at = 0; at < kinds.length; at++) engine.evaluate(show(at), () => {});
		const counts = new Map<EventKind, number>();
		for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
		for (const { name, events, correlation } of rules) {
			if (correlation) continue;
			const asked = events.reduce((sum, event: EventName) => sum + (counts.get(Kind[event]) ?? 0), 0);
			const matched = (engine.matches.get(name) ?? 0) - (start.get(name) ?? 0);
			if (asked < fewest || matched <= asked * mostMatched) continue;
			const share = Math.round((matched / asked) * 100);
			throw new ContentRefusal(
				`rule ${name} matches ${share} % of ${asked} ${what} (${matched}); ${mostMatched * 100} % are the most`,
			);
		}
	}
}

/** What an event of ordinary work costs with it, in words. */
function costsLittle(candidate: Engine, reference: Engine, { usual: events }: Corpus): string {
	const cost = (engine: Engine): number => {
		const begun = process.threadCpuUsage();
		for (let at = 0; at < events.kinds.length; at++) {
			events.show(at);
			engine.evaluate(events.observation, () => {});
		}
		const { user, system } = process.threadCpuUsage(begun);
		return ((user + system) * 1000) / events.kinds.length;
	};
	let [now, then] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
	for (let round = 0; round < rounds; round++) {
		then = Math.min(then, cost(reference));
		now = Math.min(now, cost(candidate));
	}
	const text = `an event costs ${micro(now)} with it, ${micro(then)} without`;
	if (now > then * dearer + slackNs) throw new ContentRefusal(`it is too dear: ${text}`);
	return text;
}

function tryPolicy({ files }: Bundle, { usual: events }: Corpus): string[] {
	const loaded = policyOf(files, place);
	const engine = new PolicyEngine(loaded.policy, noNames);
	let violating = 0;
	const begun = process.threadCpuUsage();
	for (let at = 0; at < events.kinds.length; at++) {
		events.show(at);
		let found = false;
		engine.violations(events.observation, () => {
			found = true;
		});
		if (found) violating++;
	}
	const { user, system } = process.threadCpuUsage(begun);
	const each = ((user + system) * 1000) / events.kinds.length;
	const share = violating / events.kinds.length;
	if (share > mostViolating)
		throw new ContentRefusal(
			`${Math.round(share * 100)} % of the events of ordinary work would violate it; ${mostViolating * 100} % are the most`,
		);
	// Each violation makes an object; that is paid for by the alert.
	if (each > 20 * slackNs) throw new ContentRefusal(`it is too dear: ${micro(each)} an event`);
	return [
		`${loaded.policy.scopes.length} scopes, ${loaded.policy.responses.length} responses`,
		`${(share * 100).toFixed(1)} % of the events of ordinary work would violate it`,
		...loaded.problems.map(problemText).slice(0, 5),
	];
}

function micro(ns: number): string {
	return `${(ns / 1000).toFixed(2)} µs`;
}

function some(names: readonly string[]): string {
	return names.length <= 5
		? names.join(", ")
		: `${names.slice(0, 5).join(", ")} and ${names.length - 5} more`;
}
