// The reference console: takes the streams of many sensors, stores their records, passes commands on. What it
// shows is the caller's business.
import { randomUUID } from "node:crypto";
import type { Logger } from "pino";
import { serve } from "../grpc/server.ts";
import type { ServerAuthority } from "../grpc/streams.ts";
import type * as wire from "../model/picket.v1.ts";
import { ReportError } from "../report/errors.ts";
import { formatUnixMs, parseUnixMs } from "../report/time.ts";
import type { ServerTls } from "../tls.ts";
import { attendSensor, type Hub, type Run, type SensorInfo, type Session } from "./sensor.ts";
import { createForgettingStore, openStore } from "./store.ts";

export interface ConsoleOptions {
	/** "host:port" (port 0: any) or "unix:/path". Without TLS only loopback or a socket. */
	readonly listen: string;
	readonly tls?: ServerTls;
	/** In place of `tls`: certificates that the console gives out itself. */
	readonly authority?: ServerAuthority & {
		/** Serial numbers that have just been revoked; one listener. */
		onRevoked(listener: (serials: ReadonlySet<string>) => void): void;
	};
	/** File for the records; without it they are passed on and forgotten. */
	readonly store?: string;
	/**
	 * Each new record once, in its sensor's order, after it was stored; `ahead`: at once and out of order, since older
	 * ones are still on their way.
	 */
	readonly onRecord?: (record: wire.OutputRecord, sensor: SensorInfo, ahead: boolean) => void;
	readonly onSensor?: (sensor: SensorInfo, connected: boolean) => void;
	/** Its stream ended without a farewell, and no new one has come for `silenceMs`. */
	readonly onSilent?: (sensor: SensorInfo) => void;
	/** Two minutes by default. */
	readonly silenceMs?: number;
	readonly logger: Logger;
	/** As sensors see it; "picket console" by default. */
	readonly name?: string;
	readonly version?: string;
	/** Unix ms. */
	readonly clock?: () => number;
}

export interface RunningConsole {
	readonly address: string;
	/**
	 * Other certificates or revocations, from now on: every sensor has to show its certificate again. Throws ReportError
	 * CERTIFICATE; what was in force then stays.
	 */
	renewTls(tls: ServerTls): void;
	/** Those connected now. */
	sensors(): SensorInfo[];
	/**
	 * Id, expiry (one minute) and requester are filled in when missing. Rejects with ReportError NO_SENSOR when the
	 * sensor is not connected, NO_ANSWER when no result comes until `graceMs` (70,000 by default) after the expiry.
	 */
	send(hostId: string, command: wire.Command, graceMs?: number): Promise<wire.CommandResult>;
	close(): Promise<void>;
}

interface Sent {
	readonly hostId: string;
	readonly command: wire.Command;
	resolve(result: wire.CommandResult): void;
	reject(error: Error): void;
}

const maxSensors = 10_000;
const twoMinutes = 120_000;
/** Boots remembered; beyond it the longest unused is forgotten, and its repeats may come twice. */
const maxRuns = 50_000;

/** Throws ReportError ADDRESS, PLAINTEXT, CERTIFICATE, LISTEN or STORE. */
export async function startConsole(options: ConsoleOptions): Promise<RunningConsole> {
	const clock = options.clock ?? Date.now;
	const store = options.store === undefined ? createForgettingStore() : await openStore(options.store);
	const sessions = new Map<string, Session>();
	const runs = new Map<string, Run>();
	const sent = new Map<string, Sent>();
	/** Hosts that went without a farewell. */
	const missed = new Map<string, NodeJS.Timeout>();
	let closed = false;

	const miss = (info: SensorInfo): void => {
		if (closed || missed.size >= maxSensors) return;
		clearTimeout(missed.get(info.hostId));
		const tell = (): void => {
			missed.delete(info.hostId);
			options.logger.warn({ host: info.host, hostId: info.hostId }, "sensor silent without a farewell");
			options.onSilent?.(info);
		};
		missed.set(info.hostId, setTimeout(tell, options.silenceMs ?? twoMinutes).unref());
	};
	const hub: Hub = {
		name: options.name ?? "picket console",
		store,
		logger: options.logger,
		clock,
		run(key) {
			const run = runs.get(key) ?? {
				stored: store.last.get(key) ?? 0n,
				tail: Promise.resolve(),
				shown: new Set(),
			};
			runs.delete(key);
			runs.set(key, run);
			for (const old of runs.keys()) {
				if (runs.size <= maxRuns) break;
				runs.delete(old);
			}
			return run;
		},
		joined(session) {
			const { hostId } = session.info;
			const before = sessions.get(hostId);
			sessions.delete(hostId);
			before?.close("the same sensor has connected again");
			if (sessions.size >= maxSensors) {
				session.close(`more than ${maxSensors} sensors`);
				return;
			}
			sessions.set(hostId, session);
			clearTimeout(missed.get(hostId));
			missed.delete(hostId);
			options.onSensor?.(session.info, true);
			// The result of a command may have been lost with the connection; its id keeps it from happening twice.
			for (const one of sent.values()) if (one.hostId === hostId) session.send(one.command);
		},
		left(session) {
			if (sessions.get(session.info.hostId) !== session) return;
			sessions.delete(session.info.hostId);
			options.onSensor?.(session.info, false);
			if (session.info.farewell === undefined) miss(session.info);
		},
		record: (record, sensor, ahead) => options.onRecord?.(record, sensor, ahead),
		result(hostId, result) {
			const one = sent.get(result.commandId ?? "");
			if (one?.hostId === hostId) one.resolve(result);
		},
	};

	const server = await serve({
		listen: options.listen,
		...(options.tls === undefined ? {} : { tls: options.tls }),
		...(options.authority === undefined ? {} : { authority: options.authority }),
		connect: (stream) => attendSensor(stream, hub),
		health: () => ({
			state: "STATE_SERVING",
			version: options.version ?? "",
			sensors: sessions.size,
		}),
	}).catch(async (error) => {
		await store.close();
		throw error;
	});
	options.authority?.onRevoked((serials) => {
		for (const session of [...sessions.values()]) {
			if (session.serial !== undefined && serials.has(session.serial)) {
				session.close("this host's certificate has been revoked");
			}
		}
	});

	return {
		address: server.address,
		renewTls: (tls) => server.renewTls(tls),
		sensors: () => [...sessions.values()].map((session) => session.info),
		send(hostId, command, graceMs = 70_000) {
			const session = sessions.get(hostId);
			if (session === undefined) {
				return Promise.reject(
					new ReportError("NO_SENSOR", `no sensor with host id "${hostId}" is connected`),
				);
			}
			const id = command.id ?? randomUUID();
			const expires = command.expires ?? formatUnixMs(clock() + 60_000);
			const whole: wire.Command = { requester: "console", ...command, id, expires };
			const waitMs = Math.max(0, (parseUnixMs(expires) ?? clock()) - clock()) + graceMs;
			return new Promise<wire.CommandResult>((resolve, reject) => {
				const timer = setTimeout(() => {
					reject(
						new ReportError(
							"NO_ANSWER",
							`${session.info.host || hostId} gave no result; the command may still have been carried out`,
						),
					);
				}, waitMs).unref();
				const done = (): void => {
					clearTimeout(timer);
					sent.delete(id);
				};
				sent.set(id, {
					hostId,
					command: whole,
					resolve(result) {
						done();
						resolve(result);
					},
					reject(error) {
						done();
						reject(error);
					},
				});
				session.send(whole);
			});
		},
		async close() {
			if (closed) return;
			closed = true;
			for (const timer of missed.values()) clearTimeout(timer);
			for (const session of [...sessions.values()]) session.close("the console is closing");
			await server.close();
			await Promise.allSettled([...runs.values()].map((run) => run.tail));
			for (const one of [...sent.values()]) {
				one.reject(new ReportError("NO_ANSWER", "the console was closed before a result came"));
			}
			await store.close();
		},
	};
}
