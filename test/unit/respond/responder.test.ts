import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Order } from "../../../agent/model/verdict.ts";
import { verifyAudit } from "../../../agent/respond/audit.ts";
import { byHand, fakeRuntime, makeResponder, makeRoot, web } from "./host.ts";

const block = (address: string, ttlSeconds = 60): Order => ({ kind: "block", address, ttlSeconds });
const unblock = (address: string): Order => ({ kind: "unblock", address });
const steps = (action: wire.Action) => (action.steps ?? []).join("\n");
const audit = (stateDir: string) => readFileSync(join(stateDir, "audit.jsonl"), "utf8");

describe("a block", () => {
	it("is written to the audit, done, verified and written again", async () => {
		const { responder, tools, stateDir } = makeResponder();
		const eventTime = Date.now() - 100;
		const action = await responder.order(block("::ffff:203.0.113.9"), { ...byHand, eventTime });
		expect(action, steps(action)).toMatchObject({
			kind: "KIND_BLOCK",
			outcome: "OUTCOME_VERIFIED",
			target: "203.0.113.9",
			undo: "picket unblock 203.0.113.9",
		});
		expect(action.secondsToEffect).toBeGreaterThanOrEqual(0.1);
		expect(Date.parse(action.expires ?? "") - Date.now()).toBeGreaterThan(50_000);
		expect(tools.sets.get("picket4")).toEqual(new Set(["203.0.113.9"]));
		expect(responder.active()).toMatchObject([{ kind: "block", target: "203.0.113.9", requester: "cli" }]);
		const lines = audit(stateDir)
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { stage: string });
		expect(lines.map((line) => line.stage)).toEqual(["intent", "outcome"]);
		expect(verifyAudit(audit(stateDir))).toEqual({ entries: 2, torn: [], broken: undefined });
		await responder.close();
	});

	it("has its audit on disk before the first command runs", async () => {
		const seen: boolean[] = [];
		const { responder, tools, stateDir } = makeResponder();
		tools.overrides.set("ipset create", async () => {
			seen.push(audit(stateDir).includes('"stage":"intent"'));
			return { code: 0, stdout: "", stderr: "" };
		});
		tools.sets.set("picket4", new Set());
		await responder.order(block("203.0.113.9"), byHand);
		expect(seen).toEqual([true]);
	});

	it("is only told in observe mode, and nothing is run or written", async () => {
		const { responder, tools, stateDir } = makeResponder({ mode: () => "observe" });
		const action = await responder.order(block("203.0.113.9"), byHand);
		expect(action.outcome).toBe("OUTCOME_WOULD_ACT");
		expect(steps(action)).toContain("drop all traffic with 203.0.113.9");
		expect(action.undo).toBe("");
		expect(tools.calls).toEqual([]);
		expect(existsSync(stateDir)).toBe(false);
	});

	it.each([
		["010.1.1.1", "PICKET_ORDER_INVALID"],
		["0.0.0.0/1", "too wide"],
		["2000::/16", "too wide"],
		["127.0.0.1", "loopback"],
		["::1", "loopback"],
		["224.0.0.5", "multicast"],
		["fe80::1", "link-local"],
		["-exist", "PICKET_ORDER_INVALID"],
	])("of %s is refused with the reason, in either mode", async (address, reason) => {
		for (const mode of ["observe", "enforce"] as const) {
			const { responder, tools } = makeResponder({ mode: () => mode });
			const action = await responder.order(block(address), byHand);
			expect(action.outcome).toBe("OUTCOME_REFUSED");
			expect(steps(action)).toContain(reason);
			expect(tools.calls).toEqual([]);
		}
	});

	it("that stands already and has most of its time left is unchanged, also after a flood of alerts", async () => {
		const { responder, tools } = makeResponder({ settings: { actionsPerMinute: 3 } });
		const all = Array.from({ length: 3 }, () => responder.order(block("203.0.113.9"), byHand));
		const outcomes = (await Promise.all(all)).map((action) => action.outcome);
		expect(outcomes).toEqual(["OUTCOME_VERIFIED", "OUTCOME_UNCHANGED", "OUTCOME_UNCHANGED"]);
		expect(tools.calls.filter((call) => call.startsWith("ipset add"))).toHaveLength(1);
		// Repeats gave their share of the rate back.
		expect((await responder.order(block("203.0.113.10"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});

	it("that the check afterwards does not see is no success", async () => {
		const { responder, tools } = makeResponder();
		tools.overrides.set("ipset test", async () => ({
			code: 1,
			stdout: "",
			stderr: "x is NOT in set picket4.",
		}));
		const action = await responder.order(block("203.0.113.9"), byHand);
		expect(action.outcome).toBe("OUTCOME_NO_EFFECT");
		expect(action.secondsToEffect).toBe(0);
		await responder.close();
	});

	it("whose tools fail is failed with what they said, and leaves nothing active", async () => {
		const { responder, tools } = makeResponder();
		tools.overrides.set("iptables-restore", async () => ({ code: 2, stdout: "", stderr: "no such table\n" }));
		const action = await responder.order(block("203.0.113.9"), byHand);
		expect(action.outcome).toBe("OUTCOME_FAILED");
		expect(steps(action)).toContain("no such table");
		expect(responder.active()).toEqual([]);
		expect(tools.sets.get("picket4")).toEqual(new Set());
	});

	it("is refused above the rate, while taking back is not", async () => {
		const { responder } = makeResponder({ settings: { actionsPerMinute: 2 } });
		for (const last of [1, 2]) await responder.order(block(`203.0.113.${last}`), byHand);
		const third = await responder.order(block("203.0.113.3"), byHand);
		expect(third.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(third)).toContain("PICKET_RATE_LIMITED");
		expect((await responder.order(unblock("203.0.113.1"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});

	it("takes the default time to live for 0 and is cut to the longest allowed", async () => {
		const { responder, tools } = makeResponder({
			settings: { ttlSeconds: 77, maxTtlSeconds: 100 },
		});
		await responder.order(block("203.0.113.1", 0), byHand);
		const long = await responder.order(block("203.0.113.2", 1e9), byHand);
		expect(steps(long)).toContain("cut down to 100 s");
		const added = tools.calls.filter((call) => call.startsWith("ipset add"));
		expect(added).toEqual([
			"ipset add -exist picket4 203.0.113.1 timeout 77",
			"ipset add -exist picket4 203.0.113.2 timeout 100",
		]);
		await responder.close();
	});

	it("does not happen when the audit cannot be written", async () => {
		const root = makeRoot({ state: "a file where the directory should be" });
		const { responder, tools } = makeResponder({ root });
		const action = await responder.order(block("203.0.113.9"), byHand);
		expect(action.outcome).toBe("OUTCOME_FAILED");
		expect(steps(action)).toContain("PICKET_AUDIT_FAILED");
		expect(tools.calls).toEqual([]);
	});

	it("is refused when local policy does not permit the one who asks", async () => {
		const { responder } = makeResponder({
			permitted: (_order, { requester }) =>
				requester === "console:x" ? "this console may only pause" : undefined,
		});
		const action = await responder.order(block("203.0.113.9"), { ...byHand, requester: "console:x" });
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(action)).toContain("this console may only pause");
	});

	it("ends by itself when its time is over, and says so", async () => {
		const ended: wire.Action[] = [];
		const { responder } = makeResponder({ onAction: (action) => ended.push(action) });
		await responder.order(block("203.0.113.9", 1), byHand);
		await expect.poll(() => ended.length, { timeout: 5000 }).toBe(1);
		expect(ended[0]).toMatchObject({
			kind: "KIND_UNBLOCK",
			requester: "expiry",
			outcome: "OUTCOME_VERIFIED",
		});
		expect(responder.active()).toEqual([]);
		await responder.close();
	});
});

describe("an order from outside", () => {
	it.each([
		{ kind: "pause", container: "../etc" },
		{ kind: "pause", container: "-f" },
		{ kind: "kill", pid: 0, start: 1 },
		{ kind: "kill", pid: -1, start: 1 },
		{ kind: "kill", pid: 1.5, start: 1 },
		{ kind: "kill", pid: 77, start: Number.NaN },
		{ kind: "block", address: "1.1.1.1", ttlSeconds: -1 },
		{ kind: "block", address: undefined, ttlSeconds: 1 },
		{ kind: "format" },
	])("that is malformed (%j) ends in a refusal, not in an exception", async (order) => {
		const { responder, tools } = makeResponder();
		const action = await responder.order(order as unknown as Order, byHand);
		expect(action.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(action)).toContain("PICKET_ORDER_INVALID");
		expect(tools.calls).toEqual([]);
	});
});

describe("a pause", () => {
	const pause: Order = { kind: "pause", container: "web-1" };
	const resume: Order = { kind: "resume", container: "web-1" };

	it("freezes the container, and resuming takes it back in every mode", async () => {
		let mode: "observe" | "enforce" = "enforce";
		const docker = fakeRuntime(web);
		const { responder } = makeResponder({ runtimes: () => [docker.runtime], mode: () => mode });
		const action = await responder.order(pause, byHand);
		expect(action).toMatchObject({
			outcome: "OUTCOME_VERIFIED",
			target: web.id,
			targetName: "container web-1 (nginx:1.27)",
			undo: "picket resume web-1",
		});
		expect((await responder.order(pause, byHand)).outcome).toBe("OUTCOME_UNCHANGED");
		mode = "observe";
		expect((await responder.order(resume, byHand)).outcome).toBe("OUTCOME_VERIFIED");
		expect(docker.calls).toEqual([`pause ${web.id}`, `unpause ${web.id}`]);
		expect(responder.active()).toEqual([]);
	});

	it("is refused for the sensor's own container, a protected one, and one that is not there", async () => {
		const extra = { addresses: [], containers: ["db"], processes: [] };
		const own = { ...web, self: true };
		const db = { ...web, id: "cd".repeat(32), name: "db" };
		const docker = fakeRuntime(own, db);
		const { responder } = makeResponder({ runtimes: () => [docker.runtime], protectedExtra: () => extra });
		for (const [container, reason] of [
			["web-1", "the sensor runs in it"],
			["db", "protected by configuration"],
			["nope", "there is no container nope"],
		] as const) {
			const action = await responder.order({ kind: "pause", container }, byHand);
			expect(action.outcome).toBe("OUTCOME_REFUSED");
			expect(steps(action)).toContain(reason);
		}
		expect(docker.calls).toEqual([]);
	});

	it("recognises its own container by the cgroup it lives in", async () => {
		const root = makeRoot({ "proc/self/cgroup": `0::/system.slice/docker-${web.id}.scope\n` });
		const { responder } = makeResponder({ root, runtimes: () => [fakeRuntime(web).runtime] });
		expect(steps(await responder.order(pause, byHand))).toContain("the sensor runs in it");
	});

	it("that the engine confirms without doing it has no effect", async () => {
		const docker = fakeRuntime(web);
		docker.runtime.pause = async () => {};
		const { responder } = makeResponder({ runtimes: () => [docker.runtime] });
		expect((await responder.order(pause, byHand)).outcome).toBe("OUTCOME_NO_EFFECT");
		expect(responder.active()).toEqual([]);
	});

	it("whose answer was lost but that took effect is verified", async () => {
		const docker = fakeRuntime(web);
		const real = docker.runtime.pause;
		docker.runtime.pause = async (id) => {
			await real(id);
			throw new Error("socket hang up");
		};
		const { responder } = makeResponder({ runtimes: () => [docker.runtime] });
		const action = await responder.order(pause, byHand);
		expect(action.outcome).toBe("OUTCOME_VERIFIED");
		expect(steps(action)).toContain("socket hang up");
	});
});

describe("release", () => {
	it("undoes what a dead daemon left, from its ledger, and leaves nothing of the firewall", async () => {
		const docker = fakeRuntime(web);
		const first = makeResponder({ runtimes: () => [docker.runtime] });
		await first.responder.order(block("203.0.113.9"), byHand);
		await first.responder.order(block("2001:db8::9"), byHand);
		await first.responder.order({ kind: "pause", container: "web-1" }, byHand);
		// No close: the daemon was killed. A new process finds the state directory.
		const second = makeResponder({ ...first.deps, mode: () => "observe" });
		const actions = await second.responder.release();
		expect(actions.map(({ kind, outcome }) => `${kind} ${outcome}`).sort()).toEqual([
			"KIND_RESUME OUTCOME_VERIFIED",
			"KIND_UNBLOCK OUTCOME_VERIFIED",
			"KIND_UNBLOCK OUTCOME_VERIFIED",
		]);
		expect(first.tools.sets.size).toBe(0);
		expect([...first.tools.rules.values()].flat().filter((rule) => rule.includes("PICKET"))).toEqual([]);
		expect(docker.containers.get(web.id)?.paused).toBe(false);
		expect(second.responder.active()).toEqual([]);
		expect(verifyAudit(audit(first.stateDir)).broken).toBeUndefined();
		expect(await second.responder.release()).toEqual([]);
		await first.responder.close();
	});

	it("takes sets and chains away even when the ledger is lost", async () => {
		const first = makeResponder();
		await first.responder.order(block("203.0.113.9"), byHand);
		writeFileSync(join(first.stateDir, "responses.json"), "{ torn");
		const second = makeResponder(first.deps);
		const actions = await second.responder.release();
		expect(actions).toMatchObject([{ target: "all", outcome: "OUTCOME_VERIFIED" }]);
		expect(first.tools.sets.size).toBe(0);
		await first.responder.close();
	});

	it("works with an audit that cannot be written", async () => {
		const first = makeResponder();
		await first.responder.order(block("203.0.113.9"), byHand);
		await first.responder.close();
		const second = makeResponder({ ...first.deps });
		mkdirSync(join(first.root, "elsewhere"));
		writeFileSync(
			join(first.root, "elsewhere", "responses.json"),
			readFileSync(join(first.stateDir, "responses.json")),
		);
		mkdirSync(join(first.root, "elsewhere", "audit.jsonl"));
		const third = makeResponder({ ...first.deps, stateDir: join(first.root, "elsewhere") });
		const [action] = await third.responder.release();
		expect(action?.outcome).toBe("OUTCOME_VERIFIED");
		expect(steps(action ?? {})).toContain("could not be written to the audit");
		await second.responder.close();
	});

	it("forgets what an earlier boot had in force", async () => {
		const first = makeResponder();
		await first.responder.order(block("203.0.113.9"), byHand);
		await first.responder.close();
		writeFileSync(join(first.root, "proc/sys/kernel/random/boot_id"), "boot-2\n");
		expect(makeResponder(first.deps).responder.active()).toEqual([]);
	});

	it("is the last thing: after close every order is refused", async () => {
		const { responder } = makeResponder();
		await responder.close();
		const action = await responder.order(block("203.0.113.9"), byHand);
		expect(steps(action)).toContain("PICKET_CLOSING");
	});
});
