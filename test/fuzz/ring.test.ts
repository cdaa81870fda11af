// The reader of the ring against nonsense, under AddressSanitizer and UndefinedBehaviorSanitizer: ring.cc does it.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { limitMs, seed, soak, tell, timeout } from "./counts.ts";

const root = new URL("../..", import.meta.url).pathname;
const mutated = soak ? 10_000_000 : 200_000;

function build(): string {
	const out = join(root, "build", "test", "fuzz-ring");
	mkdirSync(join(root, "build", "test"), { recursive: true });
	const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
	const sources = ["test/fuzz/ring.cc", "native/ring.cc"].map((name) => join(root, name));
	const options = ["-std=c++20", "-g", "-O1", "-Wall", "-Wextra", "-Werror"];
	const built = spawnSync("c++", [...options, ...sanitizers, "-o", out, ...sources], { encoding: "utf8" });
	if (built.status !== 0) throw new Error(`cannot build ${sources[0]}:\n${built.stderr ?? built.error}`);
	return out;
}

describe("the reader of the ring", () => {
	it(
		`stays within the ring, counts what makes no sense and finds its way back, ${mutated} times`,
		() => {
			const { status, stdout, stderr } = spawnSync(build(), [String(seed), String(mutated)], {
				encoding: "utf8",
			});
			expect(stderr).toBe("");
			expect(status).toBe(0);
			tell(`ring: ${stdout.trim()}`);
			const figures = JSON.parse(stdout) as Record<"mutated" | "damages" | "slowestMs", number>;
			expect(figures.mutated).toBeGreaterThanOrEqual(mutated);
			// A fuzzer that damages nothing tries nothing.
			expect(figures.damages).toBeGreaterThan(mutated / 4);
			expect(figures.slowestMs).toBeLessThan(limitMs);
		},
		timeout,
	);
});
