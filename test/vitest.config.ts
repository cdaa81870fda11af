// Suites by what they need: unit (nothing), kernel (root, real BPF), network (root, namespaces),
// container (root, a Docker engine of our own), fuzz (nothing), soak (long).
import { defineConfig } from "vitest/config";

const serial = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 120_000 };
/** One wait of a test for a process is a minute at most, on a machine that is busy with something else. */
const patient = { ...serial, testTimeout: 180_000, hookTimeout: 180_000 };
const parallel = { fileParallelism: true, maxWorkers: 4 };
const root = new URL("..", import.meta.url).pathname;

// Vitest reads its configuration from a default export.
// biome-ignore lint/style/noDefaultExport: see above
export default defineConfig({
	root,
	test: {
		projects: [
			{
				root,
				test: { name: "unit", include: ["test/unit/**/*.test.ts"], testTimeout: 60_000, maxWorkers: 2 },
			},
			{ root, test: { name: "kernel", include: ["test/kernel/**/*.test.ts"], ...serial } },
			// Each file has namespaces of its own, and mostly waits.
			{
				root,
				test: { name: "network", include: ["test/network/**/*.test.ts"], ...patient, ...parallel },
			},
			{ root, test: { name: "sensor", include: ["test/sensor/**/*.test.ts"], ...patient } },
			{ root, test: { name: "container", include: ["test/container/**/*.test.ts"], ...patient } },
			{ root, test: { name: "fuzz", include: ["test/fuzz/**/*.test.ts"], ...serial } },
			{ root, test: { name: "soak", include: ["test/soak/**/*.test.ts"], ...serial } },
		],
	},
});
