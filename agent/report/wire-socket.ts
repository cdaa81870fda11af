// Events about sockets and names of the network as JSON.
import { showIpv4, showIpv6 } from "../model/address-text.ts";
import type { DnsAnswer } from "../model/dns.ts";
import { EventFlag, EventKind, type EventView, type Observation, Text } from "../model/event.ts";
import { protocolName } from "../model/kernel-names.ts";
import { dnsEvent, socketEvent } from "../model/layout.ts";
import { familyName, socketTypeName } from "../model/number-names.ts";
import type * as wire from "../model/picket.v1.ts";
import { showText } from "./shown.ts";
import type { WireContext } from "./wire-context.ts";
import { resultOf } from "./wire-result.ts";

const ownNames: Readonly<Record<number, string>> = { 1: "unix", 2: "ipv4", 10: "ipv6" };

/** "unix", "ipv4", "ipv6", else as in the kernel's headers. */
export function shownFamily(family: number): string {
	return ownNames[family] ?? familyName(family);
}

export function connectToWire(observation: Observation, context: WireContext): wire.Connect {
	const { event } = observation;
	const connect: wire.Connect = { family: shownFamily(event.family) };
	if (event.family === 1) {
		connect.path = showText(socketName(event.text(Text.path)));
	} else {
		connect.protocol = protocolName(event.protocol);
		const source = addressAt(event, event.localAddressStart);
		if (source !== undefined && isChosen(source, event.localPort)) {
			connect.sourceAddress = source;
			connect.sourcePort = event.localPort;
		}
		const destination = addressAt(event, event.remoteAddressStart);
		if (destination !== undefined) connect.destinationAddress = destination;
		connect.destinationPort = event.remotePort;
		const name = context.peerName?.(observation);
		if (name !== undefined) connect.destinationName = showText(name);
	}
	Object.assign(connect, resultOf(event));
	if ((event.flags & EventFlag.peerFromUser) !== 0) connect.destinationUnverified = true;
	return connect;
}

export function socketToWire(observation: Observation, context: WireContext): wire.Socket {
	const { event } = observation;
	const { kind } = event;
	const socket: wire.Socket = { family: shownFamily(event.family) };
	const type = socketTypeName(event.word(socketEvent.type));
	if (type !== "") socket.type = type;
	if (event.family === 1) {
		if (event.textSize(Text.path) > 0) socket.path = showText(socketName(event.text(Text.path)));
	} else if (event.family === 2 || event.family === 10) {
		socket.protocol = protocolName(event.protocol);
		const local = addressAt(event, event.localAddressStart) ?? "";
		// Bound to every address is an answer; a socket that is not bound has none.
		if (isChosen(local, event.localPort) || kind === EventKind.bind || kind === EventKind.listen) {
			socket.localAddress = local;
			socket.localPort = event.localPort;
		}
		const remote = addressAt(event, event.remoteAddressStart) ?? "";
		if (isChosen(remote, event.remotePort)) {
			socket.remoteAddress = remote;
			socket.remotePort = event.remotePort;
			const name = context.peerName?.(observation);
			if (name !== undefined) socket.remoteName = showText(name);
		}
	} else if (event.protocol !== 0) socket.protocol = String(event.protocol);
	if (kind !== EventKind.socket) socket.descriptor = event.signed(socketEvent.descriptor);
	if (kind === EventKind.dup && event.result >= 0) socket.newDescriptor = event.result;
	if (kind === EventKind.listen) socket.backlog = event.word(socketEvent.argument);
	Object.assign(socket, resultOf(event));
	if ((event.flags & EventFlag.peerFromUser) !== 0) socket.addressUnverified = true;
	return socket;
}

export function dnsToWire(event: EventView, context: WireContext): wire.Dns {
	const dns: wire.Dns = { response: (event.flags & EventFlag.dnsResponse) !== 0 };
	const message = context.dnsMessage?.(event);
	if (message !== undefined) {
		dns.id = message.id;
		if (message.response) dns.code = message.code;
		dns.questions = message.questions.map(({ name, type }) => ({ name: showText(name), type }));
		dns.answers = message.answers.map((answer) => ({
			name: showText(answer.name),
			type: answer.type,
			data: dataOf(answer),
			ttlSeconds: answer.ttl,
		}));
	}
	const local = addressAt(event, event.localAddressStart);
	if (local !== undefined) dns.localAddress = local;
	dns.localPort = event.localPort;
	const server = addressAt(event, event.remoteAddressStart);
	if (server !== undefined) dns.serverAddress = server;
	dns.serverPort = event.remotePort;
	if ((event.flags & EventFlag.payloadTruncated) !== 0) dns.truncated = true;
	dns.bytes = event.word(dnsEvent.payloadBytes);
	return dns;
}

/** "" for a record whose content is not taken apart. */
function dataOf({ address, target }: DnsAnswer): string {
	if (address === undefined) return showText(target ?? "");
	const bytes = Buffer.from(address);
	return bytes.length === 4 ? showIpv4(bytes, 0) : showIpv6(bytes, 0);
}

function isChosen(address: string, port: number): boolean {
	return port !== 0 || (address !== "" && address !== "0.0.0.0" && address !== "::");
}

function addressAt(event: EventView, start: number): string | undefined {
	if (start === 0) return undefined;
	if (event.family === 2) return showIpv4(event.bytes, start);
	return event.family === 10 ? showIpv6(event.bytes, start) : undefined;
}

/** Abstract names start with NUL and are shown with "@"; a file of that name must not pass for one. */
function socketName(path: string): string {
	if (path.startsWith("\0")) return `@${path.slice(1)}`;
	return path.startsWith("@") ? `./${path}` : path;
}
