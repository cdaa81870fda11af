// The page as Prometheus' own client library reads it, and the answer to whether the sensor is well.
import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { illnesses, metricsText } from "../../../agent/report/metrics.ts";
import { createMetrics, type Metrics, type MetricsOptions } from "../../../agent/uplink/metrics.ts";
import { type ReadSample, readPage } from "./prometheus.ts";

const status: wire.Status = {
	version: "0.1",
	started: "2026-11-21T10:00:00.500Z",
	kernel: "6.1",
	architecture: "x64",
	mode: "observe",
	rules: {
		evaluable: 98,
		degraded: 1,
		notEvaluable: 2,
		error: 0,
		contentHash: "aa",
		suspended: ["x"],
		limited: { Noisy: "12" },
	},
	counters: [
		{
			class: "exec",
			generated: "10",
			delivered: "6",
			lost: "1",
			limited: "1",
			suppressed: "1",
			pending: "2",
		},
		{ class: "open", generated: "18446744073709551615", delivered: "0" },
	],
	tables: [{ name: "processes", size: "5", capacity: "100", evicted: "3" }],
	sinks: [
		{ name: "stdout", connected: true, sent: "4", acknowledged: "3", queued: "1", lost: "0" },
		{ name: "syslog:tcp:logs:601", connected: false, sent: "0", acknowledged: "0", queued: "9", lost: "2" },
	],
	capabilities: [{ name: "exec", tier: "tracepoint", available: true }],
	alerts: "9",
	actions: "2",
	problems: ["one"],
	resources: { cpuSeconds: 1.5, residentBytes: "1048576" },
	lagMs: 1500,
	canary: { time: "2026-11-21T10:01:00Z", seen: true, seconds: 0.25, sent: "5", missed: "1" },
	spool: {
		records: "7",
		bytes: "700",
		capacityBytes: "1000",
		dropped: { event: "3" },
		quarantined: "1",
		oldest: "2026-11-21T10:00:30Z",
	},
	uplink: { pid: 9, restarts: 4, residentBytes: "2048", problem: "" },
};

function numberOf(page: ReadSample[], name: string, labels: Record<string, string> = {}): number | undefined {
	const wanted = JSON.stringify(Object.entries(labels).sort());
	return page.find(
		(each) => each.name === name && JSON.stringify(Object.entries(each.labels).sort()) === wanted,
	)?.value;
}

describe("the page", () => {
	const page = readPage(metricsText(status, "bb"));

	it.each<[string, Record<string, string>, number]>([
		["picket_start_time_seconds", {}, Date.parse("2026-11-21T10:00:00.500Z") / 1000],
		["picket_events_generated_total", { kind: "exec" }, 10],
		["picket_events_delivered_total", { kind: "exec" }, 6],
		["picket_events_lost_total", { kind: "exec" }, 1],
		["picket_events_limited_total", { kind: "exec" }, 1],
		["picket_events_suppressed_total", { kind: "exec" }, 1],
		["picket_events_pending", { kind: "exec" }, 2],
		["picket_events_generated_total", { kind: "open" }, 2 ** 64],
		["picket_event_lag_seconds", {}, 1.5],
		["picket_alerts_total", {}, 9],
		["picket_alerts_held_back_total", { rule: "Noisy" }, 12],
		["picket_actions_total", {}, 2],
		["picket_rules", { status: "suspended" }, 1],
		["picket_table_entries", { table: "processes" }, 5],
		["picket_table_capacity", { table: "processes" }, 100],
		["picket_table_evicted_total", { table: "processes" }, 3],
		["picket_sink_connected", { sink: "stdout" }, 1],
		["picket_sink_connected", { sink: "syslog:tcp:logs:601" }, 0],
		["picket_sink_acknowledged_total", { sink: "stdout" }, 3],
		["picket_sink_lost_total", { sink: "syslog:tcp:logs:601" }, 2],
		["picket_canary_seen", {}, 1],
		["picket_canary_delay_seconds", {}, 0.25],
		["picket_canary_missed_total", {}, 1],
		["picket_spool_records", {}, 7],
		["picket_spool_capacity_bytes", {}, 1000],
		["picket_spool_dropped_total", { kind: "event" }, 3],
		["picket_spool_quarantined_total", {}, 1],
		["picket_spool_up", {}, 1],
		["picket_uplink_restarts_total", {}, 4],
		["picket_uplink_up", {}, 1],
		["picket_capability_available", { capability: "exec", tier: "tracepoint" }, 1],
		["picket_problems", {}, 1],
		["process_cpu_seconds_total", {}, 1.5],
		["process_resident_memory_bytes", {}, 1_048_576],
	])("holds %s %j", (name, labels, value) => {
		expect(numberOf(page, name, labels)).toBe(value);
	});

	it("names what runs and what is in force", () => {
		expect(page.find(({ name }) => name === "picket_info")?.labels).toEqual({
			version: "0.1",
			kernel: "6.1",
			architecture: "x64",
			mode: "observe",
			rules_sha256: "aa",
			policy_sha256: "bb",
		});
	});

	it("keeps Prometheus' conventions: counters end with _total and nothing else does, each has a help", () => {
		for (const { name, type, help } of page) {
			expect(type, name).toMatch(/^(counter|gauge)$/);
			expect(name.endsWith("_total"), name).toBe(type === "counter");
			expect(help, name).not.toBe("");
			expect(name).toMatch(/^(picket|process)_[a-z_]+$/);
			expect(name).not.toMatch(/_ms|milliseconds|kilobytes|megabytes/);
		}
	});

	it("of a sensor that says little is a page all the same", () => {
		const bare = readPage(metricsText({}, ""));
		expect(numberOf(bare, "picket_alerts_total")).toBe(0);
		expect(bare.some(({ name }) => /canary|spool|uplink/.test(name))).toBe(false);
	});
});

describe("the sensor is ill", () => {
	const of = (more: wire.Status, before?: wire.Status) => illnesses({ ...status, ...more }, before);

	it.each<[string, wire.Status, string[]]>([
		["nothing is wrong", {}, []],
		["no rule is in force", { rules: {} }, ["no rule is in force"]],
		[
			"executions are not seen",
			{ capabilities: [{ name: "exec", available: false }] },
			["executions are not captured"],
		],
		["events are late", { lagMs: 45_000 }, ["events are judged 45 s late"]],
		[
			"the canary did not come back",
			{ canary: { sent: "2", seen: false, problem: "lost on the way" } },
			["the last canary did not come back: lost on the way"],
		],
		["there can be no canary", { canary: { sent: "0", seen: false, problem: "a scope is set" } }, []],
		["somebody tampers", { problems: ["tampering: a program is gone"] }, ["tampering: a program is gone"]],
		["only a receiver is away", { problems: ["syslog:x: ECONNREFUSED"] }, []],
	])("when %s", (_, more, reasons) => {
		expect(of(more)).toEqual(reasons);
	});

	it("when events wait and nobody reads them from one look to the next", () => {
		expect(of({}, status)).toEqual(["events of kind exec are not read"]);
		expect(of({ counters: [{ ...status.counters?.[0], delivered: "8" }] }, status)).toEqual([]);
	});
});

let server: Metrics | undefined;
afterEach(async () => {
	await server?.close();
	server = undefined;
});

async function serve(options: Partial<MetricsOptions>): Promise<number> {
	server = await createMetrics({
		listen: "127.0.0.1:0",
		status: () => status,
		policyHash: () => "bb",
		...options,
	});
	return server.port;
}

interface Answer {
	readonly code: number;
	readonly type: string;
	readonly body: string;
}

function ask(port: number, path: string, method = "GET"): Promise<Answer> {
	return new Promise((resolve, reject) => {
		const asked = request({ host: "127.0.0.1", port, path, method }, (response) => {
			let body = "";
			response.setEncoding("utf8").on("data", (part: string) => {
				body += part;
			});
			response.on("end", () =>
				resolve({ code: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", body }),
			);
		});
		asked.on("error", reject);
		asked.end();
	});
}

describe("over HTTP", () => {
	it("metrics and health are answered, and nothing else", async () => {
		const port = await serve({});
		const metrics = await ask(port, "/metrics?x=1");
		expect(metrics).toMatchObject({ code: 200, type: "text/plain; version=0.0.4; charset=utf-8" });
		expect(numberOf(readPage(metrics.body), "picket_up")).toBe(1);
		expect(await ask(port, "/healthz")).toMatchObject({ code: 200, body: '{"status":"ok","reasons":[]}\n' });
		expect((await ask(port, "/metrics", "HEAD")).body).toBe("");
		expect((await ask(port, "/")).code).toBe(404);
		expect((await ask(port, "/metrics", "POST")).code).toBe(405);
		await expect(
			createMetrics({ listen: `127.0.0.1:${port}`, status: () => status, policyHash: () => "" }),
		).rejects.toMatchObject({ code: "LISTEN" });
	});

	it("health is 503 with reasons as soon as the status says so, and 200 again after it", async () => {
		let now = status;
		const port = await serve({ status: () => now, lookMs: 20 });
		now = { ...status, rules: {}, canary: { sent: "1", seen: false } };
		expect(await ask(port, "/healthz")).toMatchObject({
			code: 503,
			body: '{"status":"failing","reasons":["no rule is in force","the last canary did not come back"]}\n',
		});
		now = { ...status };
		// The same waiting events in two looks, one after the other.
		await expect.poll(async () => (await ask(port, "/healthz")).code).toBe(200);
		await new Promise((resolve) => setTimeout(resolve, 60));
		now = { ...status };
		await expect.poll(async () => (await ask(port, "/healthz")).body).toContain("exec are not read");
		now = { ...status, counters: [] };
		await expect.poll(async () => (await ask(port, "/healthz")).code).toBe(200);
	});

	it("a sensor that has fallen silent is not well, and its old numbers are not told", async () => {
		let now: wire.Status | undefined;
		const port = await serve({ status: () => now, staleMs: 200 });
		expect((await ask(port, "/healthz")).body).toContain("nothing of itself yet");
		now = status;
		expect((await ask(port, "/healthz")).code).toBe(200);
		await expect.poll(async () => (await ask(port, "/healthz")).code, { timeout: 5000 }).toBe(503);
		const page = readPage((await ask(port, "/metrics")).body);
		expect(page.map(({ name, value }) => [name, value])).toEqual([["picket_up", 0]]);
		now = { ...status };
		expect((await ask(port, "/healthz")).code).toBe(200);
	});
});
