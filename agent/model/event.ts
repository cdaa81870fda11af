// The words in which the stages speak of one captured event. A stage imports types from here and nothing
// from another stage.
import type { Namespaces, Process, StandardStream } from "./process.ts";

/** Numbers as in bpf/event.h's `enum event_kind`; a test compares them with the built object. */
export const EventKind = {
	exec: 1,
	fork: 2,
	exit: 3,
	open: 4,
	connect: 5,
	cgroup: 6,
	execFailed: 7,
	rename: 8,
	unlink: 9,
	rmdir: 10,
	mkdir: 11,
	mknod: 12,
	link: 13,
	symlink: 14,
	chmod: 15,
	chown: 16,
	truncate: 17,
	setxattr: 18,
	accept: 19,
	bind: 20,
	listen: 21,
	send: 22,
	socket: 23,
	dup: 24,
	dns: 25,
	setuid: 26,
	setgid: 27,
	capset: 28,
	unshare: 29,
	setns: 30,
	ptrace: 31,
	vmWrite: 32,
	kill: 33,
	mount: 34,
	umount: 35,
	pivotRoot: 36,
	chroot: 37,
	module: 38,
	bpf: 39,
	memfd: 40,
	userfaultfd: 41,
	protect: 42,
	ioUring: 43,
} as const;
export type EventName = keyof typeof EventKind;
export type EventKind = (typeof EventKind)[EventName];

export const eventNames = Object.keys(EventKind) as EventName[];

/** Name of a kind, undefined for a number that is none. */
export function eventName(kind: number): EventName | undefined {
	return eventNames[kind - 1];
}

/** Bits of `EventView.flags`, as in bpf/event.h. */
export const EventFlag = {
	pathTruncated: 1 << 0,
	/** The path could not be read to its end; what is there is its last part. */
	pathIncomplete: 1 << 1,
	rawUnreadable: 1 << 2,
	argsTruncated: 1 << 3,
	argsUnreadable: 1 << 4,
	/** `path` holds the directory that `raw` is relative to, not the file itself (failed open). */
	pathIsBase: 1 << 5,
	fromMemfd: 1 << 6,
	unlinked: 1 << 7,
	/** The destination was read from the caller's memory. */
	peerFromUser: 1 << 8,
	cwdTruncated: 1 << 9,
	/** What the caller named, not what the kernel touched. */
	pathFromUser: 1 << 10,
	/** The file is not from the image: overlay's upper layer. */
	upperLayer: 1 << 11,
	/** The open made the file. */
	created: 1 << 12,
	targetFromUser: 1 << 13,
	targetTruncated: 1 << 14,
	targetIncomplete: 1 << 15,
	targetRawUnreadable: 1 << 16,
	/** Asked for through a ring, not by a system call. */
	ioUring: 1 << 17,
	environmentTruncated: 1 << 18,
	/** The target's pid is what the caller passed; nothing else of it is known. */
	pidFromUser: 1 << 19,
	/** Done in an interrupt or by a kernel thread: the process is a guess. */
	kernelActor: 1 << 20,
	dnsResponse: 1 << 21,
	payloadTruncated: 1 << 22,
	/** The memory holds pages that were written. */
	written: 1 << 23,
} as const;

/**
 * Variable-length fields of a record. `start`/`size` below take one of these; a kind without the field
 * has size 0 for it.
 */
export const Text = {
	path: 0,
	raw: 1,
	interpreter: 2,
	args: 3,
	cwd: 4,
	comm: 5,
	target: 6,
	targetRaw: 7,
	name: 8,
	source: 9,
	filesystem: 10,
	options: 11,
	environment: 12,
	payload: 13,
} as const;
export type Text = (typeof Text)[keyof typeof Text];

/**
 * One event, read in place. There is ONE view, moved from record to record: nothing here may be kept
 * after the handler returns, and `bytes` must never be written (the ring is mapped read-only).
 * Texts are raw bytes without a closing NUL; `args` is NUL-separated.
 * A field that the event's kind does not have reads as 0.
 */
export interface EventView {
	readonly kind: EventKind;
	readonly bytes: Buffer;
	/** Capture number, counted by the agent: grows by one per event delivered. */
	readonly number: number;
	/** ns since boot (CLOCK_BOOTTIME). */
	readonly time: number;
	readonly pid: number;
	readonly tid: number;
	/** ns since boot at which the acting process started; with pid the key of a process. */
	readonly start: number;
	readonly cgroupId: number;
	readonly flags: number;
	/** Real and effective user of who acted, at that time; -1 where not known. */
	readonly user: number;
	readonly effectiveUser: number;
	/** Number of the system call on the architecture that captured; 0 where none is at hand. */
	readonly syscall: number;
	/** Start of a text in `bytes`; valid only when its size is above 0. */
	textStart(field: Text): number;
	/** Bytes. */
	textSize(field: Text): number;
	/** The text as latin1: allocates, not for the hot path. */
	text(field: Text): string;
	/**
	 * A member of the kind's own struct (model/structs.ts), by its offset: 16, 32, 32 signed, 64 bits, the last as a
	 * number exact up to 2^53. Only for a member that this kind has.
	 */
	half(at: number): number;
	word(at: number): number;
	signed(at: number): number;
	long(at: number): number;
	big(at: number): bigint;
	/** open, connect and all others that call the kernel: what it answered, or minus the errno. exit: wait status. exec: 0. */
	readonly result: number;
	/** open: O_* bits as asked for. */
	readonly openFlags: number;
	/** open: how many like it came since the last one that was sent; they were not. */
	readonly repeats: number;
	/** open: st_mode of the opened file, 0 when failed; file changes: what it was before. */
	readonly mode: number;
	/** Events about a file: its device (major << 20 | minor) and inode, 0 where not known; rounded above 2^53. */
	readonly device: number;
	readonly inode: number;
	/** Events about a socket: AF_INET 2, AF_INET6 10, AF_UNIX 1. IPv4-mapped IPv6 is given as AF_INET. */
	readonly family: number;
	/** IPPROTO_TCP 6, IPPROTO_UDP 17, … */
	readonly protocol: number;
	readonly localPort: number;
	readonly remotePort: number;
	/** Where the 4 (AF_INET) or 16 bytes of a socket's addresses start in `bytes`; of no use for a kind without a family. */
	readonly localAddressStart: number;
	readonly remoteAddressStart: number;
	/** fork: the child. */
	readonly childPid: number;
	readonly childStart: number;
	readonly childNamespacePid: number;
	/** cgroup: 1 created, 2 removed; id of the cgroup. */
	readonly cgroupOperation: number;
	readonly targetCgroupId: number;
}

/** What detect, policy and report get: the event and the process that acted (undefined: not known). */
export interface Observation {
	readonly event: EventView;
	/** After the event: for an exec the new image. Lives on; may be kept. */
	readonly process: Process | undefined;
}

/** What enrich alone needs of a record on top: the attributes of a new image and of a new process. */
export interface ProcessEventView extends EventView {
	/** exec. */
	readonly parentPid: number;
	readonly parentStart: number;
	readonly namespacePid: number;
	readonly uid: number;
	readonly gid: number;
	readonly euid: number;
	readonly egid: number;
	/** -1 unset. */
	readonly loginUid: number;
	readonly sessionId: number;
	/** major << 20 | minor; 0 for none. */
	readonly tty: number;
	readonly argsBytes: number;
	readonly environmentBytes: number;
	/** Effective, permitted, inheritable. */
	readonly capabilities: bigint;
	readonly capabilitiesPermitted: bigint;
	readonly capabilitiesInheritable: bigint;
	/** Pids of the leaders. */
	readonly sessionLeader: number;
	readonly processGroup: number;
	/** Of the executed file; the times in ns since 1970, to what a double holds (256 ns). */
	readonly fileMode: number;
	readonly fileUid: number;
	readonly fileGid: number;
	readonly fileChanged: number;
	readonly fileModified: number;
	/** Standard input, output, error, in this order; made anew, and may be kept. */
	streams(): StandardStream[];
	namespaces(): Namespaces;
	/** fork. */
	readonly childCgroupId: number;
	/** exit: who inherits its children; 0 when it has none. */
	readonly reaperPid: number;
	/** fork. */
	readonly childParentPid: number;
	readonly childPidNamespace: number;
}
