// The runtime of correlations held against a plain and slow evaluator.
import { describe, expect, it } from "vitest";
import { loadRules } from "../../../agent/detect/load.ts";
import { type Plan, slowly } from "./correlation-plain.ts";
import { actsOf, baseRules, documentText, run } from "./correlation-rig.ts";
import { errorsOf, Random } from "./rig.ts";

const types = [
	"event_count",
	"value_count",
	"value_sum",
	"value_avg",
	"value_median",
	"value_percentile",
	"temporal",
	"temporal_ordered",
];

function planOf(random: Random, type: string): Plan {
	const pool = ["a", "b", "c", "ab"];
	const ordered = type === "temporal_ordered";
	const some = random.several(1, 4, () => random.pick(pool));
	const rules = ordered ? some : [...new Set(some)];
	const most = type === "value_sum" ? 60 : type.startsWith("temporal") ? rules.length : 6;
	const comparison = random.pick(["gt", "gte", "gte", "lt", "lte", "eq", "neq"]);
	const range = random.chance(0.2) ? { gte: 1, lte: 1 + random.below(most) } : undefined;
	return {
		type,
		rules,
		grouped: random.chance(0.5),
		timespan: 1 + random.below(8),
		percentile: random.pick([0, 25, 50, 90, 100]),
		limits: range ?? { [comparison]: 1 + random.below(most) },
	};
}

describe("the runtime of correlations", () => {
	it.each(types)("tells %s when a slow and plain evaluator does", (type) => {
		const random = new Random(type.length * 7919 + types.indexOf(type));
		let told = 0;
		for (let round = 0; round < 60; round++) {
			const plan = planOf(random, type);
			const ofField = plan.type.startsWith("value_");
			const text = documentText({
				type,
				rules: plan.rules,
				timespan: `${plan.timespan}s`,
				...(plan.grouped && { "group-by": ["proc.cwd"] }),
				condition: {
					...plan.limits,
					...(ofField && { field: type === "value_count" ? "proc.args" : "proc.pid" }),
					...(type === "value_percentile" && { percentile: plan.percentile }),
				},
			});
			const set = loadRules([
				{ path: "rules.yaml", text: baseRules, origin: "falco" },
				{ path: "t.yaml", text, origin: "falco" },
			]);
			expect(errorsOf(set)).toEqual([]);
			const acts = actsOf(random);
			const found = run(set, acts).flatMap(({ time, finding }) => (finding.rule === "t" ? [time] : []));
			const expected = slowly(plan, acts);
			expect(found, JSON.stringify({ round, plan, acts })).toEqual(expected);
			told += expected.length;
		}
		// Or it would compare silence with silence.
		expect(told).toBeGreaterThan(60);
	});
});
