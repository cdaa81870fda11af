// What work raises under a running sensor, told for certain: a sign is made after it, and one ring keeps the order.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import type { SensorProcess } from "./process.ts";

const signRule = `- rule: Sign
  desc: The test says where it is.
  condition: evt.type = execve and proc.args startswith sign-of-the-test-
  output: "%proc.args"
  priority: DEBUG
`;

/** Writes the rule of the sign into `folder`; what a sensor is started with for `raisedBy` to work. */
export function withSign(folder: string): string[] {
	const file = join(folder, "sign.yaml");
	writeFileSync(file, signRule);
	return ["--events", "none", "--rules", file];
}

/** The alerts that came until all that `work` did was judged. The sensor has to watch this process. */
export async function raisedBy(sensor: SensorProcess, work: () => Promise<void>): Promise<wire.Alert[]> {
	const before = sensor.records.length;
	await work();
	const sign = `sign-of-the-test-${randomUUID()}`;
	execFileSync("/bin/echo", [sign]);
	await sensor.record("the sign", ({ alert }) => alert?.summary === sign);
	const alerts = sensor.records.slice(before).flatMap(({ alert }) => alert ?? []);
	return alerts.filter(({ rule }) => rule !== "Sign");
}

/** None of them is above notice, and the notices are these. */
export function expectQuiet(alerts: readonly wire.Alert[], notices: readonly string[]): void {
	const loud = alerts.filter(
		({ priority }) => !["Notice", "Informational", "Debug"].includes(priority ?? ""),
	);
	expect(loud.map(({ rule, summary }) => `${rule}: ${summary}`)).toEqual([]);
	expect([...new Set(alerts.map(({ rule }) => rule))].sort()).toEqual([...notices].sort());
}
