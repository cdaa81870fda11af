// What an act is to the order in which every action runs: what it is aimed at, what speaks against it, and the doing
// with its check. Each sort of act has a file of its own, acts-*.ts; the order itself is kept in responder.ts.
import type * as wire from "../model/picket.v1.ts";
import type { OrderContext } from "../model/verdict.ts";
import type { RefusalDeps } from "./acts-refusal.ts";
import type { RunCommand } from "./command.ts";
import type { Connections } from "./connections.ts";
import type { ContainerDeps } from "./containers.ts";
import type { Firewall } from "./firewall.ts";
import type { KillDeps } from "./kill.ts";
import type { Entry, Ledger } from "./ledger.ts";
import type { Settings } from "./orders.ts";
import type { Protection } from "./protect.ts";

export interface Effect {
	readonly outcome: wire.ActionOutcome;
	/** Unix ms at which the check afterwards saw the effect. */
	readonly seenAt: number;
}

export interface Act {
	/** Canonical: network, container id or "pid:start". */
	readonly target: string;
	readonly targetName: string;
	/** Command that takes it back, "" when nothing can. */
	readonly undo: string;
	/** Acts of one lane run one after the other. */
	readonly lane: string;
	/** Taking back what we did ourselves is allowed in every mode, at any rate, and with a full disk. */
	readonly takesBack: boolean;
	/** Unix ms, 0 when it does not end by itself. As of now: asked when its turn in the lane has come. */
	expires(): number;
	/** For observe mode: "drop all traffic with 1.2.3.4". */
	readonly description: string;
	/** Why it is never touched, undefined when it may be. Of the host as it is now: asked again right before the act. */
	protectedBecause(): Promise<string | undefined>;
	/** Is there nothing to do? Only looks. Says so in steps. */
	unchanged(steps: string[]): Promise<boolean>;
	/** It asks `confirm` itself, when its turn has come. */
	readonly confirms?: boolean;
	/** `confirm` is for one that has yet to wait: rejects when the target may not be touched any more. */
	run(steps: string[], confirm: () => Promise<void>): Promise<Effect>;
}

export interface ActDeps {
	readonly settings: Settings;
	readonly clock: () => number;
	readonly run: RunCommand;
	readonly firewall: Firewall;
	readonly connections: Connections;
	readonly containers: ContainerDeps;
	readonly kill: KillDeps;
	readonly ledger: Ledger;
	/** Puts an entry into the ledger, those of orders that come together with one wait for the disk. */
	readonly remember: (entry: Entry) => Promise<void>;
	readonly protection: Protection;
	/** Absent where nothing is refused in the kernel. */
	readonly refusals?: RefusalDeps | undefined;
}

/** What the ledger remembers of who asked. */
export interface Origin extends OrderContext {
	readonly actionId: string;
}

export const outcomes = {
	done: "OUTCOME_VERIFIED",
	unchanged: "OUTCOME_UNCHANGED",
	"no effect": "OUTCOME_NO_EFFECT",
} as const;

/** What still has this share of the wanted time is not renewed: alerts come in floods. */
export const freshShare = 0.9;

/** When `entry` ends (Unix ms), if that is late enough to leave it alone. */
export function freshUntil(entry: Entry | undefined, ttlSeconds: number, now: number): number | undefined {
	const expires = entry?.expires ?? 0;
	return expires - now >= ttlSeconds * 1000 * freshShare ? expires : undefined;
}

export function entryOf(
	kind: Entry["kind"],
	target: string,
	targetName: string,
	origin: Origin,
	since: number,
	expires: number,
): Entry {
	const { actionId, requester, reason, alertId } = origin;
	return { kind, target, targetName, actionId, requester, reason, alertId, since, expires };
}
