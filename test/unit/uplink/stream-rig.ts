// A stream engine over a source in memory, for tests against real sockets.
import { onTestFinished } from "vitest";
import { serve } from "../../../agent/grpc/server.ts";
import type { ServerStream } from "../../../agent/grpc/streams.ts";
import type { OutletState, RecordKind } from "../../../agent/model/delivery.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { recordCodec } from "../../../agent/report/protojson.ts";
import type { ServerTls } from "../../../agent/tls.ts";
import { createMemorySource, type MemorySource } from "../../../agent/uplink/memory-source.ts";
import { createStream, type Stream, type StreamOptions } from "../../../agent/uplink/stream.ts";
import { hello } from "../console/rig.ts";
import { alertRecord, eventRecord } from "../report/samples.ts";

/** Quick enough for tests, slow enough for a busy machine. */
export const quickTimes = {
	batch: 10,
	heartbeat: 200,
	answer: 1500,
	firstRetry: 5,
	lastRetry: 40,
	close: 1000,
};

export interface Rig {
	readonly stream: Stream;
	readonly source: MemorySource;
	readonly commands: wire.Command[];
	readonly states: OutletState[];
	readonly logs: string[];
	/** Sequences set aside. */
	readonly quarantined: number[];
	/** Records of kind lost for want of room. */
	readonly lost: RecordKind[];
	push(sequence: number, bootId?: string, kind?: "event" | "alert", text?: string): void;
}

export function rig(
	addresses: readonly string[],
	more: Partial<StreamOptions> & { maxRecords?: number } = {},
): Rig {
	const commands: wire.Command[] = [];
	const states: OutletState[] = [];
	const logs: string[] = [];
	const quarantined: number[] = [];
	const lost: RecordKind[] = [];
	const source = createMemorySource({
		maxRecords: more.maxRecords ?? 200_000,
		maxBytes: 256 * 1024 * 1024,
		lost: (kind) => void lost.push(kind),
		log: () => {},
	});
	const { quarantine } = source;
	source.quarantine = (position, reason) => {
		quarantined.push(position);
		quarantine(position, reason);
	};
	const stream = createStream({
		config: { id: 1, kind: "console", name: "test", addresses },
		source,
		hello: () => hello,
		status: () => undefined,
		onCommand: (command) => void commands.push(command),
		onState: (state) => void states.push(state),
		log: (_level, text) => void logs.push(text),
		clock: Date.now,
		...more,
		times: { ...quickTimes, ...more.times },
	});
	onTestFinished(() => stream.close());
	return {
		stream,
		source,
		commands,
		states,
		logs,
		quarantined,
		lost,
		push(sequence, bootId = "boot-1", kind = "event", text) {
			const record = kind === "event" ? eventRecord(sequence, text) : alertRecord(sequence);
			const payload = recordCodec.encode(record);
			source.push({ bootId, sequence, kind, severity: "informational", payload });
		},
	};
}

export interface Puppet {
	readonly address: string;
	readonly streams: ServerStream[];
	readonly heard: wire.ConnectRequest[];
	close(): Promise<void>;
}

/** A console whose every answer is the test's own. */
export async function puppet(
	answer: (message: wire.ConnectRequest, stream: ServerStream) => void,
	listen = "127.0.0.1:0",
	tls?: ServerTls,
): Promise<Puppet> {
	const streams: ServerStream[] = [];
	const heard: wire.ConnectRequest[] = [];
	const server = await serve({
		listen,
		...(tls !== undefined && { tls }),
		connect: (stream) => {
			streams.push(stream);
			return {
				message: (message) => {
					heard.push(message);
					answer(message, stream);
				},
				drain() {},
				end() {},
			};
		},
		health: () => ({}),
	});
	let open = true;
	const close = async (): Promise<void> => {
		if (open) await server.close();
		open = false;
	};
	onTestFinished(close);
	return { address: server.address, streams, heard, close };
}

/** As a good console answers, without a memory. */
export function obliging(message: wire.ConnectRequest, stream: ServerStream): void {
	if (message.hello) stream.write({ welcome: { console: "puppet" } });
	if (message.heartbeat) stream.write({ heartbeat: {} });
	const { records, bootId = "", ahead } = message.batch ?? {};
	if (records && !ahead) {
		stream.write({ acknowledgement: { lastSequence: records.at(-1)?.sequence ?? "0", bootId } });
	}
}

export const sequencesOf = (batch: wire.Batch | undefined): number[] =>
	(batch?.records ?? []).map((record) => Number(record.sequence));
