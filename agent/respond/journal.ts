// What every act writes into the audit: that it is about to happen, and what came of it.
import { join } from "node:path";
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import type { Order, OrderContext } from "../model/verdict.ts";
import type { Act } from "./act.ts";
import { type Audit, type AuditEntry, openAudit } from "./audit.ts";
import { createBatch } from "./batch.ts";
import { describeError, RespondError } from "./failure.ts";

/** An order on its way. */
export interface Doing {
	readonly given: Order;
	readonly context: OrderContext;
	readonly action: wire.Action;
	/** Those of the action. */
	readonly steps: string[];
	/** Unix ms of the first event, or of the order when it was given by hand. */
	readonly arrived: number;
}

export interface Journal {
	/** The write-ahead: without it there is no act, except one that takes back: a full disk must not lock out. */
	announce(act: Act, doing: Doing): Promise<void>;
	/** Never rejects: what could not be written is told. */
	record(action: wire.Action): Promise<void>;
	close(): void;
}

export function auditFile(stateDir: string): string {
	return join(stateDir, "audit.jsonl");
}

export function createJournal(stateDir: string, clock: () => number, logger: Logger): Journal {
	let audit: Audit | undefined;

	/** What is announced in the same turn waits for the disk once. */
	const commit = createBatch<AuditEntry, void>(async (entries) => {
		// Opened late: a sensor that only observes needs no directory to write to.
		audit ??= openAudit(auditFile(stateDir), clock);
		audit.appendAll(entries);
		return [];
	});

	return {
		async announce(act, { given, action, steps, arrived }) {
			try {
				const announced = { ...action, steps: [...steps], outcome: "OUTCOME_UNSPECIFIED" };
				await commit({ stage: "intent", action: announced, order: given, arrived });
			} catch (error) {
				const message = `the audit could not be written: ${describeError(error)}`;
				if (!act.takesBack) {
					const remedy = `make room and check the rights of ${stateDir}`;
					throw new RespondError("PICKET_AUDIT_FAILED", message, remedy);
				}
				steps.push(message);
			}
		},
		async record(action) {
			try {
				await commit({ stage: "outcome", action });
			} catch (error) {
				action.steps?.push(`the outcome could not be written to the audit: ${describeError(error)}`);
				logger.error({ error, action }, "audit");
			}
		},
		close() {
			audit?.close();
			audit = undefined;
		},
	};
}
