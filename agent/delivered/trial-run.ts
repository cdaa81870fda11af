// Tries content in a process of its own and believes nothing of what comes back: a crash, a hang, an answer that is too
// long or none at all refuses the content, with the reason.
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { launcherPath } from "../confine.ts";
import { errorText } from "../report/errors.ts";
import { startProcess } from "../spawn.ts";
import type { Examined, Question } from "./examine.ts";
import { bundleSchema, ContentRefusal, largestBundle } from "./model.ts";

export interface TrialLimits {
	/** Until there has to be an answer: what waits for nothing is bounded by its CPU time, which a busy host does not use up. */
	readonly timeoutMs: number;
	readonly cpuSeconds: number;
	/** Of V8's heap; the address space is bounded, too. */
	readonly heapMegabytes: number;
}

export const trialLimits: TrialLimits = { timeoutMs: 50_000, cpuSeconds: 20, heapMegabytes: 512 };

/** V8 reserves far more than it uses. */
const addressSpaceKilobytes = 8 << 20;
const program = fileURLToPath(new URL("trial.ts", import.meta.url));
/** As agent/main.mjs has it. */
const compileCache = fileURLToPath(new URL("../../build/compile-cache", import.meta.url));
/** The texts as JSON, each character escaped at worst. */
const longestAnswer = 6 * largestBundle + 65_536;
const longestComplaint = 4096;

const answerSchema = z.discriminatedUnion("ok", [
	z.strictObject({
		ok: z.literal(true),
		bundle: bundleSchema,
		findings: z.array(z.string().max(2000)).max(100),
	}),
	z.strictObject({ ok: z.literal(false), reason: z.string().max(20_000) }),
]);

export type Trial = (bytes: Buffer, question: Question) => Promise<Examined>;

/** Rejects with ContentRefusal only. */
export async function runTrial(
	bytes: Buffer,
	question: Question,
	limits: TrialLimits = trialLimits,
): Promise<Examined> {
	const { out, complaint, end } = await inProcess(bytes, question, limits);
	if (end !== "") throw new ContentRefusal(`the trial ${end}; ${complaint || "it said nothing"}`);
	let parsed: unknown;
	try {
		parsed = JSON.parse(out);
	} catch {
		throw new ContentRefusal("the trial ended without an answer");
	}
	const answer = answerSchema.safeParse(parsed);
	if (!answer.success) throw new ContentRefusal("the trial's answer makes no sense");
	if (!answer.data.ok) throw new ContentRefusal(answer.data.reason);
	const { bundle, findings } = answer.data;
	return { bundle, findings };
}

interface Ended {
	readonly out: string;
	/** The last lines it wrote to standard error. */
	readonly complaint: string;
	/** How it ended; "" when well. */
	readonly end: string;
}

function inProcess(bytes: Buffer, question: Question, limits: TrialLimits): Promise<Ended> {
	const { timeoutMs, cpuSeconds: seconds, heapMegabytes } = limits;
	const bounds = `ulimit -c 0; ulimit -v ${addressSpaceKilobytes}; ulimit -t ${seconds}; exec "$@"`;
	const node = [
		launcherPath,
		process.execPath,
		`--max-old-space-size=${heapMegabytes}`,
		"--v8-pool-size=1",
		program,
	];
	let child: ChildProcessWithoutNullStreams;
	try {
		child = startProcess("/bin/sh", ["-c", bounds, "trial", ...node], {
			cwd: "/",
			env: { PATH: process.env.PATH ?? "/usr/bin:/bin", NODE_COMPILE_CACHE: compileCache },
			stdio: ["pipe", "pipe", "pipe"],
		}) as ChildProcessWithoutNullStreams;
	} catch (error) {
		return Promise.resolve({ out: "", complaint: errorText(error), end: "could not be started" });
	}
	return new Promise((resolve) => {
		const out: Buffer[] = [];
		let size = 0;
		let complaint = "";
		let why = "";
		const stop = (reason: string): void => {
			if (why === "") why = reason;
			child.kill("SIGKILL");
		};
		const timer = setTimeout(() => stop(`took longer than ${timeoutMs / 1000} s`), timeoutMs);
		child.stdout.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size > longestAnswer) stop("gave an answer that is too long");
			else out.push(chunk);
		});
		child.stderr.setEncoding("utf8").on("data", (text: string) => {
			complaint = (complaint + text).slice(-longestComplaint);
		});
		child.on("error", (error) => {
			clearTimeout(timer);
			resolve({ out: "", complaint: error.message, end: "could not be started" });
		});
		child.on("close", (code, signal) => {
			clearTimeout(timer);
			const how = signal
				? `was ended by ${signal}, as when it uses up ${seconds} s of CPU time or the host's memory`
				: code === 0
					? ""
					: `ended with status ${code}`;
			resolve({ out: Buffer.concat(out).toString("utf8"), complaint: cause(complaint), end: why || how });
		});
		// It may be gone before it has read everything.
		child.stdin.on("error", () => {});
		child.stdin.write(`${JSON.stringify(question)}\n`);
		child.stdin.end(bytes);
	});
}

/** Of a stack trace or V8's last words the line that says something. */
function cause(text: string): string {
	const lines = text.split("\n").map((line) => line.trim());
	const telling = lines.find((line) => /error|memory/i.test(line)) ?? lines.findLast((line) => line !== "");
	return (telling ?? "").slice(0, 300);
}
