// The end of capture, and interest beyond what the kernel's tables hold.
import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import type { Interest } from "../../agent/model/interest.ts";
import { asking, buildTrigger, Harness, otherOpens, run } from "./harness.ts";

const trigger = buildTrigger();

describe("capture", () => {
	it("ends while events come faster than they are read", async () => {
		const harness = new Harness({ off: otherOpens, kinds: [] });
		// Slower than any flood: without an end to what comes, this would never be done.
		harness.pipeline.record = () => {
			for (const end = performance.now() + 0.05; performance.now() < end; );
		};
		const flood = spawn(trigger, ["opens", "100000000", "/dev/null"], { stdio: "ignore" });
		try {
			while ((harness.capture.counters().get("open")?.generated ?? 0) < 5000) {
				await new Promise((resolve) => setTimeout(resolve, 5));
			}
			const begun = performance.now();
			harness.capture.stop();
			const { generated = 0, submitted = 0, lost = 0 } = harness.capture.counters().get("open") ?? {};
			harness.close();
			expect(performance.now() - begun).toBeLessThan(10_000);
			expect(flood.exitCode).toBeNull();
			expect(submitted + lost).toBe(generated);
		} finally {
			flood.kill("SIGKILL");
		}
	}, 120_000);

	it("looks at every read when the rules name more files than the table takes, and says why", async () => {
		const exact = Array.from({ length: 5000 }, (_, i) => `/nowhere/${i}`);
		const interest: Interest = {
			...asking("open"),
			readOpens: { exact, prefixes: [], names: [], suffixes: [] },
		};
		const harness = new Harness({ off: otherOpens, kinds: ["open", "exit"], interest });
		expect(harness.capture.unboundedOpens).toContain("more files than the kernel's tables take");
		const { pid } = await run(trigger, ["open", "openat", "/etc/hostname", "0"]);
		expect((await harness.of(pid)).some((event) => event.open?.path === "/etc/hostname")).toBe(true);
		harness.close();
	});
});
