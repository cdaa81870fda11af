// Mutated rule files: nothing throws, nothing hangs, every error has a place and a remedy, and a rule that is accepted
// means the same when its condition is written out from what was understood of it.
import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadRules } from "../../agent/detect/load.ts";
import { type Node, parseCondition, type Term } from "../../agent/detect/syntax.ts";
import { generatedFiles, signatureFiles } from "../bench/rules.ts";
import { randomSample } from "../unit/detect/random.ts";
import { fired, Random, ruleText } from "../unit/detect/rig.ts";
import { seed, soak, tell, timeout } from "./counts.ts";

const wanted = soak ? 10_000 : 400;
/** A file of ten rules loads in some ms; one that takes this long hangs. */
const limitMs = 3000;

const quote = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

function printTerm(term: Term): string {
	if (term.is === "text") return quote(term.text);
	if (term.is === "field") {
		const { name, argument } = term.field;
		return argument === undefined ? name : `${name}[${quote(argument)}]`;
	}
	return `${term.name === "list" ? "" : term.name}(${term.terms.map(printTerm).join(", ")})`;
}
function print(node: Node): string {
	switch (node.is) {
		case "and":
		case "or":
			return node.nodes.map((each) => `(${print(each)})`).join(` ${node.is} `);
		case "not":
			return `not (${print(node.node)})`;
		case "name":
			return node.name;
		case "check": {
			const { left, operator, match, right } = node;
			const values = right.map(printTerm).join(", ");
			const list = right.length !== 1 || right[0]?.is === "text";
			if (operator === "exists") return `${printTerm(left)} exists`;
			if (operator === "in" || operator === "intersects" || operator === "pmatch")
				return `${printTerm(left)} ${operator} ${list ? `(${values})` : values}`;
			if (right.length === 1 && match === "any") return `${printTerm(left)} ${operator} ${values}`;
			return `${printTerm(left)} ${operator} ${match === "all" ? "allof" : "anyof"} (${values})`;
		}
	}
}
/** A macro: its file is not there. */
const hasName = (node: Node): boolean =>
	node.is === "name" ||
	(node.is === "not" && hasName(node.node)) ||
	("nodes" in node && node.nodes.some(hasName));

/** Without places. */
const meaning = (node: Node): unknown =>
	JSON.parse(JSON.stringify(node, (key, value: unknown) => (key === "at" ? undefined : value)));

const tokens =
	"\0|\n|\t|\"|'|\\|(|)|[|]|{|}|: |- |, |#|*a|&a|!!x |and |or |not |=|!=| in | exists|allof |val(|tolower(|%|\xff|\u2028|0x|-1|1e9|evt.type|proc.name|fd.name|append: true\n".split(
		"|",
	);

function mutate(random: Random, text: string): string {
	let out = text;
	for (let times = 1 + random.below(4); times > 0; times--) {
		const at = random.below(out.length + 1);
		const size = random.below(random.pick([2, 8, 60]));
		const piece = out.slice(at, at + size);
		const to = random.below(out.length + 1);
		out = random.pick([
			() => out.slice(0, at) + out.slice(at + size),
			() => out.slice(0, at) + random.pick(tokens) + out.slice(at),
			() => out.slice(0, at) + random.pick(tokens) + out.slice(at + size),
			() => out.slice(0, to) + piece + out.slice(to),
			() => out.slice(0, at) + String.fromCharCode(random.below(256)) + out.slice(at + 1),
			() => out.slice(0, at) + piece.repeat(random.below(20)) + out.slice(at),
		])();
	}
	return out;
}

/** Small files: three rules each of ours as they are written, and of the generated ones. */
function bases(): string[] {
	const own = signatureFiles().flatMap(({ text }) => {
		const items = text.split(/^(?=- )/m).slice(1);
		return items.flatMap((_, index) => (index % 3 === 0 ? [items.slice(index, index + 3).join("")] : []));
	});
	const made = generatedFiles(300).flatMap(({ text }) => {
		const items = parse(text, { schema: "failsafe" }) as unknown[];
		return items.flatMap((_, index) =>
			index % 3 === 0 ? [JSON.stringify(items.slice(index, index + 3), undefined, 1)] : [],
		);
	});
	return [...own, ...made];
}

describe("a mutated rule file", () => {
	it(
		`loads or says where and why not, ${wanted} times, and no rule is taken for another`,
		() => {
			const random = new Random(seed);
			const texts = bases();
			const counts = { rules: 0, errors: 0, compared: 0, slowestMs: 0 };
			for (let file = 0; file < wanted; file++) {
				const text = mutate(random, random.pick(texts));
				const what = `seed ${seed}, file ${file}: ${JSON.stringify(text).slice(0, 3000)}`;
				const cpu = process.threadCpuUsage();
				const { rules, problems } = loadRules([{ path: "m.yaml", text, origin: "falco" }]);
				const { user, system } = process.threadCpuUsage(cpu);
				counts.slowestMs = Math.max(counts.slowestMs, (user + system) / 1000);
				expect((user + system) / 1000, what).toBeLessThan(limitMs);
				for (const { level, line, column, message, remedy } of problems) {
					if (level !== "error") continue;
					counts.errors++;
					expect(line >= 1 && column >= 1 && message !== "" && remedy !== "", what).toBe(true);
				}
				counts.rules += rules.length;
				for (const rule of rules) {
					if (rule.status === "error") {
						expect(
							problems.some(({ level }) => level === "error"),
							what,
						).toBe(true);
						continue;
					}
					if (rule.plans.size === 0) continue;
					const read = parseCondition(rule.condition);
					const printed = print(read);
					expect(
						isDeepStrictEqual(meaning(parseCondition(printed)), meaning(read)),
						`${printed}\n${what}`,
					).toBe(true);
					if (hasName(read)) continue;
					const [before, after] = [rule.condition, printed].map((each) =>
						loadRules([{ path: "c.yaml", text: ruleText(each), origin: "falco" }]),
					);
					const sample = randomSample(random);
					counts.compared++;
					expect(after && fired(after, sample), what).toEqual(before && fired(before, sample));
				}
			}
			tell(`rules: ${JSON.stringify({ seed, files: wanted, ...counts })}`);
			expect(counts.rules).toBeGreaterThan(wanted);
			expect(counts.compared).toBeGreaterThan(wanted / 10);
			expect(counts.errors).toBeGreaterThan(wanted / 10);
		},
		timeout,
	);
});
