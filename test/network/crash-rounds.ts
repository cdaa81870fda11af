// Rounds of: a process with a responder is killed somewhere, a new responder starts in its place; then audit, ledger
// and kernel have to tell the same.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pino } from "pino";
import { expect } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { interruptedActs, verifyAudit } from "../../agent/respond/audit-read.ts";
import { createRunner } from "../../agent/respond/command.ts";
import { createResponder } from "../../agent/respond/responder.ts";
import type { Network } from "./namespaces.ts";

export const pool = [
	"203.0.113.1",
	"203.0.113.2",
	"198.51.100.0/24",
	"2001:db8::1",
	"2001:db8::2",
	"2001:db8:1::/48",
];
const child = new URL("crashing.ts", import.meta.url).pathname;
/** An order passes about 25 points; three orders are enough to be killed in any state. */
const points = 75;

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

export interface Tally {
	interrupted: number;
	verified: number;
	takenBack: number;
	slowestMs: number;
}

/** Rejects at the first round after which the three accounts differ. */
export async function crashRounds(network: Network, count: number, seed: number): Promise<Tally> {
	const next = random(seed);
	const root = mkdtempSync(join(tmpdir(), "picket-crash-"));
	const stateDir = join(root, "state");
	const tally: Tally = { interrupted: 0, verified: 0, takenBack: 0, slowestMs: 0 };
	try {
		for (let round = 0; round < count; round++) {
			const point = 1 + Math.floor(next() * points);
			await killedAt([stateDir, root, network.name("host"), String(seed + round), String(point)]);
			// A command that was under way goes on without its parent; a service manager waits as long.
			await wait(300);
			const where = `seed ${seed}, round ${round}, point ${point}`;
			await restart(network, { stateDir, root, where, anew: round % 2 === 0 }, tally);
		}
	} finally {
		rmSync(root, { recursive: true, force: true });
	}
	return tally;
}

function killedAt(args: readonly string[]): Promise<void> {
	const running = spawn(process.execPath, [child, ...args], { stdio: ["ignore", "ignore", "pipe"] });
	let said = "";
	running.stderr.on("data", (data) => {
		said += data;
	});
	return new Promise((resolve, reject) => {
		running.once("exit", (code, signal) => {
			if (signal === "SIGKILL") resolve();
			else reject(new Error(`ended with ${code ?? signal}: ${said}`));
		});
	});
}

interface Round {
	readonly stateDir: string;
	readonly root: string;
	/** For messages. */
	readonly where: string;
	/** Leave nothing in force for the next round. */
	readonly anew: boolean;
}

async function restart(
	network: Network,
	{ stateDir, root, where, anew }: Round,
	tally: Tally,
): Promise<void> {
	const audit = join(stateDir, "audit.jsonl");
	const open = interruptedActs(audit).length;
	const responder = createResponder({
		mode: () => "enforce",
		stateDir,
		logger: pino({ level: "silent" }),
		clock: Date.now,
		runtimes: () => [],
		processes: { open: () => 0, signal: () => {}, close: () => {}, exited: () => true },
		protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
		run: createRunner(network.inside("host")),
		root,
	});
	const started = performance.now();
	const actions = await responder.recover();
	const took = performance.now() - started;
	expect(took, where).toBeLessThan(5000);
	const inLedger = responder
		.active()
		.map(({ target }) => target)
		.sort();
	expect(inLedger, where).toEqual(held(network));
	for (const tool of ["iptables", "ip6tables"]) {
		const blocked = inLedger.some((target) => target.includes(":") === (tool === "ip6tables"));
		if (blocked) expect(network.run("host", `${tool}-save`), where).toMatch(/^-A [A-Z]+ .*-j PICKET-/m);
	}
	expect(interruptedActs(audit), where).toEqual([]);
	if (open > 0) expect(verifyAudit(readFileSync(audit, "utf8")).broken, where).toBeUndefined();
	// The next one has to build everything anew: more can be left half done.
	if (anew) await responder.release();
	await responder.close();
	tally.interrupted += open;
	tally.verified += actions.filter(isFinished("OUTCOME_VERIFIED")).length;
	tally.takenBack += actions.filter(isFinished("OUTCOME_FAILED")).length;
	tally.slowestMs = Math.max(tally.slowestMs, took);
}

function isFinished(outcome: wire.ActionOutcome): (action: wire.Action) => boolean {
	return (action) => action.outcome === outcome && action.steps?.[0]?.startsWith("interrupted") === true;
}

function held(network: Network): string[] {
	const saved = network.run("host", "ipset", "save");
	return [...new Set([...saved.matchAll(/^add \S+ (\S+)/gm)].map((match) => match[1] ?? ""))].sort();
}
