// Sorts what a virtual machine reported into runs, and finds what is wrong with them.
import type { Outcome } from "./machine.ts";
import { unfit } from "./unfit.ts";
import type { Counts } from "./verifier.ts";

interface Capability {
	readonly name: string;
	readonly available: boolean;
	readonly tier: string;
	readonly lost: string;
}

interface Test {
	readonly test: string;
	readonly state: "pass" | "fail" | "skip";
	readonly error?: string;
}

export interface Run {
	/** PICKET_OFF of this run. */
	readonly off: string;
	readonly tests: Test[];
	capabilities: Capability[];
	/** Tiers that the hooks know, whether this kernel gives them or not. */
	tiers: string[];
	seconds: number;
	done: boolean;
	/** Test files left out: an earlier run, or the kernels around it, had the same programs for what they are about. */
	notRepeated: string[];
	/** How often Node ended itself by a failed check of V8's. */
	restarts: number;
	/** What is wrong besides tests that failed. */
	readonly problems: string[];
}

export interface Report {
	release: string;
	counts: Counts;
	/** Why the kernel refused a program, by name. */
	readonly refused: Map<string, string>;
	readonly runs: Run[];
}

const complaint =
	/WARNING:|BUG:|Oops|Call Trace|general protection fault|Kernel panic|hung_task|blocked for more than/;

export function sortOut(outcome: Outcome, variants: readonly string[], whole = true): Report {
	const report: Report = { release: "", counts: {}, refused: new Map(), runs: [] };
	const stray: string[] = [];
	let run: Run | undefined;
	for (const line of outcome.lines) {
		if (typeof line === "string") stray.push(line);
		else if ("kernel" in line) report.release = String(line.kernel);
		else if ("program" in line) {
			const name = String(line.program);
			report.counts[name] = line.error === 0 ? Number(line.instructions) : null;
			if (line.error !== 0) report.refused.set(name, String(line.log));
		} else if ("run" in line) {
			run = newRun(String(line.run));
			report.runs.push(run);
		} else if (run && "again" in line) {
			// Node crashed, and everything was run once more.
			run.tests.length = 0;
			run.restarts++;
		} else if (!run) stray.push(JSON.stringify(line));
		else if ("capabilities" in line) Object.assign(run, line);
		else if ("test" in line) run.tests.push(line as unknown as Test);
		else if ("notRepeated" in line) run.notRepeated = line.notRepeated as string[];
		else if ("done" in line) {
			run.done = true;
			run.seconds = Number(line.seconds);
		}
	}
	for (const off of variants) {
		if (!report.runs.some((each) => each.off === off)) report.runs.push(newRun(off));
	}
	for (const each of report.runs) judge(each, report.release, whole);
	blameLog(outcome.console, report.runs);
	for (const line of stray)
		report.runs[0]?.problems.push(`unreadable on the results port: ${line.slice(0, 200)}`);
	return report;
}

function newRun(off: string): Run {
	return {
		off,
		tests: [],
		capabilities: [],
		tiers: [],
		seconds: 0,
		done: false,
		notRepeated: [],
		restarts: 0,
		problems: [],
	};
}

function judge(run: Run, release: string, whole: boolean): void {
	if (!run.done) run.problems.push("the run did not come to its end");
	else if (run.notRepeated.length === 0 && !run.tests.some((test) => test.state === "pass"))
		run.problems.push("no test passed");
	const used = run.capabilities.filter((each) => each.available).map((each) => each.tier);
	for (const off of run.off.split(",")) {
		if (used.includes(off)) run.problems.push(`${off} was switched off, and is used all the same`);
	}
	// Before 5.13 such a hook cannot be put on again once it was off, so we do without.
	const [major = 0, minor = 0] = release.split(".").map(Number);
	const offers = run.tiers.includes("fentry") && (major > 5 || minor >= 13);
	if (run.off === "" && offers !== used.includes("fentry")) {
		run.problems.push(
			`this kernel ${offers ? "can" : "cannot"} do fentry, and it is ${offers ? "not " : ""}used`,
		);
	}
	if (!run.done || run.off !== "" || run.notRepeated.length > 0 || !whole) return;
	for (const { test } of unfit) {
		if (!run.tests.some((each) => each.test.endsWith(test) && each.state === "skip")) {
			run.problems.push(`test/vm/unfit.ts names a test that is not there: ${test}`);
		}
	}
}

/** Lines of the kernel's log that no healthy kernel writes belong to the run in which they came. */
function blameLog(lines: readonly string[], runs: readonly Run[]): void {
	let current: Run | undefined;
	for (const line of lines) {
		const off = /picket-vm: run off=(\S*)/.exec(line)?.[1];
		if (off !== undefined) current = runs.find((each) => each.off === off);
		// What comes before the first run is about the emulated machine, or our programs being verified.
		else if (line.includes("picket-vm: verify")) current = runs[0];
		else if (current && complaint.test(line)) current.problems.push(`the kernel said: ${line}`);
	}
}

/** "fentry 4, tracepoint 5, missing 1". */
export function tiersOf(run: Run): string {
	const counts = new Map<string, number>();
	for (const { available, tier } of run.capabilities) {
		const key = available ? tier : "missing";
		counts.set(key, (counts.get(key) ?? 0) + 1);
	}
	const left = run.notRepeated.length === 0 ? "" : `; ${run.notRepeated.length} files not repeated`;
	return ([...counts].map(([tier, count]) => `${tier} ${count}`).join(", ") || "none") + left;
}
