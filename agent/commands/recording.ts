// `picket record` and `picket replay`: raw events into a file, and the same pipeline from that file.

import { mkdtempSync, rmSync } from "node:fs";
import { hostname, release, tmpdir } from "node:os";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import { addon } from "../capture/addon.ts";
import {
	type RecordingHandler,
	type RecordingHeader,
	RecordingWriter,
	readRecording,
} from "../capture/recording.ts";
import type { Config } from "../config/load.ts";
import { readConfig, readPolicy, readRules } from "../content.ts";
import { Engine } from "../detect/engine.ts";
import type { FieldContext } from "../detect/field.ts";
import { createEnrichment } from "../enrichment.ts";
import { CommandError } from "../failure.ts";
import { readBootId } from "../host-id.ts";
import { type EventName, eventNames } from "../model/event.ts";
import type * as wire from "../model/picket.v1.ts";
import { createPeerNames } from "../peer-names.ts";
import { type Detector, Pipeline, type Stages } from "../pipeline.ts";
import { PolicyEngine } from "../policy/engine.ts";
import { createStreamSink } from "../report/lines.ts";
import { recordLine } from "../report/record.ts";
import { createOutput } from "../report/sinks.ts";
import { recordText } from "../report/text.ts";
import type { WireContext } from "../report/wire.ts";
import { startSensor } from "../sensor.ts";
import type { Sensor } from "../sensor-contract.ts";
import { type CaptureFlags, timerMs } from "../settings.ts";
import { version } from "../version.ts";
import { prepare } from "./prepare.ts";

export interface RecordFlags extends CaptureFlags {
	readonly out: string;
}

/** Records until the time is over or a signal comes. Detects nothing and does nothing. */
export async function record(flags: RecordFlags): Promise<void> {
	const stop = Promise.withResolvers<void>();
	for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.resolve());
	const logger = pino({ level: "warn", base: null }, pino.destination({ dest: 2, sync: true }));
	const { sensor: prepared, config } = prepare(flags, () => logger);
	// Beside a running sensor, most likely: what that one has in force is not ours to act on or to take back.
	const stateDir = mkdtempSync(join(tmpdir(), "picket-record-"));
	const { bootMs, realMs } = addon().clocks();
	const bootId = readBootId();
	const header = {
		version,
		host: hostname(),
		kernel: release(),
		bootId,
		bootTimeMs: realMs - bootMs,
		started: Date.now(),
	};
	const writer = new RecordingWriter(flags.out, header);
	const guard = <T extends unknown[]>(write: (...args: T) => void) => {
		return (...args: T): void => {
			try {
				if (!failed) write(...args);
			} catch (error) {
				failed = error instanceof Error ? error : new Error(String(error));
				stop.reject(
					new CommandError(`cannot write ${flags.out}: ${failed.message}`, "make room and record again"),
				);
			}
		};
	};
	let failed: Error | undefined;
	const start = () =>
		startSensor({
			...prepared,
			config: { ...config, mode: "observe", paths: { ...config.paths, state: stateDir } },
			logger,
			eventKinds: new Set<EventName>(flags.output === "json" ? eventNames : []),
			// Everything that a rule could ask for later, whatever is loaded now.
			alsoCapture: new Set<EventName>(eventNames),
			recorder: {
				record: guard((memory: Buffer, offset: number, bytes: number) =>
					writer.record(memory, offset, bytes),
				),
				fact: guard((name: string, value: unknown) => writer.fact(name, value)),
			},
		});
	let sensor: Sensor;
	try {
		sensor = start();
	} catch (error) {
		rmSync(stateDir, { recursive: true, force: true });
		throw error;
	}
	if (flags.output === "json") sensor.output.add(stdoutSink(true));
	const flush = setInterval(() => guard(() => writer.flush())(), 1000);
	const end =
		flags.duration === undefined ? undefined : setTimeout(() => stop.resolve(), timerMs(flags.duration));
	process.stderr.write(`picket: recording to ${flags.out}; mode observe\n`);
	try {
		await stop.promise;
	} finally {
		clearInterval(flush);
		clearTimeout(end);
		await sensor.close(false);
		rmSync(stateDir, { recursive: true, force: true });
		if (!failed) writer.close();
		process.stderr.write(`picket: ${writer.records} events, ${writer.bytes} bytes in ${flags.out}\n`);
	}
}

function stdoutSink(json: boolean) {
	return createStreamSink(
		{ name: "stdout", stream: process.stdout },
		{
			clock: Date.now,
			logger: pino({ level: "silent" }),
			report: () => {},
			// A replay is faster than any reader: it waits for the reader rather than dropping lines.
			maxRecords: Number.MAX_SAFE_INTEGER,
			maxBytes: Number.MAX_SAFE_INTEGER,
			format: json ? recordLine : (each) => recordText(each, { colour: process.stdout.isTTY }),
		},
	);
}

export interface ReplayFlags {
	readonly config?: string;
	readonly rules?: string[];
	readonly policy?: string;
	readonly defaultRules: boolean;
	readonly output?: "text" | "json";
	readonly events?: "none" | "all" | EventName[];
}

/** What is known when a recording begins. */
export interface Replayed {
	readonly header: RecordingHeader;
	readonly context: FieldContext;
	readonly wire: WireContext;
}

/**
 * Runs a recording through decode and enrich, and the rest of the stages as given. Throws what reading throws; of a
 * damaged file everything before the damage has been judged by then.
 */
export function replayInto(
	file: string,
	limits: Config["limits"],
	logger: Logger,
	stagesOf: (replayed: Replayed) => Partial<Stages> & Pick<Stages, "detectors">,
	onPipeline: (pipeline: Pipeline) => void = () => {},
): void {
	readRecording(file, (header): RecordingHandler => {
		const enrichment = createEnrichment({
			processes: limits.processes,
			containers: limits.containers,
			clock: () => header.started,
			onFact: () => {},
			live: false,
		});
		const { userName, groupName } = enrichment;
		const bootTimeMs = () => header.bootTimeMs;
		const peerNames = createPeerNames();
		const { message: dnsMessage, name: peerName } = peerNames;
		const wire = { bootTimeMs, userName, bootId: header.bootId, dnsMessage, peerName };
		const context = { userName, groupName, hostname: header.host, bootTimeMs, peerName };
		const stage = new Pipeline({
			tree: enrichment.tree,
			cgroups: enrichment.cgroups,
			peerNames,
			responses: () => [],
			responder: undefined,
			emit: () => {},
			folder: { push: () => {}, repeat: () => false },
			wire,
			eventKinds: new Set(),
			activity: () => {},
			eventsLost: () => 0,
			tap: undefined,
			logger,
			...stagesOf({ header, context, wire }),
		});
		onPipeline(stage);
		let linked = false;
		return {
			memory: (memory) => stage.memory(memory),
			record: (offset, bytes) => {
				if (!linked) enrichment.tree.linkParents();
				linked = true;
				stage.record(offset, bytes);
			},
			fact: enrichment.replay,
		};
	});
}

/** Runs a recording through decode, enrich, detect and policy. Needs no root, no kernel and no Docker; acts never. */
export async function replay(file: string, flags: ReplayFlags): Promise<void> {
	const { config } = readConfig(flags.config);
	const rules = readRules(
		[...config.rules.files, ...(flags.rules ?? [])],
		config.rules.default && flags.defaultRules,
	);
	const policy = readPolicy(flags.policy ?? config.policy, flags.policy !== undefined);
	const kinds = flags.events === undefined || flags.events === "none" ? [] : flags.events;
	const logger = pino({ level: "warn", base: null }, pino.destination({ dest: 2, sync: true }));
	let sequence = 0;
	let pipeline: Pipeline | undefined;
	const sink = stdoutSink(flags.output === "json");
	const stagesOf = ({ header, context }: Replayed) => {
		const output = createOutput({
			host: header.host,
			sequencer: () => String(++sequence),
			clock: () => header.started,
			logger,
		});
		output.add(sink);
		const engine = new Engine(rules, context);
		const policyEngine = new PolicyEngine(policy.policy, context);
		const emitAlert = (alert: wire.Alert, time?: string) => void output.emit({ alert }, time);
		const violations: Detector = {
			evaluate: (seen, onFinding) => policyEngine.violations(seen, onFinding),
		};
		return {
			detectors: [engine, violations],
			responses: (finding, seen) => policyEngine.responses(finding, seen),
			emit: (body, time) => void output.emit(body, time),
			folder: { push: emitAlert, repeat: () => false },
			eventKinds: new Set(kinds === "all" ? eventNames : kinds),
		} satisfies Partial<Stages>;
	};
	try {
		replayInto(file, config.limits, logger, stagesOf, (made) => {
			pipeline = made;
		});
	} finally {
		await sink.close();
		if (flags.output !== "json" && pipeline) {
			const seen = pipeline.delivered.reduce((sum, count) => sum + count, 0);
			process.stderr.write(`picket: ${seen} events replayed, ${pipeline.alerts} alerts\n`);
		}
	}
}
