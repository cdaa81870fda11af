// One sensor's stream as the console sees it: hello first, then batches that are acknowledged once stored.
import type { Logger } from "pino";
import type { ServerStream, StreamHandlers } from "../grpc/streams.ts";
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
	mode: string;
	readonly peer: string;
	/** Unix ms. */
	readonly connectedAt: number;
	/** New records taken on this connection. */
	records: number;
	lastSequence: string;
	/** Its last words, once it has said farewell. */
	farewell?: wire.Farewell;
	/** As the sensor last told with a heartbeat. */
	status?: wire.Status;
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
	/** `ahead`: of this moment, before older ones; it is not shown again in its place. */
	record(record: wire.OutputRecord, sensor: SensorInfo, ahead: boolean): void;
	result(hostId: string, result: wire.CommandResult): void;
}

/** One boot of one host, over all its connections. */
export interface Run {
	stored: bigint;
	/** Batches are stored one after another, also those of a connection that was replaced. */
	tail: Promise<unknown>;
	/** Sequences shown ahead of their place; when they come in it they are stored only. */
	readonly shown: Set<bigint>;
}

const helloMs = 10_000;
/** Sensors say something every 20 s. */
const silenceMs = 60_000;
/** Batches read ahead of the store; then the stream is paused. */
const maxPending = 8;
/** Records shown ahead that are remembered; others are shown twice. */
const maxShown = 10_000;

export function attendSensor(stream: ServerStream, hub: Hub): StreamHandlers<wire.ConnectRequest> {
	let session: Session | undefined;
	let open = true;
	let pending = 0;
	/** Of this stream: a later boot's records are not stored before an earlier one's. */
	let tail: Promise<unknown> = Promise.resolve();
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
		const run = hub.run(runKey(hostId, bootId));
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
	/** What of a hello may change while a stream stands. */
	const renew = (hello: wire.Hello, of: Session): void => {
		const { hostId, bootId } = of.info;
		if (hello.hostId !== hostId || hello.bootId !== bootId) {
			leave("a second hello must be of the same host and boot");
			return;
		}
		of.info.mode = hello.mode ?? "";
	};
	const take = (batch: wire.Batch, info: SensorInfo): void => {
		const bootId = batch.bootId || info.bootId;
		if (bootId.length > 200) {
			leave("a batch's boot id has at most 200 characters");
			return;
		}
		const records = batch.records ?? [];
		const into = hub.run(runKey(info.hostId, bootId));
		if (batch.ahead === true) {
			show(records, info, into);
			return;
		}
		if (++pending >= maxPending) stream.pause();
		into.tail = tail = Promise.all([tail, into.tail])
			.then(() => keep(records, info, bootId, into))
			.catch((error) => leave(`records cannot be stored: ${errorText(error)}`))
			.finally(() => {
				if (pending-- === maxPending) stream.resume();
			});
	};
	const show = (records: readonly wire.OutputRecord[], info: SensorInfo, of: Run): void => {
		for (const record of records) {
			const sequence = BigInt(record.sequence ?? 0);
			if (sequence <= of.stored || of.shown.has(sequence)) continue;
			of.shown.add(sequence);
			for (const old of of.shown) {
				if (of.shown.size <= maxShown) break;
				of.shown.delete(old);
			}
			hub.record(record, info, true);
		}
	};
	const keep = async (
		records: readonly wire.OutputRecord[],
		info: SensorInfo,
		bootId: string,
		into: Run,
	): Promise<void> => {
		if (!open) return;
		const fresh: wire.OutputRecord[] = [];
		let last = into.stored;
		for (const record of records) {
			const sequence = BigInt(record.sequence ?? 0);
			if (sequence <= last) continue;
			last = sequence;
			fresh.push(record);
		}
		await hub.store.append(info.hostId, bootId, fresh);
		into.stored = last;
		if (bootId === info.bootId) info.lastSequence = String(last);
		info.records += fresh.length;
		for (const record of fresh) {
			if (!into.shown.delete(BigInt(record.sequence ?? 0))) hub.record(record, info, false);
		}
		if (open) stream.write({ acknowledgement: { lastSequence: String(last), bootId } });
	};

	return {
		message(message) {
			if (!open) return;
			clearTimeout(timer);
			timer = setTimeout(() => leave("nothing said for 60 s"), silenceMs).unref();
			if (session === undefined) {
				if (message.hello === undefined) leave("the first message must be hello");
				else greet(message.hello);
			} else if (message.batch !== undefined) take(message.batch, session.info);
			else if (message.hello !== undefined) renew(message.hello, session);
			else if (message.farewell !== undefined) session.info.farewell = message.farewell;
			else if (message.result !== undefined) hub.result(session.info.hostId, message.result);
			else if (message.heartbeat !== undefined) {
				if (message.heartbeat.status !== undefined) session.info.status = message.heartbeat.status;
				stream.write({ heartbeat: { time: new Date(hub.clock()).toISOString() } });
			}
		},
		drain() {},
		end(problem) {
			if (!open) return;
			if (session !== undefined) {
				const { host, farewell } = session.info;
				hub.logger.info({ host, problem, farewell: farewell?.reason }, "sensor disconnected");
			}
			finish();
		},
	};
}
