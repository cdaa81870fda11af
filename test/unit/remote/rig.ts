// A desk on real files, with a clock of its own and a host that only notes what it was asked.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { loadPolicy } from "../../../agent/policy/load.ts";
import type { Policy } from "../../../agent/policy/policy.ts";
import { createCommandDesk, type DeskOptions, type RemoteRequest } from "../../../agent/remote/desk.ts";
import { silent } from "../report/samples.ts";

export function stateFolder(): string {
	const folder = mkdtempSync(join(tmpdir(), "picket-remote-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	return folder;
}

export function policyOf(text: string): Policy {
	const { policy, problems } = loadPolicy(text, "policy.yaml");
	if (policy === undefined) throw new Error(JSON.stringify(problems));
	return policy;
}

export const everything =
	"console: {may: [block, unblock, pause, resume, kill, take_evidence, set_mode, apply_rules, query_processes, query_connections, query_containers, query_counters]}";

export const start = Date.parse("2026-01-02T03:04:05Z");

export interface Rig {
	readonly desk: ReturnType<typeof createCommandDesk>;
	readonly stateDir: string;
	readonly done: RemoteRequest[];
	readonly actions: wire.Action[];
	now: number;
	policy: Policy;
}

export function rig(options: Partial<DeskOptions> & { readonly policyText?: string } = {}): Rig {
	const stateDir = options.stateDir ?? stateFolder();
	const done: RemoteRequest[] = [];
	const actions: wire.Action[] = [];
	const state = { now: start, policy: policyOf(options.policyText ?? everything) };
	const desk = createCommandDesk({
		stateDir,
		clock: () => state.now,
		logger: silent,
		policy: () => state.policy,
		emit: (action) => actions.push(action),
		...options,
		carryOut: (request) => {
			done.push(request);
			return options.carryOut?.(request) ?? Promise.resolve({ accepted: true, message: "done" });
		},
	});
	onTestFinished(() => desk.close());
	return Object.assign(state, { desk, stateDir, done, actions });
}

/** Expires a minute after the rig's start. */
export function block(id: string, address = "192.0.2.1"): wire.Command {
	return { id, expires: "2026-01-02T03:05:05Z", requester: "alice", block: { address, reason: "scan" } };
}
