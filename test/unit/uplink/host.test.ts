// The core's side of the uplink when the system has nothing left, and when the uplink asks for more than it reads.
import { type ChildProcess, spawnSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import type { FromUplink, OutletConfig } from "../../../agent/model/delivery.ts";
import { createFrameReader, encodeFrame } from "../../../agent/uplink/frames.ts";
import { createUplink, type UplinkOptions } from "../../../agent/uplink-host.ts";
import { createMemorySpool } from "./memory-spool.ts";

const hq: OutletConfig = { id: 0, kind: "console", name: "hq", addresses: ["127.0.0.1:1"] };
const ready: FromUplink = { type: "ready", confinement: [], problems: [] };
const megabyte = 1024 * 1024;

/** A process that is none. It reads nothing: what is written to it waits. */
function createFake() {
	const toCore = new PassThrough();
	let waiting = 0;
	const pipe = Object.defineProperties(toCore, {
		write: {
			value(bytes: Buffer) {
				waiting += bytes.length;
				return false;
			},
		},
		writable: { value: true },
		writableLength: { get: () => waiting },
	});
	const fake = Object.assign(new EventEmitter(), {
		pid: 4_194_303,
		stderr: new PassThrough(),
		stdio: [null, null, null, pipe],
		kill() {
			setImmediate(() => fake.emit("exit", null, "SIGKILL"));
			return true;
		},
	});
	return {
		process: fake as unknown as ChildProcess,
		stderr: fake.stderr,
		waiting: () => waiting,
		read() {
			waiting = 0;
			toCore.emit("drain");
		},
		say: (...messages: FromUplink[]) => {
			for (const message of messages) toCore.emit("data", Buffer.concat(encodeFrame(message)));
		},
	};
}

function rig(launch: NonNullable<UplinkOptions["launch"]>) {
	const spool = createMemorySpool();
	const reader = spool.reader("hq", { kinds: ["event"], severity: "informational" });
	const lines: string[] = [];
	const host = createUplink({
		identity: undefined,
		outlets: () => [{ config: hq, reader }],
		metrics: "",
		hello: () => ({}),
		status: () => ({}),
		policyHash: () => "",
		onCommand: () => {},
		onReady: () => {},
		onRenewed: () => {},
		logger: pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line).msg) }),
		times: { firstRetry: 5, lastRetry: 5, end: 50, drain: 1 },
		launch,
	});
	onTestFinished(() => host.close());
	return { host, spool, reader, lines };
}

test("no process to be had costs a word and another try, not the sensor", async () => {
	let tries = 0;
	const fake = createFake();
	const { host, lines } = rig(() => {
		if (++tries < 3) throw new Error("spawn ENOMEM");
		return fake.process;
	});
	expect(host.status()).toMatchObject({ restarts: 1, problem: expect.stringContaining("ENOMEM") });
	await vi.waitFor(() => expect(tries).toBe(3));
	fake.say(ready);
	expect(host.status()).toMatchObject({ restarts: 2, problem: "" });
	expect(lines).toEqual([expect.stringContaining("ENOMEM"), expect.stringContaining("ENOMEM")]);
});

test("an uplink that asks and does not read fills no memory, and gets the rest once it has read", async () => {
	const fake = createFake();
	const { spool, reader } = rig(() => fake.process);
	for (let sequence = 1; sequence <= 20; sequence++)
		spool.push({
			...{ bootId: "b", sequence, kind: "event", severity: "informational" },
			payload: Buffer.alloc(megabyte),
		});
	const read = vi.spyOn(reader, "read");
	fake.say(ready);
	for (let asked = 0; asked < 1000; asked++) {
		fake.say({ type: "more", outlet: 0, after: 0, records: 1000, bytes: megabyte });
		await new Promise((resolve) => setImmediate(resolve));
	}
	expect(fake.waiting()).toBeGreaterThan(megabyte);
	expect(fake.waiting()).toBeLessThan(4 * megabyte);
	const before = read.mock.calls.length;
	fake.read();
	await vi.waitFor(() => expect(fake.waiting()).toBeGreaterThan(megabyte));
	expect(read.mock.calls.length).toBe(before + 1);
});

test("an uplink that sends more bytes than it could have to say is ended, whatever is in them", async () => {
	const fake = createFake();
	const { host, lines } = rig(() => fake.process);
	fake.say(ready);
	const content = "A".repeat(5 * megabyte);
	const command = { type: "command", outlet: 0, command: { id: "1", applyContent: { content } } } as const;
	for (let sent = 0; sent < 20; sent++) fake.say(command);
	await vi.waitFor(() => expect(host.status().restarts).toBe(1));
	expect(lines.at(-1)).toContain("it sends more than it could have to say");
});

test("what an uplink writes to stderr is not read for ever", async () => {
	const fake = createFake();
	rig(() => fake.process);
	for (let written = 0; written < 10; written++) fake.stderr.write("x".repeat(65_536));
	await vi.waitFor(() => expect(fake.stderr.destroyed).toBe(true));
});

test("a reader of frames keeps nothing of the chunks they come in", () => {
	const heads: unknown[] = [];
	const reader = createFrameReader({
		limit: () => 1000,
		frame: (_type, head) => heads.push(head),
		broken: (reason) => heads.push(reason),
	});
	const bytes = Buffer.concat(encodeFrame({ type: "acknowledged", outlet: 0, position: 7 }));
	for (const byte of Buffer.concat([bytes, bytes])) {
		const chunk = Buffer.from([byte]);
		reader.push(chunk);
		chunk.fill(0);
	}
	expect(heads).toEqual([
		{ outlet: 0, position: 7 },
		{ outlet: 0, position: 7 },
	]);
});

test("without a descriptor left no child is started, and whoever wanted one lives to hear it", () => {
	const module = new URL("../../../agent/spawn.ts", import.meta.url).href;
	const program = `
		import { closeSync, openSync } from "node:fs";
		import { startProcess } from ${JSON.stringify(module)};
		const open = [];
		try { for (;;) open.push(openSync("/dev/null", "r")); } catch {}
		let said = "";
		try { startProcess("/bin/true", [], { stdio: ["pipe", "pipe", "pipe", "pipe"] }); } catch (error) { said = error.message; }
		for (const fd of open) closeSync(fd);
		setTimeout(() => process.stdout.write(said), 50);`;
	const run = spawnSync(
		"/bin/sh",
		["-c", 'ulimit -n 64; exec "$@"', "sh", process.execPath, "--input-type=module", "-e", program],
		{ encoding: "utf8" },
	);
	expect(run.stdout).toMatch(/too many open files/);
	expect(run.status).toBe(0);
});
