// What turning an event into JSON needs to know besides the event.
import type { DnsMessage } from "../model/dns.ts";
import type { EventView, Observation } from "../model/event.ts";
import type { Architecture } from "../model/kernel-names.ts";

export interface WireContext {
	/**
	 * Unix ms at which CLOCK_BOOTTIME was 0. Must stay the same for a run: a process is known outside by pid and
	 * start time, which is reckoned from this.
	 */
	bootTimeMs(): number;
	userName(uid: number): string | undefined;
	/** As in /proc/sys/kernel/random/boot_id. */
	readonly bootId: string;
	/** Of the host that captured; this one when left out. Flags and numbers of system calls depend on it. */
	readonly architecture?: Architecture;
	/** Takes a dns event's payload apart; undefined for one that is no DNS message. */
	dnsMessage?(event: EventView): DnsMessage | undefined;
	/** The name that was looked up for the remote address of this event, latin1. */
	peerName?(observation: Observation): string | undefined;
}
