import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Writable } from "node:stream";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { createFolder } from "../../../agent/report/dedup.ts";
import { createFileSink, createStreamSink } from "../../../agent/report/lines.ts";
import { createRecordQueue } from "../../../agent/report/queue.ts";
import { createSequencer, type RecordKind, recordLine } from "../../../agent/report/record.ts";
import { createOutput, type Sink } from "../../../agent/report/sinks.ts";
import { alertRecord, eventRecord, host, listeningLogger, silent } from "./samples.ts";

afterEach(() => void vi.useRealTimers());

const until = (check: () => unknown): Promise<void> =>
	vi.waitFor(
		() => {
			if (!check()) throw new Error(`not yet: ${check}`);
		},
		{ timeout: 5000, interval: 5 },
	);

function lineOptions() {
	const gaps: wire.Gap[] = [];
	return {
		gaps,
		options: {
			clock: Date.now,
			logger: silent,
			report: (gap: wire.Gap) => void gaps.push(gap),
			lossDelayMs: 10,
		},
	};
}

describe("a record as a line", () => {
	test("keeps the order time, host, sequence, kind", () => {
		const record = { alert: { rule: "r" }, sequence: "5", host: "h", time: "2026-01-02T03:04:05Z" };
		expect(recordLine(record)).toBe(
			'{"time":"2026-01-02T03:04:05Z","host":"h","sequence":"5","alert":{"rule":"r"}}',
		);
	});

	test("holds no character that a terminal obeys, and still says the same", () => {
		const rule = "\x1b]0;x\x07 \u009b31m \u202e \u2028 \x7f ü";
		const line = recordLine({ alert: { rule } });
		expect(line).not.toMatch(/[\p{Cc}\u2028-\u202e]/u);
		expect(JSON.parse(line)).toEqual({ alert: { rule } });
	});

	test("is numbered from the host's uptime", () => {
		const next = createSequencer(1_234_567.8);
		expect([next(), next(), next()]).toEqual(["1234567", "1234568", "1234569"]);
		expect(createSequencer(0)()).toBe("1");
	});
});

describe("the queue", () => {
	const item = (sequence: number, kind: RecordKind = "event", bytes = 10) => ({
		sequence,
		kind,
		bytes,
		payload: `${kind}${sequence}`,
	});
	function make(maxRecords: number, maxBytes = 1e9) {
		const lost: string[] = [];
		const queue = createRecordQueue<string>({ maxRecords, maxBytes, lost: (kind) => void lost.push(kind) });
		const all = () => queue.take(1e9, 1e9).map((one) => one.payload);
		return { queue, lost, all };
	}

	test("gives records in order, in the asked amount", () => {
		const { queue, all } = make(100);
		for (let sequence = 1; sequence <= 10; sequence++) queue.push(item(sequence));
		expect(queue.take(3, 1e9).map((one) => one.sequence)).toEqual([1, 2, 3]);
		expect(queue.take(100, 25).map((one) => one.sequence)).toEqual([4, 5]);
		expect(queue.take(100, 1).map((one) => one.sequence)).toEqual([6]);
		expect(all()).toHaveLength(4);
		expect(queue.held).toBe(10);
	});

	test("drops the oldest events first, then alerts, acts and gaps last", () => {
		const { queue, lost, all } = make(4);
		queue.push(item(1, "alert"));
		queue.push(item(2, "action"));
		queue.push(item(3, "event"));
		queue.push(item(4, "alert"));
		queue.push(item(5, "status"));
		expect(lost).toEqual(["event"]);
		queue.push(item(6, "gap"));
		queue.push(item(7, "event"));
		expect(lost).toEqual(["event", "status", "event"]);
		queue.push(item(8, "alert"));
		expect(lost.at(-1)).toBe("alert");
		expect(all()).toEqual(["action2", "alert4", "gap6", "alert8"]);
	});

	test("what is taken is not dropped, goes back in front in its order, and leaves when released", () => {
		const { queue, lost, all } = make(4);
		for (let sequence = 1; sequence <= 4; sequence++) queue.push(item(sequence));
		const taken = queue.take(2, 1e9);
		queue.push(item(5));
		expect(lost).toEqual(["event"]);
		queue.putBack(taken);
		queue.push(item(6));
		expect(queue.held).toBe(4);
		const left = queue.take(1, 1e9);
		queue.release(left);
		expect(left.map((one) => one.sequence)).toEqual([2]);
		expect(queue.heldBytes).toBe(30);
		expect(all()).toEqual(["event4", "event5", "event6"]);
	});

	test("holds to its bytes, and lets a record larger than all of it go", () => {
		const { queue, lost } = make(100, 100);
		queue.push(item(1, "event", 60));
		queue.push(item(2, "event", 60));
		expect(queue.heldBytes).toBe(60);
		queue.push(item(3, "event", 500));
		expect(queue.heldBytes).toBe(0);
		expect(lost).toHaveLength(3);
	});

	test("a flood behind one old alert costs no growing memory", () => {
		const { queue, lost, all } = make(10);
		queue.push(item(0, "alert"));
		const before = process.memoryUsage().heapUsed;
		for (let sequence = 1; sequence <= 300_000; sequence++) queue.push(item(sequence));
		expect(process.memoryUsage().heapUsed - before).toBeLessThan(60 * 1024 * 1024);
		expect(lost).toHaveLength(299_991);
		expect(all()[0]).toBe("alert0");
	});
});

describe("a sink on a stream", () => {
	test("writes a line a record", async () => {
		const stream = new PassThrough();
		const sink = createStreamSink({ name: "stdout", stream }, lineOptions().options);
		sink.push(eventRecord(1));
		sink.push(alertRecord(2));
		await sink.close();
		expect(String(stream.read()).split("\n")).toEqual([
			recordLine(eventRecord(1)),
			recordLine(alertRecord(2)),
			"",
		]);
		expect(sink.status()).toMatchObject({ name: "stdout", sent: "2", queued: "0", lost: "0", problem: "" });
	});

	test("with a reader that stands still keeps a bounded number and tells what it dropped", async () => {
		const waiting: (() => void)[] = [];
		const got: string[] = [];
		const stream = new Writable({
			write(chunk, _encoding, done) {
				got.push(...String(chunk).trimEnd().split("\n"));
				waiting.push(done);
			},
		});
		const { gaps, options } = lineOptions();
		const sink = createStreamSink({ name: "stdout", stream }, { ...options, maxRecords: 50 });
		for (let sequence = 1; sequence <= 500; sequence++) sink.push(eventRecord(sequence));
		expect(Number(sink.status().queued)).toBeLessThanOrEqual(50);
		await until(() => gaps.length > 0);
		const told = Number(gaps[0]?.lost?.[0]?.count);
		expect(gaps[0]).toMatchObject({ where: "sink:stdout", lost: [{ class: "event" }] });
		expect(told).toBeGreaterThanOrEqual(450);
		const free = setInterval(() => waiting.shift()?.(), 1);
		onTestFinished(() => clearInterval(free));
		await until(() => sink.status().queued === "0");
		expect(got.length + told).toBe(500);
		expect(got.at(-1)).toBe(recordLine(eventRecord(500)));
	});

	test("ends quietly when its reader goes away", async () => {
		const gone = vi.fn();
		const stream = new Writable({
			write: (_chunk, _encoding, done) => done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" })),
		});
		const { logger, lines } = listeningLogger();
		const { gaps, options } = lineOptions();
		const sink = createStreamSink({ name: "stdout", stream, onGone: gone }, { ...options, logger });
		sink.push(eventRecord(1));
		await until(() => gone.mock.calls.length > 0);
		for (let sequence = 2; sequence < 100; sequence++) sink.push(eventRecord(sequence));
		await until(() => sink.status().connected === false);
		expect(sink.status()).toMatchObject({ queued: "0", problem: "write EPIPE" });
		await sink.close();
		expect(gone).toHaveBeenCalledTimes(1);
		expect(lines).toEqual([]);
		expect(gaps).toEqual([]);
	});
});

test("a process whose output is piped into head ends quietly too", () => {
	const module = (name: string): string => new URL(`../../../agent/report/${name}.ts`, import.meta.url).href;
	const script = `
		const { createStreamSink } = await import("${module("lines")}");
		const sink = createStreamSink(
			{ name: "stdout", stream: process.stdout, onGone: () => clearInterval(feed) },
			{ clock: Date.now, logger: { info() {}, warn() {} }, report() {} },
		);
		let sequence = 0;
		const feed = setInterval(() => {
			for (let count = 0; count < 500; count++) {
				sink.push({ sequence: String(++sequence), event: { open: { path: "/x" } } });
			}
		}, 1);
		setTimeout(() => process.exit(3), 8000).unref();
	`;
	const shell = 'set -o pipefail; "$0" --input-type=module -e "$1" | head -n 3';
	const run = spawnSync("bash", ["-c", shell, process.execPath, script], { encoding: "utf8" });
	expect(run.stdout.trimEnd().split("\n")).toHaveLength(3);
	expect(run.stderr).toBe("");
	expect(run.status).toBe(0);
}, 15_000);

describe("a sink to a file", () => {
	function folder(): string {
		const made = mkdtempSync(join(tmpdir(), "picket-lines-"));
		onTestFinished(() => rmSync(made, { recursive: true, force: true }));
		return made;
	}

	test("appends whole lines, and follows a rotation", async () => {
		const path = join(folder(), "alerts.jsonl");
		const sink = createFileSink({ name: "file", path }, lineOptions().options);
		sink.push(eventRecord(1));
		await until(() => sink.status().sent === "1");
		renameSync(path, `${path}.1`);
		sink.push(eventRecord(2));
		await sink.close();
		expect(readFileSync(`${path}.1`, "utf8")).toBe(`${recordLine(eventRecord(1))}\n`);
		expect(readFileSync(path, "utf8")).toBe(`${recordLine(eventRecord(2))}\n`);
	});

	test("that cannot be written is tried again, with one line in the log, and nothing is lost", async () => {
		const base = folder();
		const path = join(base, "later", "alerts.jsonl");
		const { logger, lines } = listeningLogger();
		const sink = createFileSink({ name: "file", path, retryMs: 5 }, { ...lineOptions().options, logger });
		sink.push(eventRecord(1));
		await until(() => sink.status().problem?.includes("ENOENT"));
		const { mkdirSync } = await import("node:fs");
		mkdirSync(join(base, "later"));
		await until(() => sink.status().sent === "1");
		sink.push(eventRecord(2));
		await sink.close();
		expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(2);
		expect(lines.map((line) => line.msg)).toEqual(["sink cannot write", "sink works again"]);
	});
});

describe("the fan-out", () => {
	const collecting = (name: string): Sink & { got: wire.OutputRecord[] } => {
		const got: wire.OutputRecord[] = [];
		return {
			name,
			got,
			push: (record) => void got.push(record),
			status: () => ({ name }),
			close: async () => {},
		};
	};
	const make = (logger = silent) =>
		createOutput({ host, sequencer: createSequencer(5), clock: () => 1_750_000_000_250, logger });

	test("numbers and dates a record once and gives it to every sink", () => {
		const output = make();
		const [one, two] = [collecting("one"), collecting("two")];
		output.add(one);
		output.add(two);
		output.emit({ alert: { rule: "r" } });
		output.emit({ event: { id: "e" } }, "2026-01-02T03:04:05Z");
		expect(one.got).toEqual([
			{ time: "2025-06-15T15:06:40.250Z", host, sequence: "5", alert: { rule: "r" } },
			{ time: "2026-01-02T03:04:05Z", host, sequence: "6", event: { id: "e" } },
		]);
		expect(two.got).toEqual(one.got);
		expect(output.statuses()).toEqual([{ name: "one" }, { name: "two" }]);
		expect(() => output.add(collecting("one"))).toThrow(/two sinks named one/);
	});

	test("a sink that throws harms no other and is told once", () => {
		const { logger, lines } = listeningLogger();
		const output = make(logger);
		const good = collecting("good");
		output.add({
			...collecting("bad"),
			push: () => {
				throw new Error("broken");
			},
		});
		output.add(good);
		output.emit({ event: {} });
		output.emit({ event: {} });
		expect(good.got).toHaveLength(2);
		expect(lines).toHaveLength(1);
	});

	test("a gap that a sink reports while it takes a record comes after that record everywhere", () => {
		const output = make();
		const good = collecting("good");
		let first = true;
		output.add({
			...collecting("lossy"),
			push: () => {
				if (first) output.gap({ where: "sink:lossy" });
				first = false;
			},
		});
		output.add(good);
		output.emit({ event: {} });
		expect(good.got.map((record) => record.sequence)).toEqual(["5", "6"]);
		expect(good.got[1]?.gap).toEqual({ where: "sink:lossy" });
	});
});

describe("folding of repeats", () => {
	function make(more: { windowMs?: number; maxStories?: number } = {}) {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
		const told: [string | undefined, number | undefined][] = [];
		const folder = createFolder({ emit: (alert) => void told.push([alert.id, alert.count]), ...more });
		const push = (id: string, key = "k") => folder.push({ id, dedupKey: key });
		return { told, folder, push };
	}

	test("the first goes out at once, the rest with their count at the window's end", () => {
		const { told, push } = make();
		for (const id of ["a", "b", "c"]) push(id);
		expect(told).toEqual([["a", 1]]);
		vi.advanceTimersByTime(60_100);
		expect(told).toEqual([
			["a", 1],
			["c", 3],
		]);
		push("d");
		expect(told.at(-1)).toEqual(["d", 1]);
	});

	test("counts what the kernel told in one event, and tells when another digit is reached", () => {
		const { told, folder } = make();
		folder.push({ id: "a", dedupKey: "k", count: 3 });
		folder.push({ id: "b", dedupKey: "k", count: 4 });
		folder.push({ id: "c", dedupKey: "k", count: 995 });
		expect(told).toEqual([
			["a", 3],
			["c", 1002],
		]);
	});

	test("a story that did not repeat is told once", () => {
		const { told, push } = make();
		push("a");
		vi.advanceTimersByTime(200_000);
		expect(told).toEqual([["a", 1]]);
	});

	test("a flood is told at each power of ten", () => {
		const { told, push } = make();
		for (let count = 1; count <= 2500; count++) push(`n${count}`);
		vi.advanceTimersByTime(60_100);
		expect(told.map(([, count]) => count)).toEqual([1, 10, 100, 1000, 2500]);
	});

	test("different stories do not fold, alerts without a key never do", () => {
		const { told, push } = make();
		push("a", "k1");
		push("b", "k2");
		push("c", "");
		push("d", "");
		expect(told.map(([id]) => id)).toEqual(["a", "b", "c", "d"]);
	});

	test("the table is bounded: the oldest story is told and closed to make room", () => {
		const { told, push, folder } = make({ maxStories: 2 });
		push("a", "k1");
		push("a2", "k1");
		push("b", "k2");
		push("c", "k3");
		expect(told).toEqual([
			["a", 1],
			["b", 1],
			["c", 1],
			["a2", 2],
		]);
		expect(folder.table()).toEqual({ name: "alert-stories", size: "2", capacity: "2", evicted: "1" });
	});

	test("counts no further than an alert can tell", () => {
		const { folder, told } = make();
		folder.push({ id: "a", dedupKey: "k" });
		folder.push({ id: "b", dedupKey: "k", count: 0xffff_ffff });
		expect(told.at(-1)).toEqual(["b", 0xffff_ffff]);
		folder.close();
	});

	test("closing tells what is counted", () => {
		const { told, push, folder } = make();
		push("a");
		push("b");
		folder.close();
		expect(told.at(-1)).toEqual(["b", 2]);
	});
});
