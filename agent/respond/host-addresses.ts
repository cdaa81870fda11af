// Addresses this host depends on, each with the reason: its own, its routers, its name servers, the networks of its
// containers. Read as they are now from /proc and /etc below a root.
import { formatNetwork, type Network, parseNetwork } from "../model/address.ts";
import { readTable } from "./procfs.ts";
import { addressFromHex } from "./sockets.ts";

export interface HostAddress {
	/** Mostly a single address. */
	readonly address: Network;
	readonly why: string;
}

/** Kernel formats: fib_trie and route (net/ipv4), if_inet6 and ipv6_route (net/ipv6). `net` is such as "proc/net". */
export async function networkAddresses(root: string, net: string): Promise<HostAddress[]> {
	const [trie, interfaces6, routes, routes6] = await Promise.all(
		["fib_trie", "if_inet6", "route", "ipv6_route"].map((name) => readTable(root, `${net}/${name}`)),
	);
	return [
		...own4(trie ?? []),
		...own6(interfaces6 ?? []),
		...routers4((routes ?? []).slice(1)),
		...routers6(routes6 ?? []),
		...bridges4((routes ?? []).slice(1)),
		...bridges6(routes6 ?? []),
	];
}

/** An address line "|-- 10.0.0.1" is followed by "/32 host LOCAL" for each way in which it is used. */
function own4(rows: readonly string[][]): HostAddress[] {
	const found: HostAddress[] = [];
	let current = "";
	for (const fields of rows) {
		if (fields[0] === "|--") current = fields[1] ?? "";
		const kind = fields.at(-1);
		if (fields[0] !== "/32" || (kind !== "LOCAL" && kind !== "BROADCAST")) continue;
		const why = kind === "LOCAL" ? "an address of this host" : "a broadcast address of this host";
		found.push({ address: parseNetwork(current), why });
	}
	return found;
}

function own6(rows: readonly string[][]): HostAddress[] {
	return rows.flatMap(([address = ""]) => named(addressFromHex(address, false), "an address of this host"));
}

const RTF_GATEWAY = 2;
const isRouted = (flags = "0") => (Number.parseInt(flags, 16) & RTF_GATEWAY) !== 0;
const router = "a router of this host";

function routers4(rows: readonly string[][]): HostAddress[] {
	return rows
		.filter((row) => isRouted(row[3]))
		.flatMap((row) => named(addressFromHex(row[2] ?? "", true), router));
}

function routers6(rows: readonly string[][]): HostAddress[] {
	return rows
		.filter((row) => isRouted(row[8]))
		.flatMap((row) => named(addressFromHex(row[4] ?? "", false), router));
}

/** Interfaces that Docker, Podman and the usual Kubernetes plug-in make for the networks of containers. */
const bridge = /^(docker\d+|docker_gwbridge|br-[0-9a-f]{12}|podman\d+|cni-podman\d+|cni\d+)$/;
const ofContainers = "in a network of this host's containers; disconnect the container instead";

function bridges4(rows: readonly string[][]): HostAddress[] {
	return rows
		.filter((row) => bridge.test(row[0] ?? "") && !isRouted(row[3]))
		.flatMap((row) => {
			const address = addressFromHex(row[1] ?? "", true);
			const mask = addressFromHex(row[7] ?? "", true);
			return bridged(address, mask === undefined ? 0 : ones(mask.words[0] ?? 0));
		});
}

function bridges6(rows: readonly string[][]): HostAddress[] {
	return rows
		.filter((row) => bridge.test(row[9] ?? "") && !isRouted(row[8]))
		.flatMap((row) => bridged(addressFromHex(row[0] ?? "", false), Number.parseInt(row[1] ?? "0", 16)));
}

/** Routes of no width are no network of containers. */
function bridged(address: Network | undefined, prefix: number): HostAddress[] {
	if (address === undefined || prefix === 0) return [];
	return [{ address: { ...address, prefix }, why: ofContainers }];
}

function ones(word: number): number {
	return word.toString(2).replaceAll("0", "").length;
}

/** Behind the stub 127.0.0.53 the real name servers are in a file of whoever runs the stub. */
const resolverFiles = [
	"etc/resolv.conf",
	"run/systemd/resolve/resolv.conf",
	"run/NetworkManager/no-stub-resolv.conf",
	"run/NetworkManager/resolv.conf",
];

/** `host` is where the host's /etc and /run lie below. */
export async function resolverAddresses(host: string): Promise<HostAddress[]> {
	const tables = await Promise.all(resolverFiles.map((file) => readTable(host, file)));
	return tables.flat().flatMap(([word, address = ""]) => {
		if (word !== "nameserver") return [];
		return named(tryParse(address.replace(/%.*/, "")), "a name server of this host");
	});
}

function named(address: Network | undefined, why: string): HostAddress[] {
	return address === undefined ? [] : [{ address, why }];
}

export function tryParse(text: string): Network | undefined {
	try {
		return parseNetwork(text);
	} catch {
		return undefined;
	}
}

/** Once each, without the unspecified addresses that stand for no router. */
export function distinct(found: readonly HostAddress[]): HostAddress[] {
	const seen = new Set(["0.0.0.0", "::"]);
	return found.filter(({ address }) => {
		const text = formatNetwork(address);
		const fresh = !seen.has(text);
		seen.add(text);
		return fresh;
	});
}
