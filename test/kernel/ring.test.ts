// A ring that somebody else reads along: what is overwritten is told, and capture goes on.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { buildTrigger, Harness, otherOpens, run } from "./harness.ts";

const trigger = buildTrigger();
const thief = buildTrigger("ring");
const ringBytes = 262_144;

/** The id of this process's only ring. */
function ringId(): string {
	const infos = readdirSync("/proc/self/fdinfo").map((name) => {
		try {
			return readFileSync(`/proc/self/fdinfo/${name}`, "utf8");
		} catch {
			return ""; // the one that readdir had open
		}
	});
	const rings = infos.filter((info) => /^map_type:\s*27$/m.test(info));
	expect(rings.length).toBe(1);
	return /^map_id:\s*(\d+)$/m.exec(rings[0] ?? "")?.[1] ?? "";
}

describe("a ring that somebody else empties", () => {
	it("counts the damage and goes on with what comes next", async () => {
		const harness = new Harness({ off: otherOpens, ringBytes, kinds: ["exit"] });
		try {
			const id = ringId();
			harness.capture.flush();
			// Synchronous, so that nothing is read meanwhile; each round leaves more than half a ring.
			for (let round = 0; round < 4; round++) {
				expect(spawnSync(trigger, ["opens", "3000", "/etc/hostname"]).status).toBe(0);
				const stolen = spawnSync(thief, [id], { encoding: "utf8" });
				expect(stolen.stderr).toBe("");
				expect(JSON.parse(stolen.stdout).skipped).toBeGreaterThan(ringBytes / 2);
			}
			expect(harness.capture.damages()).toBe(0);
			harness.capture.flush();
			expect(harness.capture.damages()).toBe(1);
			expect(harness.capture.pending()).toBe(0);

			const { pid } = await run(trigger, ["forks", "1"]);
			await harness.of(pid);
			expect(harness.capture.damages()).toBe(1);
			expect(harness.pipeline.malformed).toBe(0);
		} finally {
			harness.close();
		}
	});
});
