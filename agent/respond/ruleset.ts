// What our part of the filter table looks like, and the lines that bring a table from any state to that or
// rid it of us. Pure: works on the output of `iptables -S`.
import type { Network } from "../model/address.ts";

export interface Family {
	readonly iptables: "iptables" | "ip6tables";
	readonly inet: "inet" | "inet6";
	readonly set: "picket4" | "picket6";
}

const v4: Family = { iptables: "iptables", inet: "inet", set: "picket4" };
const v6: Family = { iptables: "ip6tables", inet: "inet6", set: "picket6" };
export const families: readonly Family[] = [v4, v6];

export function familyOf(network: Network): Family {
	return network.family === 4 ? v4 : v6;
}

const chains = ["PICKET-IN", "PICKET-OUT", "PICKET-FWD"] as const;

/** Rules without their -A, in `iptables -S` spelling. */
export function matchesOf(family: Family): string[] {
	const match = (direction: string) => `-m set --match-set ${family.set} ${direction} -j DROP`;
	return [
		`PICKET-IN ${match("src")}`,
		`PICKET-OUT ${match("dst")}`,
		`PICKET-FWD ${match("src")}`,
		`PICKET-FWD ${match("dst")}`,
	];
}

/**
 * Docker puts its own jumps before everything in FORWARD each time it starts and promises to leave DOCKER-USER
 * alone, first of all (docs.docker.com/engine/network/packet-filtering-firewalls); so there where it exists.
 */
export function jumpsOf(rules: readonly string[]): string[] {
	const forward = rules.includes("-N DOCKER-USER") ? "DOCKER-USER" : "FORWARD";
	return ["INPUT -j PICKET-IN", "OUTPUT -j PICKET-OUT", `${forward} -j PICKET-FWD`];
}

/** Lines for iptables-restore --noflush; none when all stands as it should. */
export function installationOf(rules: readonly string[], family: Family): string[] {
	const lines: string[] = [];
	const matches = matchesOf(family);
	const ours = rules.filter((rule) => rule.startsWith("-A PICKET-"));
	const intact =
		chains.every((chain) => rules.includes(`-N ${chain}`)) &&
		ours.length === matches.length &&
		matches.every((match, index) => orderOf(ours)[index] === `-A ${match}`);
	if (!intact) {
		// Declaring a chain of ours that exists empties it.
		lines.push(...chains.map((chain) => `:${chain} - [0:0]`), ...matches.map((match) => `-A ${match}`));
	}
	const wanted = jumpsOf(rules);
	for (const rule of foreignJumps(rules)) {
		if (!wanted.includes(rule) || !isOnlyAndFirst(rules, rule)) lines.push(`-D ${rule}`);
	}
	for (const jump of wanted) {
		if (!isOnlyAndFirst(rules, jump)) lines.push(`-I ${jump.replace(" ", " 1 ")}`);
	}
	return lines;
}

/** Lines that remove every trace of us; none when there is none. */
export function deletionsOf(rules: readonly string[]): string[] {
	const present = chains.filter((chain) => rules.includes(`-N ${chain}`));
	return [
		...foreignJumps(rules).map((rule) => `-D ${rule}`),
		...present.map((chain) => `-F ${chain}`),
		...present.map((chain) => `-X ${chain}`),
	];
}

/** Chains come in any order from -S; within a chain the order counts. */
function orderOf(ours: readonly string[]): string[] {
	return chains.flatMap((chain) => ours.filter((rule) => rule.startsWith(`-A ${chain} `)));
}

/** Rules in chains that are not ours and lead into ours, without their -A. */
function foreignJumps(rules: readonly string[]): string[] {
	return rules
		.filter((rule) => rule.startsWith("-A ") && !rule.startsWith("-A PICKET-"))
		.filter((rule) => chains.some((chain) => rule.endsWith(` -j ${chain}`)))
		.map((rule) => rule.slice(3));
}

function isOnlyAndFirst(rules: readonly string[], jump: string): boolean {
	const chain = jump.slice(0, jump.indexOf(" ") + 1);
	const first = rules.find((rule) => rule.startsWith(`-A ${chain}`));
	return first === `-A ${jump}` && rules.filter((rule) => rule === first).length === 1;
}
