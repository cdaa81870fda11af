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
		alertId: alert.id ?? "",
		eventTime: bootTimeMs + observation.event.time / 1e6,
	};
	const orders: { order: Order; context: OrderContext }[] = [];
	for (const response of responses) {
		switch (response.act) {
			case "alert":
				break;
			case "block":
				orders.push({
					order: { kind: "block", address: peerOf(observation), ttlSeconds: response.ttlSeconds },
					context,
				});
				break;
			case "pause":
				orders.push({
					order: { kind: "pause", container: observation.process?.cgroup?.container?.id ?? "" },
					context,
				});
				break;
			case "kill":
				orders.push({
					order: { kind: "kill", pid: observation.event.pid, start: observation.event.start },
					context,
				});
				break;
		}
	}
	return orders;
}
