// What our part of a table looks like, and the lines that bring it from any state to that or rid it of us. Pure:
// works on the output of `iptables-save`.
//
// Ours is the mangle table. Its PREROUTING sees every packet that comes in before a nat table rewrites where it goes,
// so one rule covers the host's own ports, published ports whether Docker forwards them or its proxy accepts them, and
// what is routed. Its POSTROUTING sees every packet that leaves with its last destination, of the host's own processes
// and of containers. No verdict of another table or of nftables lets a dropped packet pass, so nobody's ACCEPT comes
// before ours, and `iptables -F`, a firewall's reload or Docker's own jumps, all in the filter table, do not reach it.
// What belongs to an established flow passes here too: it is dropped like the first packet. The raw table would come
// earlier still, but it has no place for what leaves, and two tables cannot be changed in one transaction.
//
// A packet is dropped only when its own source or destination is in a set: neighbour discovery and ICMP errors of
// routers on the way are not touched.

export interface Family {
	readonly iptables: "iptables" | "ip6tables";
	readonly inet: "inet" | "inet6";
	/** Addresses whose packets are dropped as they come in, and as they go out. */
	readonly sets: { readonly in: string; readonly out: string };
	/** The one set of versions before 0.2, filled for both directions. */
	readonly oldSet: string;
}

export const families: readonly Family[] = [
	{
		iptables: "iptables",
		inet: "inet",
		sets: { in: "picket4-in", out: "picket4-out" },
		oldSet: "picket4",
	},
	{
		iptables: "ip6tables",
		inet: "inet6",
		sets: { in: "picket6-in", out: "picket6-out" },
		oldSet: "picket6",
	},
];

export function familyOf(target: string): Family {
	return families[target.includes(":") ? 1 : 0] as Family;
}

export const ourTable = "mangle";
/** Where versions before 0.2 had theirs. */
export const oldTable = "filter";

export interface Table {
	/** Chains of the kernel with their policy. */
	readonly policies: ReadonlyMap<string, string>;
	/** Chains that somebody made. */
	readonly chains: readonly string[];
	/** As iptables-save has them, with -A. */
	readonly rules: readonly string[];
}

/** One table of `iptables-save`; undefined when there is none of that name. */
export function readTable(saved: string, name: string): Table | undefined {
	const lines = saved.split("\n");
	const start = lines.indexOf(`*${name}`);
	if (start < 0) return undefined;
	const policies = new Map<string, string>();
	const chains: string[] = [];
	const rules: string[] = [];
	for (const line of lines.slice(start + 1)) {
		if (line === "COMMIT") break;
		const [chain = "", policy = ""] = line.slice(1).split(" ");
		if (line.startsWith("-A ")) rules.push(line);
		else if (line.startsWith(":") && policy === "-") chains.push(chain);
		else if (line.startsWith(":")) policies.set(chain, policy);
	}
	return { policies, chains, rules };
}

const comment = "-m comment --comment picket";
const jumps = [
	{ from: "PREROUTING", to: "PICKET-IN" },
	{ from: "POSTROUTING", to: "PICKET-OUT" },
] as const;
/** An empty chain that remembers that the table was made for us: purge takes it away with us. */
const madeTable = "PICKET-MADE-TABLE";

/** Our rules without their -A, each chain's in their order. */
function rulesOf(family: Family): string[] {
	return [
		`PICKET-IN ${comment} -m set --match-set ${family.sets.in} src -j DROP`,
		`PICKET-OUT ${comment} -m set --match-set ${family.sets.out} dst -j DROP`,
	];
}

/**
 * Lines for iptables-restore --noflush; none when all stands as it should, so that what stands is never taken away and
 * put back. `plain`: without comments, for a kernel that does not know them.
 */
export function installationOf(table: Table | undefined, family: Family, plain = false): string[] {
	const lines: string[] = table === undefined ? [`:${madeTable} - [0:0]`] : [];
	const rules = table?.rules ?? [];
	const written = (rule: string) => (plain ? rule.replace(` ${comment}`, "") : rule);
	for (const rule of rulesOf(family)) {
		const chain = rule.slice(0, rule.indexOf(" "));
		const present = rules.filter((one) => one.startsWith(`-A ${chain} `));
		if (table?.chains.includes(chain) && present.length === 1 && isSame(present[0], rule)) continue;
		// Declaring a chain that exists empties it; the transaction fills it again before anybody sees it.
		lines.push(`:${chain} - [0:0]`, `-A ${written(rule)}`);
	}
	for (const { from, to } of jumps) {
		const wanted = `${from} ${comment} -j ${to}`;
		const leading = rules.filter((one) => targetOf(one) === to);
		const first = rules.find((one) => one.startsWith(`-A ${from} `));
		if (leading.length === 1 && leading[0] === first && isSame(first, wanted)) continue;
		lines.push(...leading.map((one) => `-D ${one.slice(3)}`));
		lines.push(`-I ${written(wanted).replace(" ", " 1 ")}`);
	}
	return lines;
}

/** Lines that remove every trace of us from a table; none when there is none. */
export function deletionsOf(table: Table | undefined): string[] {
	const chains = table?.chains.filter(isOurs) ?? [];
	const leading = table?.rules.filter((rule) => chains.includes(targetOf(rule)) && !isOurs(chainOf(rule)));
	return [
		...(leading ?? []).map((rule) => `-D ${rule.slice(3)}`),
		...chains.map((chain) => `-F ${chain}`),
		...chains.map((chain) => `-X ${chain}`),
	];
}

/** Was the table made for us, and does nobody else use it by now? Then the whole of it may go. */
export function isOnlyOurs(table: Table | undefined): boolean {
	if (table === undefined || !table.chains.includes(madeTable)) return false;
	const foreign = table.rules.some((rule) => !isOurs(chainOf(rule)) && !isOurs(targetOf(rule)));
	return (
		!foreign &&
		table.chains.every(isOurs) &&
		[...table.policies.values()].every((policy) => policy === "ACCEPT")
	);
}

export function restoreInput(table: string, lines: readonly string[]): string {
	return `${[`*${table}`, ...lines, "COMMIT"].join("\n")}\n`;
}

function isOurs(chain: string): boolean {
	return chain.startsWith("PICKET-");
}

function chainOf(rule: string): string {
	return rule.split(" ")[1] ?? "";
}

function targetOf(rule: string): string {
	return /-[jg] (\S+)$/.exec(rule)?.[1] ?? "";
}

/** Versions of iptables print the matches of a rule in their own order, and a comment with or without quotes. */
function isSame(saved: string | undefined, rule: string): boolean {
	const parts = (text: string) => text.replace(` ${comment}`, "").split(" ").sort().join(" ");
	return saved !== undefined && parts(saved.replaceAll('"', "")) === parts(`-A ${rule}`);
}
