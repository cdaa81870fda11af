// What a Falco file may say besides conditions: how later items change earlier ones, exceptions in every form, aliases,
// several documents, what it asks of the engine, outputs. Each as Falco takes it, and each mistake told.
import { describe, expect, it } from "vitest";
import type { RuleSet } from "../../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import { errorsOf, findings, fired, load, ruleText } from "./rig.ts";

const named = (comm: string, ...args: string[]): Sample => ({
	process: { exe: `/bin/${comm}`, args: [comm, ...args] },
});
const rule = (name: string, condition: string, more = ""): string =>
	`- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: o\n  priority: info\n${more}`;
/** What is told, but for what a rule costs that asks for every open. */
const messagesOf = (set: RuleSet): string[] =>
	set.problems.map(({ message }) => message).filter((message) => !message.includes("costs CPU"));

describe("a file", () => {
	it("may name a value once and use it again", () => {
		const text = `
- list: shells
  items: &shells [bash, zsh]
- list: others
  items: *shells
- rule: one
  desc: &words a sentence
  condition: &bash proc.name in (others)
  output: o
  priority: info
- rule: two
  desc: *words
  condition: *bash
  output: o
  priority: info
`;
		const set = load(text);
		expect(errorsOf(set)).toEqual([]);
		expect(set.rules[1]?.description).toBe("a sentence");
		expect(fired(set, named("zsh"))).toEqual(["one", "two"]);
	});

	it("that names more through aliases than anybody needs is refused, at once", () => {
		const bomb = Array.from(
			{ length: 40 },
			(_, i) => `- list: l${i}\n  items: &l${i} [${i === 0 ? "x" : `*l${i - 1}, *l${i - 1}`}]\n`,
		).join("");
		const errors = errorsOf(load(`${bomb}${rule("good", "evt.num > 0")}`));
		expect(errors.length).toBeGreaterThan(0);
		expect(errors.map(({ message }) => message)).toContain("more than 20000 values through aliases");
		expect(fired(load(`${bomb}${rule("good", "evt.num > 0")}`), named("x"))).toEqual(["good"]);
	});

	it.each([
		["- list: a\n  items: &a [x, *a]\n", "nested too deeply"],
		["- list: a\n  items: *nobody\n", "*nobody refers to nothing"],
		["- list: &a a\n  items: []\n---\n- list: b\n  items: [*a]\n", "*a refers to nothing"],
	])("%j is an error of that item", (text, message) => {
		const set = load(`${rule("good", "evt.num > 0")}${text}`);
		expect(errorsOf(set)).toMatchObject([{ message }]);
		expect(errorsOf(set)[0]?.line).toBeGreaterThan(5);
		expect(fired(set, named("x"))).toEqual(["good"]);
	});

	it("may hold several documents, and a mistake in one costs that one", () => {
		const text = `---\n${rule("a", "evt.num > 0")}---\n- rule: [\n---\n\n---\n${rule("b", "evt.num > 0")}`;
		const set = load(text);
		expect(errorsOf(set).length).toBeGreaterThan(0);
		expect(fired(set, named("x"))).toEqual(["a", "b"]);
	});

	it("may have nothing behind a dash, and a key twice: the first counts, with a warning", () => {
		const text = `-\n${rule("a", "proc.name = x", "  condition: proc.name = y\n")}`;
		expect(errorsOf(load(text))).toEqual([]);
		expect(messagesOf(load(text))).toEqual(["condition is there twice; the first one counts"]);
		expect(fired(load(text), named("x"))).toEqual(["a"]);
	});
});

describe("what a file asks of the engine", () => {
	it.each(["0.57.0", "0.63.0", '"0.57.0"', "57", "0.57.0-rc1"])("version %s is taken", (version) => {
		expect(errorsOf(load(`- required_engine_version: ${version}\n`))).toEqual([]);
	});

	it.each([
		["0.64.0", "the file needs engine 0.64.0, this is 0.63.0"],
		["99", "the file needs engine 99, this is 0.63.0"],
		["1.0.0", "the file needs engine 1.0.0, this is 0.63.0"],
		["newest", "newest is no version"],
	])("version %s is not", (version, message) => {
		expect(errorsOf(load(`- required_engine_version: ${version}\n`))).toMatchObject([{ message }]);
	});

	const plugins = (text: string) => `- required_plugin_versions:\n    - ${text}\n`;
	it("plugins whose fields are known here, or an alternative of them, are there", () => {
		const text = plugins(
			"name: nothing\n      version: 1.0.0\n      alternatives:\n        - name: container\n          version: 0.4.0",
		);
		expect(load(text).problems).toEqual([]);
		expect(load(plugins("name: k8smeta\n      version: 0.1.0")).problems).toEqual([]);
	});

	it("another plugin is told, and one without a name or a version is an error", () => {
		const other = load(plugins("name: k8saudit\n      version: 0.7.0"));
		expect(other.problems).toMatchObject([
			{ level: "warning", message: "the plugin k8saudit is unknown here" },
		]);
		expect(errorsOf(load(plugins("name: container")))).toMatchObject([
			{ message: "a plugin lacks its name or its version" },
		]);
	});
});

const base = `
- list: shells
  items: [bash]
- macro: shell
  condition: proc.name in (shells)
- rule: first
  desc: one
  condition: shell
  output: first
  priority: Notice
  tags: [t1]
  exceptions:
    - name: quiet
      fields: [proc.args]
      comps: [=]
      values: [[quiet]]
- rule: second
  desc: two
  condition: proc.name = fish
  output: second
  priority: Notice
  enabled: false
`;

describe("an override", () => {
	it("changes nothing under a name that every object has", () => {
		const set = load(
			`${rule("one", "proc.nothing = x")}- rule: one
  condition: and proc.name = x
  __proto__: { skip-if-unknown-filter: "true", enabled: "false" }
  override: { condition: append }
`,
		);
		expect(set.rules.map(({ status }) => status)).toEqual(["error"]);
		expect(messagesOf(set)[0]).toBe("unknown key __proto__");
	});
	it("replaces every key that can be replaced", () => {
		const set = load(`${base}
- rule: first
  desc: new
  condition: proc.name = ash
  output: better
  priority: CRITICAL
  tags: [t2]
  enabled: true
  warn_evttypes: false
  skip-if-unknown-filter: false
  capture: true
  capture_duration: 100
  exceptions:
    - name: other
      fields: proc.args
      values: [loud]
  override:
    desc: replace
    condition: replace
    output: replace
    priority: replace
    tags: replace
    enabled: replace
    warn_evttypes: replace
    skip-if-unknown-filter: replace
    capture: replace
    capture_duration: replace
    exceptions: replace
`);
		expect(messagesOf(set)).toEqual([]);
		expect(set.rules[0]).toMatchObject({
			description: "new",
			output: "better",
			priority: "Critical",
			tags: ["t2"],
			enabled: true,
		});
		expect(fired(set, named("ash"))).toEqual(["first"]);
		expect(fired(set, named("ash", "quiet"))).toEqual(["first"]);
		expect(fired(set, named("ash", "loud"))).toEqual([]);
	});

	it("appends to every key that can be appended to", () => {
		const set = load(`${base}
- rule: first
  desc: and more
  condition: or proc.name = ash
  output: and %proc.name
  tags: [t2]
  exceptions:
    - name: quiet
      values: [[silent]]
    - name: other
      fields: proc.name
      values: [zsh]
  override: { desc: append, condition: append, output: append, tags: append, exceptions: append }
- list: shells
  items: [zsh]
  override: { items: append }
- macro: shell
  condition: or proc.name = dash
  override: { condition: append }
`);
		expect(messagesOf(set)).toEqual([]);
		expect(set.rules[0]).toMatchObject({
			description: "one and more",
			output: "first and %proc.name",
			tags: ["t1", "t2"],
		});
		for (const comm of ["bash", "ash", "dash"]) expect(fired(set, named(comm)), comm).toEqual(["first"]);
		for (const word of ["quiet", "silent"]) expect(fired(set, named("ash", word)), word).toEqual([]);
		expect(fired(set, named("zsh"))).toEqual([]);
	});

	it.each([
		[
			"- rule: first\n  priority: Error\n  override: { priority: append }\n",
			"priority cannot be appended to",
		],
		["- rule: first\n  enabled: true\n  override: { enabled: append }\n", "enabled cannot be appended to"],
		[
			"- rule: first\n  source: x\n  override: { source: replace }\n",
			"source is nothing that can be overridden",
		],
		["- rule: first\n  override: { desc: replace }\n", "override names desc, and the item has none"],
		[
			"- rule: first\n  desc: x\n  output: y\n  override: { desc: replace }\n",
			"override does not say what becomes of output",
		],
		["- rule: first\n  desc: x\n  override: replace\n", "override is no map"],
		["- rule: first\n  append: true\n  desc: x\n", "there is nothing to append"],
		["- rule: first\n  append: maybe\n  condition: x\n", "append is maybe, neither true nor false"],
		["- rule: first\n  enabled: sometimes\n", "enabled is sometimes, neither true nor false"],
		["- rule: third\n  enabled: true\n", "there is no rule to change"],
		["- list: shells\n  items: [x]\n  override: { condition: append }\n", "condition is nothing that can be"],
		["- macro: shell\n  condition: x\n  override: { items: replace }\n", "items is nothing that can be"],
		["- macro: with-dash\n  condition: evt.num > 0\n", "no condition can name this macro"],
		["- list: two words\n  items: []\n", "no condition can name this list"],
		[
			"- rule: first\n  desc: d\n  condition: x\n  output: o\n  priority: info\n  source: k8s_audit\n",
			"the rule is there already, for syscall",
		],
	])("%j is refused and changes nothing", (more, message) => {
		const set = load(`${base}${more}`);
		expect(errorsOf(set).length).toBe(1);
		expect(errorsOf(set)[0]?.message).toContain(message);
		expect(fired(set, named("bash"))).toEqual(["first"]);
		expect(set.rules.map(({ name, priority, description }) => [name, priority, description])).toEqual([
			["first", "Notice", "one"],
			["second", "Notice", "two"],
		]);
	});
});

describe("a later item", () => {
	it("switches a rule on that was off, and keeps its place", () => {
		const set = load(`${base}- rule: second\n  enabled: true\n`);
		expect(fired(set, named("fish"))).toEqual(["second"]);
		expect(set.rules.map(({ name }) => name)).toEqual(["first", "second"]);
	});

	it("with append alone adds a condition and exceptions, and nothing else without a word", () => {
		const text = `${base}- rule: first
  append: true
  condition: or proc.name = ash
  priority: Critical
  tags: [t9]
`;
		const set = load(text);
		expect(fired(set, named("ash"))).toEqual(["first"]);
		expect(set.rules[0]).toMatchObject({ priority: "Notice", tags: ["t1"] });
		expect(messagesOf(load(text))).toEqual(["priority has no effect here", "tags has no effect here"]);
	});

	it("that only switches a rule changes nothing else", () => {
		const text = `${base}- rule: first\n  enabled: false\n  tags: [t9]\n`;
		expect(load(text).rules[0]).toMatchObject({ enabled: false, tags: ["t1"] });
		expect(messagesOf(load(text))).toEqual(["tags has no effect here"]);
	});
});

describe("an exception", () => {
	const quiet = (exceptions: unknown, sample: Sample, before = ""): boolean => {
		const set = load(before + ruleText("proc.name exists", { exceptions }));
		expect(errorsOf(set)).toEqual([]);
		return fired(set, sample).length === 0;
	};
	const one = (comps: string, ...values: unknown[]) => [
		{ name: "e", fields: ["proc.args"], comps: [comps], values: values.map((value) => [value]) },
	];

	it.each<[string, unknown, Sample, boolean]>([
		["=", "a b", named("x", "a", "b"), true],
		["==", "a", named("x", "a"), true],
		["!=", "a", named("x", "b"), true],
		["!=", "a", named("x", "a"), false],
		["contains", "b c", named("x", "ab", "cd"), true],
		["icontains", "B C", named("x", "ab", "cd"), true],
		["startswith", "-q", named("x", "-quiet"), true],
		["endswith", "uiet", named("x", "-quiet"), true],
		["glob", "-*t", named("x", "-quiet"), true],
		["iglob", "-*T", named("x", "-quiet"), true],
		["regex", "-q.*", named("x", "-quiet"), true],
		["regex", "q.*", named("x", "-quiet"), false],
		["bcontains", "7175", named("x", "-quiet"), true],
		["bstartswith", "2d71", named("x", "-quiet"), true],
		["pmatch", "/etc", named("x", "/etc/y"), true],
		["pmatch", "/etc", named("x", "/etcy"), false],
		["in", ["a", "b c"], named("x", "b", "c"), true],
		["in", "(a, 'b c')", named("x", "b", "c"), true],
		["in", "a, b", named("x", "b"), true],
		["in", "words", named("x", "two words"), true],
		["in", ["words", "z"], named("x", "one"), true],
		["intersects", ["a", "b"], named("x", "b"), true],
		["=", "'quoted one'", named("x", "quoted", "one"), true],
		["=", '"with \\"quotes\\""', named("x", 'with "quotes"'), true],
		["=", "val(proc.name)", named("x", "x"), true],
		["=", "val(proc.name)", named("x", "y"), false],
	])("compares with %s %j", (comps, value, sample, expected) => {
		const lists = "- list: words\n  items: [one, two words]\n";
		const set = load(lists + ruleYaml(one(comps, value)));
		expect(errorsOf(set)).toEqual([]);
		expect(fired(set, sample).length === 0).toBe(expected);
	});

	it("of one field holds for any value, each alone", () => {
		const single = [{ name: "e", fields: "proc.name", comps: "in", values: ["a", "b c", "d,e"] }];
		for (const comm of ["a", "b c", "d", "e"]) expect(quiet(single, named(comm)), comm).toBe(true);
		expect(quiet(single, named("f"))).toBe(false);
		const paths = [{ name: "e", fields: "proc.exepath", comps: "pmatch", values: ["/bin", "/opt"] }];
		expect(quiet(paths, named("x"))).toBe(true);
	});

	it.each([
		[[{ fields: "proc.name", values: ["x"] }], "an exception has no name"],
		[
			[
				{ name: "e", fields: "proc.name" },
				{ name: "e", fields: "proc.args" },
			],
			"two exceptions are named e",
		],
		[[{ name: "e", values: ["x"] }], "the exception e has no fields"],
		[[{ name: "e", fields: ["proc.name", "proc.args"], comps: ["="] }], "has 2 fields and 1 comps"],
		[[{ name: "e", fields: "proc.name", comps: ["="] }], "one field and several comps"],
		[[{ name: "e", fields: "proc.name", values: "x" }], "the values of the exception e are no list"],
		[{ name: "e" }, "exceptions is no list"],
	])("%j is an error of its rule", (exceptions, message) => {
		const errors = errorsOf(load(ruleText("evt.num > 0", { exceptions })));
		expect(errors).toMatchObject([{ where: "rule r" }]);
		expect(errors[0]?.message).toContain(message);
	});

	it("that is there already takes values alone", () => {
		const more = `- rule: first
  append: true
  exceptions:
    - name: quiet
      fields: [proc.name]
      values: [[x]]
`;
		const set = load(base + more);
		expect(errorsOf(set)).toMatchObject([{ message: "the exception quiet has its fields already" }]);
		expect(fired(set, named("bash"))).toEqual(["first"]);
	});
});
function ruleYaml(exceptions: unknown): string {
	return `- rule: r
  desc: d
  condition: proc.name exists
  output: o
  priority: info
  exceptions: ${JSON.stringify(exceptions)}
`;
}

describe("skip-if-unknown-filter", () => {
	it.each(["proc.nonsense = x", "evt.type = nosuch"])("lets a rule with %s be passed over", (condition) => {
		const set = load(ruleText(condition, { "skip-if-unknown-filter": "true" }));
		expect(messagesOf(set)).toEqual([]);
		expect(set.rules[0]).toMatchObject({ status: "not-evaluable", enabled: false });
		expect(set.rules[0]?.reasons[0]).toMatch(/there is no .*passed over/);
		expect(errorsOf(load(ruleText(condition)))).toHaveLength(1);
	});

	it("forgives nothing else", () => {
		expect(errorsOf(load(ruleText("proc.name =", { "skip-if-unknown-filter": "true" })))).toHaveLength(1);
	});
});

describe("a list's name", () => {
	const lists =
		"- list: shells\n  items: [bash, zsh]\n- list: nobody\n  items: []\n- list: pair\n  items: ['a,b']\n";
	it.each([
		["proc.name in shells", "zsh", true],
		["proc.name in shells and evt.num > 0", "fish", false],
		["proc.name = oneof shells", "zsh", true],
		["proc.name startswith anyof shells", "zshell", true],
		["proc.name in nobody", "zsh", false],
		["proc.name in (pair)", "b", true],
	])("stands without parentheses or in them: %s", (condition, comm, expected) => {
		const set = load(lists + rule("r", condition));
		expect(errorsOf(set)).toEqual([]);
		expect(fired(set, named(comm)).length > 0).toBe(expected);
	});
});

describe("an output", () => {
	const summary = (output: string, sample: Sample): string | undefined =>
		findings(load(ruleText("evt.num > 0", { output })), observationOf(sample))[0]?.summary;
	const sample: Sample = { ...named("bash", "-c", "x"), container: { image: "nginx:1", name: "web" } };

	it.each([
		["%proc.name.", "bash."],
		["%proc.name.old", "bash.old"],
		["%proc.name,%proc.args;", "bash,-c x;"],
		["%proc.args[1]", "x"],
		["%proc.aname[3]", "<NA>"],
		["*%proc.name", "bash"],
		["100%% %proc.name", "100% bash"],
		["%7proc.name|%2proc.name|", "bash   |ba|"],
		["%toupper(proc.name)", "BASH"],
		["%tolower(toupper(proc.name)) %len(proc.name)", "bash 4"],
		["%container.info", "web (id=0123456789ab)"],
		["%container.label.app %container.label[app]", "<NA> <NA>"],
		["%evt.arg.flags", "0"],
		["%evt.is_open_read", "<NA>"],
	])("%j reads %j", (output, expected) => {
		expect(summary(output, sample)).toBe(expected);
	});

	it.each([
		["%procname", "no field stands behind %"],
		["50% done", "no field stands behind %"],
		["ends with %", "no field stands behind %"],
		["%proc.nam", "there is no such field"],
		["%proc.aname[x]", "there is no such field"],
		["%toupper(", "a field is missing"],
		["%toupper(nonsense)", "a field is missing"],
	])("%j is an error of its rule", (output, message) => {
		const errors = errorsOf(load(ruleText("evt.num > 0", { output })));
		expect(errors).toMatchObject([{ where: "rule r" }]);
		expect(errors[0]?.message).toContain(message);
	});
});
