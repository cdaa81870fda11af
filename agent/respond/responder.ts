// The one place from which the host is changed, and the order in which every action runs: parse, canonical form,
// local cap, protected set, rate limit, observe gate, write-ahead audit, act, verify, audit, arm expiry.
import { randomUUID } from "node:crypto";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import type { Act, ActDeps } from "./act.ts";
import { prepareAct } from "./acts.ts";
import { interruptedActs } from "./audit-read.ts";
import { createBatch } from "./batch.ts";
import { breakerText, createBreakers, isOutOfService, type Slot, takesOut } from "./breakers.ts";
import { createRunner } from "./command.ts";
import { createConnections } from "./connections.ts";
import { createExpiry } from "./expiry.ts";
import { describeError, type FailureCode, RespondError } from "./failure.ts";
import { createFirewall } from "./firewall.ts";
import { watchFloor } from "./floor-watch.ts";
import { auditFile, createJournal, type Doing } from "./journal.ts";
import { createKeeper } from "./keeper.ts";
import { watchKillSwitch } from "./kill-switch.ts";
import { type Entry, type Ledger, openLedger } from "./ledger.ts";
import { actionKindOf, defaultSettings, type Parsed, parseOrder, type Settings, targetOf } from "./orders.ts";
import { createProtection } from "./protect.ts";
import { createReconciler } from "./reconcile.ts";
import { recover as compare } from "./recovery.ts";
import { releaseAll } from "./release.ts";
import type { HostResponder, ResponderDeps } from "./responder-contract.ts";

export type { HostResponder, ResponderDeps } from "./responder-contract.ts";

const maxReason = 1000;
/** Verified at once is not "never": outside, 0 stands for "had no effect". */
const shortestSeconds = 0.001;

export function createResponder(deps: ResponderDeps): HostResponder {
	const { clock, logger, root = "/", self = process.pid } = deps;
	const settings: Settings = { ...defaultSettings, ...deps.settings };
	const run = deps.run ?? createRunner();
	const firewall = createFirewall({
		run,
		variant: deps.firewallVariant ?? "",
		onTakenOut: (targets) => ledger.removeAll(targets.map((target) => ({ kind: "block", target }))),
	});
	const stored = openLedger(deps.stateDir, bootIdOf(root));
	const guard =
		deps.keeper &&
		createKeeper({ ...deps.keeper, stateDir: deps.stateDir, root, self, entries: stored.entries, logger });
	const ledger: Ledger = {
		...stored,
		put(entry) {
			ledger.putAll([entry]);
		},
		putAll(entries) {
			stored.putAll(entries);
			// Before the act: whatever happens to us from here on, somebody ends it.
			guard?.(entries);
		},
	};
	const resolve = deps.resolve ?? lookupAll;
	const blocked = () => blocksOf(ledger).map(({ target }) => target);
	const protection = createProtection({
		root,
		self,
		extra: deps.protectedExtra,
		resolve,
		run,
		blocked,
		clock,
	});
	const watch = watchFloor({ protection, blocked, lift, failed: (error) => logger.error(error) });
	const kill = {
		processes: deps.processes,
		root,
		self,
		...(deps.descendants && { descendants: deps.descendants }),
	};
	const { runtimes, recall } = deps;
	const containers = { root, self, runtimes, ...(recall && { recall }) };
	const connections = createConnections({
		run,
		root,
		...(deps.containerPids && { containerPids: deps.containerPids }),
	});
	const reconciler = createReconciler({
		firewall,
		entries: ledger.entries,
		clock,
		enforces: () => deps.mode() === "enforce" && !killSwitch.on(),
		...deps.reconcile,
	});
	const remember = createBatch<Entry, void>(async (entries) => {
		ledger.putAll(entries);
		return [];
	});
	const actDeps: ActDeps = {
		settings,
		clock,
		run,
		firewall,
		connections,
		containers,
		kill,
		ledger,
		remember,
		protection,
		refusals: deps.refusals,
	};
	const breakers = createBreakers({
		settings,
		clock,
		outOfService: () =>
			ledger
				.entries()
				.filter(isOutOfService)
				.map((entry) => entry.target),
		runningContainers: () => deps.runningContainers?.() ?? 0,
		onOpen(breaker) {
			logger.warn({ breaker }, "a breaker opened: there are only alerts for a while");
			deps.onBreaker?.(breaker);
		},
	});
	const journal = createJournal(deps.stateDir, clock, logger);
	const lanes = new Map<string, Promise<unknown>>();
	let recovering: Promise<unknown> | undefined;
	let closed = false;

	const expiry = createExpiry({ clock, ledger, order, onAction: deps.onAction, logger });
	const killSwitch = watchKillSwitch(root, (on) => {
		const change = on ? "is there: enforcement is disabled, and released" : "is gone: enforcement is back";
		logger.warn(`${killSwitch.path} ${change}`);
		deps.onKillSwitch?.(on);
		if (on) releaseForSwitch();
	});
	if (stored.notice !== undefined) logger.warn(stored.notice);
	for (const entry of ledger.entries()) expiry.arm(entry);
	guard?.(ledger.entries());

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
		const arrived = context.eventTime ?? clock();
		await recovering;
		return begin(given, context, arrived);
	}

	async function begin(given: Order, context: OrderContext, arrived: number): Promise<wire.Action> {
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
		let loud = true;
		try {
			await decide({ given, context, action, steps, arrived });
		} catch (error) {
			endWithout(action, error);
			// That it opened was told; what it holds back may be a flood.
			loud = !(error instanceof RespondError && error.code === "PICKET_BREAKER_OPEN");
		}
		logger[loud ? "info" : "debug"]({ action }, "response");
		return action;
	}

	function prepare(parsed: Parsed, context: OrderContext, actionId: string): Promise<Act> {
		return prepareAct(actDeps, parsed, { ...context, reason: context.reason.slice(0, maxReason), actionId });
	}

	async function decide(doing: Doing): Promise<void> {
		const { given, context, action, steps } = doing;
		if (closed) throw refusal("PICKET_CLOSING", "the sensor is stopping", "try again when it runs");
		const parsed = parseOrder(given, settings, steps);
		const forbidden = deps.permitted?.(given, context);
		if (forbidden !== undefined)
			throw refusal("PICKET_NOT_PERMITTED", forbidden, "the host's policy decides");
		const act = await prepare(parsed, context, action.id ?? "");
		action.target = act.target;
		action.targetName = act.targetName;
		await refuseProtected(act);
		const slot = act.takesBack ? undefined : takeSlot(given, context, act.target);
		try {
			await inLane(act.lane, () => carryOut(act, doing, slot));
		} finally {
			slot?.end();
		}
	}

	function takeSlot(given: Order, context: OrderContext, target: string): Slot {
		const byHand = context.requester === "cli";
		const answer = breakers.take({ target, rule: context.rule, byHand, container: takesOut(given) });
		if ("slot" in answer) return answer.slot;
		if (answer.breaker)
			throw refusal(
				"PICKET_BREAKER_OPEN",
				answer.refused,
				"see why there are so many; orders by hand still work",
			);
		const remedy = "see why there are so many, or raise limits.actions_per_minute";
		throw refusal("PICKET_RATE_LIMITED", answer.refused, remedy);
	}

	/** Why nothing is to be done but to tell; undefined when it is to be done. Asked right before the act. */
	function heldBack(context: OrderContext): string | undefined {
		const file = disabledBy();
		if (file !== undefined) return `enforcement is disabled by ${file}`;
		if (deps.mode() === "observe") return "observe mode";
		return context.mode === "observe" ? "observe mode of this line of the policy" : undefined;
	}

	/** Ends a block of what the host has come to depend on since. */
	async function lift(target: string, why: string): Promise<void> {
		const context = {
			requester: "floor",
			reason: `never blocked: ${why}`,
			alertId: "",
			eventTime: undefined,
		};
		const action = await order({ kind: "unblock", address: target }, context);
		deps.onAction?.(action);
	}

	/** The floor nobody can configure away. */
	async function refuseProtected(act: Act): Promise<void> {
		const why = await act.protectedBecause();
		if (why === undefined) return;
		const message = `${act.targetName} is never touched: ${why}`;
		throw refusal("PICKET_TARGET_PROTECTED", message, "act on a narrower target");
	}

	async function carryOut(act: Act, doing: Doing, slot: Slot | undefined): Promise<void> {
		const { action, steps, arrived } = doing;
		if (await act.unchanged(steps)) {
			action.outcome = "OUTCOME_UNCHANGED";
			action.undo = act.undo;
			if (act.expires() > 0) action.expires = new Date(act.expires()).toISOString();
			slot?.giveBack();
			return;
		}
		const why = act.takesBack ? undefined : heldBack(doing.context);
		if (why !== undefined) {
			action.outcome = "OUTCOME_WOULD_ACT";
			steps.push(`${why}: would have begun to ${act.description}; nothing was done`);
			return;
		}
		action.undo = act.undo;
		if (act.expires() > 0) action.expires = new Date(act.expires()).toISOString();
		await journal.announce(act, doing);
		try {
			// Once more and last of all: it may have waited for its turn, and an admin may have logged in meanwhile.
			const confirm = () => refuseProtected(act);
			if (act.confirms !== true) await confirm();
			const { outcome, seenAt } = await act.run(steps, confirm);
			action.outcome = outcome;
			if (outcome === "OUTCOME_VERIFIED") action.secondsToEffect = secondsBetween(arrived, seenAt);
		} catch (error) {
			endWithout(action, error);
		}
		await journal.record(action);
		expiry.follow(act.target);
		if (ledger.count("block") > 0) reconciler.watch();
		// It came while this ran: what was released then did not know of it; one not yet seen releases this as well.
		// Not awaited: release waits for this lane.
		if (!act.takesBack && killSwitch.seen()) releaseForSwitch();
	}

	function recover(): Promise<wire.Action[]> {
		const work = recoverNow();
		// A failure is the caller's to tell; the orders that wait go on.
		recovering = work.then(expiry.armAll, () => {});
		return work;
	}

	async function recoverNow(): Promise<wire.Action[]> {
		return compare({
			clock,
			ledger,
			firewall,
			prepare: (given, context) => prepare(parseOrder(given, settings, []), context, randomUUID()),
			order: (given, context) => begin(given, context, clock()),
			record: journal.record,
			interrupted: interruptedActs(auditFile(deps.stateDir)),
		});
	}

	function disabledBy(): string | undefined {
		return killSwitch.on() ? killSwitch.path : undefined;
	}

	function releaseForSwitch(): void {
		if (ledger.entries().length === 0) return;
		release("kill switch").then(
			(actions) => {
				for (const action of actions) deps.onAction?.(action);
			},
			(error) => logger.error({ err: error }, "kill switch"),
		);
	}

	function release(requester = "cli"): Promise<wire.Action[]> {
		return releaseAll(
			{ clock, ledger, firewall, order, record: journal.record, inLane, disarm: expiry.disarm },
			{ requester, reason: "release of everything", alertId: "", eventTime: undefined },
		);
	}

	return {
		order,
		recover,
		release,
		active: () => ledger.entries(),
		reconcile: reconciler.reconcile,
		reconciled: reconciler.totals,
		breakers: breakers.open,
		alertOnly: breakers.alertOnly,
		disabledBy,
		problems: () => {
			const file = disabledBy();
			return [
				...(file === undefined
					? []
					: [`nothing is enforced: ${file} is there; to enforce again: rm ${file}`]),
				...breakers.open().map(breakerText),
			];
		},
		inbound: protection.inbound,
		async close() {
			closed = true;
			watch.close();
			killSwitch.close();
			expiry.close();
			reconciler.close();
			await Promise.all(lanes.values());
			journal.close();
		},
	};
}

/** Refused or failed: nothing is in force that could end or be taken back. */
function endWithout(action: wire.Action, error: unknown): void {
	const refused = error instanceof RespondError && error.refused;
	action.outcome = refused ? "OUTCOME_REFUSED" : "OUTCOME_FAILED";
	action.undo = "";
	delete action.expires;
	action.steps?.push(`${refused ? "refused" : "failed"}: ${describeError(error)}`);
}

function secondsBetween(from: number, to: number): number {
	return Math.max(shortestSeconds, (to - from) / 1000);
}

function blocksOf(ledger: Ledger): Entry[] {
	return ledger.entries().filter((entry) => entry.kind === "block");
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
