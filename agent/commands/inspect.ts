// Commands that look at the sensor and its host and change nothing: status, watch, doctor.
import { join } from "node:path";
import { pino } from "pino";
import { hostCapabilities, type RefusalMeans } from "../capabilities.ts";
import { probe } from "../capture/live.ts";
import { defaultPins, probeRefusals } from "../capture/refuser.ts";
import { readConfig } from "../content.ts";
import { callControl, subscribeControl } from "../control/client.ts";
import { createDocker } from "../docker.ts";
import { cgroupMount } from "../enrich/cgroups.ts";
import { failureText } from "../failure.ts";
import { type DoctorReport, doctorJson, renderDoctor } from "../health/doctor.ts";
import { readHost, readMachine } from "../health/host.ts";
import { renderReload } from "../health/reload.ts";
import { judge, renderStatus } from "../health/status.ts";
import type * as wire from "../model/picket.v1.ts";
import type { Severity } from "../model/verdict.ts";
import { filtered } from "../report/filtered.ts";
import { canShowLive, createLiveView } from "../report/live.ts";
import { type RecordKind, recordLine } from "../report/record.ts";
import type { Sink } from "../report/sinks.ts";
import { recordText } from "../report/text.ts";
import { version } from "../version.ts";

const callTimeoutMs = 5000;

// `picket watch | head`: a reader that has gone ends the command quietly.
process.stdout.on("error", () => process.exit(0));

export function print(text: string): void {
	process.stdout.write(`${text}\n`);
}

export interface SocketFlags {
	readonly socket: string;
	readonly json?: boolean;
}

/** Exit status 1 when something is wrong; whoever gets no answer ends with 2. */
export async function status({ socket, json }: SocketFlags): Promise<number> {
	const found = (await callControl(socket, "status", {}, callTimeoutMs)) as wire.Status;
	if (json) print(JSON.stringify(found));
	else {
		const responses = (await callControl(socket, "actions", {}, callTimeoutMs).catch(() => undefined)) as
			| wire.Action[]
			| undefined;
		print(renderStatus(found, { now: Date.now(), responses }));
	}
	return judge(found).healthy ? 0 : 1;
}

/** Names of rules that the running sensor does not evaluate for now; none when no sensor answers. */
export async function suspendedRules(socket: string): Promise<readonly string[]> {
	try {
		const { rules } = (await callControl(socket, "status", {}, callTimeoutMs)) as wire.Status;
		return rules?.suspended ?? [];
	} catch {
		return [];
	}
}

/** Compiling thousands of rules beside the events takes its time. */
const reloadTimeoutMs = 120_000;

/** Exit status 1 when not all of what is on disk could be put in force. */
export async function reload({ socket, json }: SocketFlags): Promise<number> {
	const done = (await callControl(socket, "reload", {}, reloadTimeoutMs)) as wire.Reload;
	print(json ? JSON.stringify(done) : renderReload(done));
	return done.outcome === "OUTCOME_REFUSED" || (done.problems ?? []).length > 0 ? 1 : 0;
}

export async function watch({ socket, json }: SocketFlags): Promise<void> {
	const stop = Promise.withResolvers<void>();
	for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.resolve());
	const live =
		!json && canShowLive(process.stdin, process.stdout, process.env)
			? createLiveView({
					input: process.stdin,
					output: process.stdout,
					clock: Date.now,
					onQuit: () => stop.resolve(),
					watching: true,
				})
			: undefined;
	const show = (record: wire.OutputRecord): void => {
		if (live) live.push(record);
		else print(json ? recordLine(record) : recordText(record, { colour: process.stdout.isTTY }));
	};
	let problem: unknown;
	try {
		const stream = await subscribeControl(socket, show, {
			eventsPerSecond: 200,
			onMissed: (count) => (live ? live.missed(count) : undefined),
		});
		const poll = async (): Promise<void> => {
			if (live) live.status((await callControl(socket, "status", {}, callTimeoutMs)) as wire.Status);
		};
		await poll();
		const timer = setInterval(() => void poll().catch(() => {}), 1000);
		problem = await Promise.race([stream.ended, stop.promise]);
		clearInterval(timer);
		stream.close();
	} finally {
		const summary = live?.close();
		if (summary !== undefined) print(summary);
	}
	if (problem) throw problem;
}

export interface FollowFlags extends SocketFlags {
	readonly follow?: boolean;
	readonly severity?: Severity;
}

/** The newest alerts, actions and gaps that the sensor still knows; with `follow` those that come as well. */
export async function alerts({
	socket,
	json,
	follow,
	severity = "informational",
}: FollowFlags): Promise<void> {
	const kinds = ["alert", "incident", "action", "gap"] as const;
	const show = filtered(printer(json), { kinds: new Set(kinds), severity }).push;
	const old = (await callControl(socket, "recent", {}, callTimeoutMs)) as wire.OutputRecord[];
	for (const record of old) show(record);
	if (follow) await stream(socket, show, kinds);
	else if (old.length === 0 && !json) print("no alerts since the sensor started");
}

/** The events that the sensor reports, as they come. */
export async function events({ socket, json }: SocketFlags): Promise<void> {
	if (!json)
		process.stderr.write("picket: events as output.events or --events asks for them; Ctrl-C ends this\n");
	await stream(socket, printer(json).push, ["event"]);
}

function printer(json: boolean | undefined): Pick<Sink, "push"> {
	const colour = process.stdout.isTTY;
	return { push: (record) => print(json ? recordLine(record) : recordText(record, { colour })) };
}

/** Until the sensor or the user ends it. */
async function stream(
	socket: string,
	show: (record: wire.OutputRecord) => void,
	kinds: readonly RecordKind[],
): Promise<void> {
	const stop = Promise.withResolvers<undefined>();
	for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.resolve(undefined));
	const records = await subscribeControl(socket, show, {
		kinds,
		onMissed: (count) =>
			process.stderr.write(`picket: ${count} records were not shown: this reader is too slow\n`),
	});
	const problem = await Promise.race([records.ended, stop.promise]);
	records.close();
	if (problem) throw problem;
}

export interface DoctorFlags {
	readonly config?: string;
	readonly json?: boolean;
	readonly off?: string[];
}

/** Exit status 1 when the sensor could not run here. */
export async function doctor(flags: DoctorFlags): Promise<number> {
	const { config } = readConfig(flags.config);
	const logger = pino({ level: "silent" });
	let capture: wire.Capability[];
	let refusals: RefusalMeans | undefined;
	let able = true;
	try {
		const asked = { logger, off: flags.off ?? [], cgroupRoot: cgroupMount() };
		capture = probe(asked);
		refusals = probeRefusals({ ...asked, pins: defaultPins });
	} catch (error) {
		able = false;
		const { message, remedy } = failureText(error);
		capture = [{ name: "capture", available: false, tier: "none", lost: message, remedy }];
	}
	const docker = config.docker.enabled
		? createDocker({ socketPath: config.docker.socket, logger, clock: Date.now })
		: undefined;
	await docker?.list().catch(() => {});
	const report = {
		version,
		host: await readHost(),
		machine: await readMachine(),
		capabilities: [...capture, ...hostCapabilities(docker, refusals)],
		...(await running(join(config.paths.run, "picket.sock"))),
	};
	print(flags.json ? doctorJson(report) : renderDoctor(report, process.stdout.columns || 100));
	return able ? 0 : 1;
}

/** Nothing when no sensor answers. */
async function running(socket: string): Promise<Pick<DoctorReport, "problems" | "running">> {
	try {
		const found = (await callControl(socket, "status", {}, callTimeoutMs)) as wire.Status;
		return { problems: judge(found).problems, running: found };
	} catch {
		return {};
	}
}
