// Results and acts as they go to consoles and records: what fits into a message, what is remembered of it.
import type * as wire from "../model/picket.v1.ts";
import type { OrderName, RemoteOrder } from "./command.ts";

/** Bytes of JSON; a message has 4 MiB and is smaller than its JSON. */
const mostResultBytes = 3 * 1024 * 1024;

const lists = ["processes", "connections", "containers"] as const;

/** Cuts lists until the result fits, and says so. */
export function fitted(result: wire.CommandResult): wire.CommandResult {
	const size = sizeOf(result);
	if (size <= mostResultBytes) return result;
	const list = lists.find((name) => result[name] !== undefined);
	if (list === undefined)
		return {
			commandId: result.commandId ?? "",
			accepted: result.accepted === true,
			message: `${(result.message ?? "").slice(0, 1000)} (the rest of the result is too long for a message)`,
		};
	const all = result[list] ?? [];
	const kept: unknown[] = [];
	let left = mostResultBytes - sizeOf({ ...result, [list]: [] }) - 1000;
	for (const entry of all) {
		left -= sizeOf(entry) + 1;
		if (left < 0) break;
		kept.push(entry);
	}
	const message = `${result.message ?? ""} cut to ${kept.length} of ${all.length}: more do not fit into a message`;
	return { ...result, [list]: kept, message: message.trim() };
}

function sizeOf(value: unknown): number {
	return Buffer.byteLength(JSON.stringify(value) ?? "");
}

/** What is remembered for the case that the command comes again: lists and documents are long. */
export function shortened(result: wire.CommandResult): wire.CommandResult {
	const { processes, connections, containers, status, evidence, ...rest } = result;
	const left = processes ?? connections ?? containers ?? status;
	if (evidence !== undefined) return { ...rest, evidence: { ...evidence, content: "", truncated: true } };
	if (left === undefined) return result;
	return { ...rest, message: "answered before; ask again with a new command id" };
}

const kinds: Partial<Record<OrderName, wire.ActionKind>> = {
	block: "KIND_BLOCK",
	unblock: "KIND_UNBLOCK",
	pause: "KIND_PAUSE",
	resume: "KIND_RESUME",
	kill: "KIND_KILL",
	takeEvidence: "KIND_TAKE_EVIDENCE",
	setMode: "KIND_SET_MODE",
	applyContent: "KIND_APPLY_CONTENT",
};

/** Undefined for what does not act. */
export function kindOf({ name }: RemoteOrder): wire.ActionKind | undefined {
	return kinds[name];
}

/** As the console has written it. */
export function targetOf(order: RemoteOrder): string {
	switch (order.name) {
		case "block":
		case "unblock":
			return order.params.address;
		case "pause":
		case "resume":
			return order.params.container;
		case "kill":
		case "takeEvidence":
			return `${order.params.pid}:${order.params.startTime}`;
		case "setMode":
			return order.params.mode;
		default:
			return "";
	}
}
