// `picket run` and `picket start`: the sensor in the foreground, with plain lines, JSON lines or the live view, and
// for `start` a console beside it.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { addon } from "../capture/addon.ts";
import { CaptureError } from "../capture/capture-error.ts";
import { type Config, defaultConfig } from "../config/load.ts";
import { defaultConfigPath, readConfig, readPolicy, readRuleFiles } from "../content.ts";
import { startControl } from "../control/server.ts";
import { nothingDelivered } from "../delivered/join.ts";
import { type OpenedContent, openDelivered } from "../delivered/start.ts";
import type { Delivery } from "../delivery.ts";
import { loadRules } from "../detect/load.ts";
import { finish } from "../detect/steps.ts";
import { CommandError, problemText } from "../failure.ts";
import { releaseMemory } from "../health/memory.ts";
import { createServiceNotifier } from "../health/systemd.ts";
import type { EventName } from "../model/event.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Problem } from "../model/verdict.ts";
import { createRemote, type Remote } from "../remote.ts";
import { createStreamSink } from "../report/lines.ts";
import { canShowLive, createLiveView, type LiveView } from "../report/live.ts";
import { createRecent, type Recent } from "../report/recent.ts";
import { recordLine } from "../report/record.ts";
import type { Sink } from "../report/sinks.ts";
import { recordText } from "../report/text.ts";
import { isFolder, type Reading, readAgain } from "../rule-files.ts";
import { type Sensor, startSensor } from "../sensor.ts";
import { type CaptureFlags, eventKindsOf, mergeFlags, timerMs } from "../settings.ts";
import { configuredSinks } from "../sinks.ts";
import { version } from "../version.ts";
import { type Reloading, startReloading } from "./reloading.ts";
import { controlHandlers, lookingMethods } from "./requests.ts";

/** How long the first execution of our own may take to be seen, ms. */
const firstCanaryMs = 10_000;

const activityKinds: ReadonlySet<EventName> = new Set(["exec", "connect"]);

export interface Prepared {
	readonly config: Config;
	readonly sensor: Omit<Parameters<typeof startSensor>[0], "recorder" | "activity">;
}

/** Reads everything users wrote and says what is wrong with it; throws CommandError where it cannot start. */
export function prepare(
	flags: CaptureFlags,
	logger: (config: Config) => Logger,
	deliveredOf?: (config: Config, logger: Logger) => OpenedContent,
): Prepared {
	const { config: read, problems } = readConfig(flags.config);
	const config = mergeFlags(read, flags);
	const policyOf = (path: string, mustExist: boolean) =>
		readPolicy(path, mustExist || path !== defaultConfig().policy);
	const policy = policyOf(config.policy, false);
	const log = logger(config);
	const own = readRuleFiles([], true);
	const delivered = deliveredOf?.(config, log);
	const arrived = delivered?.store.inForce() ?? nothingDelivered;
	const reading = readPresent(config, log);
	const files = [...(config.rules.default ? own : []), ...arrived.files, ...reading.files];
	const rules = loadRules(files);
	const say = (problem: Problem) => log[problem.level === "error" ? "error" : "warn"](problemText(problem));
	for (const problem of [...problems, ...policy.problems, ...reading.problems]) say(problem);
	for (const problem of rules.problems) if (problem.level === "error") say(problem);
	return {
		config,
		sensor: {
			config,
			rules,
			policy,
			...(delivered && { delivered }),
			reload: {
				files,
				problems: reading.problems,
				sources: {
					own,
					...(delivered && { delivered: delivered.store.inForce }),
					files: [flags.config ?? defaultConfigPath],
					config: () => mergeFlags(readConfig(flags.config).config, flags),
					// One that was there and is gone is a mistake, not the wish for none.
					policy: (wanted) => policyOf(wanted.policy, policy.policy.file !== ""),
				},
			},
			eventKinds: eventKindsOf(config, flags),
			simulateLoss: flags.simulateLoss ?? 0,
			off: flags.off ?? [],
			logger: log,
		},
	};
}

/**
 * The rules that are there. A folder may come later, and one bad file in it must not keep the sensor from starting with
 * the others; a path that the configuration names itself has to be readable. Throws CommandError.
 */
function readPresent({ rules }: Config, log: Logger): Reading {
	for (const path of rules.files) {
		if (!existsSync(path) && isFolder(path))
			log.warn(`there is no folder ${path} yet; its rules are loaded once it is there`);
	}
	const reading = finish(readAgain(rules.files, []));
	const named = reading.problems.find(({ file }) => rules.files.includes(file));
	if (named) throw new CommandError(`the rule file ${named.file} ${named.message}`, named.remedy);
	return reading;
}

/** One sensor a run directory: takes the lock or says who has it. */
export function takeLock(runDir: string): void {
	try {
		mkdirSync(runDir, { recursive: true, mode: 0o755 });
		if (addon().lockFile(join(runDir, "picket.lock")) >= 0) return;
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new CommandError(
			`cannot use the run directory ${runDir}: ${reason}`,
			"start as root, or set paths.run",
		);
	}
	throw new CommandError(
		`another sensor is running (it holds ${join(runDir, "picket.lock")})`,
		"look at it with `picket status` or `picket watch`, or stop it first",
		1,
	);
}

/** Messages of the sensor itself: readable lines for a person, JSON for a machine. Never on stdout. */
function createLogger(config: Config, flags: CaptureFlags, live: LiveView | undefined): Logger {
	const { level, file } = config.log;
	if (file !== "") return pino({ level, base: null }, logTo({ dest: file, mkdir: true, sync: true }));
	if (live) return pino({ level: "silent" });
	if (flags.output === "json" || !process.stderr.isTTY) {
		return pino(
			{ level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
			logTo({ dest: 2, sync: true }),
		);
	}
	return pino({ level, base: null }, { write: (line: string) => void process.stderr.write(plainLine(line)) });
}

/** A full disk costs messages, not the sensor: without a listener writing one would throw where it was logged. */
function logTo(options: Parameters<typeof pino.destination>[0]): ReturnType<typeof pino.destination> {
	const destination = pino.destination(options);
	destination.on("error", () => {});
	return destination;
}

function plainLine(line: string): string {
	const entry = JSON.parse(line) as { level: number; msg?: string };
	const word = entry.level >= 50 ? "error" : entry.level >= 40 ? "warning" : "note";
	return `picket: ${word}: ${entry.msg ?? line}\n`;
}

/**
 * Of what is in force: undone when somebody ends the sensor at its terminal, kept until its time when a service is
 * stopped, for an upgrade for instance.
 */
type Ending = "undo" | "keep";

export interface RunOptions extends CaptureFlags {
	/** `start`: an embedded console and, on a terminal, the live view. */
	readonly embedded?: boolean;
}

export async function run(flags: RunOptions): Promise<void> {
	const json = flags.output === "json";
	const wantsLive = flags.embedded === true && flags.output === undefined;
	const stop = Promise.withResolvers<Ending>();
	// Node opens its debugger port on SIGUSR1 unless somebody listens.
	process.on("SIGUSR1", () => {});
	process.once("SIGINT", () => stop.resolve("undo"));
	process.once("SIGTERM", () => stop.resolve("keep"));
	// Until there is something to reload into, and once there is nothing any more, it means nothing.
	process.on("SIGHUP", () => {});

	let live: LiveView | undefined;
	const canLive = wantsLive && canShowLive(process.stdin, process.stdout, process.env);
	let delivered: OpenedContent | undefined;
	try {
		const { config, sensor: prepared } = prepare(
			flags,
			(read) => createLogger(read, flags, undefined),
			(read, log) => {
				// What is in force is decided by the one sensor that runs.
				takeLock(read.paths.run);
				delivered = openDelivered(read, log, Date.now);
				return delivered;
			},
		);
		if (canLive) {
			live = createLiveView({
				input: process.stdin,
				output: process.stdout,
				clock: Date.now,
				onQuit: () => stop.resolve("undo"),
			});
		}
		const logger = live ? createLogger(config, flags, live) : prepared.logger;
		await runSensor({ ...prepared, logger }, config, flags, live, json, stop);
	} catch (error) {
		live?.close();
		// What is told with a remedy is no crash.
		if (error instanceof CommandError || error instanceof CaptureError) delivered?.starts.ended();
		throw error;
	}
}

async function runSensor(
	prepared: Prepared["sensor"],
	config: Config,
	flags: RunOptions,
	live: LiveView | undefined,
	json: boolean,
	stop: PromiseWithResolvers<Ending>,
): Promise<void> {
	const { logger } = prepared;
	let control: Awaited<ReturnType<typeof startControl>> | undefined;
	const sensor = startSensor({
		...prepared,
		activity: {
			kinds: live ? activityKinds : new Set(),
			show: limitRate(200, (make) => live?.push(make())),
		},
	});
	const closers: (() => Promise<unknown>)[] = [];
	let reloading: Reloading | undefined;
	let ending: Ending = "undo";
	const service = createServiceNotifier({
		notify: (text) => addon().notify(process.env.NOTIFY_SOCKET ?? "", text),
		environment: process.env,
	});
	try {
		sensor.output.add(localSink(sensor, live, json, logger, stop));
		const recent = createRecent();
		control = await startControl({
			path: join(config.paths.run, "picket.sock"),
			handlers: { ...controlHandlers(sensor), recent: recent.list },
			looking: lookingMethods,
			peer: (descriptor) => addon().peerCredentials(descriptor),
			logger,
		});
		const { publish } = control;
		sensor.output.add(publishSink(publish, recent));
		const { takeover } = sensor;
		const remote = createRemote({
			sensor,
			config,
			recent: recent.list,
			...(takeover && {
				applyContent: (content, signature, { requester, id }) =>
					takeover.applyContent(content, signature, { requester, commandId: id }),
			}),
			clock: Date.now,
			logger,
		});
		sensor.attend(remote.problems);
		closers.push(() => remote.close());
		for (const sink of configuredSinks(config.sinks, {
			report: sensor.output.gap,
			unixDatagram: (path, text) => addon().notify(path, text),
			clock: Date.now,
			logger,
		}))
			sensor.output.add(sink);
		const delivery = await startDelivery(sensor, remote, config, logger);
		process.on("SIGHUP", delivery.refresh);
		if (flags.embedded) {
			const address = `unix:${join(config.paths.run, "console.sock")}`;
			const { startConsole } = await import("../console/console.ts");
			const embedded = await startConsole({ listen: address, logger, name: "embedded console", version });
			closers.push(() => embedded.close());
			await addConsole(sensor, remote, address, logger);
		}
		reloading =
			sensor.reloader &&
			startReloading({
				reloader: sensor.reloader,
				service,
				onHangup: () => stop.resolve("undo"),
			});
		releaseMemory(addon().trimMemory);
		// Told ready without it in the end: what is missing is in the status, and no reason to be started over and over.
		const missing = await Promise.race([sensor.seesItself(firstCanaryMs), stop.promise.then(() => "")]);
		if (missing !== "") logger.warn(`canary: ${missing}`);
		service.ready(missing === "" ? "watching" : `watching; canary: ${missing}`);
		let withheld = "";
		service.watch(() => {
			const reason = sensor.unwell();
			if (reason !== withheld) {
				if (reason !== "") logger.error(`the watchdog is not fed: ${reason}`);
				service.status(reason === "" ? "watching" : `not well: ${reason}`);
			}
			withheld = reason;
			return reason === "";
		});
		if (!live) logger.info(`watching; ${prepared.rules.rules.length} rules loaded, mode ${config.mode}`);
		const status = setInterval(() => live?.status(sensor.board.status()), 1000);
		live?.status(sensor.board.status());
		const end =
			flags.duration === undefined
				? undefined
				: setTimeout(() => stop.resolve("undo"), timerMs(flags.duration));
		ending = await stop.promise;
		clearInterval(status);
		clearTimeout(end);
		service.stopping();
	} finally {
		reloading?.close();
		service.close();
		const last = sensor.board.status();
		live?.status(last);
		const undone = await sensor.close(ending === "undo");
		const kept = sensor.responder.active().length;
		for (const close of closers) await close();
		await control?.close();
		const summary = live?.close();
		if (summary !== undefined) process.stdout.write(`${summary}\n`);
		process.stderr.write(farewell(last, { undone, kept }, summary === undefined));
	}
}

function localSink(
	sensor: Sensor,
	live: LiveView | undefined,
	json: boolean,
	logger: Logger,
	stop: PromiseWithResolvers<Ending>,
): Sink {
	if (live) return liveSink(live);
	const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
	return createStreamSink(
		{ name: "stdout", stream: process.stdout, onGone: () => stop.resolve("undo") },
		{
			clock: Date.now,
			logger,
			report: sensor.output.gap,
			format: withoutStatus(json ? recordLine : (record) => recordText(record, { colour })),
		},
	);
}

/** Of the status records only those that tell of a reload: the others come every minute and are for sinks that ask. */
function withoutStatus(
	format: (record: wire.OutputRecord) => string,
): (record: wire.OutputRecord) => string | undefined {
	let told: string | undefined;
	return (record) => {
		if (record.status === undefined) return format(record);
		const { time } = record.status.reload ?? {};
		if (time === undefined || time === told) return undefined;
		told = time;
		return format(record);
	};
}

function liveSink(live: LiveView): Sink {
	let sent = 0;
	return {
		name: "live",
		push(record) {
			sent++;
			live.push(record);
		},
		status: () => ({ name: "live", connected: true, sent: String(sent), acknowledged: String(sent) }),
		close: async () => {},
	};
}

/** For `picket watch`, `alerts` and `events`. */
function publishSink(publish: Awaited<ReturnType<typeof startControl>>["publish"], recent: Recent): Sink {
	let sent = 0;
	return {
		name: "control",
		push(record) {
			sent++;
			recent.push(record);
			for (const kind of ["event", "alert", "incident", "action", "gap", "status"] as const) {
				if (record[kind] !== undefined) publish(kind, () => record);
			}
		},
		status: () => ({ name: "control", connected: true, sent: String(sent), acknowledged: String(sent) }),
		close: async () => {},
	};
}

/** Loaded when somebody off this host is to get something: what encodes records takes some MB. */
async function startDelivery(
	sensor: Sensor,
	remote: Remote,
	config: Config,
	logger: Logger,
): Promise<Delivery> {
	const [{ createDelivery }, { createSpool }] = await Promise.all([
		import("../delivery.ts"),
		import("../spool/spool.ts"),
	]);
	const delivery = createDelivery({
		config,
		bootId: sensor.wire.bootId,
		hello: sensor.hello,
		status: sensor.board.status,
		policyHash: () => sensor.policy().hash,
		onCommand: remote.take,
		gap: sensor.output.gap,
		createSpool,
		clock: Date.now,
		logger,
	});
	sensor.deliver(delivery);
	return delivery;
}

/** The console in this process; gRPC is loaded for it only, it takes 10 MB. */
async function addConsole(sensor: Sensor, remote: Remote, address: string, logger: Logger): Promise<void> {
	const { createConsoleSink } = await import("../uplink/console-sink.ts");
	const name = "console:embedded";
	sensor.output.add(
		createConsoleSink({
			name,
			address,
			hello: sensor.hello,
			status: sensor.board.status,
			onCommand: (command) => remote.take(name.replace(/^console:/, ""), command),
			report: sensor.output.gap,
			clock: Date.now,
			logger,
		}),
	);
}

/** At most so many calls a second; the rest is not made. */
function limitRate<T>(perSecond: number, call: (value: T) => void): (value: T) => void {
	let second = 0;
	let used = 0;
	return (value) => {
		const now = Math.floor(performance.now() / 1000);
		if (now !== second) {
			second = now;
			used = 0;
		}
		if (used++ < perSecond) call(value);
	};
}

function farewell(
	status: wire.Status,
	{ undone, kept }: { undone: readonly wire.Action[]; kept: number },
	withCounts: boolean,
): string {
	const sum = (key: "delivered" | "lost") =>
		(status.counters ?? []).reduce((total, counter) => total + Number(counter[key] ?? 0), 0);
	const failed = undone.filter(
		(action) => action.outcome !== "OUTCOME_VERIFIED" && action.outcome !== "OUTCOME_UNCHANGED",
	);
	const left =
		kept > 0 && failed.length === 0
			? `${kept} responses stay in force until their time; \`picket release --all\` undoes them`
			: failed.length > 0
				? `could not undo: ${failed.map((action) => action.target).join(", ")}; run \`picket release --all\``
				: `nothing left attached or blocked${undone.length > 0 ? ` (${undone.length} undone)` : ""}`;
	const counts = withCounts
		? `${sum("delivered")} events seen, ${sum("lost")} lost, ${status.alerts ?? 0} alerts; `
		: "";
	return `picket: stopped; ${counts}${left}\n`;
}
