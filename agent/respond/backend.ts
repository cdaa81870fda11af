// Which of the kernel's two packet filters `iptables` speaks to here, who else has rules in it, and what is amiss.
// Only looks: never with -t, since asking iptables for a table that does not exist makes it.
import { isMissing, type RunCommand } from "./command.ts";
import { RespondError } from "./failure.ts";
import { families } from "./ruleset.ts";

export type Kind = "nft" | "legacy";
/** What follows "iptables" in a command's name; "" is the host's own choice. */
export type Variant = "" | "-nft" | "-legacy";

export interface Backend {
	readonly kind: Kind;
	readonly variant: Variant;
	/** The other one, where its tools are installed, and what it holds: `iptables-save` of each family. */
	readonly other: { readonly variant: Variant; readonly saved: readonly string[] } | undefined;
	/** Sentences for the user. */
	readonly problems: readonly string[];
}

export interface FirewallReport {
	readonly backend: Kind | "none";
	/** As it names itself: "iptables v1.8.9 (nf_tables)". */
	readonly version: string;
	/** Who else keeps rules here. */
	readonly others: readonly string[];
	/** Each says what is wrong and what to do. */
	readonly problems: readonly string[];
}

/** Chains and nftables tables by which those are known that filter packets on a host. */
const known: readonly (readonly [string, RegExp])[] = [
	["docker", /^:DOCKER\b|^table \S+ docker-bridges$/m],
	["firewalld", /^:(IN_public|INPUT_ZONES|FWDI_\w+)\b|^table \S+ firewalld$/m],
	["ufw", /^:ufw6?-/m],
	["fail2ban", /^:f2b-|^table \S+ f2b-table$/m],
	["crowdsec", /^:CROWDSEC|^table \S+ crowdsec6?$/m],
	["kubernetes", /^:KUBE-/m],
	["libvirt", /^:LIBVIRT_|^table \S+ libvirt_network$/m],
];

/** `text`: of iptables-save, of `nft list tables`, or both. */
export function othersIn(text: string): string[] {
	return known.filter(([, pattern]) => pattern.test(text)).map(([name]) => name);
}

/** Undefined where it is not installed; "" where it fails. */
async function said(
	run: RunCommand,
	file: string,
	args: readonly string[] = [],
): Promise<string | undefined> {
	try {
		const { code, stdout } = await run(file, args);
		return code === 0 ? stdout : "";
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}

async function savedBy(run: RunCommand, variant: Variant): Promise<string[] | undefined> {
	const texts = await Promise.all(families.map(({ iptables }) => said(run, `${iptables}${variant}-save`)));
	return texts.every((text) => text === undefined) ? undefined : texts.map((text) => text ?? "");
}

const hasRules = (saved: readonly string[]) =>
	saved.some((text) => /^-A /m.test(text.replace(/^.*PICKET-.*$/gm, "")));

/**
 * The backend to use: the one `iptables` stands for, unless Docker keeps its rules only in the other. `forced` is for a
 * caller who knows. Throws PICKET_COMMAND_MISSING where there is no iptables.
 */
export async function findBackend(run: RunCommand, forced: Variant = ""): Promise<Backend> {
	const version = await said(run, `iptables${forced}`, ["-V"]);
	if (version === undefined) throw await withoutIptables(run);
	// Before 1.8 there was no other and no word for it.
	const kind: Kind = version.includes("nf_tables") ? "nft" : "legacy";
	const opposite: Kind = kind === "nft" ? "legacy" : "nft";
	const saved = await savedBy(run, `-${opposite}`);
	const standing = { kind, variant: forced, problems: [] };
	if (saved === undefined || !hasRules(saved)) {
		return { ...standing, other: saved && { variant: `-${opposite}`, saved } };
	}
	const here = (await savedBy(run, forced)) ?? [];
	const docker = (texts: readonly string[]) => othersIn(texts.join("\n")).includes("docker");
	const moves = forced === "" && docker(saved) && !docker(here);
	const used = moves ? opposite : kind;
	const why = moves ? "since Docker keeps its rules there" : "as the host's iptables does";
	const problems =
		hasRules(here) || moves
			? [
					`both iptables-nft and iptables-legacy are in use: packets pass the rules of both; Picket uses iptables-${used}, ${why}; move all rules to one of them (update-alternatives --config iptables)`,
				]
			: [];
	if (!moves) return { ...standing, other: { variant: `-${opposite}`, saved }, problems };
	return { kind: opposite, variant: `-${opposite}`, other: { variant: `-${kind}`, saved: here }, problems };
}

async function withoutIptables(run: RunCommand): Promise<RespondError> {
	const nft = (await said(run, "nft", ["--version"])) !== undefined;
	const message = nft ? "this host has nftables but not the tool iptables" : "iptables is not installed";
	const remedy = nft
		? "install the package iptables: its rules stand beside those of nftables and change none of them"
		: "install the package iptables";
	return new RespondError("PICKET_COMMAND_MISSING", message, remedy);
}

/** For `picket doctor`. Never rejects. */
export async function describeFirewall(run: RunCommand): Promise<FirewallReport> {
	const problems: string[] = [];
	const note = (error: unknown) => {
		if (!(error instanceof RespondError)) throw error;
		problems.push(`${error.message}; ${error.remedy}`);
	};
	try {
		const tools = [
			["ipset", "addresses cannot be blocked"],
			["conntrack", "open connections of a blocked address are not cut, only silent"],
			["ss", "open connections of a blocked address are not cut, only silent"],
		] as const;
		for (const [tool, lost] of tools) {
			const answer = await said(run, tool, ["-V"]);
			const wanted = tool === "ss" ? "iproute2" : tool;
			if (answer === undefined)
				problems.push(`${tool} is not installed: ${lost}; install the package ${wanted}`);
		}
		const backend = await findBackend(run);
		const texts = [
			...((await savedBy(run, backend.variant)) ?? []),
			...(backend.other?.saved ?? []),
			(await said(run, "nft", ["list", "tables"])) ?? "",
		];
		const version = ((await said(run, `iptables${backend.variant}`, ["-V"])) ?? "").trim();
		problems.push(...backend.problems);
		return { backend: backend.kind, version, others: othersIn(texts.join("\n")), problems };
	} catch (error) {
		note(error);
		return { backend: "none", version: "", others: [], problems };
	}
}
