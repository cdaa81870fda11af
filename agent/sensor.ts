// A running sensor: every stage made from the configuration, started in the order that loses nothing, and taken down
// in the order that leaves nothing behind. What to show and where to log is passed in.
import { mkdirSync } from "node:fs";
import { hostname, release } from "node:os";
import { join } from "node:path";
import { createActing } from "./acting.ts";
import { addon } from "./capture/addon.ts";
import { LiveCapture } from "./capture/live.ts";
import { createContainerPatches } from "./container-patches.ts";
import { checkPolicy } from "./content.ts";
import { joinPolicies } from "./delivered/join.ts";
import { startTakeover } from "./delivered/start.ts";
import type { Delivery } from "./delivery.ts";
import { createDemotion } from "./demotion.ts";
import { type Content, createDetection } from "./detection.ts";
import { createEngines } from "./engines.ts";
import { createEnrichment } from "./enrichment.ts";
import { CommandError } from "./failure.ts";
import { createWatchdog } from "./health/watchdog.ts";
import { readBootId, readOrMake } from "./host-id.ts";
import { createInterest } from "./interest.ts";
import { watchLoss } from "./loss.ts";
import { eventNames } from "./model/event.ts";
import { everything } from "./model/interest.ts";
import type * as wire from "./model/picket.v1.ts";
import { createPeerNames } from "./peer-names.ts";
import { Pipeline } from "./pipeline.ts";
import { effectiveMode } from "./policy/load.ts";
import { createReloader } from "./reload.ts";
import { createModeSwitch } from "./remote/mode.ts";
import { createAlertLimit } from "./report/alert-limit.ts";
import { createFolder, type Folder } from "./report/dedup.ts";
import { createSequencer, type RecordBody } from "./report/record.ts";
import { createOutput } from "./report/sinks.ts";
import { nanosecondsSinceBoot, type WireContext } from "./report/wire.ts";
import { createSelfChecks, noSelfChecks } from "./self-checks.ts";
import type { Sensor, SensorOptions } from "./sensor-contract.ts";
import { createStatusBoard } from "./status.ts";

/** Starts to capture. Throws CaptureError or CommandError with what is wrong and what to do. */
export function startSensor(options: SensorOptions): Sensor {
	const { config, logger, recorder } = options;
	const clock = Date.now;
	const { bootMs, realMs } = addon().clocks();
	const bootTime = realMs - bootMs;
	makeFolder(config.paths.state);

	const output = createOutput({ host: hostname(), sequencer: createSequencer(bootMs * 1000), clock, logger });
	const enrichment = createEnrichment({
		processes: config.limits.processes,
		containers: config.limits.containers,
		clock,
		onFact: (name, value) => recorder?.fact(name, value),
		complain: (file, what) => logger.warn({ file }, `a container's file ${what}; it is left out`),
		engineSocket: config.docker.socket,
		live: true,
	});
	const peerNames = createPeerNames();
	const wireContext: WireContext = {
		bootTimeMs: () => bootTime,
		userName: enrichment.userName,
		bootId: readBootId(),
		dnsMessage: peerNames.message,
		peerName: peerNames.name,
	};
	const detection = createDetection(
		{ rules: options.rules, policy: joinPolicies(options.policy, options.delivered?.store.inForce().policy) },
		{
			userName: enrichment.userName,
			groupName: enrichment.groupName,
			hostname: hostname(),
			bootTimeMs: wireContext.bootTimeMs,
			peerName: peerNames.name,
			hostNamespaces: () => enrichment.tree.get(1)?.namespaces,
		},
	);
	const policy = () => detection.current().policy;
	const captureOnly = () => (options.delivered?.starts.captureOnly() ?? "") !== "";
	/** The most that configuration and policy allow; a console or an admin may hold it back meanwhile. */
	const mostMode = () => (captureOnly() ? "observe" : effectiveMode(config.mode, policy().policy));
	const modeSwitch = createModeSwitch({
		stateDir: config.paths.state,
		most: mostMode,
		clock,
		changed: () => {
			adopt(detection.current());
			output.emit({ status: board.status() });
		},
	});
	const mode = () => modeSwitch.mode() ?? mostMode();

	const engines = createEngines({
		socket: config.docker.enabled ? config.docker.socket : "",
		enrichment,
		logger,
		clock,
	});
	const interestWith = createInterest({
		config,
		engine: engines.docker !== undefined,
		mode,
		eventKinds: options.eventKinds,
		alsoCapture: options.alsoCapture,
		activity: options.activity?.kinds,
	});
	const capture = new LiveCapture({
		ringBytes: config.capture.ring_bytes,
		drainMs: config.capture.drain_ms,
		scope: config.scope,
		simulateLoss: options.simulateLoss,
		off: options.off,
		limits: {
			repeatWindowMs: config.capture.repeat_window_ms,
			bulkRate: config.capture.bulk_rate,
			bulkBurst: config.capture.bulk_burst,
			wakeOnExec: mostMode() === "enforce",
			environmentBytes: config.capture.environment_bytes,
		},
		// A rule that comes later may ask for anything.
		mayAsk: options.reload ? everything.kinds : interestWith(detection.current()).kinds,
		cgroupRoot: enrichment.cgroupMount || undefined,
		logger,
	});
	const patches = createContainerPatches((body) => output.emit(body));
	enrichment.containers.onKnown(patches.known);
	const emit = (body: RecordBody, time?: string): wire.OutputRecord => {
		patches.sent(body);
		return output.emit(body, time);
	};
	const limiter = createAlertLimit(
		{ all: config.limits.alerts_per_minute, rule: config.limits.rule_alerts_per_minute },
		{ ...output, emit },
	);
	const folder: Folder = createFolder({ emit: limiter.emit });
	const acting = createActing({
		config,
		logger,
		clock,
		enrichment,
		engines: engines.all,
		policy: () => policy().policy,
		mode,
		captureOnly,
		wire: wireContext,
		off: options.off,
		passive: recorder !== undefined,
		consoles: () => delivery?.addresses() ?? config.consoles.flatMap(({ addresses }) => addresses),
		emit,
		alert: folder.push,
		gap: output.gap,
	});
	const { responder } = acting;
	let closing: Promise<wire.Action[]> | undefined;
	let delivery: Delivery | undefined;
	let askedProblems: () => readonly string[] = () => [];

	const { canary, tampering } =
		recorder === undefined
			? createSelfChecks({
					config,
					capture,
					shown: options.eventKinds.size === eventNames.length,
					simulated: options.simulateLoss > 0,
					refusalDamages: acting.refusalDamages,
					contentFiles: () => reloader?.watched() ?? [],
					contentGeneration: () => {
						const { rules, policy: inForce } = detection.current();
						return `${rules.contentHash} ${inForce.hash} ${reloader?.looks() ?? 0}`;
					},
					enrichment,
					alert: limiter.emit,
					logger,
					clock,
				})
			: noSelfChecks;

	const pipeline = new Pipeline({
		tree: enrichment.tree,
		cgroups: enrichment.cgroups,
		peerNames,
		detectors: detection.detectors,
		responses: detection.responses,
		responder,
		saw(event) {
			acting.saw(event);
			tampering?.saw(event);
		},
		...(canary && { canary: canary.stage }),
		judged: acting.judged,
		emit,
		folder,
		wire: wireContext,
		eventKinds: options.eventKinds,
		activity: (kind, make) => {
			if (options.activity?.kinds.has(kind)) options.activity.show(make);
		},
		eventsLost: () => loss.lost(),
		tap: recorder && ((memory, offset, bytes) => recorder.record(memory, offset, bytes)),
		logger,
	});
	const adopt = (content: Content): void => {
		if (closing) throw new CommandError("the sensor is stopping", "start it again");
		capture.changeInterest(interestWith(content), () => detection.adopt(content));
		acting.changed();
		if (capture.unboundedOpens !== "") logger.warn(`this costs CPU: ${capture.unboundedOpens}`);
	};
	const demotion = createDemotion({
		detection,
		adopt,
		alert: limiter.emit,
		percent: config.limits.rule_cpu_percent,
		logger,
		clock,
	});
	const reloader =
		options.reload &&
		createReloader({
			sources: options.reload.sources,
			start: {
				config,
				files: options.reload.files,
				policy: options.policy,
				problems: options.reload.problems,
			},
			detection,
			adopt,
			consoles: (wanted) => delivery?.prepare(wanted.consoles),
			onReload: () => output.emit({ status: board.status() }),
			logger,
			clock,
		});
	const takeover =
		options.delivered &&
		reloader &&
		startTakeover(options.delivered, {
			config,
			reloader,
			detection,
			policy: () => policy().policy,
			events: () => pipeline.delivered.reduce((sum, count) => sum + count, 0),
			alert: limiter.emit,
			changed: () => output.emit({ status: board.status() }),
			onAccepted: acting.changed,
			logger,
			clock,
		});
	const board = createStatusBoard({
		config,
		delivered: takeover,
		content: detection.current,
		reload: () => reloader?.last(),
		everyOpen: options.eventKinds.has("open"),
		responseProblems: () => [...modeSwitch.problems(), ...acting.problems(), ...askedProblems()],
		refuser: acting.refuser,
		selfProblems: () => [...(canary?.problems() ?? []), ...(tampering?.problems() ?? [])],
		canary: () => canary?.status(),
		contentProblems: () => [
			...(reloader?.problems() ?? []),
			...demotion.problems(),
			...(takeover?.problems() ?? []),
			...detection.current().engine.correlator.problems(),
		],
		capture,
		pipeline,
		output,
		enrichment,
		folder,
		correlations: () => detection.current().engine.correlator.totals(),
		docker: engines.docker,
		mode,
		bootId: wireContext.bootId,
		limited: limiter,
		delivery: () => delivery,
	});

	pipeline.memory(capture.memory);
	capture.start(interestWith(detection.current()), (offset, bytes) => pipeline.record(offset, bytes));
	enrichment.seed();
	if (capture.unboundedOpens !== "") logger.warn(`this costs CPU: ${capture.unboundedOpens}`);
	engines.watch(acting.containers);

	acting.start();

	const loss = watchLoss({
		capture,
		gap: output.gap,
		repair: () => enrichment.repair(),
		simulated: options.simulateLoss > 0,
		clock,
	});

	const { status_seconds } = config.health;
	const statusTimer =
		recorder === undefined && status_seconds > 0
			? setInterval(() => output.emit({ status: board.status() }), status_seconds * 1000).unref()
			: undefined;
	const unwell = createWatchdog({
		pending: () => capture.pending(),
		judged: () => pipeline.delivered.reduce((sum, count) => sum + count, 0),
		rules: () => detection.current().rules.rules.filter(({ enabled }) => enabled).length,
		wantsRules: options.rules.rules.some(({ enabled }) => enabled),
		canary,
	});
	canary?.start();
	tampering?.start();

	const close = async (release: boolean): Promise<wire.Action[]> => {
		takeover?.close(true);
		clearInterval(statusTimer);
		canary?.close();
		tampering?.close();
		demotion.close();
		capture.stop();
		loss.close();
		capture.close();
		engines.close();
		const undone = await acting.close(release);
		for (const action of undone) output.emit({ action });
		folder.close();
		limiter.close();
		board.close();
		await output.close();
		return undone;
	};

	return {
		output,
		responder,
		modeSwitch,
		board,
		enrichment,
		wire: wireContext,
		capture,
		reloader,
		takeover,
		policy,
		attend(problems) {
			askedProblems = problems;
		},
		deliver(through) {
			delivery = through;
			output.add(through.sink);
		},
		hello: () => ({
			hostId: hostId(config.paths.state),
			bootId: wireContext.bootId,
			host: hostname(),
			version: board.status().version ?? "",
			kernel: release(),
			architecture: process.arch,
			capabilities: board.capabilities(),
			contentHashes: { rules: detection.current().rules.contentHash, policy: policy().hash },
			mode: mode(),
		}),
		applyPolicy(text, file) {
			const { loaded, problems } = checkPolicy(text, file);
			if (!loaded) {
				const first = problems.find((problem) => problem.level === "error");
				throw new CommandError(
					`the policy has an error at line ${first?.line ?? 0}: ${first?.message ?? "unreadable"}`,
					`${first?.remedy ?? "mend it"}; the policy in force stays`,
				);
			}
			adopt(detection.withPolicy(loaded));
			logger.info({ file, hash: loaded.hash }, "another policy is in force");
		},
		startOf: (pid, time) => {
			const start = nanosecondsSinceBoot(time, wireContext);
			const known = enrichment.tree.get(pid);
			// What is given out has the precision of a double; the tree knows the exact one.
			return known && start !== undefined && Math.abs(known.start - start) < 1e6 ? known.start : start;
		},
		seesItself: async (timeoutMs) => (await canary?.first(timeoutMs)) ?? "",
		unwell,
		close(release) {
			closing ??= close(release);
			return closing;
		},
	};
}

function makeFolder(path: string): void {
	try {
		mkdirSync(path, { recursive: true, mode: 0o700 });
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new CommandError(`cannot make the state directory: ${reason}`, "start as root, or set paths.state");
	}
}

/** Stable across restarts and unknown outside the state directory: made once, kept there. */
function hostId(stateDir: string): string {
	return readOrMake(join(stateDir, "host-id"));
}
