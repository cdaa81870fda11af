// After a crash: three accounts of the same thing, the audit (what was announced), the ledger (what should be in
// force) and the host (what is). The host is right; the other two are brought to agree with it.
import { randomUUID } from "node:crypto";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import type { Act } from "./act.ts";
import type { Interrupted } from "./audit-read.ts";
import { describeError } from "./failure.ts";
import type { Firewall } from "./firewall.ts";
import type { Entry, Ledger } from "./ledger.ts";
import type { Block } from "./sets.ts";
import { inverseOf, takesBack } from "./undo.ts";

export interface RecoveryDeps {
	readonly clock: () => number;
	readonly ledger: Ledger;
	readonly firewall: Pick<Firewall, "held">;
	/** Finds the act of an order; throws when there is no such target. */
	readonly prepare: (order: Order, context: OrderContext) => Promise<Act>;
	/** Carries out an order that takes something back, in the usual way. */
	readonly order: (order: Order, context: OrderContext) => Promise<wire.Action>;
	/** Writes what came of an act to the audit. */
	readonly record: (action: wire.Action) => Promise<void>;
	readonly interrupted: readonly Interrupted[];
}

/** An entry of the kernel's set that lives no longer than this is not worth adopting. */
const briefSeconds = 2;

/** Resolves with what was corrected, in order. Never rejects for one thing that could not be looked at. */
export async function recover(deps: RecoveryDeps): Promise<wire.Action[]> {
	const actions: wire.Action[] = [];
	for (const one of deps.interrupted) actions.push(...(await finish(deps, one)));
	actions.push(...(await compareBlocks(deps)), ...(await compareContainers(deps)));
	return actions;
}

/** The act may have happened, in part, or not at all: look, keep it whole or take back its parts. */
async function finish(deps: RecoveryDeps, interrupted: Interrupted): Promise<wire.Action[]> {
	const { action, arrived } = interrupted;
	const order = asItStands(deps, interrupted);
	const context = contextOf(`the sensor ended during action ${action.id}`);
	const steps = ["interrupted: the sensor ended between the act's beginning and its outcome; looked again"];
	const standing = await inForce(deps, order, context, steps);
	const ended: wire.Action = { ...action, outcome: "OUTCOME_FAILED", requester: context.requester, steps };
	const further: wire.Action[] = [];
	if (standing === true) {
		ended.outcome = "OUTCOME_VERIFIED";
		ended.secondsToEffect = Math.max(0.001, (deps.clock() - arrived) / 1000);
	} else {
		steps.push(standing === false ? "it is not in force" : "what is in force is not known");
		ended.undo = "";
		delete ended.expires;
		// Taking back is begun again; of what was to begin, no part stays.
		const next = takesBack(order) ? order : inverseOf(order);
		if (standing === false && next !== undefined) further.push(await deps.order(next, context));
	}
	await deps.record(ended);
	return [ended, ...further];
}

/** What stands counts as in force for what is left of its time, which is less than was ordered. */
function asItStands({ ledger, clock }: RecoveryDeps, { order, action }: Interrupted): Order {
	const { kind } = order;
	if (kind !== "block" && kind !== "pause") return order;
	const expires = ledger.find(kind, action.target ?? "")?.expires ?? 0;
	return expires === 0 ? order : { ...order, ttlSeconds: secondsLeft(expires, clock) };
}

function secondsLeft(expires: number, clock: () => number): number {
	return Math.max(1, Math.floor((expires - clock()) / 1000));
}

async function inForce(
	deps: RecoveryDeps,
	order: Order,
	context: OrderContext,
	steps: string[],
): Promise<boolean | undefined> {
	try {
		return await (await deps.prepare(order, context)).unchanged(steps);
	} catch (error) {
		steps.push(describeError(error));
		return undefined;
	}
}

/** What the kernel holds without our knowing is adopted; what it does not hold any more is not claimed. */
async function compareBlocks({ ledger, firewall, clock, record }: RecoveryDeps): Promise<wire.Action[]> {
	let held: ReadonlyMap<string, Block> | undefined;
	try {
		held = await firewall.held();
	} catch {
		// Without an answer nothing is changed: the entries stand until their time.
		return [];
	}
	if (held === undefined) return [];
	const known = ledger.entries().filter(({ kind }) => kind === "block");
	const lost = known.filter(
		({ target, expires }) => !held.has(target) && (expires === 0 || expires > clock()),
	);
	const found = [...held.values()].filter(
		({ target, ttlSeconds }) =>
			(ttlSeconds === 0 || ttlSeconds > briefSeconds) && ledger.find("block", target) === undefined,
	);
	const adopted = found.map(({ target, ttlSeconds, direction }): Entry => {
		const expires = ttlSeconds === 0 ? 0 : clock() + ttlSeconds * 1000;
		const reason = "found in the kernel's set";
		const origin = { actionId: randomUUID(), requester: "recovery", reason, alertId: "" };
		return { kind: "block", target, targetName: target, ...origin, since: clock(), expires, direction };
	});
	ledger.removeAll(lost);
	if (adopted.length > 0) ledger.putAll(adopted);
	const actions = [
		...lost.map((entry) => correction(entry, "KIND_UNBLOCK", "the kernel's set does not hold it any more")),
		...adopted.map((entry) => correction(entry, "KIND_BLOCK", "the kernel's set holds it; adopted")),
	];
	await Promise.all(actions.map(record));
	return actions;
}

/** Somebody else may have resumed a container: then it is not ours to undo. */
async function compareContainers(deps: RecoveryDeps): Promise<wire.Action[]> {
	const { ledger, clock } = deps;
	const actions: wire.Action[] = [];
	for (const entry of ledger.entries()) {
		const { kind, target, expires } = entry;
		const overdue = expires > 0 && expires <= clock();
		if ((kind !== "pause" && kind !== "disconnect") || overdue) continue;
		const ttlSeconds = expires === 0 ? 0 : secondsLeft(expires, clock);
		const context = contextOf("looking what is in force");
		if ((await inForce(deps, { kind, container: target, ttlSeconds }, context, [])) !== false) continue;
		ledger.remove(kind, target);
		const taken = kind === "pause" ? "KIND_RESUME" : "KIND_RECONNECT";
		const action = correction(entry, taken, "it is not in force any more: somebody else took it back");
		await deps.record(action);
		actions.push(action);
	}
	return actions;
}

function correction(entry: Entry, kind: wire.ActionKind, step: string): wire.Action {
	const { target, targetName, alertId, expires } = entry;
	const end = expires > 0 && kind === "KIND_BLOCK" ? { expires: new Date(expires).toISOString() } : {};
	return {
		id: randomUUID(),
		kind,
		outcome: "OUTCOME_UNCHANGED",
		target,
		targetName,
		reason: "what is in force was compared with what should be",
		requester: "recovery",
		alertId,
		secondsToEffect: 0,
		steps: [step],
		undo: kind === "KIND_BLOCK" ? `picket unblock ${target}` : "",
		evidence: [],
		...end,
	};
}

function contextOf(reason: string): OrderContext {
	return { requester: "recovery", reason, alertId: "", eventTime: undefined };
}
