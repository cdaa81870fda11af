// The core's side of the uplink: starts the process, feeds it from the spool, takes its requests, and starts another one
// when it ends. It hears strangers, so nothing that it says is believed: whatever does not fit ends it.
import type { ChildProcess } from "node:child_process";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { FromUplink, OutletConfig, SpoolReader, ToUplink } from "./model/delivery.ts";
import type * as wire from "./model/picket.v1.ts";
import { errorText } from "./report/errors.ts";
import { neutralise } from "./report/shown.ts";
import { createFeed, type Feed } from "./uplink/feed.ts";
import { checkFromUplink, createBudget, fromUplinkLimit } from "./uplink/frame-check.ts";
import { createFrameReader, encodeFrame } from "./uplink/frames.ts";
import { type Identity, lastWords, launchUplink, residentBytes } from "./uplink-launch.ts";

export interface UplinkOptions {
	/** Who it runs as; undefined when we are not root and it stays who we are. */
	readonly identity: Identity | undefined;
	/** Of what it is to do; asked at each start and every few seconds. */
	readonly outlets: () => readonly { readonly config: OutletConfig; readonly reader: SpoolReader }[];
	/** Address for /metrics and /healthz; "" for none. */
	readonly metrics: string;
	readonly hello: () => wire.Hello;
	readonly status: () => wire.Status;
	readonly policyHash: () => string;
	/** `name` of the console; its results go through `result`. */
	readonly onCommand: (name: string, command: wire.Command) => void;
	readonly onRenewed: (frame: Extract<FromUplink, { type: "renewed" }>) => void;
	/** A new uplink is ready for results. */
	readonly onReady: () => void;
	readonly logger: Logger;
	readonly times?: Partial<UplinkTimes>;
	/** 0 to below 1, for the pause before it is started again. */
	readonly random?: () => number;
	/** Something else than the real process, for tests. */
	readonly launch?: (identity: Identity | undefined) => ChildProcess;
}

/** All in ms. */
export interface UplinkTimes {
	/** Between two accounts of ourselves. */
	readonly tick: number;
	/** From its start until it is ready; then without a sign of life. */
	readonly silence: number;
	/** Pauses before another is started are random, up to a limit that doubles from the first to the last of these. */
	readonly firstRetry: number;
	readonly lastRetry: number;
	/** One that ran so long was all right. */
	readonly steady: number;
	/** What `close` waits for acknowledgements, and then for its end. */
	readonly drain: number;
	readonly end: number;
}

const defaultTimes: UplinkTimes = {
	tick: 5000,
	silence: 30_000,
	firstRetry: 500,
	lastRetry: 60_000,
	steady: 60_000,
	drain: 1500,
	end: 5000,
};

export interface UplinkHost {
	/** What outlets, hello or certificates are may have changed. */
	changed(): void;
	/** False when it cannot be told now; keep it until `onReady`. */
	result(name: string, result: wire.CommandResult): boolean;
	/** False when there is none to ask for a certificate right now. */
	renew(frame: Extract<ToUplink, { type: "renew" }>): boolean;
	sinks(): wire.SinkStatus[];
	status(): wire.Uplink;
	/** Resolves when it is gone, after some seconds at the latest. */
	close(): Promise<void>;
}

/** Unsent bytes in the pipe beyond which nothing is put there that can wait. */
const roomy = 1024 * 1024;
/** Beyond that it does not read what it has asked for: room for an answer to each of many outlets. */
const mostUnread = 64 * 1024 * 1024;
/** Above what the uplink itself lets pass. */
const budgets = {
	bytes: [64 * 1024 * 1024, 4 * 1024 * 1024],
	frames: [20_000, 5000],
	commands: [1000, 100],
	logs: [100, 5],
} as const;

interface Child {
	readonly process: ChildProcess;
	readonly pipe: Duplex;
	readonly startedAt: number;
	ready: boolean;
	heardAt: number;
	/** Of the configuration it has. */
	configured: string;
	/** Why we ended it. */
	blame: string;
}

export function createUplink(options: UplinkOptions): UplinkHost {
	const { logger } = options;
	const times = { ...defaultTimes, ...options.times };
	const random = options.random ?? Math.random;
	const now = () => performance.now();
	const feeds = new Map<number, Feed>();
	const names = new Map<number, string>();
	let child: Child | undefined;
	let restarts = 0;
	let failures = 0;
	let confinement: readonly string[] = [];
	let problem = "";
	/** As it says itself. */
	let trouble = "";
	let closing = false;
	let retry: NodeJS.Timeout | undefined;

	const send = (message: ToUplink): void => {
		if (child?.pipe.writable !== true) return;
		for (const piece of encodeFrame(message)) child.pipe.write(piece);
		if (child.pipe.writableLength > mostUnread) blame(child, "it does not read what it asks for");
	};
	const room = () => child?.ready === true && child.pipe.writableLength < roomy;
	const log = (level: "info" | "warn" | "error", message: string): void => logger[level](message);

	const configure = (): void => {
		const outlets = options.outlets();
		for (const { config, reader } of outlets) {
			if (feeds.has(config.id)) continue;
			feeds.set(config.id, createFeed({ config, reader, send, room, log }));
			names.set(config.id, config.name);
		}
		for (const id of feeds.keys()) if (!outlets.some(({ config }) => config.id === id)) feeds.delete(id);
		if (child?.ready !== true) return;
		const configs = outlets.map(({ config }) => config);
		const hello = options.hello();
		const words = JSON.stringify([configs, hello]);
		if (words === child.configured) return;
		child.configured = words;
		send({ type: "configure", outlets: configs, hello, metrics: options.metrics });
	};
	const tick = () => {
		if (child === undefined) return;
		if (now() - child.heardAt > times.silence)
			return blame(child, `it gave no sign of life for ${times.silence / 1000} s`);
		configure();
		if (room()) send({ type: "status", status: options.status(), policyHash: options.policyHash() });
	};

	/** Ends it for good; what becomes of its records is known: they are in the spool. */
	const blame = (guilty: Child, reason: string): void => {
		if (guilty.blame !== "") return;
		guilty.blame = reason;
		guilty.process.kill("SIGKILL");
	};
	/** Undefined when all is well. */
	const hear = (from: Child, message: FromUplink): string | undefined => {
		if (!from.ready && message.type !== "ready" && message.type !== "log")
			return `${message.type} before ready`;
		switch (message.type) {
			case "ready":
				if (from.ready) return "ready a second time";
				from.ready = true;
				confinement = message.confinement.map(shown);
				problem = message.problems.map(shown).join("; ");
				if (problem !== "") logger.warn(`the uplink runs with less protection than it should: ${problem}`);
				tick();
				options.onReady();
				return undefined;
			case "alive":
				trouble = message.problems.map(shown).join("; ");
				return undefined;
			case "log":
				if (mayLog()) logger[message.level]({ uplink: from.process.pid }, shown(message.message));
				return undefined;
		}
		const feed = feeds.get(message.outlet);
		// One that was taken out of the configuration may have something on its way still.
		if (feed === undefined)
			return names.has(message.outlet) ? undefined : `there is no outlet ${message.outlet}`;
		switch (message.type) {
			case "more":
				return feed.more(message);
			case "acknowledged":
				return feed.acknowledged(message.position);
			case "quarantine":
				return feed.quarantine(message.position, shown(message.reason));
			case "state":
				feed.state({
					...message.state,
					address: shown(message.state.address),
					problem: shown(message.state.problem),
				});
				return undefined;
			case "renewed":
				// Taken only while one was asked for; its texts are looked at by a child without rights.
				if (!mayCommand()) return "more certificates than were asked for";
				options.onRenewed(message);
				return undefined;
			case "command":
				if (!mayCommand()) return "more commands than it lets pass itself";
				options.onCommand(names.get(message.outlet) ?? "", message.command);
				return undefined;
		}
	};
	let mayBytes = createBudget(...budgets.bytes, now);
	let mayFrame = createBudget(...budgets.frames, now);
	let mayCommand = createBudget(...budgets.commands, now);
	let mayLog = createBudget(...budgets.logs, now);

	const start = (): void => {
		retry = undefined;
		mayBytes = createBudget(...budgets.bytes, now);
		mayFrame = createBudget(...budgets.frames, now);
		mayCommand = createBudget(...budgets.commands, now);
		mayLog = createBudget(...budgets.logs, now);
		const startedAt = now();
		let started: ChildProcess;
		try {
			started = (options.launch ?? launchUplink)(options.identity);
		} catch (error) {
			// No memory, no descriptor, no process to be had: it may be so later.
			again(errorText(error), startedAt, false);
			return;
		}
		const pipe = started.stdio[3] as Duplex;
		const mine: Child = {
			process: started,
			pipe,
			startedAt,
			ready: false,
			heardAt: now(),
			configured: "",
			blame: "",
		};
		child = mine;
		const reader = createFrameReader({
			limit: fromUplinkLimit,
			frame(type, head, payload) {
				if (child !== mine || mine.blame !== "") return;
				mine.heardAt = now();
				if (!mayFrame()) return blame(mine, "it sends more than it could have to say");
				const message = checkFromUplink(type, head, payload);
				const wrong = typeof message === "string" ? message : hear(mine, message);
				if (wrong !== undefined) blame(mine, `it sent ${shown(wrong)}`);
			},
			broken: (reason) => blame(mine, `it sent ${shown(reason)}`),
		});
		pipe.on("data", (chunk: Buffer) => {
			if (mine.blame !== "") return;
			if (!mayBytes(chunk.length)) return blame(mine, "it sends more than it could have to say");
			reader.push(chunk);
		});
		pipe.on("drain", () => {
			if (child === mine) for (const feed of feeds.values()) feed.resume();
		});
		pipe.on("error", () => {});
		const words = lastWords(started);
		started.on("error", (error) => {
			mine.blame ||= error.message;
			if (started.pid === undefined) ended(mine, "could not be started", words());
		});
		started.on("exit", (code, signal) => ended(mine, signal ?? `status ${code}`, words()));
	};
	const ended = (gone: Child, how: string, words: string): void => {
		if (child !== gone) return;
		child = undefined;
		trouble = "";
		gone.pipe.destroy();
		for (const feed of feeds.values()) feed.reset("the uplink is being started again");
		if (closing) return;
		const why = gone.blame === "" ? how : gone.blame;
		again([why, words].filter((each) => each !== "").join(": "), gone.startedAt, gone.blame !== "");
	};
	const again = (why: string, startedAt: number, blamed: boolean): void => {
		if (now() - startedAt > times.steady) failures = 0;
		const pause = random() * Math.min(times.lastRetry, times.firstRetry * 2 ** Math.min(failures++, 20));
		restarts++;
		problem = `ended (${why})`;
		logger.error(
			{ audit: "uplink", blamed },
			`the uplink ${problem}; another is started in ${Math.round(pause)} ms, records wait in the spool`,
		);
		retry = setTimeout(start, pause);
	};

	configure();
	start();
	const timer = setInterval(tick, times.tick).unref();
	return {
		changed: configure,
		result(name, result) {
			const outlet = [...feeds.keys()].find((id) => names.get(id) === name);
			if (outlet === undefined || child?.ready !== true) return false;
			send({ type: "result", outlet, result });
			return true;
		},
		renew(frame) {
			if (child?.ready !== true) return false;
			send(frame);
			return true;
		},
		sinks: () => [...feeds.values()].map((feed) => feed.status()),
		status: () => ({
			pid: child?.process.pid ?? 0,
			user: options.identity?.user ?? "",
			residentBytes: String(residentBytes(child?.process.pid)),
			restarts,
			confinement: [...confinement],
			problem: [problem, trouble].filter((each) => each !== "").join("; "),
		}),
		async close() {
			closing = true;
			clearTimeout(retry);
			clearInterval(timer);
			const last = child;
			if (last === undefined) return;
			const pending = () => [...feeds.values()].reduce((sum, feed) => sum + feed.pending, 0);
			for (const until = now() + times.drain; child === last && pending() > 0 && now() < until; )
				await new Promise((resolve) => setTimeout(resolve, 20));
			if (child !== last) return;
			const gone = new Promise((resolve) => last.process.once("exit", resolve));
			const late = setTimeout(() => last.process.kill("SIGKILL"), times.end);
			send({ type: "stop" });
			await gone;
			clearTimeout(late);
		},
	};
}

function shown(text: string): string {
	return neutralise(text).slice(0, 2000);
}
