#!/usr/bin/env node
// The command line: names, options and help. What a command does is in commands/; it is loaded only when used, so
// that `picket status` does not pay for what `picket run` needs.
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import type { Page } from "./commands/page.ts";
import type { Outcome } from "./commands/rules.ts";
import type { SchemaName } from "./detect/rule-schema.ts";
import { failureText } from "./failure.ts";
import { type Order, severities } from "./model/verdict.ts";
import { neutralise } from "./report/shown.ts";
import { append, type CaptureFlags, eventList, wholeNumber } from "./settings.ts";
import { version } from "./version.ts";

const defaultSocket = "/run/picket/picket.sock";
const text = (value: string): string => value;

function withContent(command: Command): Command {
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

function withCapture(command: Command): Command {
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

function withSocket(command: Command): Command {
	return command
		.option("--socket <path>", "control socket of the sensor", defaultSocket)
		.option("--json", "print JSON");
}

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

const rules = program.command("rules").description("look at rules, explain and test them");
const ruleStatus = "\nExit status: 0 all is well; 1 an error in a rule; 2 a path cannot be read.";
function withRules(command: Command): Command {
	return command
		.option("--config <file>", "configuration")
		.option("--rules <path>", "rule file or folder (repeatable)", append(text))
		.option("--no-default-rules", "leave out the signatures that come with the sensor")
		.option("--json", "print JSON");
}
rules
	.command("check <paths...>")
	.description("load and compile rule files and say what is wrong with them, with the place")
	.option("--default-rules", "load the sensor's own signatures beside them, for files that change these")
	.option("--strict", "warnings count as errors")
	.option("--json", "print JSON")
	.addHelpText("after", ruleStatus)
	.action(async (paths: string[], flags) =>
		say((await import("./commands/rules.ts")).checkRules(paths, flags, await page())),
	);
withRules(rules.command("list"))
	.description("all rules that would be loaded, and which of them a running sensor has suspended")
	.option("--socket <path>", "control socket of the sensor", defaultSocket)
	.action(async (flags) => {
		const { suspendedRules } = await import("./commands/inspect.ts");
		say((await import("./commands/rules.ts")).listRules(flags, await suspendedRules(flags.socket)));
	});
withRules(rules.command("explain <names...>"))
	.description("what rules look for, by name or all of a file: compiled form, fields, interest, cost here")
	.option("--recording <file>", "measure the cost on the events of a recording")
	.option("--no-cost", "do not measure")
	.addHelpText(
		"after",
		"\nExit status: 0 all is well; 1 no such rule, or an error in one; 2 a file cannot be read.",
	)
	.action(async (names: string[], flags) =>
		say((await import("./commands/rules-explain.ts")).explainRules(names, flags, await page())),
	);
withRules(rules.command("test [paths...]"))
	.description("run the samples beside rules, or a recording, and say why what failed did")
	.option("--recording <file>", "run this recording instead of samples")
	.option("--rule <name>", "only this rule (repeatable)", append(text))
	.option("--strict", "rules without samples are errors")
	.option("--trace", "show whole conditions, also of samples that did as they should")
	.addHelpText(
		"after",
		"\nExit status: 0 all is well; 1 a sample failed or a rule has an error; 2 a file cannot be read.",
	)
	.action(async (paths: string[], flags) =>
		say((await import("./commands/rules-test.ts")).testRules(paths, flags, await page())),
	);
rules
	.command("schema")
	.description("the JSON schema of rule files, samples files or correlation documents, for editors")
	.addArgument(new Argument("[what]", "which").choices(["rules", "samples", "correlation"]).default("rules"))
	.action(async (what: SchemaName) => {
		const { jsonSchema } = await import("./detect/rule-schema.ts");
		say({ text: JSON.stringify(jsonSchema(what), null, 2), status: 0 });
	});

withSocket(rules.command("reload"))
	.description("have the running sensor read rules and policy again; exit status 1 when something is refused")
	.action(async (flags) => end(await (await import("./commands/inspect.ts")).reload(flags)));

const policy = program.command("policy").description("look at the policy, and ask what it would do");
function withPolicy(command: Command): Command {
	return command
		.option("--config <file>", "configuration")
		.option("--policy <file>", "policy (default: /etc/picket/policy.yaml)")
		.option("--json", "print JSON");
}
policy
	.command("check <files...>")
	.description("load policies as a sensor would and say what is wrong with them, with the place")
	.option("--strict", "warnings count as errors")
	.option("--json", "print JSON")
	.addHelpText("after", "\nExit status: 0 all is well; 1 an error in a policy; 2 a file cannot be read.")
	.action(async (files: string[], flags) =>
		say((await import("./commands/policy.ts")).checkPolicies(files, flags, await page())),
	);
withPolicy(policy.command("show"))
	.description("the policy as it takes effect, with what it includes, each sentence with its file and line")
	.action(async (flags) => say((await import("./commands/policy.ts")).showPolicy(flags, await page())));
withPolicy(policy.command("explain"))
	.description("what a process, peer or file would get, and by which line")
	.option(
		"--process <exe>",
		"the program, by path or name: who acts, or what is executed when nothing else is asked",
	)
	.option("--by <exe>", "the program that executes it")
	.option("--user <user>", "effective user, by name or number", "root")
	.option("--container <name>", "in a container of that name")
	.option("--image <image>", "in a container of that image")
	.option("--label <key=value>", "in a container with that label (repeatable)", append(text))
	.option("--peer <address:port>", "connecting there")
	.option("--incoming <address:port>", "taking a connection from that address on that port of here")
	.option("--listen <address:port>", "waiting for others there; a port alone will do")
	.option("--file <path>", "opening that file for reading")
	.option("--write", "for writing")
	.action(async (flags) => say((await import("./commands/policy.ts")).explainPolicies(flags, await page())));
policy
	.command("schema")
	.description("the JSON schema of the policy file, for editors")
	.action(async () => {
		const { policyJsonSchema } = await import("./policy/schema.ts");
		say({ text: JSON.stringify(policyJsonSchema(), null, 2), status: 0 });
	});

const content = program
	.command("content")
	.description("signed rules, policies and intelligence: make, show, take back");
content
	.command("keygen <name>")
	.description("make a key to sign with (NAME.key) and the one that hosts trust (NAME.pub)")
	.action(async (name: string) => say((await import("./commands/content.ts")).keygen(name)));
content
	.command("sign <paths...>")
	.description("put YAML files into a bundle and sign it, for `content HOST FILE` at a console")
	.requiredOption("--key <file>", "private key, PEM")
	.addOption(
		new Option("--kind <kind>", "what they are").choices(["rules", "policy", "intel"]).makeOptionMandatory(),
	)
	.requiredOption("--content-version <n>", "above that of every bundle of this kind before", wholeNumber)
	.requiredOption("-o, --out <file>", "file to write")
	.option("--author <name>", "who made it", "")
	.action(async (paths: string[], flags) => say((await import("./commands/content.ts")).sign(paths, flags)));
content
	.command("check <file>")
	.description("try a bundle as a host would, in a process of its own, beside the rules of this host")
	.option("--trust <file>", "public key it has to be signed with (repeatable)", append(text))
	.option("--config <file>", "configuration")
	.addHelpText("after", "\nExit status: 0 it would be taken; 1 it would be refused; 2 a file cannot be read.")
	.action(async (file: string, flags) =>
		say(await (await import("./commands/content.ts")).check(file, flags)),
	);
withSocket(content.command("show"))
	.description("which versions are in force on this host")
	.action(async (flags) => say(await (await import("./commands/content.ts")).show(flags)));
withSocket(content.command("rollback"))
	.description("go back to the version before, or to none")
	.addArgument(new Argument("<kind>", "of what").choices(["rules", "policy", "intel"]))
	.action(async (kind: string, flags) =>
		say(await (await import("./commands/content.ts")).rollback(kind, flags)),
	);
withSocket(content.command("accept"))
	.description("let responses act again after a series of crashes")
	.action(async (flags) => say(await (await import("./commands/content.ts")).accept(flags)));

withCapture(program.command("record"))
	.description("write raw events to a file")
	.requiredOption("-o, --out <file>", "file to write")
	.action(async (flags) => (await import("./commands/recording.ts")).record(flags));

withContent(program.command("replay <file>"))
	.description("run a recording through the same pipeline: no root, no kernel")
	.action(async (file: string, flags) => (await import("./commands/recording.ts")).replay(file, flags));

const seconds = (value: string): number => {
	const found = /^(\d+)([smhd]?)$/.exec(value);
	if (!found) throw new InvalidArgumentError("a time such as 90, 30m or 2h is needed");
	return (
		Number(found[1]) * { "": 1, s: 1, m: 60, h: 3600, d: 86_400 }[found[2] as "" | "s" | "m" | "h" | "d"]
	);
};

interface ActFlags {
	readonly socket: string;
	readonly json?: boolean;
	readonly reason: string;
	readonly [option: string]: unknown;
}
/** A response by hand: `params` is the order without its kind. */
function respond(
	name: string,
	kind: Order["kind"],
	description: string,
	params: (target: string, flags: ActFlags) => Record<string, unknown>,
): Command {
	return withSocket(program.command(name))
		.description(description)
		.option("--reason <text>", "goes into the audit", "by hand")
		.action(async (target: string, flags: ActFlags) => {
			const { act } = await import("./commands/respond.ts");
			end(await act({ kind, ...params(target, flags), reason: flags.reason }, flags));
		});
}
function withTtl(command: Command): Command {
	return command.option("--ttl <time>", "for how long, 30m or 2h (default: respond.ttl_seconds)", seconds);
}
const toAddress = (address: string) => ({ address });
const toContainer = (container: string) => ({ container });
const toContainerFor = (container: string, { ttl = 0 }: ActFlags) => ({ container, ttlSeconds: ttl });

withTtl(
	respond("block <address>", "block", "drop all packets of an address or network", (address, flags) => ({
		address,
		ttlSeconds: flags.ttl ?? 0,
		direction: flags.direction,
		permanent: flags.permanent === true,
	})),
)
	.addOption(
		new Option("--direction <which>", "which packets").choices(["in", "out", "both"]).default("both"),
	)
	.option("--permanent", "until somebody unblocks it");
respond("unblock <address>", "unblock", "let them through again", toAddress);
respond("cut <address>", "cut", "end the established connections with an address", toAddress);
withTtl(respond("pause <container>", "pause", "freeze a container", toContainerFor));
respond("resume <container>", "resume", "let it run again", toContainer);
respond("stop <container>", "stop", "stop a container", toContainer);
respond("start-container <container>", "start", "start it again", toContainer);
respond("restart <container>", "restart", "restart a container", toContainer);
respond("remove <container>", "remove", "remove a container for good; its volumes stay", toContainer);
withTtl(respond("disconnect <container>", "disconnect", "take a container off its networks", toContainerFor));
respond("reconnect <container>", "reconnect", "put it back on them", toContainer);
withTtl(
	respond(
		"refuse-egress <container>",
		"refuseEgress",
		"refuse in the kernel whatever a container sends, open connections included",
		toContainerFor,
	),
);
respond("permit-egress <container>", "permitEgress", "let it send again", toContainer);
withTtl(
	respond(
		"refuse-exec <program>",
		"refuseExec",
		"refuse in the kernel that a program is executed: a path, inode:DEVICE:INODE, not-from-image or any",
		(program, { container = "", ttl = 0 }) => ({ program, container, ttlSeconds: ttl }),
	),
).option("--container <container>", "in this container (default: on the whole host)");
respond("permit-exec <program>", "permitExec", "let it be executed again", (program, { container = "" }) => ({
	program,
	container,
})).option("--container <container>", "in this container (default: on the whole host)");
respond("kill <pid>", "kill", "end a process", (pid, flags) => ({
	pid: wholeNumber(pid),
	tree: flags.tree === true,
})).option("--tree", "with all it has started");

withSocket(program.command("actions"))
	.description("which responses are in force now")
	.action(async (flags) => (await import("./commands/respond.ts")).actions(flags));

withSocket(program.command("undo <target>"))
	.description("undo what is in force on an address, a container or a program")
	.action(async (target: string, flags) =>
		end(await (await import("./commands/respond.ts")).undo(target, flags)),
	);

withSocket(program.command("release"))
	.description("undo everything; works with the sensor dead, too")
	.option("--all", "say that you mean it")
	.option("--config <file>", "configuration")
	.option("--state-dir <folder>", "state folder of the sensor that is gone")
	.action(async (flags) => end(await (await import("./commands/respond.ts")).release(flags)));

withSocket(program.command("mode"))
	.description(
		"whether the running sensor acts, and who holds it back; set it, at most to what picket.yaml says",
	)
	.addArgument(new Argument("[mode]", "what to set it to").choices(["observe", "enforce"]))
	.option("--reason <text>", "goes into the audit", "by hand")
	.action(async (mode: string | undefined, flags) =>
		(await import("./commands/respond.ts")).mode(mode, flags),
	);

program
	.command("audit")
	.description("the record of everything that changed this host")
	.command("verify [file]")
	.description("walk its hash chain and say where it is broken (default: the audit of the state folder)")
	.option("--config <file>", "configuration")
	.option("--state-dir <folder>", "state folder of the sensor")
	.option("--json", "print JSON")
	.addHelpText("after", "\nExit status: 0 the chain holds; 1 it is broken; 2 the file cannot be read.")
	.action(async (file: string | undefined, flags) =>
		say(await (await import("./commands/audit.ts")).verify(file, flags)),
	);

const consoleCommand = program
	.command("console")
	.description("the reference console: receives the streams of sensors")
	.option("--listen <address>", "host:port or unix:/path", "127.0.0.1:7443")
	.option("--tls-cert <file>", "certificate of this console, PEM")
	.option("--tls-key <file>", "its key, PEM")
	.option("--tls-client-ca <file>", "accept only sensors whose certificate this authority signed")
	.option("--authority <folder>", "keep an authority there: gives certificates to this console and to hosts")
	.option("--name <name>", "with --authority: name or address of this console, may be repeated", append(text))
	.option("--store <file>", "keep the records, a JSON line each")
	.addOption(new Option("--output <form>", "plain text or one JSON object a line").choices(["text", "json"]))
	.action(async (flags) => (await import("./commands/console.ts")).console(flags));

// `--authority` is the console's own option, which commander gives to it wherever it stands.
consoleCommand
	.command("token")
	.description("print a one-time token with which a host enrols: picket enrol TOKEN")
	.option("--addresses <list>", "where hosts reach the console, host:port, separated by commas")
	.option("--ttl <time>", "how long it is good for: 30m, 1h, 2d", "1h")
	.option("--replace <host-id>", "for this host only, in place of the certificates it has")
	.action(async (_flags, command: Command) =>
		say(await (await import("./commands/authority.ts")).token(command.optsWithGlobals())),
	);
consoleCommand
	.command("hosts")
	.description("the hosts that were enrolled, and the fingerprint of the authority")
	.option("--json", "print JSON")
	.action(async (_flags, command: Command) =>
		say(await (await import("./commands/authority.ts")).hosts(command.optsWithGlobals())),
	);
consoleCommand
	.command("revoke <host-id>")
	.description('refuse this host from now on ("console": the certificates of consoles)')
	.action(async (hostId: string, _flags, command: Command) =>
		say(await (await import("./commands/authority.ts")).revoke(hostId, command.optsWithGlobals())),
	);

program
	.command("enrol [token]")
	.description("make this host known to a console, with a one-time token from there (- reads it from stdin)")
	.option("--name <name>", "what to call that console here", "console")
	.option("--list", "the consoles that this host is enrolled with")
	.option("--remove <name>", "forget one of them, with its key")
	.option("--config <file>", "configuration (default: /etc/picket/picket.yaml when it is there)")
	.option("--state-dir <folder>", "state folder of the sensor")
	.action(async (token: string | undefined, flags) =>
		say(await (await import("./commands/enrol.ts")).enrol(token, flags)),
	);

async function page(): Promise<Page> {
	return (await import("./commands/page.ts")).pageOf(process.stdout, process.env);
}

function say({ text, status }: Outcome): void {
	process.stdout.on("error", () => process.exit(0));
	process.stdout.write(`${text}\n`);
	end(status);
}

function end(status: number): void {
	process.exitCode = status;
}

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
