// Our sets of addresses in the kernel, as `ipset restore` and `ipset save` write them. Pure: the commands are run
// elsewhere. The kernel ends each entry at its time, whoever is dead by then.
import { contains, formatNetwork, isSingle, type Network, parseNetwork } from "../model/address.ts";
import type { Direction } from "../model/verdict.ts";
import type { Family } from "./ruleset.ts";

/** One address or network, blocked. */
export interface Block {
	/** Canonical text. */
	readonly target: string;
	/** 0 for one without an end. */
	readonly ttlSeconds: number;
	readonly direction: Direction;
}

/**
 * Twice the most blocks there may be: an entry whose time is over counts until the kernel collects it. The parameters of
 * a set never change under its name: ipset refuses to go on with a set that was made otherwise.
 */
const maxElements = 131_072;
const defaultSeconds = 3600;
/** Above this ipset refuses; 24 days. */
export const longestSeconds = 2_147_483;

export function setsOf(family: Family, direction: Direction): string[] {
	return direction === "both" ? [family.sets.in, family.sets.out] : [family.sets[direction]];
}

/** For `ipset -exist restore`. Both sets, whatever is put into them: the rules name both. */
export function creationOf(family: Family): string[] {
	const options = `hash:net family ${family.inet} maxelem ${maxElements} timeout ${defaultSeconds} counters`;
	return setsOf(family, "both").map((set) => `create ${set} ${options}`);
}

export function additionOf(set: string, { target, ttlSeconds }: Block): string {
	return `add ${set} ${target} timeout ${Math.min(ttlSeconds, longestSeconds)}`;
}

export function removalOf(sets: readonly string[], target: string): string[] {
	return sets.map((set) => `del ${set} ${target}`);
}

/** What a set holds: remaining seconds by canonical text, 0 for ever. */
export type Held = ReadonlyMap<string, number>;

/** Reads `ipset save`, of one set or of all. */
export function readSaved(saved: string): Map<string, Held> {
	const sets = new Map<string, Map<string, number>>();
	for (const line of saved.split("\n")) {
		const [act, set = "", target = "", ...options] = line.split(" ");
		if (act === "create") sets.set(set, new Map());
		if (act !== "add") continue;
		const timeout = options.indexOf("timeout");
		sets.get(set)?.set(canonical(target), timeout < 0 ? 0 : Number(options[timeout + 1]));
	}
	return sets;
}

/** Number of entries of each set, from `ipset list -terse`. Expired ones are not counted. */
export function readCounts(listed: string): Map<string, number> {
	const counts = new Map<string, number>();
	for (const part of listed.split(/\n(?=Name: )/)) {
		const name = /^Name: (\S+)$/m.exec(part)?.[1];
		const count = /^Number of entries: (\d+)$/m.exec(part)?.[1];
		if (name !== undefined) counts.set(name, Number(count ?? Number.NaN));
	}
	return counts;
}

/** Which of the targets are held, themselves or by a wider entry. */
export function coverage(held: Held | undefined): (target: string) => boolean {
	if (held === undefined) return () => false;
	let wide: Network[] | undefined;
	return (target) => {
		if (held.has(target)) return true;
		wide ??= [...held.keys()]
			.filter((one) => one.includes("/"))
			.map(parseNetwork)
			.filter((one) => !isSingle(one));
		const network = wide.length === 0 ? undefined : parseNetwork(target);
		return network !== undefined && wide.some((one) => contains(one, network));
	};
}

/** ipset writes an IPv6 address that ends in an IPv4 one with dots; all else is written as we write it. */
function canonical(target: string): string {
	return target.includes(":") && target.includes(".") ? formatNetwork(parseNetwork(target)) : target;
}
