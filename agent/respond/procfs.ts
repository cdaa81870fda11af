// The few facts about processes and the network that protection needs, read from /proc below an injectable root.
// Text that cannot be read is absent, not an error: what that means is the caller's to decide.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export interface ProcessIdentity {
	readonly pid: number;
	readonly comm: string;
	/** One letter: R, S, D, T (stopped), t (traced), Z … */
	readonly state: string;
	readonly parentPid: number;
	/** Pid of the session's leader. */
	readonly session: number;
	/** Start in clock ticks since boot, field 22 of stat. */
	readonly startTicks: number;
	readonly kernelThread: boolean;
}

const PF_KTHREAD = 0x00200000;

/** Undefined when there is no such process. */
export function readIdentity(root: string, pid: number): ProcessIdentity | undefined {
	return readStat(join(root, "proc", String(pid), "stat"), pid);
}

/** Of all processes there are, mostly older ones first. */
export function listPids(root: string): number[] {
	return numbersIn(join(root, "proc"));
}

/** The state letters of all threads of a process, none when it is gone. */
export function threadStates(root: string, pid: number): string[] {
	const directory = join(root, "proc", String(pid), "task");
	return numbersIn(directory).flatMap(
		(tid) => readStat(join(directory, String(tid), "stat"), tid)?.state ?? [],
	);
}

function numbersIn(directory: string): number[] {
	try {
		return readdirSync(directory)
			.filter((name) => /^\d+$/.test(name))
			.map(Number);
	} catch {
		return [];
	}
}

function readStat(file: string, pid: number): ProcessIdentity | undefined {
	let stat: string;
	try {
		stat = readFileSync(file, "latin1");
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "ENOENT" || code === "ESRCH") return undefined;
		throw error;
	}
	// comm may itself hold ") ": the last one ends it (proc_pid_stat(5)).
	const end = stat.lastIndexOf(")");
	const fields = stat.slice(end + 2).split(" ");
	return {
		pid,
		comm: stat.slice(stat.indexOf("(") + 1, end),
		state: fields[0] ?? "",
		parentPid: Number(fields[1]),
		session: Number(fields[3]),
		startTicks: Number(fields[19]),
		kernelThread: (Number(fields[6]) & PF_KTHREAD) !== 0,
	};
}

/** Real user id; undefined when it cannot be read. */
export function readUid(root: string, pid: number): number | undefined {
	try {
		const status = readFileSync(join(root, "proc", String(pid), "status"), "latin1");
		const uid = /^Uid:\s+(\d+)/m.exec(status)?.[1];
		return uid === undefined ? undefined : Number(uid);
	} catch {
		return undefined;
	}
}

/** What a link such as /proc/1/ns/mnt points to; undefined when it cannot be read. */
export function readLink(root: string, path: string): string | undefined {
	try {
		return readlinkSync(join(root, path));
	} catch {
		return undefined;
	}
}

export async function readText(root: string, path: string): Promise<string | undefined> {
	try {
		return await readFile(join(root, path), "latin1");
	} catch {
		return undefined;
	}
}

/** Lines split at white space; none when the file is not there. */
export async function readTable(root: string, path: string): Promise<string[][]> {
	const text = (await readText(root, path)) ?? "";
	return text
		.split("\n")
		.map((line) => line.trim().split(/\s+/))
		.filter((fields) => fields[0] !== "");
}

/**
 * Where the host's own files lie below: in a container that shares the host's pids this is init's root, else `root`.
 */
export function hostRoot(root: string): string {
	const ofInit = join(root, "proc/1/root");
	try {
		const [here, there] = [statSync(root), statSync(ofInit)];
		return here.dev === there.dev && here.ino === there.ino ? root : ofInit;
	} catch {
		return root;
	}
}

/** Folders with the tables of the network namespaces that count as the host's: the sensor's own, and init's. */
export function hostNets(root: string): string[] {
	const ofInit = readLink(root, "proc/1/ns/net");
	const same = ofInit === undefined || ofInit === readLink(root, "proc/self/ns/net");
	return same ? ["proc/net"] : ["proc/net", "proc/1/net"];
}
