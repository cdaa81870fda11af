// The five acts, each as the steps that the order of every action runs through: what it is aimed at, what speaks
// against it, and the doing with its check. The order itself is kept in responder.ts.
import { formatNetwork, type Network } from "../model/address.ts";
import type * as wire from "../model/picket.v1.ts";
import type { OrderContext } from "../model/verdict.ts";
import type { RunCommand } from "./command.ts";
import { cutConnections } from "./connections.ts";
import { type ContainerRuntime, findContainer, setPaused } from "./containers.ts";
import { RespondError } from "./failure.ts";
import type { Firewall } from "./firewall.ts";
import { identify, type KillDeps, killProcess } from "./kill.ts";
import type { Entry, Ledger } from "./ledger.ts";
import type { Parsed, Settings } from "./orders.ts";
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
	readonly protectedBecause: string | undefined;
	/** Is there nothing to do? Only looks. Says so in steps. */
	unchanged(steps: string[]): Promise<boolean>;
	run(steps: string[]): Promise<Effect>;
}

export interface ActDeps {
	readonly settings: Settings;
	readonly clock: () => number;
	readonly run: RunCommand;
	readonly firewall: Firewall;
	readonly docker: () => ContainerRuntime | undefined;
	readonly kill: KillDeps;
	readonly ledger: Ledger;
	readonly protection: Protection;
}

/** What the ledger remembers of who asked. */
export interface Origin extends OrderContext {
	readonly actionId: string;
}

/** Finds the target and what protects it. Throws RespondError when there is no such target. */
export function prepareAct(deps: ActDeps, order: Parsed, origin: Origin): Promise<Act> {
	switch (order.kind) {
		case "block":
			return prepareBlock(deps, order.network, order.ttlSeconds, origin);
		case "unblock":
			return Promise.resolve(prepareUnblock(deps, order.network));
		case "pause":
			return preparePause(deps, order.container, origin);
		case "resume":
			return prepareResume(deps, order.container);
		case "kill":
			return Promise.resolve(prepareKill(deps, order.pid, order.start));
	}
}

/** A block that still has this share of the wanted time is not renewed: alerts come in floods. */
const freshShare = 0.9;

async function prepareBlock(
	deps: ActDeps,
	network: Network,
	ttlSeconds: number,
	origin: Origin,
): Promise<Act> {
	const { ledger, firewall, settings, clock } = deps;
	const target = formatNetwork(network);
	const known = ledger.find("block", target);
	const blocks = ledger.entries().filter((entry) => entry.kind === "block").length;
	if (known === undefined && blocks >= settings.maxActiveBlocks) {
		throw new RespondError(
			"PICKET_NOT_PERMITTED",
			`${blocks} addresses are blocked already, the most allowed`,
			"release some, or block their network as a whole",
		);
	}
	/** When the block that stands ends, if that is late enough to leave it alone. */
	function fresh(): number | undefined {
		const expires = ledger.find("block", target)?.expires ?? 0;
		return expires - clock() >= ttlSeconds * 1000 * freshShare ? expires : undefined;
	}
	// A longer block is never cut short by a later, shorter one.
	const expiry = () => fresh() ?? clock() + ttlSeconds * 1000;
	return {
		target,
		targetName: target,
		undo: `picket unblock ${target}`,
		lane: "firewall",
		takesBack: false,
		expires: expiry,
		description: `drop all traffic with ${target} for ${ttlSeconds} s`,
		protectedBecause: await deps.protection.address(network),
		async unchanged(steps) {
			return fresh() !== undefined && firewall.inForce(network, steps);
		},
		async run(steps) {
			const expires = expiry();
			const before = ledger.find("block", target);
			ledger.put(entryOf("block", target, target, origin, clock(), expires));
			let seen = false;
			try {
				seen = await firewall.block(network, Math.max(1, Math.ceil((expires - clock()) / 1000)), steps);
			} catch (error) {
				if (before === undefined) ledger.remove("block", target);
				else ledger.put(before);
				throw error;
			}
			const seenAt = clock();
			if (seen) await cutConnections(deps.run, network, steps);
			return { outcome: seen ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt };
		},
	};
}

function prepareUnblock(deps: ActDeps, network: Network): Act {
	const { ledger, firewall, clock } = deps;
	const target = formatNetwork(network);
	return {
		target,
		targetName: target,
		undo: `picket block ${target}`,
		lane: "firewall",
		takesBack: true,
		expires: () => 0,
		description: `let traffic with ${target} pass again`,
		protectedBecause: undefined,
		async unchanged(steps) {
			if (ledger.find("block", target) !== undefined) return false;
			try {
				if (await firewall.holds(network)) return false;
			} catch (error) {
				if (!(error instanceof RespondError) || error.code !== "PICKET_COMMAND_MISSING") throw error;
			}
			steps.push("check: it is not blocked");
			return true;
		},
		async run(steps) {
			const free = await firewall.unblock(network, steps);
			ledger.remove("block", target);
			return { outcome: free ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt: clock() };
		},
	};
}

async function preparePause(deps: ActDeps, container: string, origin: Origin): Promise<Act> {
	const { ledger, clock } = deps;
	const { runtime, state } = await findContainer(deps.docker(), container);
	return {
		target: state.id,
		targetName: `container ${state.name} (${state.image})`,
		undo: `picket resume ${state.name || state.id}`,
		lane: `container ${state.id}`,
		takesBack: false,
		expires: () => 0,
		description: `pause container ${state.name}`,
		protectedBecause: await deps.protection.container(state),
		async unchanged(steps) {
			if (state.paused) steps.push("check: it is already paused");
			return state.paused;
		},
		async run(steps) {
			const own = ledger.find("pause", state.id) === undefined;
			ledger.put(entryOf("pause", state.id, state.name, origin, clock(), 0));
			try {
				const done = await setPaused(runtime, state.id, true, steps);
				// Somebody else paused it in between: then it is not ours to resume.
				if (done !== "done" && own) ledger.remove("pause", state.id);
				return { outcome: outcomes[done], seenAt: clock() };
			} catch (error) {
				// After a lost answer it may be paused all the same; then the entry has to stay.
				if (own && error instanceof RespondError && error.refused) ledger.remove("pause", state.id);
				throw error;
			}
		},
	};
}

async function prepareResume(deps: ActDeps, container: string): Promise<Act> {
	const { ledger, clock } = deps;
	const entry = ledger.entries().find((one) => one.kind === "pause" && isNamed(one, container));
	const { runtime, state } = await findContainer(deps.docker(), entry?.target ?? container);
	return {
		target: state.id,
		targetName: `container ${state.name} (${state.image})`,
		undo: `picket pause ${state.name || state.id}`,
		lane: `container ${state.id}`,
		takesBack: ledger.find("pause", state.id) !== undefined,
		expires: () => 0,
		description: `resume container ${state.name}`,
		protectedBecause: undefined,
		async unchanged(steps) {
			if (state.paused) return false;
			steps.push("check: it is not paused");
			ledger.remove("pause", state.id);
			return true;
		},
		async run(steps) {
			const done = await setPaused(runtime, state.id, false, steps);
			if (done !== "no effect") ledger.remove("pause", state.id);
			return { outcome: outcomes[done], seenAt: clock() };
		},
	};
}

function prepareKill(deps: ActDeps, pid: number, start: number): Act {
	const identity = identify(deps.kill.root, pid, start);
	return {
		target: `${pid}:${start}`,
		targetName: identity === undefined ? `process ${pid}` : `${identity.comm} (pid ${pid})`,
		undo: "",
		lane: `process ${pid}`,
		takesBack: false,
		expires: () => 0,
		description: `kill process ${pid}`,
		protectedBecause: identity === undefined ? undefined : deps.protection.process(identity),
		async unchanged(steps) {
			if (identity === undefined) steps.push(`check: there is no process ${pid} any more`);
			return identity === undefined;
		},
		async run(steps) {
			const done = await killProcess(deps.kill, pid, start, steps);
			return { outcome: outcomes[done], seenAt: deps.clock() };
		},
	};
}

const outcomes = {
	done: "OUTCOME_VERIFIED",
	unchanged: "OUTCOME_UNCHANGED",
	"no effect": "OUTCOME_NO_EFFECT",
} as const;

function isNamed(entry: Entry, container: string): boolean {
	return entry.targetName === container || (container.length >= 12 && entry.target.startsWith(container));
}

function entryOf(
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
