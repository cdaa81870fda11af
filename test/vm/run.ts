// `npm run test:vm`: the kernel tests on stock kernels in virtual machines, and arm64 as far as it can be tried
// without one. `--record` runs no tests and keeps the verifier's counts; `--only refuse` runs the tests of one file; a
// series such as `6.1` as argument tries only that one, and with every test, as `--whole` does for all.
import { mkdirSync } from "node:fs";
import { availableParallelism, freemem, homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { DebianArchive } from "./archive.ts";
import { checkArm64 } from "./arm64.ts";
import { buildInitramfs } from "./initramfs.ts";
import { type KernelChoice, kernelNames, kernels, newestImage, suites } from "./kernels.ts";
import { boot, type Outcome } from "./machine.ts";
import { type Report, type Run, sortOut, tiersOf } from "./results.ts";
import { unfit } from "./unfit.ts";
import { type Counts, compare, record, seriesOf } from "./verifier.ts";

const root = new URL("../..", import.meta.url).pathname;
const work = join(root, "build", "vm");
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "picket-vm");
/** An idle machine with two cores needs a third of it. */
const timeoutMs = 900_000;
const sum = { passed: 0, failed: 0, skipped: 0 };

const { values, positionals } = parseArgs({
	options: {
		record: { type: "boolean", default: false },
		whole: { type: "boolean", default: false },
		only: { type: "string", default: "" },
	},
	allowPositionals: true,
});

function say(text: string): void {
	process.stdout.write(`${text}\n`);
}

function check(name: string, problems: readonly string[]): void {
	if (problems.length === 0) sum.passed++;
	else sum.failed++;
	say(`${problems.length === 0 ? "✓" : "✗"} ${name}`);
	for (const problem of problems) say(`    ${problem}`);
}

interface Tried {
	readonly choice: KernelChoice;
	readonly outcome?: Outcome;
	readonly report?: Report;
}

async function tryKernel(archive: DebianArchive, choice: KernelChoice, initramfs: string): Promise<Tried> {
	const name = `${choice.name} ${choice.series}*`;
	let kernel: string;
	try {
		kernel = (await newestImage(archive, "amd64", choice.series)).path;
	} catch (error) {
		check(`image of ${name}`, [`it cannot be had: ${(error as Error).message}`]);
		return { choice };
	}
	const log = join(work, choice.series);
	const leaves = values.whole || positionals.length > 0 ? [] : choice.leaves;
	const settings = values.record ? [] : choice.variants.filter((off) => !leaves.includes(off));
	const { only } = values;
	const outcome = await boot({ kernel, initramfs, variants: settings, leaves, only, log, timeoutMs });
	const report = sortOut(outcome, settings, only === "");
	const failed = report.runs.flatMap((run) => run.tests).filter((test) => test.state === "fail").length;
	say(
		`${report.release || name}: ${outcome.seconds.toFixed(0)} s, ${failed} tests failed${outcome.problem && `, ${outcome.problem}`}`,
	);
	return { choice, outcome, report };
}

/** All of `items`, at most `width` at a time; results in their order. */
async function pooled<T, R>(items: readonly T[], width: number, act: (item: T) => Promise<R>): Promise<R[]> {
	const results: R[] = [];
	let next = 0;
	const worker = async () => {
		while (next < items.length) {
			const at = next++;
			results[at] = await act(items[at] as T);
		}
	};
	await Promise.all(Array.from({ length: width }, worker));
	return results;
}

function tell(tried: Tried): void {
	const { choice, outcome, report } = tried;
	if (!outcome || !report) return;
	const name = report.release || `${choice.name} ${choice.series}*`;
	check(
		`${name} started, ran and powered off`,
		outcome.problem ? [outcome.problem, ...outcome.console.slice(-20)] : [],
	);
	for (const run of report.runs) tellRun(name, run);
	for (const [program, log] of report.refused) {
		say(`  ${name} refuses ${program}: …${log.slice(-1500).replace(/\n/g, "\n    ")}`);
	}
	if (values.record) return;
	const { against, problems } = compare(report.release, report.counts);
	const standIn = against === seriesOf(report.release) ? "" : ` (against the record of ${against})`;
	check(`${name}: the verifier walks at most a fifth more than recorded${standIn}`, problems);
}

function tellRun(name: string, run: Run): void {
	const label = `${name}, off: ${run.off || "nothing"}`;
	for (const { test, state, error } of run.tests) {
		if (state === "pass") sum.passed++;
		else if (state === "skip") sum.skipped++;
		else {
			sum.failed++;
			say(`✗ ${label}: ${test}`);
			for (const line of (error ?? "").split("\n").slice(0, 25)) say(`    ${line.slice(0, 400)}`);
		}
	}
	for (const { name: capability, available, lost } of run.capabilities) {
		if (!available) say(`  ${label}: no ${capability}: ${lost}`);
	}
	if (run.restarts > 0) say(`  ${label}: begun again, for V8 ended Node by a failed check of its own`);
	check(`${label}: complete, nothing amiss in the kernel's log`, run.problems);
}

function table(rows: readonly (readonly string[])[]): void {
	const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
	for (const row of rows)
		say(
			row
				.map((cell, column) => cell.padEnd(widths[column] ?? 0))
				.join("  ")
				.trimEnd(),
		);
}

function matrix(all: readonly Tried[]): void {
	const rows = [["kernel", "off", "tiers", "passed", "failed", "skipped", "seconds"]];
	for (const { choice, report } of all) {
		for (const run of report?.runs ?? []) {
			const count = (state: string) => String(run.tests.filter((test) => test.state === state).length);
			const name = report?.release || choice.series;
			const counts = [count("pass"), count("fail"), count("skip")];
			rows.push([name, `off=${run.off}`, tiersOf(run), ...counts, run.seconds.toFixed(0)]);
		}
	}
	table(rows);
}

function instructions(all: readonly Tried[]): void {
	const reports = all.flatMap(({ report }) => (report ? [report] : []));
	const programs = [...new Set(reports.flatMap((report) => Object.keys(report.counts)))];
	const heads = ["verified instructions", ...reports.map((report) => seriesOf(report.release))];
	const row = (name: string) => [name, ...reports.map(({ counts }) => String(counts[name] ?? "refused"))];
	table([heads, ...programs.map(row)]);
}

const chosen = kernels.filter(
	(kernel) => positionals.length === 0 || positionals.some((series) => kernel.series === `${series}.`),
);
mkdirSync(work, { recursive: true });
const archive = new DebianArchive(cache);
try {
	const stale = await archive.update(suites, kernelNames);
	if (stale) say(`the archive cannot be asked, taking what is here: ${stale}`);
} catch (error) {
	// Every image below will be missing, and fail by name.
	say(`the archive cannot be asked: ${(error as Error).message}`);
}
if (positionals.length === 0 || positionals.includes("arm64")) await checkArm64(archive, work, check);
const initramfs = join(work, "initramfs");
buildInitramfs(initramfs);
// A machine waits a third of its time: one more than there are processors, where there is room for them.
const room = Math.floor(freemem() / 2 ** 31);
const width = Math.max(1, Math.min(availableParallelism() + 1, room));
// Those with the most to do first.
const byWork = chosen.toSorted((a, b) => a.leaves.length - b.leaves.length);
const tried = await pooled(byWork, width, (choice) => tryKernel(archive, choice, initramfs));
const all = chosen.map((choice) => tried.find((each) => each.choice === choice) as Tried);
if (chosen.length === kernels.length && sum.failed === 0) archive.prune();
for (const each of all) tell(each);
for (const { test, reason } of unfit) say(`- not run in virtual machines: ${test} (${reason})`);
if (values.record) {
	const counts = all.flatMap(({ report }): [string, Counts][] =>
		report?.release ? [[report.release, report.counts]] : [],
	);
	check("every program that a kernel took is still taken", record(new Map(counts)));
}
say("");
matrix(all);
say("");
instructions(all);
say("");
say(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
// Not process.exit: what is still on its way into a pipe would be lost.
process.exitCode = sum.failed === 0 ? 0 : 1;
