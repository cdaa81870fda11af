// Events about processes as JSON: executions, ends, identities, namespaces, what one does to another, memory.
import { showIpv4, showIpv6 } from "../model/address-text.ts";
import { EventFlag, EventKind, type EventView, Text } from "../model/event.ts";
import { flagNames, protectionNames } from "../model/flag-names.ts";
import {
	bpfEvent,
	callEvent,
	execEvent,
	execFailedEvent,
	identityEvent,
	namespaceEvent,
	protectEvent,
	targetEvent,
} from "../model/layout.ts";
import { bpfCommandName, bpfTypeName, fileTypeName, ptraceName, signalName } from "../model/number-names.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Process, StandardStream } from "../model/process.ts";
import { mayWriteExecutable } from "../model/writable.ts";
import { showText } from "./shown.ts";
import { formatSince, formatUnixMs } from "./time.ts";
import type { WireContext } from "./wire-context.ts";
import { fileOf, resultOf } from "./wire-result.ts";
import { shownFamily } from "./wire-socket.ts";

export function execToWire(event: EventView, process: Process | undefined): wire.Exec {
	const exec: wire.Exec = { path: showText(event.text(Text.path)) };
	if (event.textSize(Text.raw) > 0) exec.rawPath = showText(event.text(Text.raw));
	if (event.textSize(Text.interpreter) > 0) exec.interpreter = showText(event.text(Text.interpreter));
	if ((event.flags & EventFlag.fromMemfd) !== 0) exec.fromMemfd = true;
	if (process !== undefined && process.previousExe !== "") {
		exec.previousExecutable = showText(process.previousExe);
	}
	if ((event.flags & EventFlag.unlinked) !== 0) exec.unlinked = true;
	if ((event.flags & EventFlag.upperLayer) !== 0) exec.upperLayer = true;
	if (process !== undefined) addImage(exec, process);
	if ((event.flags & EventFlag.environmentTruncated) !== 0) {
		exec.environmentTruncated = true;
		exec.environmentBytes = event.word(execEvent.environmentBytes);
	}
	return exec;
}

function addImage(exec: wire.Exec, process: Process): void {
	if (process.fileMode !== 0) {
		exec.fileMode = process.fileMode;
		exec.fileUid = process.fileUid;
		exec.fileGid = process.fileGid;
		if (mayWriteExecutable(process) === true) exec.writable = true;
	}
	if (process.fileChanged !== 0) exec.fileChanged = formatUnixMs(Math.floor(process.fileChanged / 1e6));
	if (process.fileModified !== 0) exec.fileModified = formatUnixMs(Math.floor(process.fileModified / 1e6));
	if (process.capabilitiesPermitted !== 0n)
		exec.permittedCapabilities = String(process.capabilitiesPermitted);
	if (process.capabilitiesInheritable !== 0n)
		exec.inheritableCapabilities = String(process.capabilitiesInheritable);
	if (process.streams.length > 0) exec.streams = process.streams.map(streamToWire);
	if (process.environment.length > 0) exec.environment = process.environment.map(showText);
}

function streamToWire(stream: StandardStream): wire.StandardStream {
	const shown: wire.StandardStream = { type: fileTypeName(stream.type) };
	if (stream.inode !== 0) shown.inode = String(stream.inode);
	if (shown.type !== "socket") return shown;
	shown.family = shownFamily(stream.family);
	const { remoteAddress } = stream;
	if (remoteAddress === undefined || (stream.remotePort === 0 && stream.localPort === 0)) return shown;
	shown.remoteAddress = remoteAddress.length === 4 ? showIpv4(remoteAddress, 0) : showIpv6(remoteAddress, 0);
	shown.remotePort = stream.remotePort;
	shown.localPort = stream.localPort;
	return shown;
}

export function execFailedToWire(event: EventView): wire.ExecFailed {
	const failed: wire.ExecFailed = {};
	if (event.textSize(Text.path) > 0) failed.path = showText(event.text(Text.path));
	if (event.textSize(Text.raw) > 0) failed.rawPath = showText(event.text(Text.raw));
	const args = event.text(Text.args);
	if (args !== "") failed.args = args.replace(/\0$/, "").split("\0").map(showText);
	if ((event.flags & EventFlag.argsTruncated) !== 0) {
		failed.argsTruncated = true;
		failed.argsBytes = event.word(execFailedEvent.argsBytes);
	}
	if (event.textSize(Text.cwd) > 0) failed.workingDirectory = showText(event.text(Text.cwd));
	return Object.assign(failed, resultOf(event));
}

/** `status` as wait(2) gives it. */
export function exitToWire(status: number): wire.Exit {
	const exit: wire.Exit = { code: (status >> 8) & 0xff, signal: status & 0x7f };
	if ((status & 0x80) !== 0) exit.coreDumped = true;
	return exit;
}

/** How many ids each call takes. */
const idCounts: Readonly<Record<string, number>> = { setreuid: 2, setregid: 2, setresuid: 3, setresgid: 3 };

export function identityToWire(event: EventView, call: string | undefined): wire.IdentityChange {
	const asked = [0, 1, 2].map((index) => event.signed(identityEvent.asked + 4 * index));
	return {
		...(event.kind !== EventKind.capset && {
			asked: asked.slice(0, idCounts[call ?? ""] ?? 1).map((id) => String(id === -1 ? -1 : id >>> 0)),
		}),
		uid: event.word(identityEvent.uid),
		gid: event.word(identityEvent.gid),
		euid: event.word(identityEvent.euid),
		egid: event.word(identityEvent.egid),
		savedUid: event.word(identityEvent.savedUid),
		savedGid: event.word(identityEvent.savedGid),
		fileUid: event.word(identityEvent.fileUid),
		fileGid: event.word(identityEvent.fileGid),
		capabilities: String(event.big(identityEvent.capabilities)),
		permittedCapabilities: String(event.big(identityEvent.permittedCapabilities)),
		inheritableCapabilities: String(event.big(identityEvent.inheritableCapabilities)),
		...resultOf(event),
	};
}

export function namespaceToWire(event: EventView): wire.NamespaceChange {
	const table = event.kind === EventKind.unshare ? "unshare" : "clone";
	const flags = flagNames(table, event.word(namespaceEvent.callFlags));
	return {
		...(flags.length > 0 && { flags }),
		namespaces: {
			mount: event.word(namespaceEvent.mountNamespace),
			pid: event.word(namespaceEvent.pidNamespace),
			network: event.word(namespaceEvent.networkNamespace),
			user: event.word(namespaceEvent.userNamespace),
			uts: event.word(namespaceEvent.utsNamespace),
			ipc: event.word(namespaceEvent.ipcNamespace),
			cgroup: event.word(namespaceEvent.cgroupNamespace),
		},
		...resultOf(event),
	};
}

export function targetToWire(event: EventView, context: WireContext): wire.ProcessTarget {
	const target: wire.ProcessTarget = { targetNamespacePid: event.signed(targetEvent.targetNamespacePid) };
	const pid = event.word(targetEvent.targetPid);
	const start = event.long(targetEvent.targetStart);
	if (pid !== 0) {
		target.targetPid = pid;
		target.targetTid = event.word(targetEvent.targetTid);
		if (start !== 0) target.targetStartTime = formatSince(context.bootTimeMs(), start);
		target.targetUid = event.word(targetEvent.targetUid);
		target.targetEuid = event.word(targetEvent.targetEuid);
	}
	const request = event.word(targetEvent.request);
	if (event.kind === EventKind.ptrace) target.request = ptraceName(request);
	if (event.kind === EventKind.kill) target.signal = signalName(request);
	else {
		target.address = String(event.big(targetEvent.address));
		if (event.kind === EventKind.vmWrite) target.size = String(event.big(targetEvent.size));
	}
	Object.assign(target, resultOf(event));
	if ((event.flags & EventFlag.pidFromUser) !== 0) target.targetUnverified = true;
	return target;
}

export function bpfToWire(event: EventView): wire.BpfCall {
	const command = event.word(bpfEvent.command);
	const call: wire.BpfCall = { command: bpfCommandName(command) };
	const type = bpfTypeName(command, event.word(bpfEvent.type));
	if (type !== "") call.type = type;
	if (event.textSize(Text.name) > 0) call.name = showText(event.text(Text.name));
	if (event.word(bpfEvent.id) !== 0) call.id = event.word(bpfEvent.id);
	return Object.assign(call, resultOf(event));
}

export function callToWire(event: EventView): wire.SystemCall {
	const argument = (index: number) => String(event.big(callEvent.argument + 8 * index));
	return { arguments: [argument(0), argument(1)], ...resultOf(event) };
}

export function protectToWire(event: EventView): wire.MemoryProtection {
	const protect: wire.MemoryProtection = {
		address: String(event.big(protectEvent.address)),
		size: String(event.big(protectEvent.size)),
		protection: protectionNames(event.word(protectEvent.protection)),
	};
	const previous = event.word(protectEvent.previous);
	if (previous !== 0) protect.previousProtection = protectionNames(previous);
	const flags = flagNames("map", event.word(protectEvent.callFlags));
	if (flags.length > 0) protect.flags = flags;
	if (event.textSize(Text.path) > 0) protect.path = showText(event.text(Text.path));
	Object.assign(protect, fileOf(event));
	if ((event.flags & EventFlag.written) !== 0) protect.written = true;
	return Object.assign(protect, resultOf(event));
}
