// Acts on addresses: drop their traffic, let it pass again, end their established flows.
import { formatNetwork, type Network } from "../model/address.ts";
import type { Direction } from "../model/verdict.ts";
import { type Act, type ActDeps, entryOf, freshShare, type Origin } from "./act.ts";
import { isMissing } from "./command.ts";
import { RespondError } from "./failure.ts";
import type { Entry } from "./ledger.ts";
import type { Parsed } from "./orders.ts";

/** The admin of this host; and recovery, which looks whether such a block stands. */
const permanentBy: ReadonlySet<string> = new Set(["cli", "recovery"]);

const words: Readonly<Record<Direction, string>> = {
	in: "all traffic from",
	out: "all traffic to",
	both: "all traffic with",
};

/** Orders on one address run one after the other; those on many come together in the firewall. */
function laneOf(target: string): string {
	return `address ${target}`;
}

export async function prepareBlock(
	deps: ActDeps,
	order: Extract<Parsed, { kind: "block" }>,
	origin: Origin,
): Promise<Act> {
	const { ledger, firewall, clock } = deps;
	const { ttlSeconds } = order;
	const target = formatNetwork(order.network);
	const permanent = ttlSeconds === 0;
	if (permanent && !permanentBy.has(origin.requester)) {
		throw new RespondError(
			"PICKET_NOT_PERMITTED",
			"a block without an end is for the admin of this host",
			"order it with a time to live, or on the host itself with picket block --permanent",
		);
	}
	limitBlocks(deps, target);

	/** A block that stands is never cut short nor narrowed by a later one: both directions, the later end. */
	const standing = () => ledger.find("block", target);
	const direction = () => {
		const before = standing();
		return before === undefined || directionOf(before) === order.direction ? order.direction : "both";
	};
	const expiry = () => {
		const wanted = permanent ? Number.POSITIVE_INFINITY : clock() + ttlSeconds * 1000;
		const end = isFresh() ? endOf(standing()) : Math.max(wanted, endOf(standing()));
		return end === Number.POSITIVE_INFINITY ? 0 : end;
	};
	/** Does the one that stands end late enough to leave it alone? */
	function isFresh(): boolean {
		const end = endOf(standing());
		if (permanent) return end === Number.POSITIVE_INFINITY;
		return end - clock() >= ttlSeconds * 1000 * freshShare;
	}

	return {
		target,
		targetName: target,
		undo: `picket unblock ${target}`,
		lane: laneOf(target),
		takesBack: false,
		expires: expiry,
		description: `drop ${words[order.direction]} ${target} ${permanent ? "for good" : `for ${ttlSeconds} s`}`,
		protectedBecause: () => deps.protection.block(order.network),
		async unchanged(steps) {
			const before = standing();
			if (before === undefined || !isFresh() || direction() !== directionOf(before)) return false;
			return firewall.inForce(target, direction(), steps);
		},
		confirms: true,
		async run(steps, confirm) {
			const expires = expiry();
			const before = standing();
			const wide = direction();
			if (before !== undefined && wide !== directionOf(before)) {
				steps.push(`it was blocked in one direction (${directionOf(before)}); from now on in both`);
			}
			await deps.remember({
				...entryOf("block", target, target, origin, clock(), expires),
				direction: wide,
			});
			const seconds = expires === 0 ? 0 : Math.max(1, Math.ceil((expires - clock()) / 1000));
			let seen = false;
			try {
				const block = { target, ttlSeconds: seconds, direction: wide };
				seen = await firewall.block(block, steps, { standing: before !== undefined, confirm });
			} catch (error) {
				if (before === undefined) ledger.remove("block", target);
				else ledger.put(before);
				throw error;
			}
			const seenAt = clock();
			if (seen) await deps.connections.cut(target, steps);
			return { outcome: seen ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt };
		},
	};
}

export function prepareUnblock(deps: ActDeps, network: Network): Act {
	const { ledger, firewall, clock } = deps;
	const target = formatNetwork(network);
	return {
		target,
		targetName: target,
		undo: `picket block ${target}`,
		lane: laneOf(target),
		takesBack: true,
		expires: () => 0,
		description: `let traffic with ${target} pass again`,
		protectedBecause: async () => undefined,
		async unchanged(steps) {
			if (ledger.find("block", target) !== undefined) return false;
			try {
				if (await firewall.holds(target)) return false;
			} catch (error) {
				if (!isMissing(error)) throw error;
			}
			steps.push("check: it is not blocked");
			return true;
		},
		async run(steps) {
			const free = await firewall.unblock(target, steps);
			return { outcome: free ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt: clock() };
		},
	};
}

export async function prepareCut(deps: ActDeps, network: Network): Promise<Act> {
	const { connections, clock } = deps;
	const target = formatNetwork(network);
	return {
		target,
		targetName: target,
		undo: "",
		lane: laneOf(target),
		takesBack: false,
		expires: () => 0,
		description: `end the open connections with ${target}`,
		protectedBecause: () => deps.protection.address(network),
		async unchanged(steps) {
			if ((await connections.count(target)) > 0) return false;
			steps.push("check: it has no open connection");
			return true;
		},
		async run(steps) {
			await connections.cut(target, steps);
			// A flow that this host only forwards comes back with its next packet, unless its ends gave up.
			await new Promise((resolve) => setTimeout(resolve, settleMs));
			const left = await connections.count(target);
			steps.push(
				left === 0 ? "verify: no open connection" : `verify: ${left} connections are open; block the address`,
			);
			return { outcome: left === 0 ? "OUTCOME_VERIFIED" : "OUTCOME_NO_EFFECT", seenAt: clock() };
		},
	};
}

const settleMs = 250;

function limitBlocks({ ledger, settings }: ActDeps, target: string): void {
	const blocks = ledger.count("block");
	if (blocks < settings.maxActiveBlocks || ledger.find("block", target) !== undefined) return;
	throw new RespondError(
		"PICKET_NOT_PERMITTED",
		`${blocks} addresses are blocked already, the most allowed`,
		"release some, or block their network as a whole",
	);
}

/** Unix ms; 0 where there is none. */
function endOf(entry: Entry | undefined): number {
	if (entry === undefined) return 0;
	return entry.expires === 0 ? Number.POSITIVE_INFINITY : entry.expires;
}

function directionOf(entry: Entry): Direction {
	return entry.direction ?? "both";
}
