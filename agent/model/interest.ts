// What the kernel is asked to send: the sum of what rules, policy and outputs need.
import type { EventName } from "./event.ts";

/** Paths of read-only opens somebody asks for. `suffixes` are of whole paths. */
export interface PathInterest {
	readonly exact: readonly string[];
	readonly prefixes: readonly string[];
	/** Base names. */
	readonly names: readonly string[];
	readonly suffixes: readonly string[];
}

export interface Interest {
	readonly kinds: ReadonlySet<EventName>;
	readonly writeOpens: boolean;
	readonly failedOpens: boolean;
	readonly readOpens: "none" | "all" | PathInterest;
}

export const everything: Interest = {
	kinds: new Set(["exec", "fork", "exit", "open", "connect", "cgroup"]),
	writeOpens: true,
	failedOpens: true,
	readOpens: "all",
};

/** What the agent itself needs whatever the rules are: the process tree and the containers. */
export const ownNeeds: Interest = {
	kinds: new Set(["exec", "fork", "exit", "cgroup"]),
	writeOpens: false,
	failedOpens: false,
	readOpens: "none",
};

function sumOfReads(a: Interest["readOpens"], b: Interest["readOpens"]): Interest["readOpens"] {
	if (a === "all" || b === "all") return "all";
	if (a === "none") return b;
	if (b === "none") return a;
	const both = (key: keyof PathInterest) => [...new Set([...a[key], ...b[key]])];
	return {
		exact: both("exact"),
		prefixes: both("prefixes"),
		names: both("names"),
		suffixes: both("suffixes"),
	};
}

/** The least that satisfies all of them. */
export function sumOfInterests(interests: readonly Interest[]): Interest {
	return interests.reduce((sum, each) => ({
		kinds: new Set([...sum.kinds, ...each.kinds]),
		writeOpens: sum.writeOpens || each.writeOpens,
		failedOpens: sum.failedOpens || each.failedOpens,
		readOpens: sumOfReads(sum.readOpens, each.readOpens),
	}));
}
