// A console as a sink inside the sensor's own process, without spool and child: what `npm start` shows its records by.
import type { Logger } from "pino";
import type * as wire from "../model/picket.v1.ts";
import { createCommandDesk } from "../report/commands.ts";
import { errorText } from "../report/errors.ts";
import { createLosses } from "../report/losses.ts";
import { messageLimit, recordCodec } from "../report/protojson.ts";
import { recordKind } from "../report/record.ts";
import type { Sink } from "../report/sinks.ts";
import type { ClientTls } from "../tls.ts";
import { createMemorySource } from "./memory-source.ts";
import { createStream } from "./stream.ts";
import type { StreamTimes } from "./stream-times.ts";

export interface ConsoleSinkOptions {
	/** Of the sink, "console:embedded". */
	readonly name: string;
	/** "host:port" or "unix:/path", in the order in which they are tried. Without TLS only loopback or a socket. */
	readonly address: string | readonly string[];
	readonly tls?: ClientTls;
	/** Asked for each connection, since the hashes in it change. */
	readonly hello: () => wire.Hello;
	readonly status?: () => wire.Status | undefined;
	readonly onCommand: (command: wire.Command) => Promise<wire.CommandResult>;
	/** Output.gap. */
	readonly report: (gap: wire.Gap) => void;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
	/** 20,000 and 16 MiB by default, encoded. */
	readonly maxRecords?: number;
	readonly maxBytes?: number;
	readonly times?: Partial<StreamTimes & { readonly loss: number }>;
	/** 0 to below 1, for the pause between tries. */
	readonly random?: () => number;
}

/** Leaves room for what surrounds a record in a message. */
const recordLimit = messageLimit - 256;

/** Throws ReportError when address or certificates cannot work; nothing throws afterwards. */
export function createConsoleSink(options: ConsoleSinkOptions): Sink {
	const { name, logger } = options;
	const losses = createLosses({
		where: `sink:${name}`,
		clock: options.clock,
		report: options.report,
		...(options.times?.loss !== undefined && { delayMs: options.times.loss }),
	});
	const log = (level: "info" | "warn" | "error", text: string): void => logger[level]({ sink: name }, text);
	const source = createMemorySource({
		maxRecords: options.maxRecords ?? 20_000,
		maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
		lost: (kind) => losses.count(kind),
		log,
	});
	let problem = "";
	let closing = false;
	const { ca, cert, key, crl, serverName } = options.tls ?? {};
	const stream = createStream({
		config: {
			id: 0,
			kind: "console",
			name,
			addresses: typeof options.address === "string" ? [options.address] : options.address,
			...(options.tls !== undefined && {
				tls: {
					...(ca !== undefined && { ca: String(ca) }),
					...(cert !== undefined && { cert: String(cert) }),
					...(key !== undefined && { key: String(key) }),
					...(crl !== undefined && { crl: String(crl) }),
					...(serverName !== undefined && { serverName }),
				},
			}),
		},
		source,
		hello: options.hello,
		status: options.status ?? (() => undefined),
		onCommand: (command) => desk.take(command),
		onState: () => {},
		log,
		clock: options.clock,
		...(options.random !== undefined && { random: options.random }),
		...(options.times !== undefined && { times: options.times }),
	});
	// The stream keeps results itself while there is no connection.
	const desk = createCommandDesk({
		onCommand: options.onCommand,
		send: (result) => {
			stream.result(result);
			return true;
		},
	});

	return {
		name,
		push(record) {
			const kind = recordKind(record);
			if (closing || kind === undefined) return;
			try {
				const payload = recordCodec.encode(record);
				if (payload.length > recordLimit) return losses.count(kind);
				const bootId = options.hello().bootId ?? "";
				source.push({ bootId, sequence: Number(record.sequence), kind, severity: "informational", payload });
			} catch (error) {
				losses.count(kind);
				problem = `a record of kind ${kind} cannot be encoded: ${errorText(error)}`;
			}
		},
		status() {
			const now = stream.state;
			return {
				name,
				connected: now.connected,
				sent: String(now.sent),
				acknowledged: String(now.acknowledged),
				queued: String(source.held),
				lost: String(losses.total),
				problem: now.problem || problem,
			};
		},
		async close() {
			if (closing) return;
			losses.tell();
			closing = true;
			await stream.farewell("REASON_STOPPED");
			losses.close();
		},
	};
}
