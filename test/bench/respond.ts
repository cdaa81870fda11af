// `npm run bench:respond`: from a malicious execution in a container to the effect of the response, as the sensor states
// it in its action records. A real sensor in enforce mode, a real engine in namespaces of its own.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as wire from "../../agent/model/picket.v1.ts";
import { startEngine } from "../container/engine.ts";
import { SensorProcess } from "../sensor/process.ts";

const rounds = 20;
const own = randomBytes(3).toString("hex");

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const policy = `
responses:
  - when: {rule: "Marker executed", scope: container}
    do: [pause]
  - when: {rule: "Marker connected", scope: container}
    do: [{block: {ttl: 10m}}]
`;
const rules = `
- rule: Marker executed
  desc: The command that this benchmark takes for malicious.
  condition: evt.type = execve and proc.args contains marker-${own}
  output: marker
  priority: CRITICAL
- rule: Marker connected
  desc: The connection that this benchmark takes for malicious.
  condition: evt.type = connect and container.name = bench-${own} and fd.sport = 4480
  output: marker
  priority: CRITICAL
`;

const engine = await startEngine({ bridge: true });
const folder = mkdtempSync(join(tmpdir(), "picket-bench-"));
const ruleFile = join(folder, "rules.yaml");
writeFileSync(ruleFile, rules);
const sensor = new SensorProcess({
	policy,
	config: `mode: enforce\ndocker: {socket: ${engine.socketPath}}\nlimits: {actions_per_minute: 1000}\n`,
	args: ["--rules", ruleFile, "--events", "none"],
	prefix: ["nsenter", `--net=/run/netns/${engine.namespace}`],
});
const seconds = new Map<string, number[]>();

async function actionAfter(kind: wire.ActionKind, act: () => Promise<unknown>): Promise<void> {
	const before = sensor.records.length;
	await act().catch(() => undefined);
	const isIt = (record: wire.OutputRecord) =>
		record.action?.kind === kind && record.action.requester === "policy";
	await sensor.until(kind, () => sensor.records.slice(before).some(isIt));
	const action = sensor.records.slice(before).find(isIt)?.action;
	if (action?.outcome !== "OUTCOME_VERIFIED") throw new Error(`${kind}: ${JSON.stringify(action)}`);
	const list = seconds.get(kind) ?? [];
	list.push(action.secondsToEffect ?? 0);
	seconds.set(kind, list);
}

try {
	await sensor.ready();
	const name = `bench-${own}`;
	await engine.run("-d", "--name", name, engine.image, "sleep", "600");
	// Ten targets a minute and rule: the same container again counts once, and each address is another.
	for (let round = 0; round < rounds; round++) {
		await actionAfter("KIND_PAUSE", () =>
			engine.docker("exec", "-d", name, "sh", "-c", `sleep 5; : marker-${own}`),
		);
		await engine.docker("unpause", name);
	}
	for (let round = 0; round < 9; round++) {
		const attack = `nc -w 1 198.51.100.${round + 1} 4480`;
		await actionAfter("KIND_BLOCK", () => engine.docker("exec", "-d", name, "sh", "-c", attack));
	}
	for (const [kind, list] of seconds) {
		const shown = list.map((value) => (value * 1000).toFixed(0)).join(" ");
		process.stdout.write(
			`${kind}: median ${(median(list) * 1000).toFixed(0)} ms of ${list.length}: ${shown}\n`,
		);
	}
} finally {
	await sensor.dispose();
	await engine.stop();
	rmSync(folder, { recursive: true });
}
