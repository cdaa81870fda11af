// Addresses as the configuration has them.
import { parseNetwork } from "../model/address.ts";

/** On this host: a socket, "localhost" or a loopback address, with its port. */
export function isLocal(text: string): boolean {
	if (text.startsWith("unix:")) return true;
	const host = splitHostPort(text)?.host ?? "";
	if (host === "localhost") return true;
	try {
		const { family, words } = parseNetwork(host);
		const [first = 0] = words;
		return family === 4 ? first >>> 24 === 127 : words.join() === "0,0,0,1";
	} catch {
		return false;
	}
}

/** Of "host:port" or "[IPv6]:port"; undefined for anything else. */
export function splitHostPort(text: string): { host: string; port: number } | undefined {
	const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
	const port = Number(match?.[3]);
	if (match === null || port < 1 || port > 65_535) return undefined;
	return { host: match[1] ?? match[2] ?? "", port };
}
