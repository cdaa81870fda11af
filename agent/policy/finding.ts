// Puts a violation into words: who did what, and which line of the policy decided it.

import { formatNetwork, networkFromBytes } from "../model/address.ts";
import { type EventView, EventKind as Kind, type Observation, Text } from "../model/event.ts";
import type { Process } from "../model/process.ts";
import type { Finding, Priority, Severity } from "../model/verdict.ts";
import type { Line, Scope } from "./load.ts";

export interface PolicyContext {
	/** Name of a user of this host. */
	userName(uid: number): string | undefined;
}

export interface Decision {
	readonly list: ListName;
	/** The deny line that matched; undefined when the act is missing from an allow list. */
	readonly line: Line<unknown> | undefined;
}

export type ListName =
	| "processes.deny"
	| "processes.allow"
	| "files.deny_read"
	| "files.allow_read"
	| "files.deny_write"
	| "files.allow_write"
	| "peers.deny"
	| "peers.allow"
	| "users.deny"
	| "users.allow";

const priorityOf: Readonly<Record<Severity, Priority>> = {
	critical: "Critical",
	high: "Error",
	medium: "Warning",
	low: "Notice",
	informational: "Informational",
};

export function findingOf(
	file: string,
	scope: Scope,
	decision: Decision,
	{ event }: Observation,
	process: Process,
	context: PolicyContext,
): Finding {
	const { list, line } = decision;
	const user = context.userName(process.euid) ?? String(process.euid);
	const place = `${captured(file)}:${line?.line ?? scope.line}`;
	const verdict =
		line === undefined ? `is not in ${list} of ${place}` : `${place} denies (${captured(line.text)})`;
	const container = process.cgroup?.container;
	const where = container === undefined ? "" : ` in container ${container.name || container.id.slice(0, 12)}`;
	const image = container === undefined || container.image === "" ? "" : ` (${container.image})`;
	const object = objectOf(event, process);
	const who = `${process.comm} (pid ${process.pid}, user ${user})${where}${image}`;
	return {
		rule: `policy/${scope.name}/${list}`,
		origin: "policy",
		priority: priorityOf[scope.severity],
		severity: scope.severity,
		summary: `${who} ${verbOf(event, list, user)} ${object}, which ${verdict}`,
		description: `The local policy does not permit this in the scope "${scope.name}".`,
		tactics: [],
		techniques: [],
		tags: ["policy", `policy_${list.replace(".", "_")}`],
		fields: fieldsOf(event, process, user, object),
	};
}

/** Text of ours among captured text: both are bytes until they are shown. */
function captured(text: string): string {
	return Buffer.from(text, "utf8").toString("latin1");
}

function objectOf(event: EventView, process: Process): string {
	if (event.kind === Kind.exec) return process.exe;
	if (event.kind === Kind.open) return event.text(Text.path);
	const address = networkFromBytes(event.family, event.bytes, event.remoteAddressStart);
	if (address === undefined) return "";
	const text = formatNetwork(address);
	return address.family === 6 ? `[${text}]:${event.remotePort}` : `${text}:${event.remotePort}`;
}

function verbOf(event: EventView, list: ListName, user: string): string {
	if (event.kind === Kind.connect) return "connected to";
	if (event.kind === Kind.open) return list.endsWith("_write") ? "opened for writing" : "opened for reading";
	return list.startsWith("users.") ? `executed as ${user}` : "executed";
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
		...(event.kind === Kind.exec ? {} : { "fd.name": object }),
		"container.id": container?.id.slice(0, 12) ?? "host",
		...(container === undefined
			? {}
			: { "container.name": container.name, "container.image.repository": container.image }),
	};
}
