// Names of the bits that system calls take. All of them are the same on x86_64 and arm64.

type Bits = readonly (readonly [bits: number, name: string])[];

/** A name a bit, in the order of the table; bits without a name come last, in hex. */
function namesOf(flags: number, table: Bits): string[] {
	const names: string[] = [];
	let rest = flags >>> 0;
	for (const [bits, name] of table) {
		if ((rest & bits) >>> 0 !== bits >>> 0) continue;
		names.push(name);
		rest = (rest & ~bits) >>> 0;
	}
	if (rest !== 0) names.push(`0x${rest.toString(16)}`);
	return names;
}

/** "PREFIX_A PREFIX_B" for bits 0, 1, …; "-" where there is none. */
function row(prefix: string, names: string, first = 0): Bits {
	return names
		.split(" ")
		.map((name, index) => [(1 << (first + index)) >>> 0, prefix + name] as const)
		.filter(([, name]) => name !== `${prefix}-`);
}

// include/uapi/linux/sched.h
const clone: Bits = [
	[0x80, "CLONE_NEWTIME"],
	[0x2_0000, "CLONE_NEWNS"],
	...row("CLONE_NEW", "CGROUP UTS IPC USER PID NET", 25),
];
// What unshare(2) takes besides.
const unshare: Bits = [[0x200, "CLONE_FS"], [0x400, "CLONE_FILES"], [0x4_0000, "CLONE_SYSVSEM"], ...clone];
// include/uapi/linux/mount.h
const mount: Bits = row(
	"MS_",
	"RDONLY NOSUID NODEV NOEXEC SYNCHRONOUS REMOUNT MANDLOCK DIRSYNC NOSYMFOLLOW - NOATIME NODIRATIME BIND MOVE REC SILENT POSIXACL UNBINDABLE PRIVATE SLAVE SHARED RELATIME KERNMOUNT I_VERSION STRICTATIME LAZYTIME",
);
// include/linux/fs.h
const umount: Bits = [...row("MNT_", "FORCE DETACH EXPIRE"), [8, "UMOUNT_NOFOLLOW"]];
// include/uapi/asm-generic/mman-common.h
const protection: Bits = [
	...row("PROT_", "READ WRITE EXEC SEM"),
	[0x0100_0000, "PROT_GROWSDOWN"],
	[0x0200_0000, "PROT_GROWSUP"],
];
// Flags of several bits stand before those whose bits they hold.
const map: Bits = [
	[3, "MAP_SHARED_VALIDATE"],
	[1, "MAP_SHARED"],
	[2, "MAP_PRIVATE"],
	[0x10, "MAP_FIXED"],
	[0x20, "MAP_ANONYMOUS"],
	[0x100, "MAP_GROWSDOWN"],
	...row(
		"MAP_",
		"DENYWRITE EXECUTABLE LOCKED NORESERVE POPULATE NONBLOCK STACK HUGETLB SYNC FIXED_NOREPLACE",
		11,
	),
];
// include/uapi/linux/fs.h, memfd.h, fcntl.h, module.h
const rename: Bits = row("RENAME_", "NOREPLACE EXCHANGE WHITEOUT");
const memfd: Bits = row("MFD_", "CLOEXEC ALLOW_SEALING HUGETLB NOEXEC_SEAL EXEC");
const at: Bits = [
	[0x100, "AT_SYMLINK_NOFOLLOW"],
	[0x200, "AT_REMOVEDIR"],
	[0x400, "AT_SYMLINK_FOLLOW"],
	[0x800, "AT_NO_AUTOMOUNT"],
	[0x1000, "AT_EMPTY_PATH"],
];
const moduleInit: Bits = row("MODULE_INIT_", "IGNORE_MODVERSIONS IGNORE_VERMAGIC COMPRESSED_FILE");
const xattr: Bits = row("XATTR_", "CREATE REPLACE");
// include/uapi/linux/stat.h
const permissions: Bits = row("S_I", "XOTH WOTH ROTH XGRP WGRP RGRP XUSR WUSR RUSR SVTX SGID SUID");

const tables = {
	clone,
	unshare,
	mount,
	umount,
	map,
	rename,
	memfd,
	at,
	moduleInit,
	xattr,
	permissions,
};

/** Names of the bits in `flags`; [] for 0. */
export function flagNames(table: keyof typeof tables, flags: number): string[] {
	return namesOf(flags, tables[table]);
}

/** PROT_NONE is 0. */
export function protectionNames(bits: number): string[] {
	return bits === 0 ? ["PROT_NONE"] : namesOf(bits, protection);
}
