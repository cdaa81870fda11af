// Which kernel hooks carry file changes: rename … setxattr.
import type { EventName } from "../model/event.ts";
import type { Capability } from "./hooks.ts";

function change(kind: EventName, calls: readonly string[], lost: string): Capability {
	return {
		name: kind,
		kind,
		ways: [{ program: "on_change", tier: "syscall-tracepoint", calls }],
		required: false,
		lost,
		remedy: "a kernel with CONFIG_FTRACE_SYSCALLS and a readable tracefs",
	};
}

export const changes: readonly Capability[] = [
	change("rename", ["rename", "renameat", "renameat2"], "renamed files"),
	change("unlink", ["unlink", "unlinkat"], "deleted files"),
	change("rmdir", ["rmdir", "unlinkat"], "deleted directories"),
	change("mkdir", ["mkdir", "mkdirat"], "directories made"),
	change("mknod", ["mknod", "mknodat"], "device nodes and pipes made"),
	change("link", ["link", "linkat"], "hard links made"),
	change("symlink", ["symlink", "symlinkat"], "symbolic links made"),
	change("chmod", ["chmod", "fchmod", "fchmodat", "fchmodat2"], "changed modes of files"),
	change("chown", ["chown", "lchown", "fchown", "fchownat"], "changed owners of files"),
	change("truncate", ["truncate", "ftruncate"], "truncated files"),
	change(
		"setxattr",
		["setxattr", "lsetxattr", "fsetxattr", "setxattrat"].flatMap((call) => [
			call,
			call.replace("set", "remove"),
		]),
		"changed security attributes of files",
	),
	change("chroot", ["chroot"], "changed root directories"),
	change("pivotRoot", ["pivot_root"], "exchanged root file systems"),
	change("memfd", ["memfd_create"], "files made in memory"),
];
