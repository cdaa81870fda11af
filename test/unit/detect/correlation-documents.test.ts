// Correlation documents as users write them: references, what they can do here, mistakes, and what hostile ones cost.
import { describe, expect, it } from "vitest";
import { Correlator } from "../../../agent/detect/correlation/runtime.ts";
import { Engine } from "../../../agent/detect/engine.ts";
import { type LoadedRule, loadRules, type RuleSet } from "../../../agent/detect/load.ts";
import { baseRules, documentText, eventOf, run, setOf, times } from "./correlation-rig.ts";
import { context, errorsOf } from "./rig.ts";

const valid = {
	type: "event_count",
	rules: ["a"],
	"group-by": ["proc.pid"],
	timespan: "10s",
	condition: { gte: 3 },
};
const ruleT = (set: RuleSet): LoadedRule => {
	const rule = set.rules.find(({ name }) => name === "t");
	if (!rule) throw new Error("there is no rule t");
	return rule;
};

describe("a document with a mistake", () => {
	it.each([
		["type", { type: "count" }, "unknown type count"],
		["type", { type: undefined }, "the correlation has no type"],
		["rules", { rules: [] }, "no rules are listed"],
		["rules", { rules: { a: 1 } }, "a map stands where a list belongs"],
		["rules", { rules: [["a"]] }, '["a"] is no text'],
		["rules", { rules: ["a", "a"] }, "a is listed twice"],
		["rules", { rules: ["q"] }, "there is no rule q"],
		["rules", { rules: ["t"] }, "t is made of this correlation itself"],
		["timespan", { timespan: undefined }, "the correlation has no timespan"],
		["timespan", { timespan: "10" }, "10 is no timespan"],
		["timespan", { timespan: "0s" }, "0s is no timespan"],
		["timespan", { timespan: "1M" }, "1M is no timespan"],
		["timespan", { timespan: "31d" }, "31d is longer than 30 days"],
		["condition", { condition: undefined }, "the correlation has no condition"],
		["condition", { condition: "gte: 3" }, "the condition is no map"],
		["condition", { condition: {} }, "the condition compares nothing"],
		["condition", { condition: { gte: "many" } }, "many is no number"],
		["condition", { condition: { gte: -1 } }, "-1 cannot be counted to"],
		["condition", { condition: { gte: 1e9 } }, "1000000000 cannot be counted to"],
		["condition", { condition: { gte: 1.5 } }, "1.5 cannot be counted to"],
		["condition", { condition: { ge: 3 } }, "unknown key ge"],
		["condition", { condition: { gte: 3, field: "proc.pid" } }, "event_count has no use for a field"],
		["condition", { type: "value_count" }, "value_count has no field"],
		[
			"condition",
			{ type: "value_sum", condition: { gte: 3, field: ["proc.pid", "proc.ppid"] } },
			"value_sum is of one field",
		],
		[
			"condition",
			{ type: "value_percentile", condition: { gte: 3, field: "proc.pid" } },
			"the percentile is missing",
		],
		["group-by", { "group-by": ["proc.pit"] }, "there is no field proc.pit"],
		["group-by", { "group-by": ["Imagine"] }, "there is no field Imagine"],
		["aliases", { aliases: { who: { q: "proc.pid" } } }, "q is none of the listed rules"],
		["aliases", { aliases: { who: { a: "proc.pit" } } }, "there is no field proc.pit"],
		[
			"aliases",
			{ rules: ["a", "b"], aliases: { who: { a: "proc.pid" } } },
			"the alias who has no field for b",
		],
		["generate", { generate: "perhaps" }, "perhaps is neither true nor false"],
		["timespam", { timespam: "10s" }, "unknown key timespam"],
	])("is told with the place of %s: %j", (key, change, message) => {
		const given = Object.fromEntries(
			Object.entries({ ...valid, ...change }).filter(([, value]) => value !== undefined),
		);
		const lines = Object.entries(given).map(([name, value]) => `  ${name}: ${JSON.stringify(value)}`);
		const text = ["title: t", "correlation:", ...lines, ""].join("\n");
		const good = documentText({ ...valid, rules: ["b"] }, { title: "good" });
		const set = setOf(text, good);
		const [error, ...others] = errorsOf(set);
		expect(others).toEqual([]);
		expect(error).toMatchObject({ file: "documents.yaml", where: "t", message });
		expect(error?.remedy).not.toBe("");
		const line = 1 + text.split("\n").findIndex((each) => each.startsWith(`  ${key}:`));
		expect(error?.line).toBe(line === 0 ? 3 : line);
		expect(ruleT(set)).toMatchObject({ status: "error", enabled: false, reasons: [message] });
		// It costs that document alone, and silences nothing.
		expect(set.rules.find(({ name }) => name === "good")?.status).toBe("evaluable");
		expect(set.rules.find(({ name }) => name === "a")?.silent).toBe(false);
	});

	it("names the rule that may be meant", () => {
		const [error] = errorsOf(
			setOf(documentText({ ...valid, rules: ["burts"] }), documentText(valid, { title: "burst" })),
		);
		expect(error?.remedy).toBe("did you mean burst?");
	});

	it("is one of two with the same name, which has to be told apart by its id", () => {
		const twins = [1, 2].map((id) => documentText(valid, { title: "twin", id: `id-${id}` }));
		const above = { type: "event_count", timespan: "10s", condition: { gte: 2 } };
		const set = setOf(...twins, documentText({ ...above, rules: ["twin"] }));
		expect(errorsOf(set)[0]?.message).toBe("2 rules are called twin");
		expect(errorsOf(setOf(...twins, documentText({ ...above, rules: ["id-2"] })))).toEqual([]);
	});

	it("is each of those that go round in a circle, and no other", () => {
		const on = (title: string, rule: string) => documentText({ ...valid, rules: [rule] }, { title });
		const set = setOf(on("x", "y"), on("y", "z"), on("z", "x"), on("t", "a"));
		const broken = set.rules.filter(({ status }) => status === "error").map(({ name }) => name);
		expect(broken).toContain("z");
		expect(errorsOf(set).some(({ message }) => message.includes("is made of this correlation itself"))).toBe(
			true,
		);
		for (const { name, enabled } of set.rules) if ("xyz".includes(name)) expect(enabled, name).toBe(false);
		expect(ruleT(set).status).toBe("evaluable");
	});

	it("is warned of when its condition holds at once", () => {
		const set = setOf(documentText({ ...valid, condition: { lt: 5 } }));
		expect(set.problems).toMatchObject([
			{ level: "warning", message: expect.stringContaining("holds at the first match already") },
		]);
	});
});

describe("what a correlation can do here", () => {
	const rules = (more: Readonly<Record<string, unknown>>[]) =>
		JSON.stringify([
			...JSON.parse(baseRules),
			...more.map((each) => ({ desc: "d", output: "o", priority: "Notice", ...each })),
		]);
	const setWith = (more: Readonly<Record<string, unknown>>[], correlation: object): RuleSet =>
		loadRules([
			{ path: "rules.yaml", text: rules(more), origin: "falco" },
			{ path: "t.yaml", text: documentText({ timespan: "10s", ...correlation }), origin: "falco" },
		]);
	const never = { rule: "never", condition: "evt.type = madvise" };
	const off = { rule: "off", condition: "evt.type = execve", enabled: "false" };
	const partly = { rule: "partly", condition: "evt.type in (execve, madvise)" };

	it("is nothing when one that it needs cannot match, and says which", () => {
		const set = setWith([never], { type: "temporal", rules: ["a", "never"] });
		expect(ruleT(set)).toMatchObject({ status: "not-evaluable", enabled: false });
		expect(ruleT(set).reasons[0]).toMatch(/^never is not-evaluable: /);
		// What it would have joined alerts by itself.
		expect(run(set, [{ name: "a", time: 0 }]).map(({ finding }) => finding.rule)).toContain("a");
	});
	it("is less when one of several cannot match", () => {
		for (const [more, name, why] of [
			[[never], "never", "not-evaluable"],
			[[off], "off", "switched off"],
			[[partly], "partly", "degraded"],
		] as const) {
			const set = setWith([...more], { type: "event_count", rules: ["a", name], condition: { gte: 2 } });
			expect(ruleT(set).status).toBe("degraded");
			expect(ruleT(set).reasons[0]).toContain(`${name} is ${why}`);
			expect(
				times(set, [{ name: "c", time: 0 }].concat([1, 2].map((time) => ({ name: "a", time })))),
			).toContain(name === "partly" ? 1 : 2);
		}
	});
	it("is nothing without the fields it groups by", () => {
		const set = setWith([], { ...valid, "group-by": ["evt.cpu"] });
		expect(ruleT(set)).toMatchObject({
			status: "not-evaluable",
			reasons: ["these fields are never set: evt.cpu"],
		});
	});
	it("is nothing when it asks for more rules than there are", () => {
		const set = setWith([], { type: "temporal", rules: ["a", "b"], condition: { gt: 2 } });
		expect(ruleT(set).status).toBe("not-evaluable");
	});
	it("is said of a signature of the product that falls silent", () => {
		const set = loadRules([
			{ path: "own.yaml", text: baseRules, origin: "picket" },
			{ path: "t.yaml", text: documentText(valid), origin: "falco" },
		]);
		expect(set.problems).toMatchObject([{ level: "warning", where: "t", file: "t.yaml" }]);
		expect(set.problems[0]?.message).toContain("the signature a does not alert by itself any more");
	});
});

describe("another set of rules", () => {
	const toldAfter = (text: string): string[] => {
		const [first, second] = [
			new Engine(setOf(documentText(valid)), context),
			new Engine(setOf(text), context),
		];
		const found: string[] = [];
		for (const time of [1, 2]) first.evaluate(eventOf({ name: "a", time }), () => {});
		second.correlator.adopt(first.correlator);
		second.evaluate(eventOf({ name: "a", time: 3 }), ({ rule }) => found.push(rule));
		return found;
	};

	it("goes on with what was counted", () => {
		expect(toldAfter(documentText(valid, { level: "high" }))).toContain("t");
		expect(toldAfter(`${documentText(valid)}---\n${documentText(valid, { title: "another" })}`)).toContain(
			"t",
		);
	});
	it("counts a match once for each of two documents that say the same", () => {
		const twice = () => new Engine(setOf(documentText(valid), documentText(valid)), context);
		const [first, second] = [twice(), twice()];
		first.evaluate(eventOf({ name: "a", time: 1 }), () => {});
		second.correlator.adopt(first.correlator);
		expect(second.correlator.totals().entries).toBe(2);
		const found: string[] = [];
		second.evaluate(eventOf({ name: "a", time: 2 }), ({ rule }) => found.push(rule));
		expect(found).not.toContain("t");
		second.evaluate(eventOf({ name: "a", time: 3 }), ({ rule }) => found.push(rule));
		expect(found.filter((rule) => rule === "t")).toHaveLength(2);
	});
	it("begins anew where a document means something else now", () => {
		for (const change of [
			{ timespan: "11s" },
			{ "group-by": [] },
			{ rules: ["a", "b"] },
			{ condition: { eq: 3 } },
		])
			expect(toldAfter(documentText({ ...valid, ...change })), JSON.stringify(change)).not.toContain("t");
	});
});

describe("Sigma rules in one file with what joins them", () => {
	const rule = (title: string, name: string, image: string) => `title: ${title}
id: id-of-${name}
name: ${name}
status: test
author: Ann
level: low
logsource: { product: linux, category: process_creation }
detection:
  selection: { Image|endswith: /${image} }
  condition: selection
`;
	const joined = (reference: string) => `title: t
id: id-of-t
author: Bob
references: [https://example.org/t]
level: high
correlation:
  type: temporal_ordered
  rules: [${reference}, second]
  group-by: [who]
  timespan: 10s
  aliases:
    who: { ${reference}: ProcessId, second: ParentProcessId }
falsepositives: [none known]
`;

	it.each(["first", "id-of-first", "A first one"])("refer to each other as %s", (reference) => {
		const set = loadRules([
			{
				path: "all.yml",
				text: [
					joined(reference),
					rule("A first one", "first", "a"),
					rule("A second one", "second", "b"),
				].join("---\n"),
				origin: "falco",
			},
		]);
		expect(errorsOf(set)).toEqual([]);
		expect(set.rules.map(({ name, silent, origin }) => [name, silent, origin])).toEqual([
			["A first one", true, "sigma"],
			["A second one", true, "sigma"],
			["t", false, "sigma"],
		]);
		// The parent of what these events tell of is process 1.
		const found = run(set, [
			{ name: "a", time: 0, pid: 1 },
			{ name: "b", time: 1, pid: 5 },
			{ name: "b", time: 2, pid: 6 },
		]);
		expect(found.map(({ time, finding }) => [time, finding.rule])).toEqual([[1, "t"]]);
		expect(found[0]?.finding).toMatchObject({
			severity: "high",
			credit: { id: "id-of-t", author: "Bob", references: ["https://example.org/t"] },
			evidence: { group: { who: "1" }, rules: ["A first one", "A second one"] },
		});
	});
});

describe("hostile documents", () => {
	it("of any shape are refused or load, and never throw", () => {
		const shapes = [null, "", "x", [], {}, [[]], [{}], { a: { b: [] } }, "9".repeat(400), "*", "\u0000"];
		const keys = [...Object.keys(valid), "aliases", "generate"];
		for (const key of keys) {
			for (const shape of shapes) {
				const set = setOf(documentText({ ...valid, [key]: shape }), documentText(valid, { title: "good" }));
				expect(set.rules.find(({ name }) => name === "good")?.status).toBe("evaluable");
				const { status } = ruleT(set);
				expect(status === "error", `${key}: ${JSON.stringify(shape)}`).toBe(errorsOf(set).length > 0);
			}
		}
		for (const shape of shapes) {
			const set = loadRules([
				{ path: "t.yaml", text: JSON.stringify({ title: "t", correlation: shape }), origin: "falco" },
			]);
			expect(errorsOf(set).length).toBeGreaterThan(0);
		}
	});

	it("that stand on each other two hundred deep cost those above the sixteenth, in either order", () => {
		const chain = Array.from({ length: 200 }, (_, index) =>
			documentText({ ...valid, rules: [index === 0 ? "a" : `n${index - 1}`] }, { title: `n${index}` }),
		);
		for (const documents of [chain, chain.toReversed()]) {
			const set = setOf(...documents);
			const able = set.rules.filter(({ name, enabled }) => name.startsWith("n") && enabled);
			expect(able).toHaveLength(16);
			expect(errorsOf(set)[0]?.message).toContain("more than 16 deep");
		}
	});

	it("with more rules than 32 are refused", () => {
		const set = setOf(
			documentText({ ...valid, rules: Array.from({ length: 33 }, (_, index) => `r${index}`) }),
		);
		expect(errorsOf(set)[0]?.message).toBe("33 rules are listed");
	});
});

describe("memory", () => {
	it("stays bounded under a million groups, and what was forgotten is counted", () => {
		const set = setOf(documentText({ ...valid, timespan: "1h" }));
		const rule = ruleT(set);
		const [base] = set.rules;
		if (!base) throw new Error("no rule");
		const correlator = new Correlator([rule]);
		const observation = eventOf({ name: "a", time: 0 });
		let time = 1e12;
		let pid = 0;
		Object.defineProperties(observation.event, {
			time: { get: () => time },
			number: { get: () => pid },
			pid: { get: () => pid },
		});
		for (pid = 1; pid <= 1_000_000; pid++) {
			time += 1000;
			correlator.matched(base, observation, context, () => {});
		}
		const { groups, entries, evicted, groupCapacity, dropped } = correlator.totals();
		expect([groups, entries, groupCapacity]).toEqual([4096, 4096, 4096]);
		expect([evicted, dropped]).toEqual([1_000_000 - 4096, 0]);
		expect(correlator.problems()).toEqual([expect.stringContaining(`t forgot ${evicted} groups`)]);
		// The newest are those that are kept.
		let told = 0;
		pid = 1_000_000;
		for (let n = 0; n < 2; n++) correlator.matched(base, at(observation, n), context, () => told++);
		expect(told).toBe(1);
	}, 60_000);

	it("of groups that are over is given back, and is no loss", () => {
		const engine = new Engine(setOf(documentText(valid)), context);
		for (let pid = 1; pid <= 100; pid++) engine.evaluate(eventOf({ name: "a", time: pid, pid }), () => {});
		expect(engine.correlator.totals()).toMatchObject({ evicted: 0 });
		expect(engine.correlator.problems()).toEqual([]);
		expect(engine.correlator.totals().groups).toBeLessThan(25);
	});

	it("of one group stays bounded, and so does that of all together", () => {
		const set = setOf(documentText({ ...valid, timespan: "1h" }));
		const [base] = set.rules;
		if (!base) throw new Error("no rule");
		const correlator = new Correlator([ruleT(set)], { groups: 100, groupEntries: 10, entries: 50 });
		for (let n = 0; n < 20; n++)
			correlator.matched(base, eventOf({ name: "a", time: n, pid: 1 }), context, () => {});
		expect(correlator.totals()).toMatchObject({ groups: 1, entries: 10, dropped: 10 });
		for (let n = 0; n < 200; n++)
			correlator.matched(base, eventOf({ name: "a", time: 30 + n, pid: 2 + (n % 10) }), context, () => {});
		expect(correlator.totals().entries).toBeLessThanOrEqual(50);
		expect(correlator.totals().evicted).toBeGreaterThan(0);
	});

	it("of all correlations together stays bounded, the one that holds most forgetting first", () => {
		const flooded = documentText({ ...valid, timespan: "1h" });
		const calm = documentText({ ...valid, rules: ["b"], timespan: "1h" }, { title: "u" });
		const set = setOf(flooded, calm);
		const [a, b] = set.rules;
		if (!a || !b) throw new Error("no rule");
		const all = [ruleT(set), ...set.rules.filter(({ name }) => name === "u")];
		const correlator = new Correlator(all, undefined, 100_000);
		correlator.matched(b, eventOf({ name: "b", time: 1, pid: 1 }), context, () => {});
		for (let n = 0; n < 200; n++)
			correlator.matched(a, eventOf({ name: "a", time: 2 + n, pid: n }), context, () => {});
		// 2000 bytes each: 50 groups of one match.
		expect(correlator.totals()).toMatchObject({ groups: 50, entries: 50, evicted: 151 });
		expect(correlator.problems()).toEqual([expect.stringContaining("correlation t forgot 151 groups")]);
	});
});

/** The same event with a number of its own. */
function at(observation: ReturnType<typeof eventOf>, n: number): ReturnType<typeof eventOf> {
	Object.defineProperty(observation.event, "number", { value: 2_000_000 + n, configurable: true });
	return observation;
}
