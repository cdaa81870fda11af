// Single addresses this host depends on, each with the reason: its own, its routers, its name servers and the
// far ends of the SSH sessions that may be somebody's only way in. Read from /proc and /etc below a root.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { formatNetwork, type Network, networkFromBytes, parseNetwork } from "../model/address.ts";
import { readTable, readText } from "./procfs.ts";

export interface HostAddress {
	readonly address: Network;
	readonly why: string;
}

/** Kernel formats: fib_trie and route (net/ipv4), if_inet6 and ipv6_route (net/ipv6), tcp and tcp6. */
export async function hostAddresses(root: string): Promise<HostAddress[]> {
	const parts = await Promise.all([
		own4(root),
		own6(root),
		gateways4(root),
		gateways6(root),
		resolvers(root),
		sshPeers(root),
	]);
	const seen = new Set<string>();
	return parts.flat().filter(({ address }) => {
		const text = formatNetwork(address);
		const fresh = !seen.has(text) && text !== "0.0.0.0" && text !== "::";
		seen.add(text);
		return fresh;
	});
}

/** An address line "|-- 10.0.0.1" is followed by "/32 host LOCAL" for each way in which it is used. */
async function own4(root: string): Promise<HostAddress[]> {
	const found: HostAddress[] = [];
	let current = "";
	for (const fields of await readTable(root, "proc/net/fib_trie")) {
		if (fields[0] === "|--") current = fields[1] ?? "";
		const kind = fields.at(-1);
		if (fields[0] !== "/32" || (kind !== "LOCAL" && kind !== "BROADCAST")) continue;
		const why = kind === "LOCAL" ? "an address of this host" : "a broadcast address of this host";
		found.push({ address: parseNetwork(current), why });
	}
	return found;
}

async function own6(root: string): Promise<HostAddress[]> {
	const rows = await readTable(root, "proc/net/if_inet6");
	return rows.flatMap(([address = ""]) => named(fromHex(address, false), "an address of this host"));
}

const RTF_GATEWAY = 2;

async function gateways4(root: string): Promise<HostAddress[]> {
	const rows = (await readTable(root, "proc/net/route")).slice(1);
	return rows
		.filter((row) => (Number.parseInt(row[3] ?? "0", 16) & RTF_GATEWAY) !== 0)
		.flatMap((row) => named(fromHex(row[2] ?? "", true), "a router of this host"));
}

async function gateways6(root: string): Promise<HostAddress[]> {
	const rows = await readTable(root, "proc/net/ipv6_route");
	return rows
		.filter((row) => (Number.parseInt(row[8] ?? "0", 16) & RTF_GATEWAY) !== 0)
		.flatMap((row) => named(fromHex(row[4] ?? "", false), "a router of this host"));
}

/** Behind the stub 127.0.0.53 the real name servers are in a file of whoever runs the stub. */
const resolverFiles = [
	"etc/resolv.conf",
	"run/systemd/resolve/resolv.conf",
	"run/NetworkManager/no-stub-resolv.conf",
];

async function resolvers(root: string): Promise<HostAddress[]> {
	const tables = await Promise.all(resolverFiles.map((file) => readTable(root, file)));
	return tables.flat().flatMap(([word, address = ""]) => {
		if (word !== "nameserver") return [];
		try {
			return named(parseNetwork(address.replace(/%.*/, "")), "a name server of this host");
		} catch {
			return [];
		}
	});
}

const TCP_ESTABLISHED = "01";

async function sshPeers(root: string): Promise<HostAddress[]> {
	const ports = await sshPorts(root);
	const tables = await Promise.all([readTable(root, "proc/net/tcp"), readTable(root, "proc/net/tcp6")]);
	return tables.flat().flatMap(([, local = "", remote = "", state]) => {
		const port = Number.parseInt(local.split(":")[1] ?? "", 16);
		if (state !== TCP_ESTABLISHED || !ports.has(port)) return [];
		return named(fromHex(remote.split(":")[0] ?? "", true), "the far end of an SSH session");
	});
}

/** 22 and whatever sshd_config names besides. */
async function sshPorts(root: string): Promise<Set<number>> {
	const directory = "etc/ssh/sshd_config.d";
	const more = await readdir(join(root, directory)).catch(() => []);
	const files = ["etc/ssh/sshd_config", ...more.map((name) => `${directory}/${name}`)];
	const texts = await Promise.all(files.map((file) => readText(root, file)));
	const found = texts.flatMap((text) => [...(text ?? "").matchAll(/^\s*Port\s+(\d+)/gim)]);
	return new Set([22, ...found.map((match) => Number(match[1]))]);
}

/** Hex digits of an address; the tables of TCP and IPv4 routes print each 32-bit word in host byte order. */
function fromHex(hex: string, hostOrder: boolean): Network | undefined {
	if (!/^([0-9a-fA-F]{8}|[0-9a-fA-F]{32})$/.test(hex)) return undefined;
	const bytes = Buffer.from(hex, "hex");
	// Both architectures we run on are little-endian.
	if (hostOrder) bytes.swap32();
	const network = networkFromBytes(bytes.length === 4 ? 2 : 10, bytes, 0);
	// An IPv4 peer of a dual-stack socket is shown mapped; through text it becomes IPv4.
	return network === undefined ? undefined : parseNetwork(formatNetwork(network));
}

function named(address: Network | undefined, why: string): HostAddress[] {
	return address === undefined ? [] : [{ address, why }];
}
