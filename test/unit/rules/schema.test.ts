// The JSON schemas against the loaders: what loads is valid, what is refused for its form is not.
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import { knownKeys } from "../../../agent/detect/collect.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import { jsonSchema, type SchemaName, schemaNames } from "../../../agent/detect/rule-schema.ts";
import { readSamples } from "../../../agent/detect/samples.ts";
import type { Problem } from "../../../agent/model/verdict.ts";
import { picketRules } from "./rig.ts";

/** As an editor judges: by the JSON schema alone. */
const validators = Object.fromEntries(
	schemaNames.map((name) => [name, z.fromJSONSchema(JSON.parse(JSON.stringify(jsonSchema(name))))]),
) as Record<SchemaName, z.ZodType>;
function mistakes(name: SchemaName, text: string): string[] {
	const found = validators[name].safeParse(parse(text));
	return found.success ? [] : found.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
}
function refused(text: string, path = "rules.yaml"): string[] {
	const before = { path: "before.yaml", text: known, origin: "falco" as const };
	const { problems } = loadRules([before, { path, text, origin: "falco" }]);
	return problems.filter(({ level }) => level === "error").map(({ message }) => message);
}

const known = `- list: things
  items: [a]
- macro: ran
  condition: evt.type = execve
- rule: known
  desc: d
  condition: ran
  output: o
  priority: Notice
`;
const folder = new URL("../../../agent/detect/signatures/", import.meta.url).pathname;
const signatures = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
	/\.ya?ml$/.test(name),
);

describe("the schema of rule files", () => {
	it.each(signatures)("holds for our own %s", (name) => {
		for (const document of parseAllDocuments(readFileSync(folder + name, "utf8"))) {
			const value: unknown = (document as { toJS(): unknown }).toJS();
			const schema = Array.isArray(value) ? validators.rules : validators.correlation;
			expect(schema.safeParse(value).error?.issues ?? []).toEqual([]);
		}
	});

	it("knows the keys that the loader knows", () => {
		const schema = jsonSchema("rules") as { items: { anyOf: { properties: Record<string, unknown> }[] } };
		for (const [item, keys] of Object.entries(knownKeys)) {
			const all = schema.items.anyOf
				.filter(({ properties }) => item in properties)
				.flatMap(({ properties }) => Object.keys(properties))
				.filter((key) => !key.startsWith("picket_"));
			expect(new Set(all), item).toEqual(keys);
		}
	});

	const rule = (more: string) =>
		`- rule: r\n  desc: d\n  condition: ran\n  output: o\n  priority: Notice\n${more}`;
	it.each([
		["a rule", rule("")],
		["a rule with everything", rule("  tags: [a, T1003]\n  enabled: false\n  source: syscall\n")],
		["priorities in any case", rule("").replace("Notice", "WARNING") + rule("").replace("Notice", "info")],
		[
			"exceptions of one field",
			rule("  exceptions:\n    - { name: e, fields: proc.name, values: [a, b] }\n"),
		],
		[
			"exceptions of several",
			rule(
				"  exceptions:\n    - name: e\n      fields: [proc.name, fd.name]\n      comps: [in, startswith]\n      values:\n        - [[a, b], /x]\n",
			),
		],
		["more of a rule", "- rule: known\n  condition: and proc.name = a\n  append: true\n"],
		["a change", "- rule: known\n  output: more\n  override: { output: append }\n"],
		["a switch", "- rule: known\n  enabled: false\n"],
		[
			"lists",
			"- list: more\n  items: [things, 1, 2.5, true, 'a b']\n- list: things\n  items: [b]\n  append: true\n",
		],
		[
			"macros",
			"- macro: more\n  condition: ran\n- macro: ran\n  condition: or evt.type = open\n  append: true\n",
		],
		["what a file needs", "- required_engine_version: 0.31.0\n- required_engine_version: 15\n"],
	])("allows what the loader takes: %s", (_, text) => {
		expect(refused(text)).toEqual([]);
		expect(mistakes("rules", text)).toEqual([]);
	});

	it.each([
		["an item that is no map", "- rule\n"],
		["an item that is nothing", "- desc: d\n  condition: ran\n"],
		["a rule without a name", rule("").replace("rule: r", "rule: ''")],
		["a rule without a condition", rule("").replace("  condition: ran\n", "")],
		["a rule without an output", rule("").replace("  output: o\n", "")],
		["a rule without a priority", rule("").replace("  priority: Notice\n", "")],
		["an unknown priority", rule("").replace("Notice", "Urgent")],
		["a condition that is a list", rule("").replace("ran", "[ran]")],
		["an output that is a map", rule("").replace("output: o", "output: { a: b }")],
		["a list without items", "- list: l\n"],
		["a list in a list", "- list: l\n  items: [[a]]\n"],
		["a macro that is a list", "- macro: m\n  condition: [ran]\n"],
		["another way to change", "- rule: known\n  output: x\n  override: { output: prepend }\n"],
		[
			"two ways to change",
			"- rule: known\n  condition: x\n  append: true\n  override: { condition: append }\n",
		],
		[
			"an exception with an unknown comparison",
			rule("  exceptions:\n    - { name: e, fields: [proc.name], comps: [like], values: [[a]] }\n"),
		],
	])("refuses what the loader refuses for its form: %s", (_, text) => {
		expect(refused(text)).not.toEqual([]);
		expect(mistakes("rules", text)).not.toEqual([]);
	});

	it("refuses a key that the loader warns of", () => {
		expect(mistakes("rules", rule("  descrption: x\n"))).not.toEqual([]);
		expect(refused(rule("  descrption: x\n"))).toEqual([]);
	});
});

describe("the schema of samples files", () => {
	const problemsOf = (text: string): Problem[] => {
		const problems: Problem[] = [];
		readSamples("x.samples.yaml", text, problems);
		return problems;
	};
	const event = (text: string) => `samples:\n  - rule: r\n    positive:\n      - ${text}\n`;
	it.each([
		event("exec:"),
		event("open: { path: /x, flags: [O_WRONLY, O_CREAT], result: -13 }"),
		event("{ connect: { address: 192.0.2.1, port: 443 }, process: { exe: /x, uid: 0, args: [x, 1] } }"),
		event("rename: { path: /a, target: /b, syscall: renameat2, event_flags: [ioUring] }"),
		event("[{ exec: {}, repeat: 3 }, { open: { path: /x }, after: 2 }]"),
	])("allows %s", (text) => {
		expect(problemsOf(text)).toEqual([]);
		expect(mistakes("samples", text)).toEqual([]);
	});

	it.each([
		"samples: x\n",
		"- rule: r\n",
		"samples:\n  - positive: []\n",
		"samples:\n  - rule: r\n    postive: []\n",
		event("execve: {}"),
		event("open: { pth: /x }"),
		event("{ exec: {}, process: { exec: /x } }"),
		event("rename: { to: /x }"),
		event("exec: [1]"),
	])("refuses what the reader refuses: %s", (text) => {
		expect(problemsOf(text)).not.toEqual([]);
		expect(mistakes("samples", text)).not.toEqual([]);
	});
});

describe("the schema of correlation documents", () => {
	const document = (more: Record<string, unknown>, rest: Record<string, unknown> = { title: "t" }) =>
		JSON.stringify({
			...rest,
			correlation: { type: "event_count", rules: ["known"], timespan: "5m", condition: { gte: 3 }, ...more },
		});
	it.each([
		document({}),
		document({ "group-by": ["proc.name"], generate: true }),
		document({ type: "value_count", condition: { gte: 3, field: "proc.name" } }),
		document({ type: "temporal", condition: undefined }),
		document({}, { title: "t", level: "high", tags: ["attack.t1110"], author: "a" }),
	])("allows %s", (text) => {
		expect(refused(text)).toEqual([]);
		expect(mistakes("correlation", text)).toEqual([]);
	});

	it.each([
		document({}, {}),
		document({ type: "often" }),
		document({ rules: [] }),
		document({ timespan: "5 minutes" }),
		document({ timespan: undefined }),
		document({ condition: { more: 3 } }),
		document({ condition: 3 }),
		document({ groupby: ["proc.name"] }),
		document({}, { title: "t", level: "terrible" }),
	])("refuses what the loader refuses for its form: %s", (text) => {
		expect(refused(text)).not.toEqual([]);
		expect(mistakes("correlation", text)).not.toEqual([]);
	});
});

it("`picket rules schema` prints them", () => {
	for (const name of schemaNames) {
		const { status, out } = picketRules("/", "schema", name);
		expect(status).toBe(0);
		expect(JSON.parse(out)).toEqual(JSON.parse(JSON.stringify(jsonSchema(name))));
	}
	expect(JSON.parse(picketRules("/", "schema").out).title).toContain("rule file");
	expect(picketRules("/", "schema", "nonsense").status).toBe(1);
}, 60_000);
