// A responder whose commands run in the host of a network of namespaces.
import { join } from "node:path";
import { pino } from "pino";
import { createRunner, type RunCommand } from "../../agent/respond/command.ts";
import { createResponder, type HostResponder, type ResponderDeps } from "../../agent/respond/responder.ts";
import type { Network } from "./namespaces.ts";

export const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };

export function runnerIn(network: Network): RunCommand {
	return createRunner(network.inside("host"));
}

/** `root`: an empty directory, since this test's own addresses are not those of the namespace. State lies there. */
export function responderIn(
	network: Network,
	root: string,
	more: Partial<ResponderDeps> = {},
): HostResponder {
	return createResponder({
		mode: () => "enforce",
		stateDir: join(root, "state"),
		logger: pino({ level: "silent" }),
		clock: Date.now,
		runtimes: () => [],
		processes: { open: () => 0, signal: () => {}, close: () => {}, exited: () => true },
		protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
		run: runnerIn(network),
		root,
		...more,
	});
}

/** Everything that iptables and ipset know, without counters and dates. */
export function stateOf(network: Network, variant = ""): string {
	const commands = [[`iptables${variant}-save`], [`ip6tables${variant}-save`], ["ipset", "list"]] as const;
	return commands
		.map(([file, ...args]) => network.run("host", file, ...args))
		.join("\n")
		.replace(/^#.*$/gm, "")
		.replace(/\[\d+:\d+\]/g, "[]");
}
