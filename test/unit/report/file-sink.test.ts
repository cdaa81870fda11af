// Files of records that rotate by themselves, and sinks that get only part of the records.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { filtered } from "../../../agent/report/filtered.ts";
import { createFileSink } from "../../../agent/report/lines.ts";
import type { Sink } from "../../../agent/report/sinks.ts";
import { silent } from "./samples.ts";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-file-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const options = { clock: Date.now, logger: silent, report: () => undefined };
const alertOf = (summary: string, severity = "SEVERITY_LOW") =>
	({ sequence: "1", alert: { summary, severity } }) as wire.OutputRecord;
const linesOf = (name: string) =>
	readFileSync(join(folder, name), "utf8")
		.trim()
		.split("\n")
		.map((line) => (JSON.parse(line) as wire.OutputRecord).alert?.summary ?? "");

describe("a file of records", () => {
	it("is moved aside before it is too large, and as many older ones are kept as asked for", async () => {
		const sink = createFileSink(
			{ name: "file", path: join(folder, "alerts"), rotate: { bytes: 2000, keep: 2 } },
			options,
		);
		for (let i = 0; i < 40; i++) {
			sink.push(alertOf(`${i} ${"x".repeat(400)}`));
			await expect.poll(() => sink.status().queued).toBe("0");
		}
		await sink.close();
		expect(readdirSync(folder).sort()).toEqual(["alerts", "alerts.1", "alerts.2"]);
		const numbers = ["alerts.2", "alerts.1", "alerts"].flatMap((name) =>
			linesOf(name).map(Number.parseFloat),
		);
		// One after the other without a hole, up to the newest.
		expect(numbers).toEqual(numbers.map((_, index) => 40 - numbers.length + index));
		for (const name of readdirSync(folder)) {
			expect(readFileSync(join(folder, name)).length).toBeLessThanOrEqual(2000);
		}
	});

	it("without older ones is begun anew", async () => {
		const sink = createFileSink(
			{ name: "file", path: join(folder, "alerts"), rotate: { bytes: 1000, keep: 0 } },
			options,
		);
		for (let i = 0; i < 5; i++) {
			sink.push(alertOf(`${i} ${"x".repeat(400)}`));
			await expect.poll(() => sink.status().queued).toBe("0");
		}
		await sink.close();
		expect(readdirSync(folder)).toEqual(["alerts"]);
		expect(linesOf("alerts").at(-1)).toMatch(/^4 /);
	});
});

describe("a filter", () => {
	it("lets through the kinds asked for, and alerts from a severity on", () => {
		const got: wire.OutputRecord[] = [];
		const inner = { name: "x", push: (record: wire.OutputRecord) => got.push(record) } as unknown as Sink;
		const sink = filtered(inner, { kinds: new Set(["alert", "gap"]), severity: "medium" });
		expect(sink.name).toBe("x");
		sink.push(alertOf("low"));
		sink.push(alertOf("medium", "SEVERITY_MEDIUM"));
		sink.push(alertOf("critical", "SEVERITY_CRITICAL"));
		sink.push(alertOf("of a later version", "SEVERITY_APOCALYPTIC"));
		sink.push({ sequence: "2", event: {} });
		sink.push({ sequence: "3", gap: {} });
		sink.push({ sequence: "4" });
		expect(got.map(({ alert, sequence }) => alert?.summary ?? sequence)).toEqual([
			"medium",
			"critical",
			"of a later version",
			"3",
		]);
	});
});
