// Commands that look and change nothing: status, watch, doctor, rules.
import { pino } from "pino";
import { hostCapabilities } from "../capabilities.ts";
import { probe } from "../capture/live.ts";
import { readConfig, readRules } from "../content.ts";
import { callControl, subscribeControl } from "../control/client.ts";
import { explainRule } from "../detect/explain.ts";
import type { LoadedRule, RuleSet } from "../detect/load.ts";
import { createDocker } from "../docker.ts";
import { cgroupMount } from "../enrich/cgroups.ts";
import { CommandError, failureText, problemText } from "../failure.ts";
import { doctorJson, renderDoctor } from "../health/doctor.ts";
import { readHost, readMachine } from "../health/host.ts";
import { renderStatus } from "../health/status.ts";
import type * as wire from "../model/picket.v1.ts";
import { canShowLive, createLiveView } from "../report/live.ts";
import { recordLine } from "../report/record.ts";
import { neutralise } from "../report/shown.ts";
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

export async function status({ socket, json }: SocketFlags): Promise<void> {
	const found = (await callControl(socket, "status", {}, callTimeoutMs)) as wire.Status;
	print(json ? JSON.stringify(found) : renderStatus(found, { now: Date.now() }));
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
	let able = true;
	try {
		capture = probe({ logger, off: flags.off ?? [], cgroupRoot: cgroupMount() });
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
		capabilities: [...capture, ...hostCapabilities(docker)],
	};
	print(flags.json ? doctorJson(report) : renderDoctor(report, process.stdout.columns || 100));
	return able ? 0 : 1;
}

export interface RuleFlags {
	readonly json?: boolean;
	readonly rules?: string[];
	readonly defaultRules?: boolean;
	readonly config?: string;
}

function totalsOf(rules: readonly LoadedRule[]): Record<LoadedRule["status"], number> {
	const totals = { evaluable: 0, degraded: 0, "not-evaluable": 0, error: 0 };
	for (const rule of rules) totals[rule.status]++;
	return totals;
}

/** The form that `rules check --json` and `rules list --json` print. */
function rulesJson(set: RuleSet): string {
	const rules = set.rules.map(({ name, origin, file, status, reasons }) => ({
		name,
		source: origin,
		file,
		status,
		reasons,
	}));
	return JSON.stringify({ rules, totals: totalsOf(set.rules) });
}

/** Loads the files alone, without our own signatures. Exit status 1 when there is an error. */
export function checkRules(paths: readonly string[], flags: RuleFlags): number {
	const set = readRules(paths, false);
	const failed = set.problems.some((problem) => problem.level === "error");
	if (flags.json) {
		print(rulesJson(set));
		for (const problem of set.problems) process.stderr.write(`${problemText(problem)}\n`);
		return failed ? 1 : 0;
	}
	for (const rule of set.rules) {
		const reasons = rule.reasons.length > 0 ? `  (${rule.reasons.join("; ")})` : "";
		print(neutralise(`${rule.status.padEnd(14)} ${rule.name}${reasons}`));
	}
	for (const problem of set.problems) print(problemText(problem));
	const totals = totalsOf(set.rules);
	print(
		`${set.rules.length} rules: ${totals.evaluable} evaluable, ${totals.degraded} degraded, ` +
			`${totals["not-evaluable"]} not evaluable, ${totals.error} in error`,
	);
	return failed ? 1 : 0;
}

function loaded(flags: RuleFlags): RuleSet {
	const { config } = readConfig(flags.config);
	return readRules(
		[...config.rules.files, ...(flags.rules ?? [])],
		config.rules.default && flags.defaultRules !== false,
	);
}

export function listRules(flags: RuleFlags): void {
	const set = loaded(flags);
	if (flags.json) {
		print(rulesJson(set));
		return;
	}
	for (const rule of set.rules) {
		const techniques = rule.techniques.join(",");
		print(
			neutralise(
				`${rule.status.padEnd(14)} ${rule.severity.padEnd(14)} ${techniques.padEnd(12)} ${rule.name}`,
			),
		);
	}
	print(`${set.rules.length} rules`);
}

export function explain(name: string, flags: RuleFlags): void {
	const set = loaded(flags);
	const rule = set.rules.find((each) => each.name === name);
	if (!rule) {
		const near = set.rules.filter((each) => each.name.toLowerCase().includes(name.toLowerCase()));
		const hint =
			near.length > 0
				? `did you mean: ${near.map((each) => each.name).join(", ")}`
				: "see `picket rules list`";
		throw new CommandError(`no rule is named ${JSON.stringify(name)}`, hint, 1);
	}
	print(explainRule(rule, set.rules));
}
