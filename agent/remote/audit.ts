// What consoles asked for and what came of it, in the same hash chain as everything that changed the host. What does not
// act is written line by line up to a rate, beyond that as a sum once a minute: a console must not fill the disk.
import type { Logger } from "pino";
import { errorText } from "../report/errors.ts";
import { type Audit, type AuditEntry, openAudit } from "../respond/audit.ts";
import { createBatch } from "../respond/batch.ts";
import { auditFile } from "../respond/journal.ts";
import { type BucketLimits, createBuckets } from "./buckets.ts";

export interface CommandAudit {
	/** Resolves when it is on the disk; rejects when it cannot be. */
	announce(console: string, entry: Readonly<Record<string, unknown>>): Promise<void>;
	/** What came of it. Never rejects. `acted`: always line by line. */
	outcome(console: string, entry: Readonly<Record<string, unknown>>, acted: boolean): Promise<void>;
	/** One more of this sort that is only told as a sum. */
	count(console: string, what: string): void;
	/** Writes the sums. */
	close(): Promise<void>;
}

const sumMs = 60_000;
/** Of what does not act. */
const lines: BucketLimits = { perMinute: 20, burst: 100, allPerMinute: 100 };

export function createCommandAudit(stateDir: string, clock: () => number, logger: Logger): CommandAudit {
	const buckets = createBuckets(lines, clock);
	/** By console, then by what it was. */
	const sums = new Map<string, Map<string, number>>();
	let audit: Audit | undefined;
	let timer: NodeJS.Timeout | undefined;
	let failed = false;

	const commit = createBatch<AuditEntry, void>(async (entries) => {
		// Opened late: a sensor that nobody asks anything needs no directory to write to.
		audit ??= openAudit(auditFile(stateDir), clock);
		audit.appendAll(entries);
		return [];
	});
	const tell = async (entry: AuditEntry): Promise<void> => {
		try {
			await commit(entry);
			failed = false;
		} catch (error) {
			// One line an outage.
			if (!failed) logger.error({ problem: errorText(error), entry }, "audit of a console's commands");
			failed = true;
		}
	};
	const count = (console: string, what: string): void => {
		const of = sums.get(console) ?? new Map<string, number>();
		sums.set(console, of);
		of.set(what, (of.get(what) ?? 0) + 1);
		timer ??= setTimeout(() => void writeSums(), sumMs).unref();
	};
	const writeSums = async (): Promise<void> => {
		clearTimeout(timer);
		timer = undefined;
		const told = [...sums].map(([console, counts]) =>
			tell({ stage: "note", requester: `console:${console}`, commands: Object.fromEntries(counts) }),
		);
		sums.clear();
		await Promise.all(told);
	};

	return {
		announce: (console, entry) => commit({ stage: "intent", requester: `console:${console}`, ...entry }),
		async outcome(console, entry, acted) {
			if (acted || buckets.take(console))
				return tell({ stage: "outcome", requester: `console:${console}`, ...entry });
			count(console, entry.accepted === true ? "answered" : "refused");
		},
		count,
		async close() {
			await writeSums();
			audit?.close();
			audit = undefined;
		},
	};
}
