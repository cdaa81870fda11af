// The canary: every so often a program of our own is executed, and has to come back through kernel, ring, decoding and
// the rules in force. Says how that went. Main thread; what it starts and what it is told are passed in.
import { randomBytes } from "node:crypto";
import { canaryMarker } from "../model/canary.ts";
import type * as wire from "../model/picket.v1.ts";

export interface CanaryOptions {
	/** From one to the next, ms. */
	readonly everyMs: number;
	/** Why there can be none here; "" when there can. Asked each time. */
	unable(): string;
	/** Executes the program with this argument. Throws, or calls back, when it could not; gives its pid. */
	start(marker: string, onError: (error: Error) => void): number;
	/** Bytes that wait in the ring: who has them to read has not missed anything yet. */
	pending(): number;
	/** Events of executions that the kernel has lost since the start. */
	lost(): number;
	/** `inARow` canaries did not come back. */
	onMissed(inARow: number, problem: string): void;
	/** It comes back after some were missed. */
	onBack(): void;
	/** Unix ms, and ms that only go forward. */
	clock(): number;
	monotonic(): number;
}

export interface Canary {
	/** The first one at once. */
	start(): void;
	/** One is under way. */
	readonly waiting: boolean;
	/** Is this argument that of the canary under way? */
	mine(marker: string): boolean;
	/** Its pid, 0 for none. */
	readonly pid: number;
	/** The rules have matched the one with this argument. */
	found(marker: string): void;
	/** Undefined before the first has ended. */
	status(): wire.Canary | undefined;
	/** Missed since the last one that came back. */
	readonly missedInARow: number;
	/** One came back since the start. */
	readonly cameBack: boolean;
	/** Resolves when the first one has come back, or there can be none; "" or, after this time, what is missing. */
	first(timeoutMs: number): Promise<string>;
	/** For the status: what is wrong, and what to do; none when all is well. */
	problems(): string[];
	close(): void;
}

/** Within this time it has to be back, and before the next one is due. */
const mostMs = 5000;
/** With events to read before it: how often it is given that time again. */
const mostPatience = 6;
/** From one that was missed to the next. */
const againMs = 1000;

interface UnderWay {
	readonly marker: string;
	readonly since: number;
	readonly lost: number;
	patience: number;
}

export function createCanary(options: CanaryOptions): Canary {
	const { unable, pending, clock, monotonic } = options;
	const withinMs = Math.min(mostMs, options.everyMs);
	let timer: NodeJS.Timeout | undefined;
	let underWay: UnderWay | undefined;
	let pid = 0;
	let sent = 0;
	let missed = 0;
	let inARow = 0;
	let cameBack = false;
	let last: wire.Canary | undefined;
	let closed = false;
	const firstEnds = Promise.withResolvers<void>();

	const after = (ms: number, call: () => void): void => {
		clearTimeout(timer);
		if (!closed) timer = setTimeout(call, ms).unref();
	};
	const told = (result: { seen: boolean; seconds: number; problem: string }): void => {
		last = {
			time: new Date(clock()).toISOString(),
			...result,
			sent: String(sent),
			missed: String(missed),
		};
	};
	const miss = (problem: string): void => {
		underWay = undefined;
		missed++;
		inARow++;
		told({ seen: false, seconds: 0, problem });
		options.onMissed(inARow, problem);
		after(inARow === 1 ? againMs : options.everyMs, send);
	};
	const look = (): void => {
		if (!underWay) return;
		// A sensor that is behind, or was stopped, has not read it yet: that is lag, and told as that.
		if (pending() > 0 && underWay.patience-- > 0) {
			after(withinMs, look);
			return;
		}
		const lost = options.lost() - underWay.lost;
		const cause =
			lost > 0
				? `the kernel lost ${lost} executions meanwhile`
				: "look at the hooks and tables of the sensor (`picket doctor`), and restart it";
		miss(`an execution of its own did not come back within ${withinMs / 1000} s: ${cause}`);
	};
	function send(): void {
		const reason = unable();
		if (reason !== "") {
			told({ seen: false, seconds: 0, problem: reason });
			inARow = 0;
			firstEnds.resolve();
			after(options.everyMs, send);
			return;
		}
		const marker = canaryMarker + randomBytes(16).toString("hex");
		underWay = { marker, since: monotonic(), lost: options.lost(), patience: mostPatience };
		sent++;
		after(withinMs, look);
		const failed = (error: Error): void => {
			if (underWay?.marker !== marker) return;
			miss(`it could not be started: ${error.message}; see that the sensor may start processes`);
		};
		try {
			pid = options.start(marker, failed);
		} catch (error) {
			failed(error instanceof Error ? error : new Error(String(error)));
		}
	}

	return {
		start: send,
		get waiting() {
			return underWay !== undefined;
		},
		mine: (marker) => underWay?.marker === marker,
		get pid() {
			return pid;
		},
		found(marker) {
			if (underWay?.marker !== marker) return;
			const seconds = (monotonic() - underWay.since) / 1000;
			underWay = undefined;
			cameBack = true;
			told({ seen: true, seconds, problem: "" });
			if (inARow > 0) options.onBack();
			inARow = 0;
			firstEnds.resolve();
			after(options.everyMs, send);
		},
		status: () => last,
		get missedInARow() {
			return inARow;
		},
		get cameBack() {
			return cameBack;
		},
		async first(timeoutMs) {
			let late: NodeJS.Timeout | undefined;
			const waited = new Promise<void>((resolve) => {
				late = setTimeout(resolve, timeoutMs);
			});
			await Promise.race([firstEnds.promise, waited]);
			clearTimeout(late);
			if (cameBack) return "";
			return last?.problem ?? "the first execution of its own has not come back yet";
		},
		problems: () => (inARow > 0 ? [`canary: ${last?.problem ?? ""}`] : []),
		close() {
			closed = true;
			clearTimeout(timer);
		},
	};
}
