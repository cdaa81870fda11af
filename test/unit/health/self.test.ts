// The sensor's watch over itself, part by part: canary, watchdog, tampering. Files are real, clocks are not.
import { mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { outOfScope } from "../../../agent/canary.ts";
import { createCanary } from "../../../agent/health/canary.ts";
import { createTamper, type Sign, tamperWords, twice } from "../../../agent/health/tamper.ts";
import { growingFiles, keptFiles, keptInode } from "../../../agent/health/tamper-files.ts";
import {
	clockBack,
	environment,
	ownCgroup,
	tracer,
	watchPauses,
} from "../../../agent/health/tamper-process.ts";
import { createWatchdog } from "../../../agent/health/watchdog.ts";
import { selfAlert } from "../../../agent/self-alert.ts";

describe("the canary", () => {
	beforeEach(() => {
		vi.useFakeTimers();
	});
	afterEach(() => {
		vi.useRealTimers();
	});

	function rig(settings: { unable?: string; pending?: number } = {}) {
		const state = { unable: "", pending: 0, lost: 0, fails: "", ...settings };
		const markers: string[] = [];
		const missed: string[] = [];
		let back = 0;
		const canary = createCanary({
			everyMs: 30_000,
			unable: () => state.unable,
			start(marker) {
				if (state.fails !== "") throw new Error(state.fails);
				markers.push(marker);
				return 700;
			},
			pending: () => state.pending,
			lost: () => state.lost,
			onMissed: (inARow, problem) => missed.push(`${inARow} ${problem}`),
			onBack: () => back++,
			clock: Date.now,
			monotonic: () => Date.now(),
		});
		canary.start();
		const last = () => markers.at(-1) ?? "";
		return { canary, state, markers, missed, last, backs: () => back };
	}

	test("comes back, and is sent again after its time with another argument", () => {
		const { canary, markers, last } = rig();
		expect(canary.status()).toBeUndefined();
		vi.advanceTimersByTime(40);
		expect(canary.mine(last())).toBe(true);
		canary.found(last());
		expect(canary.status()).toMatchObject({ seen: true, seconds: 0.04, problem: "", sent: "1", missed: "0" });
		expect(canary.mine(last())).toBe(false);
		vi.advanceTimersByTime(30_000);
		expect(markers).toHaveLength(2);
		expect(markers[0]).toMatch(/^picket-canary-[0-9a-f]{32}$/);
		expect(markers[1]).not.toBe(markers[0]);
	});

	test("is missed after 5 s, sent again at once, and told back", () => {
		const { canary, missed, markers, last, backs } = rig();
		vi.advanceTimersByTime(5000);
		expect(missed).toHaveLength(1);
		expect(canary.problems()).toEqual([expect.stringContaining("did not come back within 5 s")]);
		vi.advanceTimersByTime(6000);
		expect(missed[1]).toMatch(/^2 /);
		expect(canary.missedInARow).toBe(2);
		vi.advanceTimersByTime(30_000);
		expect(markers).toHaveLength(3);
		canary.found(markers[0] ?? ""); // too late
		expect(canary.missedInARow).toBe(2);
		canary.found(last());
		expect([canary.missedInARow, backs(), canary.problems()]).toEqual([0, 1, []]);
	});

	test("is not missed while events wait to be read, but not for ever", () => {
		const { missed } = rig({ pending: 1 });
		vi.advanceTimersByTime(30_000);
		expect(missed).toEqual([]);
		vi.advanceTimersByTime(6000);
		expect(missed).toHaveLength(1);
	});

	test("that the kernel lost says so", () => {
		const { missed, state } = rig();
		state.lost = 3;
		vi.advanceTimersByTime(5000);
		expect(missed[0]).toContain("the kernel lost 3 executions meanwhile");
	});

	test("that cannot be is none: it says why, and is no problem", async () => {
		const { canary, markers, missed } = rig({ unable: "the scope is elsewhere" });
		expect(canary.status()).toMatchObject({ seen: false, problem: "the scope is elsewhere", sent: "0" });
		expect(await canary.first(1000)).toBe("the scope is elsewhere");
		vi.advanceTimersByTime(100_000);
		expect([markers, missed, canary.problems()]).toEqual([[], [], []]);
	});

	test("that cannot be started is missed, with the reason", () => {
		const { state, missed } = rig();
		state.fails = "EAGAIN";
		vi.advanceTimersByTime(6000);
		expect(missed[1]).toMatch(/^2 it could not be started: EAGAIN/);
	});

	test("is looked for where the sensor itself is", () => {
		const scope = { pids: [], cgroups: [], paths: [] };
		expect(outOfScope(scope)).toBe("");
		expect(outOfScope({ ...scope, pids: [process.ppid] })).toBe("");
		expect(outOfScope({ ...scope, pids: [4_194_303] })).toContain("scope.pids");
		expect(outOfScope({ ...scope, cgroups: ["/no/such"] })).toContain("scope.cgroups");
	});
});

describe("the watchdog", () => {
	const well = { pending: 0, judged: 10, rules: 3, missedInARow: 0, cameBack: true };
	function rig() {
		const now = { ...well };
		const reason = createWatchdog({
			pending: () => now.pending,
			judged: () => now.judged,
			rules: () => now.rules,
			wantsRules: true,
			canary: now,
		});
		return { now, reason };
	}

	test("is fed while all goes well, and while a busy ring drains", () => {
		const { now, reason } = rig();
		expect(reason()).toBe("");
		now.pending = 100;
		now.judged = 20;
		expect(reason()).toBe("");
	});

	test.each<[string, Partial<typeof well>, RegExp]>([
		["the ring does not drain", { pending: 5 }, /none is read/],
		["there are no rules", { rules: 0 }, /no rule/],
		["canaries are missed", { missedInARow: 2 }, /last 2 executions/],
	])("is not fed when %s", (_, change, words) => {
		const { now, reason } = rig();
		reason();
		Object.assign(now, change);
		expect(reason()).toMatch(words);
		Object.assign(now, well);
		expect(reason()).toBe("");
	});

	test("one canary missed is bad luck, and one that never came back no reason to start over and over", () => {
		const { now, reason } = rig();
		now.missedInARow = 1;
		expect(reason()).toBe("");
		Object.assign(now, { missedInARow: 9, cameBack: false });
		expect(reason()).toBe("");
	});
});

describe("tampering", () => {
	const sign = (key: string, seen = key): Sign => ({ key, seen, severity: "critical", remedy: "look" });
	function rig(look: () => readonly Sign[]) {
		const told: string[] = [];
		const state = { now: 0 };
		const complaints: string[] = [];
		const tamper = createTamper({
			checks: [{ name: "thing", look }],
			everyMs: 0,
			alert: ({ seen }) => told.push(seen),
			complain: (_, message) => complaints.push(message),
			monotonic: () => state.now,
		});
		return { told, state, tamper, complaints };
	}

	test("is told once, when it changes, and each hour for as long as it stands", async () => {
		let signs = [sign("a")];
		const { told, state, tamper } = rig(() => signs);
		await tamper.look();
		await tamper.look();
		expect(told).toEqual(["a"]);
		expect(tamper.problems()).toEqual(["tampering: a: look"]);
		signs = [sign("a", "other")];
		await tamper.look();
		expect(told).toEqual(["a", "other"]);
		state.now = 3_600_000;
		await tamper.look();
		expect(told).toHaveLength(3);
		signs = [];
		await tamper.look();
		expect(tamper.problems()).toEqual([]);
		signs = [sign("a")];
		await tamper.look();
		expect(told).toHaveLength(4);
	});

	test("that is over is a problem for an hour", () => {
		const { told, state, tamper } = rig(() => []);
		tamper.note(sign("n"));
		tamper.note(sign("n"));
		expect(told).toEqual(["n"]);
		expect(tamper.problems()).toHaveLength(1);
		state.now = 3_600_001;
		expect(tamper.problems()).toEqual([]);
	});

	test("a check that fails is a problem, and stops no other", async () => {
		const { tamper, complaints } = rig(() => {
			throw new Error("EIO");
		});
		await tamper.look();
		await tamper.look();
		expect(complaints).toEqual(["EIO"]);
		expect(tamper.problems()).toEqual(["the sensor cannot look after its thing: EIO"]);
	});

	test("its alert names a technique and what to do", () => {
		const alert = selfAlert({
			rule: "picket/tamper",
			severity: "critical",
			...tamperWords(sign("k")),
			key: "k",
		});
		expect(alert).toMatchObject({
			techniques: ["T1685"],
			tags: ["sensor", "T1562", "T1562.001"],
			summary: "k",
		});
		expect(alert.description).toContain("look");
	});

	test("what comes up in passing has to stand for two looks", async () => {
		const look = twice(() => [sign("p")]);
		expect(await look()).toEqual([]);
		expect(await look()).toHaveLength(1);
	});
});

describe("files", () => {
	let folder = "";
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "picket-files-"));
	});
	afterEach(() => rmSync(folder, { recursive: true, force: true }));
	const rig = (generation?: () => unknown) => {
		const path = join(folder, "code.ts");
		writeFileSync(path, "original");
		const look = keptFiles({
			paths: () => [path],
			severity: "critical",
			remedy: "r",
			...(generation && { generation }),
		});
		const seen = async () => {
			await look();
			return (await look()).map((each) => each.seen.replace(path, "it"));
		};
		return { path, look, seen };
	};

	test("that are as they were, or were only touched, are no sign", async () => {
		const { path, look, seen } = rig();
		await look();
		utimesSync(path, 1, 1);
		expect(await seen()).toEqual([]);
	});

	test("with other content of the same size and times, replaced, or gone are", async () => {
		const { path, look, seen } = rig();
		utimesSync(path, 1, 1);
		await look();
		writeFileSync(path, "changed!");
		utimesSync(path, 1, 1);
		expect(await seen()).toEqual(["it was replaced or changed"]);
		rmSync(path);
		expect(await seen()).toEqual(["it is gone"]);
		writeFileSync(path, "original");
		expect(await seen()).toEqual([]);
	});

	test("that were read anew are taken as they are", async () => {
		let generation = 1;
		const { path, look, seen } = rig(() => generation);
		await look();
		writeFileSync(path, "by its admin");
		generation = 2;
		expect(await seen()).toEqual([]);
	});

	test("that only grow must not be cut, replaced or removed; a log may be rotated", () => {
		const [audit, log] = [join(folder, "audit"), join(folder, "log")];
		for (const path of [audit, log]) writeFileSync(path, "0123456789");
		const look = growingFiles(() => [
			{ path: audit, what: "the audit", changes: "grows" },
			{ path: log, what: "the log", changes: "rotates" },
		]);
		const seen = async () => (await look()).map((each) => each.seen.replaceAll(`${folder}/`, ""));
		return (async () => {
			expect(await seen()).toEqual([]);
			writeFileSync(audit, "0123");
			writeFileSync(log, "0123");
			expect(await seen()).toEqual(["the audit audit was cut from 10 to 4 bytes"]);
			writeFileSync(join(folder, "new"), "0123456789012");
			renameSync(join(folder, "new"), audit);
			renameSync(log, `${log}.1`);
			expect(await seen()).toEqual(["the audit audit is another file now"]);
			writeFileSync(log, "012");
			expect(await seen()).toEqual(["the audit audit is another file now"]);
			rmSync(`${log}.1`);
			rmSync(log);
			writeFileSync(join(folder, "new"), "0123456789012");
			renameSync(join(folder, "new"), log);
			expect((await seen())[1]).toBe("the log log is another file now");
			rmSync(log);
			rmSync(audit);
			expect(await seen()).toEqual(["the audit audit is gone", "the log log is gone"]);
		})();
	});

	test("a socket that is removed or another one", async () => {
		const path = join(folder, "s");
		writeFileSync(path, "");
		const look = keptInode(path, "the socket", "r");
		expect(await look()).toEqual([]);
		writeFileSync(join(folder, "t"), "");
		renameSync(join(folder, "t"), path);
		expect((await look())[0]?.seen).toContain("is another one now");
		rmSync(path);
		expect((await look())[0]?.seen).toContain("was removed");
	});
});

describe("the process", () => {
	test("that is traced says by whom", async () => {
		expect(await tracer()()).toEqual([]);
		const traced = tracer(() => `Name:\tnode\nTracerPid:\t${process.pid}\n`);
		expect((await traced())[0]?.seen).toContain(`process ${process.pid} (`);
	});

	test("that is moved or given other limits", async () => {
		const folder = mkdtempSync(join(tmpdir(), "picket-cgroup-"));
		try {
			writeFileSync(join(folder, "memory.max"), "max\n");
			let path = "/";
			const look = ownCgroup(folder, () => `0::${path}`);
			expect(await look()).toEqual([]);
			writeFileSync(join(folder, "memory.max"), "4096\n");
			expect((await look())[0]?.seen).toBe("memory.max of the sensor's cgroup is 4096, it was max");
			path = "/jail";
			expect((await look())[0]?.seen).toBe("the sensor was moved from cgroup / to /jail");
		} finally {
			rmSync(folder, { recursive: true });
		}
	});

	test("that was started with others' code in it", async () => {
		expect(await environment({ NODE_OPTIONS: "--max-old-space-size=500", LD_PRELOAD: "" })()).toEqual([]);
		const found = await environment({ LD_PRELOAD: "/tmp/x.so", NODE_OPTIONS: "--require /tmp/x.js" })();
		expect(found.map(({ key }) => key)).toEqual(["environment LD_PRELOAD", "environment NODE_OPTIONS"]);
	});

	test("whose clock is set back", () => {
		const clocks = { bootMs: 0, realMs: 1e12 };
		const notes: Sign[] = [];
		const look = clockBack(
			() => clocks,
			(sign) => notes.push(sign),
		);
		Object.assign(clocks, { bootMs: 5000, realMs: 1e12 + 3000 });
		look();
		expect(notes).toEqual([]);
		clocks.realMs -= 3_600_000;
		look();
		expect(notes[0]?.seen).toBe("the clock was set back by 3600 s");
	});

	test("that stood still, unless it ran, waited for a CPU or slept with its machine", () => {
		const state = { now: 0, ran: 0, waited: 0, slept: 0 };
		const notes: Sign[] = [];
		const watch = watchPauses({
			monotonic: () => state.now,
			bootMs: () => state.now + state.slept,
			used: () => ({ ran: state.ran, waited: state.waited }),
			note: (sign) => notes.push(sign),
		});
		Object.assign(state, { now: 8000, ran: 3000, waited: 3000 });
		watch.tick();
		expect(notes).toEqual([]);
		// Suspended for an hour, and six seconds went by until it ran again.
		Object.assign(state, { now: 14_000, slept: 3_600_000 });
		watch.tick();
		expect(notes).toEqual([]);
		Object.assign(state, { now: 22_000 });
		watch.tick();
		watch.close();
		expect(notes[0]?.seen).toContain("stood still for 7 s");
	});
});
