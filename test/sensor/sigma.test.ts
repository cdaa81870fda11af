// Sigma rules as a user gives them to the sensor: a folder of both languages, real acts, alerts that credit the author.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess } from "./process.ts";

let folder: string;
let rules: string;
const sensors: SensorProcess[] = [];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-sigma-"));
	rules = join(folder, "rules");
	mkdirSync(join(rules, "linux"), { recursive: true });
	writeFileSync(
		join(rules, "falco.yaml"),
		`- rule: Falco sees it
  desc: A program that this test made ran.
  condition: evt.type = execve and proc.args contains "${folder}"
  output: "%proc.cmdline"
  priority: CRITICAL
`,
	);
	writeFileSync(
		join(rules, "linux", "rules.yml"),
		`title: Sigma sees it
id: 0f0c1c52-5f52-4d0c-8d55-6c8f1f6b8a01
status: test
description: A program that this test made ran.
references: ['https://example.org/why']
author: Ada (Example)
tags: [attack.execution, attack.t1059.004]
logsource: { category: process_creation, product: linux }
detection:
  selection:
    Image|endswith: /ECHO
    CommandLine|contains: '${folder.toUpperCase()}'
  condition: selection
falsepositives: [Tests]
level: medium
---
title: Sigma sees the file
author: Grace (Example)
logsource: { category: file_event, product: linux }
detection:
  selection:
    TargetFilename|startswith: '${folder}/made'
  condition: selection
---
title: Sigma cannot see it
logsource: { product: linux, service: sshd }
detection: { keywords: [word], condition: keywords }
`,
	);
});
afterEach(async () => {
	for (const sensor of sensors.splice(0)) await sensor.dispose();
	rmSync(folder, { recursive: true, force: true });
});

it("a folder of both languages raises the alerts of both, which name who wrote the rule", async () => {
	const args = ["--scope-pid", String(process.pid), "--no-default-rules", "--rules", rules];
	const sensor = new SensorProcess({ args });
	sensors.push(sensor);
	await sensor.ready();
	execFileSync("/bin/echo", [`${folder}/word`]);
	const by =
		(rule: string, path = "") =>
		(record: wire.OutputRecord) =>
			record.alert?.rule === rule && JSON.stringify(record.alert.event).includes(path);
	await sensor.record("Falco's alert", by("Falco sees it"));
	const { alert } = await sensor.record("Sigma's alert", by("Sigma sees it"));
	expect(alert).toMatchObject({
		origin: "ORIGIN_SIGMA",
		severity: "SEVERITY_MEDIUM",
		tactics: ["execution"],
		techniques: ["T1059.004"],
		ruleId: "0f0c1c52-5f52-4d0c-8d55-6c8f1f6b8a01",
		author: "Ada (Example)",
		references: ["https://example.org/why"],
		falsePositives: ["Tests"],
	});
	expect(alert?.summary).toContain(`command=/bin/echo ${folder}/word`);
	writeFileSync(join(folder, "made-1"), "");
	await sensor.record("the file that was made", by("Sigma sees the file", "made-1"));
	writeFileSync(join(folder, "other"), "");
	renameSync(join(folder, "other"), join(folder, "made-2"));
	const moved = await sensor.record("the file that was renamed", by("Sigma sees the file", "made-2"));
	expect(moved.alert?.summary).toContain(`file=${folder}/made-2`);
	expect(sensor.records.filter(by("Sigma sees the file", '"other"'))).toEqual([]);
});

it("`rules check` tells what each rule can do", async () => {
	const { status, out } = await picket("rules", "check", rules, "--json");
	expect(status, out).toBe(0);
	const { rules: found, totals } = JSON.parse(out) as { rules: Record<string, unknown>[]; totals: unknown };
	expect(found.map(({ name, source, status: is }) => [name, source, is])).toEqual([
		["Falco sees it", "falco", "evaluable"],
		["Sigma sees it", "sigma", "evaluable"],
		["Sigma sees the file", "sigma", "evaluable"],
		["Sigma cannot see it", "sigma", "not-evaluable"],
	]);
	expect(totals).toEqual({ evaluable: 3, degraded: 0, "not-evaluable": 1, error: 0 });
	writeFileSync(
		join(rules, "bad.yml"),
		"title: Bad\nlogsource:\n  category: file_event\ndetection:\n  s:\n    A|b: c\n  condition: s\n",
	);
	const bad = await picket("rules", "check", rules);
	expect(bad.status).toBe(1);
	expect(bad.out).toMatch(/bad\.yml:6:10: error at rule Bad: there is no modifier b/);
});
