// Files of records that rotate by themselves, and sinks that get only part of the records.
import { execFileSync } from "node:child_process";
import {
	existsSync,
	linkSync,
	lstatSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
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

describe("a file that is none of its own", () => {
	const path = () => join(folder, "alerts");
	const victim = () => join(folder, "victim");
	const attacks: [string, () => void][] = [
		["a symbolic link", () => symlinkSync(victim(), path())],
		["a link to nothing", () => symlinkSync(join(folder, "new"), path())],
		["a hard link", () => linkSync(victim(), path())],
		["a pipe", () => void execFileSync("mkfifo", [path()])],
		["a folder", () => mkdirSync(path())],
	];

	it.each(attacks)("is not written to: %s", async (_, attack) => {
		writeFileSync(victim(), "untouched");
		attack();
		const sink = createFileSink({ name: "file", path: path(), retryMs: 20 }, options);
		sink.push(alertOf("one"));
		await expect.poll(() => sink.status().problem).not.toBe("");
		expect(readFileSync(victim(), "utf8")).toBe("untouched");
		expect(existsSync(join(folder, "new"))).toBe(false);
		rmSync(path(), { recursive: true });
		// The line was kept, and goes into a file that only its owner reads.
		await expect.poll(() => sink.status()).toMatchObject({ queued: "0", problem: "" });
		expect(linesOf("alerts")).toEqual(["one"]);
		expect(lstatSync(path()).mode & 0o777).toBe(0o600);
		await sink.close();
	});

	it("is noticed also when it is put there later, in place of the file", async () => {
		writeFileSync(victim(), "untouched");
		const sink = createFileSink({ name: "file", path: path(), retryMs: 20 }, options);
		sink.push(alertOf("one"));
		await expect.poll(() => sink.status().queued).toBe("0");
		renameSync(path(), join(folder, "moved"));
		symlinkSync(join(folder, "moved"), path());
		sink.push(alertOf("two"));
		await expect.poll(() => sink.status().problem).toMatch(/is a symbolic link: name a file in a folder/);
		rmSync(path());
		await expect.poll(() => sink.status().queued).toBe("0");
		expect(linesOf("alerts")).toEqual(["two"]);
		await sink.close();
	});
});

it("a file that is taken away, renamed or cut by another is followed, without a signal", async () => {
	const path = join(folder, "alerts");
	const sink = createFileSink({ name: "file", path, retryMs: 20 }, options);
	const one = async (word: string): Promise<void> => {
		sink.push(alertOf(word));
		await expect.poll(() => sink.status().queued).toBe("0");
	};
	await one("first");
	renameSync(path, `${path}.old`);
	await one("second");
	rmSync(path);
	await one("third");
	truncateSync(path);
	await one("fourth");
	expect([linesOf("alerts.old"), linesOf("alerts")]).toEqual([["first"], ["fourth"]]);
	await sink.close();
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
