// The stream to one console: keeps a connection to one of its addresses, sends what the source holds and forgets it
// once the console has stored it, passes commands on and results back. It never throws once it runs.
import { checkConsole } from "../grpc/client.ts";
import type { OutletConfig, OutletState, RecordSource } from "../model/delivery.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { encodeBatch } from "../report/protojson.ts";
import { createAddresses } from "./stream-addresses.ts";
import { createAhead } from "./stream-ahead.ts";
import { watchCertificate } from "./stream-certificate.ts";
import { type Connection, type ConnectionEnd, createConnection } from "./stream-connection.ts";
import { createResults } from "./stream-results.ts";
import { defaultTimes, type StreamTimes } from "./stream-times.ts";
import { batchRecords, createWindow } from "./stream-window.ts";

export type ConsoleOutlet = Extract<OutletConfig, { kind: "console" }>;

export interface StreamOptions {
	readonly config: ConsoleOutlet;
	readonly source: RecordSource;
	/** Asked for each connection, since the hashes in it change. */
	readonly hello: () => wire.Hello;
	/** The sensor's, as far as known; sent with a heartbeat once a minute. */
	readonly status: () => wire.Status | undefined;
	/** Its result comes back through `result`. */
	readonly onCommand: (command: wire.Command) => void;
	/** At once when the connection or the problem changes, else once a second at most. */
	readonly onState: (state: OutletState) => void;
	/** `text` does not name the console. */
	readonly log: (level: "info" | "warn" | "error", text: string) => void;
	/** Unix ms. */
	readonly clock: () => number;
	/** 0 to below 1, for the pause between tries. */
	readonly random?: () => number;
	readonly times?: Partial<StreamTimes>;
}

export interface Stream {
	readonly state: OutletState;
	/** Of a command; kept for the next connection when there is none. */
	result(result: wire.CommandResult): void;
	/** What `hello` gives has changed: the console is told on the present connection. */
	helloChanged(): void;
	/**
	 * Other addresses or authorities take effect at once. A new certificate of ours alone is used for the next
	 * connection, which is made at the latest when the old one ends. Throws ReportError when the new ones cannot work;
	 * what was in force then stays.
	 */
	reconfigure(config: ConsoleOutlet): void;
	/** Hands over what it still can in a short time, says why this is the end, and closes. */
	farewell(reason: wire.FarewellReason, message?: string): Promise<void>;
	/** Ends it at once without a word. */
	close(): void;
}

const longestComeBack = 3_600_000;
/** A connection that stood so long has worked, even if there was nothing to acknowledge. */
const provenMs = 60_000;
/** More is a flood, and ends the connection. */
const commandsPerSecond = 100;
/**
 * The longest pause after a stream that ended upon a batch, ms: the console answers, and the record that it cannot take
 * should not take hours to find.
 */
const suspectRetry = 5000;

/** Throws ReportError when an address or the certificates cannot work; nothing throws afterwards. */
export function createStream(options: StreamOptions): Stream {
	check(options.config);
	let { config } = options;
	const { source, log, onState } = options;
	const times = { ...defaultTimes, ...options.times };
	const random = options.random ?? Math.random;
	const addresses = createAddresses({ list: config.addresses, ...times, random });
	const window = createWindow(source, (text) => log("warn", text));
	const results = createResults((text) => log("warn", text));
	let connection: Connection | undefined;
	/** To the first address, while another one serves. */
	let probe: Connection | undefined;
	let proven = false;
	/** Empty: that of the hello. */
	let bootId = "";
	let problem = "not connected yet";
	const ahead = createAhead();
	const toldProblems = new Set<string>();
	let retryTimer: NodeJS.Timeout | undefined;
	let batchTimer: NodeJS.Timeout | undefined;
	let probeTimer: NodeJS.Timeout | undefined;
	let probePause = times.comeBack;
	let stateTimer: NodeJS.Timeout | undefined;
	let hurry = false;
	let commands = { second: 0, count: 0 };
	let closing = false;
	let over = false;
	let idle: (() => void) | undefined;

	const state = (): OutletState => ({
		connected: connection?.welcomed === true,
		address: connection?.welcomed === true ? connection.address : "",
		sent: window.sent,
		acknowledged: window.acknowledged,
		problem,
	});
	const tellState = (now: boolean): void => {
		if (over && !now) return;
		if (!now) {
			stateTimer ??= setTimeout(() => tellState(true), 1000).unref();
			return;
		}
		clearTimeout(stateTimer);
		stateTimer = undefined;
		onState(state());
	};

	const open = (address: string): Connection => {
		const mine: Connection = createConnection({
			address,
			tls: config.tls,
			hello: options.hello,
			status: options.status,
			clock: options.clock,
			times,
			waiting: () => mine === connection && window.records > 0,
			on: {
				welcome: (message, hello) => welcome(mine, message, hello),
				acknowledgement: acknowledge,
				command: take,
				drain: () => pump(hurry || behind()),
				end: (text, cause) => {
					if (mine === probe) {
						probe = undefined;
						probeLater();
					}
					if (mine === connection) lose(text, cause);
				},
			},
		});
		return mine;
	};
	const connect = (): void => {
		retryTimer = undefined;
		proven = false;
		connection = open(addresses.current);
	};

	/** The connection is gone: what was on the way waits again, in front. */
	const lose = (text: string, cause: ConnectionEnd): void => {
		const last = connection;
		connection = undefined;
		clearTimeout(probeTimer);
		const worked =
			proven || (last !== undefined && last.since > 0 && performance.now() - last.since > provenMs);
		window.lost(cause === "barred" ? "here" : cause);
		problem = text;
		ahead.clear();
		idle?.();
		if (closing || over) {
			tellState(true);
			return;
		}
		// One line a reason and outage; a console may be away for days.
		if (!toldProblems.has(text) && toldProblems.size < 5) {
			toldProblems.add(text);
			log("warn", `not connected, trying again: ${text}`);
		}
		tellState(true);
		if (probe !== undefined) {
			// It was to take over anyway.
			[connection, probe, proven] = [probe, undefined, false];
			addresses.backToFirst();
			return;
		}
		let pause = window.eager ? 0 : addresses.failed(worked);
		if (window.halving) pause = Math.min(pause, suspectRetry);
		retryTimer = setTimeout(connect, pause).unref();
	};

	const welcome = (mine: Connection, message: wire.Welcome, hello: wire.Hello): void => {
		if (mine === probe) {
			log("info", `${mine.address} answers again and takes over from ${connection?.address}`);
			const before = connection;
			[connection, probe, proven] = [mine, undefined, false];
			before?.close();
			window.lost("here");
			addresses.backToFirst();
		}
		problem = "";
		toldProblems.clear();
		log("info", `connected to ${mine.address}: ${(message.console ?? "").slice(0, 200)}`);
		bootId = hello.bootId ?? "";
		window.begin(bootId, Number(message.lastSequence ?? 0));
		sendResults();
		probePause = times.comeBack;
		probeLater();
		certificate.connected();
		tellState(true);
		pump(true);
	};
	const acknowledge = (message: wire.Acknowledgement): void => {
		const before = window.acknowledged;
		if (!window.acknowledge(message.bootId || bootId, Number(message.lastSequence ?? 0))) {
			connection?.leave("the console acknowledged what was never sent", "here");
			return;
		}
		// Proof that it works; a welcome alone is none, or a console that dies at once would be hammered.
		if (window.acknowledged > before) {
			proven = true;
			connection?.progress();
		}
		tellState(false);
		if (closing && window.records === 0 && !source.waiting) idle?.();
		pump(hurry || behind());
	};
	const take = (command: wire.Command): void => {
		const second = Math.floor(performance.now() / 1000);
		if (second !== commands.second) commands = { second, count: 0 };
		if (++commands.count > commandsPerSecond) {
			connection?.leave(`the console sent more than ${commandsPerSecond} commands a second`, "here");
			return;
		}
		try {
			options.onCommand(command);
		} catch (error) {
			log("error", `a command could not be passed on: ${errorText(error)}`);
		}
	};
	const sendResults = (): void => {
		if (connection?.welcomed === true) results.each((message) => connection?.write(message) === true);
	};

	const behind = (): boolean => source.held - window.records >= batchRecords;
	/** Sends full batches, and with `due` what is there. */
	const pump = (due: boolean): void => {
		sendAhead();
		let go = due || closing;
		while (go && connection?.welcomed === true && connection.writable) {
			const batch = window.next();
			if (batch === undefined) break;
			connection.expectAnswer();
			connection.write(
				encodeBatch(
					batch.records.map((record) => record.payload),
					batch.bootId === bootId ? {} : { bootId: batch.bootId },
				),
			);
			hurry = batch.full;
			go = closing || batch.full;
		}
		if (source.waiting && connection?.welcomed === true && !over) {
			batchTimer ??= setTimeout(() => {
				batchTimer = undefined;
				pump(true);
			}, times.batch).unref();
		}
	};
	const sendAhead = (): void => {
		while (connection?.welcomed === true && connection.writable && !window.alone) {
			const batch = ahead.take();
			if (batch === undefined) break;
			connection.write(
				encodeBatch(batch.payloads, {
					ahead: true,
					...(batch.bootId !== bootId && { bootId: batch.bootId }),
				}),
			);
		}
	};

	const probeLater = (): void => {
		clearTimeout(probeTimer);
		if (addresses.isFirst) return;
		probeTimer = setTimeout(() => {
			if (connection?.welcomed !== true || probe !== undefined || closing || over) return;
			probePause = Math.min(probePause * 2, longestComeBack);
			probe = open(addresses.first);
		}, probePause).unref();
	};
	const reconnect = (why: string): void => {
		log("info", why);
		probe?.close();
		probe = undefined;
		clearTimeout(retryTimer);
		connection?.close();
		connection = undefined;
		window.lost("here");
		connect();
		tellState(true);
	};
	const certificate = watchCertificate({
		used: () => config.tls?.cert,
		clock: options.clock,
		renewed: () => reconnect("connecting again with the new certificate"),
		ended: () => log("warn", "the certificate of this host has ended and there is no new one: picket enrol"),
	});
	const end = (): void => {
		over = true;
		certificate.close();
		for (const timer of [retryTimer, batchTimer, probeTimer, stateTimer]) clearTimeout(timer);
		probe?.close();
		connection?.close();
		connection = undefined;
		window.lost("here");
	};

	source.onWaiting(() => pump(behind()));
	source.onAhead((record) => {
		const since = window.since;
		const late = since !== undefined && performance.now() - since >= times.ahead;
		if (connection?.welcomed !== true || !(behind() || late)) return;
		ahead.push(record);
		sendAhead();
	});
	connect();

	return {
		get state() {
			return state();
		},
		result(result) {
			results.keep(result);
			sendResults();
		},
		helloChanged() {
			if (connection?.welcomed !== true) return;
			const hello = options.hello();
			if ((hello.bootId ?? "") === bootId) connection.write({ hello });
		},
		reconfigure(next) {
			check(next);
			if (JSON.stringify(next) === JSON.stringify(config)) return;
			const before = config;
			config = next;
			const same = addresses.replace(next.addresses);
			const trust = ({ tls }: ConsoleOutlet) =>
				[tls === undefined, tls?.ca, tls?.crl, tls?.serverName].join("\n");
			if (!same) window.forgive();
			if (!same) reconnect("connecting again: its addresses have changed");
			else if (trust(before) !== trust(next)) reconnect("connecting again: who is trusted has changed");
			else if (connection?.welcomed !== true) reconnect("connecting again with the new settings");
		},
		async farewell(reason, message = "") {
			if (closing || over) return;
			closing = true;
			clearTimeout(retryTimer);
			probe?.close();
			pump(true);
			if (connection?.welcomed === true && (window.records > 0 || source.waiting)) {
				await new Promise<void>((resolve) => {
					const late = setTimeout(resolve, times.close);
					idle = () => {
						clearTimeout(late);
						resolve();
					};
				});
			}
			if (connection?.write({ farewell: { reason, message } }) === true) {
				await connection.finish(Math.min(times.close, 1000));
			}
			end();
			tellState(true);
		},
		close() {
			if (!over) end();
		},
	};
}

function check(config: ConsoleOutlet): void {
	for (const address of config.addresses) checkConsole(address, config.tls);
}
