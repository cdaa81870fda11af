// The connections of this host and its containers as /proc shows them, with who holds each. Asked by consoles and for
// evidence; read in turns, and within bounds.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { formatNetwork } from "../model/address.ts";
import type * as wire from "../model/picket.v1.ts";
import { listPids, readLink } from "../respond/procfs.ts";
import { addressFromHex } from "../respond/sockets.ts";
import { readBounded } from "./bounded-read.ts";
import { createTurns } from "./turns.ts";

export interface ConnectionsFound {
	readonly connections: wire.Connection[];
	/** There are more, or something was not looked at; "" when that is all. */
	readonly truncated: string;
}

export interface ConnectionsOptions {
	/** Only those of this process; 0 for all. */
	readonly pid: number;
	readonly limit: number;
	/** What is known of a process, by its pid. */
	readonly holder: (pid: number) => Pick<wire.Connection, "executable" | "containerId">;
	/** Where /proc lies below; "/" by default. */
	readonly root?: string;
	/** Instead of /proc/PID: a way to it that does not lead to another process. */
	readonly folder?: string;
}

const tables = [
	["tcp", "tcp"],
	["tcp6", "tcp"],
	["udp", "udp"],
	["udp6", "udp"],
] as const;
/** include/net/tcp_states.h */
const states = [
	"",
	"established",
	"syn-sent",
	"syn-received",
	"fin-wait-1",
	"fin-wait-2",
	"time-wait",
	"close",
	"close-wait",
	"last-ack",
	"listen",
	"closing",
	"syn-received",
] as const;
/** Lines of 150 bytes: 100,000 sockets of one table. */
const maxTableBytes = 16 * 1024 * 1024;
const maxDescriptors = 1_000_000;
const maxNamespaces = 1000;
const deadlineMs = 20_000;

export async function findConnections(options: ConnectionsOptions): Promise<ConnectionsFound> {
	const { pid: only, limit, holder, root = "/" } = options;
	const ends = performance.now() + deadlineMs;
	const turn = createTurns();
	const folderOf = (pid: number) =>
		only !== 0 && options.folder !== undefined ? options.folder : join(root, "proc", String(pid));
	const pids = only === 0 ? listPids(root) : [only];
	const holders = new Map<string, number>();
	/** A process of each network namespace. */
	const spaces = new Map<string, number>();
	const missing = new Set<string>();
	let descriptors = 0;

	for (const pid of pids) {
		await turn();
		if (performance.now() > ends || descriptors > maxDescriptors) {
			missing.add("not all processes were looked at");
			break;
		}
		const space = readLink(folderOf(pid), "ns/net");
		if (space !== undefined && !spaces.has(space)) spaces.set(space, pid);
		for (const name of namesIn(join(folderOf(pid), "fd"))) {
			if (++descriptors % 64 === 0) await turn();
			const inode = /^socket:\[(\d+)\]$/.exec(readLink(folderOf(pid), `fd/${name}`) ?? "")?.[1];
			if (inode !== undefined && !holders.has(inode)) holders.set(inode, pid);
		}
	}

	const connections: wire.Connection[] = [];
	let namespaces = 0;
	for (const pid of spaces.values()) {
		if (++namespaces > maxNamespaces) missing.add(`only ${maxNamespaces} network namespaces were looked at`);
		if (namespaces > maxNamespaces) break;
		for (const [table, protocol] of tables) {
			const left = ends - performance.now();
			if (left <= 0) missing.add("not all network namespaces were looked at");
			if (left <= 0) break;
			const path = join(folderOf(pid), "net", table);
			const read = await readBounded(path, maxTableBytes, left).catch(() => undefined);
			if (read === undefined) continue;
			if (read.truncated) missing.add(`${table} has more than ${maxTableBytes} bytes`);
			for (const line of linesOf(read.bytes.toString("latin1"))) {
				await turn();
				const found = connectionOf(line, protocol);
				if (found === undefined) continue;
				const held = holders.get(found.inode);
				if (only !== 0 && held === undefined) continue;
				if (connections.length >= limit) {
					missing.add(`cut at ${limit}`);
					return { connections, truncated: [...missing].join("; ") };
				}
				connections.push({
					...found.connection,
					...(held !== undefined && { pid: held, ...holder(held) }),
				});
			}
		}
	}
	return { connections, truncated: [...missing].join("; ") };
}

function* linesOf(table: string): Generator<string> {
	let start = table.indexOf("\n") + 1;
	while (start > 0 && start < table.length) {
		const newline = table.indexOf("\n", start);
		// What was cut is no line.
		if (newline < 0) return;
		yield table.slice(start, newline);
		start = newline + 1;
	}
}

const line =
	/^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ +(\d+)/;

function connectionOf(
	text: string,
	protocol: "tcp" | "udp",
): { readonly inode: string; readonly connection: wire.Connection } | undefined {
	const [, local = "", localPort = "", remote = "", remotePort = "", state = "", inode = ""] =
		line.exec(text) ?? [];
	const from = addressFromHex(local, true);
	const to = addressFromHex(remote, true);
	if (from === undefined || to === undefined) return undefined;
	const number = Number.parseInt(state, 16);
	// Of UDP, "close" means that it has no peer.
	const word = protocol === "udp" && number === 7 ? "unconnected" : (states[number] ?? "");
	return {
		inode,
		connection: {
			protocol,
			localAddress: formatNetwork(from),
			localPort: Number.parseInt(localPort, 16),
			remoteAddress: formatNetwork(to),
			remotePort: Number.parseInt(remotePort, 16),
			state: word,
		},
	};
}

function namesIn(folder: string): string[] {
	try {
		return readdirSync(folder);
	} catch {
		// It has ended.
		return [];
	}
}
