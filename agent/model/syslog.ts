// Where syslog messages go, and as whose.

/** RFC 5424, table 1. */
export const facilities = {
	user: 1,
	daemon: 3,
	auth: 4,
	authpriv: 10,
	local0: 16,
	local1: 17,
	local2: 18,
	local3: 19,
	local4: 20,
	local5: 21,
	local6: 22,
	local7: 23,
} as const;
export type Facility = keyof typeof facilities;

export type SyslogAddress =
	/** A daemon's socket of datagrams on this host: /dev/log. */
	| { readonly over: "unix"; readonly path: string }
	| { readonly over: "udp" | "tcp" | "tls"; readonly host: string; readonly port: number };

/** "unix:/dev/log", "udp:host:514", "tcp:[2001:db8::1]:601", "tls:host:6514"; undefined for anything else. */
export function parseSyslogAddress(text: string): SyslogAddress | undefined {
	if (text.startsWith("unix:/")) return { over: "unix", path: text.slice("unix:".length) };
	const match = /^(udp|tcp|tls):(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
	const port = Number(match?.[4]);
	if (match === null || port < 1 || port > 65_535) return undefined;
	return { over: match[1] as "udp" | "tcp" | "tls", host: match[2] ?? match[3] ?? "", port };
}
