// Responses by hand, through the running sensor; and `release --all`, which also works when there is none.
import { existsSync } from "node:fs";
import { pino } from "pino";
import { addon } from "../capture/addon.ts";
import { LiveRefuser } from "../capture/refuser.ts";
import { readConfig } from "../content.ts";
import { callControl } from "../control/client.ts";
import { ControlError } from "../control/protocol.ts";
import { createDocker } from "../docker.ts";
import { cgroupMount } from "../enrich/cgroups.ts";
import { CommandError } from "../failure.ts";
import type * as wire from "../model/picket.v1.ts";
import { neutralise } from "../report/shown.ts";
import { recordText } from "../report/text.ts";
import type { Entry } from "../respond/ledger.ts";
import { createResponder } from "../respond/responder.ts";
import { isOn, undoOf } from "../respond/undo.ts";
import { print, type SocketFlags } from "./inspect.ts";

/** Docker may take 5 s a call, and an action makes several. */
const actTimeoutMs = 30_000;

const good: ReadonlySet<string | undefined> = new Set(["OUTCOME_VERIFIED", "OUTCOME_UNCHANGED"]);

function show(action: wire.Action, json: boolean | undefined): number {
	if (json) print(JSON.stringify(action));
	else {
		print(recordText({ time: new Date().toISOString(), action }));
		for (const step of action.steps ?? []) print(`  ${step}`);
		if (action.undo) print(`  undo: ${action.undo}`);
	}
	if (action.outcome === "OUTCOME_WOULD_ACT") {
		process.stderr.write(
			"picket: nothing was done: the sensor is in observe mode (mode: enforce changes that)\n",
		);
	}
	return good.has(action.outcome) || action.outcome === "OUTCOME_WOULD_ACT" ? 0 : 1;
}

/** Asks the sensor for one action and prints its outcome. Exit status 1 when it was refused or had no effect. */
export async function act(order: Record<string, unknown>, flags: SocketFlags): Promise<number> {
	const action = (await callControl(flags.socket, "order", order, actTimeoutMs)) as wire.Action;
	return show(action, flags.json);
}

export async function actions(flags: SocketFlags): Promise<void> {
	const active = (await callControl(flags.socket, "actions", {}, actTimeoutMs)) as Record<string, unknown>[];
	if (flags.json) return print(JSON.stringify(active));
	if (active.length === 0) return print("nothing is in force");
	for (const entry of active) {
		const expires =
			typeof entry.expires === "number" && entry.expires > 0
				? ` until ${new Date(entry.expires).toISOString()}`
				: "";
		print(`${String(entry.kind).padEnd(12)} ${String(entry.targetName || entry.target)}${expires}`);
	}
}

interface ModeAnswer {
	readonly mode: string;
	readonly holding: { readonly requester: string; readonly time: number; readonly reason: string } | null;
	readonly notes: readonly string[];
}

/** Shows whether the sensor acts, after setting it where `wanted` says so. Throws CommandError. */
export async function mode(wanted: string | undefined, flags: ModeFlags): Promise<void> {
	const params = wanted === undefined ? {} : { mode: wanted, reason: flags.reason };
	const answer = (await callControl(flags.socket, "mode", params, actTimeoutMs)) as ModeAnswer;
	if (flags.json) return print(JSON.stringify(answer));
	const { holding, notes } = answer;
	const since =
		holding === null || holding.time === 0 ? "" : ` since ${new Date(holding.time).toISOString()}`;
	const held = holding === null ? "" : `: ${holding.requester} holds it back${since} (${holding.reason})`;
	print(neutralise(`${answer.mode}${held}`));
	for (const note of notes) print(neutralise(`  ${note}`));
}

export interface ModeFlags extends SocketFlags {
	readonly reason: string;
}

/** Undoes what is in force on an address, a container or a program, whatever it is. */
export async function undo(target: string, flags: SocketFlags): Promise<number> {
	const active = (await callControl(flags.socket, "actions", {}, actTimeoutMs)) as Entry[];
	const found = active.filter((entry) => isOn(entry, target));
	if (found.length === 0)
		throw new CommandError(`nothing is in force on ${target}`, "`picket actions` lists what is", 1);
	let status = 0;
	for (const entry of found) status = Math.max(status, await act({ ...undoOf(entry) }, flags));
	return status;
}

export interface ReleaseFlags extends SocketFlags {
	readonly all?: boolean;
	readonly config?: string;
	readonly stateDir?: string;
}

/** Undoes everything in force: through the sensor, or from its ledger when it does not run. */
export async function release(flags: ReleaseFlags): Promise<number> {
	if (!flags.all)
		throw new CommandError("release needs --all", "name one thing with unblock, resume or undo instead");
	let undone: wire.Action[];
	try {
		undone = (await callControl(flags.socket, "release", {}, actTimeoutMs)) as wire.Action[];
	} catch (error) {
		if (!(error instanceof ControlError) || error.code !== "NOT_RUNNING") throw error;
		undone = await releaseAlone(flags);
	}
	const statuses = undone.map((action) => show(action, flags.json));
	if (undone.length === 0 && !flags.json) print("nothing was in force");
	return Math.max(0, ...statuses);
}

async function releaseAlone(flags: ReleaseFlags): Promise<wire.Action[]> {
	const { config } = readConfig(flags.config);
	const logger = pino({ level: "warn", base: null }, pino.destination({ dest: 2, sync: true }));
	const stateDir = flags.stateDir ?? config.paths.state;
	if (!existsSync(stateDir)) return [];
	const docker = createDocker({ socketPath: config.docker.socket, logger, clock: Date.now });
	const refuser = new LiveRefuser({
		pins: config.paths.bpf,
		cgroupRoot: cgroupMount(),
		sensorPid: process.pid,
		off: [],
		logger,
		clock: Date.now,
	});
	const responder = createResponder({
		mode: () => "enforce",
		stateDir,
		logger,
		clock: Date.now,
		runtimes: () => [docker],
		processes: {
			open: addon().pidfdOpen,
			signal: addon().pidfdSignal,
			close: addon().closeDescriptor,
			exited: addon().pidfdExited,
		},
		refusals: { refuser, cgroupsOf: () => [] },
		protectedExtra: () => config.protect,
	});
	const undone = await responder.release("cli");
	await responder.close();
	// The policy's refusals, too.
	refuser.release();
	refuser.close();
	return undone;
}
