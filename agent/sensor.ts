// A running sensor: every stage made from the configuration, started in the order that loses nothing, and taken down
// in the order that leaves nothing behind. What to show and where to log is passed in.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { hostname, release } from "node:os";
import { join } from "node:path";
import type { Logger } from "pino";
import { createActing } from "./acting.ts";
import { startableCanary } from "./canary.ts";
import { addon } from "./capture/addon.ts";
import { LiveCapture } from "./capture/live.ts";
import type { Config } from "./config/load.ts";
import { createContainerLookup } from "./container-lookup.ts";
import { createContainerPatches } from "./container-patches.ts";
import { checkPolicy, type LoadedPolicy } from "./content.ts";
import { joinPolicies } from "./delivered/join.ts";
import { type OpenedContent, startTakeover } from "./delivered/start.ts";
import type { Takeover } from "./delivered/takeover.ts";
import type { Delivery } from "./delivery.ts";
import { createDemotion } from "./demotion.ts";
import type { RuleFile, RuleSet } from "./detect/load.ts";
import { type Content, createDetection } from "./detection.ts";
import { createDocker } from "./docker.ts";
import { createEnrichment, type Enrichment } from "./enrichment.ts";
import { CommandError } from "./failure.ts";
import { tamperRule, tamperWords } from "./health/tamper.ts";
import { createWatchdog } from "./health/watchdog.ts";
import { readOrMake } from "./host-id.ts";
import { watchLoss } from "./loss.ts";
import { canaryRule } from "./model/canary.ts";
import { type EventName, eventNames } from "./model/event.ts";
import { everything, type Interest, noInterest, ownNeeds, sumOfInterests } from "./model/interest.ts";
import type * as wire from "./model/picket.v1.ts";
import type { Problem } from "./model/verdict.ts";
import { createPeerNames, withPeerNames } from "./peer-names.ts";
import { Pipeline } from "./pipeline.ts";
import { effectiveMode } from "./policy/load.ts";
import { createReloader, type Reloader, type Sources } from "./reload.ts";
import { createModeSwitch, type ModeSwitch } from "./remote/mode.ts";
import { createAlertLimit } from "./report/alert-limit.ts";
import { createFolder, type Folder } from "./report/dedup.ts";
import { createSequencer, type RecordBody } from "./report/record.ts";
import { showText } from "./report/shown.ts";
import { createOutput, type Output } from "./report/sinks.ts";
import { nanosecondsSinceBoot, type WireContext } from "./report/wire.ts";
import type { HostResponder } from "./respond/responder.ts";
import { selfAlert } from "./self-alert.ts";
import { createStatusBoard, type StatusBoard } from "./status.ts";
import { createTampering } from "./tampering.ts";

export interface SensorOptions {
	readonly config: Config;
	readonly rules: RuleSet;
	readonly policy: LoadedPolicy;
	/** How rules and policy are read again; without it they stay as they are. */
	readonly reload?: {
		readonly sources: Sources;
		readonly files: readonly RuleFile[];
		/** Of files that are not among them. */
		readonly problems: readonly Problem[];
	};
	/** What consoles have delivered, and may deliver; without it they cannot. */
	readonly delivered?: OpenedContent;
	readonly eventKinds: ReadonlySet<EventName>;
	/** Captured on top of what rules, policy and outputs ask for. */
	readonly alsoCapture?: ReadonlySet<EventName>;
	readonly simulateLoss: number;
	readonly off: readonly string[];
	readonly logger: Logger;
	/** Wants to see events as they come, of these kinds; called for each, so it must be quick. */
	readonly activity?: { readonly kinds: ReadonlySet<EventName>; show(make: () => wire.OutputRecord): void };
	/** Keeps raw records and facts, for `record`. */
	readonly recorder?: {
		record(memory: Buffer, offset: number, bytes: number): void;
		fact(name: string, value: unknown): void;
	};
}

export interface Sensor {
	readonly output: Output;
	readonly responder: HostResponder;
	readonly modeSwitch: ModeSwitch;
	readonly board: StatusBoard;
	readonly enrichment: Enrichment;
	readonly wire: WireContext;
	readonly capture: LiveCapture;
	hello(): wire.Hello;
	/** Of whoever takes the commands of consoles: what is wrong there, for the status. */
	attend(problems: () => readonly string[]): void;
	/** Records go to consoles and receivers off this host from now on. */
	deliver(through: Delivery): void;
	readonly reloader: Reloader | undefined;
	readonly takeover: Takeover | undefined;
	/** Puts another policy in force; throws CommandError and keeps the old one when it has an error. */
	applyPolicy(text: string, file: string): void;
	policy(): LoadedPolicy;
	/** The id of a process named as pid and start time outside. */
	startOf(pid: number, time: string): number | undefined;
	/** Resolves when the first canary is back; "" or, after this time at most, what is missing. */
	seesItself(timeoutMs: number): Promise<string>;
	/** What stands against telling a watchdog that all is well; "" for nothing. */
	unwell(): string;
	/** Detaches, undoes what is in force when asked to, hands over what is queued. */
	close(release: boolean): Promise<wire.Action[]>;
}

export function readBootId(): string {
	return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** Canaries in a row that are told as an alert. */
const mostMissed = 2;
const podmanSocket = "/run/podman/podman.sock";
/** Who connects to the engine may be the one behind a `docker exec`. */
const clientsOfEngine: Interest = {
	...noInterest,
	kinds: new Set(["connect"]),
	connects: { ip: "none", unix: true },
};

/** Seldom calls that can be aimed at the sensor itself. */
const aimedAtUs: Interest = { ...noInterest, kinds: new Set(["bpf", "ptrace"]) };

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

	const docker = config.docker.enabled
		? createDocker({ socketPath: config.docker.socket, logger, clock })
		: undefined;
	const podman =
		config.docker.enabled && existsSync(podmanSocket)
			? createDocker({ socketPath: podmanSocket, runtime: "podman", logger, clock })
			: undefined;
	const lookup = createContainerLookup({
		runtimes: {
			...(docker && { docker: { inspect: docker.inspect, always: false } }),
			// Its files do not have the labels.
			...(podman && { podman: { inspect: podman.inspect, always: true } }),
		},
		onFacts: enrichment.containerFacts,
	});
	for (const container of enrichment.containers.values()) lookup.ask(container);
	enrichment.containers.onUnknown(lookup.ask);
	const interestWith = (content: Content): Interest => {
		const asked = sumOfInterests([
			ownNeeds,
			...(config.health.tamper_seconds > 0 ? [aimedAtUs] : []),
			content.interest,
			...(docker ? [clientsOfEngine] : []),
			// Who fronts most of the connections to this host must not be blocked.
			...(mode() === "enforce" ? [interestOfKinds(new Set(["accept"]))] : []),
			interestOfKinds(options.eventKinds),
			interestOfKinds(options.alsoCapture ?? new Set()),
			interestOfKinds(new Set([...(options.activity?.kinds ?? [])].filter((kind) => kind !== "open"))),
		]);
		return config.capture.dns ? withPeerNames(asked) : asked;
	};
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
		engines: [docker, podman].filter((engine) => engine !== undefined),
		policy: () => policy().policy,
		mode,
		captureOnly,
		wire: wireContext,
		off: options.off,
		passive: recorder !== undefined,
		enrolled: () => delivery?.addresses() ?? [],
		emit,
		alert: folder.push,
		gap: output.gap,
	});
	const { responder } = acting;
	let closing: Promise<wire.Action[]> | undefined;
	let delivery: Delivery | undefined;
	let askedProblems: () => readonly string[] = () => [];

	const canary =
		recorder === undefined
			? startableCanary({
					config,
					capture,
					shown: options.eventKinds.size === eventNames.length,
					simulated: options.simulateLoss > 0,
					onMissed(inARow, problem) {
						logger.error(`canary: ${problem}`);
						if (inARow !== mostMissed) return;
						limiter.emit(
							selfAlert({
								rule: canaryRule,
								severity: "critical",
								summary: `the sensor does not see what it executes itself: ${problem}`,
								description:
									"Programs of its own did not come back through kernel and rules, so that others may go unseen " +
									"as well. Look at `picket status`, restart the sensor, and find out who has changed it.",
								key: "missed",
							}),
						);
					},
					onBack: () => logger.info("canary: it comes back again"),
					clock,
				})
			: undefined;
	const tampering =
		recorder === undefined
			? createTampering({
					config,
					capture,
					refusalDamages: acting.refusalDamages,
					contentFiles: () => reloader?.watched() ?? [],
					contentGeneration: () => {
						const { rules, policy: inForce } = detection.current();
						return `${rules.contentHash} ${inForce.hash} ${reloader?.looks() ?? 0}`;
					},
					cgroupMount: enrichment.cgroupMount ?? "",
					processName(pid) {
						const process = enrichment.tree.get(pid);
						return `${showText(process?.exe || process?.comm || "a process")} (pid ${pid})`;
					},
					alert: (sign) =>
						limiter.emit(
							selfAlert({
								rule: tamperRule,
								severity: sign.severity,
								...tamperWords(sign),
								key: sign.key,
							}),
						),
					logger,
				})
			: undefined;

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
		docker,
		mode,
		bootId: wireContext.bootId,
		limited: limiter,
		delivery: () => delivery,
	});

	pipeline.memory(capture.memory);
	capture.start(interestWith(detection.current()), (offset, bytes) => pipeline.record(offset, bytes));
	enrichment.seed();
	if (capture.unboundedOpens !== "") logger.warn(`this costs CPU: ${capture.unboundedOpens}`);
	const watch = docker?.watch(
		enrichment.containerFacts,
		({ id, state }) => {
			acting.containers(id, state === "running" || state === "paused");
			if (state === "removed") enrichment.containers.destroyed(id);
		},
		enrichment.containerExec,
	);

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
		watch?.close();
		lookup.close();
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

function interestOfKinds(kinds: ReadonlySet<EventName>): Interest {
	if (kinds.has("open"))
		return {
			...everything,
			kinds,
			connects: kinds.has("connect") ? everything.connects : noInterest.connects,
		};
	return { ...noInterest, kinds, connects: kinds.has("connect") ? everything.connects : noInterest.connects };
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
