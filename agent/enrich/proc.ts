// Reads one process from /proc: what the tree is seeded with at start, and where it turns to when an event names
// a process it has never heard of. Slow (some 10 file reads); never on the path of an ordinary event.
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import type { Namespaces, StandardStream } from "../model/process.ts";

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
	sessionLeader: number;
	processGroup: number;
	/** Hexadecimal: effective, permitted, inheritable. */
	capabilities: string;
	capabilitiesPermitted: string;
	capabilitiesInheritable: string;
	streams: StandardStream[];
	namespaces: Namespaces;
	device: number;
	/** In decimal, since no double holds every one. */
	inode: string;
	fileMode: number;
	fileUid: number;
	fileGid: number;
	/** ns since 1970. */
	fileChanged: number;
	fileModified: number;
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

const [pipe, characterDevice, regularFile, socket] = [1, 2, 8, 12];

/** From the link's text: to stat what is behind it could wait for a dead file server. */
function stream(target: string): StandardStream {
	const [, word = "", number = "0"] = /^(pipe|socket):\[(\d+)\]$/.exec(target) ?? [];
	let type = 0;
	if (word !== "") type = word === "pipe" ? pipe : socket;
	else if (target.startsWith("/dev/")) type = characterDevice;
	else if (target.startsWith("/")) type = regularFile;
	return { type, inode: Number(number), family: 0, remotePort: 0, localPort: 0, remoteAddress: undefined };
}

type ImageFile = Pick<
	ProcessFacts,
	"device" | "inode" | "fileMode" | "fileUid" | "fileGid" | "fileChanged" | "fileModified"
>;

function image(pid: number): ImageFile {
	try {
		const file = statSync(`/proc/${pid}/exe`, { bigint: true });
		const dev = Number(file.dev);
		const device = (((dev >>> 8) & 0xfff) << 20) | (dev & 0xff) | ((dev >>> 12) & 0xfff00);
		return {
			device: device >>> 0,
			inode: String(file.ino),
			fileMode: Number(file.mode),
			fileUid: Number(file.uid),
			fileGid: Number(file.gid),
			fileChanged: Number(file.ctimeNs),
			fileModified: Number(file.mtimeNs),
		};
	} catch {
		// a kernel thread has no image
		return { device: 0, inode: "0", fileMode: 0, fileUid: 0, fileGid: 0, fileChanged: 0, fileModified: 0 };
	}
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
		sessionLeader: Number(rest[3]),
		processGroup: Number(rest[2]),
		capabilities: field(status, "CapEff")[0] ?? "0",
		capabilitiesPermitted: field(status, "CapPrm")[0] ?? "0",
		capabilitiesInheritable: field(status, "CapInh")[0] ?? "0",
		streams: exe === "" ? [] : [0, 1, 2].map((number) => stream(link(`/proc/${pid}/fd/${number}`))),
		namespaces: {
			mount: namespaceInode(pid, "mnt"),
			pid: namespaceInode(pid, "pid"),
			network: namespaceInode(pid, "net"),
			user: namespaceInode(pid, "user"),
			uts: namespaceInode(pid, "uts"),
			ipc: namespaceInode(pid, "ipc"),
			cgroup: namespaceInode(pid, "cgroup"),
		},
		...image(pid),
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
