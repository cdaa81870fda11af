// Has a piece of an enrolment done by a child without rights, and believes its answer no further than its form.
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { launcherPath } from "../confine.ts";
import { CommandError } from "../failure.ts";
import { errorText } from "../report/errors.ts";
import { neutralise } from "../report/shown.ts";
import { startProcess } from "../spawn.ts";
import type { Job, Results } from "./worker.ts";

/** Rejects with CommandError. */
export type RunJob = <Kind extends Job["job"]>(job: Extract<Job, { job: Kind }>) => Promise<Results[Kind]>;

/** PEM text of 1 to 8 of a kind, "CERTIFICATE"; its form alone, nothing is parsed. */
export const pem = (kind: string, mostBytes = 64 * 1024) =>
	z
		.string()
		.max(mostBytes)
		.regex(new RegExp(`^(-----BEGIN ${kind}-----[A-Za-z0-9+/=\\s]+-----END ${kind}-----\\s*){1,8}$`));
const time = z.number().int().positive().max(253_402_300_799_999);
const forms: { readonly [Kind in Job["job"]]: z.ZodType<Results[Kind]> } = {
	request: z.object({ key: pem("PRIVATE KEY"), request: pem("CERTIFICATE REQUEST") }),
	exchange: z.object({
		certificate: pem("CERTIFICATE"),
		authorities: pem("CERTIFICATE"),
		addresses: z.array(z.string().min(1).max(300)).min(1).max(8),
		serverName: z.string().max(253),
		address: z.string().max(300),
	}),
	inspect: z.object({ issued: time, expires: time }),
};
const failed = z.object({ problem: z.string(), remedy: z.string() });
const maxReplyBytes = 512 * 1024;
const program = fileURLToPath(new URL("worker.ts", import.meta.url));
/** What a stranger has it hold ends it before the host feels it. */
const nodeOptions = ["--v8-pool-size=1", "--max-old-space-size=192"];
/** Eight addresses of 2 × 10 s. */
const maxMs = 180_000;

export const runJob: RunJob = async (job) => {
	const text = await replyTo(job.job, JSON.stringify(job));
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw new CommandError(`the child for "${job.job}" ended without an answer`, "");
	}
	const problem = failed.safeParse(value);
	if (problem.success)
		throw new CommandError(neutralise(problem.data.problem), neutralise(problem.data.remedy));
	const result = forms[job.job].safeParse((value as { result?: unknown }).result);
	if (!result.success) {
		const place = result.error.issues[0]?.path.join(".") ?? "";
		throw new CommandError(
			`the answer cannot be used: ${place} is not what it should be`,
			"is that a console of this version of Picket?",
		);
	}
	// The form of this kind of job was looked up by the kind.
	return result.data as never;
};

/** Throws CommandError. */
function start(kind: Job["job"]): ChildProcessWithoutNullStreams {
	try {
		const child = startProcess(launcherPath, [process.execPath, ...nodeOptions, program, kind], {
			stdio: ["pipe", "pipe", "pipe"],
			// Nothing of ours that could hold a secret, nor NODE_OPTIONS.
			env: {},
			cwd: "/",
			timeout: maxMs,
			killSignal: "SIGKILL",
		});
		return child as ChildProcessWithoutNullStreams;
	} catch (error) {
		throw new CommandError(`no child could be started: ${errorText(error)}`, "");
	}
}

function replyTo(kind: Job["job"], input: string): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = start(kind);
		let output = "";
		let said = "";
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			output += chunk;
			if (output.length > maxReplyBytes) child.kill("SIGKILL");
		});
		child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
			said = (said + chunk).slice(-1000);
		});
		child.stdin.on("error", () => {});
		child.stdin.end(input);
		child.once("error", (error) =>
			reject(new CommandError(`no child could be started: ${error.message}`, "")),
		);
		child.once("close", (code, signal) => {
			if (code === 0 && output.length <= maxReplyBytes) return resolve(output);
			const why = neutralise(said.trim().split("\n").at(-1) ?? "");
			reject(new CommandError(`the child that was to do it ended with ${signal ?? code}: ${why}`, ""));
		});
	});
}
