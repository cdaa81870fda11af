// Ends what has a time to live, as an ordinary action of its own. The kernel ends blocks and refusals by itself;
// for these the action only looks, and tells.
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import type { Entry, EntryKind, Ledger } from "./ledger.ts";
import { entryKinds } from "./ledger-file.ts";
import { createTimers } from "./timers.ts";
import { undoOf } from "./undo.ts";

export interface Expiry {
	arm(entry: Entry): void;
	armAll(): void;
	disarm(entry: Pick<Entry, "kind" | "target">): void;
	/** After an order on a target: the ledger says what is to be ended now. */
	follow(target: string): void;
	close(): void;
}

export interface ExpiryDeps {
	/** Unix ms. */
	readonly clock: () => number;
	readonly ledger: Ledger;
	readonly order: (order: Order, context: OrderContext) => Promise<wire.Action>;
	readonly onAction: ((action: wire.Action) => void) | undefined;
	readonly logger: Logger;
}

/** The kernel counts whole seconds; look a moment after it let go. */
const graceMs = 500;
/** What could not be undone is tried again, ever more seldom. */
const firstRetryMs = 5000;
const lastRetryMs = 300_000;
const context: OrderContext = {
	requester: "expiry",
	reason: "its time to live is over",
	alertId: "",
	eventTime: undefined,
};

export function createExpiry({ clock, ledger, order, onAction, logger }: ExpiryDeps): Expiry {
	const retries = new Map<string, number>();
	const timers = createTimers(clock, ({ kind, target }) => {
		end(kind, target).catch((error) => logger.error({ err: error }, "expiry"));
	});

	async function end(kind: EntryKind, target: string): Promise<void> {
		const entry = ledger.find(kind, target);
		if (entry === undefined) return;
		// It was renewed meanwhile.
		if (entry.expires > clock()) return arm(entry);
		const action = await order(undoOf(entry), context);
		const key = `${kind} ${target}`;
		const tried = retries.get(key);
		const left = ledger.find(kind, target) === entry;
		// Told once, not at each attempt.
		if (!left || tried === undefined) onAction?.(action);
		if (!left) {
			retries.delete(key);
			return;
		}
		const wait = Math.min(lastRetryMs, tried === undefined ? firstRetryMs : tried * 2);
		retries.set(key, wait);
		timers.arm(entry, clock() + wait);
	}

	function arm(entry: Entry): void {
		if (entry.expires > 0) timers.arm(entry, entry.expires + graceMs);
	}

	return {
		arm,
		armAll() {
			for (const entry of ledger.entries()) arm(entry);
		},
		disarm: timers.disarm,
		follow(target) {
			for (const kind of entryKinds) {
				const entry = ledger.find(kind, target);
				if (entry === undefined) timers.disarm({ kind, target });
				else arm(entry);
			}
		},
		close: timers.close,
	};
}
