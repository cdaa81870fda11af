// How much of the internet may be blocked: by one order, and by all blocks together. Many narrow networks add up to
// what one wide network is refused for.
import { formatNetwork, type Network } from "../model/address.ts";

/** Prefix of the widest network that one order may name: beyond it is not an attacker but a part of the internet. */
export const widest = { 4: 16, 6: 32 } as const;

/** All blocks together, in networks of that width. */
const widestInSum = 2;
/** For how long the sum over what stands is not made anew. */
const summedForMs = 1000;

/** Why the network is too wide for one order, undefined when it is not. */
export function tooWide(network: Network): string | undefined {
	const limit = widest[network.family];
	if (network.prefix >= limit) return undefined;
	return `it is wider than a /${limit}, the most for IPv${network.family}`;
}

/**
 * Says why blocking a network on top of what `standing` gives (canonical texts) is too much. Asked 10,000 times in a
 * row it must stay quick, so in between it counts along instead of summing up again.
 */
export function createBlockedShare(standing: () => Iterable<string>, clock: () => number) {
	let counted = new Map<string, number>();
	const sums = { 4: 0, 6: 0 };
	let at = Number.NEGATIVE_INFINITY;

	function count(text: string): void {
		if (counted.has(text)) return;
		const share = shareOf(text);
		counted.set(text, share);
		sums[text.includes(":") ? 6 : 4] += share;
	}

	function sumUp(): void {
		const now = clock();
		if (now >= at && now - at < summedForMs) return;
		at = now;
		counted = new Map();
		sums[4] = 0;
		sums[6] = 0;
		for (const text of standing()) count(text);
	}

	return (network: Network): string | undefined => {
		sumUp();
		const text = formatNetwork(network);
		if (counted.has(text)) return undefined;
		const { family } = network;
		// A single IPv6 address is too small a share to show in the sum.
		if (sums[family] >= widestInSum || sums[family] + shareOf(text) > widestInSum) {
			return `with what is blocked already it would be more than ${widestInSum} networks of /${widest[family]}`;
		}
		count(text);
		return undefined;
	};
}

/** Of a network of the widest kind. */
function shareOf(text: string): number {
	const v6 = text.includes(":");
	const slash = text.indexOf("/");
	const prefix = slash < 0 ? (v6 ? 128 : 32) : Number(text.slice(slash + 1));
	return 2 ** (widest[v6 ? 6 : 4] - prefix);
}
