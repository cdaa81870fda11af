// Mutated rule files: nothing throws, nothing hangs, every error has a place and a remedy, and a rule that is accepted
// means the same when its condition is written out from what was understood of it.
import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadRules, type RuleSet } from "../../agent/detect/load.ts";
import { type Node, parseCondition, type Term } from "../../agent/detect/syntax.ts";
import { generatedFiles, signatureFiles } from "../bench/rules.ts";
import { randomSample } from "../unit/detect/random.ts";
import { fired, Random, ruleText } from "../unit/detect/rig.ts";
import { corpus } from "./corpus.ts";
import { seed, soak, tell, timeout } from "./counts.ts";
import { checkProblems, loadInTime } from "./loading.ts";
import { plainDocuments } from "./sigma-plain.ts";
import { misspelt, mutateText, restyle } from "./texts.ts";

const wanted = soak ? 10_000 : 400;

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

/** The words of a condition by themselves, whatever they are to each other. */
function wordsOf(condition: string): string[] {
	const words = condition.match(/"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'|[^\s()"',=!<>[\]]+/g) ?? [];
	// Control characters stand as they are without quotes, and escaped in them.
	return words.map((word) => word.replace(/^["']|["']$/g, "").replace(/\\[abfv]|[\\\s\p{Cc}]+/gu, ""));
}
/** Those of what was understood; a word without quotes may hold signs at which a field's name ends, as in "a]b". */
const understood = (node: Node): ReadonlySet<string> => {
	const words = wordsOf(print(node));
	return new Set([...words, ...words.flatMap((word) => word.split(/[=!<>[\]]+/)), ...joining]);
};
const joining = ["and", "or", "not", "anyof", "oneof", "allof", "list"];

/** Without places. */
const meaning = (node: Node): unknown =>
	JSON.parse(JSON.stringify(node, (key, value: unknown) => (key === "at" ? undefined : value)));

const tokens =
	"\0|\n|\t|\"|'|\\|(|)|[|]|{|}|: |- |, |#|*a|&a|!!x |and |or |not |=|!=| in | exists|allof |val(|tolower(|%|\xff|\u2028|0x|-1|1e9|evt.type|proc.name|fd.name|append: true\n".split(
		"|",
	);

/** Small files: three rules each of ours and of the public ones as they are written, and of the generated ones. */
function bases(): string[] {
	const own = [...signatureFiles().map(({ text }) => text), ...corpus("falco")].flatMap((text) => {
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

const counts = { rules: 0, errors: 0, compared: 0, slowestMs: 0 };

function load(text: string, what: string): RuleSet {
	const { set, ms } = loadInTime([{ path: "m.yaml", text, origin: "falco" }], what);
	counts.slowestMs = Math.max(counts.slowestMs, ms);
	counts.errors += checkProblems(set.problems, what);
	return set;
}

describe("a mutated rule file", () => {
	it(
		`loads or says where and why not, ${wanted} times, and no rule is taken for another`,
		() => {
			const random = new Random(seed);
			const texts = bases();
			for (let file = 0; file < wanted; file++) {
				const text = mutateText(random, random.pick(texts), tokens);
				const what = `seed ${seed}, file ${file}: ${JSON.stringify(text).slice(0, 3000)}`;
				const { rules, problems } = load(text, what);
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
					const known = understood(read);
					const dropped = wordsOf(rule.condition).filter((word) => !known.has(word));
					expect(dropped, `${rule.condition}\n${printed}\n${what}`).toEqual([]);
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

	it(
		"means the same whatever its style: quotes, brackets, indentation, comments",
		() => {
			const random = new Random(seed);
			const texts = bases();
			for (let i = 0; i < wanted / 8; i++) {
				const text = random.pick(texts);
				const styled = plainDocuments(text)
					.map((each) => restyle(random, each))
					.join("\n---\n");
				const [before, after] = [text, styled].map((each) =>
					load(each, each).rules.map(({ name, status, condition, output, tags, priority, enabled }) => ({
						...{ name, status, condition, output, tags, priority, enabled },
					})),
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
			const texts = bases();
			for (let i = 0; i < wanted / 4; i++) {
				const text = random.pick(texts);
				const keys = [
					...text.matchAll(
						/^(?:- | {2})(rule|macro|list|desc|condition|output|priority|tags|items|exceptions|enabled|append)(?=:)/gm,
					),
				];
				if (keys.length === 0) continue;
				const { 0: found, 1: key = "", index } = random.pick(keys);
				const start = index + found.length - key.length;
				const changed = `${text.slice(0, start)}${misspelt(random, key)}${text.slice(start + key.length)}`;
				const known = load(text, text).problems.map(({ message }) => message);
				const told = load(changed, changed).problems.filter(({ message }) => !known.includes(message));
				expect(told, changed).not.toEqual([]);
			}
		},
		timeout,
	);
});
