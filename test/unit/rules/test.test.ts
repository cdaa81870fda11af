// `picket rules test`: samples that pass and fail, and why; samples beside files that stay unchanged; recordings.
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { RecordingWriter } from "../../../agent/capture/recording.ts";
import { pageOf } from "../../../agent/commands/page.ts";
import { checkRules } from "../../../agent/commands/rules.ts";
import type { TestFlags } from "../../../agent/commands/rules-subject.ts";
import { testRules } from "../../../agent/commands/rules-test.ts";
import { usualRecords } from "../../../agent/commands/usual-events.ts";
import { CommandError } from "../../../agent/failure.ts";
import { recordOf } from "../decode/bytes.ts";
import { folderOf, picketRules } from "./rig.ts";

const rule = `- rule: Secret read
  desc: d
  condition: >
    evt.type in (open, openat) and fd.name = /srv/secret
    and (proc.name in (cat, less) or proc.aname = sshd) and not user.name = backup
  output: "%proc.name"
  priority: Notice
`;
const bare = (name: string, condition: string) =>
	`- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: "%proc.name ran"\n  priority: Notice\n`;
const sound = `  picket_samples:
    positive:
      - open: { path: /srv/secret }
        process: { exe: /bin/cat }
    negative:
      - open: { path: /srv/secret }
        process: { exe: /bin/vim }
`;
const failing = `  picket_samples:
    positive:
      - open: { path: /srv/secret }
        process: { exe: /bin/vim }
        ancestors: [{ exe: /bin/bash }, { exe: /usr/sbin/cron }]
      - exec:
    negative:
      - open: { path: /srv/secret }
        process: { exe: /bin/cat }
`;
const folder = folderOf({
	"sound.yaml": rule + sound,
	"failing.yaml": rule + failing,
	"bare.yaml": bare("Bare", "evt.type = execve"),
	"misspelt.yaml": `${rule}  picket_samples:\n    negative:\n      - open: { pth: /srv/secret }\n        proces: {}\n`,
	"wrong-value.yaml": `${rule}  picket_samples:\n    negative:\n      - connect: { address: 1.2.3.999 }\n`,
	"broken.yaml": bare("Broken", "proc.nmae = x") + sound,
	"elsewhere.yaml": bare("Elsewhere", "evt.type = nanosleep") + sound,
	"off.yaml": `${rule}  enabled: false\n${sound}`,
	"third/party.yaml": bare("Third party", "evt.type = execve and proc.name = nc"),
	"third/party.samples.yaml":
		"samples:\n  - rule: Third party\n    positive:\n      - process: { exe: /bin/nc }\n    negative:\n      - process: { exe: /bin/cat }\n",
	"third/unknown.samples.yaml": "samples:\n  - rule: Thirdparty\n    positive:\n      - exec: {}\n",
	"strange.samples.yaml": "- rule: x\n",
	"torn.samples.yaml": "samples: [\n",
	"empty/readme": "",
	"picket.yaml": "rules:\n  default: false\n",
});
const flags = { config: `${folder}/picket.yaml` };
function test(names: readonly string[], more: TestFlags = {}) {
	const paths = names.map((name) => `${folder}/${name}`);
	const { text, status } = testRules(paths, { ...flags, ...more }, pageOf({}, {}));
	return { text: text.replaceAll(`${folder}/`, ""), status };
}

describe("rules test", () => {
	it("runs the samples that stand in a rule", () => {
		expect(test(["sound.yaml"])).toEqual({
			status: 0,
			text:
				"pass  Secret read  (1 positive, 1 negative)\n" +
				"1 rule, 2 samples: 1 passed, 0 failed, 0 untested, 0 not evaluable here, 0 in error",
		});
	});

	it("says of a sample that fails which check decided, and what the event really had", () => {
		const { text, status } = test(["failing.yaml"]);
		expect(status).toBe(1);
		expect(text).toContain(
			[
				"FAIL  Secret read  (2 positive, 1 negative)",
				"      positive sample 1 did not match  failing.yaml:10",
				"        no  all of",
				"          no  any of",
				'            no  proc.name in (cat, less)   it is "vim"',
				'            no  proc.aname = sshd   it is "bash", "cron"',
				"          and 3 that hold",
				"      positive sample 2 did not match  failing.yaml:13",
				"        no  all of",
				'          no  evt.type in (open, openat)   it is "execve", "execveat"',
				"          no  fd.name = /srv/secret   the event has none",
			].join("\n"),
		);
		expect(text).toContain(
			[
				"      negative sample 1 matched  failing.yaml:15",
				"        yes all of",
				'          yes evt.type in (open, openat)   it is "openat", "open", "openat2", "creat", "open_by_handle_at"',
				'          yes fd.name = /srv/secret   it is "/srv/secret"',
				"          yes any of",
				'            yes proc.name in (cat, less)   it is "cat"',
				"            and 1 that does not hold",
				'          yes not user.name = backup   it is "root"',
			].join("\n"),
		);
	});

	it("shows whole conditions when asked to, of good samples too", () => {
		const { text, status } = test(["sound.yaml"], { trace: true });
		expect(status).toBe(0);
		expect(text).toContain("      negative sample 1 did not match");
		expect(text).toContain('          yes fd.name = /srv/secret   it is "/srv/secret"');
		expect(text).not.toContain("that hold");
	});

	it("prints the same as JSON", () => {
		const { text, status } = test(["failing.yaml"], { json: true });
		expect(status).toBe(1);
		const { rules, totals, problems } = JSON.parse(text);
		expect(totals).toEqual({ passed: 0, failed: 1, untested: 0, "not-evaluable": 0, error: 0 });
		expect(problems).toEqual([]);
		expect(rules).toMatchObject([{ name: "Secret read", status: "failed", line: 1 }]);
		const [first, , last] = rules[0].samples;
		expect(first).toMatchObject({ is: "positive", number: 1, line: 10, passed: false, matched: [] });
		expect(last).toMatchObject({ is: "negative", number: 1, passed: false, matched: ["Secret read"] });
		expect(first.trace).toMatchObject({ is: "and", holds: false, decides: true });
		expect(first.trace.parts[2].parts[1]).toEqual({
			...{ is: "check", holds: false, decides: true, text: "proc.aname = sshd" },
			actual: ["bash", "cron"],
		});
	});

	it("names rules without samples, and takes them for an error when asked to", () => {
		expect(test(["bare.yaml"])).toEqual({
			status: 0,
			text:
				"none  Bare  (no samples)\n" +
				"1 rule, 0 samples: 0 passed, 0 failed, 1 untested, 0 not evaluable here, 0 in error",
		});
		expect(test(["bare.yaml"], { strict: true }).status).toBe(1);
		expect(test(["sound.yaml"], { strict: true }).status).toBe(0);
	});

	it("takes samples from a file beside rules that stay as they came", () => {
		const { text, status } = test(["third/party.yaml"], { strict: true });
		expect(text).toContain("pass  Third party  (1 positive, 1 negative)");
		expect(status).toBe(0);
		const all = test(["third"]);
		expect(all.text).toContain("pass  Third party  (1 positive, 1 negative)");
		expect(all.status).toBe(1);
		expect(all.text).toContain(
			"third/unknown.samples.yaml:4:9: error: the samples are of a rule that is not loaded: Thirdparty",
		);
		expect(all.text).toContain("did you mean: Third party");
	});

	it("does not take samples for rules", () => {
		expect(checkRules([`${folder}/third`], {}, pageOf({}, {}))).toMatchObject({ status: 0 });
	});

	it.each([
		["a key that there is not", "misspelt.yaml", /:10:17: .*negative\[0\]\.open\.pth: there is no key "pth"/],
		["a value that is none", "wrong-value.yaml", /:10:9: error at rule Secret read: .*1\.2\.3\.999/],
		["a rule with an error", "broken.yaml", /:3:14: error at rule Broken: there is no field proc\.nmae/],
		["a samples file that is none", "strange.samples.yaml", /:1:1: error/],
		["a samples file that is no YAML", "torn.samples.yaml", /:\d+:\d+: error/],
	])("fails on %s and says where", (_, name, words) => {
		const { text, status } = test([name]);
		expect(text).toMatch(words);
		expect(text).not.toContain("pass ");
		expect(status).toBe(1);
	});

	it("passes over a rule that cannot match here, and says why", () => {
		const { text, status } = test(["elsewhere.yaml"]);
		expect(text).toContain("skip  Elsewhere  (these events are not captured: nanosleep)");
		expect(status).toBe(0);
	});

	it("tests a rule that is switched off", () => {
		expect(test(["off.yaml"]).text).toContain("pass  Secret read");
	});

	it("runs one rule by name, and suggests others for an unknown one", () => {
		expect(test(["sound.yaml", "bare.yaml"], { rule: ["bare"] }).text).toContain("1 rule, 0 samples");
		expect(() => test(["sound.yaml"], { rule: ["Secret red"] })).toThrow(CommandError);
		expect(() => test(["sound.yaml"], { rule: ["Secret red"] })).toThrow(/no rule is named "Secret red"/);
	});

	it("has nothing to do in a folder without rules", () => {
		expect(test(["empty"]).text).toBe(
			"0 rules, 0 samples: 0 passed, 0 failed, 0 untested, 0 not evaluable here, 0 in error",
		);
		expect(() => test(["nowhere.yaml"])).toThrow(/ENOENT/);
	});

	it("passes all signatures that come with the sensor", () => {
		const { text, status } = testRules([], { config: "/dev/null", strict: true, json: true }, pageOf({}, {}));
		const { totals, problems } = JSON.parse(text);
		expect(problems).toEqual([]);
		expect({ ...totals, passed: 0 }).toEqual({
			...{ passed: 0, failed: 0, untested: 0, "not-evaluable": 0, error: 0 },
		});
		expect(totals.passed).toBeGreaterThan(15);
		expect(status).toBe(0);
	}, 60_000);
});

describe("rules test on a recording", () => {
	const recording = `${folder}/it.rec`;
	const header = { version: "1", host: "h", kernel: "k", bootId: "b", bootTimeMs: 1e12, started: 1e12 };
	const write = (): void => {
		if (existsSync(recording)) return;
		const writer = new RecordingWriter(recording, header);
		const common = { pid: 9, tid: 9, start: 9n, time: 10n ** 14n };
		const records = [
			...usualRecords(),
			recordOf("exec", { ...common, comm: "vim", path: "/bin/vim", args: "vim\0" }),
			recordOf("open", { ...common, path: "/srv/secret", raw: "/srv/secret", result: 3 }),
		];
		for (const record of records) writer.record(record, 0, record.length);
		writer.close();
	};

	it("counts matches and shows the first ones", () => {
		write();
		const { text, status } = test(["bare.yaml", "failing.yaml", "elsewhere.yaml"], { recording });
		expect(status).toBe(0);
		expect(text).toMatch(/^ +1013 {2}Bare {2}\(1013 matches in 1013 events of its kinds\)\n {8}nginx ran\n/);
		expect(text).toContain("        … 1010 more\n");
		expect(text).toContain("     0  Secret read  (0 matches in 1001 events of its kinds)");
		expect(text).toContain("     0  Elsewhere  (these events are not captured: nanosleep)");
		expect(text).toMatch(/events of it\.rec: 1 of 3 rules matched$/);
	});

	it("shows of a rule that is named and did not match the event that came nearest", () => {
		write();
		const { text } = test(["failing.yaml"], { recording, rule: ["Secret read"] });
		expect(text).toContain(
			[
				"        nearest: open by vim (pid 9)",
				"          no  all of",
				"            no  any of",
				'              no  proc.name in (cat, less)   it is "vim"',
				"              no  proc.aname = sshd   the event has none",
				"            and 3 that hold",
			].join("\n"),
		);
		const { rules } = JSON.parse(
			test(["failing.yaml"], { recording, rule: ["secret read"], json: true }).text,
		);
		expect(rules).toMatchObject([
			{ name: "Secret read", matches: 0, near: { event: "open by vim (pid 9)" } },
		]);
	});

	it("refuses a file that is no recording", () => {
		expect(() => test(["bare.yaml"], { recording: `${folder}/bare.yaml` })).toThrow(/no recording/);
	});
});

it("the command ends with status 1 when a sample fails", () => {
	const { status, out } = picketRules(folder, "test", "--config", "picket.yaml", "failing.yaml");
	expect(status).toBe(1);
	expect(out).toContain("FAIL  Secret read");
}, 60_000);
