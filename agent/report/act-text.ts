// What an event was, in one short line for people. Every part of it is made safe for a terminal.
import { eventNames } from "../model/event.ts";
import type * as wire from "../model/picket.v1.ts";
import { neutralise } from "./shown.ts";

/** Longest text of one part of a line, in characters: a megabyte of arguments is no help on a screen. */
const partLimit = 600;

/** Values may come from another host's stream: their type is what the sender made of it. */
export function clean(text: string | undefined): string {
	const given = String(text ?? "");
	return neutralise(given.length > partLimit ? `${given.slice(0, partLimit)}…` : given);
}

/** "connect tcp 192.0.2.7:443 ETIMEDOUT": the kind, what it was done to, and how it failed. */
export function actText(event: wire.Event): string {
	const kind = eventNames.find((name) => event[name] !== undefined);
	if (kind === undefined) return "event";
	const words = kind.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
	const act = event[kind] as { result?: string };
	return [words, ...partsOf(event).map(clean), failure(act.result)].filter((part) => part !== "").join(" ");
}

function failure(result: string | undefined): string {
	return result === undefined || result === "SUCCESS" ? "" : clean(result);
}

type Part = string | undefined;

function partsOf(event: wire.Event): Part[] {
	const { exec, execFailed, fork, exit, open, connect, cgroup, dns } = event;
	if (exec) return [[exec.path, ...(event.process?.args ?? []).slice(1)].join(" ")];
	if (execFailed) {
		return [[execFailed.path ?? execFailed.rawPath, ...(execFailed.args ?? []).slice(1)].join(" ")];
	}
	if (fork) return [String(fork.childPid)];
	if (exit) return [exit.signal ? `by signal ${exit.signal}` : String(exit.code ?? 0)];
	if (open) return [open.path ?? open.rawPath, open.flags?.join("|")];
	if (connect) {
		const host = endpoint(connect.destinationAddress, connect.destinationPort);
		return [connect.protocol || connect.family, connect.path ?? host, named(connect.destinationName)];
	}
	if (cgroup) return [cgroup.operation === "OPERATION_REMOVED" ? "-" : "+", cgroup.path];
	if (dns) return dnsParts(dns);
	return fileParts(event) ?? socketParts(event) ?? processParts(event) ?? kernelParts(event);
}

/** "a → b (mode)": names as they were and as they are, and what was set. */
function fileParts(event: wire.Event): Part[] | undefined {
	const change =
		event.rename ??
		event.unlink ??
		event.rmdir ??
		event.mkdir ??
		event.mknod ??
		event.link ??
		event.symlink ??
		event.chmod ??
		event.chown ??
		event.truncate ??
		event.setxattr ??
		event.pivotRoot ??
		event.chroot ??
		event.memfd;
	if (change === undefined) return undefined;
	const { newMode, newUid, newGid, size } = change;
	const target = change.targetPath ?? change.rawTargetPath;
	const parts: Part[] = [change.path ?? change.rawPath, target && `→ ${target}`, change.name];
	if (newMode !== undefined) parts.push((newMode & 0o7777).toString(8));
	if (newUid !== undefined || newGid !== undefined) parts.push(`${newUid ?? ""}:${newGid ?? ""}`);
	if (size !== undefined) parts.push(`to ${size} bytes`);
	return parts;
}

function socketParts(event: wire.Event): Part[] | undefined {
	const { accept, bind, listen, send, socket, dup } = event;
	if (socket) return [socket.family, socket.type, socket.protocol];
	const made = accept ?? bind ?? listen ?? send ?? dup;
	if (made === undefined) return undefined;
	const local = endpoint(made.localAddress, made.localPort);
	const remote = endpoint(made.remoteAddress, made.remotePort);
	const parts: Part[] = [made.protocol || made.family, made.path];
	if (accept) parts.push(remote, local && `at ${local}`);
	else parts.push(remote ?? local);
	parts.push(named(made.remoteName));
	if (dup) parts.push(`as descriptor ${dup.newDescriptor ?? "?"}`);
	return parts;
}

function dnsParts({ response, questions, answers, code, serverAddress, serverPort }: wire.Dns): Part[] {
	const asked = questions?.map(({ name, type }) => `${type} ${name}`).join(", ");
	if (!response) return ["question", asked, `to ${endpoint(serverAddress, serverPort)}`];
	return [
		"answer",
		asked,
		code === "NOERROR" ? undefined : code,
		answers?.map(({ data }) => data).join(", "),
	];
}

function processParts(event: wire.Event): Part[] | undefined {
	const { setuid, setgid, capset, unshare, setns, ptrace, vmWrite, kill } = event;
	const ids = setuid ?? setgid;
	if (ids) return [ids.asked?.join(" "), `now ${ids.uid}:${ids.gid}, effective ${ids.euid}:${ids.egid}`];
	if (capset) return ["effective", hex(capset.capabilities)];
	if (unshare ?? setns) return [(unshare ?? setns)?.flags?.join("|")];
	const done = ptrace ?? vmWrite ?? kill;
	if (done === undefined) return undefined;
	const target = done.targetPid ?? done.targetNamespacePid;
	return [done.request ?? done.signal, vmWrite && `${vmWrite.size} bytes`, `of ${target}`];
}

function kernelParts(event: wire.Event): Part[] {
	const { mount, umount, module, bpf, protect, userfaultfd, ioUring } = event;
	if (mount)
		return [mount.filesystem, mount.source, "on", mount.path ?? mount.rawPath, mount.flags?.join("|")];
	if (umount) return [umount.path ?? umount.rawPath, umount.flags?.join("|")];
	if (module) return [module.operation === "OPERATION_REMOVED" ? "-" : "+", module.name, module.path];
	if (bpf) return [bpf.command, bpf.type, bpf.name];
	if (protect) return [protect.protection?.join("|"), `${protect.size} bytes`, protect.path];
	return (userfaultfd ?? ioUring)?.arguments ?? [];
}

function hex(number: string | undefined): Part {
	return /^\d{1,20}$/.test(String(number)) ? `0x${BigInt(number ?? 0).toString(16)}` : number;
}

function endpoint(address: string | undefined, port: number | undefined): string | undefined {
	if (address === undefined) return undefined;
	return `${address.includes(":") ? `[${address}]` : address}:${port ?? 0}`;
}

function named(name: string | undefined): string | undefined {
	return name === undefined ? undefined : `(${name})`;
}
