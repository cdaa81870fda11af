// What is never touched, whoever asks: the floor under every policy and every console. Each question is answered
// from the host as it is now, with the reason. On doubt the answer is "protected".
import { contains, formatNetwork, type Network, overlaps, parseNetwork } from "../model/address.ts";
import type { ContainerState } from "./containers.ts";
import { hostAddresses } from "./host-addresses.ts";
import { type ProcessIdentity, readIdentity, readLink, readText } from "./procfs.ts";

/** What the configuration adds to the floor. Addresses may be host names and may carry a port. */
export interface ProtectedExtra {
	readonly addresses: readonly string[];
	/** Names or ids. */
	readonly containers: readonly string[];
	/** Names (comm) or paths of executables. */
	readonly processes: readonly string[];
}

/** Each gives the reason why the target is protected, or undefined. */
export interface Protection {
	address(network: Network): Promise<string | undefined>;
	container(state: ContainerState): Promise<string | undefined>;
	process(identity: ProcessIdentity): string | undefined;
}

export interface ProtectionDeps {
	/** "/" outside tests: where /proc, /etc and /run lie below. */
	readonly root: string;
	/** The sensor's pid. */
	readonly self: number;
	readonly extra: () => ProtectedExtra;
	/** Addresses of a host name; rejects when it cannot be resolved. */
	readonly resolve: (name: string) => Promise<readonly string[]>;
	readonly clock: () => number;
}

const floor: readonly (readonly [string, string])[] = [
	["0.0.0.0/8", "this host itself"],
	["127.0.0.0/8", "loopback"],
	["::1", "loopback"],
	["::", "this host itself"],
	["169.254.0.0/16", "link-local: neighbours, the cloud's metadata and name servers"],
	["fe80::/10", "link-local: routers and neighbours"],
	["224.0.0.0/4", "multicast"],
	["ff00::/8", "multicast, which neighbour discovery needs"],
	["255.255.255.255", "broadcast"],
];
const floorNetworks = floor.map(([text, why]) => ({ network: parseNetwork(text), why }));

/** Without these nobody can log in or the containers lose their keeper. Only as the host's own executables. */
const vitalExecutables = [
	/^(\/usr)?\/sbin\/sshd$/,
	/^\/usr\/lib\/(openssh|ssh)\/sshd-(session|auth)$/,
	/^(\/usr)?\/lib\/systemd\/systemd(-[a-z]+)?$/,
	/^\/usr\/s?bin\/(dockerd|containerd|containerd-shim[-a-z0-9]*|docker-proxy|docker-init|crio|conmon|podman)$/,
	/^\/usr\/bin\/dbus-(daemon|broker)$/,
];

/** How long an answer of the name service is used. */
const resolvedForMs = 60_000;
const resolveWithinMs = 2000;

export function createProtection(deps: ProtectionDeps): Protection {
	const { root, self, extra } = deps;
	const resolved = new Map<string, { at: number; addresses: readonly string[] }>();

	/** The last good answer stays when a new one cannot be had. */
	async function resolve(name: string): Promise<readonly string[]> {
		const known = resolved.get(name);
		if (known !== undefined && deps.clock() - known.at < resolvedForMs) return known.addresses;
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<undefined>((done) => {
			timer = setTimeout(done, resolveWithinMs, undefined);
		});
		const answer = await Promise.race([deps.resolve(name).catch(() => undefined), late]);
		clearTimeout(timer);
		const addresses = answer ?? known?.addresses ?? [];
		resolved.set(name, { at: deps.clock(), addresses });
		return addresses;
	}

	async function extraAddresses(): Promise<Network[]> {
		const networks: Network[] = [];
		for (const text of extra().addresses) {
			const host = withoutPort(text);
			const direct = tryParse(host);
			const texts = direct === undefined && host !== "" ? await resolve(host) : [];
			networks.push(...[direct, ...texts.map(tryParse)].filter((network) => network !== undefined));
		}
		return networks;
	}

	function ancestry(): Set<number> {
		const pids = new Set<number>([1, self]);
		// Bounded: a process tree this deep is damaged.
		for (let pid = self; pids.size < 1000; ) {
			const parent = readIdentity(root, pid)?.parentPid ?? 0;
			if (parent <= 0 || pids.has(parent)) break;
			pids.add(parent);
			pid = parent;
		}
		return pids;
	}

	return {
		async address(network) {
			for (const { network: protectedNetwork, why } of floorNetworks) {
				if (overlaps(protectedNetwork, network)) return why;
			}
			for (const { address, why } of await hostAddresses(root)) {
				if (contains(network, address)) return `${formatNetwork(address)} is ${why}`;
			}
			for (const one of await extraAddresses()) {
				if (overlaps(one, network)) return `${formatNetwork(one)} is protected by configuration`;
			}
			return undefined;
		},

		async container(state) {
			if (state.self === true || (await isOwnContainer(root, state.id))) return "the sensor runs in it";
			const names = extra().containers;
			const listed = names.some(
				(name) => name === state.name || (name.length >= 12 && state.id.startsWith(name)),
			);
			return listed ? "it is protected by configuration" : undefined;
		},

		process(identity) {
			const { pid, comm } = identity;
			if (pid === 1) return "it is the init process";
			if (pid === self) return "it is the sensor itself";
			if (identity.kernelThread || pid === 2 || identity.parentPid === 2) return "it is a kernel thread";
			if (ancestry().has(pid)) return "the sensor runs below it";
			const executable = readLink(root, `proc/${pid}/exe`)?.replace(/ \(deleted\)$/, "");
			const listed = extra().processes;
			if (listed.includes(comm) || (executable !== undefined && listed.includes(executable))) {
				return "it is protected by configuration";
			}
			// In a container anybody may call a file /usr/sbin/sshd.
			const mounts = readLink(root, `proc/${pid}/ns/mnt`);
			const ofHost = mounts === undefined || mounts === readLink(root, "proc/1/ns/mnt");
			if (ofHost && executable !== undefined && vitalExecutables.some((vital) => vital.test(executable))) {
				return `${executable} keeps this host reachable and its containers running`;
			}
			return undefined;
		},
	};
}

/** The id of a container is in the cgroup path or, with a private cgroup namespace, in the mounts of its files. */
async function isOwnContainer(root: string, id: string): Promise<boolean> {
	if (id.length < 12) return false;
	const cgroup = (await readText(root, "proc/self/cgroup")) ?? "";
	if (cgroup.includes(id)) return true;
	const mounts = (await readText(root, "proc/self/mountinfo")) ?? "";
	return mounts.split("\n").some((line) => line.includes(`/containers/${id}/`) && line.includes("/etc/host"));
}

/** "console.example:7000", "[2001:db8::1]:7000", "10.0.0.0/8" → the part that names a host or network. */
function withoutPort(text: string): string {
	const bracketed = /^\[([^\]]+)\](:\d+)?$/.exec(text);
	if (bracketed !== null) return bracketed[1] ?? "";
	const parts = text.split(":");
	return parts.length === 2 ? (parts[0] ?? "") : text;
}

function tryParse(text: string): Network | undefined {
	try {
		return parseNetwork(text);
	} catch {
		return undefined;
	}
}
