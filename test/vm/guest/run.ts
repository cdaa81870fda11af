// Runs inside the virtual machine: the kernel tests by vitest's own runner, without the Vite around it (its start
// alone takes longer on an emulated processor than all tests). Writes one JSON object a line to the results port.
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTests } from "vitest/internal/browser";
import type { VitestRunner } from "vitest/runtime";
import { unfit } from "../unfit.ts";
import { probe } from "./probe.ts";

const port = process.argv[2] ?? "/dev/ttyS1";
const earlier = "/run/picket-earlier-runs";
const root = new URL("../../..", import.meta.url).pathname;
const tests = join(root, "test", "kernel");

function report(line: object): void {
	appendFileSync(port, `${JSON.stringify(line)}\n`);
}

/** Of a test as the runner keeps it. */
interface Task {
	readonly type: string;
	readonly name: string;
	readonly mode: string;
	readonly suite?: Task;
	readonly file: { readonly name: string };
	readonly result?: { state: string; duration?: number; errors?: { message: string; stack?: string }[] };
	readonly tasks?: readonly Task[];
}

function fullName(task: Task): string {
	return task.suite && task.suite.type === "suite" && task.suite.name !== ""
		? `${fullName(task.suite)} > ${task.name}`
		: task.name;
}

function tell(task: Task): void {
	const state = task.result?.state ?? task.mode;
	if (task.type === "test") {
		report({
			test: fullName(task),
			state: state === "pass" || state === "fail" ? state : "skip",
			ms: Math.round(task.result?.duration ?? 0),
			error: task.result?.errors?.map((error) => `${error.message}\n${error.stack ?? ""}`).join("\n"),
		});
		return;
	}
	// A hook or an import that failed fails no test of its own.
	const errors = task.result?.errors ?? [];
	if (errors.length > 0) {
		report({
			test: fullName(task),
			state: "fail",
			ms: 0,
			error: errors.map((error) => error.message).join("\n"),
		});
	}
	for (const child of task.tasks ?? []) tell(child);
}

const runner = {
	config: {
		root,
		name: "vm",
		setupFiles: [],
		sequence: { shuffle: false, concurrent: false, seed: 0, hooks: "stack", setupFiles: "list" },
		maxConcurrency: 1,
		testTimeout: 120_000,
		hookTimeout: 120_000,
		retry: 0,
		includeTaskLocation: false,
		allowOnly: false,
		passWithNoTests: false,
		tags: [],
		chaiConfig: {},
		snapshotOptions: {},
	},
	importFile: (path: string) => import(path),
	onBeforeRunTask: (test: { name: string; mode: string }) => {
		if (unfit.some((each) => each.test === test.name)) test.mode = "skip";
	},
} as unknown as VitestRunner;

/** The earlier run on this kernel that had the very same programs, if any: to run it all again would say nothing. */
function sameAs({ capabilities }: ReturnType<typeof probe>): string | undefined {
	mkdirSync(earlier, { recursive: true });
	const text = capabilities.map(({ name, tier }) => `${name} ${tier}`).join();
	for (const off of readdirSync(earlier)) {
		if (readFileSync(join(earlier, off), "utf8") === text) return off;
	}
	writeFileSync(join(earlier, `off=${process.env.PICKET_OFF ?? ""}`), text);
	return undefined;
}

async function runTests(): Promise<void> {
	const names = readdirSync(tests).filter((name) => name.endsWith(".test.ts"));
	for (const name of names.sort()) {
		const begun = performance.now();
		const files = (await startTests([join(tests, name)], runner)) as unknown as Task[];
		for (const file of files) tell(file);
		report({ file: name, ms: Math.round(performance.now() - begun) });
	}
}

try {
	const found = probe();
	report(found);
	const same = sameAs(found);
	if (same === undefined) await runTests();
	else report({ same });
} catch (error) {
	report({ test: "the runner", state: "fail", ms: 0, error: String((error as Error).stack) });
}
report({ done: true, seconds: Math.round(performance.now() / 1000) });
process.exit(0);
