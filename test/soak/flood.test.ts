// Long runs: the loss identity over millions of events, and memory that stays flat under short-lived processes.
// `npm run soak`; the shortened form is test/kernel/loss.test.ts.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { EventKind } from "../../agent/model/event.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { buildTrigger, Harness, run } from "../kernel/harness.ts";
import { picket, SensorProcess } from "../sensor/process.ts";

const trigger = buildTrigger();

function residentMb(pid: number): number {
	return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;
}

describe("a flood", () => {
	it("of two million opens and forty thousand forks is accounted for to the last event", async () => {
		const harness = new Harness({ ringBytes: 1024 * 1024, kinds: [] });
		try {
			const loops = [0, 1].flatMap(() => [
				run(trigger, ["opens", "1000000", "/etc/hostname"]),
				run(trigger, ["forks", "20000"]),
			]);
			await Promise.all(loops);
			harness.capture.flush();
			const lines: string[] = [];
			for (const [name, count] of harness.capture.counters()) {
				const delivered = harness.pipeline.delivered[EventKind[name]] ?? 0;
				expect(delivered + count.lost, name).toBe(count.generated);
				lines.push(`${name}: ${count.generated} generated, ${delivered} delivered, ${count.lost} lost`);
			}
			process.stdout.write(`${lines.join("\n")}\n`);
			expect(harness.capture.counters().get("open")?.generated).toBeGreaterThanOrEqual(2_000_000);
			expect(harness.capture.counters().get("fork")?.lost).toBe(0);
			expect(harness.capture.counters().get("exit")?.lost).toBe(0);
		} finally {
			harness.close();
		}
	}, 300_000);
});

describe("memory", () => {
	it("stays flat while processes come and go for three minutes", async () => {
		const sensor = new SensorProcess({
			args: ["--events", "none", "--scope-pid", String(process.pid)],
		});
		try {
			await sensor.ready();
			const pid = sensor.child.pid ?? 0;
			const script = "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done";
			const end = Date.now() + 180_000;
			const sizes: number[] = [];
			while (Date.now() < end) {
				await Promise.all([0, 1, 2, 3].map(() => run("/bin/sh", ["-c", script])));
				sizes.push(residentMb(pid));
			}
			// The first third warms up (compiled code, V8 finding its heap size); then there is nothing left to grow.
			const third = Math.ceil(sizes.length / 3);
			const early = Math.max(...sizes.slice(third, 2 * third));
			const late = Math.max(...sizes.slice(2 * third));
			const { out } = await picket("status", "--json", "--socket", sensor.socket);
			const status = JSON.parse(out) as wire.Status;
			const execs = status.counters?.find((counter) => counter.class === "exec");
			process.stdout.write(
				`${execs?.generated} executions, ${execs?.lost ?? 0} lost; resident ${early.toFixed(0)} MB early, ${late.toFixed(0)} MB late\n`,
			);
			expect(late - early).toBeLessThan(10);
			expect(Number(status.tables?.find((table) => table.name === "processes")?.size)).toBeLessThan(5000);
		} finally {
			await sensor.dispose();
		}
	}, 300_000);
});
