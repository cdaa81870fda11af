// `picket rules check` and `rules list` on good files, broken ones, and none.
import { describe, expect, it } from "vitest";
import { pageOf } from "../../../agent/commands/page.ts";
import { type CheckFlags, checkRules, listRules, type Outcome } from "../../../agent/commands/rules.ts";
import { CommandError } from "../../../agent/failure.ts";
import { folderOf, picketRules } from "./rig.ts";

const good = `- rule: good
  desc: a good one
  condition: evt.type = execve and proc.name = bash
  output: "%proc.name"
  priority: Notice
`;
const folder = folderOf({
	"good.yaml": good,
	"more.yaml": good.replaceAll("good", "other"),
	"bad.yaml": `- rule: bad\n  desc: d\n  condition: evt.num > 0 and\tproc.nmae = x\n  output: o\n  priority: info\n${good}`,
	"late.yaml": `${good}  what: ever\n- rule: bad\n  desc: d\n  condition: evt.type = execve\n  output: "%proc.nmae"\n  priority: info\n`,
	"broken.yaml": "- rule: x\n  desc: [\n",
	"empty.yaml": "",
	"remarks.yaml": "# nothing\n\n# at all\n",
	"none/readme.txt": "no rules",
	"warned.yaml": good.replace("  desc", "  dsc: x\n  desc"),
	"site.yaml": "- rule: Password hashes read\n  enabled: false\n",
	"joined/base.yaml": `${good}${good.replaceAll("good", "off")}  enabled: false\n${good.replaceAll("good", "other")}`,
	"joined/often.yaml": ["Often", "Oftener"]
		.map(
			(title) =>
				`title: ${title}\ncorrelation: {type: event_count, rules: [good], timespan: 1m, condition: {gte: 3}}\n`,
		)
		.join("---\n"),
	"picket.yaml": "rules:\n  default: false\n",
});

/** With the folder left out of what is said. */
function check(names: readonly string[], flags: CheckFlags = {}): Outcome {
	const paths = names.map((name) => `${folder}/${name}`);
	const { text, status } = checkRules(paths, flags, pageOf({}, {}));
	return { text: text.replaceAll(`${folder}/`, ""), status };
}

describe("rules check", () => {
	it("says of every rule what it can do, and sums up", () => {
		expect(check(["good.yaml", "more.yaml"])).toEqual({
			status: 0,
			text:
				"evaluable      good\nevaluable      other\n" +
				"2 rules in 2 files: 2 evaluable, 0 degraded, 0 not evaluable, 0 in error",
		});
	});

	it("shows the line of a mistake with a mark, and ends with status 1", () => {
		const { text, status } = check(["bad.yaml"]);
		expect(status).toBe(1);
		expect(text).toContain(
			[
				"bad.yaml:3:30: error at rule bad: there is no field proc.nmae",
				"    3 |   condition: evt.num > 0 and    proc.nmae = x",
				"      |                                 ^~~~~~~~~",
				"      = did you mean proc.name?",
				"2 rules in 1 file: 1 evaluable, 0 degraded, 0 not evaluable, 1 in error",
				"1 error, 0 warnings",
			].join("\n"),
		);
	});

	it("tells problems in the order of the lines", () => {
		const places = [...check(["late.yaml"]).text.matchAll(/^late\.yaml:(\d+)/gm)];
		expect(places.map(([, line]) => Number(line))).toEqual([6, 10]);
	});

	it("prints the same as JSON, problems included", () => {
		const { text, status } = check(["bad.yaml"], { json: true });
		expect(status).toBe(1);
		const said = JSON.parse(text);
		expect(said.totals).toEqual({ evaluable: 1, degraded: 0, "not-evaluable": 0, error: 1 });
		expect(said.rules).toMatchObject([
			{ name: "bad", source: "falco", file: "bad.yaml", line: 1, status: "error" },
			{ name: "good", source: "falco", file: "bad.yaml", line: 6, status: "evaluable", reasons: [] },
		]);
		expect(said.problems).toEqual([
			{
				file: "bad.yaml",
				line: 3,
				column: 30,
				where: "rule bad",
				level: "error",
				message: "there is no field proc.nmae",
				remedy: "did you mean proc.name?",
			},
		]);
	});

	it.each([
		["a file that is no YAML", "broken.yaml", 1, /broken\.yaml:\d+:\d+: error/],
		["an empty file", "empty.yaml", 0, /empty\.yaml: warning: there is nothing in this file/],
		["a file of remarks", "remarks.yaml", 0, /remarks\.yaml: warning: there is nothing in this file/],
		["a folder without rules", "none", 0, /none: warning: there is no rule file in this folder/],
		["an unknown key", "warned.yaml", 0, /warned\.yaml:2:8: warning at rule good: unknown key dsc/],
	])("says what is wrong with %s", (_, name, status, words) => {
		const ended = check([name]);
		expect(ended.text).toMatch(words);
		expect(ended.status).toBe(status);
	});

	it("refuses a path that is not there", () => {
		expect(() => check(["nowhere.yaml"])).toThrow(CommandError);
		expect(() => check(["nowhere.yaml"])).toThrow(/cannot read the rule file .*nowhere\.yaml: ENOENT/);
	});

	it.each(["empty.yaml", "none", "warned.yaml"])(
		"takes a warning for an error when asked to (%s)",
		(name) => {
			expect(check([name]).status).toBe(0);
			expect(check([name], { strict: true }).status).toBe(1);
		},
	);
});

it("rules check finds the signatures that a file changes, when asked to load them", () => {
	expect(check(["site.yaml"]).status).toBe(1);
	const { text, status } = check(["site.yaml"], { defaultRules: true });
	expect(text).toBe("0 rules in 1 file: 0 evaluable, 0 degraded, 0 not evaluable, 0 in error");
	expect(status).toBe(0);
});

it("rules list names what would load, with severity and technique", () => {
	const flags = { config: `${folder}/picket.yaml` };
	expect(listRules({ ...flags, rules: [`${folder}/good.yaml`] }).text).toBe(
		"evaluable      low                         good\n1 rule",
	);
	const all = JSON.parse(listRules({ ...flags, rules: [`${folder}/bad.yaml`], json: true }).text);
	expect(all.rules.map(({ name }: { name: string }) => name)).toEqual(["bad", "good"]);
	expect(all.problems).toHaveLength(1);
});

it("rules list says what raises no alert by itself, and what is not in force", () => {
	const flags = { config: `${folder}/picket.yaml`, rules: [`${folder}/joined`] };
	expect(listRules(flags, ["other"]).text.replaceAll(/ +/g, " ")).toBe(
		[
			"evaluable low good (feeds 2 correlations and raises no alert)",
			"evaluable low off (switched off)",
			"evaluable low other (suspended by the running sensor for its cost)",
			"evaluable medium Often",
			"evaluable medium Oftener",
			"5 rules",
		].join("\n"),
	);
});

it("the command ends with the status and says in its help which there are", () => {
	const broken = picketRules(folder, "check", "bad.yaml");
	expect(broken.status).toBe(1);
	expect(broken.out).toContain("    3 |   condition: evt.num > 0 and    proc.nmae = x\n");
	expect(picketRules(folder, "check", "nowhere.yaml").status).toBe(2);
	expect(picketRules(folder, "check", "--help").out).toContain("Exit status: 0 all is well; 1");
}, 60_000);
