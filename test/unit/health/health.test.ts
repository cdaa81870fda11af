import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { countCapabilities, doctorJson, renderDoctor } from "../../../agent/health/doctor.ts";
import { distributionOf, type HostFacts, readHost } from "../../../agent/health/host.ts";
import {
	createResourceMeter,
	parseStat,
	type ResourceReading,
	readResources,
} from "../../../agent/health/resources.ts";
import { imbalance, judge, renderStatus } from "../../../agent/health/status.ts";
import { createServiceNotifier } from "../../../agent/health/systemd.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";

describe("resources", () => {
	const reading = (ownSeconds: number, childSeconds = 0): ResourceReading => ({
		ownSeconds,
		childSeconds,
		residentBytes: 1000,
		children: [7],
	});

	test("the share is that of the last five seconds, children included", () => {
		let now = 0;
		let next = reading(100, 1);
		const meter = createResourceMeter(
			() => now,
			() => next,
		);
		expect(meter()).toEqual({ cpuSeconds: 101, cpuShare: 0, residentBytes: "1000", children: [7] });
		for (let second = 1; second <= 20; second++) {
			now = second * 1000;
			// Busy for ten seconds, then a tenth of that.
			next = second <= 10 ? reading(100 + second * 0.5, 1) : reading(105 + (second - 10) * 0.05, 1);
			const { cpuShare } = meter();
			if (second === 10) expect(cpuShare).toBeCloseTo(0.5, 6);
		}
		expect(meter().cpuShare).toBeCloseTo(0.05, 6);
	});

	test("a clock that is set back gives no negative share", () => {
		let now = 10_000;
		const meter = createResourceMeter(
			() => now,
			() => reading(now / 1000),
		);
		meter();
		now = 5000;
		expect(meter().cpuShare).toBe(0);
	});

	test("CPU seconds never go down, also when a child's time is out of sight", () => {
		let next = reading(1, 5);
		const meter = createResourceMeter(
			() => 0,
			() => next,
		);
		meter();
		next = reading(2, 0);
		expect(meter().cpuSeconds).toBe(6);
	});

	test("this process is read as it is", () => {
		const { ownSeconds, residentBytes, children } = readResources();
		expect(ownSeconds).toBeGreaterThan(0);
		expect(residentBytes).toBeGreaterThan(10_000_000);
		expect(Array.isArray(children)).toBe(true);
	});

	test("a process name full of spaces and brackets does not shift the numbers", () => {
		const fields = ["S", ...Array.from({ length: 48 }, (_, index) => String(index + 4))];
		const stat = parseStat(`12 (a) b (c) 9 9) ${fields.join(" ")}`);
		expect(stat).toEqual({ seconds: 0.29, waitedSeconds: 0.33, residentBytes: 24 * 4096 });
		expect(parseStat("nonsense")).toBeUndefined();
	});
});

describe("service notifier", () => {
	const environment = { NOTIFY_SOCKET: "/run/systemd/notify", WATCHDOG_USEC: "3000000", WATCHDOG_PID: "42" };

	test("tells ready with a status, and a changed status only", () => {
		const sent: string[] = [];
		const notifier = createServiceNotifier({ notify: (text) => sent.push(text), environment, pid: 42 });
		notifier.ready("watching");
		notifier.status("12 alerts\nWATCHDOG=trigger");
		notifier.status("12 alerts\nWATCHDOG=trigger");
		notifier.stopping();
		expect(sent).toEqual(["READY=1\nSTATUS=watching", "STATUS=12 alerts WATCHDOG=trigger", "STOPPING=1"]);
	});

	test("a reload carries the time it began", () => {
		const sent: string[] = [];
		const notifier = createServiceNotifier({
			notify: (text) => sent.push(text),
			environment,
			monotonicMicroseconds: () => 123n,
		});
		notifier.reloading();
		expect(sent).toEqual(["RELOADING=1\nMONOTONIC_USEC=123"]);
	});

	test("the watchdog is fed three times in its time, and not while the sensor is unwell", () => {
		vi.useFakeTimers();
		try {
			const sent: string[] = [];
			let healthy = true;
			const notifier = createServiceNotifier({ notify: (text) => sent.push(text), environment, pid: 42 });
			expect(notifier.watchdogMs).toBe(3000);
			notifier.watch(() => healthy);
			vi.advanceTimersByTime(3000);
			expect(sent).toEqual(Array(4).fill("WATCHDOG=1"));
			healthy = false;
			vi.advanceTimersByTime(10_000);
			expect(sent).toHaveLength(4);
			notifier.close();
		} finally {
			vi.useRealTimers();
		}
	});

	test("a watchdog meant for another process, and no systemd at all, are left alone", () => {
		const notify = vi.fn();
		expect(createServiceNotifier({ notify, environment, pid: 43 }).watchdogMs).toBe(0);
		const alone = createServiceNotifier({ notify, environment: {} });
		alone.ready("x");
		expect(alone.active).toBe(false);
		expect(notify).not.toHaveBeenCalled();
	});

	test("a notification that fails is told once and does not throw", () => {
		const onProblem = vi.fn();
		const notify = (): void => {
			throw new Error("ECONNREFUSED");
		};
		const notifier = createServiceNotifier({ notify, environment, onProblem });
		notifier.status("a");
		notifier.status("b");
		expect(onProblem).toHaveBeenCalledTimes(1);
	});
});

describe("host", () => {
	test("facts are read from the files of the host", async () => {
		const root = mkdtempSync(join(tmpdir(), "host-"));
		mkdirSync(join(root, "proc/sys/kernel/random"), { recursive: true });
		mkdirSync(join(root, "etc"));
		writeFileSync(join(root, "proc/sys/kernel/random/boot_id"), "0b00-1d\n");
		writeFileSync(join(root, "proc/sys/kernel/hostname"), "web-01\n");
		writeFileSync(join(root, "etc/os-release"), 'NAME="Debian"\nPRETTY_NAME="Debian 13 \\"x\\""\n');
		const host = await readHost(root);
		expect(host).toMatchObject({ hostname: "web-01", bootId: "0b00-1d", distribution: 'Debian 13 "x"' });
		expect(host.memoryBytes).toBeGreaterThan(0);
		expect(host.architecture).toMatch(/^(x86_64|aarch64)$/);
		rmSync(root, { recursive: true });
	});

	test("files that are not there leave empty fields", async () => {
		const host = await readHost("/nonexistent");
		expect(host.bootId).toBe("");
		expect(host.distribution).toBe("");
		expect(host.hostname).not.toBe("");
	});

	test.each([
		["ID=alpine\nNAME=Alpine\nVERSION_ID=3.20\n", "Alpine 3.20"],
		["PRETTY_NAME='Arch Linux'\n", "Arch Linux"],
		["", ""],
		["# PRETTY_NAME=no\ngarbage", ""],
	])("the distribution in %j is %j", (text, expected) => {
		expect(distributionOf(text)).toBe(expected);
	});
});

describe("status", () => {
	const now = Date.parse("2026-01-01T02:00:00Z");
	const well: wire.Status = {
		version: "0.1.0",
		started: "2026-01-01T00:00:00Z",
		mode: "observe",
		pid: 812,
		counters: [
			{ class: "exec", generated: "10", delivered: "10" },
			{
				class: "open",
				generated: "18446744073709551615",
				delivered: "18446744073709551000",
				suppressed: "610",
				pending: "5",
			},
		],
		rules: { evaluable: 91, degraded: 2 },
		sinks: [{ name: "console:ops", connected: true, sent: "5", acknowledged: "5" }],
		tables: [{ name: "processes", size: "512", capacity: "1024" }],
		resources: { cpuShare: 0.018, cpuSeconds: 45, residentBytes: "82000000" },
		capabilities: [{ name: "exec", available: true }],
		alerts: "3",
		eventRate: 1204,
	};

	test("the first line says that all is well, and the rest shows every counter", () => {
		const text = renderStatus(well, { now });
		expect(text.split("\n")[0]).toBe(
			"Picket 0.1.0 is healthy: observing (responses are only told), up 2h, nothing lost.",
		);
		expect(text).toContain("18,446,744,073,709,551,615");
		expect(text).toMatch(/open .* adds up/);
		expect(text).toMatch(/processes +512 +1,024 +50 %/);
		expect(text).toContain("3 alerts, 0 actions so far");
		expect(text).toContain("1.8 % of a core now, 45 s in all");
	});

	test("kinds of events that have not happened take no line, and are in the sum", () => {
		const one = { class: "exec", generated: "2", delivered: "2", lost: "0", pending: "0" };
		const counters = [one, { ...one, class: "mount", generated: "0", delivered: "0" }];
		const text = renderStatus({ ...well, counters }, { now });
		expect(text).toMatch(/^ +exec .* adds up$/m);
		expect(text).toMatch(/^ +all +2 +2 .* adds up$/m);
		expect(text).not.toContain("mount");
	});

	test("counters that do not add up are a problem, whatever else is well", () => {
		const counters = [{ class: "exec", generated: "10", delivered: "8", lost: "0", pending: "1" }];
		expect(imbalance(counters[0] ?? {})).toBe(1n);
		const text = renderStatus({ ...well, counters }, { now });
		expect(text.split("\n")[0]).toContain("NOT healthy");
		expect(text).toContain("exec do not add up by 1");
		expect(text).toContain("OFF BY 1");
	});

	test("a loss is in the first line, and a problem with a remedy when it is more than a trace", () => {
		const trace = { class: "open", generated: "1000000", delivered: "999999", lost: "1" };
		expect(renderStatus({ ...well, counters: [trace] }, { now }).split("\n")[0]).toMatch(
			/is healthy.*1 event lost/,
		);
		const much = { class: "open", generated: "1000", delivered: "900", lost: "100" };
		expect(judge({ ...well, counters: [much] })).toEqual({
			healthy: false,
			problems: [expect.stringMatching(/100 open.*load fewer rules/)],
		});
	});

	test.each<[string, wire.Status, RegExp]>([
		[
			"a sink that is down",
			{ sinks: [{ name: "file", connected: false, problem: "ENOSPC" }] },
			/sink file: ENOSPC/,
		],
		[
			"a sink that loses",
			{ sinks: [{ name: "web", connected: true, lost: "9" }] },
			/sink web has lost 9 records/,
		],
		["a rule with an error", { rules: { evaluable: 5, error: 1 } }, /1 rule could not.*rules check/],
		["no rule that can fire", { rules: { notEvaluable: 5 } }, /no rule.*rules list/],
		[
			"a table that overflows",
			{ tables: [{ name: "t", size: "10", capacity: "10", evicted: "2" }] },
			/table t is full/,
		],
		["what the sensor says itself", { problems: ["no BTF: install it"] }, /no BTF: install it/],
	])("%s is named", (_, change, expected) => {
		const { healthy, problems } = judge({ ...well, ...change });
		expect(healthy).toBe(false);
		expect(problems.join("\n")).toMatch(expected);
	});

	test("nothing from outside reaches the terminal as a control character", () => {
		const evil = "\x1b]0;owned\x07\n\u202e";
		const text = renderStatus(
			{
				...well,
				mode: evil,
				problems: [evil],
				sinks: [{ name: evil, problem: evil }],
				tables: [{ name: evil }],
				counters: [{ class: evil, generated: "1" }],
				kernel: evil,
			},
			{ now },
		);
		// biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for
		expect(text.replaceAll("\n", "")).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
	});

	test("a sensor that tells nothing is still shown", () => {
		expect(renderStatus({}, { now })).toBe("Picket is healthy: running, nothing lost.");
	});
});

describe("doctor", () => {
	const host: HostFacts = {
		hostname: "web-01",
		kernel: "6.12.48",
		distribution: "Debian GNU/Linux 13",
		bootId: "x",
		architecture: "x86_64",
		memoryBytes: 8e9,
		processors: 4,
	};
	const capabilities: wire.Capability[] = [
		{ name: "exec", available: true, tier: "lsm" },
		{ name: "open", available: true, tier: "tracepoint", lost: "refusal", remedy: "boot with lsm=bpf" },
		{ name: "container-names", lost: "names of containers", remedy: "start Docker" },
	];

	test("columns are aligned, and what is lost has its remedy", () => {
		const lines = renderDoctor({ version: "0.1.0", host, capabilities }, 100).split("\n");
		expect(lines[0]).toBe(
			"Picket 0.1.0 on web-01: Debian GNU/Linux 13, kernel 6.12.48, x86_64, 4 CPUs, 8.0 GB",
		);
		expect(lines).toContain("  yes     lsm         exec");
		expect(lines).toContain("  partly  tracepoint  open");
		expect(lines).toContain("  NO      -           container-names");
		expect(lines).toContain("  - container-names: names of containers → start Docker");
		expect(lines.at(-1)).toBe(
			"1 of 3 capabilities work here in full, 1 in part, 1 not at all (container-names).",
		);
	});

	test("long texts are broken under their column", () => {
		const lost = "word ".repeat(40).trim();
		const lines = renderDoctor({ version: "0", host, capabilities: [{ name: "a", lost }] }, 60).split("\n");
		const told = lines.slice(2, -2);
		for (const line of told) expect(line.length).toBeLessThanOrEqual(60);
		expect(told.join(" ").match(/word/g)).toHaveLength(40);
	});

	test("what has the same way and the same loss is told together", () => {
		const lost = "a few ns";
		const many = ["a", "b", "c"].map((name) => ({
			name,
			available: true,
			tier: "tracepoint",
			lost,
			remedy: "patience",
		}));
		const lines = renderDoctor({ version: "0", host, capabilities: many }, 100).split("\n");
		expect(lines).toContain("  partly  tracepoint  a, b, c");
		expect(lines).toContain("  - a, b, c: a few ns → patience");
	});

	test("a host where everything works says just that", () => {
		const text = renderDoctor({ version: "0", host, capabilities: capabilities.slice(0, 1) });
		expect(text).toContain("The one capability works here in full.");
		expect(text).not.toContain("bring it back");
	});

	test("JSON holds every capability with a plain yes or no, and the totals", () => {
		const parsed = JSON.parse(doctorJson({ version: "0.1.0", host, capabilities }));
		expect(parsed.capabilities.map((one: wire.Capability) => one.available)).toEqual([true, true, false]);
		expect(parsed.totals).toEqual({ full: 1, lesser: 1, missing: 1 });
		expect(countCapabilities([])).toEqual({ full: 0, lesser: 0, missing: 0 });
	});
});
