// Which order takes back what: an entry of the ledger, or an act that was begun.
import type { Order } from "../model/verdict.ts";
import type { Entry } from "./ledger-file.ts";

export function undoOf(entry: Entry): Order {
	if (entry.undo !== undefined) return entry.undo;
	const { kind, target } = entry;
	switch (kind) {
		case "block":
			return { kind: "unblock", address: target };
		case "pause":
			return { kind: "resume", container: target };
		case "disconnect":
			return { kind: "reconnect", container: target };
		case "stop":
			return { kind: "start", container: target };
		case "refuseEgress":
			return { kind: "permitEgress", container: target };
		case "refuseExec": {
			const space = target.indexOf(" ");
			const where = target.slice(0, space);
			return {
				kind: "permitExec",
				program: target.slice(space + 1),
				container: where === "host" ? "" : where,
			};
		}
	}
}

/** Undefined for what cannot be taken back, and for what takes back itself. */
export function inverseOf(order: Order): Order | undefined {
	switch (order.kind) {
		case "block":
			return { kind: "unblock", address: order.address };
		case "pause":
			return { kind: "resume", container: order.container };
		case "disconnect":
			return { kind: "reconnect", container: order.container };
		case "refuseEgress":
			return { kind: "permitEgress", container: order.container };
		case "refuseExec":
			return { kind: "permitExec", program: order.program, container: order.container };
		default:
			return undefined;
	}
}

const takingBack: ReadonlySet<Order["kind"]> = new Set<Order["kind"]>([
	"unblock",
	"resume",
	"reconnect",
	"permitEgress",
	"permitExec",
]);

export function takesBack(order: Order): boolean {
	return takingBack.has(order.kind);
}

/** The order that would begin what an entry says; undefined where an entry does not say enough. */
export function beginOf({ kind, target }: Entry): Order | undefined {
	switch (kind) {
		case "pause":
		case "disconnect":
			return { kind, container: target };
		case "stop":
			return { kind, container: target };
		case "refuseEgress":
			return { kind, container: target, ttlSeconds: 0 };
		case "block":
		case "refuseExec":
			return undefined;
	}
}
