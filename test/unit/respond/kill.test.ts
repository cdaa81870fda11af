import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import { isSameStart, killProcess } from "../../../agent/respond/kill.ts";
import { readIdentity } from "../../../agent/respond/procfs.ts";
import { byHand, makeResponder, makeRoot, pidSignaller, stat } from "./host.ts";

const tickNs = 10_000_000;

async function sleeper(): Promise<{ child: ChildProcess; pid: number; start: number }> {
	const child = spawn("sleep", ["60"], { stdio: "ignore" });
	onTestFinished(() => void child.kill("SIGKILL"));
	await once(child, "spawn");
	const pid = child.pid ?? 0;
	return { child, pid, start: (readIdentity("/", pid)?.startTicks ?? 0) * tickNs };
}

describe("a kill", () => {
	it("ends a real process and sees that it ended", async () => {
		const { child, pid, start } = await sleeper();
		const ended = once(child, "exit");
		const { responder } = makeResponder({ root: "/", stateDir: makeRoot() });
		// As an event gives it: exact, within the tick that /proc shows.
		const action = await responder.order({ kind: "kill", pid, start: start + 7_123_456 }, byHand);
		expect(action, action.steps?.join("\n")).toMatchObject({
			outcome: "OUTCOME_VERIFIED",
			target: `${pid}:${start + 7_123_456}`,
			targetName: `sleep (pid ${pid})`,
			undo: "",
		});
		expect(await ended).toEqual([null, "SIGKILL"]);
		const again = await responder.order({ kind: "kill", pid, start }, byHand);
		expect(again.outcome).toBe("OUTCOME_UNCHANGED");
		await responder.close();
	});

	it("is refused when the pid belongs to another process by now", async () => {
		const { child, pid, start } = await sleeper();
		const { responder } = makeResponder({ root: "/", stateDir: makeRoot() });
		const action = await responder.order({ kind: "kill", pid, start: start - 5 * tickNs }, byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(action.steps?.join()).toContain("belongs to another process now");
		expect(child.exitCode).toBeNull();
		await responder.close();
	});

	it("is refused when the pid changes hands between the look and the pidfd", async () => {
		const root = makeRoot({ "proc/500/stat": stat(500, "new", 1, 200) });
		const signals: number[] = [];
		const processes = { ...pidSignaller(), open: () => 9, signal: (fd: number) => void signals.push(fd) };
		await expect(killProcess({ processes, root }, 500, 100 * tickNs, [])).rejects.toMatchObject({
			refused: true,
		});
		expect(signals).toEqual([]);
	});

	it("that does not end the process has no effect", async () => {
		const root = makeRoot({ "proc/500/stat": stat(500, "stuck", 1, 100) });
		let closed = 0;
		const processes = { open: () => 9, signal: () => {}, exited: () => false, close: () => void closed++ };
		expect(await killProcess({ processes, root }, 500, 100 * tickNs, [])).toBe("no effect");
		expect(closed).toBe(1);
	});

	it("is only told in observe mode", async () => {
		const { child, pid, start } = await sleeper();
		const { responder } = makeResponder({ root: "/", stateDir: makeRoot(), mode: () => "observe" });
		expect((await responder.order({ kind: "kill", pid, start }, byHand)).outcome).toBe("OUTCOME_WOULD_ACT");
		expect(child.exitCode).toBeNull();
	});

	it("takes a start within the tick that /proc shows for the same, and no other", () => {
		expect(isSameStart(100 * tickNs, 100)).toBe(true);
		expect(isSameStart(100 * tickNs + 9_999_999, 100)).toBe(true);
		expect(isSameStart(100 * tickNs, 101)).toBe(false);
		expect(isSameStart(101 * tickNs + 1000, 100)).toBe(false);
		expect(isSameStart(0, 100)).toBe(false);
	});
});

describe("what is never killed", () => {
	const self = 900;
	const root = () =>
		makeRoot({
			"proc/1/stat": stat(1, "systemd", 0, 1),
			"proc/1/ns/mnt": "-> mnt:[1]",
			"proc/2/stat": stat(2, "kthreadd", 0, 1, 0x00200000),
			"proc/50/stat": stat(50, "kworker/0:1", 2, 10, 0x00200000),
			"proc/800/stat": stat(800, "node", 1, 10),
			"proc/900/stat": stat(900, "picket) S 1 (", 800, 10),
			"proc/60/stat": stat(60, "sshd", 1, 10),
			"proc/60/exe": "-> /usr/sbin/sshd",
			"proc/60/ns/mnt": "-> mnt:[1]",
			"proc/61/stat": stat(61, "sshd", 1, 10),
			"proc/61/exe": "-> /usr/sbin/sshd",
			"proc/61/ns/mnt": "-> mnt:[2]",
			"proc/70/stat": stat(70, "postgres", 1, 10),
			"proc/71/stat": stat(71, "x", 1, 10),
			"proc/71/exe": "-> /opt/vital",
			"proc/71/ns/mnt": "-> mnt:[1]",
		});

	it.each([
		[1, "init process"],
		[2, "kernel thread"],
		[50, "kernel thread"],
		[800, "the sensor runs below it"],
		[900, "the sensor itself"],
		[60, "keeps this host reachable"],
		[70, "protected by configuration"],
		[71, "protected by configuration"],
	])("pid %i: %s", async (pid, reason) => {
		const extra = { addresses: [], containers: [], processes: ["postgres", "/opt/vital"] };
		const { responder } = makeResponder({ root: root(), self, protectedExtra: () => extra });
		const start = pid < 3 ? tickNs : 10 * tickNs;
		const action = await responder.order({ kind: "kill", pid, start }, byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(action.steps?.join()).toContain(reason);
	});

	it("is not whatever calls itself sshd inside a container", async () => {
		const { responder } = makeResponder({ root: root(), self, mode: () => "observe" });
		const action = await responder.order({ kind: "kill", pid: 61, start: 10 * tickNs }, byHand);
		expect(action.outcome).toBe("OUTCOME_WOULD_ACT");
	});

	it("includes this very test run and its parents on the real /proc", async () => {
		const { responder } = makeResponder({ root: "/", stateDir: makeRoot(), mode: () => "observe" });
		const parent = readIdentity("/", process.ppid);
		expect(readFileSync(`/proc/${process.ppid}/stat`, "latin1")).toContain(String(parent?.startTicks));
		const start = (parent?.startTicks ?? 0) * tickNs;
		const action = await responder.order({ kind: "kill", pid: process.ppid, start }, byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
	});
});
