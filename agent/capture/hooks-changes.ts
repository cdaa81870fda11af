// Which kernel hooks carry file changes: rename … setxattr.
import type { EventName } from "../model/event.ts";
import type { Capability } from "./hooks.ts";

/** `before`: programs that note the files before the act; without them a change by name is told in the caller's words. */
function change(
	kind: EventName,
	calls: readonly string[],
	lost: string,
	before: readonly string[] = [],
): Capability {
	const program = "on_change";
	return {
		name: kind,
		kind,
		ways: [
			...(before.length > 0 ? [{ program, tier: "fentry", calls, also: before } as const] : []),
			{
				program,
				tier: "syscall-tracepoint",
				calls,
				lost: "the kernel's own names of files that are changed by name: the caller's are told",
			},
		],
		required: false,
		lost,
		remedy: "a kernel with CONFIG_FTRACE_SYSCALLS and a readable tracefs",
	};
}

export const changes: readonly Capability[] = [
	change("rename", ["rename", "renameat", "renameat2"], "renamed files", ["before_rename"]),
	change("unlink", ["unlink", "unlinkat"], "deleted files", ["before_unlink"]),
	change("rmdir", ["rmdir", "unlinkat"], "deleted directories", ["before_rmdir"]),
	change("mkdir", ["mkdir", "mkdirat"], "directories made", ["before_mkdir"]),
	change("mknod", ["mknod", "mknodat"], "device nodes and pipes made", ["before_mknod"]),
	change("link", ["link", "linkat"], "hard links made", ["before_link"]),
	change("symlink", ["symlink", "symlinkat"], "symbolic links made", ["before_symlink"]),
	change("chmod", ["chmod", "fchmod", "fchmodat", "fchmodat2"], "changed modes of files", ["before_chmod"]),
	change("chown", ["chown", "lchown", "fchown", "fchownat"], "changed owners of files", ["before_chown"]),
	change("truncate", ["truncate", "ftruncate"], "truncated files", ["before_truncate"]),
	change(
		"setxattr",
		["setxattr", "lsetxattr", "fsetxattr", "setxattrat"].flatMap((call) => [
			call,
			call.replace("set", "remove"),
		]),
		"changed security attributes of files",
		["before_setxattr", "before_removexattr"],
	),
	change("chroot", ["chroot"], "changed root directories"),
	change("pivotRoot", ["pivot_root"], "exchanged root file systems"),
	change("memfd", ["memfd_create"], "files made in memory"),
];
