// No name forges a line, a field or a look in anything that reports it. Each way out is read back by a program that is
// not ours: rsyslog, Prometheus' client library, Python's idea of where a line ends.
import { execFileSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { addon } from "../../agent/capture/addon.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { createFileSink, createStreamSink } from "../../agent/report/lines.ts";
import { createLiveView } from "../../agent/report/live.ts";
import { metricsText } from "../../agent/report/metrics.ts";
import { recordCodec } from "../../agent/report/protojson.ts";
import { createSyslogSink } from "../../agent/report/syslog-sink.ts";
import { recordText } from "../../agent/report/text.ts";
import { createSyslogOutlet } from "../../agent/uplink/syslog.ts";
import { makeAuthority } from "../unit/report/certificates.ts";
import { silent } from "../unit/report/samples.ts";
import { memorySource } from "../unit/uplink/memory-source.ts";
import { readPages } from "../unit/uplink/prometheus.ts";
import { makeRsyslog, type Rsyslog } from "../unit/uplink/rsyslog.ts";
import { names, recordsWith, statusWith } from "./injection.ts";

const waiting = { timeout: 30_000, interval: 50 };
const perName = 5;
/** All of them; a record's number says of which name it is. */
const records = names.flatMap(([, name], index) => recordsWith(name, index * perName + 1));
/** As they are behind the spool. */
const kept = records.map((record) => recordCodec.decode(recordCodec.encode(record)));
const nameOf = (record: wire.OutputRecord) => names[Math.floor((Number(record.sequence) - 1) / perName)]?.[0];

const authority = makeAuthority("log authority");
let rsyslog: Rsyslog;
let folder: string;

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), "picket-injection-"));
	rsyslog = await makeRsyslog({ ...authority.issue("localhost", "DNS:localhost"), ca: authority.cert });
	await rsyslog.start();
}, 60_000);
afterAll(async () => {
	await rsyslog?.remove();
	authority.remove();
	rmSync(folder, { recursive: true, force: true });
});

interface PythonLines {
	readonly lines: number;
	readonly objects: (wire.OutputRecord | null)[];
	readonly odd: string[];
}
function linesOf(file: string): PythonLines {
	const script = new URL("lines.py", import.meta.url).pathname;
	const out = execFileSync("/usr/bin/python3", [script, file], { maxBuffer: 256 * 1024 * 1024 });
	return JSON.parse(out.toString()) as PythonLines;
}
const options = { clock: Date.now, logger: silent, report: () => undefined, maxBytes: 1024 * 1024 * 1024 };

describe("in a file of JSON lines", () => {
	it("there is a line a record, and each is the record", async () => {
		const path = join(folder, "records.jsonl");
		const sink = createFileSink({ name: "file", path }, options);
		for (const record of records) sink.push(record);
		await expect.poll(() => sink.status().queued, waiting).toBe("0");
		await sink.close();
		const read = linesOf(path);
		expect(read.odd).toEqual([]);
		expect(read.lines).toBe(records.length);
		read.objects.forEach((object, index) => {
			// Half a pair is no character: Python writes it as one all the same.
			expect(object, nameOf(records[index] as wire.OutputRecord)).toEqual(records[index]);
		});
	});
});

describe("on standard output", () => {
	it("there is a plain line a record, with nothing in it that a terminal obeys", async () => {
		const path = join(folder, "text");
		const stream = createWriteStream(path);
		const sink = createStreamSink(
			{ name: "stdout", stream },
			{ ...options, format: (record) => recordText(record) },
		);
		for (const record of records) sink.push(record);
		await expect.poll(() => sink.status().queued, waiting).toBe("0");
		await sink.close();
		stream.end();
		await finished(stream);
		const read = linesOf(path);
		expect(read.odd).toEqual([]);
		expect(read.lines).toBe(records.length);
	});
});

const severities: Readonly<Record<string, string>> = {
	alert: "err",
	event: "info",
	action: "notice",
	gap: "warning",
	status: "info",
};

/** Sends all records under a process id of its own, and gives what rsyslog says it got with that. */
let pids = 1000;
async function through(way: string, form: "text" | "json"): Promise<void> {
	const pid = ++pids;
	const before = rsyslog.lines().length;
	const [over] = way.split(":");
	const common = { facility: "local1", form, maxMessageBytes: 8192 } as const;
	const source = memorySource();
	let close: () => Promise<void>;
	if (over === "unix") {
		const sink = createSyslogSink({
			...options,
			...common,
			name: "unix",
			address: { over: "unix", path: rsyslog.plainSocket },
			unixDatagram: (path, text) => addon().notify(path, text),
			retryMs: 20,
		});
		for (const record of records) sink.push(record);
		close = sink.close;
	} else {
		const outlet = createSyslogOutlet({
			config: {
				...common,
				id: 1,
				kind: "syslog",
				name: "x",
				address: way,
				...(over === "tls" && { tls: { ca: authority.cert } }),
			},
			source,
			onState: () => undefined,
			log: () => undefined,
			unconfirmed: (descriptor) => addon().socketUnconfirmed(descriptor),
			pid,
			times: { settle: 50 },
		});
		// Datagrams that come faster than they are read are lost, as UDP may.
		for (const record of records) {
			source.push(record);
			if (over === "udp") await new Promise((resolve) => setTimeout(resolve, 1));
		}
		close = outlet.close;
	}
	try {
		await expect.poll(() => rsyslog.lines().length - before, waiting).toBeGreaterThanOrEqual(records.length);
		await close();
		const got = rsyslog.received().slice(before);
		// Not one more: a forged one would be.
		expect(got).toHaveLength(records.length);
		got.forEach((message, index) => {
			const record = kept[index] as wire.OutputRecord;
			const kind = ["alert", "event", "action", "gap", "status"][index % perName] ?? "";
			expect(message, nameOf(record)).toMatchObject({
				facility: "local1",
				severity: severities[kind],
				host: "web-1",
				app: "picket",
				pid: String(over === "unix" ? process.pid : pid),
				id: kind,
				data: `[meta sequenceId="${Number(record.sequence) + 1}"]`,
				time: "2026-11-21T10:00:00.123456Z",
			});
			expect(message.message, nameOf(record)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
			if (form === "json") {
				const body = JSON.parse(message.message) as wire.OutputRecord;
				expect(body.sequence).toBe(record.sequence);
				expect(Object.keys(body)).toEqual(["time", "host", "sequence", kind]);
				expect(body.alert?.severity).toBe(kind === "alert" ? "SEVERITY_HIGH" : undefined);
			}
		});
	} finally {
		await close();
	}
}

describe.each(["text", "json"] as const)("in syslog as %s", (form) => {
	it.each(["unix", "udp", "tcp", "tls"])(
		"over %s each record is one message, and says of itself what it is",
		(over) => through(`${over}:localhost:${over === "tls" ? rsyslog.tlsPort : rsyslog.port}`, form),
	);
});

describe("in the page of metrics", () => {
	const texts = ["harmless", ...names.map(([, name]) => name)].map((name) =>
		metricsText(statusWith(name), name),
	);
	const shapes = readPages(texts).map((page) =>
		page.map(({ name, labels, value }) => [name, Object.keys(labels), value]),
	);

	it.each(names.map(([what], index) => [what, index + 1] as const))(
		"%s makes no sample and no label",
		(_, at) => {
			expect(shapes[at]).toEqual(shapes[0]);
			expect(texts[at]).not.toMatch(/[\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
			expect(texts[at]?.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
		},
	);
});

class Terminal extends EventEmitter {
	readonly isTTY = true;
	readonly columns = 100;
	readonly rows = 30;
	text = "";
	write(text: string, done?: () => void): boolean {
		this.text += text;
		done?.();
		return true;
	}
	setRawMode(): void {}
	resume(): void {}
	pause(): void {}
}

describe("in the live view", () => {
	it.each(names)("%s moves nothing", (_, name) => {
		vi.useFakeTimers();
		const terminal = new Terminal();
		const view = createLiveView({
			input: new Terminal(),
			output: terminal,
			clock: Date.now,
			onQuit: () => undefined,
			processEvents: Object.assign(new EventEmitter(), { stop: () => undefined }),
		});
		for (const record of recordsWith(name, 1)) view.push(record);
		view.status(statusWith(name));
		vi.advanceTimersByTime(300);
		const summary = view.close();
		vi.useRealTimers();
		// Our own sequences: places, colours and modes, no title, no clipboard, no question to the terminal.
		// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that are meant
		const rest = terminal.text.replace(/\x1b\[\??[\d;]*[HJKmhl]/g, "");
		expect(`${rest}${summary}`.replaceAll(/[\r\n]/g, "")).not.toMatch(
			/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u,
		);
		expect(terminal.text).toContain("\x1b[?25h");
	});
});
