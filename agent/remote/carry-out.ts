// From a console's command that is granted to what is done: orders end in the responder, as everybody's do; questions,
// evidence and mode here. Throws CommandError for what cannot be done; the desk tells it.
import { randomUUID } from "node:crypto";
import { CommandError } from "../failure.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Order } from "../model/verdict.ts";
import type { RemoteOrder } from "./command.ts";
import { findConnections } from "./connections.ts";
import { type RemoteRequest, withPerson } from "./desk.ts";
import type { Evidence } from "./evidence.ts";
import { NoSuchProcess } from "./evidence-proc.ts";
import type { ModeSwitch } from "./mode.ts";
import { findContainers, findProcesses, type Host, holderIn, mostListed } from "./queries.ts";
import { kindOf, targetOf } from "./result.ts";

/** Content with its signature, not looked at yet: what it is, and so whether it is granted, only its reader knows. */
export type ApplyContent = (
	content: Buffer,
	signature: Buffer,
	context: RemoteRequest,
) => Promise<wire.CommandResult>;

export interface CarryOutDeps {
	readonly host: Host;
	/** Through the responder, and told to all outputs. */
	readonly order: (order: Order, context: { requester: string; reason: string }) => Promise<wire.Action>;
	readonly emit: (action: wire.Action) => void;
	readonly status: () => wire.Status;
	/** ns since boot of a process as it is named outside. */
	readonly startOf: (pid: number, time: string) => number | undefined;
	readonly evidence: Evidence;
	readonly mode: ModeSwitch;
	readonly inForce: () => number;
	/** Of the configuration: for what names no time to live, s. */
	readonly ttlSeconds: number;
	/** Absent: this sensor takes no content. */
	readonly applyContent?: ApplyContent | undefined;
}

export function createCarryOut(deps: CarryOutDeps): (request: RemoteRequest) => Promise<wire.CommandResult> {
	return (request) => {
		const { order } = request;
		switch (order.name) {
			case "queryProcesses":
				return findProcesses(deps.host, order.params);
			case "queryContainers":
				return findContainers(deps.host, order.params);
			case "queryConnections":
				return listConnections(deps, order.params);
			case "queryCounters":
				return Promise.resolve({ accepted: true, message: "", status: deps.status() });
			case "takeEvidence":
				return takeEvidence(deps, request, order);
			case "setMode":
				return Promise.resolve(setMode(deps, request, order));
			case "applyContent":
				return applyContent(deps, request, order);
			default:
				return respond(deps, request, order);
		}
	};
}

type Named<Name extends RemoteOrder["name"]> = Extract<RemoteOrder, { name: Name }>;

async function respond(
	{ order: give, startOf, ttlSeconds }: CarryOutDeps,
	{ requester, person, grant }: RemoteRequest,
	order: Named<"block" | "unblock" | "pause" | "resume" | "kill">,
): Promise<wire.CommandResult> {
	const reason = withPerson("reason" in order.params ? order.params.reason : "", person);
	/** The policy's longest time holds whatever is asked for. */
	const within = (asked: number): number => Math.min(asked || ttlSeconds, grant.ttlSeconds);
	const act = async (wanted: Order, note = ""): Promise<wire.CommandResult> => {
		const action = await give(wanted, { requester, reason });
		const refused = action.outcome === "OUTCOME_REFUSED" || action.outcome === "OUTCOME_FAILED";
		const message = [action.steps?.at(-1) ?? "", note].filter(Boolean).join("; ");
		return { accepted: !refused, message, action };
	};
	const shorter = (asked: number): string =>
		asked > grant.ttlSeconds
			? `for ${grant.ttlSeconds} s instead of ${asked} s: longer this host's policy does not grant`
			: "";
	switch (order.name) {
		case "block": {
			const { address, ttlSeconds: asked } = order.params;
			return act({ kind: "block", address, ttlSeconds: within(asked) }, shorter(asked));
		}
		case "unblock":
			return act({ kind: "unblock", address: order.params.address });
		case "pause":
			return act({ kind: "pause", container: order.params.container, ttlSeconds: within(0) });
		case "resume":
			return act({ kind: "resume", container: order.params.container });
		case "kill": {
			const { pid, startTime } = order.params;
			return act({ kind: "kill", pid, start: startIn(startOf, pid, startTime) });
		}
	}
}

function startIn(startOf: CarryOutDeps["startOf"], pid: number, time: string): number {
	const start = startOf(pid, time);
	if (start === undefined) throw new CommandError(`${time} is no start time`, "send it as it was reported");
	return start;
}

async function listConnections(
	{ host }: CarryOutDeps,
	{ pid, limit }: Named<"queryConnections">["params"],
): Promise<wire.CommandResult> {
	const most = Math.min(limit || mostListed, mostListed);
	const { connections, truncated } = await findConnections({ pid, limit: most, holder: holderIn(host) });
	return { accepted: true, message: truncated, connections };
}

function actionOf(
	{ requester, person }: RemoteRequest,
	order: Named<"takeEvidence" | "setMode">,
	outcome: wire.ActionOutcome,
	steps: string[],
): wire.Action {
	return {
		id: randomUUID(),
		kind: kindOf(order) ?? "KIND_UNSPECIFIED",
		outcome,
		target: targetOf(order),
		targetName: "",
		reason: withPerson(order.params.reason, person),
		requester,
		steps: steps.filter(Boolean),
		undo: "",
	};
}

async function takeEvidence(
	{ evidence, startOf, emit, host }: CarryOutDeps,
	request: RemoteRequest,
	order: Named<"takeEvidence">,
): Promise<wire.CommandResult> {
	const { pid, startTime, reason } = order.params;
	const start = startIn(startOf, pid, startTime);
	const known = host.enrichment.tree.get(pid);
	const done = (outcome: wire.ActionOutcome, steps: string[], more: Partial<wire.CommandResult>) => {
		const action = { ...actionOf(request, order, outcome, steps), target: `${pid}:${start}` };
		if (known) action.targetName = `process ${pid} (${known.comm})`;
		emit(action);
		return {
			accepted: outcome === "OUTCOME_VERIFIED",
			message: steps.filter(Boolean).join("; "),
			action,
			...more,
		};
	};
	try {
		const taken = await evidence.take({
			...{ pid, start, requester: request.requester, reason: withPerson(reason, request.person) },
		});
		const { path, sha256 } = taken.evidence;
		const kept = path === "" ? "" : `kept in ${path}, SHA-256 ${sha256}`;
		return done("OUTCOME_VERIFIED", [kept, taken.message], { evidence: taken.evidence });
	} catch (error) {
		const message = error instanceof Error ? error.message : String(error);
		if (error instanceof NoSuchProcess) return done("OUTCOME_REFUSED", [`refused: ${message}`], {});
		return done("OUTCOME_FAILED", [`failed: ${message}`], {});
	}
}

function setMode(
	{ mode, emit, inForce }: CarryOutDeps,
	request: RemoteRequest,
	order: Named<"setMode">,
): wire.CommandResult {
	const { mode: wanted, reason } = order.params;
	const before = mode.mode() ?? "enforce";
	const done = (outcome: wire.ActionOutcome, steps: string[]): wire.CommandResult => {
		const action = actionOf(request, order, outcome, steps);
		emit(action);
		const accepted = outcome !== "OUTCOME_REFUSED";
		return { accepted, message: action.steps?.join("; ") ?? "", action };
	};
	try {
		const note = mode.set(wanted, request.requester, withPerson(reason, request.person));
		const left = inForce();
		const stays =
			wanted === "observe" && left > 0
				? `${left} responses in force stay until their time; \`picket release --all\` on the host ends them`
				: "";
		if (wanted === before) return done("OUTCOME_UNCHANGED", [note, stays]);
		return done("OUTCOME_VERIFIED", [`the mode is ${wanted} now`, note, stays]);
	} catch (error) {
		return done("OUTCOME_REFUSED", [`refused: ${error instanceof Error ? error.message : String(error)}`]);
	}
}

async function applyContent(
	deps: CarryOutDeps,
	request: RemoteRequest,
	{ params }: Named<"applyContent">,
): Promise<wire.CommandResult> {
	if (deps.applyContent === undefined)
		return { accepted: false, message: "refused: this sensor takes no content from consoles" };
	const bytes = (text: string) => Buffer.from(text, "base64");
	return deps.applyContent(bytes(params.content), bytes(params.signature), request);
}
