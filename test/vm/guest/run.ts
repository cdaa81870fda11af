// Runs inside the virtual machine: the kernel tests by vitest's own runner, without the Vite around it (its start
// alone takes longer on an emulated processor than all tests). Writes one JSON object a line to the results port.
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startTests } from "vitest/internal/browser";
import type { VitestRunner } from "vitest/runtime";
import { capabilities as known } from "../../../agent/capture/hooks.ts";
import type { EventName } from "../../../agent/model/event.ts";
import { about, elsewhere } from "../about.ts";
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
interface Failure {
	readonly message: string;
	readonly stack?: string;
	readonly actual?: unknown;
	readonly expected?: unknown;
}

interface Task {
	readonly type: string;
	readonly name: string;
	readonly mode: string;
	readonly suite?: Task;
	readonly file: { readonly name: string };
	readonly result?: { state: string; duration?: number; errors?: Failure[] };
	readonly tasks?: readonly Task[];
}

/** The runner makes no picture of the difference; both sides are told as they are. */
function wordsOf({ message, stack, actual, expected }: Failure): string {
	const side = (value: unknown) => (JSON.stringify(value) ?? String(value)).slice(0, 1000);
	return `${message}\nexpected ${side(expected)}\ngot ${side(actual)}\n${stack ?? ""}`;
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
			error: task.result?.errors?.map(wordsOf).join("\n"),
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

/** What carries the kinds of events in this setting, a line each: "kind capability tier". */
function carriers({ capabilities }: ReturnType<typeof probe>): string[] {
	return capabilities.map(({ name, tier }) => {
		const kind = known.find((each) => each.name === name)?.kind ?? "";
		return `${kind} ${name} ${tier}`;
	});
}

/**
 * Test files that an earlier run on this kernel has done with the very same programs, so that to run them again would
 * say nothing.
 */
function doneBefore(files: readonly string[], found: ReturnType<typeof probe>): string[] {
	mkdirSync(earlier, { recursive: true });
	const now = carriers(found);
	const before = readdirSync(earlier).map((name) => readFileSync(join(earlier, name), "utf8").split("\n"));
	writeFileSync(join(earlier, `off=${process.env.PICKET_OFF ?? ""}`), now.join("\n"));
	return files.filter((file) => {
		const kinds: readonly EventName[] | undefined = about[file];
		const ofFile = (lines: readonly string[]) =>
			lines.filter((line) => !kinds || kinds.some((kind) => line.startsWith(`${kind} `))).join("\n");
		return before.some((lines) => ofFile(lines) === ofFile(now));
	});
}

async function runTests(names: readonly string[]): Promise<void> {
	for (const name of names) {
		const begun = performance.now();
		const files = (await startTests([join(tests, name)], runner)) as unknown as Task[];
		for (const file of files) tell(file);
		report({ file: name, ms: Math.round(performance.now() - begun) });
	}
}

try {
	const found = probe();
	report(found);
	const files = readdirSync(tests)
		.filter((name) => name.endsWith(".test.ts") && name.startsWith(process.env.PICKET_ONLY ?? ""))
		.filter((name) => !elsewhere.some((each) => name === `${each}.test.ts`))
		.sort();
	const leaves = /picket\.leave=(\S+)/.exec(readFileSync("/proc/cmdline", "utf8"))?.[1]?.split(",") ?? [];
	// By all means there are only where everything is tried.
	if (leaves.length > 0) process.env.PICKET_BEST_MEANS = "1";
	const left = leaves.map((name) => `${name}.test.ts`);
	const notRepeated = [...doneBefore(files, found), ...files.filter((name) => left.includes(name))];
	report({ notRepeated });
	await runTests(files.filter((name) => !notRepeated.includes(name)));
} catch (error) {
	report({ test: "the runner", state: "fail", ms: 0, error: String((error as Error).stack) });
}
report({ done: true, seconds: Math.round(performance.now() / 1000) });
process.exit(0);
