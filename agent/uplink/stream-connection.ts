// One connection to one address of a console, from hello to its end, and whether the other side still lives.
import { openStream } from "../grpc/client.ts";
import type { ClientStream, EndCause } from "../grpc/streams.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { formatUnixMs } from "../report/time.ts";
import type { ClientTls } from "../tls.ts";

export interface Connection {
	readonly address: string;
	readonly welcomed: boolean;
	/** There is room to write. */
	readonly writable: boolean;
	/** performance.now() of its welcome. */
	readonly since: number;
	/** True when it is on its way, even if there is no room for more right now. */
	write(message: wire.ConnectRequest | Buffer): boolean;
	/** The other side has to say something within `times.answer`. */
	expectAnswer(): void;
	/** Something was acknowledged: what was asked before is answered. */
	progress(): void;
	/** Ends it as `end` would be called by the other side. */
	leave(problem: string, cause: ConnectionEnd): void;
	/** No more is written; waits for the other side to end it, `ms` at most. */
	finish(ms: number): Promise<void>;
	/** Ends it without a word to `end`. */
	close(): void;
}

/** "slow": it said nothing or stored nothing in time. */
export type ConnectionEnd = EndCause | "slow";

export interface ConnectionOptions {
	readonly address: string;
	readonly tls: ClientTls | undefined;
	readonly hello: () => wire.Hello;
	/** Sent along with a heartbeat once a minute; undefined when nothing is known. */
	readonly status: () => wire.Status | undefined;
	readonly clock: () => number;
	readonly times: ConnectionTimes;
	/** Is there a batch that is not acknowledged? */
	readonly waiting: () => boolean;
	readonly on: {
		welcome(message: wire.Welcome, hello: wire.Hello): void;
		acknowledgement(message: wire.Acknowledgement): void;
		command(command: wire.Command): void;
		drain(): void;
		/** Once; not after `close`. */
		end(problem: string, cause: ConnectionEnd): void;
	};
}

/** All in ms. */
export interface ConnectionTimes {
	readonly heartbeat: number;
	/** Without any answer for so long the connection is given up. */
	readonly answer: number;
	readonly status: number;
}

/** A console is left when it acknowledges nothing although it was asked so often. */
const asks = 3;

/** Never throws; all that goes wrong comes through `on.end`, not before this function has returned. */
export function createConnection(options: ConnectionOptions): Connection {
	const { address, times, on } = options;
	let stream: ClientStream | undefined;
	let over = false;
	/** A word after the last one would be an error, and break the stream before the last one is read. */
	let finishing = false;
	let welcomed = false;
	let writable = true;
	let since = 0;
	/** Since when nothing was heard although something was asked; 0 when no answer is due. */
	let silentSince = performance.now();
	let probed = false;
	let lastBeat = 0;
	let lastStatus = Number.NEGATIVE_INFINITY;
	let asked = 0;
	/** performance.now() of the last of them. */
	let askedEnough = 0;
	let lastLook = performance.now();
	let finished: (() => void) | undefined;
	const lookEvery = Math.max(5, Math.min(times.answer, times.heartbeat) / 10);

	const stop = (): void => {
		over = true;
		clearInterval(watch);
		stream?.close();
		finished?.();
	};
	const leave = (problem: string, cause: ConnectionEnd): void => {
		if (over) return;
		stop();
		on.end(problem, cause);
	};
	const write = (message: wire.ConnectRequest | Buffer): boolean => {
		if (over || finishing || stream === undefined) return false;
		try {
			if (!stream.write(message)) writable = false;
		} catch (error) {
			leave(`message cannot be sent: ${errorText(error)}`, "here");
			return false;
		}
		return true;
	};
	const beat = (now: number): void => {
		lastBeat = now;
		probed = true;
		if (silentSince === 0) silentSince = now;
		asked = options.waiting() ? asked + 1 : 0;
		if (asked === asks) askedEnough = now;
		const time = formatUnixMs(options.clock());
		const due = now - lastStatus >= times.status;
		const status = due ? options.status() : undefined;
		if (status === undefined) return void write({ heartbeat: { time } });
		lastStatus = now;
		write({ heartbeat: { time, status } });
	};
	/** Now and then: is the other side alive? */
	const look = (): void => {
		const now = performance.now();
		// When this process itself did not run, answers lie unread: nobody was silent meanwhile.
		const late = now - lastLook - lookEvery;
		if (late > times.answer / 4 && silentSince !== 0) silentSince += late;
		lastLook = now;
		const silent = silentSince === 0 ? 0 : now - silentSince;
		if (silent >= times.answer) leave(`no answer for ${times.answer / 1000} s`, "slow");
		else if (asked >= asks && now - askedEnough >= times.answer) {
			leave(`nothing acknowledged although asked ${asks} times`, "slow");
		}
		if (!welcomed || over) return;
		// A console may be slow in storing; asked, it can still show that it lives.
		const probe = silent >= times.answer / 2 && !probed;
		if (probe || now - lastBeat >= times.heartbeat) beat(now);
	};
	const hear = (message: wire.ConnectResponse, hello: wire.Hello): void => {
		silentSince = 0;
		probed = false;
		if (!welcomed && message.welcome === undefined) {
			leave("the console spoke before its welcome", "here");
			return;
		}
		if (message.welcome !== undefined && !welcomed) {
			welcomed = true;
			since = performance.now();
			on.welcome(message.welcome, hello);
			beat(performance.now());
		} else if (message.acknowledgement !== undefined) on.acknowledgement(message.acknowledgement);
		else if (message.command !== undefined) on.command(message.command);
		if (!over && options.waiting() && silentSince === 0) silentSince = performance.now();
	};
	const watch = setInterval(look, lookEvery).unref();
	try {
		const hello = options.hello();
		stream = openStream(address, options.tls, {
			message: (message) => {
				if (!over) hear(message, hello);
			},
			drain: () => {
				writable = true;
				if (!over) on.drain();
			},
			end: leave,
		});
		write({ hello });
	} catch (error) {
		queueMicrotask(() => leave(errorText(error), "here"));
	}

	return {
		address,
		get welcomed() {
			return welcomed && !over;
		},
		get writable() {
			return writable && !over;
		},
		get since() {
			return since;
		},
		write,
		expectAnswer() {
			if (silentSince === 0) silentSince = performance.now();
		},
		progress() {
			asked = 0;
		},
		leave,
		finish(ms) {
			return new Promise((resolve) => {
				if (over) return resolve();
				const late = setTimeout(resolve, ms);
				finished = () => {
					clearTimeout(late);
					resolve();
				};
				finishing = true;
				stream?.finish();
			});
		},
		close() {
			if (!over) stop();
		},
	};
}
