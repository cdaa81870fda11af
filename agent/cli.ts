#!/usr/bin/env node
// The command line: names, options and help. The families of commands are in cli/; what a command does is in
// commands/, and loaded only when used, so that `picket status` does not pay for what `picket run` needs.
import { Command, Option } from "commander";
import { addConsole } from "./cli/console.ts";
import { addContent, addPolicy, addRules } from "./cli/content.ts";
import { end, text, withCapture, withContent, withSocket } from "./cli/options.ts";
import { addResponses } from "./cli/respond.ts";
import { failureText } from "./failure.ts";
import { severities } from "./model/verdict.ts";
import { neutralise } from "./report/shown.ts";
import { append, type CaptureFlags } from "./settings.ts";
import { version } from "./version.ts";

const program = new Command("picket")
	.description("Host security sensor: sees what every process does, says what it means, acts on it.")
	.version(version)
	.showHelpAfterError("(picket --help lists the commands)")
	.configureHelp({ sortSubcommands: false });

withCapture(program.command("run"))
	.description("run the sensor in the foreground")
	.action(async (flags: CaptureFlags) => (await import("./commands/run.ts")).run(flags));

withCapture(program.command("start"))
	.description("run the sensor with a console of its own and the live view")
	.action(async (flags: CaptureFlags) =>
		(await import("./commands/run.ts")).run({ ...flags, embedded: true }),
	);

withSocket(program.command("watch"))
	.description("live view of a running sensor")
	.action(async (flags) => (await import("./commands/inspect.ts")).watch(flags));

withSocket(program.command("status"))
	.description("health, loss and lag of a running sensor, and what it has in force")
	.addHelpText("after", "\nExit status: 0 all is well; 1 something is wrong; 2 no sensor answers.")
	.action(async (flags) => end(await (await import("./commands/inspect.ts")).status(flags)));

withSocket(program.command("alerts"))
	.description("the newest alerts, actions and losses that a running sensor knows")
	.option("-f, --follow", "go on with those that come")
	.addOption(
		new Option("--severity <least>", "of alerts those of at least this severity").choices(severities),
	)
	.action(async (flags) => (await import("./commands/inspect.ts")).alerts(flags));

withSocket(program.command("events"))
	.description("the events that a running sensor reports, as they come")
	.action(async (flags) => (await import("./commands/inspect.ts")).events(flags));

program
	.command("doctor")
	.description("what this host supports, what is lost, what would bring it back")
	.option("--config <file>", "configuration")
	.option("--json", "print JSON")
	.option(
		"--off <hook>",
		"as if the kernel refused this capability, tier or BPF program (repeatable)",
		append(text),
	)
	.action(async (flags) => end(await (await import("./commands/inspect.ts")).doctor(flags)));

addRules(program);
addPolicy(program);
addContent(program);

withCapture(program.command("record"))
	.description("write raw events to a file")
	.requiredOption("-o, --out <file>", "file to write")
	.action(async (flags) => (await import("./commands/recording.ts")).record(flags));

withContent(program.command("replay <file>"))
	.description("run a recording through the same pipeline: no root, no kernel")
	.action(async (file: string, flags) => (await import("./commands/recording.ts")).replay(file, flags));

addResponses(program);
addConsole(program);

try {
	await program.parseAsync();
	// Handles that were left open (a container engine that hangs, say) must not keep a finished command alive.
	setTimeout(() => process.exit(), 3000).unref();
} catch (error) {
	const { message, remedy, status } = failureText(error);
	process.stderr.write(
		`picket: ${neutraliseLines(message)}\n${remedy === "" ? "" : `what to do: ${neutraliseLines(remedy)}\n`}`,
	);
	process.exitCode = status;
	setTimeout(() => process.exit(), 1000).unref();
}

/** Names of a user's making come back in messages; line breaks in them are ours. */
function neutraliseLines(words: string): string {
	return words.split("\n").map(neutralise).join("\n");
}
