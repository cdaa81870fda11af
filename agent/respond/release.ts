// Undoes everything that is in force, each thing by its own order; the blocks at once, as the sets go as a whole.
import { randomUUID } from "node:crypto";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import { describeError } from "./failure.ts";
import type { Firewall } from "./firewall.ts";
import type { Entry, Ledger } from "./ledger.ts";
import { undoOf } from "./undo.ts";

export interface ReleaseDeps {
	/** Unix ms. */
	readonly clock: () => number;
	readonly ledger: Ledger;
	readonly firewall: Pick<Firewall, "remove">;
	readonly order: (order: Order, context: OrderContext) => Promise<wire.Action>;
	readonly record: (action: wire.Action) => Promise<void>;
	readonly inLane: <T>(lane: string, work: () => Promise<T>) => Promise<T>;
	readonly disarm: (entry: Pick<Entry, "kind" | "target">) => void;
}

export async function releaseAll(deps: ReleaseDeps, context: OrderContext): Promise<wire.Action[]> {
	const single = deps.ledger.entries().filter(({ kind }) => kind !== "block");
	const actions = await Promise.all(single.map((entry) => deps.order(undoOf(entry), context)));
	return [...actions, ...(await deps.inLane("firewall", () => releaseBlocks(deps, context)))];
}

/** Whatever the ledger knows of them. */
async function releaseBlocks(deps: ReleaseDeps, context: OrderContext): Promise<wire.Action[]> {
	const { ledger, firewall, clock } = deps;
	const arrived = clock();
	const blocks = ledger.entries().filter(({ kind }) => kind === "block");
	const steps: string[] = [];
	let outcome: wire.ActionOutcome = "OUTCOME_FAILED";
	try {
		const forget = () => {
			for (const block of blocks) deps.disarm(block);
			ledger.removeAll(blocks);
		};
		outcome = (await firewall.remove(steps, forget)) ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT";
	} catch (error) {
		steps.push(`failed: ${describeError(error)}`);
	}
	const targets = blocks.map(({ target }) => target);
	if (targets.length === 0 && steps.length > 0) targets.push("all");
	const actions = targets.map((target): wire.Action => {
		const { requester, reason, alertId } = context;
		const base = {
			id: randomUUID(),
			kind: "KIND_UNBLOCK",
			outcome,
			target,
			requester,
			reason,
			alertId,
		} as const;
		const secondsToEffect = outcome === "OUTCOME_VERIFIED" ? Math.max(0.001, (clock() - arrived) / 1000) : 0;
		return { ...base, targetName: target, secondsToEffect, steps: [...steps], undo: "", evidence: [] };
	});
	await Promise.all(actions.map(deps.record));
	return actions;
}
