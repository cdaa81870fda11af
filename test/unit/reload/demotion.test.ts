// Which rules are suspended for their cost, which never, and for how long.
import { afterEach, describe, expect, it } from "vitest";
import { createDemotion, type Demotion } from "../../../agent/demotion.ts";
import { every } from "../../../agent/detect/cost.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import type { Detection } from "../../../agent/detection.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { detectionOf, file, logger, rule } from "./rig.ts";

const minutes = 60_000;
const demotions: Demotion[] = [];
afterEach(() => {
	for (const demotion of demotions.splice(0)) demotion.close();
});

function rig(detection: Detection) {
	const alerts: wire.Alert[] = [];
	let now = 0;
	const demotion = createDemotion({
		detection,
		adopt: detection.adopt,
		alert: (alert) => alerts.push(alert),
		percent: 10,
		logger,
		clock: () => now,
	});
	demotions.push(demotion);
	return {
		demotion,
		alerts,
		suspended: () => [...detection.current().suspended],
		/** Lets a rule cost so many ms in so many evaluations, as the clock had measured it, and judges it. */
		async cost(name: string, ms: number, evaluations: number) {
			const { engine, rules } = detection.current();
			const place = rules.rules.findIndex((each) => each.name === name);
			for (let i = 0; i < evaluations / every; i++) engine.costs.add(place, ms / evaluations);
			await demotion.look();
		},
		async pass(ms: number) {
			now += ms;
			await demotion.look();
		},
	};
}

const two = () => file(rule("Dear", "proc.name = a") + rule("Cheap", "proc.name = b"));

describe("a rule that costs more CPU time than it may", () => {
	it("is suspended, with an alert and a problem that say what to do, and tried again ten minutes later", async () => {
		const { cost, pass, suspended, alerts, demotion } = rig(detectionOf(two()));
		await cost("Dear", 7000, 1600);
		expect(suspended()).toEqual(["Dear"]);
		expect(alerts).toMatchObject([{ rule: "Rule suspended", fields: { rule: "Dear" } }]);
		expect(demotion.problems()).toEqual([
			expect.stringMatching(/Dear.*12 % of a core.*suspended until.*reload/),
		]);
		await pass(9 * minutes);
		expect(suspended()).toEqual(["Dear"]);
		await pass(1 * minutes);
		expect(suspended()).toEqual([]);
		expect(demotion.problems()).toEqual([]);
	});

	it("and does so again waits twice as long", async () => {
		const { cost, pass, suspended } = rig(detectionOf(two()));
		await cost("Dear", 7000, 1600);
		await pass(10 * minutes);
		await cost("Dear", 7000, 1600);
		await pass(15 * minutes);
		expect(suspended()).toEqual(["Dear"]);
		await pass(5 * minutes);
		expect(suspended()).toEqual([]);
	});

	it("is judged by the last minute, not by what it cost before", async () => {
		const { cost, suspended } = rig(detectionOf(two()));
		for (let i = 0; i < 20; i++) await cost("Dear", 900, 1600);
		expect(suspended()).toEqual([]);
		await cost("Dear", 1600, 1600);
		expect(suspended()).toEqual(["Dear"]);
	});

	it("is the only one that goes, the dearest first", async () => {
		const detection = detectionOf(two());
		const { cost, suspended } = rig(detection);
		const { costs } = detection.current().engine;
		for (let i = 0; i < 30; i++) costs.add(1, 8);
		await cost("Dear", 9000, 1600);
		expect(suspended()).toEqual(["Dear"]);
	});

	it("is tried again when the rules are reloaded", async () => {
		const detection = detectionOf(two());
		const { cost, suspended, demotion } = rig(detection);
		await cost("Dear", 7000, 1600);
		await detection.change(() => ({ rules: loadRules([two()]), suspended: new Set() }), detection.adopt);
		await demotion.look();
		expect(suspended()).toEqual([]);
	});
});

describe("a rule is never suspended", () => {
	it("for the time in which the whole sensor stood still while the rule was measured", async () => {
		const { cost, suspended } = rig(detectionOf(two()));
		await cost("Cheap", 8000, 16);
		expect(suspended()).toEqual([]);
	});

	it("for being asked often, however much that adds up to", async () => {
		const { cost, suspended } = rig(detectionOf(two()));
		await cost("Cheap", 9000, 4_000_000);
		expect(suspended()).toEqual([]);
	});

	it("when it is our own and of high severity: that is told as our defect", async () => {
		const { cost, suspended, demotion } = rig(
			detectionOf(file(rule("Ours", "proc.name = a"), "picket"), two()),
		);
		await cost("Ours", 7000, 1600);
		expect(suspended()).toEqual([]);
		expect(demotion.problems()).toEqual([expect.stringMatching(/Ours.*report/)]);
	});
});
