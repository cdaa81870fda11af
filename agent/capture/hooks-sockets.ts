// Which kernel hooks carry accept, bind, listen, datagrams, sockets with powers of their own, DNS.
import type { EventName } from "../model/event.ts";
import type { Capability } from "./hooks.ts";

const tracefs = "a kernel with CONFIG_FTRACE_SYSCALLS and a readable tracefs";
const cgroup2 = "a kernel with CONFIG_CGROUP_BPF and a cgroup2 mount";

const socketCall = (kind: EventName, calls: readonly string[], lost: string): Capability => ({
	name: kind,
	kind,
	ways: [{ program: "on_socket_call", tier: "syscall-tracepoint", calls }],
	required: false,
	lost,
	remedy: tracefs,
});

export const sockets: readonly Capability[] = [
	socketCall("accept", ["accept", "accept4"], "incoming connections"),
	socketCall("bind", ["bind"], "the addresses that processes take"),
	socketCall("listen", ["listen"], "who starts to listen"),
	socketCall("socket", ["socket"], "raw sockets and those of rare families"),
	{
		name: "dup",
		kind: "dup",
		ways: [
			{
				program: "on_dup",
				tier: "syscall-tracepoint",
				// arm64 has no dup2; fcntl makes duplicates too.
				calls: ["dup", "dup2", "dup3", "fcntl"],
			},
		],
		required: false,
		lost: "sockets that become standard input or output",
		remedy: tracefs,
	},
	{
		name: "send",
		kind: "send",
		ways: [{ program: "on_send4", tier: "cgroup", cgroup: true, also: ["on_send6"] }],
		required: false,
		lost: "datagrams of sockets that are not connected",
		remedy: cgroup2,
	},
	{
		name: "dns",
		kind: "dns",
		ways: [
			{
				program: "on_dns_response",
				tier: "cgroup",
				cgroup: true,
				// A packet no longer says what was asked for where its address was translated; sending it did.
				also: ["on_dns_query", "on_send4", "on_send6"],
			},
		],
		required: false,
		lost: "the names that are looked up over UDP",
		remedy: cgroup2,
	},
];
