// Reads one process from /proc: what the tree is seeded with at start, and where it turns to when an event names
// a process it has never heard of. Slow (some 10 file reads); never on the path of an ordinary event.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import type { Namespaces } from "../model/process.ts";

/** Facts about a running process, as plain data: also what a recording keeps. Strings are latin1. */
export interface ProcessFacts {
	pid: number;
	/** ns since boot, rounded down to a clock tick (10 ms). */
	start: number;
	parentPid: number;
	comm: string;
	exe: string;
	args: string[];
	cwd: string;
	uid: number;
	gid: number;
	euid: number;
	egid: number;
	loginUid: number;
	sessionId: number;
	tty: number;
	namespacePid: number;
	/** Hexadecimal. */
	capabilities: string;
	namespaces: Namespaces;
	device: number;
	inode: number;
	unlinked: boolean;
	/** Filled in by whoever knows cgroups; 0 when unknown. */
	cgroupId: number;
}

/** USER_HZ is 100 on every architecture we run on (include/asm-generic/param.h). */
const nsPerTick = 10_000_000;

function text(path: string): string {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return "";
	}
}

function link(path: string): string {
	try {
		return readlinkSync(path, "latin1");
	} catch {
		return "";
	}
}

function namespaceInode(pid: number, name: string): number {
	const found = /\[(\d+)\]/.exec(link(`/proc/${pid}/ns/${name}`));
	return found ? Number(found[1]) : 0;
}

function field(status: string, name: string): string[] {
	const at = status.indexOf(`\n${name}:`);
	if (at < 0) return [];
	return status
		.slice(at + name.length + 2, status.indexOf("\n", at + 1))
		.trim()
		.split(/\s+/);
}

/** -1 for the kernel's "unset". */
function unset(value: string): number {
	const number = Number(value);
	return value.trim() === "" || number === 0xffff_ffff ? -1 : number;
}

/** The kernel gives tty_nr to user space in another encoding (new_encode_dev) than it has inside. */
function terminal(encoded: number): number {
	const major = (encoded >>> 8) & 0xfff;
	const minor = (encoded & 0xff) | ((encoded >>> 12) & 0xfff00);
	return encoded === 0 ? 0 : ((major << 20) | minor) >>> 0;
}

/** undefined when the process has gone. */
export function readProcess(pid: number): ProcessFacts | undefined {
	const stat = text(`/proc/${pid}/stat`);
	const closing = stat.lastIndexOf(")");
	if (closing < 0) return undefined;
	const rest = stat.slice(closing + 2).split(" ");
	const status = text(`/proc/${pid}/status`);
	if (status === "") return undefined; // gone in between: without it everybody would be root
	const uids = field(status, "Uid").map(Number);
	const gids = field(status, "Gid").map(Number);
	const exe = link(`/proc/${pid}/exe`);
	const deleted = exe.endsWith(" (deleted)");
	const args = text(`/proc/${pid}/cmdline`);
	let device = 0;
	let inode = 0;
	try {
		const file = statSync(`/proc/${pid}/exe`);
		device = (((file.dev >>> 8) & 0xfff) << 20) | (file.dev & 0xff) | ((file.dev >>> 12) & 0xfff00);
		device >>>= 0;
		inode = file.ino;
	} catch {
		// a kernel thread has no image
	}
	return {
		pid,
		start: Number(rest[19]) * nsPerTick,
		parentPid: Number(rest[1]),
		comm: stat.slice(stat.indexOf("(") + 1, closing),
		exe: deleted ? exe.slice(0, -" (deleted)".length) : exe,
		args: args === "" ? [] : args.replace(/\0$/, "").split("\0"),
		cwd: link(`/proc/${pid}/cwd`),
		uid: uids[0] ?? 0,
		euid: uids[1] ?? 0,
		gid: gids[0] ?? 0,
		egid: gids[1] ?? 0,
		loginUid: unset(text(`/proc/${pid}/loginuid`)),
		sessionId: unset(text(`/proc/${pid}/sessionid`)),
		tty: terminal(Number(rest[4])),
		namespacePid: Number(field(status, "NSpid").at(-1) ?? pid),
		capabilities: field(status, "CapEff")[0] ?? "0",
		namespaces: {
			mount: namespaceInode(pid, "mnt"),
			pid: namespaceInode(pid, "pid"),
			network: namespaceInode(pid, "net"),
			user: namespaceInode(pid, "user"),
			uts: namespaceInode(pid, "uts"),
			ipc: namespaceInode(pid, "ipc"),
			cgroup: namespaceInode(pid, "cgroup"),
		},
		device,
		inode,
		unlinked: deleted,
		cgroupId: 0,
	};
}

/** All processes there are, parents before children as far as pids tell. */
export function readProcesses(): ProcessFacts[] {
	const pids = readdirSync("/proc")
		.filter((name) => /^\d+$/.test(name))
		.map(Number)
		.sort((a, b) => a - b);
	return pids.map(readProcess).filter((facts) => facts !== undefined);
}
