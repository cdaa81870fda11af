// Mutated Sigma files: nothing throws, nothing hangs, every error has a place and a remedy, and a rule that is accepted
// matches the events that a plain reading of the same text matches.
import { describe, expect, it } from "vitest";
import { Engine } from "../../agent/detect/engine.ts";
import type { LoadedRule, RuleSet } from "../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../agent/detect/sample.ts";
import { context, Random } from "../unit/detect/rig.ts";
import { seed, soak, tell, timeout } from "./counts.ts";
import { checkProblems, loadInTime } from "./loading.ts";
import { sigmaBases } from "./sigma-bases.ts";
import {
	holdsPlainly,
	isText,
	type LogRecord,
	listOf,
	mapOf,
	NoOpinion,
	NoRule,
	type Plain,
	plainDocuments,
} from "./sigma-plain.ts";
import { misspelt, mutateText, restyle } from "./texts.ts";

const wanted = soak ? 10_000 : 400;

const tokens =
	"\0|\n|\t|\"|'|\\|(|)|[|]|{|}|: |- |, |#|*a|&a|and |or |not |1 of |all of |them|*|?|\\*|null|~|true|\xe9|\u2028|0|-1|1e9|selection|filter|condition: |Image: |---\n".split(
		"|",
	);
/** Behind a field's name, too. */
const modifiers =
	"contains all startswith endswith re cased cidr exists fieldref base64 base64offset wide windash lt gte neq expand i contain al foo".split(
		" ",
	);

function mutate(random: Random, text: string): string {
	if (random.chance(0.25)) {
		const at = random.pick([...text.matchAll(/[A-Za-z](?=:\s)/g)].map(({ index }) => index + 1));
		if (at !== undefined) return `${text.slice(0, at)}|${random.pick(modifiers)}${text.slice(at)}`;
	}
	return mutateText(random, text, tokens);
}

interface Event {
	readonly sample: Sample;
	readonly record: LogRecord;
}
const words = ["a", "/usr/bin/x", "-v", "/tmp/y", "backup", "10", "é"];

/** A text that holds what is asked for, more or less. */
function textFor(random: Random, value: string, modifiers: readonly string[]): string {
	const has = (word: string): boolean => modifiers.includes(word);
	let text = has("re")
		? value
				.replace(/\\s/g, " ")
				.replace(/\\[dw]/g, "1")
				.replace(/\[\^?(.).*?\]/g, "$1")
				.replace(/\(\?[:a-z]+/g, "")
				.replace(/\|.*$/s, "")
				.replace(/[\\^$.*+?()[\]{}]/g, "")
		: value.replace(
				/\\([*?\\])|[*?]/g,
				(sign, escaped) => escaped ?? (sign === "*" ? random.pick(["", "x", " /y"]) : "z"),
			);
	if (has("base64") || has("base64offset"))
		text = Buffer.from(`${"q".repeat(random.below(3))}${text}`).toString("base64");
	if (random.chance(0.15)) text = random.pick([text.toUpperCase(), text.toLowerCase()]);
	if (has("contains") || has("endswith") || has("re")) text = random.pick(["", "", "q ", "/x"]) + text;
	if (has("contains") || has("startswith") || has("re")) text += random.pick(["", "", " q", ".x"]);
	return text;
}

/** Every field with one of its values, wherever it stands. */
function asked(value: Plain): (readonly [key: string, value: string])[] {
	if (isText(value)) return [["", value]];
	if (Array.isArray(value)) return value.flatMap(asked);
	return Object.entries(mapOf(value)).flatMap(([key, each]) =>
		listOf(each).flatMap((one) => (isText(one) ? [[key, one] as const] : asked(one))),
	);
}

function eventFor(random: Random, category: string, detection: Plain): Event | undefined {
	const all = Object.entries(mapOf(detection)).flatMap(([name, each]) =>
		name === "condition" ? [] : asked(each),
	);
	const fields: Record<string, string> = {};
	for (const [key, value] of random.several(0, Math.min(5, all.length), () => random.pick(all))) {
		const [name = "", ...modifiers] = key.split("|");
		const text = textFor(random, value, modifiers);
		const field = name === "" ? (category === "file_event" ? "TargetFilename" : "CommandLine") : name;
		fields[field] = fields[field] === undefined || random.chance(0.3) ? text : `${fields[field]} ${text}`;
	}
	const field = (name: string, usual: string): string => {
		const text = fields[name] || usual;
		return text.isWellFormed() ? text : usual;
	};
	const pick = (): string => random.pick(words);
	const parent = random.chance(0.7);
	const uid = field("User", "").includes("root") || random.chance(0.5) ? "0" : "1000";
	const folder = field("CurrentDirectory", "/srv").replace(/\/*$/, "/");
	const process: Record<string, string> = {
		Image: field("Image", "/usr/bin/x"),
		CommandLine: field("CommandLine", pick()),
		CurrentDirectory: folder,
		User: uid === "0" ? "root" : "ada",
		...(parent && {
			ParentImage: field("ParentImage", "/usr/bin/p"),
			ParentCommandLine: field("ParentCommandLine", pick()),
			ParentUser: "root",
		}),
	};
	const base: Sample = {
		process: { exe: process.Image ?? "", comm: "x", args: [process.CommandLine ?? ""], cwd: folder, uid },
		...(parent && {
			ancestors: [
				{ exe: process.ParentImage ?? "", comm: "p", args: [process.ParentCommandLine ?? ""], uid: "0" },
			],
		}),
	};
	switch (category) {
		case "process_creation":
			return { sample: base, record: { fields: process, text: process.CommandLine ?? "" } };
		case "file_event": {
			const path = field("TargetFilename", `/srv/${pick()}`);
			const open = { path, flags: ["O_WRONLY", "O_CREAT"], event_flags: ["created"], syscall: "openat" };
			return {
				sample: { ...base, open },
				record: { fields: { ...process, TargetFilename: path }, text: path },
			};
		}
		case "network_connection": {
			const port = /^\d{1,4}$/.test(fields.DestinationPort ?? "")
				? Number(fields.DestinationPort)
				: random.pick([80, 60_500]);
			const address = random.pick(["10.1.2.3", "203.0.113.7", "192.168.1.1", "8.8.8.8"]);
			return {
				sample: { ...base, connect: { address, port: String(port) } },
				record: {
					fields: {
						...process,
						DestinationIp: address,
						DestinationPort: port,
						Initiated: "true",
						Protocol: "tcp",
					},
					text: "",
				},
			};
		}
		default:
			return undefined;
	}
}

const priorities: Readonly<Record<string, string>> = {
	informational: "Informational",
	low: "Notice",
	medium: "Warning",
	high: "Error",
	critical: "Critical",
};

const word = (value: Plain | undefined): string => (isText(value) ? value.trim().toLowerCase() : "");
interface Source {
	readonly product: string;
	readonly category: string;
	readonly service: string;
}
function sourceOf(document: Plain): Source {
	const { product, category, service } = mapOf(mapOf(document).logsource);
	return { product: word(product), category: word(category), service: word(service) };
}

/** Filters of the file that change the rule. */
function filtersFor(documents: readonly Plain[], rule: Plain): Plain[] {
	const own = sourceOf(rule);
	return documents.filter((each) => {
		if (!("filter" in mapOf(each))) return false;
		const source = sourceOf(each);
		const { rules } = mapOf(mapOf(each).filter);
		const within = (["product", "category", "service"] as const).every(
			(key) => source[key] === "" || source[key] === own[key],
		);
		const { id, name } = mapOf(rule);
		const names = [word(id), word(name)].filter((one) => one !== "");
		return within && (word(rules) === "any" || listOf(rules).some((one) => names.includes(word(one))));
	});
}

/** The answers of an engine with this rule alone. */
function judge(set: RuleSet, rule: LoadedRule): (sample: Sample) => boolean {
	const engine = new Engine({ ...set, rules: [rule] }, context);
	return (sample) => {
		let found = false;
		engine.evaluate(observationOf(sample), () => {
			found = true;
		});
		return found;
	};
}

const counts = { files: 0, rules: 0, errors: 0, judged: 0, matched: 0, noOpinion: 0, slowestMs: 0 };

/** Holds every rule that was accepted against the plain reading of the text. */
function compare(random: Random, set: RuleSet, text: string, what: string): void {
	const failed = set.problems.some(({ level }) => level === "error");
	let documents: (Plain | undefined)[];
	try {
		documents = plainDocuments(text);
	} catch {
		return;
	}
	const readable = documents.filter((each) => each !== undefined);
	for (const rule of set.rules) {
		counts.rules++;
		if (rule.origin !== "sigma" || !rule.enabled || rule.plans.size === 0) continue;
		const own = readable.filter(
			(each) => isText(mapOf(each).title) && String(mapOf(each).title).trim() === rule.name,
		);
		const [document] = own;
		const { category, service } = sourceOf(document ?? null);
		// Of two with one title nobody knows which is which; a filter with a mistake in it is left out, and told.
		if (!document || own.length > 1 || service === "auditd" || (failed && readable.length > 1)) continue;
		const { detection, level } = mapOf(document);
		expect(rule.priority, what).toBe(priorities[word(level)] ?? "Warning");
		const filters = filtersFor(readable, document);
		const holds = judge(set, rule);
		for (let i = 0; i < 6; i++) {
			const event = eventFor(random, category, detection ?? null);
			if (!event) break;
			let expected: boolean;
			try {
				const answers = [
					holdsPlainly(detection, ["timeframe"], event.record),
					...filters.map((each) => holdsPlainly(mapOf(each).filter, ["rules"], event.record)),
				];
				expected = !answers.includes(false);
			} catch (error) {
				if (error instanceof NoRule) expect.fail(`${rule.name} is accepted, and ${error.message}\n${what}`);
				if (!(error instanceof NoOpinion)) throw error;
				counts.noOpinion++;
				break;
			}
			counts.judged++;
			if (expected) counts.matched++;
			const shown = `${JSON.stringify(event.record)}\n${rule.condition}\n${what}`;
			expect(holds(event.sample), shown).toBe(expected);
		}
	}
}

function load(text: string, what: string): RuleSet {
	const { set, ms } = loadInTime([{ path: "m.yml", text, origin: "falco" }], what);
	counts.slowestMs = Math.max(counts.slowestMs, ms);
	counts.errors += checkProblems(set.problems, what);
	return set;
}

const { texts, corpus } = sigmaBases();

describe("a mutated Sigma file", () => {
	it(
		`loads or says where and why not, ${wanted} times, and each rule means what its text says`,
		() => {
			const random = new Random(seed);
			for (const [index, text] of texts.entries())
				compare(random, load(text, ""), text, `file ${index}: ${text}`);
			for (let file = 0; file < wanted; file++) {
				const text = mutate(random, random.pick(texts));
				const what = `seed ${seed}, file ${file}: ${JSON.stringify(text).slice(0, 3000)}`;
				counts.files++;
				compare(random, load(text, what), text, what);
			}
			tell(`Sigma rules: ${JSON.stringify({ seed, corpus, ...counts })}`);
			expect(counts.rules).toBeGreaterThan(wanted / 2);
			expect(counts.judged).toBeGreaterThan(wanted / 2);
			expect(counts.matched).toBeGreaterThan(wanted / 20);
			expect(counts.errors).toBeGreaterThan(wanted / 10);
		},
		timeout,
	);

	it(
		"means the same whatever its style: quotes, brackets, indentation, comments",
		() => {
			const random = new Random(seed);
			for (let i = 0; i < wanted / 4; i++) {
				const text = random.pick(texts);
				const written = plainDocuments(text)
					.map((each) => restyle(random, each))
					.join("\n---\n");
				const [before, after] = [text, written].map((each) =>
					load(each, each).rules.map(({ name, id, status, condition, tags, priority, author, enabled }) => ({
						...{ name, id, status, condition, tags, priority, author, enabled },
					})),
				);
				expect(after, written).toEqual(before);
			}
		},
		timeout,
	);

	it(
		"tells of every key that is misspelt",
		() => {
			const random = new Random(seed);
			const keys =
				/^(title|id|status|author|level|tags|logsource|detection|falsepositives|references|description| +(product|category|condition))(?=:)/gm;
			for (let i = 0; i < wanted; i++) {
				const text = random.pick(texts);
				const { 0: key, index } = random.pick([...text.matchAll(keys)]);
				const name = key.trim();
				const other = misspelt(random, name);
				const start = index + key.length - name.length;
				const changed = `${text.slice(0, start)}${other}${text.slice(start + name.length)}`;
				const known = load(text, text).problems.map(({ message }) => message);
				const told = load(changed, changed).problems.filter(({ message }) => !known.includes(message));
				expect(told, `${name} written as ${other}: ${changed}`).not.toEqual([]);
			}
		},
		timeout,
	);
});
