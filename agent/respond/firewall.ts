// Blocks addresses: two ipsets with a time-out in the kernel and three chains of our own. Touches no rule that
// is not ours, and nothing at all before the first block. Which address may be blocked is decided elsewhere.
import { formatNetwork, type Network, parseNetwork } from "../model/address.ts";
import type { CommandResult, RunCommand } from "./command.ts";
import { RespondError } from "./failure.ts";
import {
	deletionsOf,
	type Family,
	families,
	familyOf,
	installationOf,
	jumpsOf,
	matchesOf,
} from "./ruleset.ts";

export interface Firewall {
	/**
	 * Drops all traffic with the network for `ttlSeconds`, in both directions and forwarded. True when a look
	 * afterwards saw the entry and every rule in its place. Throws RespondError; then nothing of it remains.
	 */
	block(network: Network, ttlSeconds: number, steps: string[]): Promise<boolean>;
	/** True when it is not blocked any more (another, wider entry may still cover it). */
	unblock(network: Network, steps: string[]): Promise<boolean>;
	/** Is it in the set, itself or as part of a wider network? False on a host that never blocked anything. */
	holds(network: Network): Promise<boolean>;
	/** Seconds left (0: for ever) of everything in our sets, by canonical text; undefined where there is no ipset. */
	held(): Promise<ReadonlyMap<string, number> | undefined>;
	/** Is it dropped right now: in the set, and every rule in its place? */
	inForce(network: Network, steps: string[]): Promise<boolean>;
	/** Takes chains and sets away; true when nothing of ours is left. */
	remove(steps: string[]): Promise<boolean>;
}

export interface FirewallOptions {
	readonly run: RunCommand;
	/** Which iptables: "" the host's own choice. */
	readonly variant?: "" | "-nft" | "-legacy";
}

export function createFirewall({ run, variant = "" }: FirewallOptions): Firewall {
	const tool = (family: Family) => `${family.iptables}${variant}`;
	// Lets a waiting xtables lock pass; ignored by the nft variant.
	const wait = ["-w", "5"];

	async function must(file: string, args: readonly string[], input?: string): Promise<CommandResult> {
		const result = await run(file, args, input);
		if (result.code === 0) return result;
		const said = firstLine(result.stderr) || `exit code ${result.code}`;
		throw new RespondError(
			"PICKET_FIREWALL_UNUSABLE",
			`${file} ${args.join(" ")}: ${said}`,
			"picket doctor tells what the firewall needs on this host",
		);
	}

	const rulesOf = async (family: Family) =>
		(await must(tool(family), [...wait, "-S"])).stdout.split("\n").filter((line) => line !== "");

	async function holds(network: Network): Promise<boolean> {
		const family = familyOf(network);
		const result = await run("ipset", ["test", family.set, formatNetwork(network)]);
		// Exit code 1 is both "not in it" and every error; only the words tell them apart.
		if (result.code === 0) return true;
		if (/is NOT in set|does not exist/.test(result.stderr)) return false;
		throw new RespondError(
			"PICKET_FIREWALL_UNUSABLE",
			`ipset test: ${firstLine(result.stderr)}`,
			"check that the kernel has ip_set",
		);
	}

	/** Brings chains and jumps into place when they are not, all in one transaction. */
	async function install(family: Family, steps: string[]): Promise<void> {
		const lines = installationOf(await rulesOf(family), family);
		if (lines.length === 0) return;
		await must(`${tool(family)}-restore`, ["--noflush", ...wait], restoreInput(lines));
		steps.push(
			`${tool(family)}-restore: ${lines.filter((line) => line.startsWith("-I")).join(", ") || "chains"}`,
		);
	}

	/** First the position of the jumps (another tool may have put a rule before ours), then each rule by name. */
	async function rulesStand(family: Family, steps: string[]): Promise<boolean> {
		const rules = await rulesOf(family);
		if (installationOf(rules, family).length > 0) {
			steps.push(`verify: ${tool(family)} -S shows our rules missing or not first`);
			return false;
		}
		for (const rule of [...jumpsOf(rules), ...matchesOf(family)]) {
			const { code } = await run(tool(family), [...wait, "-C", ...rule.split(" ")]);
			if (code === 0) continue;
			steps.push(`verify: ${tool(family)} -C ${rule} found nothing`);
			return false;
		}
		steps.push(
			`verify: ${tool(family)} -C found the jumps and matches of PICKET-IN, PICKET-OUT and PICKET-FWD`,
		);
		return true;
	}

	async function inForce(network: Network, steps: string[]): Promise<boolean> {
		const inside = await holds(network);
		steps.push(`verify: ipset test ${familyOf(network).set}: ${inside ? "in the set" : "not in the set"}`);
		return inside && (await rulesStand(familyOf(network), steps));
	}

	async function removeFamily(
		family: Family,
		sets: readonly string[] | undefined,
		steps: string[],
	): Promise<boolean> {
		// The rules hold their set: without the set there are none, and no table needs to be looked at.
		if (sets !== undefined && !sets.includes(family.set)) return true;
		const lines = deletionsOf(await rulesOf(family));
		if (lines.length > 0) {
			await must(`${tool(family)}-restore`, ["--noflush", ...wait], restoreInput(lines));
			steps.push(`${tool(family)}-restore: removed jumps and chains`);
		}
		if (sets !== undefined) {
			await destroySet(family.set);
			steps.push(`ipset destroy ${family.set}`);
		}
		return deletionsOf(await rulesOf(family)).length === 0;
	}

	/** A set stays in use for a moment after its last rule is gone (nf_tables frees rules in the background). */
	async function destroySet(set: string): Promise<void> {
		for (let attempt = 0; ; attempt++) {
			const result = await run("ipset", ["destroy", set]);
			if (result.code === 0 || result.stderr.includes("does not exist")) return;
			if (attempt >= 20 || !result.stderr.includes("in use")) {
				const remedy = `see who uses it: iptables-save | grep ${set}`;
				throw new RespondError(
					"PICKET_FIREWALL_UNUSABLE",
					`ipset destroy: ${firstLine(result.stderr)}`,
					remedy,
				);
			}
			await new Promise((resolve) => setTimeout(resolve, 100));
		}
	}

	/** Names of all sets; undefined when ipset is not installed. */
	async function setNames(): Promise<string[] | undefined> {
		try {
			return (await must("ipset", ["list", "-n"])).stdout.split("\n");
		} catch (error) {
			if (isMissing(error)) return undefined;
			throw error;
		}
	}

	async function held(): Promise<ReadonlyMap<string, number> | undefined> {
		const names = await setNames();
		if (names === undefined) return undefined;
		const found = new Map<string, number>();
		for (const { set } of families.filter((family) => names.includes(family.set))) {
			for (const line of (await must("ipset", ["save", set])).stdout.split("\n")) {
				const [, network = "", seconds] = /^add \S+ (\S+)(?: timeout (\d+))?/.exec(line) ?? [];
				if (network !== "") found.set(formatNetwork(parseNetwork(network)), Number(seconds ?? 0));
			}
		}
		return found;
	}

	return {
		holds,
		held,
		inForce,

		async block(network, ttlSeconds, steps) {
			const family = familyOf(network);
			const text = formatNetwork(network);
			const set = ["hash:net", "family", family.inet, "timeout", "1800", "counters"];
			await must("ipset", ["create", "-exist", family.set, ...set]);
			await must("ipset", ["add", "-exist", family.set, text, "timeout", String(ttlSeconds)]);
			steps.push(`ipset add ${family.set} ${text} timeout ${ttlSeconds}`);
			try {
				await install(family, steps);
			} catch (error) {
				await run("ipset", ["del", "-exist", family.set, text]);
				throw error;
			}
			return inForce(network, steps);
		},

		async unblock(network, steps) {
			const family = familyOf(network);
			const text = formatNetwork(network);
			const { code, stderr } = await run("ipset", ["del", "-exist", family.set, text]);
			if (code !== 0 && !stderr.includes("does not exist")) {
				throw new RespondError(
					"PICKET_FIREWALL_UNUSABLE",
					`ipset del: ${firstLine(stderr)}`,
					"run it by hand as root",
				);
			}
			steps.push(`ipset del ${family.set} ${text}`);
			const still = await holds(network);
			steps.push(
				`verify: ipset test ${family.set}: ${still ? "a wider entry still covers it" : "not in the set"}`,
			);
			return !still;
		},

		async remove(steps) {
			const sets = await setNames();
			let gone = true;
			for (const family of families) {
				try {
					gone = (await removeFamily(family, sets, steps)) && gone;
				} catch (error) {
					// Where the tool itself is missing it cannot have installed anything, unless a set says so.
					if (!isMissing(error) || sets?.includes(family.set) === true) throw error;
				}
			}
			return gone;
		},
	};
}

function restoreInput(lines: readonly string[]): string {
	return `*filter\n${lines.join("\n")}\nCOMMIT\n`;
}

function isMissing(error: unknown): boolean {
	return error instanceof RespondError && error.code === "PICKET_COMMAND_MISSING";
}

function firstLine(text: string): string {
	return text.trim().split("\n")[0] ?? "";
}
