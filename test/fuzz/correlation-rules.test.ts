// Mutated correlation documents: nothing throws, nothing hangs, every error has a place and a remedy, and a document
// that is accepted tells at the times at which a plain reading of the same text does.
import { describe, expect, it } from "vitest";
import type { LoadedRule, RuleFile, RuleSet } from "../../agent/detect/load.ts";
import { signatureFiles } from "../bench/rules.ts";
import { type Plan, slowly } from "../unit/detect/correlation-plain.ts";
import { actsOf, baseRules, run } from "../unit/detect/correlation-rig.ts";
import { Random } from "../unit/detect/rig.ts";
import { seed, soak, tell, timeout } from "./counts.ts";
import { checkProblems, loadInTime } from "./loading.ts";
import { isText, listOf, mapOf, type Plain, plainDocuments } from "./sigma-plain.ts";
import { misspelt, mutateText, restyle } from "./texts.ts";

const wanted = soak ? 10_000 : 400;

const tokens =
	"\0|\n|\t|\"|'|\\|[|]|{|}|: |- |, |#|*a|&a|null|~|true|false|0|1|-1|1.5|1e9|2s|3m|gte: 2|lt: 3|neq: 1|a|ab|c|group-by: [proc.cwd]\n|field: proc.args|generate: true\n|temporal|temporal_ordered|event_count|value_count|value_sum|---\n".split(
		"|",
	);

const text = (body: string, more = ""): string => `title: t
id: 9c0f0a51-0000-4000-8000-000000000001
level: high
${more}correlation:
${body.replace(/^/gm, "  ")}
`;
const own: readonly string[] = [
	text("type: event_count\nrules: [a]\ntimespan: 4s\ncondition: {gte: 3}"),
	text(
		"type: event_count\nrules:\n  - a\n  - ab\ngroup-by:\n  - proc.cwd\ntimespan: 5s\ncondition:\n  gt: 2\n  lte: 5",
	),
	text(
		"type: value_count\nrules: [a, b]\ngroup-by: [proc.cwd]\ntimespan: 6s\ncondition: {field: proc.args, gte: 2}",
	),
	text("type: value_sum\nrules: [a, b, c]\ntimespan: 3s\ncondition: {field: proc.pid, gt: 12}"),
	text("type: value_avg\nrules: [ab]\ntimespan: 8s\ncondition: {field: proc.pid, lt: 4}"),
	text("type: value_median\nrules: [b, c]\ntimespan: 1m\ncondition: {field: proc.pid, gte: 5}"),
	text(
		"type: value_percentile\nrules: [a, c]\ntimespan: 7s\ncondition: {field: proc.pid, percentile: 90, gte: 6}",
	),
	text("type: temporal\nrules: [a, b, c]\ntimespan: 5s\ngroup-by: [proc.cwd]"),
	text("type: temporal\nrules: [a, b, c]\ntimespan: 5s\ncondition: {gte: 2}\ngenerate: true"),
	text("type: temporal_ordered\nrules: [a, b, a]\ntimespan: 10s"),
	text("type: temporal_ordered\nrules: [a, ab, c]\ntimespan: 4s\ncondition: {eq: 2}", "generate: true\n"),
	text(
		"type: event_count\nrules: [a, b]\naliases: {dir: {a: proc.cwd, b: proc.cwd}}\ngroup-by: [dir]\ntimespan: 3s\ncondition: {neq: 2}",
	),
];

/** Our own correlations, each document by itself; the rules they name are not there. */
const signatures = signatureFiles()
	.filter(({ text: each }) => /^correlation:/m.test(each))
	.flatMap(({ text: each }) => each.split(/^---$/m));
const texts = [...Array.from({ length: 8 }, () => own).flat(), ...signatures];

const baseNames = ["a", "b", "c", "ab"];
const comparisons = ["gt", "gte", "lt", "lte", "eq", "neq"];
const types =
	"event_count value_count value_sum value_avg value_median value_percentile temporal temporal_ordered".split(
		" ",
	);
const lengths: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
const only = (map: Readonly<Record<string, Plain>>, known: readonly string[]): boolean =>
	Object.keys(map).every((key) => known.includes(key));

/** What the document asks for; undefined when it holds anything that is not simple. */
function planOf(document: Plain): (Plan & { readonly generate: boolean }) | undefined {
	const { correlation, generate: outer } = mapOf(document);
	const given = mapOf(correlation);
	const { type, timespan, aliases } = given;
	const condition = mapOf(given.condition);
	const rules = listOf(given.rules);
	const groups = listOf(given["group-by"]);
	if (!isText(type) || !types.includes(type)) return undefined;
	if (
		!only(given, ["type", "rules", "group-by", "timespan", "condition", "generate"]) ||
		aliases !== undefined
	)
		return undefined;
	if (!only(condition, [...comparisons, "field", "percentile"])) return undefined;
	if (!rules.every((each): each is string => isText(each) && baseNames.includes(each))) return undefined;
	if (!groups.every((each) => each === "proc.cwd")) return undefined;
	const [, digits = "", unit = ""] = isText(timespan) ? (/^(\d+)([smhd])$/.exec(timespan) ?? []) : [];
	if (digits === "") return undefined;
	const field = type === "value_count" ? "proc.args" : type.startsWith("value_") ? "proc.pid" : undefined;
	if (condition.field !== undefined && listOf(condition.field).some((each) => each !== field))
		return undefined;
	const limits = Object.fromEntries(
		Object.entries(condition).flatMap(([key, limit]) =>
			comparisons.includes(key) ? [[key, Number(limit)]] : [],
		),
	);
	const temporal = type.startsWith("temporal");
	const generate = given.generate ?? outer ?? null;
	if (generate !== null && !isText(generate)) return undefined;
	return {
		type,
		rules,
		grouped: groups.length > 0,
		timespan: Number(digits) * (lengths[unit] ?? 0),
		percentile: Number(condition.percentile ?? 0),
		limits: temporal && given.condition === undefined ? { gte: rules.length } : limits,
		generate: /^(true|yes|on)$/i.test(generate ?? ""),
	};
}

const counts = { files: 0, accepted: 0, errors: 0, judged: 0, told: 0, slowestMs: 0 };
const base: RuleFile = { path: "rules.yaml", text: baseRules, origin: "falco" };

function load(written: string, what: string): RuleSet {
	const { set, ms } = loadInTime([base, { path: "m.yml", text: written, origin: "falco" }], what);
	counts.slowestMs = Math.max(counts.slowestMs, ms);
	counts.errors += checkProblems(set.problems, what);
	return set;
}

const correlationsOf = ({ rules }: RuleSet): LoadedRule[] =>
	rules.filter(({ correlation }) => correlation !== undefined);

function compare(random: Random, set: RuleSet, written: string, what: string): void {
	const accepted = correlationsOf(set);
	counts.accepted += accepted.length;
	const [rule] = accepted;
	if (!rule || accepted.length > 1 || !rule.enabled) return;
	const readable = plainDocuments(written).filter(
		(each) => each !== undefined && "correlation" in mapOf(each),
	);
	const plan = readable.length === 1 ? planOf(readable[0] ?? null) : undefined;
	if (!plan) return;
	counts.judged++;
	const acts = actsOf(random);
	const found = run(set, acts);
	const told = found.flatMap(({ time, finding }) => (finding.rule === rule.name ? [time] : []));
	const shown = `${rule.condition}\n${JSON.stringify(acts)}\n${what}`;
	expect(told, shown).toEqual(slowly(plan, acts));
	counts.told += told.length;
	// Rules that a correlation is made of alert by themselves only when it says so.
	for (const name of baseNames) {
		const alone = acts.filter((act) => [...name].includes(act.name)).length;
		const silent = plan.rules.includes(name) && !plan.generate;
		expect(found.filter(({ finding }) => finding.rule === name).length, `${name}: ${shown}`).toBe(
			silent ? 0 : alone,
		);
	}
}

describe("a mutated correlation document", () => {
	it(
		`loads or says where and why not, ${wanted} times, and tells when its text says`,
		() => {
			const random = new Random(seed);
			for (const each of own) compare(random, load(each, each), each, each);
			expect(counts.judged).toBe(own.length - 1);
			for (let file = 0; file < wanted; file++) {
				const written = mutateText(random, random.pick(texts), tokens, 2);
				const what = `seed ${seed}, file ${file}: ${JSON.stringify(written).slice(0, 3000)}`;
				counts.files++;
				compare(random, load(written, what), written, what);
			}
			tell(`correlations: ${JSON.stringify({ seed, ...counts })}`);
			expect(counts.judged).toBeGreaterThan(wanted / 10);
			expect(counts.told).toBeGreaterThan(wanted / 5);
			expect(counts.errors).toBeGreaterThan(wanted / 10);
		},
		timeout,
	);

	it(
		"means the same whatever its style: quotes, brackets, indentation, comments",
		() => {
			const random = new Random(seed);
			for (let i = 0; i < wanted / 4; i++) {
				const written = random.pick(own);
				const styled = plainDocuments(written)
					.map((each) => restyle(random, each))
					.join("\n---\n");
				const [before, after] = [written, styled].map((each) =>
					load(each, each).rules.map(({ name, status, condition, silent, severity }) => [
						name,
						status,
						condition,
						silent,
						severity,
					]),
				);
				expect(after, styled).toEqual(before);
			}
		},
		timeout,
	);

	it(
		"tells of every key that is misspelt",
		() => {
			const random = new Random(seed);
			const keys = /[a-z-]+(?=:\s)/g;
			for (let i = 0; i < wanted; i++) {
				const written = random.pick(own);
				const { 0: key, index } = random.pick([...written.matchAll(keys)]);
				const other = misspelt(random, key);
				if (comparisons.includes(other)) continue;
				const changed = `${written.slice(0, index)}${other}${written.slice(index + key.length)}`;
				const known = load(written, written).problems.map(({ message }) => message);
				const told = load(changed, changed).problems.filter(({ message }) => !known.includes(message));
				expect(told, `${key} written as ${other}: ${changed}`).not.toEqual([]);
			}
		},
		timeout,
	);
});
