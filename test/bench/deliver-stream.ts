// How fast a backlog goes to a console: the stream engine over TLS on loopback to the reference console, which stores
// each record on the disk. For `npm run bench:deliver`; by itself `node test/bench/deliver-stream.ts [RECORDS]`.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { startConsole } from "../../agent/console/console.ts";
import { recordCodec } from "../../agent/report/protojson.ts";
import { createMemorySource } from "../../agent/uplink/memory-source.ts";
import { createStream } from "../../agent/uplink/stream.ts";
import { makeAuthority } from "../unit/report/certificates.ts";
import { alertRecord, eventRecord } from "../unit/report/samples.ts";

export interface StreamFigures {
	readonly records: number;
	readonly recordsPerSecond: number;
	/** Of one core, sensor's and console's side together: they share this process. */
	readonly cpuPercent: number;
	/** ms from an alert's push, with the whole backlog before it, until the console has shown it. */
	readonly alertAheadMs: number;
	readonly rssMegabytes: number;
}

export async function benchStream(records = 50_000): Promise<StreamFigures> {
	const folder = mkdtempSync(join(tmpdir(), "picket-bench-"));
	const authority = makeAuthority("Bench CA");
	const server = authority.issue("console", "IP:127.0.0.1");
	const source = createMemorySource({
		maxRecords: records + 10,
		maxBytes: 1024 * 1024 * 1024,
		lost: () => {},
		log: () => {},
	});
	for (let sequence = 1; sequence <= records; sequence++) {
		const payload = recordCodec.encode(eventRecord(sequence));
		source.push({ bootId: "boot", sequence, kind: "event", severity: "informational", payload });
	}
	let shownAt = 0;
	const console = await startConsole({
		listen: "127.0.0.1:0",
		tls: server,
		store: join(folder, "records.jsonl"),
		logger: pino({ level: "silent" }),
		onRecord: (_record, _sensor, ahead) => {
			if (ahead) shownAt = performance.now();
		},
	});
	const cpu = process.cpuUsage();
	const start = performance.now();
	const stream = createStream({
		config: {
			id: 1,
			kind: "console",
			name: "bench",
			addresses: [console.address],
			tls: { ca: authority.cert },
		},
		source,
		hello: () => ({ hostId: "bench", bootId: "boot" }),
		status: () => undefined,
		onCommand: () => {},
		onState: () => {},
		log: () => {},
		clock: Date.now,
	});
	let pushedAt = 0;
	while (source.held > 0) {
		await new Promise((resolve) => setTimeout(resolve, 5));
		if (pushedAt !== 0 || !stream.state.connected) continue;
		pushedAt = performance.now();
		const payload = recordCodec.encode(alertRecord(records + 1));
		source.push({ bootId: "boot", sequence: records + 1, kind: "alert", severity: "high", payload });
	}
	const ms = performance.now() - start;
	const used = process.cpuUsage(cpu);
	await stream.farewell("REASON_STOPPED");
	await console.close();
	authority.remove();
	rmSync(folder, { recursive: true, force: true });
	return {
		records,
		recordsPerSecond: Math.round((records * 1000) / ms),
		cpuPercent: Math.round((used.user + used.system) / ms / 10),
		alertAheadMs: Math.round(shownAt - pushedAt),
		rssMegabytes: Math.round(process.memoryUsage().rss / 1024 / 1024),
	};
}

if (import.meta.main) {
	process.stdout.write(`${JSON.stringify(await benchStream(Number(process.argv[2] ?? 50_000)))}\n`);
}
