// Responses by hand: what acts on the host, undoes it, and says what is in force.
import { Argument, type Command, Option } from "commander";
import type { Order } from "../model/verdict.ts";
import { wholeNumber } from "../settings.ts";
import { end, say, seconds, withSocket } from "./options.ts";

interface ActFlags {
	readonly socket: string;
	readonly json?: boolean;
	readonly reason: string;
	readonly [option: string]: unknown;
}

function withTtl(command: Command): Command {
	return command.option("--ttl <time>", "for how long, 30m or 2h (default: respond.ttl_seconds)", seconds);
}
const toAddress = (address: string) => ({ address });
const toContainer = (container: string) => ({ container });
const toContainerFor = (container: string, { ttl = 0 }: ActFlags) => ({ container, ttlSeconds: ttl });

export function addResponses(program: Command): void {
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
				const { act } = await import("../commands/respond.ts");
				end(await act({ kind, ...params(target, flags), reason: flags.reason }, flags));
			});
	}

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
	withTtl(
		respond("disconnect <container>", "disconnect", "take a container off its networks", toContainerFor),
	);
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
	respond(
		"permit-exec <program>",
		"permitExec",
		"let it be executed again",
		(program, { container = "" }) => ({
			program,
			container,
		}),
	).option("--container <container>", "in this container (default: on the whole host)");
	respond("kill <pid>", "kill", "end a process", (pid, flags) => ({
		pid: wholeNumber(pid),
		tree: flags.tree === true,
	})).option("--tree", "with all it has started");

	withSocket(program.command("actions"))
		.description("which responses are in force now")
		.action(async (flags) => (await import("../commands/respond.ts")).actions(flags));

	withSocket(program.command("undo <target>"))
		.description("undo what is in force on an address, a container or a program")
		.action(async (target: string, flags) =>
			end(await (await import("../commands/respond.ts")).undo(target, flags)),
		);

	withSocket(program.command("release"))
		.description("undo everything; works with the sensor dead, too")
		.option("--all", "say that you mean it")
		.option("--config <file>", "configuration")
		.option("--state-dir <folder>", "state folder of the sensor that is gone")
		.action(async (flags) => end(await (await import("../commands/respond.ts")).release(flags)));

	withSocket(program.command("mode"))
		.description(
			"whether the running sensor acts, and who holds it back; set it, at most to what picket.yaml says",
		)
		.addArgument(new Argument("[mode]", "what to set it to").choices(["observe", "enforce"]))
		.option("--reason <text>", "goes into the audit", "by hand")
		.action(async (mode: string | undefined, flags) =>
			(await import("../commands/respond.ts")).mode(mode, flags),
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
			say(await (await import("../commands/audit.ts")).verify(file, flags)),
		);
}
