import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Order } from "../../../agent/model/verdict.ts";
import { interruptedActs, verifyAudit } from "../../../agent/respond/audit-read.ts";
import { openLedger } from "../../../agent/respond/ledger.ts";
import { byHand, fakeRuntime, type fakeTools, makeResponder, makeRoot, web } from "./host.ts";

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
		for (const set of ["picket4-in", "picket4-out"]) {
			expect(tools.sets.get(set)).toEqual(new Set(["203.0.113.9"]));
		}
		expect(responder.active()).toMatchObject([{ kind: "block", target: "203.0.113.9", requester: "cli" }]);
		const lines = audit(stateDir)
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { stage: string });
		expect(lines.map((line) => line.stage)).toEqual(["intent", "outcome"]);
		expect(verifyAudit(audit(stateDir))).toMatchObject({ entries: 2, torn: [], broken: undefined });
		await responder.close();
	});

	it("has its audit on disk before the first command runs", async () => {
		const seen: boolean[] = [];
		const { responder, tools, stateDir } = makeResponder();
		tools.overrides.set("ipset -exist restore", async () => {
			seen.push(audit(stateDir).includes('"stage":"intent"'));
			return { code: 0, stdout: "", stderr: "" };
		});
		for (const set of ["picket4-in", "picket4-out"]) tools.sets.set(set, new Set());
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
		expect(tools.calls.filter((call) => call.startsWith("ipset -exist restore"))).toHaveLength(1);
		// Repeats gave their share of the rate back.
		expect((await responder.order(block("203.0.113.10"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});

	it("that the check afterwards does not see is no success", async () => {
		const { responder, tools } = makeResponder();
		tools.overrides.set("ipset test", async () => ({
			code: 1,
			stdout: "",
			stderr: "x is NOT in set picket4-in.",
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
		expect(tools.sets.get("picket4-in")).toEqual(new Set());
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
		const { responder } = makeResponder({
			settings: { ttlSeconds: 77, maxTtlSeconds: 100 },
		});
		const plain = await responder.order(block("203.0.113.1", 0), byHand);
		expect(steps(plain)).toContain("add picket4-in 203.0.113.1 timeout 77");
		const long = await responder.order(block("203.0.113.2", 1e9), byHand);
		expect(steps(long)).toContain("cut down to 100 s");
		expect(steps(long)).toContain("add picket4-out 203.0.113.2 timeout 100");
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
		writeFileSync(join(first.stateDir, "responses.ledger"), "{ torn");
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
			join(first.root, "elsewhere", "responses.ledger"),
			readFileSync(join(first.stateDir, "responses.ledger")),
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

describe("the kill switch", () => {
	const switchOf = (root: string) => join(root, "etc/picket/disable-enforcement");
	const flip = (root: string) => {
		mkdirSync(join(root, "etc/picket"), { recursive: true });
		writeFileSync(switchOf(root), "");
	};

	it("holds back every act while it is there, and none that takes back", async () => {
		const { responder, root, tools } = makeResponder();
		await responder.order(block("203.0.113.9"), byHand);
		flip(root);
		const before = tools.calls.length;
		const held = await responder.order(block("203.0.113.10"), byHand);
		expect(held.outcome).toBe("OUTCOME_WOULD_ACT");
		expect(steps(held)).toContain(`enforcement is disabled by ${switchOf(root)}`);
		expect(tools.calls.slice(before).filter((call) => call.includes(" add "))).toEqual([]);
		expect(responder.disabledBy()).toBe(switchOf(root));
		expect((await responder.order(unblock("203.0.113.9"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		rmSync(switchOf(root));
		expect((await responder.order(block("203.0.113.10"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});

	it("releases what is in force when it comes, and tells that it came and went", async () => {
		const told: wire.Action[] = [];
		const changes: boolean[] = [];
		const { responder, root, tools } = makeResponder({
			onAction: (action) => told.push(action),
			onKillSwitch: (on) => changes.push(on),
		});
		await responder.order(block("203.0.113.9"), byHand);
		flip(root);
		await expect.poll(() => told.length, { timeout: 5000 }).toBe(1);
		expect(told[0]).toMatchObject({ requester: "kill switch", outcome: "OUTCOME_VERIFIED" });
		expect(tools.sets.size).toBe(0);
		expect(responder.active()).toEqual([]);
		rmSync(switchOf(root));
		await expect.poll(() => changes, { timeout: 5000 }).toEqual([true, false]);
		await responder.close();
	});

	it("that is there at the start releases what an earlier process left", async () => {
		const first = makeResponder();
		await first.responder.order(block("203.0.113.9"), byHand);
		await first.responder.close();
		flip(first.root);
		const second = makeResponder(first.deps);
		await expect.poll(() => second.responder.active(), { timeout: 5000 }).toEqual([]);
		await second.responder.close();
	});
});

describe("an order of a rule", () => {
	const byRule = { ...byHand, requester: "policy", rule: "noisy" };

	it("is refused once the rule wanted too many targets, which is told once", async () => {
		const opened: string[] = [];
		const { responder, tools } = makeResponder({ onBreaker: ({ rule }) => opened.push(rule) });
		const orders = Array.from({ length: 14 }, (_, last) =>
			responder.order(block(`203.0.113.${last}`), byRule),
		);
		const outcomes = (await Promise.all(orders)).map(({ outcome }) => outcome);
		expect(outcomes.filter((outcome) => outcome === "OUTCOME_VERIFIED")).toHaveLength(10);
		const refused = await responder.order(block("203.0.113.50"), byRule);
		expect(refused.outcome).toBe("OUTCOME_REFUSED");
		expect(steps(refused)).toContain("PICKET_BREAKER_OPEN");
		expect(opened).toEqual(["noisy"]);
		expect(responder.breakers()).toMatchObject([{ rule: "noisy" }]);
		expect(["noisy", "quiet"].map(responder.alertOnly)).toEqual([true, false]);
		expect(responder.problems()).toEqual([
			expect.stringContaining('only alerts from the rule "noisy" until'),
		]);
		expect(tools.sets.get("picket4-in")?.size).toBe(10);
		expect((await responder.order(block("203.0.113.50"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});

	it("may have one container of three paused, and the admin more", async () => {
		const others = [1, 2].map((n) => ({ ...web, id: `${n}`.repeat(64), name: `web-${n + 1}` }));
		const docker = fakeRuntime(web, ...others);
		const { responder } = makeResponder({ runtimes: () => [docker.runtime], runningContainers: () => 3 });
		const pause = (container: string): Order => ({ kind: "pause", container });
		expect((await responder.order(pause("web-1"), byRule)).outcome).toBe("OUTCOME_VERIFIED");
		const second = await responder.order(pause("web-2"), { ...byRule, rule: "another" });
		expect(steps(second)).toContain("1 of 3 containers");
		expect((await responder.order(pause("web-3"), byHand)).outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});

	it("is only told where its line of the policy observes", async () => {
		const { responder, tools } = makeResponder();
		const action = await responder.order(block("203.0.113.9"), { ...byRule, mode: "observe" });
		expect(action.outcome).toBe("OUTCOME_WOULD_ACT");
		expect(steps(action)).toContain("observe mode of this line of the policy");
		expect(tools.calls).toEqual([]);
		const other = makeResponder({ mode: () => "observe" });
		const held = await other.responder.order(block("203.0.113.9"), { ...byRule, mode: "enforce" });
		expect(held.outcome).toBe("OUTCOME_WOULD_ACT");
	});

	it("states the seconds from the first event to the effect, and its evidence, in the audit too", async () => {
		const { responder, stateDir } = makeResponder();
		const context = { ...byRule, eventTime: Date.now() - 4200, evidence: ["boot:1", "boot:2"] };
		const action = await responder.order(block("203.0.113.9"), context);
		expect(action.secondsToEffect).toBeGreaterThanOrEqual(4.2);
		expect(action.secondsToEffect).toBeLessThan(20);
		const [intent, outcome] = audit(stateDir)
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as { arrived?: number; order?: Order; action: wire.Action });
		expect(intent).toMatchObject({ order: block("203.0.113.9"), arrived: context.eventTime });
		expect(intent?.action).toMatchObject({ outcome: "OUTCOME_UNSPECIFIED", evidence: ["boot:1", "boot:2"] });
		expect(outcome?.action).toEqual(action);
		await responder.close();
	});

	it("that was carried out at once has had an effect all the same", async () => {
		const { responder } = makeResponder({ clock: () => 1_800_000_000_000 });
		expect((await responder.order(block("203.0.113.9"), byHand)).secondsToEffect).toBe(0.001);
		const [released] = await responder.release();
		expect(released?.secondsToEffect).toBe(0.001);
		await responder.close();
	});
});

describe("a pause whose time is over", () => {
	function leftPaused(expires: number) {
		const docker = fakeRuntime({ ...web, paused: true });
		const told: wire.Action[] = [];
		const root = makeRoot();
		const target = web.id;
		const who = { targetName: "web-1", actionId: "1", requester: "policy", reason: "", alertId: "" };
		openLedger(join(root, "state"), "boot-1").put({ kind: "pause", target, ...who, since: 1, expires });
		const onAction = (action: wire.Action) => told.push(action);
		return { docker, told, ...makeResponder({ root, runtimes: () => [docker.runtime], onAction }) };
	}

	it("is resumed by the sensor that comes next", async () => {
		const { responder, docker, told } = leftPaused(Date.now() + 600);
		await expect.poll(() => told.length, { timeout: 5000 }).toBe(1);
		expect(told[0]).toMatchObject({ kind: "KIND_RESUME", requester: "expiry", outcome: "OUTCOME_VERIFIED" });
		expect(docker.containers.get(web.id)?.paused).toBe(false);
		expect(responder.active()).toEqual([]);
		await responder.close();
	});

	it("is tried again when the engine refuses, and told twice at most", async () => {
		const { responder, docker, told } = leftPaused(Date.now() - 1000);
		const real = docker.runtime.unpause;
		docker.runtime.unpause = async () => {
			throw new Error("busy");
		};
		await expect.poll(() => told.length, { timeout: 5000 }).toBe(1);
		expect(told[0]?.outcome).toBe("OUTCOME_FAILED");
		expect(responder.active()).toHaveLength(1);
		docker.runtime.unpause = real;
		await expect.poll(() => told.length, { timeout: 20_000 }).toBe(2);
		expect(told[1]?.outcome).toBe("OUTCOME_VERIFIED");
		await responder.close();
	});
});

describe("after a crash", () => {
	const died = async (...args: Parameters<typeof makeResponder>) => {
		const first = makeResponder(...args);
		const crash = new Promise<never>(() => {});
		return { ...first, crash };
	};
	/** The kernel's sets have one entry each, with 20 s left. */
	const holdOnly = ({ overrides }: ReturnType<typeof fakeTools>, address: string) => {
		for (const set of ["picket4-in", "picket4-out"]) {
			const stdout = `create ${set} hash:net\nadd ${set} ${address} timeout 20 packets 0 bytes 0\n`;
			overrides.set(`ipset save ${set}`, async () => ({ code: 0, stdout, stderr: "" }));
		}
	};

	it("a block that was announced but not done is told of, and nothing of it stays", async () => {
		const { responder, tools, deps, stateDir, crash } = await died();
		tools.overrides.set("ipset -exist restore", () => crash);
		responder.order(block("203.0.113.9"), byHand);
		await expect.poll(() => tools.calls).toHaveLength(1);
		tools.overrides.clear();
		const next = makeResponder(deps);
		expect(next.responder.active()).toHaveLength(1);
		const [ended] = await next.responder.recover();
		expect(ended).toMatchObject({ outcome: "OUTCOME_FAILED", requester: "recovery", target: "203.0.113.9" });
		expect(next.responder.active()).toEqual([]);
		expect(interruptedActs(join(stateDir, "audit.jsonl"))).toEqual([]);
		expect(verifyAudit(audit(stateDir)).broken).toBeUndefined();
		expect(await next.responder.recover()).toEqual([]);
		await next.responder.close();
	});

	it("a block that was done but not told of stays, also when most of its time is over", async () => {
		const { responder, tools, deps, crash } = await died();
		tools.overrides.set("ss", () => crash);
		responder.order(block("203.0.113.9", 100), byHand);
		await expect.poll(() => tools.calls.some((call) => call.startsWith("ss"))).toBe(true);
		tools.overrides.clear();
		holdOnly(tools, "203.0.113.9");
		const next = makeResponder({ ...deps, clock: () => Date.now() + 80_000 });
		const [ended, ...more] = await next.responder.recover();
		expect(ended, steps(ended ?? {})).toMatchObject({ outcome: "OUTCOME_VERIFIED", requester: "recovery" });
		expect(ended?.secondsToEffect).toBeGreaterThan(79);
		expect(more).toEqual([]);
		expect(next.responder.active()).toMatchObject([{ target: "203.0.113.9", requester: "cli" }]);
		await next.responder.close();
	});

	it("what the kernel holds is adopted, what it does not hold is not claimed", async () => {
		const first = makeResponder();
		await first.responder.order(block("203.0.113.9"), byHand);
		await first.responder.close();
		holdOnly(first.tools, "203.0.113.77");
		const { responder } = makeResponder(first.deps);
		const actions = await responder.recover();
		expect(actions.map(({ kind, target }) => `${kind} ${target}`)).toEqual([
			"KIND_UNBLOCK 203.0.113.9",
			"KIND_BLOCK 203.0.113.77",
		]);
		expect(responder.active()).toMatchObject([{ target: "203.0.113.77", requester: "recovery" }]);
		expect(Number(responder.active()[0]?.expires) - Date.now()).toBeGreaterThan(15_000);
		await responder.close();
	});

	it("a container that somebody resumed is not ours any more, and one that no engine tells of stays", async () => {
		for (const [runtime, left] of [
			[fakeRuntime(web).runtime, 0],
			[undefined, 1],
		] as const) {
			const docker = fakeRuntime(web);
			const first = makeResponder({ runtimes: () => [docker.runtime] });
			await first.responder.order({ kind: "pause", container: "web-1" }, byHand);
			await first.responder.close();
			const { responder } = makeResponder({ ...first.deps, runtimes: () => (runtime ? [runtime] : []) });
			expect(await responder.recover()).toHaveLength(1 - left);
			expect(responder.active()).toHaveLength(left);
			await responder.close();
		}
	});

	it("orders wait until all accounts agree", async () => {
		const first = makeResponder();
		let answer = (_: { code: number; stdout: string; stderr: string }) => {};
		first.tools.overrides.set("ipset list", () => new Promise((resolve) => (answer = resolve)));
		const recovered = first.responder.recover();
		let done = false;
		const order = first.responder.order(block("203.0.113.9"), byHand).then(() => {
			done = true;
		});
		await new Promise((resolve) => setTimeout(resolve, 50));
		expect(done).toBe(false);
		expect(first.tools.calls).toEqual(["ipset list -n"]);
		first.tools.overrides.clear();
		answer({ code: 0, stdout: "", stderr: "" });
		await recovered;
		await order;
		await first.responder.close();
	});
});
