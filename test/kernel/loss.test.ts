// Nothing is lost in silence: generated = delivered + lost, by kind, however hard the ring is overrun.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { findMounts } from "../../agent/enrich/cgroup-path.ts";
import type { EventName } from "../../agent/model/event.ts";
import { EventKind } from "../../agent/model/event.ts";
import { noInterest } from "../../agent/model/interest.ts";
import { buildTrigger, Harness, otherOpens, run } from "./harness.ts";

const trigger = buildTrigger();
let harness: Harness | undefined;
afterEach(() => {
	harness?.close();
	harness = undefined;
});

function identity(of: Harness): Map<EventName, { generated: number; delivered: number; lost: number }> {
	of.capture.flush();
	const out = new Map<EventName, { generated: number; delivered: number; lost: number }>();
	for (const [name, count] of of.capture.counters()) {
		const delivered = of.pipeline.delivered[EventKind[name]] ?? 0;
		out.set(name, { generated: count.generated, delivered, lost: count.lost });
		expect(delivered + count.lost, name).toBe(count.generated);
		expect(count.submitted, name).toBe(delivered);
	}
	expect(of.pipeline.malformed).toBe(0);
	return out;
}

/** Keeps the event loop from reading while the acts go on, until so many opens are lost: the ring fills up. */
async function overrun(of: Harness, opens: number, acts: () => Promise<unknown>): Promise<void> {
	const done = acts();
	const begun = performance.now();
	const isDone = (passed: number) =>
		passed > 30_000 || (passed > 1500 && (of.capture.counters().get("open")?.lost ?? 0) > opens);
	while (!isDone(performance.now() - begun)) {
		// busy
	}
	await done;
}

describe("the ring", () => {
	it("overrun by opens counts every one of them, and keeps room for forks and exits", async () => {
		const flood = new Harness({ off: otherOpens, ringBytes: 262_144, kinds: [] });
		harness = flood;
		await overrun(flood, 3000, () =>
			Promise.all([run(trigger, ["opens", "20000", "/etc/hostname"]), run(trigger, ["forks", "100"])]),
		);
		const counts = identity(flood);
		const opens = counts.get("open");
		expect(opens?.lost).toBeGreaterThan(3000);
		expect(opens?.generated).toBeGreaterThanOrEqual(20_000);
		expect(counts.get("fork")?.lost).toBe(0);
		expect(counts.get("exit")?.lost).toBe(0);
		expect(counts.get("exec")?.lost).toBe(0);
	});

	it("overrun by what must not be lost still counts it", async () => {
		const flood = new Harness({ off: otherOpens, ringBytes: 262_144, kinds: [] });
		harness = flood;
		await overrun(flood, 0, () =>
			Promise.all([run(trigger, ["forks", "8000"]), run(trigger, ["opens", "30000", "/etc/hostname"])]),
		);
		const counts = identity(flood);
		expect(counts.get("fork")?.generated).toBeGreaterThanOrEqual(8000);
	});

	it("read in time loses nothing", async () => {
		const calm = new Harness({ off: otherOpens, kinds: [] });
		harness = calm;
		await run(trigger, ["opens", "10000", "/etc/hostname"]);
		const counts = identity(calm);
		expect(counts.get("open")).toMatchObject({ lost: 0 });
		expect(counts.get("open")?.generated).toBeGreaterThanOrEqual(10_000);
	});

	it("counts what is refused on purpose", async () => {
		const simulated = new Harness({ off: otherOpens, simulateLoss: 4, kinds: [] });
		harness = simulated;
		await run(trigger, ["opens", "4000", "/etc/hostname"]);
		const opens = identity(simulated).get("open");
		expect(opens?.lost).toBeGreaterThan(750);
		expect(opens?.lost).toBeLessThan(1250);
	});
});

describe("interest", () => {
	it("keeps read-only opens nobody asks for in the kernel, and lets through those somebody does", async () => {
		const picky = new Harness({
			off: otherOpens,
			kinds: ["open", "exit"],
			interest: {
				...noInterest,
				kinds: new Set(["exec", "fork", "exit", "open"]),
				writeOpens: "all",
				failedOpens: false,
				readOpens: {
					exact: ["/etc/hostname"],
					prefixes: ["/usr/share/"],
					names: ["passwd"],
					suffixes: ["/etc/group"],
				},
			},
		});
		harness = picky;
		const script =
			": </etc/hostname; : </etc/hosts; : </etc/passwd; : </etc/group; : </usr/share/doc; : >/dev/null; : </nothing";
		const { pid } = await run("/bin/sh", ["-c", script]);
		const paths = (await picky.of(pid)).flatMap((event) => (event.open ? [event.open.path] : []));
		expect(paths).toEqual(["/etc/hostname", "/etc/passwd", "/etc/group", "/usr/share/doc", "/dev/null"]);
	});
});

describe("scope", () => {
	it("by path leaves out opens elsewhere", async () => {
		const scoped = new Harness({
			off: otherOpens,
			kinds: ["open", "exit"],
			scope: { pids: [process.pid], cgroups: [], paths: ["/etc"] },
		});
		harness = scoped;
		const { pid } = await run("/bin/sh", ["-c", ": </etc/hostname; : </usr/bin/env; : </proc/version"]);
		const paths = (await scoped.of(pid)).flatMap((event) =>
			event.open?.result === "SUCCESS" ? [event.open.path] : [],
		);
		expect(paths).toContain("/etc/hostname");
		expect(paths.every((path) => path?.startsWith("/etc/"))).toBe(true);
	});

	it("by cgroup watches what runs in it or below, and nothing else", async () => {
		const mount = findMounts(readFileSync("/proc/self/mountinfo", "utf8")).mount ?? "";
		const own = `/picket-test-${process.pid}`;
		mkdirSync(`${mount}${own}/below`, { recursive: true });
		try {
			const scoped = new Harness({
				off: otherOpens,
				kinds: ["exec", "exit"],
				scope: { pids: [], cgroups: [own], paths: [] },
				cgroupRoot: mount,
			});
			harness = scoped;
			await run(trigger, ["exit", "0"]);
			const enter = `echo $$ > ${mount}${own}/below/cgroup.procs; exec ${trigger} exit 3`;
			const { pid } = await run("/bin/sh", ["-c", enter]);
			expect((await scoped.of(pid)).filter((event) => event.exec).map((event) => event.exec?.path)).toEqual([
				trigger,
			]);
			expect(scoped.events.every((event) => event.process?.pid === pid)).toBe(true);
		} finally {
			rmdirSync(`${mount}${own}/below`);
			rmdirSync(`${mount}${own}`);
		}
	});

	it("by process leaves out all others", async () => {
		const unconcerned = spawn("sleep", ["60"], { stdio: "ignore" });
		try {
			const other = new Harness({
				off: otherOpens,
				kinds: ["exec", "exit"],
				scope: { pids: [unconcerned.pid ?? 0], cgroups: [], paths: [] },
			});
			harness = other;
			await run(trigger, ["exit", "0"]);
			other.capture.flush();
			expect(other.events).toEqual([]);
			expect(other.capture.counters().get("exec")?.generated).toBe(0);
		} finally {
			unconcerned.kill("SIGKILL");
		}
	});
});

describe("a program the kernel does not take", () => {
	it("costs its capability, which is said, and nothing else", async () => {
		const less = new Harness({ off: ["connect"], kinds: ["exec", "exit"] });
		harness = less;
		const { pid } = await run(trigger, ["exit", "0"]);
		expect((await less.of(pid)).some((event) => event.exec)).toBe(true);
		const connect = less.capture.capabilities().find((capability) => capability.name === "connect");
		expect(connect).toMatchObject({ available: false, lost: "outgoing connections (switched off)" });
		expect(connect?.remedy).not.toBe("");
	});

	it("that is required ends the start with what is missing and what is needed", () => {
		expect(() => new Harness({ off: ["exec"] })).toThrow(/cannot report executions/);
	});
});
