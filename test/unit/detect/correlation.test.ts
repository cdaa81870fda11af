// Correlations through the real engine: each type, each comparison, the borders of the window.
import { describe, expect, it } from "vitest";
import { documentText, run, setOf, times } from "./correlation-rig.ts";
import { errorsOf } from "./rig.ts";

const count = (more: object = {}) =>
	documentText({ type: "event_count", rules: ["a"], timespan: "10s", condition: { gte: 3 }, ...more });
const told: typeof run = (set, acts) => run(set, acts).filter(({ finding }) => finding.rule === "t");
const acts = (name: string, ...at: number[]) => at.map((time) => ({ name, time }));

describe("event_count", () => {
	it("is told at the match that makes the number full", () => {
		expect(times(setOf(count()), acts("a", 0, 1, 2))).toEqual([2]);
		expect(times(setOf(count()), acts("a", 0, 1))).toEqual([]);
	});

	it("counts a match exactly one timespan old, and none older", () => {
		expect(times(setOf(count()), acts("a", 0, 1, 10))).toEqual([10]);
		expect(times(setOf(count()), acts("a", 0, 1, 10.000000001))).toEqual([]);
	});

	it("slides: the window does not begin at whole timespans", () => {
		expect(times(setOf(count()), acts("a", 8, 9, 12))).toEqual([12]);
	});

	it("counts an event once, whichever rules it matches", () => {
		const both = setOf(count({ rules: ["a", "ab"] }));
		expect(times(both, acts("a", 0, 1))).toEqual([]);
		expect(times(both, [...acts("a", 0, 1), ...acts("b", 2)])).toEqual([2]);
	});

	it("makes of a burst one alert, one more at each further digit, and one a timespan", () => {
		const burst = Array.from({ length: 150 }, (_, index) => ({ name: "a", time: index / 100 }));
		expect(times(setOf(count()), burst)).toEqual([0.02, 0.09, 0.99]);
		const steady = Array.from({ length: 40 }, (_, index) => ({ name: "a", time: index }));
		expect(times(setOf(count()), steady)).toEqual([2, 9, 20, 31]);
	});

	it.each([
		["gt", 2, [2]],
		["gte", 2, [1]],
		["lt", 2, [0]],
		["lte", 2, [0]],
		["eq", 2, [1]],
		["neq", 1, [1]],
	])("compares with %s %i", (comparison, limit, expected) => {
		const set = setOf(count({ condition: { [comparison]: limit } }));
		expect(errorsOf(set)).toEqual([]);
		expect(times(set, acts("a", 0, 1, 2, 3))).toEqual(expected);
	});

	it("takes two comparisons as a range", () => {
		const set = setOf(count({ condition: { gt: 1, lte: 3 }, timespan: "1s" }));
		const ends = told(set, acts("a", 0, 0.1, 0.2, 0.3, 5, 5.1)).map(({ time, finding }) => [
			time,
			finding.evidence?.value,
		]);
		expect(ends).toEqual([
			[0.1, 2],
			[5.1, 2],
		]);
	});
});

describe("groups", () => {
	it("are counted apart", () => {
		const set = setOf(count({ "group-by": ["proc.pid"] }));
		const mixed = [1, 2, 1, 2, 1].map((pid, time) => ({ name: "a", time, pid }));
		expect(times(set, mixed)).toEqual([4]);
		expect(told(set, mixed)[0]?.finding.evidence?.group).toEqual({ "proc.pid": "1" });
	});

	it("of several fields do not run into each other", () => {
		const set = setOf(count({ "group-by": ["proc.args", "proc.cwd"] }));
		const one = { name: "a", args: "x", cwd: "/y" };
		const other = { name: "a", args: "x/", cwd: "y/" };
		expect(
			times(
				set,
				[one, other, one, other].map((act, time) => ({ ...act, time })),
			),
		).toEqual([]);
	});

	it("take Sigma's names of fields", () => {
		const set = setOf(count({ "group-by": ["Image", "ParentProcessId"] }));
		expect(errorsOf(set)).toEqual([]);
		expect(told(set, acts("a", 0, 1, 2))[0]?.finding.evidence?.group).toEqual({
			Image: "/usr/bin/a",
			ParentProcessId: "1",
		});
	});

	it("have no place for an event without the field", () => {
		// Of a process without a leader there is no session.
		expect(times(setOf(count({ "group-by": ["proc.sid"] })), acts("a", 0, 1, 2))).toEqual([]);
	});
});

describe("value_count", () => {
	const values = (...args: string[]) => args.map((each, time) => ({ name: "a", time, args: each }));
	const set = setOf(
		documentText({
			type: "value_count",
			rules: ["a"],
			timespan: "10s",
			condition: { field: "proc.args", gte: 3 },
		}),
	);

	it("counts what is different", () => {
		expect(times(set, values("x", "y", "x", "y", "z"))).toEqual([4]);
	});

	it("forgets a value with its last match", () => {
		const late = [
			{ name: "a", time: 0, args: "x" },
			{ name: "a", time: 5, args: "y" },
			{ name: "a", time: 10.1, args: "z" },
			{ name: "a", time: 10.2, args: "x" },
		];
		expect(times(set, late)).toEqual([10.2]);
	});

	it("counts the combinations of several fields", () => {
		const pairs = setOf(
			documentText({
				type: "value_count",
				rules: ["a"],
				timespan: "10s",
				condition: { field: ["proc.args", "proc.pid"], gte: 3 },
			}),
		);
		const acts = [
			{ name: "a", time: 0, args: "x", pid: 1 },
			{ name: "a", time: 1, args: "x", pid: 2 },
			{ name: "a", time: 2, args: "x", pid: 1 },
			{ name: "a", time: 3, args: "y", pid: 2 },
		];
		expect(times(pairs, acts)).toEqual([3]);
	});

	it("tells long values apart by what is behind their beginning", () => {
		const long = "x".repeat(5000);
		expect(times(set, values(long, `${long}1`, `${long}2`))).toEqual([2]);
	});
});

describe("the aggregates", () => {
	const pids = (...of: number[]) => of.map((pid, time) => ({ name: "a", time, pid }));
	const aggregate = (type: string, condition: object) =>
		setOf(
			documentText({
				type,
				rules: ["a"],
				timespan: "10s",
				condition: { field: "proc.pid", ...condition },
			}),
		);

	it("adds up", () => {
		expect(times(aggregate("value_sum", { gt: 100 }), pids(50, 50, 1))).toEqual([2]);
	});
	it("takes the average", () => {
		expect(times(aggregate("value_avg", { gte: 20 }), pids(10, 20, 30))).toEqual([2]);
	});
	it("takes the median, between the two in the middle where there are two", () => {
		expect(times(aggregate("value_median", { eq: 15 }), pids(10, 20))).toEqual([1]);
		expect(times(aggregate("value_median", { eq: 20 }), pids(10, 40, 20))).toEqual([2]);
	});
	it("takes a percentile", () => {
		const set = aggregate("value_percentile", { percentile: 90, gte: 91 });
		expect(times(set, pids(...Array.from({ length: 10 }, (_, index) => 10 * (index + 1))))).toEqual([9]);
	});
	it("has no use for what is no number", () => {
		const sum = (field: string) =>
			setOf(documentText({ type: "value_sum", rules: ["a"], timespan: "10s", condition: { field, gte: 0 } }));
		for (const args of ["", " ", "Infinity", "1x"])
			expect(times(sum("proc.args"), [{ name: "a", time: 0, args }])).toEqual([]);
		expect(times(sum("proc.args"), [{ name: "a", time: 0, args: "5" }])).toEqual([0]);
		const set = setOf(
			documentText({
				type: "value_sum",
				rules: ["a"],
				timespan: "10s",
				condition: { field: "proc.name", gte: 0 },
			}),
		);
		expect(times(set, acts("a", 0, 1))).toEqual([]);
	});
});

describe("temporal", () => {
	const all = (more: object = {}) =>
		setOf(documentText({ type: "temporal", rules: ["a", "b", "c"], timespan: "10s", ...more }));

	it("wants all rules, in any order", () => {
		expect(times(all(), [...acts("c", 0), ...acts("a", 1), ...acts("b", 2)])).toEqual([2]);
		expect(times(all(), [...acts("c", 0), ...acts("a", 1), ...acts("a", 2)])).toEqual([]);
	});
	it("wants them within the timespan", () => {
		expect(times(all(), [...acts("a", 0), ...acts("b", 1), ...acts("c", 10)])).toEqual([10]);
		expect(times(all(), [...acts("a", 0), ...acts("b", 1), ...acts("c", 10.1)])).toEqual([]);
	});
	it("is content with so many of them as the condition says", () => {
		expect(times(all({ condition: { gte: 2 } }), [...acts("c", 0), ...acts("a", 1)])).toEqual([1]);
	});
	it("does not lose a rule's match to a flood of another's", () => {
		const flood = Array.from({ length: 5000 }, (_, index) => ({ name: "a", time: 1 + index / 1000 }));
		expect(times(all(), [...acts("b", 0), ...flood, ...acts("c", 7)])).toEqual([7]);
	});
});

describe("temporal_ordered", () => {
	const chain = (more: object = {}) =>
		setOf(documentText({ type: "temporal_ordered", rules: ["a", "b", "c"], timespan: "10s", ...more }));

	it("wants the order", () => {
		expect(times(chain(), [...acts("a", 0), ...acts("b", 1), ...acts("c", 2)])).toEqual([2]);
		expect(times(chain(), [...acts("b", 0), ...acts("a", 1), ...acts("c", 2)])).toEqual([]);
		expect(times(chain(), [...acts("b", 0), ...acts("a", 1), ...acts("b", 2), ...acts("c", 3)])).toEqual([3]);
	});
	it("wants the whole chain within the timespan", () => {
		expect(times(chain(), [...acts("a", 0), ...acts("b", 5), ...acts("c", 10)])).toEqual([10]);
		expect(times(chain(), [...acts("a", 0), ...acts("b", 5), ...acts("c", 10.1)])).toEqual([]);
		// The later beginning is what counts.
		const again = [...acts("a", 0), ...acts("a", 3), ...acts("b", 5), ...acts("c", 12)];
		expect(times(chain(), again)).toEqual([12]);
	});
	it("does not take one event for two that follow each other", () => {
		const set = setOf(documentText({ type: "temporal_ordered", rules: ["a", "ab"], timespan: "10s" }));
		expect(times(set, acts("a", 0))).toEqual([]);
		expect(times(set, acts("a", 0, 1))).toEqual([1]);
	});
	it("may list a rule twice", () => {
		const set = setOf(documentText({ type: "temporal_ordered", rules: ["a", "a", "b"], timespan: "10s" }));
		expect(times(set, [...acts("a", 0), ...acts("b", 1)])).toEqual([]);
		expect(times(set, [...acts("a", 0, 1), ...acts("b", 2)])).toEqual([2]);
	});
	it("names the events of the chain", () => {
		const [found] = told(chain(), [...acts("a", 0, 1), ...acts("b", 2), ...acts("a", 3), ...acts("c", 4)]);
		expect(found?.finding.evidence).toMatchObject({
			first: 1e9,
			last: 4e9,
			matches: 3,
			rules: ["a", "b", "c"],
		});
	});
});

describe("events out of order", () => {
	it("count in the window they belong to", () => {
		expect(times(setOf(count()), acts("a", 5, 4.9, 6))).toEqual([6]);
		expect(times(setOf(count()), acts("a", 0, 20, 9.9, 10.1))).toEqual([]);
		expect(times(setOf(count()), acts("a", 0, 20, 10, 10.1))).toEqual([10.1]);
	});
	it("are put in their place in a chain", () => {
		const set = setOf(documentText({ type: "temporal_ordered", rules: ["a", "b"], timespan: "10s" }));
		expect(times(set, [...acts("b", 5), ...acts("a", 4.9)])).toEqual([4.9]);
		expect(times(set, [...acts("a", 5), ...acts("b", 4.9)])).toEqual([]);
	});
});

describe("aliases", () => {
	it("group by a field of each rule's own", () => {
		const set = setOf(
			documentText({
				type: "temporal",
				rules: ["a", "b"],
				timespan: "10s",
				"group-by": ["who"],
				aliases: { who: { a: "proc.args", b: "proc.pid" } },
			}),
		);
		expect(errorsOf(set)).toEqual([]);
		expect(
			times(set, [
				{ name: "a", time: 0, args: "77" },
				{ name: "b", time: 1, pid: 76 },
				{ name: "b", time: 2, pid: 77 },
			]),
		).toEqual([2]);
	});
});

describe("correlations of correlations", () => {
	const burst = documentText(
		{
			type: "event_count",
			rules: ["a"],
			"group-by": ["proc.args"],
			timespan: "10s",
			condition: { gte: 3 },
		},
		{ title: "burst", name: "burst_of_a" },
	);
	const attempts = (args: string, ...at: number[]) => at.map((time) => ({ name: "a", time, args }));

	it("follow one another, in whichever order the documents stand", () => {
		const followed = documentText({ type: "temporal_ordered", rules: ["burst_of_a", "b"], timespan: "20s" });
		for (const set of [setOf(burst, followed), setOf(followed, burst)]) {
			expect(errorsOf(set)).toEqual([]);
			expect(times(set, [...attempts("x", 0, 1, 2), ...acts("b", 9)])).toEqual([9]);
			expect(times(set, [...attempts("x", 0, 1), ...acts("b", 9)])).toEqual([]);
			expect(times(set, [...attempts("x", 0, 1, 2), ...acts("b", 9)], "burst")).toEqual([]);
		}
	});

	it("hold on while the one below does, though that is told once", () => {
		const followed = documentText({ type: "temporal_ordered", rules: ["burst_of_a", "b"], timespan: "2s" });
		const steady = attempts("x", 0, 1, 2, 3, 4, 5, 6, 7, 8);
		expect(times(setOf(burst, followed), [...steady, ...acts("b", 9)])).toEqual([9]);
	});

	it("group by their own fields, not by those of the one below", () => {
		const many = documentText({
			type: "value_count",
			rules: ["burst"],
			"group-by": ["proc.pid"],
			timespan: "60s",
			condition: { field: "proc.args", gte: 2 },
		});
		const set = setOf(burst, many);
		expect(errorsOf(set)).toEqual([]);
		expect(times(set, [...attempts("x", 0, 1, 2), ...attempts("y", 3, 4, 5)])).toEqual([5]);
		expect(times(set, [...attempts("x", 0, 1), ...attempts("y", 3, 4), ...attempts("z", 5)])).toEqual([]);
	});

	it("count how often the one below has begun, not each of its events", () => {
		const bursts = documentText({
			type: "event_count",
			rules: ["burst"],
			timespan: "1h",
			condition: { gte: 2 },
		});
		const set = setOf(burst, bursts);
		expect(times(set, attempts("x", 0, 1, 2, 3, 4, 5))).toEqual([]);
		expect(times(set, attempts("x", 0, 1, 2, 100, 101, 102))).toEqual([102]);
	});
});

describe("the rules that are referred to", () => {
	it("are silent, and say so, unless the document asks for their alerts", () => {
		const silent = setOf(count());
		expect(run(silent, acts("a", 0)).map(({ finding }) => finding.rule)).toEqual(["ab"]);
		expect(run(silent, acts("b", 0)).map(({ finding }) => finding.rule)).toEqual(["b", "ab"]);
		const loud = setOf(count({ generate: true }));
		expect(run(loud, acts("a", 0, 1, 2)).map(({ finding }) => finding.rule)).toContain("a");
	});
	it("still tell the kernel what they need", () => {
		const set = setOf(count());
		expect(set.rules.find(({ name }) => name === "a")?.enabled).toBe(true);
		expect([...set.interest.kinds]).toContain("exec");
	});
});

describe("an alert", () => {
	it("says what it is made of", () => {
		const text = count({ "group-by": ["proc.pid"] });
		const set = setOf(
			JSON.stringify({
				...JSON.parse(text),
				id: "5d3f",
				author: "ann",
				level: "high",
				tags: ["attack.t1110", "attack.credential-access"],
				description: "what to do",
			}),
		);
		const [found] = told(set, acts("a", 0, 1, 2));
		expect(found?.finding).toMatchObject({
			rule: "t",
			origin: "sigma",
			severity: "high",
			techniques: ["T1110"],
			tactics: ["credential-access"],
			description: "what to do",
			evidence: {
				type: "event_count",
				value: 3,
				matches: 3,
				group: { "proc.pid": "1000" },
				first: 0,
				last: 2e9,
				rules: ["a"],
			},
		});
		expect(found?.finding.evidence?.events).toHaveLength(3);
		expect(found?.finding.summary).toMatch(/^t: 3 matches within 10s \(proc\.pid=1000 command=a /);
	});
});
