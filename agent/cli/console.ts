// `picket console` and `picket enrol`: the receiving end, and how a host gets there.
import { type Command, Option } from "commander";
import { append } from "../settings.ts";
import { say, text } from "./options.ts";

export function addConsole(program: Command): void {
	const consoleCommand = program
		.command("console")
		.description("the reference console: receives the streams of sensors")
		.option("--listen <address>", "host:port or unix:/path", "127.0.0.1:7443")
		.option("--tls-cert <file>", "certificate of this console, PEM")
		.option("--tls-key <file>", "its key, PEM")
		.option("--tls-client-ca <file>", "accept only sensors whose certificate this authority signed")
		.option(
			"--authority <folder>",
			"keep an authority there: gives certificates to this console and to hosts",
		)
		.option(
			"--name <name>",
			"with --authority: name or address of this console, may be repeated",
			append(text),
		)
		.option("--store <file>", "keep the records, a JSON line each")
		.addOption(
			new Option("--output <form>", "plain text or one JSON object a line").choices(["text", "json"]),
		)
		.action(async (flags) => (await import("../commands/console.ts")).console(flags));

	// `--authority` is the console's own option, which commander gives to it wherever it stands.
	consoleCommand
		.command("token")
		.description("print a one-time token with which a host enrols: picket enrol TOKEN")
		.option("--addresses <list>", "where hosts reach the console, host:port, separated by commas")
		.option("--ttl <time>", "how long it is good for: 30m, 1h, 2d", "1h")
		.option("--replace <host-id>", "for this host only, in place of the certificates it has")
		.action(async (_flags, command: Command) =>
			say(await (await import("../commands/authority.ts")).token(command.optsWithGlobals())),
		);
	consoleCommand
		.command("hosts")
		.description("the hosts that were enrolled, and the fingerprint of the authority")
		.option("--json", "print JSON")
		.action(async (_flags, command: Command) =>
			say(await (await import("../commands/authority.ts")).hosts(command.optsWithGlobals())),
		);
	consoleCommand
		.command("revoke <host-id>")
		.description('refuse this host from now on ("console": the certificates of consoles)')
		.action(async (hostId: string, _flags, command: Command) =>
			say(await (await import("../commands/authority.ts")).revoke(hostId, command.optsWithGlobals())),
		);

	program
		.command("enrol [token]")
		.description(
			"make this host known to a console, with a one-time token from there (- reads it from stdin)",
		)
		.option("--name <name>", "what to call that console here", "console")
		.option("--list", "the consoles that this host is enrolled with")
		.option("--remove <name>", "forget one of them, with its key")
		.option("--config <file>", "configuration (default: /etc/picket/picket.yaml when it is there)")
		.option("--state-dir <folder>", "state folder of the sensor")
		.action(async (token: string | undefined, flags) =>
			say(await (await import("../commands/enrol.ts")).enrol(token, flags)),
		);
}
