// Policies, processes, containers and events made up for tests of the policy.
import { expect } from "vitest";
import { type Network, parseNetwork } from "../../../agent/model/address.ts";
import type { EventView, Text } from "../../../agent/model/event.ts";
import { EventKind, type Observation, Text as TextField } from "../../../agent/model/event.ts";
import type { Container, Process } from "../../../agent/model/process.ts";
import type { Finding } from "../../../agent/model/verdict.ts";
import { PolicyEngine } from "../../../agent/policy/engine.ts";
import { type Loading, type LoadOptions, loadPolicy } from "../../../agent/policy/load.ts";
import type { Policy } from "../../../agent/policy/policy.ts";
import type { HostFiles } from "../../../agent/policy/vital.ts";

/** A host as Debian has it; where the tests run must not matter. */
export const host: HostFiles = {
	self: "/usr/lib/picket/node",
	real: (path) => {
		const merged = path.replace(/^\/(bin|sbin|lib|lib64)\//, "/usr/$1/");
		const links: Readonly<Record<string, string>> = {
			"/usr/bin/sh": "/usr/bin/dash",
			"/usr/sbin/init": "/usr/lib/systemd/systemd",
			"/usr/lib64/ld-linux-x86-64.so.2": "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
		};
		const there = links[merged] ?? merged;
		return files.has(there) ? there : undefined;
	},
};
const files = new Set([
	...["/usr/bin/dash", "/usr/bin/bash", "/usr/lib/systemd/systemd", "/usr/sbin/sshd", "/usr/bin/dockerd"],
	...["/usr/bin/runc", "/usr/lib/picket/node", "/usr/lib/x86_64-linux-gnu/libc.so.6"],
	"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
]);

export const load = (text: string, options: LoadOptions = {}): Loading =>
	loadPolicy(text, "policy.yaml", { host, ...options });

export const context = { userName: (uid: number) => ({ 0: "root", 33: "www-data" })[uid] };

export function policyOf(text: string, options: LoadOptions = {}): Policy {
	const { policy, problems } = load(text, options);
	expect(problems).toEqual([]);
	if (policy === undefined) throw new Error("no policy");
	return policy;
}

export function container(given: Partial<Container> = {}): Container {
	return {
		id: "ab".repeat(32),
		runtime: "docker",
		name: "web-1",
		image: "nginx:1.27",
		imageId: "",
		labels: {},
		podName: "",
		podNamespace: "",
		podUid: "",
		privileged: false,
		mounts: [],
		created: 0,
		known: true,
		...given,
	};
}

export function process(given: Partial<Process> = {}, inside?: Container): Process {
	const cgroup = { id: 1, path: "/", container: inside };
	const base = {
		...{ pid: 7, comm: "bash", exe: "/bin/bash", args: ["bash"], euid: 33, uid: 33, cgroup },
		...{ previousExe: "/usr/bin/login", capabilities: 0n, capabilitiesPermitted: 0n, upperLayer: false },
		streams: [],
	};
	return { ...base, ...given } as unknown as Process;
}

export function event(given: Partial<EventView>, path = "", address: number[] = []): EventView {
	const bytes = Buffer.concat([Buffer.from("xx"), Buffer.from(path, "latin1"), Buffer.from(address)]);
	return {
		kind: EventKind.exec,
		bytes,
		flags: 0,
		result: 0,
		openFlags: 0,
		mode: 0x8000,
		time: 0,
		protocol: 6,
		localPort: 0,
		remotePort: 0,
		family: 0,
		localAddressStart: 2 + path.length,
		remoteAddressStart: 2 + path.length,
		textStart: () => 2,
		textSize: (field: Text) => (field === TextField.path ? path.length : 0),
		text: () => path,
		...given,
	} as EventView;
}

export const exec = (actor: Process): Observation => ({ event: event({}), process: actor });
export const open = (
	path: string,
	openFlags: number,
	actor = process(),
	more: Partial<EventView> = {},
): Observation => ({
	event: event({ kind: EventKind.open, openFlags, ...more }, path),
	process: actor,
});
export const connect = (
	address: number[],
	remotePort: number,
	more: Partial<EventView> = {},
): Observation => ({
	event: event(
		{ kind: EventKind.connect, family: address.length === 4 ? 2 : 10, remotePort, ...more },
		"",
		address,
	),
	process: process(),
});

export function violations(
	policy: Policy,
	observation: Observation,
	engine = new PolicyEngine(policy, context),
): Finding[] {
	const found: Finding[] = [];
	engine.violations(observation, (finding) => found.push(finding));
	return found;
}
export const rules = (policy: Policy, observation: Observation) =>
	violations(policy, observation).map(({ rule }) => rule);

/** Of a socket's own end and its other one, as accept, listen and bind have them. */
export function socket(
	kind: "accept" | "listen" | "bind",
	ends: { local?: string; localPort: number; remote?: string },
	actor = process(),
	more: Partial<EventView> = {},
): Observation {
	const bytesOf = ({ words }: Network): Buffer => {
		const bytes = Buffer.alloc(words.length * 4);
		words.forEach((word, index) => {
			bytes.writeUInt32BE(word, index * 4);
		});
		return bytes;
	};
	const local = bytesOf(parseNetwork(ends.local ?? "0.0.0.0"));
	const remote = bytesOf(parseNetwork(ends.remote ?? (local.length === 4 ? "0.0.0.0" : "::")));
	const seen = event({
		...{ kind: EventKind[kind], family: local.length === 4 ? 2 : 10, localPort: ends.localPort },
		...{ remotePort: ends.remote === undefined ? 0 : 50_000, localAddressStart: 0, ...more },
	});
	const bytes = Buffer.concat([local, remote]);
	return { event: { ...seen, bytes, remoteAddressStart: local.length }, process: actor };
}
