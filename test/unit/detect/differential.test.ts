// The engine against the plain evaluator: random conditions, random events, the same ones every time.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { interestOfRule } from "../../../agent/detect/interest.ts";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { bind, kinds, Predicates, planFor } from "../../../agent/detect/plan.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { type Node, type Operator, parseCondition } from "../../../agent/detect/syntax.ts";
import {
	EventFlag,
	type EventName,
	eventName,
	eventNames,
	type Observation,
	Text,
} from "../../../agent/model/event.ts";
import { fileChangeKinds, type Interest, type OpenInterest } from "../../../agent/model/interest.ts";
import { History } from "./history.ts";
import { evaluate, numeric } from "./plain.ts";
import { boundedCondition, disturb, randomCondition, randomSample } from "./random.ts";
import { context, Random, ruleText } from "./rig.ts";

/** Operators that only Sigma rules have, for some of those that conditions are written with. */
const inner: Partial<Record<Operator, readonly Operator[]>> = {
	"=": ["iequals"],
	in: ["iequals"],
	startswith: ["istartswith"],
	endswith: ["iendswith"],
	glob: ["like"],
	regex: ["search"],
};
const isText = (field: string): boolean => !numeric.has(field) && !/^(evt\.(type|is_)|fd\.s?ip$)/.test(field);
function withInner(random: Random, node: Node): Node {
	if (node.is === "not") return { is: "not", node: withInner(random, node.node) };
	if ("nodes" in node) return { is: node.is, nodes: node.nodes.map((each) => withInner(random, each)) };
	if (node.is !== "check" || node.left.is !== "field" || !isText(node.left.field.name)) return node;
	if (node.right.some(({ is }) => is !== "text") || !random.chance(0.3)) return node;
	const operator = random.pick([node.operator, ...(inner[node.operator] ?? [])]);
	return { ...node, operator };
}

/** Would the kernel send this event? As the programs decide, told apart from how the agent finds out what to ask for. */
function isInside(interest: Interest, { event }: Observation, anyCase: boolean): boolean {
	const kind = eventName(event.kind) as EventName;
	if (!interest.kinds.has(kind)) return false;
	// Asked in any case, the kernel is still asked for the name as it is written: in other letters it is another file.
	const same = (text: string) => (anyCase ? text.toLowerCase() : text);
	const covers = (asked: OpenInterest, paths: readonly string[]): boolean =>
		asked === "all" ||
		(asked !== "none" &&
			paths
				.map(same)
				.some(
					(path) =>
						asked.exact.some((each) => path === same(each)) ||
						asked.prefixes.some((each) => path.startsWith(same(each))) ||
						asked.names.some((each) => path.slice(path.lastIndexOf("/") + 1) === same(each)) ||
						asked.suffixes.some((each) => path.endsWith(same(each))),
				));
	const texts = [Text.path, Text.raw, Text.target, Text.targetRaw].map((text) => event.text(text));
	if (kind === "open") {
		if (event.result < 0) return interest.failedOpens;
		// A file, and yet only its directory: no record of the kernel's.
		if ((event.flags & EventFlag.pathIsBase) !== 0) return true;
		const writes = (event.openFlags & 3) !== 0 || (event.openFlags & 0o100) !== 0;
		return covers(writes ? interest.writeOpens : interest.readOpens, texts.slice(0, 1));
	}
	if ((fileChangeKinds as readonly EventName[]).includes(kind)) return covers(interest.fileChanges, texts);
	if (kind !== "connect") return true;
	const { ip, unix } = interest.connects;
	return event.family === 1 ? unix : ip === "all" || (ip !== "none" && ip.includes(event.remotePort));
}

/** The engine for these conditions, and what holds it against the plain evaluator. */
class Comparison {
	readonly #conditions: readonly string[];
	readonly #trees: readonly Node[];
	readonly #interests: readonly Interest[];
	readonly #engine: Engine;
	all = 0;
	true = 0;
	/** Matches of rules that ask for less than everything of the event's kind. */
	bounded = 0;

	constructor(random: Random, conditions: readonly string[]) {
		const set = loadRules(
			conditions.map(
				(condition, index): RuleFile => ({
					path: "rules.yaml",
					text: ruleText(condition, { rule: String(index) }),
					origin: "falco",
				}),
			),
		);
		expect(set.problems.filter(({ level }) => level === "error")).toEqual([]);
		this.#trees = conditions.map((condition) => withInner(random, parseCondition(condition)));
		this.#conditions = conditions.map(
			(condition, index) => `${condition}\n\t${JSON.stringify(this.#trees[index])}`,
		);
		const predicates = new Predicates();
		const bounds = this.#trees.map((tree) => bind(tree, predicates));
		const plans = bounds.map(
			(bound) => new Map(kinds.map((kind) => [kind, planFor(bound, predicates, kind)])),
		);
		this.#interests = bounds.map((bound, index) =>
			interestOfRule(bound, plans[index] as (typeof plans)[number], predicates),
		);
		const rules = set.rules.map((rule, index) => ({
			...rule,
			enabled: true,
			plans: plans[index] as (typeof plans)[number],
		}));
		this.#engine = new Engine({ rules, predicates }, context);
	}

	/** Judges one event by both; fails unless they agree on every rule, in the rules' order. */
	check(observation: Observation, shown: unknown): void {
		const found: string[] = [];
		this.#engine.evaluate(observation, ({ rule }) => found.push(rule));
		const expected = this.#trees.flatMap((tree, index) =>
			evaluate(tree, observation) ? [String(index)] : [],
		);
		this.all += this.#trees.length;
		this.true += expected.length;
		for (const rule of expected) {
			const interest = this.#interests[Number(rule)] as Interest;
			const { readOpens, writeOpens, fileChanges, connects } = interest;
			if ([readOpens, writeOpens, fileChanges, connects.ip].some((each) => typeof each === "object"))
				this.bounded++;
			if (
				!isInside(
					interest,
					observation,
					/"(i(equals|startswith|endswith)|like)"/.test(this.#conditions[Number(rule)] ?? ""),
				)
			)
				expect.fail(
					`${this.#conditions[Number(rule)]}\nmatches what the kernel is not asked for: ${JSON.stringify(shown)}`,
				);
		}
		if (found.join() === expected.join()) return;
		const differing = this.#conditions.filter(
			(_, index) => found.includes(String(index)) !== expected.includes(String(index)),
		);
		expect.fail(
			`${differing.join("\n") || `the order: ${found.join()}, not ${expected.join()}`}\nby the plain evaluator it is otherwise for ${JSON.stringify(shown)} with ${JSON.stringify(observation.event.text(Text.path))}`,
		);
	}
}

const anyCondition = (random: Random) => () =>
	random.chance(0.2) ? boundedCondition(random) : randomCondition(random);

/** PICKET_SOAK=1, as `npm run soak` has it: all of them. PICKET_SEED begins elsewhere. */
const rounds = process.env.PICKET_SOAK === "1" ? 500 : 125;
const wanted = rounds * 20 * 10;

describe("the engine", () => {
	it(`agrees with a plain evaluator on ${wanted} pairs of random conditions and events`, () => {
		const random = new Random(Number(process.env.PICKET_SEED ?? 20_261_121));
		const pairs = { all: 0, true: 0, bounded: 0 };
		const seen = new Set<string>();
		for (let round = 0; round < rounds; round++) {
			const comparison = new Comparison(random, random.several(20, 20, anyCondition(random)));
			for (let event = 0; event < 10; event++) {
				const sample = randomSample(random);
				const observation = observationOf(sample);
				disturb(random, observation);
				comparison.check(observation, sample);
				seen.add(eventName(observation.event.kind) as EventName);
			}
			pairs.all += comparison.all;
			pairs.true += comparison.true;
			pairs.bounded += comparison.bounded;
		}
		expect(pairs.all).toBe(wanted);
		expect(eventNames.filter((name) => !seen.has(name)).length).toBeLessThan(3);
		expect(pairs.bounded).toBeGreaterThan(wanted / 2000);
		expect(pairs.true).toBeGreaterThan(wanted / 8);
		expect(pairs.true).toBeLessThan((wanted * 7) / 8);
	}, 600_000);

	it("agrees with it on 640 rules over the lives of processes, whatever becomes of these meanwhile", () => {
		const random = new Random(7);
		const comparison = new Comparison(random, random.several(640, 640, anyCondition(random)));
		const history = new History(random);
		for (let event = 0; event < 600; event++) {
			const { observation, shown, after } = history.next();
			comparison.check(observation, shown);
			after();
		}
		expect(comparison.true).toBeGreaterThan(50_000);
		for (const times of Object.values(history.counts)) expect(times).toBeGreaterThan(4);
	}, 60_000);
});
