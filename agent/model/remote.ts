// The other end of what an observation is about.
import { showIpv4, showIpv6 } from "./address-text.ts";
import { EventKind, type Observation } from "./event.ts";

export const AF_INET = 2;
export const AF_INET6 = 10;

/** Of a question to a resolver the other end is nobody who did something. */
const withPeer: ReadonlySet<number> = new Set([
	EventKind.connect,
	EventKind.accept,
	EventKind.send,
	EventKind.dup,
]);

/**
 * Address of the peer of a connection made, taken or used; of a process whose standard streams are a connection (a
 * shell behind a socket) that connection's. "" when there is none over IP.
 */
export function remoteAddressOf({ event, process }: Observation): string {
	if (withPeer.has(event.kind)) {
		const own = shown(event.family, event.bytes, event.remoteAddressStart);
		if (own !== "") return own;
	}
	for (const { family, remoteAddress } of process?.streams ?? []) {
		const peer = remoteAddress === undefined ? "" : shown(family, remoteAddress, 0);
		if (peer !== "") return peer;
	}
	return "";
}

/** An unspecified address is nobody's. */
function shown(family: number, bytes: Uint8Array, start: number): string {
	const address =
		family === AF_INET ? showIpv4(bytes, start) : family === AF_INET6 ? showIpv6(bytes, start) : "";
	return address === "0.0.0.0" || address === "::" ? "" : address;
}
