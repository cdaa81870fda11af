// Lists and macros, and how later items of rule files change earlier ones.
import { describe, expect, it } from "vitest";
import { expandLists } from "../../../agent/detect/expand.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import type { Sample } from "../../../agent/detect/sample.ts";
import { errorOf, errorsOf, fired, holds, load, ruleText } from "./rig.ts";

const named = (comm: string, more: Sample["process"] = {}): Sample => ({
	process: { exe: `/usr/bin/${comm}`, ...more },
});
const fires = (text: string, sample: Sample) => fired(load(text), sample);

describe("a list's name in a condition", () => {
	const lists = new Map([
		["abc", ["a", "b", "c"]],
		["one", ["x"]],
		["empty", []],
		["none", []],
		["spaced", ["a b", "plain"]],
		["quoted", ['"sh -c x"', "'y'"]],
		["odd", ["a=b", "(c)", 'd"e', ""]],
		["with-dash", ["d"]],
	]);

	it.each([
		["proc.name in (abc)", "proc.name in (a, b, c)"],
		["proc.name in (q, abc,r)", "proc.name in (q, a, b, c,r)"],
		["proc.name in (one, abc)", "proc.name in (x, a, b, c)"],
		["proc.name=one", "proc.name=x"],
		["fd.name = one and abcd = 1", "fd.name = x and abcd = 1"],
		["abc.d one_two xone", "abc.d one_two xone"],
		["proc.name in (with-dash)", "proc.name in (d)"],
		["proc.name in (spaced)", 'proc.name in ("a b", plain)'],
		["proc.name in (quoted)", `proc.name in ("sh -c x", 'y')`],
		["proc.name in (odd)", String.raw`proc.name in ("a=b", "(c)", "d\"e", "")`],
		["proc.name in (empty)", "proc.name in ()"],
		["proc.name in (empty, a)", "proc.name in ( a)"],
		["proc.name in (a, empty)", "proc.name in (a)"],
		["proc.name in (a, empty, b)", "proc.name in (a,  b)"],
		["proc.name in (empty, none)", "proc.name in ( )"],
		["proc.name in (a, empty, none, b)", "proc.name in (a,   b)"],
		["proc.args = 'in one place'", "proc.args = 'in x place'"],
		["proc.args = 'one'", "proc.args = 'one'"],
	])("%j becomes %j", (condition, expanded) => {
		expect(expandLists(condition, lists)).toBe(expanded);
	});

	it("holds the items of a list that was defined before, one level deep", () => {
		const text = `
- list: inner
  items: [bash, zsh]
- list: outer
  items: [inner, fish, later]
- list: later
  items: [dash]
- rule: r
  desc: d
  condition: proc.name in (outer)
  output: o
  priority: info
`;
		expect(fires(text, named("zsh"))).toEqual(["r"]);
		expect(fires(text, named("fish"))).toEqual(["r"]);
		expect(fires(text, named("dash"))).toEqual([]);
		expect(fires(text, named("later"))).toEqual(["r"]);
	});

	it("takes every item for text, also what looks like a number", () => {
		const text = `
- list: ports
  items: [443, 0x50, 1e3]
- rule: r
  desc: d
  condition: fd.sport in (ports)
  output: o
  priority: info
`;
		for (const port of ["443", "80", "1000"])
			expect(fires(text, { connect: { address: "1.2.3.4", port } }), port).toEqual(["r"]);
		expect(fires(text, { connect: { address: "1.2.3.4", port: "22" } })).toEqual([]);
	});

	it("may be empty and then matches nothing", () => {
		expect(holds("proc.name in (nobody)", named("bash"), "- list: nobody\n  items: []\n")).toBe(false);
		expect(holds("proc.name in (nobody, bash)", named("bash"), "- list: nobody\n  items: []\n")).toBe(true);
	});
});

describe("a macro", () => {
	it("keeps its own parentheses in mind", () => {
		const macro = "- macro: either\n  condition: proc.name = a or proc.name = b\n";
		expect(holds("either and proc.args = ''", named("a", { args: ["a", "x"] }), macro)).toBe(false);
		expect(holds("not either", named("c"), macro)).toBe(true);
	});

	it("sees the macros before it and all lists; a rule sees all macros", () => {
		const text = `
- rule: r
  desc: d
  condition: outer
  output: o
  priority: info
- macro: inner
  condition: proc.name in (shells)
- macro: outer
  condition: inner and proc.args contains x
- list: shells
  items: [bash]
`;
		expect(fires(text, named("bash", { args: ["bash", "x"] }))).toEqual(["r"]);
		expect(fires(text, named("bash"))).toEqual([]);
	});

	it.each([
		["- macro: a\n  condition: b\n- macro: b\n  condition: evt.num > 0\n", "b is defined after"],
		["- macro: a\n  condition: a or evt.num > 0\n", "a contains itself"],
		[
			"- macro: b\n  condition: evt.num > 0\n- macro: a\n  condition: b\n- macro: b\n  condition: a\n",
			"a contains itself",
		],
		["- macro: a\n  condition: nowhere\n", "no macro is named nowhere"],
		["- macro: a\n  condition: proc.name =\n", "in the macro a: a value is missing"],
		["- macro: a\n  condition: (evt.num > 0\n", "in the macro a: ) is missing"],
		["- macro: a\n", "in the macro a: a condition is missing"],
	])("%j costs the rule that uses it", (before, message) => {
		const error = errorOf("a", before);
		expect(error.message).toContain(message);
		expect(error).toMatchObject({ file: "rules.yaml", where: "rule r" });
	});

	it("that is wrong costs nothing when no rule uses it", () => {
		expect(holds("proc.name = a", named("a"), "- macro: m\n  condition: proc.name = \n")).toBe(true);
	});

	it("defined again replaces the one before, in its place", () => {
		const before = `
- macro: shell
  condition: proc.name = bash
- macro: user
  condition: shell
- macro: shell
  condition: proc.name = zsh
`;
		expect(holds("user", named("zsh"), before)).toBe(true);
		expect(holds("user", named("bash"), before)).toBe(false);
	});
});

const base = `
- list: shells
  items: [bash]
- macro: shell
  condition: proc.name in (shells)
- rule: first
  desc: one
  condition: shell or proc.name = zsh
  output: "%proc.name"
  priority: Notice
  tags: [t1]
- rule: second
  desc: two
  condition: proc.name = fish
  output: second
  priority: Notice
`;

describe("what lists and macros stand for", () => {
	const items = Array.from({ length: 3000 }, (_, i) => `item-number-${i}`).join(", ");
	const big = `- list: big\n  items: [${items}]\n`;
	const good = "- rule: good\n  desc: d\n  condition: proc.name in (big)\n  output: o\n  priority: info\n";

	it("is put in once however often a list names another", () => {
		const text = `${big}- list: many\n  items: [${Array(3000).fill("big").join(", ")}]\n`;
		const set = load(`${text}${good.replace("(big)", "(many)")}`);
		expect(errorsOf(set)).toEqual([]);
		expect(fired(set, named("item-number-9"))).toEqual(["good"]);
	}, 60_000);

	it("may be long, and is refused when it is too long", () => {
		const bad = good.replace("good", "bad").replace("(big)", `(${Array(100).fill("big").join(", ")})`);
		const set = load(`${big}${bad}${good}`);
		expect(errorsOf(set)).toMatchObject([
			{ where: "rule bad", message: "the condition is too long with its lists put in", line: 5 },
		]);
		expect(fired(set, named("item-number-9"))).toEqual(["good"]);
	});

	it("is refused when macros double it too often", () => {
		const macros = Array.from(
			{ length: 40 },
			(_, i) => `- macro: m${i}\n  condition: ${i === 0 ? "evt.num > 0" : `m${i - 1} or m${i - 1}`}\n`,
		).join("");
		const set = load(
			`${macros}${big}${good.replace("good", "bad").replace("proc.name in (big)", "m39")}${good}`,
		);
		expect(errorsOf(set)).toMatchObject([
			{ where: "rule bad", message: "the condition is too long with its macros put in" },
		]);
		expect(fired(set, named("item-number-9"))).toEqual(["good"]);
		expect(holds("m5", named("x"), macros)).toBe(true);
	});
});

describe("a later item", () => {
	it("appends to a list and a macro, in the old way and the new", () => {
		const text = `${base}
- list: shells
  append: true
  items: [dash]
- list: shells
  items: [ksh]
  override: { items: append }
- macro: shell
  append: true
  condition: and not proc.args contains quiet
`;
		expect(fires(text, named("dash"))).toEqual(["first"]);
		expect(fires(text, named("ksh"))).toEqual(["first"]);
		expect(fires(text, named("bash"))).toEqual(["first"]);
		expect(fires(text, named("bash", { args: ["bash", "quiet"] }))).toEqual([]);
	});

	it("reaches the lists that hold the list it appends to", () => {
		const text = `
- list: inner
  items: [bash]
- list: outer
  items: [inner, zsh]
- rule: r
  desc: d
  condition: proc.name in (outer)
  output: o
  priority: info
- list: inner
  append: true
  items: [mine]
`;
		expect(fires(text, named("mine"))).toEqual(["r"]);
	});

	it.each(["condition: helper", "condition: or helper\n  append: true"])(
		"may change a macro (%j) with one that is defined beside it",
		(condition) => {
			const text = `${base}\n- macro: helper\n  condition: proc.name = mine\n- macro: shell\n  ${condition}\n`;
			expect(errorsOf(load(text))).toEqual([]);
			expect(fires(text, named("mine"))).toEqual(["first"]);
		},
	);

	it("replaces a list and a macro", () => {
		expect(fires(`${base}\n- list: shells\n  items: [dash]\n`, named("bash"))).toEqual([]);
		const replaced = `${base}\n- macro: shell\n  condition: proc.name = ash\n  override: { condition: replace }\n`;
		expect(fires(replaced, named("ash"))).toEqual(["first"]);
		expect(fires(replaced, named("bash"))).toEqual([]);
	});

	it("appends to a rule's condition as text: A or B, and C is A or (B and C)", () => {
		const text = `${base}
- rule: first
  append: true
  condition: and proc.args contains x
`;
		expect(fires(text, named("bash"))).toEqual(["first"]);
		expect(fires(text, named("zsh"))).toEqual([]);
		expect(fires(text, named("zsh", { args: ["zsh", "x"] }))).toEqual(["first"]);
	});

	it("overrides keys one by one", () => {
		const text = `${base}
- rule: first
  condition: and proc.args contains x
  output: " with %proc.args"
  priority: Critical
  tags: [t2]
  override:
    condition: append
    output: append
    priority: replace
    tags: append
- rule: second
  desc: new
  output: better
  override: { desc: replace, output: replace }
`;
		const set = load(text);
		expect(errorsOf(set)).toEqual([]);
		const [first, second] = set.rules;
		expect(first).toMatchObject({
			name: "first",
			priority: "Critical",
			severity: "critical",
			tags: ["t1", "t2"],
		});
		expect(first?.output.replace(/ +/g, " ")).toBe("%proc.name with %proc.args");
		expect(second).toMatchObject({ name: "second", description: "new", output: "better" });
		expect(fired(set, named("zsh"))).toEqual([]);
	});

	it("switches a rule off and on", () => {
		const off = `${base}\n- rule: second\n  enabled: false\n`;
		expect(fires(off, named("fish"))).toEqual([]);
		expect(load(off).rules[1]).toMatchObject({ enabled: false, status: "evaluable" });
		expect(fires(`${off}\n- rule: second\n  enabled: true\n`, named("fish"))).toEqual(["second"]);
		expect(fires(`${base}\n- rule: second\n  enabled: no\n`, named("fish"))).toEqual([]);
		expect(
			fires(`${base}\n- rule: second\n  enabled: False\n  override: { enabled: replace }\n`, named("fish")),
		).toEqual([]);
	});

	it("defines a rule again in the place of the old one", () => {
		const text = `${base}
- rule: first
  desc: again
  condition: proc.name exists
  output: o
  priority: info
`;
		const set = load(text);
		expect(set.rules.map(({ name, description }) => [name, description])).toEqual([
			["first", "again"],
			["second", "two"],
		]);
		expect(fired(set, named("fish"))).toEqual(["first", "second"]);
	});

	it("may stand in another file, and a mistake in it is told there", () => {
		const set = loadRules([
			{ path: "a.yaml", text: base, origin: "falco" },
			{
				path: "b.yaml",
				text: "- rule: second\n  desc: x\n  condition: and (\n  override:\n    desc: replace\n    condition: append\n",
				origin: "falco",
			},
		]);
		expect(errorsOf(set)).toMatchObject([{ file: "b.yaml", line: 3, column: 19, where: "rule second" }]);
		expect(fired(set, named("bash"))).toEqual(["first"]);
	});

	it.each([
		["- list: nolist\n  append: true\n  items: [x]\n", "no list to append to", "list nolist"],
		["- macro: nomacro\n  append: true\n  condition: x\n", "no macro to append to", "macro nomacro"],
		["- rule: norule\n  append: true\n  condition: x\n", "no rule to change", "rule norule"],
		[
			"- rule: norule\n  condition: x\n  override: { condition: append }\n",
			"no rule to change",
			"rule norule",
		],
		[
			"- rule: first\n  append: true\n  condition: x\n  override: { condition: append }\n",
			"do not go together",
			"rule first",
		],
		[
			"- rule: first\n  condition: x\n  override: { condition: prepend }\n",
			"prepend is no way",
			"rule first",
		],
	])("%j is refused and changes nothing", (more, message, where) => {
		const set = load(`${base}${more}`);
		expect(errorsOf(set)).toMatchObject([{ where }]);
		expect(errorsOf(set)[0]?.message).toContain(message);
		expect(errorsOf(set)[0]?.line).toBeGreaterThan(base.split("\n").length - 1);
		expect(fired(set, named("bash"))).toEqual(["first"]);
		expect(fired(set, named("fish"))).toEqual(["second"]);
	});
});

describe("an exception", () => {
	const excepted = (exceptions: unknown, more = "") =>
		load(
			`${more}\n${JSON.stringify([
				{
					rule: "r",
					desc: "d",
					condition: "proc.name exists or evt.num > 0",
					output: "o",
					priority: "info",
					exceptions,
				},
			])}`.trim(),
		);
	const check = (exceptions: unknown, sample: Sample) => {
		const set = excepted(exceptions);
		expect(errorsOf(set)).toEqual([]);
		return fired(set, sample).length === 0;
	};

	it("of one field is a set of values", () => {
		const one = [{ name: "e", fields: "proc.name", values: ["bash", ["zsh", "fish"], '"da sh"'] }];
		for (const comm of ["bash", "zsh", "fish", "da sh"]) expect(check(one, named(comm)), comm).toBe(true);
		expect(check(one, named("ksh"))).toBe(false);
		const empty = [{ name: "e", fields: "proc.args", values: [""] }];
		expect(check(empty, named("x"))).toBe(true);
		expect(check(empty, named("x", { args: ["x", "y"] }))).toBe(false);
	});

	it("of one field may compare in another way", () => {
		const contains = [{ name: "e", fields: "proc.args", comps: "contains", values: ["quiet", "--help"] }];
		expect(check(contains, named("x", { args: ["x", "-a", "--help"] }))).toBe(true);
		expect(check(contains, named("x"))).toBe(false);
		expect(
			check([{ name: "e", fields: "proc.aname[1]", values: ["make"] }], {
				...named("x"),
				ancestors: [{ exe: "/make" }],
			}),
		).toBe(true);
	});

	it("of several fields holds for whole rows", () => {
		const rows = [
			{
				name: "e",
				fields: ["proc.name", "proc.args", "user.uid"],
				comps: ["in", "startswith", "="],
				values: [
					[["bash", "zsh"], "-c", "0"],
					["fish", "", "1000"],
				],
			},
		];
		expect(check(rows, named("zsh", { args: ["zsh", "-c", "x"], uid: "0" }))).toBe(true);
		expect(check(rows, named("zsh", { args: ["zsh", "-c", "x"], uid: "1" }))).toBe(false);
		expect(check(rows, named("fish", { uid: "1000" }))).toBe(true);
		expect(check(rows, named("fish", { args: ["fish", "-c"], uid: "0" }))).toBe(false);
	});

	it("compares several fields for equality when nothing is said", () => {
		const rows = [
			{
				name: "e",
				fields: ["proc.name", "proc.args"],
				values: [
					["bash", "-x"],
					["zsh", ""],
				],
			},
		];
		expect(check(rows, named("bash", { args: ["bash", "-x"] }))).toBe(true);
		expect(check(rows, named("bash"))).toBe(false);
		expect(check(rows, named("zsh"))).toBe(true);
	});

	it("takes the items of a list", () => {
		const set = loadRules([
			{ path: "l.yaml", text: "- list: shells\n  items: [bash, zsh]\n", origin: "falco" },
			{
				path: "r.yaml",
				text: ruleText("evt.num > 0", {
					exceptions: [{ name: "e", fields: "proc.name", values: ["shells"] }],
				}),
				origin: "falco",
			},
		]);
		expect(fired(set, named("zsh"))).toEqual([]);
		expect(fired(set, named("shells"))).toEqual(["r"]);
	});

	it("without values excepts nothing", () => {
		expect(check([{ name: "e", fields: ["proc.name"], comps: ["="] }], named("x"))).toBe(false);
		expect(check([{ name: "e", fields: "proc.name", values: [] }], named("x"))).toBe(false);
		expect(check([], named("x"))).toBe(false);
	});

	it("on a field that is not known excepts nothing", () => {
		expect(check([{ name: "e", fields: "container.image.repository", values: ["x"] }], named("x"))).toBe(
			false,
		);
	});

	it("covers the whole condition, also one with or", () => {
		expect(check([{ name: "e", fields: "proc.name", values: ["x"] }], named("x"))).toBe(true);
	});

	it("gets further values from a later item", () => {
		const text = `
- rule: r
  desc: d
  condition: evt.num > 0
  output: o
  priority: info
  exceptions:
    - name: e
      fields: proc.name
      values: [a]
- rule: r
  append: true
  exceptions:
    - name: e
      values: [b]
    - name: other
      fields: [proc.name, proc.args]
      values: [[c, x]]
- rule: r
  exceptions:
    - name: e
      values: [d]
  override: { exceptions: append }
`;
		for (const comm of ["a", "b", "d"]) expect(fires(text, named(comm)), comm).toEqual([]);
		expect(fires(text, named("c"))).toEqual(["r"]);
		expect(fires(text, named("c", { args: ["c", "x"] }))).toEqual([]);
	});

	it.each([
		[[{ name: "e", fields: "proc.nonsense", values: ["x"] }], "no field proc.nonsense"],
		[[{ name: "e", fields: "a b", values: ["x"] }], "is no field"],
		[[{ name: "e", values: ["x"] }], "has no fields"],
		[[{ name: "e", fields: ["proc.name", "proc.args"], values: [["x"]] }], "2 fields and a row of 1"],
		[[{ name: "e", fields: ["proc.name", "proc.args"], values: ["x"] }], "2 fields and a row of 1"],
		[[{ name: "e", fields: "proc.name", comps: "resembles", values: ["x"] }], "resembles"],
		[[{ name: "e", fields: ["proc.name"], comps: ["like"], values: [["x"]] }], "like"],
		[[{ name: "e", fields: "evt.rawres", comps: "contains", values: ["1"] }], "does not go with"],
	])("%j is an error of its rule", (exceptions, message) => {
		const set = excepted(exceptions);
		expect(errorsOf(set)).toMatchObject([{ where: "rule r" }]);
		expect(errorsOf(set)[0]?.message).toContain(message);
		expect(fired(set, named("x"))).toEqual([]);
	});
});
