// What `npm test` and `npm run soak` have in common: one suite of vitest after the other, and their sum.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

export const root = new URL("..", import.meta.url).pathname;
const results = join(root, "build", "test");
mkdirSync(results, { recursive: true });
export const bin = join(root, "node_modules", ".bin");
export const sum = { passed: 0, failed: 0, skipped: 0 };
/** A line for each thing that failed, told again at the end, where it is found. */
export const failures: string[] = [];

export function say(text: string): void {
	process.stdout.write(`${text}\n`);
}

export function run(
	command: string,
	args: readonly string[],
	environment: Readonly<Record<string, string>> = {},
): Promise<number> {
	const env = { ...process.env, ...environment };
	const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
	return new Promise((resolve) => {
		child.on("error", () => resolve(127));
		child.on("close", (code) => resolve(code ?? 1));
	});
}

export function tellFailures(): void {
	if (failures.length > 0) say("\nFailed:");
	for (const failure of failures) say(`✗ ${failure}`);
}

interface TestResult {
	fullName: string;
	status: string;
	failureMessages?: string[];
}

interface Report {
	testResults: { name: string; status: string; message: string; assertionResults: TestResult[] }[];
	numPassedTests: number;
	numFailedTests: number;
	numPendingTests: number;
	numTodoTests: number;
	success: boolean;
}

/** `files`: only those of the suite. */
export async function suite(
	name: string,
	files: readonly string[] = [],
	environment: Readonly<Record<string, string>> = {},
): Promise<void> {
	const file = join(results, `${name}.json`);
	rmSync(file, { force: true });
	const options = [
		...["--config", "test/vitest.config.ts", "--project", name],
		...["--reporter", "default", "--reporter", "json", "--outputFile", file],
	];
	const status = await run(join(bin, "vitest"), ["run", ...options, ...files], environment);
	try {
		const report = JSON.parse(readFileSync(file, "utf8")) as Report;
		sum.passed += report.numPassedTests;
		sum.failed += report.numFailedTests;
		sum.skipped += report.numPendingTests + report.numTodoTests;
		// A file that could not even be loaded is no failed test in the count.
		if ((status !== 0 || !report.success) && report.numFailedTests === 0) sum.failed++;
		failures.push(...failuresOf(name, report));
	} catch {
		failures.push(`the suite ${name} gave no results, and ended with ${status}`);
		sum.failed++;
	}
}

function failuresOf(suiteName: string, report: Report): string[] {
	const found: string[] = [];
	const note = (what: string, message = "") =>
		found.push(`${suiteName}: ${what}\n    ${message.split("\n", 1)[0]?.slice(0, 300)}`);
	for (const { name, status, message, assertionResults } of report.testResults) {
		const failed = assertionResults.filter((test) => test.status === "failed");
		for (const { fullName, failureMessages } of failed) note(fullName, failureMessages?.[0]);
		if (status === "failed" && failed.length === 0) note(name, message);
	}
	return found;
}
