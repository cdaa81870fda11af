// Which addresses are never blocked, and the networks that contain one. What the host depends on is read anew for every
// order; only in a flood of orders one look serves those of the same quarter of a second.
import { carried4, formatNetwork, isSingle, type Network, overlaps, parseNetwork } from "../model/address.ts";
import type { RunCommand } from "./command.ts";
import {
	distinct,
	type HostAddress,
	networkAddresses,
	resolverAddresses,
	tryParse,
} from "./host-addresses.ts";
import { createNameCache } from "./host-names.ts";
import { readServices, type Service } from "./host-services.ts";
import { configuredPorts, createSessions } from "./host-sessions.ts";
import { createInbound, type Inbound } from "./inbound.ts";
import { hostNets, hostRoot } from "./procfs.ts";
import type { VitalPrograms } from "./vital-programs.ts";
import { tooWide } from "./width.ts";

export interface AddressFloorDeps {
	/** "/" outside tests: where /proc lies below. */
	readonly root: string;
	/** From the configuration: addresses, networks or host names, with or without a port. */
	readonly extra: () => readonly string[];
	/** Addresses of a host name; rejects when it cannot be resolved. */
	readonly resolve: (name: string) => Promise<readonly string[]>;
	/** Runs the time daemons' own tools; without it only files are read. */
	readonly run?: RunCommand | undefined;
	readonly programs: VitalPrograms;
	/** Unix ms. */
	readonly clock: () => number;
}

export interface AddressFloor {
	/** Why the network is never blocked, undefined when it may be. */
	why(network: Network): Promise<string | undefined>;
	/** Looks at the host without an order, so that sessions which end are known and names are resolved. */
	refresh(): Promise<void>;
	readonly inbound: Inbound;
}

const metadata = "where clouds have their metadata, name and time servers";
const never: readonly (readonly [string, string])[] = [
	["0.0.0.0/8", "this host itself"],
	["127.0.0.0/8", "loopback"],
	["::1", "loopback"],
	["::", "this host itself"],
	["169.254.0.0/16", "link-local: neighbours, the cloud's metadata and name servers"],
	["100.100.100.200", metadata],
	["100.100.2.136/31", metadata],
	["100.100.2.138", metadata],
	["168.63.129.16", metadata],
	["fd00:ec2::/32", metadata],
	["fd00:c1::a9fe:a9fe", metadata],
	["fd20:ce::254", metadata],
	["fe80::/10", "link-local: routers and neighbours"],
	["224.0.0.0/4", "multicast"],
	["ff00::/8", "multicast, which neighbour discovery needs"],
	["240.0.0.0/4", "reserved, and broadcast"],
];
const neverNetworks: readonly HostAddress[] = never.map(([text, why]) => ({
	address: parseNetwork(text),
	why,
}));

/** ms for which one look at the host is used. */
const seenForMs = 250;
const servicesForMs = 10_000;

interface Look {
	/** Single addresses by their text. */
	readonly single: ReadonlyMap<string, string>;
	readonly all: readonly HostAddress[];
}

export function createAddressFloor(deps: AddressFloorDeps): AddressFloor {
	const { root, clock } = deps;
	const host = hostRoot(root);
	const nets = () => hostNets(root);
	const names = createNameCache(deps.resolve, clock);
	const sessions = createSessions({ root, host, nets, programs: deps.programs, clock });
	let sshPorts: ReadonlySet<number> = new Set([22]);
	const inbound = createInbound(clock, (port) => sshPorts.has(port));
	let look: Promise<Look> | undefined;
	let lookedAt = 0;
	let services: readonly Service[] | undefined;
	let asked: Promise<readonly Service[]> | undefined;
	let servicesAt = Number.NEGATIVE_INFINITY;

	/** Once there is an answer no order waits for the next. */
	async function currentServices(): Promise<readonly Service[]> {
		const now = clock();
		if (asked === undefined || now < servicesAt || now - servicesAt >= servicesForMs) {
			servicesAt = now;
			asked = readServices(root, host, deps.run).then((found) => {
				services = found;
				return found;
			});
		}
		return services ?? asked;
	}

	/** Host names and addresses alike; all names at the same time. */
	async function resolved(given: readonly Service[]): Promise<HostAddress[]> {
		const parts = given.map(async ({ name, why }) => {
			const direct = tryParse(name.replace(/%.*/, ""));
			const texts = direct === undefined && name !== "" ? await names.resolve(name) : [];
			const addresses = [direct, ...texts.map(tryParse)].filter((one) => one !== undefined);
			return addresses.map((address) => ({ address, why }));
		});
		return (await Promise.all(parts)).flat();
	}

	async function lookNow(): Promise<Look> {
		const configured = deps
			.extra()
			.map((text) => ({ name: withoutPort(text), why: "protected by configuration" }));
		const [ports, ...parts] = await Promise.all([
			configuredPorts(host),
			...nets().map((net) => networkAddresses(root, net)),
			resolverAddresses(host),
			sessions(),
			resolved(configured),
			currentServices().then(resolved),
		]);
		sshPorts = ports;
		const all = distinct(parts.flat());
		const single = new Map(
			all.filter(({ address }) => isSingle(address)).map(({ address, why }) => [formatNetwork(address), why]),
		);
		return { single, all };
	}

	function current(): Promise<Look> {
		const now = clock();
		if (look === undefined || now < lookedAt || now - lookedAt >= seenForMs) {
			lookedAt = now;
			look = lookNow();
		}
		return look;
	}

	function whyOne(network: Network, { single, all }: Look): string | undefined {
		for (const { address, why } of neverNetworks) {
			if (overlaps(address, network)) return why;
		}
		const wide = tooWide(network);
		if (wide !== undefined) return wide;
		const text = formatNetwork(network);
		const exact = single.get(text);
		if (exact !== undefined) return `${text} is ${exact}`;
		for (const { address, why } of all) {
			if (overlaps(address, network)) return `${formatNetwork(address)} is ${why}`;
		}
		const front = frontIn(network);
		return front && `${front} is where most recent connections come from: a proxy or balancer of this host`;
	}

	function frontIn(network: Network): string | undefined {
		if (isSingle(network)) {
			const words = network.family === 4 ? [0, 0, 0xffff, ...network.words] : network.words;
			return inbound.fronts(words) ? formatNetwork(network) : undefined;
		}
		const fronts = inbound.all().map(fromWords);
		const inside = fronts.find((front) => overlaps(front, network));
		return inside && formatNetwork(inside);
	}

	return {
		inbound,
		async refresh() {
			await current();
		},
		async why(network) {
			const seen = await current();
			const own = whyOne(network, seen);
			if (own !== undefined) return own;
			for (const carried of carried4(network)) {
				const why = whyOne(carried, seen);
				if (why !== undefined) return `it stands for ${formatNetwork(carried)} as well: ${why}`;
			}
			return undefined;
		},
	};
}

function fromWords(words: readonly number[]): Network {
	const mapped = words[0] === 0 && words[1] === 0 && words[2] === 0xffff;
	return mapped ? { family: 4, words: words.slice(3), prefix: 32 } : { family: 6, words, prefix: 128 };
}

/** "console.example:7000", "[2001:db8::1]:7000", "10.0.0.0/8" → the part that names a host or network. */
function withoutPort(text: string): string {
	const bracketed = /^\[([^\]]+)\](:\d+)?$/.exec(text);
	if (bracketed !== null) return bracketed[1] ?? "";
	const parts = text.split(":");
	return parts.length === 2 ? (parts[0] ?? "") : text;
}
