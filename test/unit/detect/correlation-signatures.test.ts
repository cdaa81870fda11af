// Our own correlations against the samples they carry, through the engine that judges real events.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { observationsOf, type Step } from "../../../agent/detect/correlation/sample.ts";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { context } from "./rig.ts";

const folder = new URL("../../../agent/detect/signatures/", import.meta.url).pathname;
const files = readdirSync(folder)
	.filter((name) => name.endsWith(".yaml"))
	.map((name): RuleFile => ({ path: name, text: readFileSync(folder + name, "utf8"), origin: "picket" }));
const set = loadRules(files);
const correlations = set.rules.filter(({ correlation }) => correlation !== undefined);

interface Samples {
	readonly positive: readonly (readonly Step[])[];
	readonly negative: readonly (readonly Step[])[];
}
function samplesOf(samples: unknown): Samples {
	const given = (samples ?? {}) as Partial<Samples>;
	return { positive: given.positive ?? [], negative: given.negative ?? [] };
}

function alertsOf(steps: readonly Step[]): string[] {
	const found: string[] = [];
	const engine = new Engine(set, context);
	for (const observation of observationsOf(steps))
		engine.evaluate(observation, (finding) => found.push(finding.rule));
	return found;
}

describe("the correlations of the product", () => {
	it("load, and what they need is captured without a look at every file", () => {
		expect(set.problems).toEqual([]);
		expect(correlations.length).toBeGreaterThanOrEqual(15);
		for (const rule of correlations) expect(rule.status, rule.reasons.join("; ")).toBe("evaluable");
	});

	it("are each in use, and so are the acts they are made of", () => {
		const used = new Set(
			correlations.flatMap(({ correlation }) => correlation?.feeds.map(({ rule }) => rule)),
		);
		const bases = set.rules.filter(({ file }) => file === "correlation-bases.yaml");
		expect(bases.filter((rule) => !used.has(rule)).map(({ name }) => name)).toEqual([]);
		expect(bases.filter((rule) => !rule.silent).map(({ name }) => name)).toEqual([]);
	});

	it("silence no signature of another file", () => {
		const silenced = set.rules.filter(
			({ silent, file, correlation }) => silent && !correlation && file !== "correlation-bases.yaml",
		);
		expect(silenced.map(({ name }) => name)).toEqual([]);
	});
});

describe.each(correlations.filter(({ silent }) => !silent).map((rule) => [rule.name, rule] as const))(
	"correlation %s",
	(name, rule) => {
		const { positive, negative } = samplesOf(rule.samples);

		it("says what it is, what to do and where it stands in ATT&CK", () => {
			expect(rule.techniques).not.toEqual([]);
			expect(rule.tactics).not.toEqual([]);
			expect(rule.description.length).toBeGreaterThan(80);
			expect(rule.falsePositives).not.toEqual([]);
			expect(rule.author).toBe("Picket");
		});

		it("carries samples of both kinds", () => {
			expect(positive.length).toBeGreaterThanOrEqual(1);
			expect(negative.length).toBeGreaterThanOrEqual(2);
		});

		it.each(positive.map((steps, index) => [index + 1, steps] as const))(
			"fires once on its sample %i",
			(_, steps) => {
				expect(alertsOf(steps).filter((each) => each === name)).toEqual([name]);
			},
		);

		it.each(negative.map((steps, index) => [index + 1, steps] as const))(
			"stays silent on its counter-sample %i",
			(_, steps) => {
				expect(alertsOf(steps)).not.toContain(name);
			},
		);
	},
);
