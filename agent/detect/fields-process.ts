// proc.*, thread.*, user.* and group.*: the acting process's.
import { showIpv4, showIpv6 } from "../model/address-text.ts";
import { capabilityNames } from "../model/capabilities.ts";
import type { Process, StandardStream } from "../model/process.ts";
import { mayWriteExecutable } from "../model/writable.ts";
import {
	bool,
	boolOfProcess,
	type Field,
	type FieldContext,
	type Fields,
	inPieces,
	type NumberField,
	numberOfProcess,
	ofProcess,
	type TextField,
} from "./field.ts";
import {
	ancestor,
	argumentLine,
	commandLine,
	effectiveCapabilities,
	sayArgumentLine,
	sayCommandLine,
	sayWholeLine,
	wholeLine,
} from "./process-text.ts";

/** A moment as the language has it, ns since 1970, of one that is ns since boot. */
export function sinceEpoch(time: number, context: FieldContext): number | undefined {
	const boot = context.bootTimeMs?.();
	return boot === undefined ? undefined : boot * 1e6 + time;
}

/** The process itself or the nearest ancestor with that pid; the leader of a group need not be one. */
function inLineage(process: Process, pid: number): Process | undefined {
	if (pid === 0) return undefined;
	let at: Process | undefined = process;
	for (let level = 0; at && level < 64; level++, at = at.parent) if (at.pid === pid) return at;
	return undefined;
}
type Leader = (process: Process) => Process | undefined;
const ofSession: Leader = (process) => inLineage(process, process.sessionLeader);
const ofGroup: Leader = (process) => inLineage(process, process.processGroup);
const comm = (process: Process | undefined) => process?.comm || undefined;
const exe = (process: Process | undefined) => (process?.comm ? (process.args[0] ?? process.exe) : undefined);
const exePath = (process: Process | undefined) => process?.exe || undefined;

const known = (pid: number) => (pid === 0 ? undefined : pid);

function leaderFields(names: readonly string[], leader: Leader): Fields {
	return Object.fromEntries(
		names.flatMap((name) => [
			[`proc.${name}.exe`, ofProcess((process) => exe(leader(process)))],
			[`proc.${name}.exepath`, ofProcess((process) => exePath(leader(process)))],
		]),
	);
}

/** Type and name of a stream; the name of a file is not told. */
function streamFields(name: string, index: number): Fields {
	return {
		[`proc.${name}.type`]: ofProcess(({ streams }) => streamType(streams[index])),
		[`proc.${name}.name`]: ofProcess(({ streams }) => streamName(streams[index])),
	};
}
const streamTypes: Readonly<Record<number, string>> = {
	1: "pipe",
	2: "file",
	4: "directory",
	6: "file",
	8: "file",
};
const families: Readonly<Record<number, string>> = { 1: "unix", 2: "ipv4", 10: "ipv6" };
function streamType(stream: StandardStream | undefined): string | undefined {
	if (stream === undefined) return undefined;
	return stream.type === 12 ? (families[stream.family] ?? "socket") : streamTypes[stream.type];
}
/** "pipe:[inode]"; of a connected socket its own port and the peer, ":4000->192.0.2.7:443". */
function streamName(stream: StandardStream | undefined): string | undefined {
	if (stream === undefined) return undefined;
	const { type, inode, remoteAddress, remotePort, localPort } = stream;
	if (type === 1) return `pipe:[${inode}]`;
	if (type !== 12) return undefined;
	if (remoteAddress === undefined || remotePort === 0) return `socket:[${inode}]`;
	const address = remoteAddress.length === 4 ? showIpv4(remoteAddress, 0) : `[${showIpv6(remoteAddress, 0)}]`;
	return `:${localPort}->${address}:${remotePort}`;
}

const times: Fields = {
	"proc.duration": { type: "number", get: ({ event }) => event.time - event.start },
	"proc.ppid.duration": {
		type: "number",
		get: ({ event, process }) => (process?.parent?.start ? event.time - process.parent.start : undefined),
	},
	"proc.pid.ts": { type: "number", get: ({ event }, context) => sinceEpoch(event.start, context) },
	"proc.ppid.ts": {
		type: "number",
		get: ({ process }, context) =>
			process?.parent?.start ? sinceEpoch(process.parent.start, context) : undefined,
	},
	"proc.exe_ino.ctime": numberOfProcess(({ fileChanged }) => fileChanged || undefined),
	"proc.exe_ino.mtime": numberOfProcess(({ fileModified }) => fileModified || undefined),
	"proc.exe_ino.ctime_duration_proc_start": {
		type: "number",
		get: ({ process }, context) => {
			const started = process && sinceEpoch(process.execTime, context);
			return started === undefined || process?.fileChanged === 0
				? undefined
				: started - (process?.fileChanged ?? 0);
		},
	},
};

export const processFields: Fields = {
	...times,
	"proc.name": ofProcess((process) => process.comm),
	"proc.exe": ofProcess(exe),
	"proc.exepath": ofProcess((process) => process.exe),
	"proc.cmdline": inPieces(ofProcess(commandLine), (process) => process, sayCommandLine),
	"proc.exeline": inPieces(ofProcess(wholeLine), (process) => process, sayWholeLine),
	"proc.cwd": ofProcess(({ cwd }) => (cwd === "" || cwd.endsWith("/") ? cwd || undefined : `${cwd}/`)),
	"proc.pid": { type: "number", get: ({ event }) => event.pid },
	"proc.ppid": numberOfProcess((process) => process.parentPid),
	"proc.vpid": numberOfProcess((process) => process.namespacePid),
	"proc.pvpid": numberOfProcess(({ parent }) => parent?.namespacePid),
	"proc.tty": numberOfProcess((process) => process.tty),
	"proc.nargs": numberOfProcess((process) => Math.max(0, process.args.length - 1)),
	"proc.cmdnargs": numberOfProcess((process) => Math.max(0, process.args.length - 1)),
	"proc.cmdlenargs": numberOfProcess(({ args }) =>
		args.slice(1).reduce((sum, argument) => sum + argument.length, 0),
	),
	"proc.pname": ofProcess(({ parent }) => comm(parent)),
	"proc.pexe": ofProcess(({ parent }) => parent?.args[0] ?? (parent?.exe || undefined)),
	"proc.pexepath": ofProcess(({ parent }) => exePath(parent)),
	"proc.pcmdline": inPieces(
		ofProcess((process) => (process.parent?.comm ? commandLine(process.parent) : undefined)),
		({ parent }) => parent,
		sayCommandLine,
	),
	"proc.pexeline": inPieces(
		ofProcess(({ parent }) => (parent?.comm ? wholeLine(parent) : undefined)),
		({ parent }) => parent,
		sayWholeLine,
	),
	"proc.puser": {
		type: "text",
		get: ({ process }, context) =>
			process?.parent?.comm ? nameOfUser(process.parent.euid, context) : undefined,
	},
	"proc.sid": numberOfProcess(({ sessionLeader }) => known(sessionLeader)),
	"proc.vsid": numberOfProcess((process) => ofSession(process)?.namespacePid),
	"proc.sname": ofProcess((process) => comm(ofSession(process))),
	"proc.vsname": ofProcess((process) => comm(ofSession(process))),
	...leaderFields(["sid"], ofSession),
	"proc.is_sid_leader": boolOfProcess(isLeader("sessionLeader")),
	"proc.is_vsid_leader": boolOfProcess(isLeader("sessionLeader")),
	"proc.pgid": numberOfProcess(({ processGroup }) => known(processGroup)),
	"proc.vpgid": numberOfProcess((process) => ofGroup(process)?.namespacePid),
	"proc.pgid.name": ofProcess((process) => comm(ofGroup(process))),
	"proc.vpgid.name": ofProcess((process) => comm(ofGroup(process))),
	...leaderFields(["pgid", "vpgid"], ofGroup),
	"proc.is_pgid_leader": boolOfProcess(isLeader("processGroup")),
	"proc.is_vpgid_leader": boolOfProcess(isLeader("processGroup")),
	"proc.exe_ino": numberOfProcess((process) => Number(process.inode)),
	"proc.is_exe_from_memfd": bool(({ process }) => process?.fromMemfd),
	"proc.is_exe_unlinked": bool(({ process }) => process?.unlinked),
	"proc.is_exe_upper_layer": boolOfProcess((process) => process.upperLayer),
	"proc.is_exe_writable": boolOfProcess(mayWriteExecutable),
	...streamFields("stdin", 0),
	...streamFields("stdout", 1),
	...streamFields("stderr", 2),
	"proc.loginshellid": numberOfProcess(() => undefined),
	"thread.tid": { type: "number", get: ({ event }) => event.tid },
	"thread.ismain": bool(({ event }) => event.tid === event.pid),
	"thread.nametid": {
		type: "text",
		get: ({ event, process }) => (process?.comm ? `${process.comm}:${event.tid}` : undefined),
	},
	"thread.cap_effective": ofProcess(effectiveCapabilities),
	"thread.cap_permitted": ofProcess((process) => capabilityNames(process.capabilitiesPermitted).join(" ")),
	"thread.cap_inheritable": ofProcess((process) =>
		capabilityNames(process.capabilitiesInheritable).join(" "),
	),

	"user.uid": numberOfProcess((process) => process.euid),
	"user.name": {
		type: "text",
		get: ({ process }, context) => (process?.comm ? nameOfUser(process.euid, context) : undefined),
	},
	// The real user, not a name of Falco's.
	"user.ruid": numberOfProcess((process) => process.uid),
	"user.rname": {
		type: "text",
		get: ({ process }, context) => (process?.comm ? nameOfUser(process.uid, context) : undefined),
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
};

function nameOfUser(uid: number, context: FieldContext): string {
	return context.userName(uid) ?? (uid === 0 ? "root" : "<NA>");
}

function isLeader(of: "sessionLeader" | "processGroup"): (process: Process) => boolean | undefined {
	return (process) => (process[of] === 0 ? undefined : process[of] === process.pid);
}

/** proc.aname and its like: with a number that ancestor's, in a condition without one any ancestor's. */
function ofAncestors(argument: string | undefined, get: (process: Process) => string): TextField | undefined {
	if (argument !== undefined) {
		const level = levelOf(argument);
		return level === undefined
			? undefined
			: ofProcess((process) => {
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

function levelOf(argument: string): number | undefined {
	return /^\d{1,2}$/.test(argument) ? Number(argument) : undefined;
}

/** proc.env[NAME]; without a name all of it. Missing when it was not captured. */
function environmentField(argument: string | undefined): TextField {
	if (argument === undefined)
		return ofProcess(({ environment }) => (environment.length === 0 ? undefined : environment.join(" ")));
	const start = `${argument}=`;
	return ofProcess(({ environment }) =>
		environment.find((each) => each.startsWith(start))?.slice(start.length),
	);
}

function ancestorPid(argument: string | undefined): NumberField | undefined {
	const level = argument === undefined ? undefined : levelOf(argument);
	return level === undefined ? undefined : numberOfProcess((process) => ancestor(process, level)?.pid);
}

/** Fields that take an argument in brackets. */
export const processFieldsWith: Readonly<
	Record<string, (argument: string | undefined) => Field | undefined>
> = {
	"proc.aname": (argument) => ofAncestors(argument, (process) => process.comm),
	"proc.aexe": (argument) => ofAncestors(argument, (process) => process.args[0] ?? process.exe),
	"proc.aexepath": (argument) => ofAncestors(argument, (process) => process.exe),
	"proc.acmdline": (argument) => ofAncestors(argument, commandLine),
	"proc.apid": ancestorPid,
	"proc.env": environmentField,
	"proc.args": (argument) => {
		if (argument === undefined)
			return inPieces(ofProcess(argumentLine), (process) => process, sayArgumentLine);
		const index = Number(argument);
		return /^\d+$/.test(argument) ? ofProcess((process) => process.args[index + 1]) : undefined;
	},
};
