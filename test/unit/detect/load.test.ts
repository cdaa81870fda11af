// From rule files to classified rules: what is told of mistakes, and of rules that can do less here.
import { describe, expect, it } from "vitest";
import { loadRules } from "../../../agent/detect/load.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { eventNames } from "../../../agent/model/event.ts";
import { errorOf, errorsOf, findings, fired, load, ruleText } from "./rig.ts";

const bash = { process: { exe: "/usr/bin/bash" } };
const good = `
- rule: good
  desc: a good one
  condition: evt.type = execve and proc.name = bash
  output: "%proc.name"
  priority: Notice
`;

describe("a mistake", () => {
	it.each([
		["unknown field", "  condition: proc.nonsense = x\n", 4, 14, "no field proc.nonsense"],
		["unknown macro", "  condition: nowhere and evt.num > 0\n", 4, 14, "no macro is named nowhere"],
		["unknown list", "  condition: proc.name in nowhere\n", 4, 27, "no list is named nowhere"],
		["index of a field that has none", "  condition: proc.name[2] = x\n", 4, 14, "no field proc.name[2]"],
		["wrong argument", "  condition: proc.aname[two] = x\n", 4, 14, "no field proc.aname[two]"],
		["syntax", "  condition: (proc.name = x\n", 4, 28, ") is missing"],
		["empty condition", "  condition:\n", 4, 13, "a condition is missing"],
	])(
		"in a condition (%s) costs its rule alone and is told with its place",
		(_, condition, line, column, message) => {
			const text = `\n- rule: bad\n  desc: d\n${condition}  output: o\n  priority: Notice\n${good}`;
			const set = load(text);
			const errors = errorsOf(set);
			expect(errors).toMatchObject([{ file: "rules.yaml", line, where: "rule bad" }]);
			expect(errors[0]?.column).toBe(column);
			expect(errors[0]?.message).toContain(message);
			expect(errors[0]?.remedy).not.toBe("");
			expect(set.rules.map(({ name, status, enabled }) => [name, status, enabled])).toEqual([
				["bad", "error", false],
				["good", "evaluable", true],
			]);
			expect(fired(set, bash)).toEqual(["good"]);
		},
	);

	it("shows where in the condition it is", () => {
		expect(errorOf("proc.name = bash and proc.name ~ x").message).toContain(
			"roc.name = bash and proc.name ~ x",
		);
	});

	it.each([
		["priority: Nice", "priority", 6, 'unknown priority "Nice"'],
		["output: '%proc.what'\n  priority: info", "output", 6, "proc.what"],
	])("elsewhere in a rule (%s) too", (rest, _, line, message) => {
		const text =
			`\n- rule: bad\n  desc: d\n  condition: evt.num > 0\n  output: o\n  ${rest}\n${good}`.replace(
				/ {2}output: o\n( {2}output)/,
				"$1",
			);
		const set = load(text);
		expect(errorsOf(set)).toHaveLength(1);
		expect(errorsOf(set)[0]?.message).toContain(message);
		expect(errorsOf(set)[0]?.line).toBeLessThanOrEqual(line);
		expect(errorsOf(set)[0]?.line).toBeGreaterThan(3);
		expect(fired(set, bash)).toEqual(["good"]);
	});

	/** What stands at the place a problem names. */
	const pointedAt = (text: string, { line, column }: { line: number; column: number }) =>
		(text.split("\n")[line - 1] ?? "").slice(column - 1);

	it.each([
		["folded", "  condition: >\n    evt.num > 0\n    and  proc.nmae = x\n    and fd.name = y\n"],
		["literal", "  condition: |-\n    evt.num > 0 and\n      (proc.name = a or\n       proc.nmae = x)\n"],
		["over lines", "  condition: evt.num > 0\n    and proc.name in (words) and\n    proc.nmae = x\n"],
		["in double quotes", '  condition: "proc.name in (\\"a\\", empty, words) and proc.nmae = x"\n'],
		["in single quotes", "  condition: 'proc.args = ''a b'' and\n    (proc.nmae = x)'\n"],
		["behind lists", "  condition: proc.name in (words, empty, words) and proc.nmae = x\n"],
	])("in a condition %s is pointed at, however lists and lines change the text", (_, condition) => {
		const text = `- list: words\n  items: [a b, '"c d"', e]\n- list: empty\n  items: []\n- rule: bad\n  desc: d\n${condition}  output: o\n  priority: info\n`;
		const set = load(text);
		expect(errorsOf(set)).toMatchObject([{ message: "there is no field proc.nmae", where: "rule bad" }]);
		for (const error of errorsOf(set)) expect(pointedAt(text, error)).toMatch(/^proc\.nmae = x/);
		expect(errorsOf(set)[0]?.remedy).toBe("did you mean proc.name?");
	});

	it("behind a macro, in an output or in an exception is pointed at too", () => {
		const rule = (condition: string, rest = "  output: o\n") =>
			`- macro: good\n  condition: evt.num > 0\n- macro: wrong\n  condition: good and proc.nmae = x\n- rule: bad\n  desc: d\n  condition: ${condition}\n  priority: info\n${rest}`;
		const cases = [
			[rule("good and not wrong"), /^wrong$/],
			[rule("good and nowhere and good"), /^nowhere and good$/],
			[rule("good", "  output: >\n    * ran %proc.name\n    %proc.nmae\n"), /^%proc\.nmae$/],
			[
				rule("good", "  output: o\n  exceptions:\n    - {name: e, fields: proc.nmae, values: [x]}\n"),
				/^- \{name: e/,
			],
		] as const;
		for (const [text, expected] of cases) {
			const [error] = errorsOf(load(text));
			expect(error && pointedAt(text, error), text).toMatch(expected);
		}
	});

	it.each([
		["- list: l\n  itmes: [a]\n", "the list has no items"],
		["- list: l\n  items: [[a]]\n", "no single value"],
		["- macro: m\n  condition: [a]\n", "the condition is no text"],
		["- rule: x\n  desc: d\n  condition: [a]\n  output: o\n  priority: info\n", "condition is no text"],
		["- rule: x\n  desc: d\n  condition: a\n  output: {a: b}\n  priority: info\n", "output is no text"],
		["- rule: good\n  condition: [a]\n  override: {condition: append}\n", "condition is no text"],
	])("of kind (%j) is told and costs no other rule", (more, message) => {
		const set = load(`${good}${more}`);
		expect(errorsOf(set)).toHaveLength(1);
		expect(errorsOf(set)[0]?.message).toContain(message);
		expect(fired(set, bash)).toEqual(["good"]);
	});

	it.each([
		"- macro: m\n  condition: evt.num > 0\n  colour: red\n",
		"- list: l\n  items: []\n  colour: red\n",
	])("in a key of %j is a warning", (more) => {
		expect(load(more).problems).toMatchObject([{ level: "warning", message: "unknown key colour", line: 3 }]);
	});

	it("of leaving something out names what", () => {
		const set = load(`- rule: bad\n  desc: d\n  condition: evt.num > 0\n${good}`);
		expect(errorsOf(set)).toMatchObject([
			{ line: 1, where: "rule bad", message: "the rule has no output, no priority" },
		]);
		expect(fired(set, bash)).toEqual(["good"]);
	});

	it("in a key is a warning, and the rule works", () => {
		const set = load(`${good}  colour: red\n  picket_samples: {}\n`);
		expect(set.problems).toMatchObject([
			{ level: "warning", message: "unknown key colour", line: 7, column: 11, where: "rule good" },
		]);
		expect(fired(set, bash)).toEqual(["good"]);
	});

	it.each([
		["- rule: [\n", 2],
		["rule: x\n", 1],
		["- a\n- b\n", 1],
		["- colour: red\n", 1],
		["- rule:\n  desc: d\n", 1],
		["- list: x\n  items: *y\n- list: y\n", 2],
		["\t- rule: x\n", 1],
	])("in the file itself (%j) is told and costs no other file", (text, line) => {
		const set = loadRules([
			{ path: "bad.yaml", text, origin: "falco" },
			{ path: "good.yaml", text: good, origin: "falco" },
		]);
		expect(errorsOf(set).length).toBeGreaterThan(0);
		expect(errorsOf(set)[0]).toMatchObject({ file: "bad.yaml", line });
		expect(errorsOf(set)[0]?.remedy).not.toBe("");
		expect(fired(set, bash)).toEqual(["good"]);
	});

	it("is nothing an empty file has", () => {
		expect(load("").problems).toEqual([]);
		expect(load("# nothing\n").problems).toEqual([]);
		expect(load("").rules).toEqual([]);
		expect(load("").interest.kinds.size).toBe(0);
	});

	it("of any sort never makes the loader throw", () => {
		const values = ["x", "", [], ["a"], {}, { a: "b" }, "true", null, 5];
		for (const key of [
			"rule",
			"desc",
			"condition",
			"output",
			"priority",
			"tags",
			"enabled",
			"exceptions",
			"override",
			"append",
		]) {
			for (const value of values) {
				const set = load(ruleText("evt.num > 0", { [key]: value }));
				expect(set.rules.length + set.problems.length, `${key}: ${JSON.stringify(value)}`).toBeGreaterThan(0);
			}
		}
		for (const item of ["list", "macro", "rule", "required_engine_version", "required_plugin_versions"])
			for (const value of values)
				expect(() => load(JSON.stringify([{ [item]: value, items: value }]))).not.toThrow();
	});
});

describe("a priority", () => {
	it.each([
		["Emergency", "Emergency", "critical"],
		["ALERT", "Alert", "critical"],
		["critical", "Critical", "critical"],
		["Error", "Error", "high"],
		["warning", "Warning", "medium"],
		["NOTICE", "Notice", "low"],
		["info", "Informational", "informational"],
		["INFO", "Informational", "informational"],
		["Informational", "Informational", "informational"],
		["debug", "Debug", "informational"],
	])("written %s is %s and of severity %s", (written, priority, severity) => {
		expect(load(ruleText("evt.num > 0", { priority: written })).rules).toMatchObject([
			{ priority, severity },
		]);
	});
});

describe("a file's engine version", () => {
	it.each(["0.57.0", "0.63.0", "0.31", "17", "0"])("%s is taken", (version) => {
		expect(load(`- required_engine_version: ${version}\n${good}`).problems).toEqual([]);
	});
	it.each(["0.64.0", "0.63.1", "1.0.0", "64", "latest"])("%s is refused", (version) => {
		expect(errorsOf(load(`- required_engine_version: ${version}\n`))).toMatchObject([
			{ line: 1, file: "rules.yaml" },
		]);
	});
	it("of plugins is passed over", () => {
		const text = `- required_plugin_versions:\n    - name: container\n      version: 0.2.2\n${good}`;
		expect(load(text).problems).toEqual([]);
	});
});

describe("a rule's status", () => {
	const judged = (condition: string, more = {}) => {
		const [rule] = load(ruleText(condition, more)).rules;
		if (!rule) throw new Error("no rule");
		return {
			status: rule.status,
			reasons: rule.reasons.join("; "),
			enabled: rule.enabled,
			events: rule.events,
		};
	};

	it("is evaluable when all it asks for is there", () => {
		expect(judged("evt.type = execve and proc.name = x")).toEqual({
			status: "evaluable",
			reasons: "",
			enabled: true,
			events: ["exec"],
		});
		expect(judged("evt.type in (open, openat, openat2) and fd.name = /x").events).toEqual(["open"]);
		expect(judged("fd.name = /x and fd.typechar exists").events).toEqual(
			"open connect chmod chown truncate setxattr accept bind listen send dup memfd".split(" "),
		);
		expect(judged("proc.name = x").events).toEqual(eventNames);
	});

	it("is degraded when part of it can never be", () => {
		expect(judged("evt.type in (execve, personality)")).toMatchObject({
			status: "degraded",
			reasons: "these events are not captured: personality",
			enabled: true,
		});
		expect(judged("proc.name = x and not k8s.svc.name = dns")).toMatchObject({
			status: "degraded",
			enabled: true,
		});
		expect(judged("proc.name = x and not k8s.svc.name = y").reasons).toContain("k8s.svc.name");
		expect(judged("evt.type = execve", { output: "%k8s.pod.ip" })).toMatchObject({
			status: "evaluable",
			reasons: "the output's k8s.pod.ip is always <NA> here",
		});
	});

	it("is not-evaluable when nothing can satisfy it", () => {
		expect(judged("evt.type = personality")).toMatchObject({
			status: "not-evaluable",
			reasons: "these events are not captured: personality",
			enabled: false,
			events: [],
		});
		expect(judged("evt.arg.wd startswith /etc").status).toBe("not-evaluable");
		expect(judged("evt.type = execve and evt.type = connect")).toMatchObject({
			status: "not-evaluable",
			reasons: "no event can satisfy the condition",
		});
	});

	it("is not-evaluable for another source of events, whose fields nobody here knows", () => {
		const other = judged("ka.verb = create and jevt.value[/x] exists", {
			source: "k8s_audit",
			output: "%ka.user.name",
		});
		expect(other).toMatchObject({ status: "not-evaluable", enabled: false, events: [] });
		expect(other.reasons).toContain("k8s_audit");
	});
});

describe("a rule", () => {
	it("finds what its file says, with ATT&CK out of its tags", () => {
		const text = ruleText("proc.name = bash", {
			rule: "Shell",
			desc: "A shell\n  ran.",
			output: "shell %proc.name\n by %user.name",
			priority: "error",
			tags: ["host", "mitre_credential_access", "T1003.008", "attack.t1059", "mitre_nonsense"],
		});
		const [finding] = findings(load(text), observationOf(bash));
		expect(finding).toEqual({
			rule: "Shell",
			origin: "falco",
			priority: "Error",
			severity: "high",
			summary: "shell bash by root",
			description: "A shell ran.",
			tactics: ["credential-access"],
			techniques: ["T1003.008", "T1059"],
			tags: ["host", "mitre_credential_access", "T1003.008", "attack.t1059", "mitre_nonsense"],
			fields: { "proc.name": "bash", "user.name": "root" },
		});
	});

	it("matches beside the others, in the order of the files", () => {
		const names = ["c", "a", "b"];
		const set = loadRules(
			names.map((rule) => ({
				path: `${rule}.yaml`,
				text: ruleText("evt.num > 0", { rule }),
				origin: "falco" as const,
			})),
		);
		expect(fired(set, bash)).toEqual(names);
	});

	it("of our own means opens that succeeded, unless it names the result", () => {
		const failed = { open: { path: "/etc/shadow", result: "-13" } };
		const rules = (condition: string) => load(ruleText(condition), "picket");
		expect(fired(rules("fd.name = /etc/shadow"), failed)).toEqual([]);
		expect(fired(rules("fd.name = /etc/shadow"), { open: { path: "/etc/shadow" } })).toEqual(["r"]);
		expect(fired(rules("fd.name = /etc/shadow and evt.rawres < 0"), failed)).toEqual(["r"]);
		expect(fired(load(ruleText("fd.name = /etc/shadow")), failed)).toEqual(["r"]);
		expect(fired(rules("evt.type = connect"), { connect: { address: "1.2.3.4", result: "-111" } })).toEqual([
			"r",
		]);
	});

	it("shares its checks with the others", () => {
		const one = load(ruleText("proc.name = bash and fd.name = /x"));
		const many = loadRules(
			Array.from({ length: 50 }, (_, index) => ({
				path: `${index}.yaml`,
				text: ruleText("proc.name = bash and fd.name = /x", { rule: `r${index}` }),
				origin: "falco" as const,
			})),
		);
		expect(many.rules).toHaveLength(50);
		expect(many.predicates.all.length).toBe(one.predicates.all.length);
	});
});

describe("the hash of the content", () => {
	it("changes with every byte of a rule and not with the folder", () => {
		const hash = (text: string, path = "a/r.yaml") => load(text, "falco", path).contentHash;
		expect(hash(good)).toMatch(/^[0-9a-f]{64}$/);
		expect(hash(good)).toBe(hash(good, "b/r.yaml"));
		expect(hash(good)).not.toBe(hash(`${good} `));
	});
});

it.each(["- rule: a\n", "title: a\n"])(
	"of a file with a mistake at each sign the first ones are told: %j",
	(begin) => {
		const set = load(`${begin}${"[".repeat(2000)}`);
		expect(set.problems.length).toBeLessThanOrEqual(10);
		expect(set.problems[0]?.message).not.toMatch(/at line/);
	},
);
