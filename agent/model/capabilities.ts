// Names of capabilities, from their bits.

/** In the order of include/uapi/linux/capability.h. */
const names =
	"CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE".split(
		" ",
	);

/** "CAP_CHOWN", …; bits without a name are left out. */
export function capabilityNames(capabilities: bigint): string[] {
	return names.filter((_, bit) => (capabilities >> BigInt(bit)) & 1n).map((name) => `CAP_${name}`);
}

/** Bit of "CAP_SYS_ADMIN" or "sys_admin"; -1 for no capability. */
export function capabilityBit(name: string): number {
	return names.indexOf(name.toUpperCase().replace(/^CAP_/, ""));
}

/** CAP_DAC_OVERRIDE: writes whatever a file's permissions say. */
export const dacOverride = 1n << 1n;
