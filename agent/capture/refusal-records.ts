// What the kernel tells of its refusals (bpf/refusal.h), as objects. Pure; never throws on strange bytes.
import { networkFromBytes } from "../model/address.ts";
import * as layout from "../model/layout-refusal.ts";
import type { Refusal } from "../model/refusal.ts";

/** `nameOf`: the id of the rule with a generation. */
export function decodeRefusal(
	bytes: Uint8Array,
	nameOf: (generation: number) => string | undefined,
): Refusal {
	const at = layout.refusalEvent;
	const record = Buffer.alloc(Math.max(at.bytes, bytes.length));
	record.set(bytes);
	const family = record.readUInt16LE(at.family);
	const network = networkFromBytes(family, record, at.address);
	const generation = record.readUInt32LE(at.generation);
	return {
		id: nameOf(generation) ?? `unknown (${generation})`,
		kind: record.readUInt32LE(at.kind) === layout.refusalKind.REFUSAL_EXEC ? "exec" : "egress",
		refused: record.readUInt32LE(at.refused) !== 0,
		time: Number(record.readBigUInt64LE(at.time)),
		pid: record.readUInt32LE(at.pid),
		start: Number(record.readBigUInt64LE(at.start)),
		cgroupId: Number(record.readBigUInt64LE(at.cgroupId)),
		path: record.toString("latin1", at.bytes),
		peer: network && {
			network,
			port: record.readUInt16LE(at.port),
			protocol: record.readUInt32LE(at.protocol),
		},
		count: Number(record.readBigUInt64LE(at.count)),
	};
}

/** refused + observed = told + repeated + lost; see struct refusal_counters. */
export type RefusalCounts = Record<Exclude<keyof typeof layout.refusalCounters, "bytes">, number>;

/** Over all CPUs. */
export function sumCounters(perCpu: Uint8Array | undefined): RefusalCounts {
	const { bytes, ...fields } = layout.refusalCounters;
	const buffer = Buffer.from(perCpu ?? []);
	const sum = (at: number) => {
		let total = 0;
		for (let start = 0; start < buffer.length; start += bytes) {
			total += Number(buffer.readBigUInt64LE(start + at));
		}
		return total;
	};
	return Object.fromEntries(Object.entries(fields).map(([name, at]) => [name, sum(at)])) as RefusalCounts;
}
