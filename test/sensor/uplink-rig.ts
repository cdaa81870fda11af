// An uplink process as the core starts it, over a spool in memory, with what a test wants to know of it.
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import type { OutletConfig, RecordFilter, SpoolReader } from "../../agent/model/delivery.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { recordCodec } from "../../agent/report/protojson.ts";
import { createUplink, type UplinkHost, type UplinkOptions } from "../../agent/uplink-host.ts";
import { createMemorySpool, type MemorySpool } from "../unit/uplink/memory-spool.ts";

export const nobody = { user: "nobody", uid: 65534, gid: 65534 };
export const everything: RecordFilter = {
	kinds: ["event", "alert", "incident", "action", "gap", "status"],
	severity: "informational",
};
export const bootId = "3b1f8c2e-0000-4000-8000-000000000001";
export const hello: wire.Hello = {
	hostId: "host-1",
	bootId,
	host: "web-1",
	version: "0.1.0",
	mode: "observe",
};

export interface UplinkRig {
	readonly host: UplinkHost;
	readonly spool: MemorySpool;
	readonly readers: Map<number, SpoolReader>;
	readonly lines: { msg: string; level: number }[];
	readonly commands: { name: string; command: wire.Command }[];
	pid(): number;
	/** Puts an alert or event into the spool. */
	push(sequence: number, kind?: "alert" | "event"): void;
}

export function rig(outlets: readonly OutletConfig[], more: Partial<UplinkOptions> = {}): UplinkRig {
	const lines: UplinkRig["lines"] = [];
	const commands: UplinkRig["commands"] = [];
	const spool = createMemorySpool();
	const readers = new Map(outlets.map(({ id, name }) => [id, spool.reader(name, everything)]));
	const host = createUplink({
		identity: nobody,
		outlets: () => outlets.map((config) => ({ config, reader: readers.get(config.id) as SpoolReader })),
		metrics: "",
		hello: () => hello,
		status: () => ({ version: "0.1.0" }),
		policyHash: () => "hash",
		onCommand: (name, command) => void commands.push({ name, command }),
		onReady: () => {},
		onRenewed: () => {},
		logger: pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
		...more,
		times: { tick: 200, firstRetry: 50, lastRetry: 200, ...more.times },
	});
	onTestFinished(() => host.close());
	return {
		host,
		spool,
		readers,
		lines,
		commands,
		pid: () => host.status().pid ?? 0,
		push(sequence, kind = "alert") {
			const record: wire.OutputRecord = {
				time: "2026-01-01T00:00:00Z",
				host: "web-1",
				sequence: String(sequence),
				...(kind === "alert" ? { alert: { rule: `rule ${sequence}` } } : { event: { kind: "exec" } }),
			} as wire.OutputRecord;
			const payload = recordCodec.encode(record);
			spool.push({ bootId, sequence, kind, severity: "high", payload });
		},
	};
}

export async function until(what: string, check: () => unknown, ms = 30_000): Promise<void> {
	const end = Date.now() + ms;
	while (!check()) {
		if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

/** Of "/proc/PID/status". */
export function statusOf(pid: number, key: string): string {
	const line = readFileSync(`/proc/${pid}/status`, "latin1")
		.split("\n")
		.find((each) => each.startsWith(`${key}:`));
	return line?.slice(key.length + 1).trim() ?? "";
}
