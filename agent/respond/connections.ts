// Ends connections that were open before a block. The block already drops their packets; this makes both ends
// notice now and not when they time out. Best effort: a host without the tools is only told so.
import { formatNetwork, type Network } from "../model/address.ts";
import type { CommandResult, RunCommand } from "./command.ts";
import { RespondError } from "./failure.ts";

export async function cutConnections(run: RunCommand, network: Network, steps: string[]): Promise<void> {
	const target = formatNetwork(network);
	const inet = network.family === 4 ? "ipv4" : "ipv6";
	// An empty filter would end every connection of the host.
	if (target === "") return;
	// `ss -K` before conntrack: the reset it sends belongs to a known connection then.
	const peer = network.family === 4 ? target : bracketed(target);
	const killed = await attempt(run, "ss", ["-H", "-n", "-K", "-t", "dst", peer], steps);
	if (killed !== undefined) {
		const count = killed.stdout.split("\n").filter((line) => line !== "").length;
		steps.push(
			killed.code === 0 ? `ss -K: ${count} sockets closed` : `ss -K: ${killed.stderr.trim().slice(0, 200)}`,
		);
	}
	for (const side of ["-s", "-d"]) {
		const result = await attempt(run, "conntrack", ["-D", "-f", inet, side, target], steps);
		// Exit code 1 with "0 flow entries" is how it says that there was none.
		const said = /\d+ flow entries have been deleted/.exec(result?.stderr ?? "")?.[0];
		if (result === undefined) return;
		steps.push(`conntrack -D ${side}: ${said ?? `exit code ${result.code}`}`);
	}
}

async function attempt(
	run: RunCommand,
	file: string,
	args: readonly string[],
	steps: string[],
): Promise<CommandResult | undefined> {
	try {
		return await run(file, args);
	} catch (error) {
		if (!(error instanceof RespondError)) throw error;
		steps.push(`open connections: ${error.message}`);
		return undefined;
	}
}

/** ss wants [2001:db8::]/32. */
function bracketed(network: string): string {
	const [address = "", prefix] = network.split("/");
	return prefix === undefined ? `[${address}]` : `[${address}]/${prefix}`;
}
