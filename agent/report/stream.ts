// The sink towards one console: keeps records until the console has stored them, across connections that break.
// It never blocks and never throws; how it fares is in its status.
import type { Logger } from "pino";
import { type ClientStream, type ClientTls, checkConsole, openStream } from "../grpc.ts";
import type * as wire from "../model/picket.v1.ts";
import { createCommandDesk } from "./commands.ts";
import { errorText } from "./errors.ts";
import { createLosses } from "./losses.ts";
import { encodeBatch, messageLimit, recordCodec, requestCodec } from "./protojson.ts";
import { createRecordQueue, type Item } from "./queue.ts";
import { recordKind } from "./record.ts";
import type { Sink } from "./sinks.ts";
import { formatUnixMs } from "./time.ts";

export interface ConsoleSinkOptions {
	/** Of the sink, "console:hq". */
	readonly name: string;
	/** "host:port" or "unix:/path". Without TLS only a loopback address or a socket. */
	readonly address: string;
	readonly tls?: ClientTls;
	/** Asked for each connection, since the hashes in it change. */
	readonly hello: () => wire.Hello;
	readonly onCommand: (command: wire.Command) => Promise<wire.CommandResult>;
	/** Output.gap. */
	readonly report: (gap: wire.Gap) => void;
	/** Unix ms. */
	readonly clock: () => number;
	readonly logger: Logger;
	/** 20,000 and 16 MiB by default, encoded. */
	readonly maxRecords?: number;
	readonly maxBytes?: number;
	readonly times?: Partial<ConsoleTimes>;
	/** 0 to below 1, for the pause between tries. */
	readonly random?: () => number;
}

/** All in ms. */
export interface ConsoleTimes {
	/** A batch waits at most so long for more records. */
	readonly batch: number;
	readonly heartbeat: number;
	/** Without any answer for so long the connection is given up. */
	readonly answer: number;
	/** A console that answers but acknowledges nothing for so long is left too. */
	readonly acknowledgement: number;
	/** Pauses between tries are random, up to a limit that doubles from the first to the last of these. */
	readonly firstRetry: number;
	readonly lastRetry: number;
	/** What `close` waits for the last acknowledgements. */
	readonly close: number;
	readonly loss: number;
}

const defaultTimes: ConsoleTimes = {
	batch: 200,
	heartbeat: 20_000,
	answer: 10_000,
	acknowledgement: 60_000,
	firstRetry: 1000,
	lastRetry: 60_000,
	close: 3000,
	loss: 1000,
};

const batchRecords = 500;
const batchBytes = 256 * 1024;
const windowBatches = 8;
/** Leaves room for what surrounds a record in a message. */
const recordLimit = messageLimit - 64;

interface Batch {
	items: Item<Buffer>[];
	/** performance.now() */
	readonly sentAt: number;
}

/** Throws ReportError when address or certificates cannot work; nothing throws afterwards. */
export function createConsoleSink(options: ConsoleSinkOptions): Sink {
	checkConsole(options.address, options.tls);
	const { name, logger } = options;
	const times = { ...defaultTimes, ...options.times };
	const random = options.random ?? Math.random;
	const losses = createLosses({
		where: `sink:${name}`,
		clock: options.clock,
		report: options.report,
		delayMs: times.loss,
	});
	const queue = createRecordQueue<Buffer>({
		maxRecords: options.maxRecords ?? 20_000,
		maxBytes: options.maxBytes ?? 16 * 1024 * 1024,
		lost: (kind) => losses.count(kind),
	});
	let stream: ClientStream | undefined;
	let welcomed = false;
	let writable = true;
	/** Batches on the way, oldest first. */
	let window: Batch[] = [];
	let highestSent = 0;
	let sent = 0;
	let acknowledged = 0;
	let problem = "not connected yet";
	let tries = 0;
	const toldProblems = new Set<string>();
	let retryTimer: NodeJS.Timeout | undefined;
	let batchTimer: NodeJS.Timeout | undefined;
	let watch: NodeJS.Timeout | undefined;
	let lastSent = 0;
	/** Since when nothing was heard although something was asked; 0 when no answer is due. */
	let silentSince = 0;
	let probed = false;
	let closing = false;
	let closed: (() => void) | undefined;

	const desk = createCommandDesk({
		onCommand: options.onCommand,
		send: (result) => welcomed && write(encodeResult(result)),
	});

	/** True when it is on its way, even if there is no room for more right now. */
	const write = (message: wire.ConnectRequest | Buffer): boolean => {
		if (stream === undefined) return false;
		try {
			if (!stream.write(message)) writable = false;
		} catch (error) {
			leave(`message cannot be sent: ${errorText(error)}`);
			return false;
		}
		lastSent = performance.now();
		return true;
	};
	const expectAnswer = (): void => {
		if (silentSince === 0) silentSince = performance.now();
	};

	const connect = (): void => {
		retryTimer = undefined;
		welcomed = false;
		writable = true;
		silentSince = 0;
		probed = false;
		let mine: ClientStream | undefined;
		try {
			mine = openStream(options.address, options.tls, {
				message: (message) => {
					if (stream === mine) hear(message);
				},
				drain: () => {
					writable = true;
					pump(false);
				},
				end: (text) => {
					if (stream === mine) lose(text);
				},
			});
		} catch (error) {
			lose(errorText(error));
			return;
		}
		stream = mine;
		watch = setInterval(look, Math.max(5, Math.min(times.answer, times.heartbeat) / 10)).unref();
		expectAnswer();
		try {
			write({ hello: options.hello() });
		} catch (error) {
			leave(`hello cannot be made: ${errorText(error)}`);
		}
	};

	/** The connection is gone: what was on the way waits again, in front. */
	const lose = (text: string): void => {
		const was = stream;
		stream = undefined;
		welcomed = false;
		clearInterval(watch);
		was?.close();
		queue.putBack(window.flatMap((batch) => batch.items));
		window = [];
		problem = text;
		if (closing) {
			closed?.();
			return;
		}
		// One line a reason and outage; a console may be away for days.
		if (!toldProblems.has(text) && toldProblems.size < 5) {
			toldProblems.add(text);
			logger.warn({ sink: name, problem: text }, "console not connected, trying again");
		}
		const limit = Math.min(times.lastRetry, times.firstRetry * 2 ** Math.min(tries++, 30));
		retryTimer = setTimeout(connect, random() * limit).unref();
	};
	const leave = (text: string): void => {
		if (stream !== undefined) lose(text);
	};

	const hear = (message: wire.ConnectResponse): void => {
		silentSince = 0;
		probed = false;
		if (message.welcome !== undefined) welcome(message.welcome);
		else if (!welcomed) leave("the console spoke before its welcome");
		else if (message.acknowledgement !== undefined) acknowledge(message.acknowledgement.lastSequence);
		else if (message.command !== undefined) desk.take(message.command);
		if (window.length > 0) expectAnswer();
	};
	const welcome = (message: wire.Welcome): void => {
		if (welcomed) return;
		welcomed = true;
		problem = "";
		toldProblems.clear();
		logger.info({ sink: name, console: message.console }, "console connected");
		const stored = Number(message.lastSequence ?? 0);
		// What a console claims to have and never got is sent all the same: it may be mistaken.
		const known = Math.min(stored, highestSent);
		if (known > 0) {
			const items = queue.take(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
			const rest = items.findIndex((item) => item.sequence > known);
			const stays = rest === -1 ? [] : items.slice(rest);
			settle(items.slice(0, items.length - stays.length));
			queue.putBack(stays);
		}
		for (const result of desk.pending()) write(encodeResult(result));
		pump(true);
	};
	const acknowledge = (text: string | undefined): void => {
		const sequence = Number(text ?? 0);
		if (sequence > highestSent) {
			leave("the console acknowledged what was never sent");
			return;
		}
		let first = window[0];
		while (first !== undefined) {
			const count = first.items.findIndex((item) => item.sequence > sequence);
			settle(count === -1 ? first.items : first.items.splice(0, count));
			if (count !== -1) break;
			window.shift();
			first = window[0];
		}
		// Proof that it works; a welcome alone is none, or a console that dies at once would be hammered.
		tries = 0;
		if (closing && queue.held === 0) closed?.();
		pump(false);
	};
	const settle = (items: readonly Item<Buffer>[]): void => {
		acknowledged += items.length;
		queue.release(items);
	};

	/** Sends full batches, and with `due` what is there. */
	const pump = (due: boolean): void => {
		let rest = due || closing;
		while (welcomed && writable && window.length < windowBatches && queue.waiting > 0) {
			if (!rest && queue.waiting < batchRecords && queue.waitingBytes < batchBytes) break;
			const items = queue.take(batchRecords, batchBytes);
			const last = items.at(-1)?.sequence ?? 0;
			sent += items.filter((item) => item.sequence > highestSent).length;
			highestSent = Math.max(highestSent, last);
			window.push({ items, sentAt: performance.now() });
			expectAnswer();
			write(encodeBatch(items.flatMap((item) => item.payload ?? [])));
			rest = closing || (due && queue.waiting > 0);
		}
		if (queue.waiting > 0 && welcomed) {
			batchTimer ??= setTimeout(() => {
				batchTimer = undefined;
				pump(true);
			}, times.batch).unref();
		}
	};

	/** Now and then: is the other side alive? */
	const look = (): void => {
		const now = performance.now();
		const silent = silentSince === 0 ? 0 : now - silentSince;
		const oldest = window[0];
		const stalled = oldest !== undefined && now - oldest.sentAt >= times.acknowledgement;
		if (silent >= times.answer) leave(`no answer for ${times.answer / 1000} s`);
		else if (stalled) leave(`nothing acknowledged for ${times.acknowledgement / 1000} s`);
		if (!welcomed) return;
		// A console may be slow in storing; asked, it can still show that it lives.
		const probe = silent >= times.answer / 2 && !probed;
		if (!probe && now - lastSent < times.heartbeat) return;
		probed = true;
		expectAnswer();
		write({ heartbeat: { time: formatUnixMs(options.clock()) } });
	};

	connect();
	return {
		name,
		push(record) {
			const kind = recordKind(record);
			if (closing || kind === undefined) return;
			try {
				const payload = recordCodec.encode(record);
				if (payload.length > recordLimit) return losses.count(kind);
				queue.push({ kind, sequence: Number(record.sequence), bytes: payload.length, payload });
			} catch (error) {
				losses.count(kind);
				problem = `a record of kind ${kind} cannot be encoded: ${errorText(error)}`;
				return;
			}
			pump(false);
		},
		status: () => ({
			name,
			connected: welcomed,
			sent: String(sent),
			acknowledged: String(acknowledged),
			queued: String(queue.held),
			lost: String(losses.total),
			problem,
		}),
		async close() {
			if (closing) return;
			losses.tell();
			closing = true;
			clearTimeout(retryTimer);
			clearTimeout(batchTimer);
			pump(true);
			if (stream !== undefined && queue.held > 0) {
				await new Promise<void>((resolve) => {
					const late = setTimeout(resolve, times.close);
					closed = () => {
						clearTimeout(late);
						resolve();
					};
				});
			}
			losses.close();
			clearInterval(watch);
			const last = stream;
			stream = undefined;
			welcomed = false;
			last?.close();
		},
	};
}

/** A result that no message can hold must not end the connection again and again: its place takes one that can. */
function encodeResult(result: wire.CommandResult): Buffer {
	let why = "it is too long";
	try {
		const bytes = requestCodec.encode({ result });
		if (bytes.length <= messageLimit) return bytes;
	} catch (error) {
		why = errorText(error);
	}
	const message = `${result.message ?? ""} (the whole result cannot be sent: ${why.slice(0, 200)})`;
	return requestCodec.encode({
		result: {
			commandId: String(result.commandId),
			accepted: result.accepted === true,
			message: message.slice(-1000),
		},
	});
}
