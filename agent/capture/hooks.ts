// Which kernel hooks carry which capability: data, not code.
import type { EventName } from "../model/event.ts";

export interface Hook {
	/** Program name in the BPF object. */
	readonly program: string;
	readonly kind: EventName;
	readonly tier: "tracepoint" | "syscall-tracepoint";
	/** Without it there is no sensor; without the others a capability is less. */
	readonly required: boolean;
	/** Only where the architecture has the system call. */
	readonly only?: "x64";
	readonly lost: string;
	readonly remedy: string;
}

const noTracepoint = "a kernel with CONFIG_FTRACE_SYSCALLS and a readable tracefs";
const noBtf = "a kernel from 5.10 with CONFIG_DEBUG_INFO_BTF";

export const hooks: readonly Hook[] = [
	{ program: "on_exec", kind: "exec", tier: "tracepoint", required: true, lost: "executions", remedy: noBtf },
	{
		program: "on_fork",
		kind: "fork",
		tier: "tracepoint",
		required: true,
		lost: "who started whom",
		remedy: noBtf,
	},
	{
		program: "on_exit",
		kind: "exit",
		tier: "tracepoint",
		required: true,
		lost: "ends of processes",
		remedy: noBtf,
	},
	{
		program: "on_openat",
		kind: "open",
		tier: "syscall-tracepoint",
		required: false,
		lost: "file opens by openat",
		remedy: noTracepoint,
	},
	{
		program: "on_openat2",
		kind: "open",
		tier: "syscall-tracepoint",
		required: false,
		lost: "file opens by openat2",
		remedy: noTracepoint,
	},
	{
		program: "on_open",
		kind: "open",
		tier: "syscall-tracepoint",
		required: false,
		only: "x64",
		lost: "file opens by open",
		remedy: noTracepoint,
	},
	{
		program: "on_creat",
		kind: "open",
		tier: "syscall-tracepoint",
		required: false,
		only: "x64",
		lost: "files made by creat",
		remedy: noTracepoint,
	},
	{
		program: "on_connect",
		kind: "connect",
		tier: "syscall-tracepoint",
		required: false,
		lost: "outgoing connections",
		remedy: noTracepoint,
	},
	{
		program: "on_cgroup_mkdir",
		kind: "cgroup",
		tier: "tracepoint",
		required: false,
		lost: "the containers of very short-lived processes",
		remedy: "a kernel with CONFIG_CGROUPS and BTF",
	},
	{
		program: "on_cgroup_rmdir",
		kind: "cgroup",
		tier: "tracepoint",
		required: false,
		lost: "timely forgetting of removed containers",
		remedy: "a kernel with CONFIG_CGROUPS and BTF",
	},
];
