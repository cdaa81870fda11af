// What the sensor hears of sockets, copied out of the ring as plain objects.
import { showIpv4, showIpv6 } from "../../agent/model/address-text.ts";
import {
	EventFlag,
	type EventName,
	type EventView,
	eventName,
	type Observation,
	Text,
} from "../../agent/model/event.ts";
import * as layout from "../../agent/model/layout.ts";
import { structs } from "../../agent/model/structs.ts";
import type { Detector } from "../../agent/pipeline.ts";

export interface Seen {
	readonly kind: EventName;
	readonly pid: number;
	readonly tid: number;
	readonly start: number;
	readonly cgroupId: number;
	readonly syscall: number;
	/** Names of the bits. */
	readonly flags: readonly string[];
	readonly family: number;
	readonly local: string;
	readonly localPort: number;
	readonly remote: string;
	readonly remotePort: number;
}

export interface SeenSocket extends Seen {
	readonly protocol: number;
	readonly type: number;
	readonly result: number;
	readonly descriptor: number;
	readonly argument: number;
	readonly path: string;
}

export interface SeenDns extends Seen {
	readonly payload: Buffer;
	readonly payloadBytes: number;
}

const at = layout.socketEvent;

/** Both structs keep the addresses at the same place. */
function ends(event: EventView, from: typeof layout.socketEvent | typeof layout.dnsEvent): Seen {
	const family = event.half(from.family);
	const show = family === 10 ? showIpv6 : showIpv4;
	return {
		kind: eventName(event.kind) as EventName,
		pid: event.pid,
		tid: event.tid,
		start: event.start,
		cgroupId: event.cgroupId,
		syscall: event.syscall,
		flags: Object.entries(EventFlag).flatMap(([name, bit]) => (event.flags & bit ? [name] : [])),
		family,
		local: show(event.bytes, event.localAddressStart),
		localPort: event.half(from.localPort),
		remote: show(event.bytes, event.remoteAddressStart),
		remotePort: event.half(from.remotePort),
	};
}

function seenSocket(event: EventView): SeenSocket {
	return {
		...ends(event, at),
		protocol: event.half(at.protocol),
		type: event.word(at.type),
		result: event.signed(at.result),
		descriptor: event.signed(at.descriptor),
		argument: event.word(at.argument),
		path: event.text(Text.path),
	};
}

function seenDns(event: EventView): SeenDns {
	return {
		...ends(event, layout.dnsEvent),
		payload: Buffer.from(event.text(Text.payload), "latin1"),
		payloadBytes: event.word(layout.dnsEvent.payloadBytes),
	};
}

/** Keeps what the socket kinds and DNS tell. */
export class Witness implements Detector {
	readonly sockets: SeenSocket[] = [];
	readonly dns: SeenDns[] = [];

	evaluate({ event }: Observation): void {
		const struct = structs[eventName(event.kind) as EventName];
		if (struct === layout.socketEvent) this.sockets.push(seenSocket(event));
		else if (struct === layout.dnsEvent) this.dns.push(seenDns(event));
	}

	/** A process's own, of one kind. */
	of(kind: EventName, pid: number): SeenSocket[] {
		return this.sockets.filter((each) => each.kind === kind && each.pid === pid);
	}
}
