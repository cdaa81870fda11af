// A syslog receiver on the network as a destination: takes records from its source in order, sends them, and lets the
// source forget them once all was done that syslog allows to be sure of it.
//
// No receiver of syslog ever says that it has a message. Over TCP and TLS a record counts as arrived when the far
// kernel has confirmed its bytes and the connection still lived a while later (`settleMs`): what was on its way when a
// connection broke goes again, so records come twice rather than not at all. A receiver that dies with more unread
// messages in its kernel's buffer than it reads in that while loses them, and nobody can know. Over UDP a record
// counts when it was sent and nothing was heard of it.
import type { OutletConfig, OutletState, RecordSource, Stored } from "../model/delivery.ts";
import { facilities, parseSyslogAddress } from "../model/syslog.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { recordCodec } from "../report/protojson.ts";
import { recordKind } from "../report/record.ts";
import { largestDatagram, type MessageForm, syslogMessage } from "../report/syslog.ts";
import { type Connection, openConnection } from "./syslog-transport.ts";

export interface SyslogOutletOptions {
	readonly config: Extract<OutletConfig, { kind: "syslog" }>;
	readonly source: RecordSource;
	/** Called when connection or problem change, and at most once a second for the counts. */
	readonly onState: (state: OutletState) => void;
	readonly log: (level: "info" | "warn" | "error", message: string) => void;
	/** Bytes sent on a TCP socket and not confirmed by the far end: `socketUnconfirmed` of the addon. */
	readonly unconfirmed: (descriptor: number) => number;
	/** Of the sensor, for the messages' PROCID; this process's by default. */
	readonly pid?: number;
	readonly times?: Partial<SyslogTimes>;
	/** 0 to below 1, for the pause between tries. */
	readonly random?: () => number;
}

/** All in ms. */
export interface SyslogTimes {
	readonly connect: number;
	/** A receiver that takes or confirms nothing for so long is left. */
	readonly stall: number;
	/** From the kernel's taking of a message until it counts as arrived. */
	readonly settle: number;
	/** Pauses between tries are random, up to a limit that doubles from the first to the last of these. */
	readonly firstRetry: number;
	readonly lastRetry: number;
	/** What `close` waits for what is on its way. */
	readonly close: number;
}

const defaultTimes: SyslogTimes = {
	connect: 10_000,
	stall: 30_000,
	settle: 1000,
	firstRetry: 1000,
	lastRetry: 60_000,
	close: 3000,
};

export interface SyslogOutlet {
	/** Never rejects. */
	close(): Promise<void>;
}

const batchRecords = 500;
const batchBytes = 64 * 1024;
/** On their way and not counted as arrived: what may come twice. */
const windowRecords = 20_000;
const windowBytes = 8 * 1024 * 1024;

interface Batch {
	readonly position: number;
	readonly records: number;
	/** As taken from the source. */
	readonly size: number;
	/** Sent on this connection up to and with it. */
	readonly through: number;
	/** performance.now() when the kernel had it. */
	readonly at: number;
}

/** Throws ReportError ADDRESS for one that leads over no network; nothing throws afterwards. */
export function createSyslogOutlet(options: SyslogOutletOptions): SyslogOutlet {
	const { config, source, onState, log } = options;
	const times = { ...defaultTimes, ...options.times };
	const random = options.random ?? Math.random;
	const address = parseSyslogAddress(config.address);
	if (address === undefined || address.over === "unix")
		throw new ReportError("ADDRESS", `${config.address} is no syslog receiver on a network`);
	const form = formOf(config, options.pid ?? process.pid, address.over === "udp");

	let connection: Connection | undefined;
	/** On their way, oldest first. */
	let window: Batch[] = [];
	let through = 0;
	let sent = 0;
	let acknowledged = 0;
	let highest = 0;
	let problem = "not connected yet";
	let toldProblem = "";
	let tries = 0;
	let confirmedAt = 0;
	let openedAt = 0;
	let confirmed = 0;
	let closing = false;
	let closeBy = Number.POSITIVE_INFINITY;
	let wake: (() => void) | undefined;
	let stateTimer: NodeJS.Timeout | undefined;

	const tell = (): void => {
		clearTimeout(stateTimer);
		stateTimer = undefined;
		const connected = connection !== undefined;
		onState({ connected, address: connected ? config.address : "", sent, acknowledged, problem });
	};
	const tellSoon = (): void => {
		stateTimer ??= setTimeout(tell, 1000).unref();
	};
	/** Until something happens, at most `ms`. */
	const rest = (ms: number): Promise<void> =>
		new Promise((resolve) => {
			const timer = setTimeout(done, ms);
			wake = done;
			function done(): void {
				clearTimeout(timer);
				wake = undefined;
				resolve();
			}
		});

	/** What has been quiet for long enough has arrived. Throws when the far end confirms nothing any more. */
	const settle = (to: Connection): void => {
		const now = performance.now();
		const unconfirmed = window.length === 0 ? 0 : to.unconfirmed();
		if (unconfirmed === 0 || through - unconfirmed > confirmed) {
			confirmed = through - unconfirmed;
			confirmedAt = now;
		}
		if (now - confirmedAt > times.stall)
			throw new Error(`the far end has confirmed nothing for ${times.stall / 1000} s`);
		let last: Batch | undefined;
		for (let next = window[0]; next !== undefined; next = window[0]) {
			// What is unconfirmed is the end of what was sent; TLS only makes that more bytes.
			if (now - next.at < times.settle || unconfirmed > through - next.through) break;
			last = window.shift();
			acknowledged += next.records;
		}
		if (last === undefined) {
			// Nothing is on its way: a connection that lives is all that can be known.
			if (window.length === 0 && now - openedAt >= times.settle) works();
			return;
		}
		source.acknowledge(last.position);
		// Proof that it works: who takes connections and ends them at once is not to be hammered.
		tries = 0;
		works();
		tellSoon();
	};
	const works = (): void => {
		if (problem === "") return;
		problem = "";
		if (toldProblem !== "") log("info", `syslog receiver ${config.name} takes messages again`);
		toldProblem = "";
		tell();
	};
	/** A record as its message; one that can never be one is set aside. */
	const messageOf = (record: Stored): string[] => {
		try {
			const read = recordCodec.decode(record.payload);
			if (recordKind(read) === undefined) throw new Error("a record of no kind that this version knows");
			return [syslogMessage(read, form)];
		} catch (error) {
			const reason = errorText(error);
			log("error", `record ${record.sequence} cannot be sent to ${config.name} and is set aside: ${reason}`);
			source.quarantine(record.position, reason);
			return [];
		}
	};
	const room = (): boolean =>
		window.reduce((sum, batch) => sum + batch.records, 0) < windowRecords &&
		window.reduce((sum, batch) => sum + batch.size, 0) < windowBytes;

	/** Until it breaks (throws) or the outlet is closed (returns). */
	const deliver = async (to: Connection): Promise<void> => {
		for (;;) {
			if (to.gone) throw to.gone;
			settle(to);
			if (closing && (window.length === 0 || performance.now() >= closeBy)) return;
			const batch = !closing && source.waiting && room() ? source.take(batchRecords, batchBytes) : [];
			const last = batch.at(-1);
			if (last === undefined) {
				const idle = window.length === 0 && problem === "";
				await rest(idle ? 60_000 : Math.max(5, times.settle / 4));
				continue;
			}
			const messages = batch.flatMap(messageOf);
			if (messages.length > 0) through += await to.send(messages);
			sent += batch.filter(({ position }) => position > highest).length;
			highest = Math.max(highest, last.position);
			window.push({
				position: last.position,
				records: batch.length,
				size: batch.reduce((sum, { payload }) => sum + payload.length, 0),
				through,
				at: performance.now(),
			});
			tellSoon();
		}
	};
	const attempt = async (): Promise<void> => {
		through = 0;
		confirmed = 0;
		connection = await openConnection({
			address,
			...(config.tls === undefined ? {} : { tls: config.tls }),
			connectMs: times.connect,
			stallMs: times.stall,
			unconfirmed: options.unconfirmed,
			onGone: () => wake?.(),
		});
		openedAt = performance.now();
		confirmedAt = openedAt;
		tell();
		await deliver(connection);
	};
	const run = async (): Promise<void> => {
		while (!closing) {
			try {
				await attempt();
			} catch (error) {
				problem = errorText(error);
				// One line a reason; a receiver may be away for days.
				if (problem !== toldProblem)
					log("warn", `syslog receiver ${config.name} (${config.address}): ${problem}; trying again`);
				toldProblem = problem;
			}
			const last = connection;
			connection = undefined;
			await last?.close();
			window = [];
			source.rewind();
			tell();
			const limit = Math.min(times.lastRetry, times.firstRetry * 2 ** Math.min(tries++, 30));
			const until = performance.now() + random() * limit;
			while (!closing && performance.now() < until) await rest(until - performance.now());
		}
	};
	source.onWaiting(() => wake?.());
	const running = run();
	return {
		async close() {
			closing = true;
			closeBy = Math.min(closeBy, performance.now() + times.close);
			wake?.();
			let late: NodeJS.Timeout | undefined;
			// A receiver that takes nothing must not hold up the end of the process.
			await Promise.race([
				running,
				new Promise((resolve) => {
					late = setTimeout(resolve, times.close + 1500);
				}),
			]);
			clearTimeout(late);
			clearTimeout(stateTimer);
		},
	};
}

function formOf(config: SyslogOutletOptions["config"], pid: number, datagrams: boolean): MessageForm {
	const facility = Object.keys(facilities).find((name) => name === config.facility) ?? "authpriv";
	return {
		facility: facility as MessageForm["facility"],
		form: config.form,
		pid,
		maxBytes: datagrams ? Math.min(config.maxMessageBytes, largestDatagram) : config.maxMessageBytes,
	};
}
