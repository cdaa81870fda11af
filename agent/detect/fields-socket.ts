// fd.* of sockets: which end is whose, addresses, ports, names.
import { showIpv4, showIpv6 } from "../model/address-text.ts";
import { EventKind, type EventView, Text } from "../model/event.ts";
import { socketEvent } from "../model/layout.ts";
import { type AddressField, bool, type End, type Fields, number, type TextField, text } from "./field.ts";

const { connect, accept, bind, listen, send, dup, dns } = EventKind;
const inet = 2;
const inet6 = 10;
const unix = 1;

/** Kinds whose record has the ends of a socket. */
export const ended: readonly EventKind[] = [connect, accept, bind, listen, send, dup, dns];
/** Those that act on a descriptor. */
export const sockets: readonly EventKind[] = [connect, accept, bind, listen, send, dup];
const isEnded = new Set<EventKind>(ended);

/** Has it got addresses at all? */
export function hasAddresses(event: EventView): boolean {
	return (event.family === inet || event.family === inet6) && isEnded.has(event.kind);
}

/** Which end of the record that is; undefined where it has none, or where nobody knows whose it is. */
function endOf({ kind, remotePort }: EventView, end: End): "local" | "remote" | undefined {
	switch (end) {
		case "local":
			return "local";
		case "remote":
			return kind === bind || kind === listen || (kind === dup && remotePort === 0) ? undefined : "remote";
		case "server":
			if (kind === accept || kind === bind || kind === listen) return "local";
			return kind === dup ? undefined : "remote";
		case "client":
			if (kind === accept) return "remote";
			return kind === connect || kind === send || kind === dns ? "local" : undefined;
	}
}

/** Where the address of that end starts in the event's bytes; -1 when it has none. Only for one with addresses. */
export function addressStart(event: EventView, end: End): number {
	const found = endOf(event, end);
	if (found === undefined) return -1;
	return found === "local" ? event.localAddressStart : event.remoteAddressStart;
}

function portOf(event: EventView, end: End): number | undefined {
	if (!hasAddresses(event)) return undefined;
	const found = endOf(event, end);
	if (found === undefined) return undefined;
	return found === "local" ? event.localPort : event.remotePort;
}

function addressOf(event: EventView, end: End): string | undefined {
	if (!hasAddresses(event)) return undefined;
	const start = addressStart(event, end);
	if (start < 0) return undefined;
	return event.family === inet ? showIpv4(event.bytes, start) : showIpv6(event.bytes, start);
}

/** "10.0.0.1:443"; undefined where there is no such end. */
export function endpoint(event: EventView, end: End): string | undefined {
	const address = addressOf(event, end);
	if (address === undefined) return undefined;
	const port = portOf(event, end) ?? 0;
	return event.family === inet6 ? `[${address}]:${port}` : `${address}:${port}`;
}

/** "client->server"; of one that waits its own end; of one that nobody knows the role of, local first. */
export function socketName(event: EventView): string | undefined {
	if (event.family === unix) return event.text(Text.path);
	if (!hasAddresses(event)) return undefined;
	const server = endpoint(event, "server");
	const client = endpoint(event, "client");
	if (server !== undefined) return client === undefined ? server : `${client}->${server}`;
	const remote = endpoint(event, "remote");
	const local = endpoint(event, "local") ?? "";
	return remote === undefined ? local : `${local}->${remote}`;
}

/** For outputs: an address field's own text. */
export function addressField(field: AddressField): TextField["get"] {
	const end = field.ends.at(-1) ?? "remote";
	return ({ event }) => addressOf(event, end) ?? addressOf(event, field.ends[0] ?? end);
}

const types: Readonly<Record<number, string>> = { [inet]: "ipv4", [inet6]: "ipv6", [unix]: "unix" };
const typeChars: Readonly<Record<number, string>> = { [inet]: "4", [inet6]: "6", [unix]: "u" };

export function typeOfSocket({ family }: EventView): string | undefined {
	return types[family];
}

export function typeCharOfSocket({ family }: EventView): string | undefined {
	return typeChars[family];
}

/** The descriptor an event is about; of accept and dup the one that it makes. */
export function socketDescriptor(event: EventView): number {
	if (event.kind === accept || event.kind === dup) return Math.max(-1, event.result);
	return event.signed(socketEvent.descriptor);
}

const protocols: Readonly<Record<number, string>> = {
	1: "icmp",
	6: "tcp",
	17: "udp",
	58: "icmp",
	255: "raw",
};

const addresses = (names: readonly string[], ends: readonly End[]): Fields =>
	Object.fromEntries(
		names.map((name) => [`fd.${name}`, { type: "address", kinds: ended, ends } satisfies AddressField]),
	);

/** The peer's name is known by what was looked up, so only that of the other host. */
const peerName = (end: End): TextField =>
	text(ended, (observation, context) =>
		endOf(observation.event, end) === "remote" ? context.peerName?.(observation) : undefined,
	);

export const socketFields: Fields = {
	"fd.sockfamily": text(sockets, ({ event }) => {
		if (event.family === unix) return "unix";
		return hasAddresses(event) ? "ip" : undefined;
	}),
	"fd.l4proto": text(ended, ({ event }) => {
		if (event.kind === dns) return "udp";
		return event.family === unix ? undefined : protocols[event.protocol];
	}),
	"fd.connected": bool(
		({ event }) => (event.kind === accept ? event.result >= 0 : event.kind === connect && event.result === 0),
		[connect, accept, bind, listen, send],
	),
	"fd.name_changed": bool(({ event }) => event.kind === send || event.kind === connect, sockets),
	"fd.is_server": bool(
		({ event }) => event.kind === accept || event.kind === bind || event.kind === listen,
		[connect, accept, bind, listen, send],
	),
	...addresses(["ip", "net"], ["local", "remote"]),
	...addresses(["sip", "snet"], ["server"]),
	...addresses(["cip", "cnet"], ["client"]),
	...addresses(["rip", "rnet"], ["remote"]),
	...addresses(["lip", "lnet"], ["local"]),
	"fd.sport": number(ended, ({ event }) => portOf(event, "server")),
	"fd.cport": number(ended, ({ event }) => portOf(event, "client")),
	"fd.rport": number(ended, ({ event }) => portOf(event, "remote")),
	"fd.lport": number(ended, ({ event }) => portOf(event, "local")),
	"fd.port": {
		...number(ended, ({ event }) => portOf(event, "remote") ?? portOf(event, "local")),
		other: ({ event }) => portOf(event, "local"),
	},
	"fd.sip.name": peerName("server"),
	"fd.cip.name": peerName("client"),
	"fd.rip.name": peerName("remote"),
};
