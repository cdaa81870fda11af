// Finds for an order the act that carries it out.
import type { Act, ActDeps, Origin } from "./act.ts";
import { prepareBlock, prepareUnblock } from "./acts-block.ts";
import { preparePause, prepareResume } from "./acts-container.ts";
import { prepareKill } from "./acts-process.ts";
import {
	preparePermitEgress,
	preparePermitExec,
	prepareRefuseEgress,
	prepareRefuseExec,
} from "./acts-refusal.ts";
import { RespondError } from "./failure.ts";
import type { Parsed } from "./orders.ts";

/** Finds the target and what protects it. Throws RespondError when there is no such target. */
export async function prepareAct(deps: ActDeps, order: Parsed, origin: Origin): Promise<Act> {
	switch (order.kind) {
		case "block":
			return prepareBlock(deps, order.network, order.ttlSeconds, origin);
		case "unblock":
			return prepareUnblock(deps, order.network);
		case "pause":
			return preparePause(deps, order.container, origin);
		case "resume":
			return prepareResume(deps, order.container);
		case "kill":
			return prepareKill(deps, order.pid, order.start);
		case "refuseEgress":
			return prepareRefuseEgress(deps, order.container, order.ttlSeconds, origin);
		case "permitEgress":
			return preparePermitEgress(deps, order.container);
		case "refuseExec":
			return prepareRefuseExec(deps, order.program, order.container, order.ttlSeconds, origin);
		case "permitExec":
			return preparePermitExec(deps, order.program, order.container);
		default:
			throw new RespondError("PICKET_ORDER_INVALID", `${order.kind} is not built yet`, "use another act");
	}
}
