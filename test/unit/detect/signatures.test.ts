// The form of our own signatures: what each says, where it stands in ATT&CK, and which others its samples raise.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules, type RuleFile } from "../../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import { currentTechnique, tactics } from "../../../agent/model/attack.ts";
import { techniqueTactics } from "./attack-techniques.ts";
import { context } from "./rig.ts";

const folder = new URL("../../../agent/detect/signatures/", import.meta.url).pathname;
const files = readdirSync(folder)
	.sort()
	.map((name): RuleFile => ({ path: name, text: readFileSync(folder + name, "utf8"), origin: "picket" }));
const set = loadRules(files);
// What only feeds correlations, and these themselves, have their own form: correlation-signatures.test.ts.
const signatures = set.rules
	.filter(({ silent, correlation }) => !silent && !correlation)
	.map((rule) => [rule.name, rule] as const);

type Samples = Readonly<Record<"positive" | "negative", readonly Sample[]>>;

/** A sample's things, each of which may differ: the program is one, its ancestry one, every member of the event one. */
function thingsOf({ process, ancestors, container, ...event }: Sample): Map<string, string> {
	const { exe, args, comm, ...rest } = process ?? {};
	const things = new Map([
		["program", JSON.stringify([exe, args, comm])],
		["ancestors", JSON.stringify(ancestors)],
		["container", JSON.stringify(container)],
	]);
	const process_ = { cwd: "/", tty: "0", login_uid: "-1", uid: "0", ...rest };
	for (const [key, value] of Object.entries(process_)) things.set(`process.${key}`, JSON.stringify(value));
	for (const [kind, given] of Object.entries(event)) {
		things.set("kind", kind);
		for (const [key, value] of Object.entries(given ?? {})) things.set(`event.${key}`, JSON.stringify(value));
	}
	return things;
}
function differences(one: Sample, other: Sample): number {
	const [a, b] = [thingsOf(one), thingsOf(other)];
	return [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key)).length;
}

describe.each(signatures)("the signature %s", (_, rule) => {
	const { positive, negative } = rule.samples as Samples;

	it("tells its reader in two to four sentences what happened and what to do", () => {
		const sentences = rule.description.trim().split(/(?<=[.:;?])\s+(?=[A-Z])|(?<=:)\s+/);
		expect(sentences.length, rule.description).toBeGreaterThanOrEqual(2);
		expect(sentences.length, rule.description).toBeLessThanOrEqual(5);
		expect(rule.description.length, rule.description).toBeLessThanOrEqual(320);
		expect(rule.description.trim(), "a whole sentence").toMatch(/^[A-Z/].*[.`]$/s);
		for (const sentence of sentences) expect(sentence.split(/\s+/).length, sentence).toBeLessThanOrEqual(32);
		// What to do is told to the reader: look, stop, find out, …
		expect(rule.description, "what to do").toMatch(
			/\b(look|see|find|stop|end|block|save|fetch|read|remove|treat|pause|change|replace|bar|set|take|put|ask|keep|compare|list)\b/i,
		);
	});

	it("says in its output who did it and with what command", () => {
		expect(rule.output).toMatch(/^([A-Z]|%fd[.]name )/);
		expect(rule.output).toContain("%user.name");
		expect(rule.output).toContain("%proc.cmdline");
	});

	it("names techniques that are in force, each in one of its tactics, and no tactic besides", () => {
		for (const tag of rule.tags) if (/^T\d/.test(tag)) expect(currentTechnique(tag)).toBe(tag);
		for (const tactic of rule.tactics) expect([...tactics]).toContain(tactic);
		expect(rule.techniques.length).toBeGreaterThan(0);
		const possible = rule.techniques.map((id) => techniqueTactics.get(id) ?? []);
		for (const [index, id] of rule.techniques.entries())
			expect(
				possible[index]?.some((tactic) => rule.tactics.includes(tactic)),
				id,
			).toBe(true);
		for (const tactic of rule.tactics)
			expect(
				possible.some((each) => each.includes(tactic)),
				tactic,
			).toBe(true);
		// Every tag that means ATT&CK was understood.
		const attack = rule.tags.filter((tag) => tag.startsWith("mitre_"));
		expect(attack.length).toBe(rule.tactics.length);
	});

	it("says where it may fire, host or container", () => {
		expect(rule.tags.some((tag) => tag === "host" || tag === "container")).toBe(true);
	});

	it("tells the false positives that are known", () => {
		for (const each of rule.falsePositives) expect(each).toMatch(/^[A-Z`].{10,}[.]$/s);
		// Loud ones may claim to have none, the others have some.
		if (!["critical", "high"].includes(rule.severity)) expect(rule.falsePositives).not.toEqual([]);
	});

	it("has a near miss, which differs from what it is for in one thing", () => {
		const closest = Math.min(...positive.flatMap((hit) => negative.map((miss) => differences(hit, miss))));
		expect(closest).toBe(1);
	});
});

describe("the signatures together", () => {
	it.each([
		"execution",
		"persistence",
		"privilege-escalation",
		"stealth",
		"defense-impairment",
		"credential-access",
		"discovery",
		"lateral-movement",
		"collection",
		"command-and-control",
		"exfiltration",
		"impact",
	])("cover the tactic %s with at least two", (tactic) => {
		expect(set.rules.filter((rule) => rule.tactics.includes(tactic)).length).toBeGreaterThanOrEqual(2);
	});

	it("cover the escape from a container", () => {
		expect(set.rules.filter((rule) => rule.techniques.includes("T1611")).length).toBeGreaterThan(5);
	});

	it("are at least eighty", () => {
		expect(set.rules.length).toBeGreaterThanOrEqual(80);
	});

	/** Besides its own signature, a sample may raise these: the place or the parent is worth a word of its own. */
	const wide = new Set([
		"Program ran from a temporary directory on the host",
		"Program ran from a hidden place",
		"Program ran from shared memory",
		"Program ran from memory without a file",
		"Program pretends to be a kernel thread",
		"Program pretends to be a part of the system",
		"Interactive shell without a terminal",
		"Web server started a shell",
		"Downloaded script piped into a shell on the host",
	]);
	it("tell one thing under one name: a sample raises its own signature, else only those about places and parents", () => {
		const engine = new Engine(set, context);
		const others: string[] = [];
		for (const [name, { samples }] of signatures)
			for (const sample of (samples as Samples).positive)
				engine.evaluate(observationOf(sample), ({ rule }) => {
					if (rule !== name && !wide.has(rule)) others.push(`${name}: ${rule}`);
				});
		expect(others).toEqual([]);
	});
});
