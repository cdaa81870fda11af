// Which kernel hooks carry which capability: data, not code.
import type { EventName } from "../model/event.ts";
import { acts } from "./hooks-acts.ts";
import { changes } from "./hooks-changes.ts";
import { sockets } from "./hooks-sockets.ts";
import { uring } from "./hooks-uring.ts";

/**
 * "fentry": on the kernel's function itself; "tracepoint": on a place the kernel marks, with its types;
 * "syscall-tracepoint": on the return of a system call, which costs every other system call some nanoseconds too;
 * "cgroup": where the kernel asks a cgroup's programs about a socket or a packet.
 */
export type Tier = "fentry" | "tracepoint" | "syscall-tracepoint" | "cgroup";

export interface Way {
	/** Program name in the BPF object. */
	readonly program: string;
	readonly tier: Tier;
	/** Where the program is hooked up when its name does not say it: system calls; one that the kernel has not is none lost. */
	readonly calls?: readonly string[];
	/** Programs it works together with. */
	readonly also?: readonly string[];
	/** What it costs, or cannot tell, that the best way can; else what a tracepoint of a system call costs. */
	readonly lost?: string;
	/** On the root of the cgroup tree. */
	readonly cgroup?: true;
}

export interface Capability {
	readonly name: string;
	readonly kind: EventName;
	/** From the best to the one that every kernel takes. */
	readonly ways: readonly Way[];
	/** Without it there is no sensor; without the others a capability is less. */
	readonly required: boolean;
	/** Only where the architecture has the system call. */
	readonly only?: "x64";
	readonly lost: string;
	readonly remedy: string;
}

const noTracepoint = "a kernel with CONFIG_FTRACE_SYSCALLS and a readable tracefs";
const noBtf = "a kernel from 5.10 with CONFIG_DEBUG_INFO_BTF";

const tracepoint = (name: string): Way[] => [{ program: `on_${name}`, tier: "tracepoint" }];
/** By two programs, of which one makes up for what the kernel skips of the other (bpf/process.h). */
const life = (name: string): Way[] => [
	{ program: `on_${name}`, tier: "tracepoint", also: [`on_${name}_again`] },
	...tracepoint(`${name}_again`),
	...tracepoint(name),
];
const syscall = (name: string): Way[] => [
	{ program: `on_${name}_function`, tier: "fentry" },
	{ program: `on_${name}`, tier: "syscall-tracepoint" },
];

export const capabilities: readonly Capability[] = [
	{
		name: "exec",
		kind: "exec",
		ways: life("exec"),
		required: true,
		lost: "executions",
		remedy: noBtf,
	},
	{
		name: "fork",
		kind: "fork",
		ways: life("fork"),
		required: true,
		lost: "who started whom",
		remedy: noBtf,
	},
	{
		name: "exit",
		kind: "exit",
		ways: life("exit"),
		required: true,
		lost: "ends of processes",
		remedy: noBtf,
	},
	{
		name: "openat",
		kind: "open",
		ways: syscall("openat"),
		required: false,
		lost: "file opens by openat",
		remedy: noTracepoint,
	},
	{
		name: "openat2",
		kind: "open",
		ways: syscall("openat2"),
		required: false,
		lost: "file opens by openat2",
		remedy: noTracepoint,
	},
	{
		name: "open",
		kind: "open",
		ways: syscall("open"),
		required: false,
		only: "x64",
		lost: "file opens by open",
		remedy: noTracepoint,
	},
	{
		name: "creat",
		kind: "open",
		ways: syscall("creat"),
		required: false,
		only: "x64",
		lost: "files made by creat",
		remedy: noTracepoint,
	},
	{
		name: "open_by_handle_at",
		kind: "open",
		ways: syscall("open_by_handle_at"),
		required: false,
		lost: "file opens by open_by_handle_at",
		remedy: noTracepoint,
	},
	{
		name: "connect",
		kind: "connect",
		ways: syscall("connect"),
		required: false,
		lost: "outgoing connections",
		remedy: noTracepoint,
	},
	{
		name: "cgroup_mkdir",
		kind: "cgroup",
		ways: tracepoint("cgroup_mkdir"),
		required: false,
		lost: "the containers of very short-lived processes",
		remedy: "a kernel with CONFIG_CGROUPS and BTF",
	},
	{
		name: "cgroup_rmdir",
		kind: "cgroup",
		ways: tracepoint("cgroup_rmdir"),
		required: false,
		lost: "timely forgetting of removed containers",
		remedy: "a kernel with CONFIG_CGROUPS and BTF",
	},
	...changes,
	...sockets,
	...acts,
	...uring,
];

/** Programs that make up for each other. */
export const pairs = capabilities.flatMap(({ ways }) =>
	ways.filter(({ also }) => also?.[0]?.endsWith("_again")).map(programsOf),
);

/** The programs of a way, the one that makes it what it is first. */
export function programsOf({ program, also = [] }: Way): readonly string[] {
	return [...also, program];
}
