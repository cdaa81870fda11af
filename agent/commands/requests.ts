// What a running sensor answers: to the CLI through the control socket, to a console through the stream. Both end in
// the same responder; a console's wishes pass the local policy first.
import { z } from "zod";
import type { Handler } from "../control/server.ts";
import { CommandError } from "../failure.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Process } from "../model/process.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import { consoleRefusal } from "../policy/load.ts";
import { processToWire } from "../report/wire.ts";
import type { Sensor } from "../sensor.ts";

const reason = z.string().max(500).default("by hand");
const ttlSeconds = z.number().int().min(0).max(86_400).default(0);
const container = z.string().max(300);
const address = z.string().max(200);
const program = z.string().max(4200);
const pid = z.number().int().min(1).max(4_194_304);
/** What can be asked for by hand; `reason` goes into the audit. Only shapes: the responder judges the rest. */
const orderParams = z.discriminatedUnion("kind", [
	z.strictObject({
		kind: z.literal("block"),
		address,
		ttlSeconds,
		direction: z.enum(["in", "out", "both"]).default("both"),
		permanent: z.boolean().default(false),
		reason,
	}),
	z.strictObject({ kind: z.enum(["unblock", "cut"]), address, reason }),
	z.strictObject({ kind: z.enum(["pause", "disconnect", "refuseEgress"]), container, ttlSeconds, reason }),
	z.strictObject({
		kind: z.enum(["resume", "stop", "start", "restart", "remove", "reconnect", "permitEgress"]),
		container,
		reason,
	}),
	z.strictObject({ kind: z.literal("kill"), pid, tree: z.boolean().default(false), reason }),
	z.strictObject({ kind: z.literal("refuseExec"), program, container, ttlSeconds, reason }),
	z.strictObject({ kind: z.literal("permitExec"), program, container, reason }),
]);

function contextOf(requester: string, reason: string): OrderContext {
	return { requester, reason, alertId: "", eventTime: undefined };
}

/** Carries out an order and reports it like any other. */
async function order(sensor: Sensor, wanted: Order, context: OrderContext): Promise<wire.Action> {
	const action = await sensor.responder.order(wanted, context);
	sensor.output.emit({ action });
	return action;
}

/** Of them those that change nothing. */
export const lookingMethods = ["status", "actions", "recent"] as const;

/** The methods of the control socket; each throws CommandError or zod's error on bad parameters. */
export function controlHandlers(sensor: Sensor): Record<string, Handler> {
	const byHand = (reason: string) => contextOf("cli", reason);
	return {
		status: () => sensor.board.status(),
		reload: () => {
			if (!sensor.reloader) throw new CommandError("this sensor does not reload", "restart it");
			return sensor.reloader.reload("cli");
		},
		order: (params) => {
			const { reason, ...wanted } = orderParams.parse(params);
			if (wanted.kind !== "kill") return order(sensor, wanted, byHand(reason));
			const known = sensor.enrichment.tree.get(wanted.pid);
			if (known) return order(sensor, { ...wanted, start: known.start }, byHand(reason));
			throw new CommandError(`no process ${wanted.pid} is known`, "look for it with `ps` and try again");
		},
		actions: () => sensor.responder.active(),
		release: async () => {
			const undone = await sensor.responder.release("cli");
			for (const action of undone) sensor.output.emit({ action });
			return undone;
		},
	};
}

const mayOf = {
	block: "block",
	unblock: "unblock",
	pause: "pause",
	resume: "resume",
	kill: "kill",
	queryProcesses: "query_processes",
} as const;

/** Answers a console's commands; `name` goes into the audit. Never rejects. */
export function onCommand(
	sensor: Sensor,
	name: string,
): (command: wire.Command) => Promise<wire.CommandResult> {
	return async (command) => {
		const wanted = (Object.keys(mayOf) as (keyof typeof mayOf)[]).find((key) => command[key] !== undefined);
		if (!wanted) return { accepted: false, message: "this version does not know that command" };
		const refusal = consoleRefusal(sensor.policy().policy, "console:", mayOf[wanted]);
		if (refusal) return { accepted: false, message: `refused: ${refusal}` };
		try {
			return await carryOut(sensor, command, contextOf(`console:${command.requester ?? name}`, ""));
		} catch (error) {
			const remedy = error instanceof CommandError ? ` (${error.remedy})` : "";
			return {
				accepted: false,
				message: `${error instanceof Error ? error.message : String(error)}${remedy}`,
			};
		}
	};
}

async function carryOut(
	sensor: Sensor,
	command: wire.Command,
	context: OrderContext,
): Promise<wire.CommandResult> {
	const { block, unblock, pause, resume, kill, queryProcesses } = command;
	if (queryProcesses)
		return { accepted: true, message: "", processes: findProcesses(sensor, queryProcesses) };
	const act = async (wanted: Order, reason: string | undefined): Promise<wire.CommandResult> => {
		const action = await order(sensor, wanted, { ...context, reason: reason || "asked by a console" });
		const refused = action.outcome === "OUTCOME_REFUSED" || action.outcome === "OUTCOME_FAILED";
		return { accepted: !refused, message: action.steps?.at(-1) ?? "", action };
	};
	if (block) {
		const { address = "", ttlSeconds = 0, reason } = block;
		return act({ kind: "block", address, ttlSeconds }, reason);
	}
	if (unblock) return act({ kind: "unblock", address: unblock.address ?? "" }, undefined);
	if (pause) return act({ kind: "pause", container: pause.container ?? "" }, pause.reason);
	if (resume) return act({ kind: "resume", container: resume.container ?? "" }, undefined);
	if (kill) {
		const start = sensor.startOf(kill.pid ?? 0, kill.startTime ?? "");
		if (start === undefined)
			return { accepted: false, message: "refused: a kill needs the process's start time" };
		return act({ kind: "kill", pid: kill.pid ?? 0, start }, kill.reason);
	}
	return { accepted: false, message: "this version does not know that command" };
}

const mostProcesses = 10_000;

function findProcesses(sensor: Sensor, query: wire.QueryProcesses): wire.Process[] {
	const limit = Math.min(query.limit || mostProcesses, mostProcesses);
	const text = query.contains ?? "";
	const matches = (process: Process) =>
		text === "" || process.comm.includes(text) || process.exe.includes(text);
	const found: wire.Process[] = [];
	for (const process of sensor.enrichment.tree.processes()) {
		if (found.length >= limit) break;
		if (matches(process)) found.push(processToWire(process, sensor.wire));
	}
	return found;
}
