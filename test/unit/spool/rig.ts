// A spool on a real file in a folder of its own.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { RecordFilter, RecordKind, Spool, SpoolReader, Stored } from "../../../agent/model/delivery.ts";
import { recordKinds } from "../../../agent/model/delivery.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Severity } from "../../../agent/model/verdict.ts";
import { createSpool, type SpoolOptions } from "../../../agent/spool/spool.ts";

export const everything: RecordFilter = { kinds: recordKinds, severity: "informational" };

const soak = process.env.PICKET_SOAK === "1";

export class Rig {
	/** In memory: none of this is about what a disk costs; a long run needs more room than containers give. */
	readonly folder = mkdtempSync(join(soak ? tmpdir() : "/dev/shm", "picket-spool-"));
	readonly path = join(this.folder, "spool.db");
	readonly gaps: wire.Gap[] = [];
	readonly #spools: Spool[] = [];
	#sequence = 0;

	open(options: Partial<SpoolOptions> = {}): Spool {
		const spool = createSpool({
			path: this.path,
			maxBytes: 64 * 1024 * 1024,
			clock: Date.now,
			logger: pino({ level: "silent" }),
			gap: (gap) => void this.gaps.push(gap),
			...options,
		});
		this.#spools.push(spool);
		return spool;
	}
	/** The sequence it got. */
	push(spool: Spool, kind: RecordKind, severity: Severity = "informational", bytes = 100): number {
		const sequence = this.#sequence++;
		const payload = Buffer.alloc(bytes, `${sequence};`);
		spool.push({ bootId: "boot", sequence, kind, severity, payload });
		return sequence;
	}
	lost(kind: string, where = "spool"): number {
		return this.gaps
			.filter((gap) => gap.where === where)
			.flatMap((gap) => gap.lost ?? [])
			.filter((lost) => lost.class === kind)
			.reduce((sum, { count }) => sum + Number(count), 0);
	}
	async end(): Promise<void> {
		for (const spool of this.#spools) await spool.close();
		rmSync(this.folder, { recursive: true, force: true });
	}
}

export async function readAll(reader: SpoolReader, after = 0, chunk = 500): Promise<Stored[]> {
	const records: Stored[] = [];
	for (;;) {
		const some = await reader.read(records.at(-1)?.position ?? after, chunk, 1e6);
		if (some.length === 0) return records;
		records.push(...some);
	}
}

export function sequences(records: readonly Stored[]): number[] {
	return records.map(({ sequence }) => sequence);
}
