// Finds for an order the act that carries it out.
import type { Act, ActDeps, Origin } from "./act.ts";
import { prepareBlock, prepareCut, prepareUnblock } from "./acts-block.ts";
import { prepareLifecycle } from "./acts-lifecycle.ts";
import { prepareDisconnect, prepareReconnect } from "./acts-network.ts";
import { preparePause, prepareResume } from "./acts-pause.ts";
import { prepareKill } from "./acts-process.ts";
import {
	preparePermitEgress,
	preparePermitExec,
	prepareRefuseEgress,
	prepareRefuseExec,
} from "./acts-refusal.ts";
import type { Parsed } from "./orders.ts";

/** Finds the target and what protects it. Throws RespondError when there is no such target. */
export async function prepareAct(deps: ActDeps, order: Parsed, origin: Origin): Promise<Act> {
	switch (order.kind) {
		case "block":
			return prepareBlock(deps, order, origin);
		case "unblock":
			return prepareUnblock(deps, order.network);
		case "cut":
			return prepareCut(deps, order.network);
		case "pause":
			return preparePause(deps, order.container, order.ttlSeconds, origin);
		case "resume":
			return prepareResume(deps, order.container);
		case "stop":
		case "start":
		case "restart":
		case "remove":
			return prepareLifecycle(deps, order.kind, order.container, origin);
		case "disconnect":
			return prepareDisconnect(deps, order.container, order.ttlSeconds, origin);
		case "reconnect":
			return prepareReconnect(deps, order.container);
		case "kill":
			return prepareKill(deps, order.pid, order.start, order.tree);
		case "refuseEgress":
			return prepareRefuseEgress(deps, order.container, order.ttlSeconds, origin);
		case "permitEgress":
			return preparePermitEgress(deps, order.container);
		case "refuseExec":
			return prepareRefuseExec(deps, order.program, order.container, order.ttlSeconds, origin);
		case "permitExec":
			return preparePermitExec(deps, order.program, order.container);
	}
}
