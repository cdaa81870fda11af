// Runs the system's own tools (ipset, iptables, conntrack, ss) without a shell: argument arrays, a fixed
// environment, a time limit. What the commands mean is not known here.
import { execFile } from "node:child_process";
import { RespondError } from "./failure.ts";

export interface CommandResult {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

/** Resolves with any exit code; rejects with a RespondError when the tool is missing or hangs. */
export type RunCommand = (file: string, args: readonly string[], input?: string) => Promise<CommandResult>;

const defaultTimeoutMs = 5000;
const maxOutput = 64 * 1024 * 1024;
// The tools lie in sbin, which a service's PATH may lack; LC_ALL keeps their messages readable for us.
const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", LC_ALL: "C" };

/** `prefix` goes before every command, such as ["ip", "netns", "exec", "NAME"]. */
export function createRunner(prefix: readonly string[] = [], timeoutMs = defaultTimeoutMs): RunCommand {
	return (file, args, input) =>
		new Promise((resolve, reject) => {
			const [program = file, ...rest] = [...prefix, file, ...args];
			const options = { env, timeout: timeoutMs, killSignal: "SIGKILL", maxBuffer: maxOutput } as const;
			const child = execFile(program, rest, options, (error, stdout, stderr) => {
				if (error === null) return resolve({ code: 0, stdout, stderr });
				if (error.code === "ENOENT") return reject(missing(program));
				if (error.killed === true) {
					const message = `${file} did not answer within ${timeoutMs / 1000} s and was ended`;
					return reject(
						new RespondError(
							"PICKET_COMMAND_TIMEOUT",
							message,
							"look for a process that holds the firewall lock",
						),
					);
				}
				if (typeof error.code === "number") return resolve({ code: error.code, stdout, stderr });
				reject(
					new RespondError("PICKET_COMMAND_FAILED", `${file}: ${error.message}`, "run it by hand as root"),
				);
			});
			// A tool that exits before it reads its input closes the pipe; its exit code tells the story.
			child.stdin?.on("error", () => {});
			child.stdin?.end(input ?? "");
		});
}

/** The same for a command that has to succeed. Throws PICKET_FIREWALL_UNUSABLE with what it said. */
export async function must(
	run: RunCommand,
	file: string,
	args: readonly string[],
	input?: string,
): Promise<CommandResult> {
	const result = await run(file, args, input);
	if (result.code === 0) return result;
	const said = firstLine(result.stderr) || `exit code ${result.code}`;
	throw unusable([file, ...args].join(" "), said, "picket doctor tells what the firewall needs on this host");
}

export function unusable(what: string, said: string, remedy: string): RespondError {
	return new RespondError("PICKET_FIREWALL_UNUSABLE", `${what}: ${said}`, remedy);
}

export function isMissing(error: unknown): boolean {
	return error instanceof RespondError && error.code === "PICKET_COMMAND_MISSING";
}

export function firstLine(text: string): string {
	return text.trim().split("\n")[0] ?? "";
}

function missing(program: string): RespondError {
	const tool = program.replace(/^(ip6?tables).*/, "iptables").replace(/^ss$/, "iproute2");
	return new RespondError(
		"PICKET_COMMAND_MISSING",
		`${program} is not installed`,
		`install the package ${tool}`,
	);
}
