// Turns what the agent knows into canonical proto3 JSON of picket.v1. Called only for what somebody wants to
// see; text becomes shown text here and nowhere earlier.
import { posix } from "node:path";
import { showIpv4, showIpv6 } from "../model/address-text.ts";
import { EventFlag, EventKind, type EventView, type Observation, Text } from "../model/event.ts";
import {
	type Architecture,
	hostArchitecture,
	openFlagNames,
	protocolName,
	resultName,
} from "../model/kernel-names.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Container, Process } from "../model/process.ts";
import { showText } from "./shown.ts";
import { formatSince, formatUnixMs, parseTime } from "./time.ts";

export interface WireContext {
	/**
	 * Unix ms at which CLOCK_BOOTTIME was 0. Must stay the same for a run: a process is known outside by pid and
	 * start time, which is reckoned from this.
	 */
	bootTimeMs(): number;
	userName(uid: number): string | undefined;
	/** As in /proc/sys/kernel/random/boot_id. */
	readonly bootId: string;
	/** Of the host that captured; this one when left out. O_* flags depend on it. */
	readonly architecture?: Architecture;
}

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
	return `${context.bootId.slice(0, 8)}-${event.number}`;
}

export function eventToWire(observation: Observation, context: WireContext): wire.Event {
	const { event, process } = observation;
	const shown: wire.Event = {
		id: eventId(event, context),
		process: process === undefined ? actorToWire(event, context) : processToWire(process, context, event.tid),
	};
	const container = process?.cgroup?.container;
	if (container !== undefined) shown.container = containerToWire(container);
	switch (event.kind) {
		case EventKind.exec:
			shown.exec = execToWire(event, process);
			break;
		case EventKind.fork:
			shown.fork = {
				childPid: event.childPid,
				childStartTime: formatSince(context.bootTimeMs(), event.childStart),
				childNamespacePid: event.childNamespacePid,
			};
			break;
		case EventKind.exit:
			shown.exit = exitToWire(event.result);
			break;
		case EventKind.open:
			shown.open = openToWire(event, context.architecture ?? hostArchitecture);
			break;
		case EventKind.connect:
			shown.connect = connectToWire(event);
			break;
		case EventKind.cgroup:
			shown.cgroup = {
				operation: event.cgroupOperation === 1 ? "OPERATION_CREATED" : "OPERATION_REMOVED",
				id: String(event.targetCgroupId),
				path: showText(event.text(Text.path)),
			};
			break;
	}
	return shown;
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
	if (process.inode !== 0) {
		shown.executableId = { device: process.device, inode: String(process.inode) };
	}
	if (process.capabilities !== 0n) shown.capabilities = String(process.capabilities);
	if (process.argsTruncated) {
		shown.argsTruncated = true;
		shown.argsBytes = process.argsBytes;
	}
	if (process.fromProc) shown.fromProc = true;
	if (process.parent !== undefined && process.parent.namespacePid !== 0) {
		shown.parentNamespacePid = process.parent.namespacePid;
	}
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
	return shown;
}

function execToWire(event: EventView, process: Process | undefined): wire.Exec {
	const exec: wire.Exec = { path: showText(event.text(Text.path)) };
	if (event.textSize(Text.raw) > 0) exec.rawPath = showText(event.text(Text.raw));
	if (event.textSize(Text.interpreter) > 0) exec.interpreter = showText(event.text(Text.interpreter));
	if ((event.flags & EventFlag.fromMemfd) !== 0) exec.fromMemfd = true;
	if (process !== undefined && process.previousExe !== "") {
		exec.previousExecutable = showText(process.previousExe);
	}
	if ((event.flags & EventFlag.unlinked) !== 0) exec.unlinked = true;
	return exec;
}

/** `status` as wait(2) gives it. */
function exitToWire(status: number): wire.Exit {
	const exit: wire.Exit = { code: (status >> 8) & 0xff, signal: status & 0x7f };
	if ((status & 0x80) !== 0) exit.coreDumped = true;
	return exit;
}

function openToWire(event: EventView, architecture: Architecture): wire.Open {
	const path = openedPath(event);
	const open: wire.Open = path === "" ? {} : { path: showText(path) };
	if (event.textSize(Text.raw) > 0) open.rawPath = showText(event.text(Text.raw));
	open.flags = openFlagNames(event.openFlags, architecture);
	if (event.mode !== 0) open.mode = event.mode;
	if (event.inode !== 0) open.file = { device: event.device, inode: String(event.inode) };
	open.result = resultName(event.result);
	open.returnValue = event.result;
	if (event.repeats > 0) open.repeats = event.repeats;
	return open;
}

/**
 * Path of an open, latin1: the kernel's own; for a failed open what was asked for, made absolute. "" when
 * that cannot be told, rather than a directory passed off as the file.
 */
export function openedPath(event: EventView): string {
	const path = event.text(Text.path);
	if ((event.flags & EventFlag.pathIsBase) === 0) return path;
	const raw = event.text(Text.raw);
	if (raw === "") return (event.flags & EventFlag.rawUnreadable) === 0 ? path : "";
	if (raw.startsWith("/")) return posix.normalize(raw);
	return path === "" ? "" : posix.join(path, raw);
}

const familyNames: Readonly<Record<number, string>> = { 1: "unix", 2: "ipv4", 10: "ipv6" };

function connectToWire(event: EventView): wire.Connect {
	const connect: wire.Connect = { family: familyNames[event.family] ?? String(event.family) };
	if (event.family === 1) {
		connect.path = showText(socketName(event.text(Text.path)));
	} else {
		connect.protocol = protocolName(event.protocol);
		const source = addressAt(event, event.localAddressStart);
		if (source !== undefined && (event.localPort !== 0 || (source !== "0.0.0.0" && source !== "::"))) {
			connect.sourceAddress = source;
			connect.sourcePort = event.localPort;
		}
		const destination = addressAt(event, event.remoteAddressStart);
		if (destination !== undefined) connect.destinationAddress = destination;
		connect.destinationPort = event.remotePort;
	}
	connect.result = resultName(event.result);
	connect.returnValue = event.result;
	if ((event.flags & EventFlag.peerFromUser) !== 0) connect.destinationUnverified = true;
	return connect;
}

function addressAt(event: EventView, start: number): string | undefined {
	if (start === 0) return undefined;
	if (event.family === 2) return showIpv4(event.bytes, start);
	return event.family === 10 ? showIpv6(event.bytes, start) : undefined;
}

/** Abstract names start with NUL and are shown with "@"; a file of that name must not pass for one. */
function socketName(path: string): string {
	if (path.startsWith("\0")) return `@${path.slice(1)}`;
	return path.startsWith("@") ? `./${path}` : path;
}
