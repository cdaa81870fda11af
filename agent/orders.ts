// From what the policy wants done about a finding to orders with a target.

import { showIpv4, showIpv6 } from "./model/address-text.ts";
import { EventKind, type Observation } from "./model/event.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Finding, Order, OrderContext, Response } from "./model/verdict.ts";

const inet = 2;
const inet6 = 10;

/** For people and for the alert record. */
export function responseText(response: Response): string {
	if (response.act !== "block" || response.ttlSeconds === 0) return response.act; // 0: the configured time
	return `block for ${response.ttlSeconds} s`;
}

/** The other end of a connection, "" when the event is none over IP. */
export function peerOf({ event }: Observation): string {
	if (event.kind !== EventKind.connect) return "";
	if (event.family === inet) return showIpv4(event.bytes, event.remoteAddressStart);
	return event.family === inet6 ? showIpv6(event.bytes, event.remoteAddressStart) : "";
}

/**
 * Orders for the responses. A target that the event does not have is left empty: the responder refuses it and says
 * so, which is better than a response that silently was none.
 */
export function ordersFor(
	responses: readonly Response[],
	finding: Finding,
	observation: Observation,
	alert: wire.Alert,
	bootTimeMs: number,
): { order: Order; context: OrderContext }[] {
	const context: OrderContext = {
		requester: "policy",
		reason: finding.rule,
		rule: finding.rule,
		alertId: alert.id ?? "",
		eventTime: bootTimeMs + observation.event.time / 1e6,
		evidence: [alert.event?.id ?? "", ...(alert.correlation?.eventIds ?? [])].filter((id) => id !== ""),
	};
	return responses.flatMap((response) => {
		const order = orderFor(response, observation);
		return order === undefined ? [] : [{ order, context }];
	});
}

function orderFor(response: Response, observation: Observation): Order | undefined {
	const { event, process } = observation;
	const container = process?.cgroup?.container?.id ?? "";
	switch (response.act) {
		case "alert":
			return undefined;
		case "block": {
			const { ttlSeconds, direction } = response;
			return { kind: "block", address: peerOf(observation), ttlSeconds, direction };
		}
		case "pause":
		case "disconnect":
		case "refuseEgress":
			return { kind: response.act, container, ttlSeconds: response.ttlSeconds };
		case "refuseExec":
			return { kind: "refuseExec", program: process?.exe ?? "", container, ttlSeconds: response.ttlSeconds };
		case "stop":
		case "restart":
		case "remove":
			return { kind: response.act, container };
		case "kill":
		case "killTree":
			return { kind: "kill", pid: event.pid, start: event.start, tree: response.act === "killTree" };
	}
}
