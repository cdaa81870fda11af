// Kills of real processes: pids that change hands, trees that grow while they are felled. PICKET_SOAK=1 gives the
// 1,000 orders to reused pids.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { addon } from "../../agent/capture/addon.ts";
import { cgroupMount } from "../../agent/enrich/cgroups.ts";
import type { Order } from "../../agent/model/verdict.ts";
import { readIdentity } from "../../agent/respond/procfs.ts";
import { createResponder, type ResponderDeps } from "../../agent/respond/responder.ts";
import { buildTrigger } from "./harness.ts";

const bomb = buildTrigger("bomb");
const reuse = buildTrigger("reuse");
const orders = process.env.PICKET_SOAK === "1" ? 1000 : 100;
const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };
const tickNs = 10_000_000;

function makeResponder(more: Partial<ResponderDeps> = {}) {
	const stateDir = mkdtempSync(join(tmpdir(), "picket-kill-"));
	onTestFinished(() => rmSync(stateDir, { recursive: true }));
	return createResponder({
		mode: () => "enforce",
		stateDir,
		logger: pino({ level: "silent" }),
		clock: Date.now,
		runtimes: () => [],
		processes: {
			open: addon().pidfdOpen,
			signal: addon().pidfdSignal,
			close: addon().closeDescriptor,
			exited: addon().pidfdExited,
		},
		protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
		...more,
	});
}

/** A cgroup for this test alone, ended and removed with it. */
function makeCgroup() {
	const path = join(cgroupMount() ?? "", `picket-kill-${process.pid}-${Date.now()}`);
	mkdirSync(path);
	const pids = () => readFileSync(join(path, "cgroup.procs"), "utf8").split("\n").filter(Boolean).map(Number);
	onTestFinished(async () => {
		writeFileSync(join(path, "cgroup.freeze"), "0");
		writeFileSync(join(path, "cgroup.kill"), "1");
		await expect.poll(pids, { timeout: 10_000 }).toEqual([]);
		rmdirSync(path);
	});
	return { path, pids };
}

/** Begins in the cgroup, leads a session of its own and says one line when all of it runs. */
async function start(cgroup: string, command: string): Promise<{ child: ChildProcess; order: Order }> {
	const script = `echo $$ > ${cgroup}/cgroup.procs; ${command}`;
	const child = spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
	const { stdout } = child;
	if (stdout === null) throw new Error("no output");
	await once(stdout, "data");
	const pid = child.pid ?? 0;
	const begun = (readIdentity("/", pid)?.startTicks ?? 0) * tickNs;
	return { child, order: { kind: "kill", pid, start: begun, tree: true } };
}

const steps = (action: { steps?: readonly string[] }) => (action.steps ?? []).join("\n");

describe("a pid that is given to another process", () => {
	it(`is not killed in any of ${orders} orders, at whatever moment it changes hands`, () => {
		const script = new URL("pid-reuse.ts", import.meta.url).pathname;
		const args = ["--pid", "--fork", "--kill-child", "--mount-proc", process.execPath, script];
		const out = execFileSync("unshare", [...args, String(orders), reuse], { encoding: "utf8" });
		const told = JSON.parse(out) as { orders: number; wrong: number; ended: Record<string, number> };
		process.stdout.write(out);
		expect(told).toMatchObject({ orders, wrong: 0 });
		// Every moment, for one process and for a tree.
		expect(Object.keys(told.ended).length).toBeGreaterThanOrEqual(8);
	}, 600_000);
});

describe("a tree of processes", () => {
	it("ends to the last child, also those that init has adopted, and nobody beside it", async () => {
		const cgroup = makeCgroup();
		const beside = spawn("sleep", ["60"], { stdio: "ignore" });
		onTestFinished(() => void beside.kill("SIGKILL"));
		// The second sleep loses its parent at once.
		const { order } = await start(
			cgroup.path,
			"sleep 61 & (sleep 62 &); sh -c 'sleep 63 & echo y; wait' ; wait",
		);
		await expect.poll(() => cgroup.pids().length).toBe(5);
		const action = await makeResponder().order(order, byHand);
		expect(action, steps(action)).toMatchObject({ kind: "KIND_KILL_TREE", outcome: "OUTCOME_VERIFIED" });
		expect(cgroup.pids(), steps(action)).toEqual([]);
		expect(beside.exitCode).toBeNull();
	});

	it("is left running as it was, each of it, when one of them is protected", async () => {
		const cgroup = makeCgroup();
		const { order } = await start(cgroup.path, "sleep 61 & kill -STOP $!; sleep 62 & echo y; wait");
		await expect.poll(() => cgroup.pids().length).toBe(3);
		const states = () => cgroup.pids().map((pid) => readIdentity("/", pid)?.state);
		await expect.poll(states).toEqual(["S", "T", "S"]);
		// Not seen at the three looks before (three questions each), and not before two of them stand still.
		let asked = 0;
		const processes = () => (++asked > 11 ? ["sleep"] : []);
		const protectedExtra = () => ({ addresses: [], containers: [], processes: processes() });
		const responder = makeResponder({ protectedExtra });
		const refused = await responder.order(order, byHand);
		expect(refused.outcome, steps(refused)).toBe("OUTCOME_REFUSED");
		expect(steps(refused)).toContain("protected by configuration");
		expect(steps(refused)).toContain("continued: the 1 that ran before");
		await expect.poll(states).toEqual(["S", "T", "S"]);
	});

	it.each([
		["keeps its session", "200 20000 100"],
		["leaves its session, of which the sensor knows", "50 20000 100 leave"],
		["is quicker than a look", "4 20000 1"],
	])("that forks as it dies and %s is ended", async (_, form) => {
		const cgroup = makeCgroup();
		const { child, order } = await start(cgroup.path, `exec ${bomb} ${form}`);
		const startOf = (pid: number) => (readIdentity("/", pid)?.startTicks ?? 0) * tickNs;
		const descendants = () => cgroup.pids().map((pid) => ({ pid, start: startOf(pid) }));
		const responder = makeResponder(form.endsWith("leave") ? { descendants } : {});
		const action = await responder.order(order, byHand);
		expect(action.outcome, steps(action)).toBe("OUTCOME_VERIFIED");
		expect(cgroup.pids(), steps(action)).toEqual([]);
		// Before its own end.
		expect(child.signalCode).toBe("SIGKILL");
		process.stdout.write(`${form}: ${action.secondsToEffect} s\n`);
	});
});
