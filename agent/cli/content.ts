// `picket rules`, `policy` and `content`: what the sensor goes by.
import { Argument, type Command, Option } from "commander";
import type { SchemaName } from "../detect/rule-schema.ts";
import { append, wholeNumber } from "../settings.ts";
import { defaultSocket, end, page, say, text, withSocket } from "./options.ts";

export function addRules(program: Command): void {
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
			say((await import("../commands/rules.ts")).checkRules(paths, flags, await page())),
		);
	withRules(rules.command("list"))
		.description("all rules that would be loaded, and which of them a running sensor has suspended")
		.option("--socket <path>", "control socket of the sensor", defaultSocket)
		.action(async (flags) => {
			const { suspendedRules } = await import("../commands/inspect.ts");
			say((await import("../commands/rules.ts")).listRules(flags, await suspendedRules(flags.socket)));
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
			say((await import("../commands/rules-explain.ts")).explainRules(names, flags, await page())),
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
			say((await import("../commands/rules-test.ts")).testRules(paths, flags, await page())),
		);
	rules
		.command("schema")
		.description("the JSON schema of rule files, samples files or correlation documents, for editors")
		.addArgument(
			new Argument("[what]", "which").choices(["rules", "samples", "correlation"]).default("rules"),
		)
		.action(async (what: SchemaName) => {
			const { jsonSchema } = await import("../detect/rule-schema.ts");
			say({ text: JSON.stringify(jsonSchema(what), null, 2), status: 0 });
		});

	withSocket(rules.command("reload"))
		.description(
			"have the running sensor read rules and policy again; exit status 1 when something is refused",
		)
		.action(async (flags) => end(await (await import("../commands/inspect.ts")).reload(flags)));
}

export function addPolicy(program: Command): void {
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
			say((await import("../commands/policy.ts")).checkPolicies(files, flags, await page())),
		);
	withPolicy(policy.command("show"))
		.description("the policy as it takes effect, with what it includes, each sentence with its file and line")
		.action(async (flags) => say((await import("../commands/policy.ts")).showPolicy(flags, await page())));
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
		.action(async (flags) =>
			say((await import("../commands/policy.ts")).explainPolicies(flags, await page())),
		);
	policy
		.command("schema")
		.description("the JSON schema of the policy file, for editors")
		.action(async () => {
			const { policyJsonSchema } = await import("../policy/schema.ts");
			say({ text: JSON.stringify(policyJsonSchema(), null, 2), status: 0 });
		});
}

export function addContent(program: Command): void {
	const content = program
		.command("content")
		.description("signed rules, policies and intelligence: make, show, take back");
	content
		.command("keygen <name>")
		.description("make a key to sign with (NAME.key) and the one that hosts trust (NAME.pub)")
		.action(async (name: string) => say((await import("../commands/content.ts")).keygen(name)));
	content
		.command("sign <paths...>")
		.description("put YAML files into a bundle and sign it, for `content HOST FILE` at a console")
		.requiredOption("--key <file>", "private key, PEM")
		.addOption(
			new Option("--kind <kind>", "what they are")
				.choices(["rules", "policy", "intel"])
				.makeOptionMandatory(),
		)
		.requiredOption("--content-version <n>", "above that of every bundle of this kind before", wholeNumber)
		.requiredOption("-o, --out <file>", "file to write")
		.option("--author <name>", "who made it", "")
		.action(async (paths: string[], flags) =>
			say((await import("../commands/content.ts")).sign(paths, flags)),
		);
	content
		.command("check <file>")
		.description("try a bundle as a host would, in a process of its own, beside the rules of this host")
		.option("--trust <file>", "public key it has to be signed with (repeatable)", append(text))
		.option("--config <file>", "configuration")
		.addHelpText(
			"after",
			"\nExit status: 0 it would be taken; 1 it would be refused; 2 a file cannot be read.",
		)
		.action(async (file: string, flags) =>
			say(await (await import("../commands/content.ts")).check(file, flags)),
		);
	withSocket(content.command("show"))
		.description("which versions are in force on this host")
		.action(async (flags) => say(await (await import("../commands/content.ts")).show(flags)));
	withSocket(content.command("rollback"))
		.description("go back to the version before, or to none")
		.addArgument(new Argument("<kind>", "of what").choices(["rules", "policy", "intel"]))
		.action(async (kind: string, flags) =>
			say(await (await import("../commands/content.ts")).rollback(kind, flags)),
		);
	withSocket(content.command("accept"))
		.description("let responses act again after a series of crashes")
		.action(async (flags) => say(await (await import("../commands/content.ts")).accept(flags)));
}
