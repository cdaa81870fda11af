// evt.type: Falco's names for what our events report, by the system call where the record tells it.
import { EventFlag, EventKind, type EventView } from "../model/event.ts";
import { type Architecture, hostArchitecture } from "../model/kernel-names.ts";
import { syscallName } from "../model/syscalls.ts";

/**
 * The names each kind may have. A failed exec is exec_failed, a name of ours: Falco's rules about execve are written for
 * programs that ran, and would tell of each refused one as if it had.
 */
export const eventTypes: Readonly<Record<EventKind, readonly string[]>> = {
	[EventKind.exec]: ["execve", "execveat"],
	[EventKind.fork]: ["clone", "clone3", "fork", "vfork"],
	[EventKind.exit]: ["procexit"],
	[EventKind.open]: ["openat", "open", "openat2", "creat", "open_by_handle_at"],
	[EventKind.connect]: ["connect"],
	[EventKind.cgroup]: ["cgroup"],
	[EventKind.execFailed]: ["exec_failed"],
	[EventKind.rename]: ["rename", "renameat", "renameat2"],
	[EventKind.unlink]: ["unlink", "unlinkat"],
	[EventKind.rmdir]: ["rmdir", "unlinkat"],
	[EventKind.mkdir]: ["mkdir", "mkdirat"],
	[EventKind.mknod]: ["mknod", "mknodat"],
	[EventKind.link]: ["link", "linkat"],
	[EventKind.symlink]: ["symlink", "symlinkat"],
	[EventKind.chmod]: ["chmod", "fchmod", "fchmodat", "fchmodat2"],
	[EventKind.chown]: ["chown", "lchown", "fchown", "fchownat"],
	[EventKind.truncate]: ["truncate", "ftruncate"],
	[EventKind.setxattr]: [
		"setxattr",
		"lsetxattr",
		"fsetxattr",
		"setxattrat",
		"removexattr",
		"lremovexattr",
		"fremovexattr",
		"removexattrat",
	],
	[EventKind.accept]: ["accept", "accept4"],
	[EventKind.bind]: ["bind"],
	[EventKind.listen]: ["listen"],
	[EventKind.send]: ["sendto", "sendmsg", "sendmmsg"],
	[EventKind.socket]: ["socket"],
	[EventKind.dup]: ["dup", "dup2", "dup3", "fcntl"],
	[EventKind.dns]: ["dns"],
	[EventKind.setuid]: ["setuid", "setreuid", "setresuid", "setfsuid"],
	[EventKind.setgid]: ["setgid", "setregid", "setresgid", "setfsgid"],
	[EventKind.capset]: ["capset"],
	[EventKind.unshare]: ["unshare"],
	[EventKind.setns]: ["setns"],
	[EventKind.ptrace]: ["ptrace"],
	[EventKind.vmWrite]: ["process_vm_writev"],
	[EventKind.kill]: ["kill", "tkill", "tgkill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo"],
	[EventKind.mount]: ["mount", "move_mount", "fsmount", "open_tree"],
	[EventKind.umount]: ["umount2"],
	[EventKind.pivotRoot]: ["pivot_root"],
	[EventKind.chroot]: ["chroot"],
	[EventKind.module]: ["init_module", "finit_module", "delete_module"],
	[EventKind.bpf]: ["bpf"],
	[EventKind.memfd]: ["memfd_create"],
	[EventKind.userfaultfd]: ["userfaultfd"],
	[EventKind.protect]: ["mprotect", "pkey_mprotect", "mmap"],
	[EventKind.ioUring]: ["io_uring_setup"],
};

/** Lists of one name each, made once. */
const single = new Map(
	Object.values(eventTypes)
		.flat()
		.map((name) => [name, [name]]),
);

/** What this event is: one name, or all its kind may have when no system call tells (a fork, a ring's request). */
export function typesOf(event: EventView, architecture: Architecture = hostArchitecture): readonly string[] {
	const names = eventTypes[event.kind];
	if (names.length === 1 || event.syscall === 0 || (event.flags & EventFlag.ioUring) !== 0) return names;
	const name = syscallName(event.syscall, architecture);
	if (name === undefined || !names.includes(name)) return names;
	return single.get(name) ?? names;
}
