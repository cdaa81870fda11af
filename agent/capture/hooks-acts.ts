// Which kernel hooks carry acts on processes, identities, namespaces, mounts, modules, memory.
import type { EventName } from "../model/event.ts";
import type { Capability } from "./hooks.ts";

/** One program at the exits of several system calls. */
function exits(program: string, kind: EventName, calls: readonly string[], lost: string): Capability {
	return {
		name: kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
		kind,
		ways: [{ program, tier: "syscall-tracepoint", calls }],
		required: false,
		lost,
		remedy: "a kernel with CONFIG_FTRACE_SYSCALLS and a readable tracefs",
	};
}

const signalCalls = ["kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"];

const protectCalls = ["mmap", "mprotect", "pkey_mprotect"];

export const acts: readonly Capability[] = [
	exits("on_act", "setuid", ["setuid", "setreuid", "setresuid", "setfsuid"], "changes of user"),
	exits("on_act", "setgid", ["setgid", "setregid", "setresgid", "setfsgid"], "changes of group"),
	exits("on_act", "capset", ["capset"], "changes of capabilities"),
	exits("on_act", "unshare", ["unshare"], "namespaces made by unshare"),
	exits("on_act", "setns", ["setns"], "namespaces entered"),
	exits("on_act", "userfaultfd", ["userfaultfd"], "userfaultfd"),
	{ ...exits("on_act", "ioUring", ["io_uring_setup"], "rings of io_uring made"), name: "io_uring_setup" },
	exits("on_target", "ptrace", ["ptrace"], "processes taken over by ptrace"),
	exits("on_target", "vmWrite", ["process_vm_writev"], "writes to other processes' memory"),
	{
		name: "kill",
		kind: "kill",
		ways: [{ program: "on_kill", tier: "tracepoint" }],
		required: false,
		lost: "signals to other users' processes and to the sensor",
		remedy: "a kernel from 5.10 with CONFIG_DEBUG_INFO_BTF",
	},
	{
		...exits("on_target", "kill", signalCalls, "signals that were refused"),
		name: "kill_refused",
	},
	exits("on_mount", "mount", ["mount", "move_mount"], "mounts"),
	exits("on_mount", "umount", ["umount"], "mounts taken away"),
	exits("on_module", "module", ["init_module", "finit_module", "delete_module"], "kernel modules"),
	exits("on_bpf", "bpf", ["bpf"], "BPF programs and maps"),
	{
		...exits("on_protect", "protect", protectCalls, "memory made executable that was or can be written"),
		// The second one for kernels before 5.17, which it asks for a memory area without their help.
		ways: ["on_protect", "on_protect_early"].map((program) => ({
			program,
			tier: "syscall-tracepoint",
			calls: protectCalls,
		})),
	},
	exits("on_exec_failed", "execFailed", ["execve", "execveat"], "executions that were refused"),
];
