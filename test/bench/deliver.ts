// `npm run bench:deliver`: what delivery costs. Each part prints a line and runs in a process of its own, so that one's
// memory and CPU are not another's: `npm run bench:deliver -- spool` runs one of them. Add a part below.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { recordKinds } from "../../agent/model/delivery.ts";
import { createSpool } from "../../agent/spool/spool.ts";
import { root, run, say } from "../suites.ts";

/** About what an encoded event with its process and container takes. */
const payloadBytes = 600;

/** CPU seconds, wall seconds and memory of `work`, with the delays of this thread's event loop. */
async function measure(name: string, count: number, work: () => Promise<void>): Promise<void> {
	const delays = monitorEventLoopDelay({ resolution: 1 });
	delays.enable();
	const cpu = process.cpuUsage();
	const began = performance.now();
	await work();
	const seconds = (performance.now() - began) / 1000;
	const { user, system } = process.cpuUsage(cpu);
	delays.disable();
	const rate = Math.round(count / seconds).toLocaleString("en");
	const micros = ((user + system) / count).toFixed(1);
	const mb = Math.round(process.memoryUsage.rss() / 1e6);
	const late = `${(delays.percentile(99) / 1e6).toFixed(1)}/${(delays.max / 1e6).toFixed(0)} ms`;
	say(
		`${name.padEnd(34)} ${rate.padStart(9)}/s  ${micros.padStart(7)} µs CPU each  ${mb} MB  loop p99/max ${late}`,
	);
}

async function spool(): Promise<void> {
	const folder = mkdtempSync(join(tmpdir(), "picket-bench-"));
	const made = createSpool({
		path: join(folder, "spool.db"),
		maxBytes: 1024 * 1024 * 1024,
		clock: Date.now,
		logger: pino({ level: "silent" }),
		gap: (gap) => say(`lost: ${JSON.stringify(gap)}`),
	});
	try {
		const reader = made.reader("bench", { kinds: recordKinds, severity: "informational" });
		await made.flush();
		const payload = Buffer.alloc(payloadBytes, 1);
		const severity = "high";
		let sequence = 0;
		const telemetry = 200_000;
		await measure("spool: telemetry, in groups", telemetry, async () => {
			while (sequence < telemetry) {
				for (let count = 0; count < 200; count++) {
					made.push({ bootId: "b", sequence: sequence++, kind: "event", severity: "informational", payload });
				}
				if (sequence % 10_000 === 0) await made.flush();
				else await turn();
			}
			await made.flush();
		});
		await measure("spool: read back and acknowledged", telemetry, async () => {
			for (let after = 0; ; reader.acknowledge(after)) {
				const records = await reader.read(after, 1000, 1024 * 1024);
				if (records.length === 0) return;
				after = records.at(-1)?.position ?? 0;
			}
		});
		await measure("spool: alerts, each committed", 500, async () => {
			for (let count = 0; count < 500; count++) {
				made.push({ bootId: "b", sequence: sequence++, kind: "alert", severity, payload });
				await made.flush();
			}
		});
		await measure("spool: alerts, 20 in one turn", 10_000, async () => {
			for (let count = 0; count < 500; count++) {
				for (let each = 0; each < 20; each++) {
					made.push({ bootId: "b", sequence: sequence++, kind: "alert", severity, payload });
				}
				await made.flush();
			}
		});
	} finally {
		await made.close();
		rmSync(folder, { recursive: true, force: true });
	}
}

const parts: Readonly<Record<string, () => Promise<void>>> = { spool };

const [wanted, only] = process.argv.slice(2);
if (wanted === "--part" && only !== undefined) await parts[only]?.();
else if (wanted !== undefined && !Object.hasOwn(parts, wanted)) {
	say(`there is no part ${wanted}: ${Object.keys(parts).join(", ")}`);
	process.exitCode = 2;
} else {
	for (const name of wanted === undefined ? Object.keys(parts) : [wanted]) {
		const status = await run(process.execPath, [join(root, "test/bench/deliver.ts"), "--part", name]);
		if (status !== 0) process.exitCode = 1;
	}
}
