// Options that several commands have, and how a command ends.
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Page } from "../commands/page.ts";
import type { Outcome } from "../commands/rules.ts";
import { append, eventList, wholeNumber } from "../settings.ts";

export const defaultSocket = "/run/picket/picket.sock";
export const text = (value: string): string => value;

export function withContent(command: Command): Command {
	return command
		.option("--config <file>", "configuration (default: /etc/picket/picket.yaml when it is there)")
		.option("--rules <path>", "rule file or folder, may be given more than once", append(text))
		.option("--policy <file>", "policy (default: /etc/picket/policy.yaml when it is there)")
		.option("--no-default-rules", "leave out the signatures that come with the sensor")
		.addOption(
			new Option("--output <form>", "plain text or one JSON object a line").choices(["text", "json"]),
		)
		.option(
			"--events <list>",
			"events to print besides alerts: none, all, or kinds such as exec,connect",
			eventList,
		);
}

export function withCapture(command: Command): Command {
	return withContent(command)
		.addOption(
			new Option("--mode <mode>", "only say what would be done, or do it").choices(["observe", "enforce"]),
		)
		.option("--console <address>", "console to report to: host:port or unix:/path")
		.option(
			"--scope-pid <pid>",
			"watch only this process and what it starts (repeatable)",
			append(wholeNumber),
		)
		.option("--scope-cgroup <path>", "watch only this cgroup and below (repeatable)", append(text))
		.option(
			"--scope-path <path>",
			"of opens, report only those at or below this path (repeatable)",
			append(text),
		)
		.option("--duration <seconds>", "stop after so long", wholeNumber)
		.option("--run-dir <folder>", "folder of the control socket (default: /run/picket)")
		.option("--state-dir <folder>", "folder of what outlives a restart (default: /var/lib/picket)")
		.option(
			"--off <hook>",
			"do without this capability, tier or BPF program, as if the kernel refused it (repeatable)",
			append(text),
		)
		.option("--simulate-loss <n>", "lose one event in n on purpose", wholeNumber);
}

export function withSocket(command: Command): Command {
	return command
		.option("--socket <path>", "control socket of the sensor", defaultSocket)
		.option("--json", "print JSON");
}

export const seconds = (value: string): number => {
	const found = /^(\d+)([smhd]?)$/.exec(value);
	if (!found) throw new InvalidArgumentError("a time such as 90, 30m or 2h is needed");
	return (
		Number(found[1]) * { "": 1, s: 1, m: 60, h: 3600, d: 86_400 }[found[2] as "" | "s" | "m" | "h" | "d"]
	);
};

export async function page(): Promise<Page> {
	return (await import("../commands/page.ts")).pageOf(process.stdout, process.env);
}

export function say({ text, status }: Outcome): void {
	process.stdout.on("error", () => process.exit(0));
	process.stdout.write(`${text}\n`);
	end(status);
}

export function end(status: number): void {
	process.exitCode = status;
}
