// One sensor's stream as the console sees it: hello first, then batches that are acknowledged once stored.
import type { Logger } from "pino";
import type { ServerStream, StreamHandlers } from "../grpc.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { runKey, type Store } from "./store.ts";

export interface SensorInfo {
	readonly hostId: string;
	readonly bootId: string;
	readonly host: string;
	readonly version: string;
	readonly kernel: string;
	readonly architecture: string;
	readonly mode: string;
	readonly peer: string;
	/** Unix ms. */
	readonly connectedAt: number;
	/** New records taken on this connection. */
	records: number;
	lastSequence: string;
}

export interface Session {
	readonly info: SensorInfo;
	/** Of its certificate, when the console gave it out itself. */
	readonly serial?: string;
	send(command: wire.Command): void;
	close(problem: string): void;
}

/** What all streams share. */
export interface Hub {
	readonly name: string;
	readonly store: Store;
	readonly logger: Logger;
	readonly clock: () => number;
	run(key: string): Run;
	joined(session: Session): void;
	left(session: Session): void;
	record(record: wire.OutputRecord, sensor: SensorInfo): void;
	result(hostId: string, result: wire.CommandResult): void;
}

/** One boot of one host, over all its connections. */
export interface Run {
	stored: bigint;
	/** Batches are stored one after another, also those of a connection that was replaced. */
	tail: Promise<void>;
}

const helloMs = 10_000;
/** Sensors say something every 20 s. */
const silenceMs = 60_000;
/** Batches read ahead of the store; then the stream is paused. */
const maxPending = 8;

export function attendSensor(stream: ServerStream, hub: Hub): StreamHandlers<wire.ConnectRequest> {
	let session: Session | undefined;
	let run: Run | undefined;
	let open = true;
	let pending = 0;
	let timer = setTimeout(() => leave("no hello within 10 s"), helloMs).unref();

	const leave = (problem: string): void => {
		if (!open) return;
		hub.logger.warn({ peer: stream.peer, host: session?.info.host, problem }, "sensor sent away");
		finish();
		stream.close(problem);
	};
	const finish = (): void => {
		open = false;
		clearTimeout(timer);
		if (session !== undefined) hub.left(session);
	};
	const greet = (hello: wire.Hello): void => {
		const { hostId = "", bootId = "" } = hello;
		if (hostId === "" || bootId === "" || hostId.length > 200 || bootId.length > 200) {
			leave("hello must carry a host id and a boot id of 1 to 200 characters");
			return;
		}
		if (stream.identity !== undefined && stream.identity.hostId !== hostId) {
			leave("the host id in hello is not the one in the certificate: enrol this host anew");
			return;
		}
		run = hub.run(runKey(hostId, bootId));
		const info: SensorInfo = {
			hostId,
			bootId,
			host: hello.host ?? "",
			version: hello.version ?? "",
			kernel: hello.kernel ?? "",
			architecture: hello.architecture ?? "",
			mode: hello.mode ?? "",
			peer: stream.peer,
			connectedAt: hub.clock(),
			records: 0,
			lastSequence: String(run.stored),
		};
		session = {
			info,
			...(stream.identity === undefined ? {} : { serial: stream.identity.serial }),
			send: (command) => {
				if (open) stream.write({ command });
			},
			close: leave,
		};
		stream.write({ welcome: { console: hub.name, lastSequence: String(run.stored) } });
		hub.joined(session);
	};
	const take = (batch: wire.Batch, info: SensorInfo, into: Run): void => {
		const records = batch.records ?? [];
		if (++pending >= maxPending) stream.pause();
		into.tail = into.tail
			.then(() => keep(records, info, into))
			.catch((error) => leave(`records cannot be stored: ${errorText(error)}`))
			.finally(() => {
				if (pending-- === maxPending) stream.resume();
			});
	};
	const keep = async (records: readonly wire.OutputRecord[], info: SensorInfo, into: Run): Promise<void> => {
		if (!open) return;
		const fresh: wire.OutputRecord[] = [];
		let last = into.stored;
		for (const record of records) {
			const sequence = BigInt(record.sequence ?? 0);
			if (sequence <= last) continue;
			last = sequence;
			fresh.push(record);
		}
		await hub.store.append(info.hostId, info.bootId, fresh);
		into.stored = last;
		info.lastSequence = String(last);
		info.records += fresh.length;
		for (const record of fresh) hub.record(record, info);
		if (open) stream.write({ acknowledgement: { lastSequence: String(last) } });
	};

	return {
		message(message) {
			if (!open) return;
			clearTimeout(timer);
			timer = setTimeout(() => leave("nothing said for 60 s"), silenceMs).unref();
			if (session === undefined || run === undefined) {
				if (message.hello === undefined) leave("the first message must be hello");
				else greet(message.hello);
			} else if (message.batch !== undefined) take(message.batch, session.info, run);
			else if (message.result !== undefined) hub.result(session.info.hostId, message.result);
			else if (message.heartbeat !== undefined) {
				stream.write({ heartbeat: { time: new Date(hub.clock()).toISOString() } });
			}
		},
		drain() {},
		end(problem) {
			if (!open) return;
			if (session !== undefined) {
				hub.logger.info({ host: session.info.host, problem }, "sensor disconnected");
			}
			finish();
		},
	};
}
