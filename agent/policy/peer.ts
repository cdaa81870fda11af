// One line of a peers list: a network, a network with a port, or ports alone.
import { containsBytes, type Network, parseNetwork } from "../model/address.ts";

export interface Peer {
	/** Undefined: any address. */
	readonly network: Network | undefined;
	readonly lowPort: number;
	readonly highPort: number;
}

const portsPattern = /^(\d{1,5})(?:-(\d{1,5}))?$/;

/** "10.0.0.0/8", "10.0.0.0/8:443", "[2001:db8::/32]:443", "443", "8000-8100"; undefined for anything else. */
export function parsePeer(text: string): Peer | undefined {
	const alone = parsePorts(text);
	if (alone !== undefined) return { network: undefined, ...alone };
	const bracketed = /^\[([^\]]+)\](?::([\d-]+))?$/.exec(text);
	const plain = /^([\d./]+)(?::([\d-]+))?$/.exec(text);
	const [, address = text, portText] = bracketed ?? plain ?? [];
	const ports = portText === undefined ? { lowPort: 0, highPort: 65_535 } : parsePorts(portText);
	if (ports === undefined) return undefined;
	try {
		return { network: parseNetwork(address), ...ports };
	} catch {
		return undefined;
	}
}

/** Allocates nothing; `start` is where the address lies in `bytes`. */
export function peerMatches(peer: Peer, family: number, bytes: Buffer, start: number, port: number): boolean {
	if (port < peer.lowPort || port > peer.highPort) return false;
	return peer.network === undefined || containsBytes(peer.network, family, bytes, start);
}

const loopbacks = ["127.0.0.0/8", "::1"].map(parseNetwork);

/** Allocates nothing. */
export function isLoopback(family: number, bytes: Buffer, start: number): boolean {
	for (const network of loopbacks) if (containsBytes(network, family, bytes, start)) return true;
	return false;
}

function parsePorts(text: string): { lowPort: number; highPort: number } | undefined {
	const match = portsPattern.exec(text);
	if (match === null) return undefined;
	const lowPort = Number(match[1]);
	const highPort = Number(match[2] ?? match[1]);
	return lowPort >= 1 && highPort <= 65_535 && lowPort <= highPort ? { lowPort, highPort } : undefined;
}
