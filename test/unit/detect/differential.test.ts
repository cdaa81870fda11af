// The engine against the plain evaluator: random conditions, random events, the same ones every time.
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { type Node, parseCondition } from "../../../agent/detect/syntax.ts";
import { type Observation, Text } from "../../../agent/model/event.ts";
import { History } from "./history.ts";
import { evaluate } from "./plain.ts";
import { disturb, randomCondition, randomSample } from "./random.ts";
import { context, Random, ruleText } from "./rig.ts";

/** The engine for these conditions, and what holds it against the plain evaluator. */
class Comparison {
	readonly #conditions: readonly string[];
	readonly #trees: readonly Node[];
	readonly #engine: Engine;
	all = 0;
	true = 0;

	constructor(conditions: readonly string[]) {
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
		this.#conditions = conditions;
		this.#trees = conditions.map(parseCondition);
		this.#engine = new Engine(set, context);
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
		if (found.join() === expected.join()) return;
		const differing = this.#conditions.filter(
			(_, index) => found.includes(String(index)) !== expected.includes(String(index)),
		);
		expect.fail(
			`${differing.join("\n") || `the order: ${found.join()}, not ${expected.join()}`}\nby the plain evaluator it is otherwise for ${JSON.stringify(shown)} with ${JSON.stringify(observation.event.text(Text.path))}`,
		);
	}
}

/** PICKET_SOAK=1, as `npm run soak` has it: all of them. PICKET_SEED begins elsewhere. */
const rounds = process.env.PICKET_SOAK === "1" ? 500 : 125;
const wanted = rounds * 20 * 10;

describe("the engine", () => {
	it(`agrees with a plain evaluator on ${wanted} pairs of random conditions and events`, () => {
		const random = new Random(Number(process.env.PICKET_SEED ?? 20_261_121));
		const pairs = { all: 0, true: 0 };
		for (let round = 0; round < rounds; round++) {
			const comparison = new Comparison(random.several(20, 20, () => randomCondition(random)));
			for (let event = 0; event < 10; event++) {
				const sample = randomSample(random);
				const observation = observationOf(sample);
				disturb(random, observation);
				comparison.check(observation, sample);
			}
			pairs.all += comparison.all;
			pairs.true += comparison.true;
		}
		expect(pairs.all).toBe(wanted);
		expect(pairs.true).toBeGreaterThan(wanted / 8);
		expect(pairs.true).toBeLessThan((wanted * 7) / 8);
	}, 600_000);

	it("agrees with it on 640 rules over the lives of processes, whatever becomes of these meanwhile", () => {
		const random = new Random(7);
		const comparison = new Comparison(random.several(640, 640, () => randomCondition(random)));
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
