// `picket run` and `picket start`: the sensor in the foreground, with plain lines, JSON lines or the live view, and
// for `start` a console beside it.
import { join } from "node:path";
import type { Logger } from "pino";
import { addon } from "../capture/addon.ts";
import { CaptureError } from "../capture/capture-error.ts";
import type { Config } from "../config/load.ts";
import { startControl } from "../control/server.ts";
import { type OpenedContent, openDelivered } from "../delivered/start.ts";
import type { Delivery } from "../delivery.ts";
import { CommandError } from "../failure.ts";
import { releaseMemory } from "../health/memory.ts";
import { createServiceNotifier } from "../health/systemd.ts";
import type { EventName } from "../model/event.ts";
import { createRemote, type Remote } from "../remote.ts";
import { canShowLive, createLiveView, type LiveView } from "../report/live.ts";
import { createRecent } from "../report/recent.ts";
import { startSensor } from "../sensor.ts";
import type { Sensor } from "../sensor-contract.ts";
import { type CaptureFlags, timerMs } from "../settings.ts";
import { configuredSinks } from "../sinks.ts";
import { version } from "../version.ts";
import { farewell } from "./farewell.ts";
import { limitRate, localSink, publishSink } from "./local-sinks.ts";
import { createLogger } from "./log.ts";
import { type Prepared, prepare, takeLock } from "./prepare.ts";
import { type Reloading, startReloading } from "./reloading.ts";
import { controlHandlers, lookingMethods } from "./requests.ts";

/** How long the first execution of our own may take to be seen, ms. */
const firstCanaryMs = 10_000;

const activityKinds: ReadonlySet<EventName> = new Set(["exec", "connect"]);

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
			(read) => createLogger(read, flags, false),
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
		const logger = live ? createLogger(config, flags, true) : prepared.logger;
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
		sensor.output.add(localSink(sensor, live, json, logger, () => stop.resolve("undo")));
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
