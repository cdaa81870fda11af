// Sigma files that nobody in their right mind has written: no crash, no hang, every rule either loaded or told of.
import { describe, expect, it } from "vitest";
import { errorsOf, fired, load, Random } from "./rig.ts";
import { ran, sigmaOf, sigmaText } from "./sigma-rig.ts";

const seed = `title: Seed
id: 5d6bb1b5-6f5a-4f3f-9a3c-8a1d7b0a5c11
name: seed
status: test
level: high
author: Ada
tags: [attack.execution, attack.t1059.004]
logsource:
  product: linux
  category: process_creation
detection:
  selection_a:
    Image|endswith: ['/a', '*\\b?']
    CommandLine|contains|all:
      - 'x'
      - y*z
  selection_b:
    - CommandLine|re|i: '^a(b|c)+$'
    - ParentImage|exists: false
      ProcessId|gte: 5
  _filter:
    CommandLine|utf16le|base64offset|contains: 'http://'
    User|fieldref: ParentUser
    Hashes: null
    Image|windash|startswith: '-x'
  words: ['one', 2, "th*ree"]
  condition: (1 of selection_* or words) and not _filter
---
title: Audit
logsource: { product: linux, service: auditd }
detection:
  s: { type: [EXECVE, PATH], a0: &it x, name|startswith: *it, SYSCALL: execve }
  condition: [s, not s]
`;
const pieces = "|:-[]{}&*!'\"#%@,\n\t \\?()<>=~."
	.split("")
	.concat([
		"|re",
		"|contains",
		"|all",
		"|base64",
		"|cidr",
		"1 of them",
		" and ",
		" not ",
		"null",
		"true",
		"---\n",
		"- ",
		"  ",
		"selection_a",
		"(?i)",
		"\u0000",
		"\ufeff",
		"é",
		"\ud800",
		"__proto__",
		"constructor",
		"9".repeat(40),
	]);

function mutated(random: Random): string {
	let text = seed;
	for (let edits = 1 + random.below(3); edits > 0; edits--) {
		const at = random.below(text.length);
		const length = random.chance(0.5) ? random.below(8) : random.below(80);
		const cut = random.chance(0.3) ? "" : random.pick(pieces);
		const moved = random.chance(0.2) ? text.slice(at, at + length) : "";
		text = text.slice(0, at) + cut + moved + text.slice(at + (random.chance(0.5) ? length : 0));
	}
	return text;
}

it("of any text become rules that answer, or problems with a place and a remedy", () => {
	const random = new Random(7);
	const sample = ran(["x", "yz", "one"], "/bin/a");
	let good = 0;
	for (let i = 0; i < 150; i++) {
		const text = mutated(random);
		const set = load(text);
		for (const { line, column, message, remedy } of set.problems) {
			expect(line, text).toBeGreaterThan(0);
			expect(column, text).toBeGreaterThan(0);
			expect([message, remedy], text).not.toContain("");
		}
		for (const { status, reasons } of set.rules)
			if (status !== "evaluable") expect(reasons, text).not.toEqual([]);
		if (set.rules.length === 0) expect(errorsOf(set), text).not.toEqual([]);
		fired(set, sample);
		if (errorsOf(set).length === 0) good++;
	}
	// Else nothing but YAML has been tested.
	expect(good).toBeGreaterThan(15);
}, 60_000);

describe("names that every object has", () => {
	it.each(["constructor", "__proto__", "toString", "hasOwnProperty"])(
		"%s means nothing as a value",
		(name) => {
			const good = sigmaText({ s: { Image: "/usr/bin/good" }, condition: "s" }, { title: "good" });
			const audit = { product: "linux", service: "auditd" };
			const texts = [
				sigmaText({ s: { Image: "x" }, condition: "s" }, { level: name }),
				sigmaText(
					{ s: { Image: "x" }, condition: "s" },
					{ logsource: { category: name }, fields: ["Image"] },
				),
				sigmaText({ s: { success: name, exe: "x" }, condition: "s" }, { logsource: audit }),
			];
			const set = load([...texts, good].join("\n---\n"));
			expect(set.rules.map(({ status }) => status)).toEqual([
				"error",
				"not-evaluable",
				"not-evaluable",
				"evaluable",
			]);
			expect(fired(set, { process: { exe: "/usr/bin/good" } })).toEqual(["good"]);
		},
	);
	it.each(["__proto__", "constructor", "toString", "hasOwnProperty"])("%s is one like any other", (name) => {
		const { rule } = sigmaOf({ s: JSON.parse(`{"${name}": "x"}`), condition: "s" });
		expect(rule).toMatchObject({ status: "not-evaluable", reasons: [`these fields are never set: ${name}`] });
		const text = `title: r\nlogsource: {category: process_creation}\ndetection:\n  ${name}: {Image: '*/a'}\n  condition: ${name}\n`;
		const set = load(text);
		expect(errorsOf(set)).toEqual([]);
		expect(fired(set, ran([], "/bin/a"))).toEqual(["r"]);
		expect(fired(set, ran([], "/bin/b"))).toEqual([]);
	});
});

describe("patterns meant to explode", () => {
	const long = ran(["a".repeat(100_000)]);
	it.each([
		["CommandLine", `${"*a".repeat(50)}b`],
		["CommandLine|contains", `${"a*".repeat(50)}b`],
		["CommandLine|re", "^(a+)+$b"],
		["CommandLine|re", "(a|aa)+b"],
		["CommandLine|re", "(.*a){20}b"],
	])("%s: %s match nothing, and end", (key, value) => {
		expect(fired(sigmaOf({ s: { [key]: value }, condition: "s" }).set, long)).toEqual([]);
	});

	it("that are too big to be compiled are refused", () => {
		const set = load(sigmaText({ s: { "CommandLine|re": "((a{1000}){1000}){1000}" }, condition: "s" }));
		expect(errorsOf(set)).toMatchObject([{ message: expect.stringContaining("cannot be used") }]);
	});
});

it("thousands of selections and values are a rule like any other", () => {
	const names = Array.from({ length: 2000 }, (_, index) => `s${index}`);
	const detection = Object.fromEntries(names.map((name) => [name, { "CommandLine|contains": `${name}.` }]));
	const { set } = sigmaOf({ ...detection, condition: "1 of s*" });
	expect(fired(set, ran(["s1999."]))).toEqual(["r"]);
	expect(fired(set, ran(["s2000."]))).toEqual([]);
	const many = { "CommandLine|contains|all": names };
	expect(fired(sigmaOf({ s: many, condition: "s" }).set, ran(["s1999"]))).toEqual([]);
});
