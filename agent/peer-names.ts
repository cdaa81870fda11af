// Under which names programs looked their peers up: learnt from the answers that pass, told to whoever shows or judges
// a connection. A name is looked for only when somebody asks, so a connection of no interest costs nothing here.
import { NameTable, parseDns } from "./enrich/dns.ts";
import type { DnsMessage } from "./model/dns.ts";
import { EventFlag, type EventView, type Observation, Text } from "./model/event.ts";
import { type Interest, noInterest, sumOfInterests } from "./model/interest.ts";

export interface PeerNames {
	/** A dns event has come; call it before anybody judges or shows it. */
	heard(observation: Observation): void;
	/** What a dns event holds; taken apart once, however many ask. */
	message(event: EventView): DnsMessage | undefined;
	/** The name that was looked up for the remote address of this event, latin1. */
	name(observation: Observation): string | undefined;
}

const addressBytes: Readonly<Record<number, number>> = { 2: 4, 10: 16 };

export function createPeerNames(): PeerNames {
	/** ms since boot of the event at hand: a replay forgets names when the sensor did. */
	let now = 0;
	const table = new NameTable({ clock: () => now });
	let parsed: DnsMessage | undefined;
	let parsedNumber = -1;

	function message(event: EventView): DnsMessage | undefined {
		if (event.number !== parsedNumber) {
			parsed = parseDns(event.bytes, event.textStart(Text.payload), event.textSize(Text.payload));
			parsedNumber = event.number;
		}
		return parsed;
	}

	return {
		message,
		heard(observation) {
			const { event } = observation;
			// An answer nobody is known to have asked for is anybody's packet.
			if ((event.flags & (EventFlag.dnsResponse | EventFlag.kernelActor)) !== EventFlag.dnsResponse) return;
			const answer = message(event);
			if (answer === undefined) return;
			now = event.time / 1e6;
			table.learn(scopeOf(observation), answer);
		},
		name(observation) {
			const { event } = observation;
			const size = addressBytes[event.family];
			if (size === undefined || table.size === 0) return undefined;
			now = event.time / 1e6;
			return table.name(scopeOf(observation), event.bytes, event.remoteAddressStart, size);
		},
	};
}

/** Who shares a network shares its name servers; where that is not known, who shares a cgroup. */
function scopeOf({ event, process }: Observation): string {
	const network = process?.namespaces.network ?? 0;
	return network === 0 ? `cgroup ${event.cgroupId}` : `network ${network}`;
}

/** With the answers of name servers, when connections by address are asked for at all. */
export function withPeerNames(asked: Interest): Interest {
	const connects = asked.kinds.has("connect") && asked.connects.ip !== "none";
	if (!connects && !asked.kinds.has("send")) return asked;
	return sumOfInterests([asked, { ...noInterest, kinds: new Set(["dns"]) }]);
}
