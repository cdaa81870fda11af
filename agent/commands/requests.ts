// What a running sensor answers to the CLI, through the control socket. What consoles ask for is in remote.ts; both end
// in the same responder.
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Handler } from "../control/server.ts";
import { CommandError } from "../failure.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import type { Sensor } from "../sensor-contract.ts";
import { contentHandlers } from "./content-requests.ts";

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

const modeParams = z.strictObject({ mode: z.enum(["observe", "enforce"]).optional(), reason });

/** The mode as it is, after it was set where one is named. */
function modeOf(sensor: Sensor, params: unknown): unknown {
	const { mode, reason } = modeParams.parse(params);
	const { modeSwitch, output, board } = sensor;
	const steps: string[] = [];
	if (mode !== undefined) {
		const before = modeSwitch.mode() ?? "enforce";
		try {
			const note = modeSwitch.set(mode, "cli", reason);
			if (note !== "") steps.push(note);
		} catch (error) {
			const message = error instanceof Error ? error.message : String(error);
			throw new CommandError(message, "say mode: enforce in picket.yaml, and start it again", 1);
		}
		output.emit({
			action: {
				id: randomUUID(),
				kind: "KIND_SET_MODE",
				outcome: before === mode ? "OUTCOME_UNCHANGED" : "OUTCOME_VERIFIED",
				...{ target: mode, reason, requester: "cli", steps },
			},
		});
	}
	return { mode: board.status().mode ?? "", holding: modeSwitch.holding() ?? null, notes: steps };
}

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
		mode: (params) => modeOf(sensor, params),
		actions: () => sensor.responder.active(),
		...contentHandlers(() => sensor.takeover),
		release: async () => {
			const undone = await sensor.responder.release("cli");
			for (const action of undone) sensor.output.emit({ action });
			return undone;
		},
	};
}
