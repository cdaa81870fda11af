// Acts on addresses: drop their traffic, let it pass again.
import { formatNetwork, type Network } from "../model/address.ts";
import { type Act, type ActDeps, entryOf, freshUntil, type Origin } from "./act.ts";
import { cutConnections } from "./connections.ts";
import { RespondError } from "./failure.ts";

export async function prepareBlock(
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
	const fresh = () => freshUntil(ledger.find("block", target), ttlSeconds, clock());
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

export function prepareUnblock(deps: ActDeps, network: Network): Act {
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
