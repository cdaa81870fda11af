// Every field a condition or an output may name: its type, the events that have it, and how to get it. Names and
// meanings are Falco's; those that no event of ours carries yet are in known-fields.ts.

import { showIpv4, showIpv6 } from "../model/address-text.ts";
import { EventFlag, EventKind, type Observation, Text } from "../model/event.ts";
import { hostArchitecture, openFlagNames, resultName } from "../model/kernel-names.ts";
import type { Container, Process } from "../model/process.ts";
import {
	ancestor,
	argumentLine,
	commandLine,
	effectiveCapabilities,
	sayArgumentLine,
	sayCommandLine,
} from "./process-text.ts";
import type { Range } from "./text.ts";

export interface FieldContext {
	userName(uid: number): string | undefined;
	readonly hostname: string;
}

interface Common {
	/** Undefined: every event has it. */
	readonly kinds?: readonly EventKind[];
}
export interface TextField extends Common {
	readonly type: "text";
	/** Puts the bytes' place into `out`; false when they are nowhere in the event (or there are none). */
	readonly range?: (observation: Observation, out: Range) => boolean;
	readonly get: (observation: Observation, context: FieldContext) => string | undefined;
	/** In a condition true when it holds for any of several texts; replaces `get` there. */
	readonly some?: (observation: Observation, holds: (text: string) => boolean) => boolean;
	/** What `get` would put together, piece by piece; false when there is no such text. */
	readonly pieces?: (observation: Observation, say: (piece: string) => void) => boolean;
	/** The same for every event of a kind: several names where a kind stands for several system calls. */
	readonly constant?: (kind: EventKind) => readonly string[];
}
export interface NumberField extends Common {
	readonly type: "number" | "bool";
	/** A bool as 0 or 1. */
	readonly get: (observation: Observation, context: FieldContext) => number | undefined;
	/** The condition holds when either does, != when both do. */
	readonly other?: (observation: Observation) => number | undefined;
}
export interface AddressField extends Common {
	readonly type: "address";
	readonly ends: readonly ("local" | "remote")[];
}
export type Field = TextField | NumberField | AddressField;

const { exec, fork, exit, open, connect, cgroup } = EventKind;
const inet = 2;
const inet6 = 10;
const unix = 1;

/** Falco's names for what each of our events reports. */
export const eventTypes: Readonly<Record<EventKind, readonly string[]>> = {
	[exec]: ["execve", "execveat"],
	[fork]: ["clone", "clone3", "fork", "vfork"],
	[exit]: ["procexit"],
	[open]: ["openat", "open", "openat2", "creat"],
	[connect]: ["connect"],
	[cgroup]: ["cgroup"],
	[EventKind.execFailed]: ["exec_failed"],
	[EventKind.rename]: ["rename", "renameat", "renameat2"],
	[EventKind.unlink]: ["unlink", "unlinkat"],
	[EventKind.rmdir]: ["rmdir", "unlinkat"],
	[EventKind.mkdir]: ["mkdir", "mkdirat"],
	[EventKind.mknod]: ["mknod", "mknodat"],
	[EventKind.link]: ["link", "linkat"],
	[EventKind.symlink]: ["symlink", "symlinkat"],
	[EventKind.chmod]: ["chmod", "fchmod", "fchmodat"],
	[EventKind.chown]: ["chown", "lchown", "fchown", "fchownat"],
	[EventKind.truncate]: ["truncate", "ftruncate"],
	[EventKind.setxattr]: ["setxattr", "lsetxattr", "fsetxattr"],
	[EventKind.accept]: ["accept", "accept4"],
	[EventKind.bind]: ["bind"],
	[EventKind.listen]: ["listen"],
	[EventKind.send]: ["sendto", "sendmsg", "sendmmsg"],
	[EventKind.socket]: ["socket"],
	[EventKind.dup]: ["dup", "dup2", "dup3"],
	[EventKind.dns]: ["dns"],
	[EventKind.setuid]: ["setuid", "setreuid", "setresuid"],
	[EventKind.setgid]: ["setgid", "setregid", "setresgid"],
	[EventKind.capset]: ["capset"],
	[EventKind.unshare]: ["unshare"],
	[EventKind.setns]: ["setns"],
	[EventKind.ptrace]: ["ptrace"],
	[EventKind.vmWrite]: ["process_vm_writev"],
	[EventKind.kill]: ["kill", "tkill", "tgkill"],
	[EventKind.mount]: ["mount"],
	[EventKind.umount]: ["umount", "umount2"],
	[EventKind.pivotRoot]: ["pivot_root"],
	[EventKind.chroot]: ["chroot"],
	[EventKind.module]: ["init_module", "finit_module", "delete_module"],
	[EventKind.bpf]: ["bpf"],
	[EventKind.memfd]: ["memfd_create"],
	[EventKind.userfaultfd]: ["userfaultfd"],
	[EventKind.protect]: ["mprotect", "mmap"],
	[EventKind.ioUring]: ["io_uring_setup"],
};

function ofProcess(get: (process: Process) => string | undefined): TextField {
	return { type: "text", get: ({ process }) => (process && process.comm !== "" ? get(process) : undefined) };
}
/** The same, said in pieces where no text has to be made. */
function inPieces(
	field: TextField,
	of: (process: Process) => Process | undefined,
	say: (process: Process, say: (piece: string) => void) => void,
): TextField {
	return {
		...field,
		pieces: ({ process }, each) => {
			const subject = process && process.comm !== "" ? of(process) : undefined;
			if (!subject || subject.comm === "") return false;
			say(subject, each);
			return true;
		},
	};
}
function numberOfProcess(get: (process: Process) => number | undefined): NumberField {
	return {
		type: "number",
		get: ({ process }) => (process && process.comm !== "" ? get(process) : undefined),
	};
}
function ofContainer(get: (container: Container) => string | undefined): TextField {
	return {
		type: "text",
		get: ({ process }) => {
			const container = process?.cgroup?.container;
			return container?.known ? get(container) : undefined;
		},
	};
}

/** proc.aname and its like: with a number that ancestor's, in a condition without one any ancestor's. */
function ofAncestors(argument: string | undefined, get: (process: Process) => string): TextField | undefined {
	if (argument !== undefined) {
		if (!/^\d{1,2}$/.test(argument)) return undefined;
		const level = Number(argument);
		return ofProcess((process) => {
			const found = ancestor(process, level);
			return found?.comm ? get(found) : undefined;
		});
	}
	return {
		type: "text",
		get: ({ process }) => (process?.parent?.comm ? get(process.parent) : undefined),
		// Of an ancestor without a name nothing is known: it satisfies nothing.
		some({ process }, holds) {
			let at = process?.parent;
			for (let level = 0; at && level < 64; level++, at = at.parent)
				if (at.comm !== "" && holds(get(at))) return true;
			return false;
		},
	};
}

const slash = 0x2f;

/** The place of the file's name; false for a failed open, whose name has to be put together. */
function pathRange({ event }: Observation, out: Range): boolean {
	const size = event.textSize(Text.path);
	if (size === 0 || (event.flags & EventFlag.pathIsBase) !== 0) return false;
	out.bytes = event.bytes;
	out.start = event.textStart(Text.path);
	out.size = size;
	return true;
}
function lastSlash(range: Range): number {
	for (let at = range.start + range.size - 1; at >= range.start; at--)
		if (range.bytes[at] === slash) return at;
	return -1;
}

/** Absolute and without `.`, `..` and `//`, by the text alone. */
function normalise(path: string): string {
	const parts: string[] = [];
	for (const part of path.split("/")) {
		if (part === "" || part === ".") continue;
		if (part === "..") parts.pop();
		else parts.push(part);
	}
	return `/${parts.join("/")}`;
}

function fileName({ event }: Observation): string | undefined {
	if ((event.flags & EventFlag.pathIsBase) === 0)
		return event.textSize(Text.path) > 0 ? event.text(Text.path) : undefined;
	const raw = event.text(Text.raw);
	return raw.startsWith("/") ? normalise(raw) : normalise(`${event.text(Text.path)}/${raw}`);
}

function address({ event }: Observation, start: number): string {
	return event.family === inet ? showIpv4(event.bytes, start) : showIpv6(event.bytes, start);
}
function endpoint(observation: Observation, start: number, port: number): string {
	const text = address(observation, start);
	return observation.event.family === inet6 ? `[${text}]:${port}` : `${text}:${port}`;
}
function isInet({ event }: Observation): boolean {
	return event.kind === connect && (event.family === inet || event.family === inet6);
}

function socketName(observation: Observation): string | undefined {
	const { event } = observation;
	if (event.family === unix) return event.text(Text.path);
	if (!isInet(observation)) return undefined;
	const client = endpoint(observation, event.localAddressStart, event.localPort);
	return `${client}->${endpoint(observation, event.remoteAddressStart, event.remotePort)}`;
}

function addressText(end: "local" | "remote"): TextField["get"] {
	return (observation) => {
		if (!isInet(observation)) return undefined;
		const { event } = observation;
		return address(observation, end === "local" ? event.localAddressStart : event.remoteAddressStart);
	};
}
/** For outputs: an address field's own text. */
export function addressField(field: AddressField): TextField["get"] {
	return addressText(field.ends.at(-1) ?? "remote");
}

function port(end: "local" | "remote"): NumberField["get"] {
	return (observation) => {
		if (!isInet(observation)) return undefined;
		return end === "local" ? observation.event.localPort : observation.event.remotePort;
	};
}

const writeBits = 3;
const directoryFlag = process.arch === "arm64" ? 0o40000 : 0o200000;
const protocols: Readonly<Record<number, string>> = {
	1: "icmp",
	6: "tcp",
	17: "udp",
	58: "icmp",
	255: "raw",
};

/** "registry:5000/team/nginx:1.27@sha256:…" → repository, tag, digest. */
function imageParts(image: string): { repository: string; tag: string; digest: string } {
	const [name = "", digest = ""] = image.split("@");
	const colon = name.lastIndexOf(":");
	const hasTag = colon > name.lastIndexOf("/");
	return {
		repository: hasTag ? name.slice(0, colon) : name,
		tag: hasTag ? name.slice(colon + 1) : "",
		digest,
	};
}

const files: readonly EventKind[] = [open];
const sockets: readonly EventKind[] = [connect];
const descriptors: readonly EventKind[] = [open, connect];
const bool = (
	get: (observation: Observation) => boolean | undefined,
	kinds?: readonly EventKind[],
): NumberField => ({
	type: "bool",
	...(kinds && { kinds }),
	get: (observation) => {
		const value = get(observation);
		return value === undefined ? undefined : Number(value);
	},
});

const withoutArgument: Readonly<Record<string, Field>> = {
	"evt.type": {
		type: "text",
		get: ({ event }) => eventTypes[event.kind][0],
		constant: (kind) => eventTypes[kind],
	},
	"evt.dir": { type: "text", get: () => "<", constant: () => ["<"] },
	"evt.num": { type: "number", get: ({ event }) => event.number },
	"evt.hostname": { type: "text", get: (_, context) => context.hostname },
	"evt.rawres": { type: "number", kinds: [open, connect, exec], get: ({ event }) => event.result },
	"evt.res": { type: "text", kinds: [open, connect, exec], get: ({ event }) => resultName(event.result) },
	"evt.failed": bool(({ event }) => event.result < 0, [open, connect, exec]),
	"evt.is_open_write": bool(({ event }) => (event.openFlags & writeBits) !== 0, files),
	"evt.is_open_read": bool(({ event }) => (event.openFlags & writeBits) !== 1, files),
	"evt.is_open_exec": bool(
		({ event }) => (event.openFlags & 0o100) !== 0 && (event.mode & 0o111) !== 0,
		files,
	),
	"evt.arg.flags": {
		type: "text",
		kinds: files,
		get: ({ event }) => openFlagNames(event.openFlags, hostArchitecture).join("|"),
	},
	"evt.arg.name": { type: "text", kinds: files, get: ({ event }) => event.text(Text.raw) },
	"evt.arg.fd": { type: "number", kinds: files, get: ({ event }) => event.result },
	"evt.args": {
		type: "text",
		get: ({ event }) =>
			event.kind === open ? `fd=${event.result} name=${event.text(Text.raw)}` : `res=${event.result}`,
	},

	"fd.name": {
		type: "text",
		kinds: descriptors,
		range: (observation, out) =>
			(observation.event.kind === open || observation.event.family === unix) && pathRange(observation, out),
		get: (observation) => (observation.event.kind === open ? fileName(observation) : socketName(observation)),
	},
	"fd.nameraw": {
		type: "text",
		kinds: descriptors,
		range: ({ event }, out) => {
			if (event.kind !== open) return false;
			out.bytes = event.bytes;
			out.start = event.textStart(Text.raw);
			out.size = event.textSize(Text.raw);
			return out.size > 0;
		},
		get: (observation) =>
			observation.event.kind === open ? observation.event.text(Text.raw) : socketName(observation),
	},
	"fd.directory": {
		type: "text",
		kinds: files,
		range: (observation, out) => {
			if (!pathRange(observation, out)) return false;
			const at = lastSlash(out);
			if (at < 0) return false;
			out.size = Math.max(1, at - out.start);
			return true;
		},
		get: (observation) => {
			const name = fileName(observation) ?? "";
			const at = name.lastIndexOf("/");
			return at < 0 ? undefined : name.slice(0, Math.max(1, at));
		},
	},
	// A failed open has no file, so in the language no file name either; its fd.name is what was asked for.
	"fd.filename": {
		type: "text",
		kinds: files,
		range: (observation, out) => {
			if (observation.event.result < 0 || !pathRange(observation, out)) return false;
			const at = lastSlash(out);
			if (at < 0) return true; // "memfd:x" is a name as it is
			out.size -= at + 1 - out.start;
			out.start = at + 1;
			return true;
		},
		get: ({ event }) =>
			event.result < 0 || event.textSize(Text.path) === 0
				? undefined
				: event.text(Text.path).replace(/^.*\//s, ""),
	},
	"fd.num": { type: "number", kinds: files, get: ({ event }) => Math.max(-1, event.result) },
	"fd.typechar": {
		type: "text",
		kinds: descriptors,
		get: ({ event }) => {
			if (event.kind === open) return event.openFlags & directoryFlag ? "d" : "f";
			return event.family === inet ? "4" : event.family === inet6 ? "6" : "u";
		},
	},
	"fd.type": {
		type: "text",
		kinds: descriptors,
		get: ({ event }) => {
			if (event.kind === open) return event.openFlags & directoryFlag ? "directory" : "file";
			return event.family === inet ? "ipv4" : event.family === inet6 ? "ipv6" : "unix";
		},
	},
	"fd.sockfamily": {
		type: "text",
		kinds: sockets,
		get: ({ event }) => (event.family === unix ? "unix" : "ip"),
	},
	"fd.l4proto": { type: "text", kinds: sockets, get: ({ event }) => protocols[event.protocol] },
	"fd.connected": bool(({ event }) => event.result === 0, sockets),
	"fd.ip": { type: "address", kinds: sockets, ends: ["local", "remote"] },
	"fd.net": { type: "address", kinds: sockets, ends: ["local", "remote"] },
	...Object.fromEntries(
		(["sip", "snet", "rip", "rnet"] as const).map((name) => [
			`fd.${name}`,
			{ type: "address", kinds: sockets, ends: ["remote"] } satisfies AddressField,
		]),
	),
	...Object.fromEntries(
		(["cip", "cnet", "lip", "lnet"] as const).map((name) => [
			`fd.${name}`,
			{ type: "address", kinds: sockets, ends: ["local"] } satisfies AddressField,
		]),
	),
	"fd.sport": { type: "number", kinds: sockets, get: port("remote") },
	"fd.rport": { type: "number", kinds: sockets, get: port("remote") },
	"fd.cport": { type: "number", kinds: sockets, get: port("local") },
	"fd.lport": { type: "number", kinds: sockets, get: port("local") },
	"fd.port": {
		type: "number",
		kinds: sockets,
		get: port("remote"),
		other: (observation) => (isInet(observation) ? observation.event.localPort : undefined),
	},
	"fd.dev": { type: "number", kinds: files, get: ({ event }) => event.device },
	"fd.ino": { type: "number", kinds: files, get: ({ event }) => event.inode },

	"proc.name": ofProcess((process) => process.comm),
	"proc.exe": ofProcess((process) => process.args[0] ?? process.exe),
	"proc.exepath": ofProcess((process) => process.exe),
	"proc.cmdline": inPieces(ofProcess(commandLine), (process) => process, sayCommandLine),
	"proc.exeline": ofProcess((process) => process.args.join(" ")),
	"proc.cwd": ofProcess(({ cwd }) => (cwd === "" || cwd.endsWith("/") ? cwd || undefined : `${cwd}/`)),
	"proc.pid": { type: "number", get: ({ event }) => event.pid },
	"proc.ppid": numberOfProcess((process) => process.parentPid),
	"proc.vpid": numberOfProcess((process) => process.namespacePid),
	"proc.tty": numberOfProcess((process) => process.tty),
	"proc.nargs": numberOfProcess((process) => Math.max(0, process.args.length - 1)),
	"proc.cmdnargs": numberOfProcess((process) => Math.max(0, process.args.length - 1)),
	"proc.pname": ofProcess((process) => process.parent?.comm || undefined),
	"proc.pexe": ofProcess(({ parent }) => parent?.args[0] ?? (parent?.exe || undefined)),
	"proc.pexepath": ofProcess((process) => process.parent?.exe || undefined),
	"proc.pcmdline": inPieces(
		ofProcess((process) => (process.parent?.comm ? commandLine(process.parent) : undefined)),
		({ parent }) => parent,
		sayCommandLine,
	),
	"proc.duration": { type: "number", get: ({ event }) => event.time - event.start },
	"proc.exe_ino": numberOfProcess((process) => process.inode),
	"proc.is_exe_from_memfd": bool(({ process }) => process?.fromMemfd),
	"proc.is_exe_unlinked": bool(({ process }) => process?.unlinked),
	"proc.loginshellid": numberOfProcess(() => undefined),
	"thread.tid": { type: "number", get: ({ event }) => event.tid },
	"thread.cap_effective": ofProcess(effectiveCapabilities),

	"user.uid": numberOfProcess((process) => process.euid),
	"user.name": {
		type: "text",
		get: ({ process }, context) => {
			if (!process || process.comm === "") return undefined;
			return context.userName(process.euid) ?? (process.euid === 0 ? "root" : "<NA>");
		},
	},
	"user.loginuid": numberOfProcess((process) => process.loginUid),
	"user.loginname": {
		type: "text",
		get: ({ process }, context) => {
			if (!process || process.comm === "") return undefined;
			return process.loginUid < 0 ? "<NA>" : (context.userName(process.loginUid) ?? "<NA>");
		},
	},
	"group.gid": numberOfProcess((process) => process.egid),

	"container.id": {
		type: "text",
		get: ({ process }) => {
			if (!process) return undefined;
			return process.cgroup?.container?.id.slice(0, 12) ?? "host";
		},
	},
	"container.full_id": { type: "text", get: ({ process }) => process?.cgroup?.container?.id },
	"container.name": ofContainer((container) => container.name),
	"container.type": ofContainer((container) => container.runtime),
	"container.image": ofContainer((container) => container.image),
	"container.image.repository": ofContainer((container) => imageParts(container.image).repository),
	"container.image.tag": ofContainer((container) => imageParts(container.image).tag),
	"container.image.digest": ofContainer((container) => imageParts(container.image).digest || undefined),
	"container.image.id": ofContainer((container) => container.imageId.replace(/^sha256:/, "").slice(0, 12)),
	"container.privileged": bool(({ process }) => process?.cgroup?.container?.privileged),
	"container.start_ts": {
		type: "number",
		get: ({ process }) => {
			const created = process?.cgroup?.container?.created;
			return created ? created * 1e6 : undefined;
		},
	},
	"container.mounts": ofContainer((container) =>
		container.mounts
			.map(({ source, destination, writable }) => `${source}:${destination}::${writable}`)
			.join(","),
	),
};

/** The field of that name, undefined when no event of ours has it or its argument makes no sense. */
export function findField(name: string, argument: string | undefined): Field | undefined {
	if (argument === undefined && Object.hasOwn(withoutArgument, name)) return withoutArgument[name];
	switch (name) {
		case "proc.aname":
			return ofAncestors(argument, (process) => process.comm);
		case "proc.aexe":
			return ofAncestors(argument, (process) => process.args[0] ?? process.exe);
		case "proc.aexepath":
			return ofAncestors(argument, (process) => process.exe);
		case "proc.acmdline":
			return ofAncestors(argument, commandLine);
		case "proc.args": {
			if (argument === undefined)
				return inPieces(ofProcess(argumentLine), (process) => process, sayArgumentLine);
			const index = Number(argument);
			return /^\d+$/.test(argument) ? ofProcess((process) => process.args[index + 1]) : undefined;
		}
		case "container.label":
			return argument === undefined ? undefined : ofContainer((container) => container.labels[argument]);
		default:
			return undefined;
	}
}

/** For "did you mean". */
export const fieldNames: readonly string[] = [
	...Object.keys(withoutArgument),
	"proc.aname",
	"proc.aexe",
	"proc.aexepath",
	"proc.acmdline",
	"proc.args",
	"container.label",
];

export { exec as execKind };
