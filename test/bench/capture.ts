// What capture costs the host: tight loops with the sensor off and on in turn, with the interest of the default
// signatures. Ratios within one run count; the machine's speed drifts. `node test/bench/capture.ts`, as root.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRules } from "../../agent/content.ts";
import { Engine } from "../../agent/detect/engine.ts";
import { ownNeeds, sumOfInterests } from "../../agent/model/interest.ts";
import { buildTrigger, Harness, run } from "../kernel/harness.ts";

const rounds = 5;
const trigger = buildTrigger();
const rules = readRules([], true);
const interest = sumOfInterests([ownNeeds, rules.interest]);
const watched = { pids: [], cgroups: [], paths: [] };

/** A name the credential signatures ask for, in a place they do not mean. */
const folder = mkdtempSync(join(tmpdir(), "picket-bench-"));
const asked = join(folder, "token");
writeFileSync(asked, "");

interface Loop {
	readonly name: string;
	readonly count: number;
	readonly args: readonly string[];
}
const loops: readonly Loop[] = [
	{ name: "open+close, file of no interest", count: 300_000, args: ["opens", "300000", "/etc/hostname"] },
	{ name: "open+close, sent but matched by no rule", count: 100_000, args: ["opens", "100000", asked] },
	{ name: "open+close, an alert each", count: 20_000, args: ["opens", "20000", "/etc/shadow"] },
	{ name: "fork+exit", count: 3000, args: ["forks", "3000"] },
];

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

async function once(loop: Loop): Promise<number> {
	const { said } = await run(trigger, loop.args);
	return (said[0]?.ns ?? 0) / loop.count;
}

/** ns per operation with the sensor on, its CPU seconds per million, and what was lost. */
async function withSensor(loop: Loop): Promise<{ ns: number; cpu: number; lost: number }> {
	const engine = new Engine(rules, { userName: () => undefined, hostname: "bench" });
	const harness = new Harness({ interest, kinds: [], scope: watched, detectors: [engine] });
	const before = process.cpuUsage();
	const ns = await once(loop);
	harness.capture.flush();
	const used = process.cpuUsage(before);
	const lost = [...harness.capture.counters().values()].reduce((sum, count) => sum + count.lost, 0);
	harness.close();
	return { ns, cpu: ((used.user + used.system) / 1e6 / loop.count) * 1e6, lost };
}

process.stdout.write(`sensor with ${rules.rules.length} signatures, medians of ${rounds} rounds\n`);
process.stdout.write(
	`${"loop".padEnd(40)}${"off ns".padStart(9)}${"on ns".padStart(9)}${"ratio".padStart(8)}${"CPU s/M".padStart(9)}${"lost".padStart(7)}\n`,
);
for (const loop of loops) {
	const off: number[] = [];
	const on: number[] = [];
	const cpu: number[] = [];
	let lost = 0;
	for (let round = 0; round < rounds; round++) {
		off.push(await once(loop));
		const measured = await withSensor(loop);
		on.push(measured.ns);
		cpu.push(measured.cpu);
		lost += measured.lost;
	}
	const ratio = median(on.map((value, index) => value / (off[index] ?? 1)));
	process.stdout.write(
		`${loop.name.padEnd(40)}${median(off).toFixed(0).padStart(9)}${median(on).toFixed(0).padStart(9)}${ratio.toFixed(2).padStart(8)}${median(cpu).toFixed(2).padStart(9)}${String(lost).padStart(7)}\n`,
	);
}
rmSync(folder, { recursive: true });
