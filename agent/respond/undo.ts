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

/** Is it on what a person names so: an address, a container's name or id, a program? */
export function isOn({ kind, target, targetName }: Entry, named: string): boolean {
	if (target === named || targetName === named) return true;
	if (/^[0-9a-f]{12,64}$/.test(named) && target.startsWith(named)) return true;
	if (kind === "refuseExec" && target.slice(target.indexOf(" ") + 1) === named) return true;
	return (kind === "refuseEgress" || kind === "refuseExec") && targetName.includes(`container ${named} (`);
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
