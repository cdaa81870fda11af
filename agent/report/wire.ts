// Turns what the agent knows into canonical proto3 JSON of picket.v1. Called only for what somebody wants to
// see; text becomes shown text here and nowhere earlier.
import {
	EventFlag,
	EventKind,
	type EventName,
	type EventView,
	eventNames,
	type Observation,
	Text,
} from "../model/event.ts";
import { hostArchitecture } from "../model/kernel-names.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Container, Process, StartedBy } from "../model/process.ts";
import { syscallName } from "../model/syscalls.ts";
import { showText } from "./shown.ts";
import { formatSince, formatUnixMs, parseTime } from "./time.ts";
import type { WireContext } from "./wire-context.ts";
import { fileChangeToWire, moduleToWire, mountToWire, openToWire } from "./wire-file.ts";
import {
	bpfToWire,
	callToWire,
	execFailedToWire,
	execToWire,
	exitToWire,
	identityToWire,
	namespaceToWire,
	protectToWire,
	targetToWire,
} from "./wire-process.ts";
import { connectToWire, dnsToWire, socketToWire } from "./wire-socket.ts";

export type { WireContext } from "./wire-context.ts";

/** Time of the event, for the record it goes out in. */
export function eventTime(event: EventView, context: WireContext): string {
	return formatSince(context.bootTimeMs(), event.time);
}

/**
 * The other way: ns since boot of a time given out before, for commands that name a process. Exact to what a
 * double holds; compare with a tolerance of 1 µs. Undefined for a text that is no time.
 */
export function nanosecondsSinceBoot(text: string, context: WireContext): number | undefined {
	const time = parseTime(text);
	if (time === undefined) return undefined;
	const bootMs = context.bootTimeMs();
	const bootSeconds = Math.floor(bootMs / 1000);
	const bootNanos = Math.round((bootMs - bootSeconds * 1000) * 1e6);
	return (time.seconds - bootSeconds) * 1e9 + (time.nanos - bootNanos);
}

export function eventId(event: EventView, context: WireContext): string {
	return idOfEvent(event.number, context);
}

export function idOfEvent(number: number, context: WireContext): string {
	return `${context.bootId.slice(0, 8)}-${number}`;
}

export function eventToWire(observation: Observation, context: WireContext): wire.Event {
	const { event, process } = observation;
	const shown: wire.Event = {
		id: eventId(event, context),
		process: process === undefined ? actorToWire(event, context) : processToWire(process, context, event.tid),
	};
	const container = process?.cgroup?.container;
	if (container !== undefined) shown.container = containerToWire(container);
	const call = syscallName(event.syscall, context.architecture ?? hostArchitecture);
	if (call !== undefined) shown.syscall = call;
	if ((event.flags & EventFlag.ioUring) !== 0) shown.throughIoUring = true;
	if ((event.flags & EventFlag.kernelActor) !== 0) shown.processUncertain = true;
	return Object.assign(shown, actOf(observation, context, call));
}

/** The one member of the event's oneof. */
function actOf(observation: Observation, context: WireContext, call: string | undefined): wire.Event {
	const { event, process } = observation;
	const { kind } = event;
	const name = eventNames[kind - 1] as EventName;
	switch (kind) {
		case EventKind.exec:
			return { exec: execToWire(event, process) };
		case EventKind.fork:
			return { fork: forkToWire(event, context) };
		case EventKind.exit:
			return { exit: exitToWire(event.result) };
		case EventKind.open:
			return { open: openToWire(event, context.architecture ?? hostArchitecture) };
		case EventKind.connect:
			return { connect: connectToWire(observation, context) };
		case EventKind.cgroup:
			return { cgroup: cgroupToWire(event) };
		case EventKind.execFailed:
			return { execFailed: execFailedToWire(event) };
		case EventKind.rename:
		case EventKind.unlink:
		case EventKind.rmdir:
		case EventKind.mkdir:
		case EventKind.mknod:
		case EventKind.link:
		case EventKind.symlink:
		case EventKind.chmod:
		case EventKind.chown:
		case EventKind.truncate:
		case EventKind.setxattr:
		case EventKind.pivotRoot:
		case EventKind.chroot:
		case EventKind.memfd:
			return { [name]: fileChangeToWire(event) };
		case EventKind.accept:
		case EventKind.bind:
		case EventKind.listen:
		case EventKind.send:
		case EventKind.socket:
		case EventKind.dup:
			return { [name]: socketToWire(observation, context) };
		case EventKind.dns:
			return { dns: dnsToWire(event, context) };
		case EventKind.setuid:
		case EventKind.setgid:
		case EventKind.capset:
			return { [name]: identityToWire(event, call) };
		case EventKind.unshare:
		case EventKind.setns:
			return { [name]: namespaceToWire(event) };
		case EventKind.ptrace:
		case EventKind.vmWrite:
		case EventKind.kill:
			return { [name]: targetToWire(event, context) };
		case EventKind.mount:
		case EventKind.umount:
			return { [name]: mountToWire(event) };
		case EventKind.module:
			return { module: moduleToWire(event) };
		case EventKind.bpf:
			return { bpf: bpfToWire(event) };
		case EventKind.protect:
			return { protect: protectToWire(event) };
		case EventKind.userfaultfd:
		case EventKind.ioUring:
			return { [name]: callToWire(event) };
	}
}

function forkToWire(event: EventView, context: WireContext): wire.Fork {
	return {
		childPid: event.childPid,
		childStartTime: formatSince(context.bootTimeMs(), event.childStart),
		childNamespacePid: event.childNamespacePid,
	};
}

function cgroupToWire(event: EventView): wire.Cgroup {
	return {
		operation: event.cgroupOperation === 1 ? "OPERATION_CREATED" : "OPERATION_REMOVED",
		id: String(event.targetCgroupId),
		path: showText(event.text(Text.path)),
	};
}

/** What the event alone tells of a process that is not known. */
function actorToWire(event: EventView, context: WireContext): wire.Process {
	const actor: wire.Process = {
		pid: event.pid,
		tid: event.tid,
		startTime: formatSince(context.bootTimeMs(), event.start),
	};
	if (event.textSize(Text.comm) > 0) actor.name = showText(event.text(Text.comm));
	if (event.cgroupId !== 0) actor.cgroupId = String(event.cgroupId);
	return actor;
}

/** `tid`: the thread that acted; the process's first one when left out. */
export function processToWire(process: Process, context: WireContext, tid = process.pid): wire.Process {
	const shown: wire.Process = {
		pid: process.pid,
		tid,
		startTime: formatSince(context.bootTimeMs(), process.start),
	};
	if (process.cgroup !== undefined) {
		shown.cgroupId = String(process.cgroup.id);
		shown.cgroup = showText(process.cgroup.path);
	}
	// Its beginning was lost and it ended before /proc could be asked: nothing is known, least of all that it is root.
	if (process.comm === "") return shown;
	shown.parentPid = process.parentPid || (process.parent?.pid ?? 0);
	shown.name = showText(process.comm);
	if (process.exe !== "") shown.executable = showText(process.exe);
	if (process.args.length > 0) shown.args = process.args.map(showText);
	if (process.cwd !== "") shown.workingDirectory = showText(process.cwd);
	// Kept when 0: a reader must see root as root, not as "not told".
	shown.uid = process.uid;
	shown.gid = process.gid;
	shown.euid = process.euid;
	shown.egid = process.egid;
	if (process.loginUid >= 0 && process.loginUid !== 0xffff_ffff) {
		shown.loginUid = process.loginUid;
		const name = context.userName(process.loginUid);
		if (name !== undefined) shown.loginUser = name;
	}
	if (process.sessionId > 0 && process.sessionId !== 0xffff_ffff) shown.sessionId = process.sessionId;
	const user = context.userName(process.uid);
	if (user !== undefined) shown.user = user;
	if (process.ttyName !== "") shown.tty = showText(process.ttyName);
	if (process.namespacePid !== 0) shown.namespacePid = process.namespacePid;
	const { mount, pid, network, user: userNamespace, uts, ipc, cgroup } = process.namespaces;
	if (mount !== 0) shown.namespaces = { mount, pid, network, user: userNamespace, uts, ipc, cgroup };
	if (process.inode !== 0n) {
		shown.executableId = { device: process.device, inode: String(process.inode) };
	}
	if (process.sessionLeader !== 0) shown.session = process.sessionLeader;
	if (process.processGroup !== 0) shown.processGroup = process.processGroup;
	if (process.capabilities !== 0n) shown.capabilities = String(process.capabilities);
	if (process.argsTruncated) {
		shown.argsTruncated = true;
		shown.argsBytes = process.argsBytes;
	}
	if (process.fromProc) shown.fromProc = true;
	if (process.parent !== undefined && process.parent.namespacePid !== 0) {
		shown.parentNamespacePid = process.parent.namespacePid;
	}
	if (process.startedBy !== undefined) shown.startedBy = startedByToWire(process.startedBy, context);
	return shown;
}

function startedByToWire({ kind, execId, client }: StartedBy, context: WireContext): wire.StartedBy {
	const shown: wire.StartedBy = { kind };
	if (execId !== "") shown.execId = showText(execId);
	if (client === undefined) return shown;
	shown.clientPid = client.pid;
	shown.clientStartTime = formatSince(context.bootTimeMs(), client.start);
	if (client.exe !== "") shown.clientExecutable = showText(client.exe);
	if (client.args.length > 0) shown.clientArgs = client.args.map(showText);
	return shown;
}

export function containerToWire(container: Container): wire.Container {
	const shown: wire.Container = { id: container.id };
	if (container.name !== "") shown.name = container.name;
	if (container.image !== "") shown.image = container.image;
	if (container.imageId !== "") shown.imageId = container.imageId;
	if (Object.keys(container.labels).length > 0) shown.labels = { ...container.labels };
	if (container.runtime !== "") shown.runtime = container.runtime;
	if (container.privileged !== undefined) shown.privileged = container.privileged;
	const project = container.labels["com.docker.compose.project"];
	if (project !== undefined) shown.composeProject = project;
	const service = container.labels["com.docker.compose.service"];
	if (service !== undefined) shown.composeService = service;
	if (container.created > 0) shown.created = formatUnixMs(container.created);
	if (container.podName !== "") shown.podName = container.podName;
	if (container.podNamespace !== "") shown.podNamespace = container.podNamespace;
	if (container.podUid !== "") shown.podUid = container.podUid;
	return shown;
}
