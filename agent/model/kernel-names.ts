// Names of the kernel's numbers as people know them: errno, O_* flags, protocols.

// include/uapi/asm-generic/errno-base.h and errno.h, which x86_64 and arm64 share; index is the number.
const errnoNames = [
	"SUCCESS EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT",
	"ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC",
	"ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP - ENOMSG",
	"EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC",
	"EBADSLT - EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO",
	"EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ELIBSCN ELIBMAX ELIBEXEC",
	"EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT",
	"ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH",
	"ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT",
	"ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM",
	"EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED",
	"EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON",
]
	.join(" ")
	.split(" ");

// include/linux/errno.h: what a syscall exit shows when a signal interrupts it and it will be started again.
const restartNames: Readonly<Record<number, string>> = {
	512: "ERESTARTSYS",
	513: "ERESTARTNOINTR",
	514: "ERESTARTNOHAND",
	516: "ERESTART_RESTARTBLOCK",
};

/** "SUCCESS" for a result of 0 or above, else the errno's name, or the number when it has none. */
export function resultName(result: number): string {
	if (result >= 0) return "SUCCESS";
	const name = errnoNames[-result] ?? restartNames[-result];
	return name === undefined || name === "-" ? String(-result) : name;
}

// include/uapi/asm-generic/fcntl.h; the last four differ by architecture (arch/arm64/include/uapi/asm/fcntl.h).
const commonOpenFlags: readonly (readonly [number, string])[] = [
	[0o100, "O_CREAT"],
	[0o200, "O_EXCL"],
	[0o400, "O_NOCTTY"],
	[0o1000, "O_TRUNC"],
	[0o2000, "O_APPEND"],
	[0o4000, "O_NONBLOCK"],
	// Flags of several bits stand before those whose bits they hold.
	[0o4010000, "O_SYNC"],
	[0o10000, "O_DSYNC"],
	[0o20000, "O_ASYNC"],
	[0o1000000, "O_NOATIME"],
	[0o2000000, "O_CLOEXEC"],
	[0o10000000, "O_PATH"],
];
const openFlags = {
	x64: [
		...commonOpenFlags,
		[0o20200000, "O_TMPFILE"],
		[0o40000, "O_DIRECT"],
		[0o100000, "O_LARGEFILE"],
		[0o200000, "O_DIRECTORY"],
		[0o400000, "O_NOFOLLOW"],
	],
	arm64: [
		...commonOpenFlags,
		[0o20040000, "O_TMPFILE"],
		[0o40000, "O_DIRECTORY"],
		[0o100000, "O_NOFOLLOW"],
		[0o200000, "O_DIRECT"],
		[0o400000, "O_LARGEFILE"],
	],
} as const satisfies Record<string, readonly (readonly [number, string])[]>;
export type Architecture = keyof typeof openFlags;

export const hostArchitecture: Architecture = process.arch === "arm64" ? "arm64" : "x64";

// O_RDONLY is 0, so the access mode is a number of two bits; 3 asks for both permissions and gives neither.
const accessModes = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"];

/** The access mode, then a name a flag; bits without a name come last, in hex. */
export function openFlagNames(flags: number, architecture: Architecture = hostArchitecture): string[] {
	const names = [accessModes[flags & 3] ?? ""];
	let rest = (flags & ~3) >>> 0;
	for (const [bits, name] of openFlags[architecture]) {
		if ((rest & bits) >>> 0 !== bits) continue;
		names.push(name);
		rest = (rest & ~bits) >>> 0;
	}
	if (rest !== 0) names.push(`0x${rest.toString(16)}`);
	return names;
}

const protocolNames: Readonly<Record<number, string>> = {
	1: "icmp",
	2: "igmp",
	6: "tcp",
	17: "udp",
	33: "dccp",
	47: "gre",
	50: "esp",
	58: "ipv6-icmp",
	132: "sctp",
	136: "udplite",
	255: "raw",
	262: "mptcp",
};

export function protocolName(protocol: number): string {
	return protocolNames[protocol] ?? String(protocol);
}
