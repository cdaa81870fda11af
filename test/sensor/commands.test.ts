// A console's commands through the whole sensor: nothing twice over a restart, evidence of a process that the test made,
// the mode taken back and given back.
import { spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, expect, it } from "vitest";
import { type RunningConsole, startConsole } from "../../agent/console/console.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { verifyAudit } from "../../agent/respond/audit-read.ts";
import { picket, SensorProcess, type Started } from "./process.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const clean of cleanups.splice(0).reverse()) await clean();
});

const may =
	"console: {may: [kill, take_evidence, set_mode, query_processes, query_connections, query_containers, query_counters]}\n";

/** A sensor with a console on loopback; `again` starts it once more over the same state. */
async function pair(started: Started = {}) {
	const running: RunningConsole = await startConsole({
		listen: "127.0.0.1:0",
		logger: pino({ level: "silent" }),
	});
	const listen = running.address;
	cleanups.push(() => running.close());
	const begin = async (args: readonly string[] = []): Promise<SensorProcess> => {
		const sensor = new SensorProcess({
			policy: may,
			...started,
			args: [
				"--console",
				listen,
				"--events",
				"none",
				"--no-default-rules",
				"--scope-pid",
				String(process.pid),
				...args,
			],
		});
		cleanups.push(() => sensor.dispose());
		await sensor.ready();
		await sensor.until("the sensor's stream", () => running.sensors().length === 1);
		return sensor;
	};
	const send = (command: wire.Command) => running.send(running.sensors()[0]?.hostId ?? "", command);
	return { sensor: await begin(), begin, send };
}

/** Waits on its standard input until the test ends. */
function child(): { pid: number; alive: () => boolean } {
	const made = spawn("/bin/sh", ["-c", "read x"], {
		stdio: ["pipe", "ignore", "ignore"],
		env: { MARK: "secret" },
	});
	cleanups.push(() => made.kill("SIGKILL"));
	return { pid: made.pid ?? 0, alive: () => made.exitCode === null && made.signalCode === null };
}

async function startOf(send: (command: wire.Command) => Promise<wire.CommandResult>, pid: number) {
	const look = async () => {
		const { processes = [] } = await send({ queryProcesses: { contains: "", limit: 0 } });
		return processes.find((one) => one.pid === pid && one.executable !== process.execPath)?.startTime;
	};
	// Its execution is on its way through the ring.
	await expect.poll(look, { timeout: 20_000 }).toBeDefined();
	return (await look()) ?? "";
}

it("a kill is done once: the same command after a restart gets the same answer and kills nobody", async () => {
	const { sensor, begin, send } = await pair({ config: "mode: enforce\n" });
	const one = child();
	const startTime = await startOf(send, one.pid);
	const expires = new Date(Date.now() + 3_600_000).toISOString();
	const wrong = await send({ kill: { pid: one.pid, startTime: "2026-01-02T03:04:05Z" } });
	expect(wrong).toMatchObject({ accepted: false });
	expect(one.alive()).toBe(true);
	const kill = { id: "kill-1", expires, requester: "alice", kill: { pid: one.pid, startTime } };
	const answer = await send(kill);
	expect(answer).toMatchObject({
		accepted: true,
		action: {
			outcome: "OUTCOME_VERIFIED",
			requester: "console:console",
			reason: "asked by a console (alice)",
		},
	});
	await expect.poll(one.alive).toBe(false);
	const acts = (of: SensorProcess) =>
		of.records.filter((record) => record.action?.kind === "KIND_KILL").length;
	await sensor.until("the act on stdout", () => acts(sensor) === 2);
	const state = join(sensor.folder, "state");
	sensor.child.kill("SIGKILL");
	await sensor.ended;
	const next = await begin(["--state-dir", state]);
	const again = await send(kill);
	expect(again).toMatchObject({ accepted: true, message: answer.message });
	expect(again.action).toBeUndefined();
	expect(acts(next)).toBe(0);
	expect(verifyAudit(readFileSync(join(state, "audit.jsonl"), "utf8")).broken).toBeUndefined();
});

it("evidence, connections, containers and counters come from the host as it is", async () => {
	const { sensor, send } = await pair();
	const one = child();
	const startTime = await startOf(send, one.pid);
	const { accepted, evidence } = await send({ takeEvidence: { pid: one.pid, startTime, reason: "look" } });
	expect(accepted).toBe(true);
	expect(statSync(evidence?.path ?? "").mode & 0o777).toBe(0o600);
	expect(evidence?.path?.startsWith(join(sensor.folder, "state", "evidence"))).toBe(true);
	const content = JSON.parse(evidence?.content ?? "");
	expect(content.process).toMatchObject({ pid: one.pid, startTime });
	expect(content.ancestors[0].pid).toBe(process.pid);
	expect(content.now.environmentNames).toContain("MARK");
	expect(evidence?.content).not.toContain("secret");
	await sensor.record("the act", ({ action }) => action?.kind === "KIND_TAKE_EVIDENCE");

	const server = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	cleanups.push(() => server.close());
	const { port } = server.address() as { port: number };
	const { connections = [] } = await send({ queryConnections: { pid: process.pid, limit: 0 } });
	expect(connections.find(({ localPort }) => localPort === port)).toMatchObject({
		state: "listen",
		pid: process.pid,
		executable: process.execPath,
	});
	expect(await send({ queryContainers: {} })).toMatchObject({ accepted: true });
	const { status } = await send({ queryCounters: {} });
	expect(status?.pid).toBe(sensor.child.pid);
	const refused = await send({ block: { address: "203.0.113.9" } });
	expect(refused.message).toContain("does not let console console ask for block");
	await sensor.record("the refusal", ({ action }) => action?.outcome === "OUTCOME_REFUSED");

	// Whoever asks, a host that is to observe stays so.
	const raised = await send({ setMode: { mode: "enforce" } });
	expect(raised).toMatchObject({ accepted: false, action: { outcome: "OUTCOME_REFUSED" } });
	const byHand = await picket("mode", "enforce", "--socket", sensor.socket);
	expect(byHand.status).not.toBe(0);
	expect(byHand.err).toContain("configuration or policy says observe");
	expect(byHand.err).toContain("picket.yaml");
});

it("a console takes enforcing back and gives it back, but never raises a host that only observes", async () => {
	const { sensor, send } = await pair({ config: "mode: enforce\n" });
	const modeNow = async () => (await picket("mode", "--socket", sensor.socket)).out.trim();
	expect(await modeNow()).toBe("enforce");
	expect(await send({ requester: "bob", setMode: { mode: "observe", reason: "upgrade" } })).toMatchObject({
		accepted: true,
		action: { kind: "KIND_SET_MODE", outcome: "OUTCOME_VERIFIED" },
	});
	expect(await modeNow()).toContain("observe: console:console holds it back since");
	const status = await picket("status", "--socket", sensor.socket);
	expect(status.out.replaceAll(/\s+/g, " ")).toContain("nothing is enforced: console:console took it back");
	const one = child();
	const startTime = await startOf(send, one.pid);
	const kill = await send({ kill: { pid: one.pid, startTime } });
	expect(kill.action?.outcome).toBe("OUTCOME_WOULD_ACT");
	expect(one.alive()).toBe(true);
	expect(await send({ setMode: { mode: "enforce" } })).toMatchObject({ accepted: true });
	expect(await modeNow()).toBe("enforce");
	expect((await picket("mode", "observe", "--reason", "mine", "--socket", sensor.socket)).out).toContain(
		"(mine)",
	);
	expect(await send({ setMode: { mode: "enforce" } })).toMatchObject({ accepted: false });
	expect((await picket("mode", "enforce", "--socket", sensor.socket)).out.trim()).toBe("enforce");
});
