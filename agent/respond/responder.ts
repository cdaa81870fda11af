// The one place from which the host is changed, and the order in which every action runs: parse, canonical form,
// local cap, protected set, rate limit, observe gate, write-ahead audit, act, verify, audit, arm expiry.
import { randomUUID } from "node:crypto";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext, Responder } from "../model/verdict.ts";
import type { Act, ActDeps } from "./act.ts";
import { prepareAct } from "./acts.ts";
import type { RefusalDeps } from "./acts-refusal.ts";
import { type Audit, openAudit } from "./audit.ts";
import { createRunner, type RunCommand } from "./command.ts";
import type { ContainerRuntime } from "./containers.ts";
import { describeError, type FailureCode, RespondError } from "./failure.ts";
import { createFirewall, type FirewallOptions } from "./firewall.ts";
import type { ProcessSignaller } from "./kill.ts";
import { type Entry, openLedger } from "./ledger.ts";
import { createRateLimit } from "./limit.ts";
import { actionKindOf, defaultSettings, parseOrder, type Settings, targetOf } from "./orders.ts";
import { createProtection, type ProtectedExtra } from "./protect.ts";
import { createTimers } from "./timers.ts";

export interface ResponderDeps {
	readonly mode: () => "observe" | "enforce";
	/** Holds audit.jsonl and responses.json. */
	readonly stateDir: string;
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
	/** Asked anew for each order: the engine may start after the sensor. */
	readonly docker: () => ContainerRuntime | undefined;
	readonly processes: ProcessSignaller;
	/** Absent where nothing is refused in the kernel. */
	readonly refusals?: RefusalDeps | undefined;
	readonly protectedExtra: () => ProtectedExtra;
	readonly settings?: Partial<Settings>;
	/** Why local policy does not permit this order, undefined when it does. */
	readonly permitted?: (order: Order, context: OrderContext) => string | undefined;
	/** Gets the actions that nobody ordered: the end of a block's time. */
	readonly onAction?: (action: wire.Action) => void;
	readonly run?: RunCommand;
	readonly firewallVariant?: NonNullable<FirewallOptions["variant"]>;
	/** Where /proc, /etc and /run lie below. */
	readonly root?: string;
	readonly self?: number;
	readonly resolve?: (name: string) => Promise<readonly string[]>;
}

export interface HostResponder extends Responder {
	/** Undoes everything that is in force, whoever began it, and takes our part of the firewall away. */
	release(requester?: string): Promise<wire.Action[]>;
	/** What is in force now. */
	active(): readonly Entry[];
	/** Waits for running acts; later orders are refused. What is in force stays, with its time to live. */
	close(): Promise<void>;
}

const maxReason = 1000;
/** The set counts whole seconds; look a moment after it let go. */
const expiryGraceMs = 500;

export function createResponder(deps: ResponderDeps): HostResponder {
	const { clock, logger, root = "/", self = process.pid } = deps;
	const settings: Settings = { ...defaultSettings, ...deps.settings };
	const run = deps.run ?? createRunner();
	const firewall = createFirewall({ run, variant: deps.firewallVariant ?? "" });
	const ledger = openLedger(join(deps.stateDir, "responses.json"), bootIdOf(root));
	const resolve = deps.resolve ?? lookupAll;
	const protection = createProtection({ root, self, extra: deps.protectedExtra, resolve, clock });
	const kill = { processes: deps.processes, root };
	const { docker, refusals } = deps;
	const actDeps: ActDeps = { settings, clock, run, firewall, docker, kill, ledger, protection, refusals };
	const limit = createRateLimit(settings.actionsPerMinute, clock);
	const lanes = new Map<string, Promise<unknown>>();
	let audit: Audit | undefined;
	let closed = false;

	const timers = createTimers(clock, (target) => {
		const context = {
			requester: "expiry",
			reason: "its time to live is over",
			alertId: "",
			eventTime: undefined,
		};
		order({ kind: "unblock", address: target }, context).then(deps.onAction, (error) => logger.error(error));
	});
	if (ledger.notice !== undefined) logger.warn(ledger.notice);
	for (const entry of ledger.entries()) arm(entry);

	function arm(entry: Entry | undefined): void {
		if (entry?.kind === "block") timers.arm(entry.target, entry.expires + expiryGraceMs);
	}

	/** Opened late: a sensor that only observes needs no directory to write to. */
	function writeAudit(stage: "intent" | "outcome", action: wire.Action): void {
		audit ??= openAudit(join(deps.stateDir, "audit.jsonl"), clock);
		audit.append({ stage, action });
	}

	function inLane<T>(lane: string, work: () => Promise<T>): Promise<T> {
		const done = (lanes.get(lane) ?? Promise.resolve()).then(work);
		const settled = done
			.catch(() => {})
			.then(() => {
				if (lanes.get(lane) === settled) lanes.delete(lane);
			});
		lanes.set(lane, settled);
		return done;
	}

	async function order(given: Order, context: OrderContext): Promise<wire.Action> {
		const steps: string[] = [];
		const action: wire.Action = {
			id: randomUUID(),
			kind: actionKindOf(given),
			outcome: "OUTCOME_FAILED",
			target: targetOf(given),
			targetName: "",
			reason: context.reason.slice(0, maxReason),
			requester: context.requester,
			alertId: context.alertId,
			secondsToEffect: 0,
			steps,
			undo: "",
			evidence: [...(context.evidence ?? [])],
		};
		try {
			await decide(given, context, action, steps);
		} catch (error) {
			action.outcome = error instanceof RespondError && error.refused ? "OUTCOME_REFUSED" : "OUTCOME_FAILED";
			steps.push(`${action.outcome === "OUTCOME_REFUSED" ? "refused" : "failed"}: ${describeError(error)}`);
		}
		if (action.outcome === "OUTCOME_REFUSED" || action.outcome === "OUTCOME_FAILED") action.undo = "";
		logger.info({ action }, "response");
		return action;
	}

	async function decide(
		given: Order,
		context: OrderContext,
		action: wire.Action,
		steps: string[],
	): Promise<void> {
		if (closed) throw refusal("PICKET_CLOSING", "the sensor is stopping", "try again when it runs");
		const parsed = parseOrder(given, settings, steps);
		const forbidden = deps.permitted?.(given, context);
		if (forbidden !== undefined)
			throw refusal("PICKET_NOT_PERMITTED", forbidden, "the host's policy decides");
		const arrived = context.eventTime ?? clock();
		const actionId = action.id ?? "";
		const act = await prepareAct(actDeps, parsed, { ...context, reason: action.reason ?? "", actionId });
		action.target = act.target;
		action.targetName = act.targetName;
		if (act.protectedBecause !== undefined) {
			const message = `${act.targetName} is never touched: ${act.protectedBecause}`;
			throw refusal("PICKET_TARGET_PROTECTED", message, "act on a narrower target");
		}
		if (!act.takesBack && !limit.take()) {
			const message = `more than ${settings.actionsPerMinute} actions in a minute`;
			throw refusal(
				"PICKET_RATE_LIMITED",
				message,
				"see why there are so many, or raise limits.actions_per_minute",
			);
		}
		await inLane(act.lane, () => carryOut(act, action, steps, arrived));
	}

	async function carryOut(act: Act, action: wire.Action, steps: string[], arrived: number): Promise<void> {
		if (await act.unchanged(steps)) {
			action.outcome = "OUTCOME_UNCHANGED";
			action.undo = act.undo;
			if (act.expires() > 0) action.expires = new Date(act.expires()).toISOString();
			if (!act.takesBack) limit.giveBack();
			return;
		}
		if (!act.takesBack && deps.mode() === "observe") {
			action.outcome = "OUTCOME_WOULD_ACT";
			steps.push(`observe mode: would have begun to ${act.description}; nothing was done`);
			return;
		}
		action.undo = act.undo;
		if (act.expires() > 0) action.expires = new Date(act.expires()).toISOString();
		announce(act, action, steps);
		try {
			const { outcome, seenAt } = await act.run(steps);
			action.outcome = outcome;
			if (outcome === "OUTCOME_VERIFIED") action.secondsToEffect = Math.max(0, (seenAt - arrived) / 1000);
		} catch (error) {
			steps.push(`failed: ${describeError(error)}`);
			action.outcome = error instanceof RespondError && error.refused ? "OUTCOME_REFUSED" : "OUTCOME_FAILED";
		}
		record(action, steps);
		if (action.kind === "KIND_UNBLOCK") timers.disarm(act.target);
		arm(ledger.find("block", act.target));
	}

	/** The write-ahead: without it there is no act, except one that takes back: a full disk must not lock out. */
	function announce(act: Act, action: wire.Action, steps: string[]): void {
		try {
			writeAudit("intent", { ...action, outcome: "OUTCOME_UNSPECIFIED" });
		} catch (error) {
			const message = `the audit could not be written: ${describeError(error)}`;
			if (!act.takesBack) {
				throw new RespondError(
					"PICKET_AUDIT_FAILED",
					message,
					`make room and check the rights of ${deps.stateDir}`,
				);
			}
			steps.push(message);
		}
	}

	function record(action: wire.Action, steps: string[]): void {
		try {
			writeAudit("outcome", action);
		} catch (error) {
			steps.push(`the outcome could not be written to the audit: ${describeError(error)}`);
			logger.error({ error, action }, "audit");
		}
	}

	async function release(requester = "cli"): Promise<wire.Action[]> {
		const context = { requester, reason: "release of everything", alertId: "", eventTime: undefined };
		const entries = ledger.entries();
		const pauses = entries.filter((entry) => entry.kind === "pause");
		const actions = await Promise.all(
			pauses.map((entry) => order({ kind: "resume", container: entry.target }, context)),
		);
		const blocks = await inLane("firewall", () => releaseFirewall(context));
		return [...actions, ...blocks];
	}

	/** All blocks at once: the sets go as a whole, whatever the ledger knows of them. */
	async function releaseFirewall(context: OrderContext): Promise<wire.Action[]> {
		const blocks = ledger.entries().filter((entry) => entry.kind === "block");
		const steps: string[] = [];
		let outcome: wire.ActionOutcome = "OUTCOME_FAILED";
		try {
			outcome = (await firewall.remove(steps)) ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT";
		} catch (error) {
			steps.push(`failed: ${describeError(error)}`);
		}
		const targets = blocks.map((entry) => entry.target);
		if (targets.length === 0 && steps.length > 0) targets.push("all");
		return targets.map((target) => {
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
			const action: wire.Action = {
				...base,
				targetName: target,
				secondsToEffect: 0,
				steps: [...steps],
				undo: "",
			};
			if (outcome === "OUTCOME_VERIFIED") {
				timers.disarm(target);
				ledger.remove("block", target);
			}
			record(action, action.steps ?? []);
			return action;
		});
	}

	return {
		order,
		release,
		active: () => ledger.entries(),
		async close() {
			closed = true;
			timers.close();
			await Promise.all(lanes.values());
			audit?.close();
			audit = undefined;
		},
	};
}

function refusal(code: FailureCode, message: string, remedy: string): RespondError {
	return new RespondError(code, message, remedy);
}

function bootIdOf(root: string): string {
	try {
		return readFileSync(join(root, "proc/sys/kernel/random/boot_id"), "latin1").trim();
	} catch {
		return "";
	}
}

async function lookupAll(name: string): Promise<string[]> {
	return (await lookup(name, { all: true })).map(({ address }) => address);
}
