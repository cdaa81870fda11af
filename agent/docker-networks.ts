// Reads a container's networks from the engine's JSON, with what it takes to put it there again, and writes the
// request that does. The configured part goes back to the engine as it came, known keys only.
import type { Complain } from "./docker-answers.ts";

export interface Attachment {
	readonly network: string;
	readonly networkId: string;
	/** IPv4, or IPv6 where there is no other; "" when it has none. */
	readonly address: string;
	readonly configured: Readonly<Record<string, unknown>>;
}

type Json = Readonly<Record<string, unknown>>;

const maxNetworks = 64;
/** Characters of JSON for one network. */
const maxConfigured = 16_384;
const networkName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/;
const networkId = /^[0-9a-f]{64}$/;
/** Of an endpoint, what a user can choose. The address that was given by chance is not among it, the MAC address is. */
const configurable = ["IPAMConfig", "Links", "Aliases", "DriverOpts", "GwPriority", "MacAddress"] as const;

/** NetworkSettings.Networks; the one that `mode` names first, since that became the first interface. */
export function readNetworks(answer: unknown, id: string, mode: string, complain: Complain): Attachment[] {
	if (typeof answer !== "object" || answer === null) return [];
	const all = Object.entries(answer);
	if (all.length > maxNetworks) complain("NetworkSettings.Networks");
	const first = mode === "default" ? "bridge" : mode;
	return all
		.slice(0, maxNetworks)
		.flatMap(([name, endpoint]) => readNetwork(name, endpoint, id, complain) ?? [])
		.sort((a, b) => Number(b.network === first) - Number(a.network === first));
}

/** The body of POST /networks/<id>/connect. */
export function connectRequest(id: string, { configured }: Attachment): Json {
	return { Container: id, EndpointConfig: configured };
}

export function isNetworkId(text: string): boolean {
	return networkId.test(text);
}

function readNetwork(name: string, value: unknown, id: string, complain: Complain): Attachment | undefined {
	const endpoint = typeof value === "object" && value !== null ? (value as Json) : {};
	const { NetworkID, IPAddress, GlobalIPv6Address } = endpoint;
	// A container that was made and never started is in networks without an id.
	if (typeof NetworkID !== "string" || !isNetworkId(NetworkID) || !networkName.test(name)) {
		if (NetworkID !== "") complain("NetworkSettings.Networks");
		return undefined;
	}
	const chosen = configurable.flatMap((key): [string, unknown][] => {
		const given = key === "Aliases" ? aliases(endpoint.Aliases, id) : endpoint[key];
		return given === null || given === undefined || given === "" ? [] : [[key, given]];
	});
	const configured = Object.fromEntries(chosen);
	if (JSON.stringify(configured).length > maxConfigured) {
		complain("NetworkSettings.Networks");
		return undefined;
	}
	const address = [IPAddress, GlobalIPv6Address].find((one) => typeof one === "string" && one !== "");
	return {
		network: name,
		networkId: NetworkID,
		address: typeof address === "string" ? address : "",
		configured,
	};
}

/** Without the short id, which engines up to 24 add by themselves each time. */
function aliases(value: unknown, id: string): unknown {
	return Array.isArray(value) ? value.filter((alias) => alias !== id.slice(0, 12)) : value;
}
