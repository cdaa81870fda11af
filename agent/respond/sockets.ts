// Sockets as /proc/net shows them, and who holds them. A busy host has 100,000 lines: they are cut, not split.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { formatNetwork, type Network, networkFromBytes, parseNetwork } from "../model/address.ts";
import { readLink } from "./procfs.ts";

export interface Socket {
	readonly localPort: number;
	/** Hex, as in the table. */
	readonly remote: string;
	readonly remotePort: number;
	/** "" when the line has none. */
	readonly inode: string;
}

export const established = "01";
export const listening = "0A";

/** Lines of tcp, tcp6, udp or udp6 (net/ipv4/tcp_ipv4.c) in the state. */
export function* readSockets(table: string, state: typeof established | typeof listening): Generator<Socket> {
	for (let start = 0; start < table.length; ) {
		const newline = table.indexOf("\n", start);
		const end = newline < 0 ? table.length : newline;
		const socket = readSocket(table.slice(start, end), state);
		if (socket !== undefined) yield socket;
		start = end + 1;
	}
}

function readSocket(line: string, wanted: string): Socket | undefined {
	const local = line.indexOf(": ") + 2;
	const digits = line.indexOf(":", local) - local;
	if (local < 2 || (digits !== 8 && digits !== 32)) return undefined;
	const remote = local + digits + 6;
	if (!line.startsWith(wanted, remote + digits + 6)) return undefined;
	// tx:rx, timer:when, retransmissions, uid, timeout, inode
	const inode = /^ \S+ \S+ \S+ +\d+ +\d+ +(\d+)/.exec(line.slice(remote + digits + 8))?.[1] ?? "";
	return {
		localPort: Number.parseInt(line.slice(local + digits + 1, local + digits + 5), 16),
		remote: line.slice(remote, remote + digits),
		remotePort: Number.parseInt(line.slice(remote + digits + 1, remote + digits + 5), 16),
		inode,
	};
}

/** Inodes of the sockets that a process has open. */
export function socketsOf(root: string, pid: number): string[] {
	const folder = `proc/${pid}/fd`;
	let names: string[] = [];
	try {
		names = readdirSync(join(root, folder));
	} catch {
		// It has ended.
	}
	return names.flatMap(
		(name) => /^socket:\[(\d+)\]$/.exec(readLink(root, `${folder}/${name}`) ?? "")?.[1] ?? [],
	);
}

/** Hex digits of an address; the tables of sockets and IPv4 routes print each 32-bit word in host byte order. */
export function addressFromHex(hex: string, hostOrder: boolean): Network | undefined {
	if (!/^([0-9a-fA-F]{8}|[0-9a-fA-F]{32})$/.test(hex)) return undefined;
	const bytes = Buffer.from(hex, "hex");
	// Both architectures we run on are little-endian.
	if (hostOrder) bytes.swap32();
	const network = networkFromBytes(bytes.length === 4 ? 2 : 10, bytes, 0);
	// An IPv4 peer of a dual-stack socket is shown mapped; through text it becomes IPv4.
	return network === undefined ? undefined : parseNetwork(formatNetwork(network));
}
