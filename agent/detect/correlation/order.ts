// temporal_ordered: how many of the listed rules have matched one after another, in the listed order. Of all chains of
// a length that end with a rule only the one that began last is kept: it leaves the window last.
import type { Entry, Measure } from "./measure.ts";

interface Chain {
	readonly entry: Entry;
	readonly before: Chain | undefined;
	/** Time of its first entry. */
	readonly start: number;
	/** What stood here before this event: two rules that match one event are not one after another. */
	earlier: Chain | undefined;
}

/** At most 32 rules: a match costs up to their square. */
export function createChains(positions: number): Measure {
	/** [length - 1][position of the last rule] */
	let best: (Chain | undefined)[][] = [];
	const restart = (): void => {
		best = Array.from({ length: positions }, () => []);
	};
	restart();
	const longest = (since: number): Chain | undefined => {
		for (let length = positions; length > 0; length--) {
			let found: Chain | undefined;
			for (const chain of best[length - 1] ?? [])
				if (chain && chain.start >= since && (!found || chain.start > found.start)) found = chain;
			if (found) return found;
		}
		return undefined;
	};
	const put = (length: number, chain: Chain): void => {
		const row = best[length - 1] as (Chain | undefined)[];
		const { position } = chain.entry;
		const old = row[position];
		if (old && old.start > chain.start) return;
		chain.earlier = old?.entry.number === chain.entry.number ? old.earlier : old;
		if (chain.earlier) chain.earlier.earlier = undefined;
		row[position] = chain;
	};
	return {
		restart,
		add(entry) {
			for (let length = entry.position + 1; length > 1; length--) {
				let before: Chain | undefined;
				for (let position = 0; position < entry.position; position++) {
					const last = best[length - 2]?.[position];
					const chain = last?.entry.number === entry.number ? last.earlier : last;
					if (chain && (!before || chain.start > before.start)) before = chain;
				}
				if (before) put(length, { entry, before, start: before.start, earlier: undefined });
			}
			put(1, { entry, before: undefined, start: entry.time, earlier: undefined });
		},
		// A chain that began before the window is no chain any more.
		remove: () => {},
		value(since) {
			return chainOf(longest(since)).length;
		},
		chosen: (since) => chainOf(longest(since)),
	};
}

function chainOf(last: Chain | undefined): Entry[] {
	const found: Entry[] = [];
	for (let at = last; at; at = at.before) found.unshift(at.entry);
	return found;
}
