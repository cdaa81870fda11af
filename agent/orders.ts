// From what the policy wants done about a finding to orders with a target.
import type { Observation } from "./model/event.ts";
import type * as wire from "./model/picket.v1.ts";
import { remoteAddressOf } from "./model/remote.ts";
import type { Finding, Order, OrderContext, Response } from "./model/verdict.ts";

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
		if (order === undefined) return [];
		return [{ order, context: response.mode === undefined ? context : { ...context, mode: response.mode } }];
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
			return { kind: "block", address: remoteAddressOf(observation), ttlSeconds, direction };
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
