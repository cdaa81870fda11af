// Puts a violation into words: who did what, and which line of the policy decided it.

import { formatNetwork, networkFromBytes } from "../model/address.ts";
import { type EventView, EventKind as Kind, type Observation, Text } from "../model/event.ts";
import type { Process } from "../model/process.ts";
import type { Finding, Priority, Severity } from "../model/verdict.ts";
import type { Names } from "./judge.ts";
import type { ListName, Ruling, Scope, Tier } from "./policy.ts";

const priorityOf: Readonly<Record<Severity, Priority>> = {
	critical: "Critical",
	high: "Error",
	medium: "Warning",
	low: "Notice",
	informational: "Informational",
};

export function findingOf(
	scope: Scope,
	ruling: Ruling,
	{ event }: Observation,
	process: Process,
	context: Names,
): Finding {
	const { list, tier } = ruling;
	const user = context.userName(process.euid) ?? String(process.euid);
	const container = process.cgroup?.container;
	const where = container === undefined ? "" : ` in container ${container.name || container.id.slice(0, 12)}`;
	const image = container === undefined || container.image === "" ? "" : ` (${container.image})`;
	const object = objectOf(event, process, list);
	const who = `${process.comm} (pid ${process.pid}, user ${user})${where}${image}`;
	const held = tier === "alert" ? "alert" : scope.mode === "observe" ? "observe" : undefined;
	return {
		rule: `policy/${scope.name}/${list}`,
		origin: "policy",
		priority: priorityOf[scope.severity],
		severity: scope.severity,
		summary: `${who} ${verbOf(event, list, user)}${object === "" ? "" : ` ${object}`}, which ${verdictOf(ruling)}`,
		description: descriptions[tier](scope.name),
		tactics: [],
		techniques: [],
		tags: ["policy", `policy_${list.replace(".", "_")}`],
		fields: fieldsOf(event, process, user, object),
		...(held === undefined ? {} : { atMost: held }),
	};
}

const forbidden = (scope: string) => `The local policy does not permit this in the scope "${scope}".`;
const descriptions: Readonly<Record<Tier, (scope: string) => string>> = {
	deny: forbidden,
	allow: forbidden,
	alert: (scope) => `The local policy wants this told in the scope "${scope}".`,
};

function verdictOf({ list, tier, text, place }: Ruling): string {
	const at = `${captured(place.file)}:${place.line}`;
	if (tier === "allow") return `is not in ${list} of ${at}`;
	return `${at} ${tier === "deny" ? "denies" : "wants told"} (${captured(text)})`;
}

/** Text of ours among captured text: both are bytes until they are shown. */
function captured(text: string): string {
	return Buffer.from(text, "utf8").toString("latin1");
}

function objectOf(event: EventView, process: Process, list: ListName): string {
	if (isOfContainer(list)) return "";
	switch (event.kind) {
		case Kind.exec:
			return process.exe;
		case Kind.open:
			return event.text(Text.path);
		case Kind.accept: {
			const peer = endpoint(event, event.remoteAddressStart, event.remotePort);
			return `${peer} on port ${event.localPort}`;
		}
		case Kind.bind:
		case Kind.listen:
			return endpoint(event, event.localAddressStart, event.localPort);
		default:
			return endpoint(event, event.remoteAddressStart, event.remotePort);
	}
}

function isOfContainer(list: ListName): boolean {
	return list.startsWith("images.") || list.startsWith("mounts.") || list.startsWith("container.");
}

function endpoint(event: EventView, start: number, port: number): string {
	const address = networkFromBytes(event.family, event.bytes, start);
	if (address === undefined) return "";
	const text = formatNetwork(address);
	return address.family === 6 ? `[${text}]:${port}` : `${text}:${port}`;
}

function verbOf(event: EventView, list: ListName, user: string): string {
	if (list.startsWith("images.")) return "runs in a container of this image";
	if (list.startsWith("mounts.")) return "runs in a container with a path of the host mounted";
	if (list === "container.privileged") return "runs in a privileged container";
	if (list === "container.host_namespaces") return "runs in a container that shares namespaces with the host";
	switch (event.kind) {
		case Kind.connect:
			return "connected to";
		case Kind.accept:
			return "took a connection from";
		case Kind.bind:
		case Kind.listen:
			return "waits for others on";
		case Kind.open:
			return list.endsWith("_write") ? "opened for writing" : "opened for reading";
		default:
			if (list.startsWith("users.")) return `executed as ${user}`;
			if (list.startsWith("capabilities.")) return "executed with more capabilities than it may";
			return list === "processes.not_from_image" ? "executed, not from its image," : "executed";
	}
}

function fieldsOf(event: EventView, process: Process, user: string, object: string): Record<string, string> {
	const container = process.cgroup?.container;
	return {
		"proc.name": process.comm,
		"proc.pid": String(process.pid),
		"proc.exepath": process.exe,
		"proc.cmdline": process.args.join(" "),
		"user.name": user,
		"user.uid": String(process.euid),
		...(event.kind === Kind.exec || object === "" ? {} : { "fd.name": object }),
		"container.id": container?.id.slice(0, 12) ?? "host",
		...(container === undefined
			? {}
			: { "container.name": container.name, "container.image.repository": container.image }),
	};
}
