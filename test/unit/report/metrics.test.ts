// The page that Prometheus reads, and the answer to whether the sensor is well.
import { request } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { illnesses, metricsText } from "../../../agent/report/metrics.ts";
import { type MetricsServer, startMetricsServer } from "../../../agent/report/metrics-server.ts";

const status: wire.Status = {
	version: "0.1",
	started: "2026-11-21T10:00:00Z",
	kernel: '6.1 "odd"\nname\\',
	architecture: "x64",
	mode: "observe",
	rules: { evaluable: 98, degraded: 1, notEvaluable: 2, error: 0, contentHash: "aa", suspended: ["x"] },
	counters: [
		{
			class: "exec",
			generated: "10",
			delivered: "7",
			lost: "1",
			limited: "0",
			suppressed: "0",
			pending: "2",
		},
	],
	tables: [{ name: "processes", size: "5", capacity: "100", evicted: "3" }],
	sinks: [{ name: "stdout", connected: true, sent: "4", queued: "0", lost: "0" }],
	capabilities: [{ name: "exec", tier: "tracepoint", available: true }],
	alerts: "9",
	problems: ["one"],
	resources: { cpuSeconds: 1.5, residentBytes: "1048576" },
};

/** The text format, version 0.0.4: families with their help and type first, samples with quoted labels. */
function parse(page: string): Map<string, number> {
	const found = new Map<string, number>();
	let family = "";
	for (const line of page.split("\n").slice(0, -1)) {
		const comment = /^# (HELP|TYPE) ([a-z_]+) (.+)$/.exec(line);
		if (comment) {
			if (comment[1] === "HELP") family = comment[2] ?? "";
			else expect(comment[3]).toMatch(/^(counter|gauge)$/);
			expect(comment[2]).toBe(family);
			continue;
		}
		const sample = /^([a-z_]+)(\{(?:[a-z0-9_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?[\d.e+]+)$/.exec(line);
		if (!sample) throw new Error(`no sample: ${line}`);
		expect(sample[1]).toBe(family);
		const key = `${sample[1]}${sample[2] ?? ""}`;
		expect(found.has(key), key).toBe(false);
		found.set(key, Number(sample[3]));
	}
	return found;
}

describe("the page", () => {
	it("holds every number under its name, once, in a form that can be read", () => {
		const page = parse(metricsText(status, "bb"));
		expect(page.get('picket_events_total{kind="exec",state="delivered"}')).toBe(7);
		expect(page.get('picket_rules{status="suspended"}')).toBe(1);
		expect(page.get('picket_table_evicted_total{table="processes"}')).toBe(3);
		expect(page.get('picket_sink_connected{sink="stdout"}')).toBe(1);
		expect(page.get('picket_capability_available{capability="exec",tier="tracepoint"}')).toBe(1);
		expect(page.get("picket_alerts_total")).toBe(9);
		expect(page.get("picket_problems")).toBe(1);
		expect(page.get("process_resident_memory_bytes")).toBe(1_048_576);
		expect(page.get("picket_start_time_seconds")).toBe(Date.parse("2026-11-21T10:00:00Z") / 1000);
	});

	it("cannot be forged by a name", () => {
		const info = [...parse(metricsText(status, "bb")).keys()].find((key) => key.startsWith("picket_info"));
		expect(info).toContain('kernel="6.1 \\"odd\\"\\nname\\\\"');
	});
});

describe("the sensor is ill", () => {
	it("when no rule is in force, or events wait and nobody reads them", () => {
		expect(illnesses(status, undefined)).toEqual([]);
		expect(illnesses({ ...status, rules: {} }, undefined)).toEqual(["no rule is in force"]);
		expect(illnesses(status, status)).toEqual(["events of kind exec are not read"]);
		const read = { ...status, counters: [{ ...status.counters?.[0], delivered: "8" }] };
		expect(illnesses(read, status)).toEqual([]);
	});
});

let server: MetricsServer | undefined;
afterEach(async () => {
	await server?.close();
	server = undefined;
});

function ask(
	port: number,
	path: string,
	method = "GET",
): Promise<{ code: number; type: string; body: string }> {
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
		let now = status;
		server = await startMetricsServer({
			host: "127.0.0.1",
			port: 0,
			status: () => now,
			policyHash: () => "bb",
			lookMs: 20,
		});
		const { port } = server;
		const metrics = await ask(port, "/metrics?x=1");
		expect(metrics).toMatchObject({ code: 200, type: "text/plain; version=0.0.4; charset=utf-8" });
		expect(parse(metrics.body).size).toBeGreaterThan(20);
		await expect.poll(async () => (await ask(port, "/healthz")).code).toBe(503);
		now = { ...status, counters: [] };
		await expect.poll(async () => (await ask(port, "/healthz")).body).toBe('{"status":"ok","reasons":[]}\n');
		expect((await ask(port, "/")).code).toBe(404);
		expect((await ask(port, "/metrics", "POST")).code).toBe(405);
		await expect(
			startMetricsServer({ host: "127.0.0.1", port, status: () => status, policyHash: () => "" }),
		).rejects.toMatchObject({ code: "LISTEN" });
	});
});
