// Ends one process and no other. A pid is only a number that the kernel gives out again; the pidfd pins the
// process, and its start time says whether it is the one that was meant. Trees: kill-tree.ts.
import { RespondError } from "./failure.ts";
import { type ProcessIdentity, readIdentity } from "./procfs.ts";

/** pidfd_open and pidfd_send_signal; the native addon has them. */
export interface ProcessSignaller {
	/** A file descriptor that stands for the process; throws ESRCH when there is none. */
	open(pid: number): number;
	/** Throws ESRCH when it has ended and was waited for. */
	signal(pidfd: number, signal: number): void;
	close(pidfd: number): void;
	/** Has it ended? */
	exited(pidfd: number): boolean;
}

const SIGKILL = 9;
const ESRCH = 3;
const verifyMs = 2000;
/** USER_HZ is 100 on every architecture we run on: /proc counts in ticks of 10 ms. */
const tickNs = 10_000_000;
/** A time of over 104 days does not fit into a double to the nanosecond. */
const roundingNs = 100;

/**
 * Is that the process that was meant? `start` is ns since boot, either exact or, when it came from /proc itself, cut
 * down to a tick. What began in the same tick with the same pid cannot be told apart: for that the host would have
 * to give out all its pids within 10 ms.
 */
export function isSameStart(start: number, startTicks: number): boolean {
	const after = start - startTicks * tickNs;
	return after >= -roundingNs && after < tickNs + roundingNs;
}

export type Kill = "done" | "unchanged" | "no effect";

export interface KillDeps {
	readonly processes: ProcessSignaller;
	/** Where /proc lies below: "/" outside tests. */
	readonly root: string;
	/** The sensor's pid. */
	readonly self: number;
	/** What the sensor knows to descend from a process, also where the parents between them have ended. Starts in ns. */
	readonly descendants?: (pid: number, start: number) => readonly { pid: number; start: number }[];
}

/** The process as it is now; undefined when it is gone. Throws RespondError when the pid is another's by now. */
export function identify(root: string, pid: number, start: number): ProcessIdentity | undefined {
	const identity = readIdentity(root, pid);
	if (identity !== undefined && !isSameStart(start, identity.startTicks)) {
		throw new RespondError(
			"PICKET_TARGET_UNKNOWN",
			`pid ${pid} belongs to another process now (started at tick ${identity.startTicks})`,
			"the process that was meant has ended already",
		);
	}
	return identity;
}

export async function killProcess(
	deps: Pick<KillDeps, "processes" | "root">,
	pid: number,
	start: number,
	steps: string[],
): Promise<Kill> {
	const { processes, root } = deps;
	const pidfd = openProcess(processes, pid);
	if (pidfd === undefined) {
		steps.push(`check: there is no process ${pid} any more`);
		return "unchanged";
	}
	try {
		// Only now: from here on the pid cannot be given to another without the pidfd noticing.
		const identity = identify(root, pid, start);
		if (identity === undefined || processes.exited(pidfd)) {
			steps.push(`check: process ${pid} has ended already`);
			return "unchanged";
		}
		steps.push(`check: start time of ${pid} is the one that was meant (tick ${identity.startTicks})`);
		signalUnlessGone(processes, pidfd, SIGKILL);
		steps.push(`pidfd_send_signal(${pid}, SIGKILL)`);
		const ended = await haveEnded(processes, [pidfd]);
		steps.push(ended ? "verify: the process has ended" : `verify: still there after ${verifyMs / 1000} s`);
		return ended ? "done" : "no effect";
	} finally {
		processes.close(pidfd);
	}
}

/** Undefined when there is no such process. Throws RespondError. */
export function openProcess(processes: ProcessSignaller, pid: number): number | undefined {
	try {
		return processes.open(pid);
	} catch (error) {
		if (isGone(error)) return undefined;
		const message = error instanceof Error ? error.message : String(error);
		throw new RespondError("PICKET_KILL_FAILED", `pidfd_open(${pid}): ${message}`, "run the sensor as root");
	}
}

export function signalUnlessGone(processes: ProcessSignaller, pidfd: number, signal: number): void {
	try {
		processes.signal(pidfd, signal);
	} catch (error) {
		if (!isGone(error)) throw error;
	}
}

/** Waits until all have ended, 2 s at most. */
export async function haveEnded(processes: ProcessSignaller, pidfds: readonly number[]): Promise<boolean> {
	for (let waited = 0; waited < verifyMs; ) {
		if (pidfds.every((pidfd) => processes.exited(pidfd))) return true;
		const pause = waited < 20 ? 1 : 20;
		await new Promise((resolve) => setTimeout(resolve, pause));
		waited += pause;
	}
	return pidfds.every((pidfd) => processes.exited(pidfd));
}

/** Node gives the name of an error, the addon its number. */
function isGone(error: unknown): boolean {
	const { code, errno } = error as NodeJS.ErrnoException;
	return code === "ESRCH" || errno === ESRCH;
}
