import {
	chmodSync,
	existsSync,
	linkSync,
	mkdtempSync,
	rmdirSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { addon } from "../../../agent/capture/addon.ts";
import { callControl, subscribeControl } from "../../../agent/control/client.ts";
import { ControlError, maxRequestBytes } from "../../../agent/control/protocol.ts";
import { type Control, type Handler, startControl } from "../../../agent/control/server.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";

const logger = pino({ level: "silent" });
const peer = (descriptor: number) => addon().peerCredentials(descriptor);
let directory: string;
let path: string;
let running: Control[];
let sockets: Socket[];

beforeEach(() => {
	// Short on purpose: a socket's path has 107 bytes.
	directory = mkdtempSync("/tmp/pc-");
	path = join(directory, "run", "picket.sock");
	running = [];
	sockets = [];
});
afterEach(async () => {
	for (const socket of sockets) socket.destroy();
	for (const control of running) await control.close();
	rmSync(directory, { recursive: true, force: true });
});

async function start(handlers: Record<string, Handler> = {}): Promise<Control> {
	const control = await startControl({ path, handlers, logger, peer, group: "" });
	running.push(control);
	return control;
}

async function raw(): Promise<Socket> {
	const socket = connect(path);
	sockets.push(socket);
	socket.on("error", () => {});
	await new Promise((resolve) => socket.once("connect", resolve));
	return socket;
}

/** All lines that a socket has brought so far, parsed. */
function collect(socket: Socket): Record<string, unknown>[] {
	const lines: Record<string, unknown>[] = [];
	let rest = "";
	socket.on("data", (data) => {
		const parts = (rest + String(data)).split("\n");
		rest = parts.pop() ?? "";
		for (const part of parts) lines.push(JSON.parse(part));
	});
	return lines;
}

async function failure(promise: Promise<unknown>): Promise<ControlError> {
	const error = await promise.then(
		() => undefined,
		(reason: unknown) => reason,
	);
	if (!(error instanceof ControlError)) throw new Error(`expected a ControlError, got ${String(error)}`);
	return error;
}

const alert = (n: number): wire.OutputRecord => ({
	time: "2026-01-01T00:00:00Z",
	host: "h",
	sequence: String(n),
	alert: { rule: `rule ${n}` },
});
const event = (n: number, text = ""): wire.OutputRecord => ({
	sequence: String(n),
	event: { exec: { path: text } },
});

describe("requests", () => {
	test("a method's result comes back, whether it answers at once or later", async () => {
		await start({ twice: async ({ n }) => Number(n) * 2, nothing: () => undefined });
		expect(await callControl(path, "twice", { n: 21 }, 5000)).toBe(42);
		expect(await callControl(path, "nothing", {}, 5000)).toBeNull();
		expect(await callControl(path, "ping", {}, 5000)).toEqual({ pid: process.pid });
	});

	test("the socket is for root alone and its directory is made", async () => {
		await start();
		expect(statSync(path).mode & 0o777).toBe(0o600);
		expect(statSync(join(directory, "run")).mode & 0o777).toBe(0o755);
	});

	test("several requests on one connection are answered in their order, each with its id", async () => {
		await start({ echo: ({ v }) => v });
		const socket = await raw();
		const lines = collect(socket);
		socket.write('{"id":1,"method":"echo","params":{"v":"a"}}\n\n{"id":"two","method":"ec');
		socket.write('ho","params":{"v":"b"}}\n{"method":"echo"}\n');
		await vi.waitFor(() => expect(lines).toHaveLength(3));
		expect(lines).toEqual([
			{ id: 1, result: "a" },
			{ id: "two", result: "b" },
			{ id: null, result: null },
		]);
	});

	test("a request is answered although its sender has closed its sending side", async () => {
		await start({ later: () => new Promise((resolve) => setTimeout(() => resolve("done"), 20)) });
		const socket = await raw();
		const lines = collect(socket);
		socket.end('{"id":1,"method":"later"}\n');
		await vi.waitFor(() => expect(lines).toEqual([{ id: 1, result: "done" }]));
	});

	test("a handler's coded error arrives with its message and remedy, any other without its inside", async () => {
		await start({
			coded: () => {
				throw new ControlError("PROTECTED", "10.0.0.1 is protected", "Unprotect it first.");
			},
			wrong: () => {
				throw Object.assign(new Error("zod"), { issues: [{ path: ["ttl", "s"], message: "too long" }] });
			},
			bug: () => {
				throw new TypeError("secret inside");
			},
		});
		expect(await failure(callControl(path, "coded", {}, 5000))).toMatchObject({
			code: "PROTECTED",
			message: "10.0.0.1 is protected",
			remedy: "Unprotect it first.",
		});
		expect(await failure(callControl(path, "wrong", {}, 5000))).toMatchObject({
			code: "BAD_PARAMS",
			message: "params.ttl.s: too long",
		});
		const bug = await failure(callControl(path, "bug", {}, 5000));
		expect(bug.code).toBe("INTERNAL");
		expect(bug.message).not.toContain("secret");
	});
});

describe("hostile input", () => {
	test.each([
		["not JSON", "BAD_REQUEST"],
		["[1,2]", "BAD_REQUEST"],
		["null", "BAD_REQUEST"],
		['{"id":7}', "BAD_REQUEST"],
		['{"id":7,"method":9}', "BAD_REQUEST"],
		['{"id":7,"method":"echo","params":[1]}', "BAD_PARAMS"],
		['{"id":7,"method":"echo","params":"x"}', "BAD_PARAMS"],
		['{"id":7,"method":"constructor"}', "UNKNOWN_METHOD"],
		['{"id":7,"method":"__proto__"}', "UNKNOWN_METHOD"],
		['{"id":7,"method":"subscribe","params":{"kinds":["nonsense"]}}', "BAD_PARAMS"],
		['{"id":7,"method":"subscribe","params":{"kinds":[]}}', "BAD_PARAMS"],
		['{"id":7,"method":"subscribe","params":{"eventsPerSecond":-1}}', "BAD_PARAMS"],
		['{"id":{"a":1},"method":"nothing there"}', "UNKNOWN_METHOD"],
	])("%s is answered with %s and the connection goes on", async (line, code) => {
		await start({ echo: ({ v }) => v });
		const socket = await raw();
		const lines = collect(socket);
		socket.write(`${line}\n{"id":8,"method":"echo","params":{"v":1}}\n`);
		await vi.waitFor(() => expect(lines).toHaveLength(2));
		const id = line.includes('"id":7') ? 7 : null;
		expect(lines[0]).toMatchObject({ id, error: { code, message: expect.stringMatching(/./) } });
		expect(lines[1]).toEqual({ id: 8, result: 1 });
	});

	test("a line without an end is cut off at 64 KiB and the sensor goes on", async () => {
		await start({ echo: ({ v }) => v });
		const socket = await raw();
		const closed = new Promise((resolve) => socket.once("close", resolve));
		socket.resume();
		for (let n = 0; n < 5 && !socket.destroyed; n++) socket.write(Buffer.alloc(maxRequestBytes, 0x61));
		await closed;
		expect(await callControl(path, "echo", { v: "alive" }, 5000)).toBe("alive");
	});

	test("a request just below the limit is taken", async () => {
		await start({ size: ({ v }) => String(v).length });
		expect(await callControl(path, "size", { v: "x".repeat(maxRequestBytes - 100) }, 5000)).toBe(
			maxRequestBytes - 100,
		);
	});

	test("bytes that are no text are answered with an error", async () => {
		await start();
		const socket = await raw();
		const lines = collect(socket);
		socket.write(Buffer.from([0xff, 0x00, 0x1b, 0x9b, 0x0a]));
		await vi.waitFor(() => expect(lines).toHaveLength(1));
		expect(lines[0]).toMatchObject({ error: { code: "BAD_REQUEST" } });
	});

	test("the 17th connection is refused with an error, and there is room again when one has gone", async () => {
		await start();
		for (let n = 0; n < 16; n++) await raw();
		expect((await failure(callControl(path, "ping", {}, 5000))).code).toBe("TOO_MANY_CONNECTIONS");
		sockets.shift()?.destroy();
		await vi.waitFor(async () => expect(await callControl(path, "ping", {}, 5000)).toBeTruthy());
	});

	test("a sender who never reads its answers is not read from any more", async () => {
		let calls = 0;
		await start({
			big: () => {
				calls++;
				return "x".repeat(1024 * 1024);
			},
		});
		const socket = await raw();
		socket.pause();
		for (let n = 0; n < 1000; n++) socket.write('{"id":1,"method":"big"}\n');
		await vi.waitFor(() => expect(calls).toBeGreaterThan(0));
		expect(await callControl(path, "ping", {}, 5000)).toBeTruthy();
		expect(calls).toBeLessThan(4);
	});
});

describe("the socket file", () => {
	test("that of a dead sensor is replaced", async () => {
		const dead = createServer();
		await new Promise<void>((resolve) => dead.listen(join(directory, "s"), resolve));
		const left = join(directory, "picket.sock");
		linkSync(join(directory, "s"), left);
		await new Promise((resolve) => dead.close(resolve));
		expect(existsSync(left)).toBe(true);
		path = left;
		await start({ echo: ({ v }) => v });
		expect(await callControl(path, "echo", { v: 1 }, 5000)).toBe(1);
	});

	test("that of a live sensor is left alone, and the error names its pid and the way out", async () => {
		await start({ echo: ({ v }) => v });
		const error = await failure(startControl({ path, handlers: {}, logger, peer, group: "" }));
		expect(error.code).toBe("ALREADY_RUNNING");
		expect(error.message).toContain(`pid ${process.pid}`);
		expect(error.remedy).toContain("picket status");
		expect(error.remedy).toContain("systemctl stop picket");
		expect(await callControl(path, "echo", { v: 1 }, 5000)).toBe(1);
	});

	test("one that listens and says nothing counts as a live sensor", async () => {
		path = join(directory, "mute.sock");
		const mute = createServer((socket) => void sockets.push(socket.on("error", () => {})));
		await new Promise<void>((resolve) => mute.listen(path, resolve));
		const error = await failure(startControl({ path, handlers: {}, logger, peer, group: "" }));
		expect(error.code).toBe("ALREADY_RUNNING");
		expect(error.message).not.toContain("pid");
		for (const socket of sockets) socket.destroy();
		await new Promise((resolve) => mute.close(resolve));
	});

	test("of two sensors that start at once exactly one runs", async () => {
		const both = await Promise.allSettled([start(), start(), start()]);
		expect(both.filter((one) => one.status === "fulfilled")).toHaveLength(1);
		for (const one of both) {
			if (one.status === "rejected") expect(one.reason).toMatchObject({ code: "ALREADY_RUNNING" });
		}
		expect(await callControl(path, "ping", {}, 5000)).toBeTruthy();
	});

	test("a file of another kind is not touched", async () => {
		path = join(directory, "plain");
		writeFileSync(path, "mine");
		expect((await failure(startControl({ path, handlers: {}, logger, peer, group: "" }))).code).toBe(
			"SOCKET_PATH",
		);
		expect(statSync(path).size).toBe(4);
	});

	test("a path that is too long is refused with a reason", async () => {
		path = join(directory, "x".repeat(120));
		const error = await failure(startControl({ path, handlers: {}, logger, peer, group: "" }));
		expect(error).toMatchObject({ code: "SOCKET_PATH", message: expect.stringContaining("longer") });
	});

	test("closing takes the file away and leaves nothing beside it", async () => {
		const control = await start();
		const subscription = await subscribeControl(path, () => {});
		await control.close();
		expect(existsSync(path)).toBe(false);
		expect((await subscription.ended)?.code).toBe("DISCONNECTED");
		rmdirSync(join(directory, "run"));
	});
});

describe("the client", () => {
	test("says that no sensor runs and how to start one", async () => {
		const error = await failure(callControl(path, "status", {}, 1000));
		expect(error.code).toBe("NOT_RUNNING");
		expect(error.remedy).toMatch(/as root.*systemctl start picket.*npm start/);
		expect((await failure(subscribeControl(path, () => {}))).code).toBe("NOT_RUNNING");
	});

	test("gives up when the answer takes too long", async () => {
		await start({ never: () => new Promise(() => {}) });
		const error = await failure(callControl(path, "never", {}, 50));
		expect(error.code).toBe("TIMEOUT");
	});

	test("says so when something else answers at the socket", async () => {
		const other = createServer((socket) => {
			socket.on("error", () => {});
			socket.resume();
			socket.end("220 mail.example ESMTP\r\n");
		});
		path = join(directory, "other.sock");
		await new Promise<void>((resolve) => other.listen(path, resolve));
		expect((await failure(callControl(path, "status", {}, 1000))).code).toBe("BAD_REQUEST");
		await new Promise((resolve) => other.close(resolve));
	});

	test("says that only root may, when the socket refuses", async () => {
		await start();
		chmodSync(path, 0o000);
		chmodSync(directory, 0o755);
		// Root passes every mode, so for root this is another user for a moment.
		const root = process.geteuid?.() === 0;
		if (root) process.seteuid?.(65534);
		try {
			const error = await failure(callControl(path, "ping", {}, 1000));
			expect(error.code).toBe("NOT_PERMITTED");
			expect(error.remedy).toContain("root");
		} finally {
			if (root) process.seteuid?.(0);
		}
	});
});

describe("subscriptions", () => {
	test("records arrive in order and of the wanted kinds only", async () => {
		const control = await start();
		const got: string[] = [];
		const subscription = await subscribeControl(path, (record) => got.push(record.sequence ?? ""), {
			kinds: ["alert"],
		});
		for (let n = 0; n < 300; n++) {
			control.publish("alert", () => alert(n));
			control.publish("event", () => event(n));
		}
		await vi.waitFor(() => expect(got).toHaveLength(300));
		expect(got).toEqual(Array.from({ length: 300 }, (_, n) => String(n)));
		subscription.close();
		expect(await subscription.ended).toBeUndefined();
		await vi.waitFor(() => expect(control.subscribers()).toBe(0));
	});

	test("no record is made while nobody wants it, and one is made once for many", async () => {
		const control = await start();
		const make = vi.fn(() => alert(1));
		control.publish("alert", make);
		expect(make).not.toHaveBeenCalled();
		const got: unknown[] = [];
		const both = await Promise.all([1, 2].map(() => subscribeControl(path, (record) => got.push(record))));
		control.publish("alert", make);
		await vi.waitFor(() => expect(got).toHaveLength(2));
		expect(make).toHaveBeenCalledTimes(1);
		for (const subscription of both) subscription.close();
	});

	test("a slow reader is told exactly how many it missed, alerts outlast events, memory stays bounded", async () => {
		const control = await start();
		const socket = await raw();
		socket.write('{"id":1,"method":"subscribe"}\n');
		await vi.waitFor(() => expect(control.subscribers()).toBe(1));
		socket.pause();
		const text = "x".repeat(4000);
		const before = process.memoryUsage().heapUsed;
		let made = 0;
		for (let n = 0; n < 20_000; n++) {
			control.publish("event", () => event(++made, text));
			if (n % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
		}
		for (let n = 0; n < 50; n++) control.publish("alert", () => alert(n));
		expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
		expect(made).toBeLessThan(20_000);
		const lines = collect(socket);
		socket.resume();
		const sum = (): number => lines.reduce((total, line) => total + Number(line.missed ?? 0), 0);
		const records = (): number => lines.filter((line) => "record" in line).length;
		await vi.waitFor(() => expect(records() + sum()).toBe(20_050), 10_000);
		expect(sum()).toBe(20_000 - made);
		expect(lines.filter((line) => "alert" in ((line.record as object | undefined) ?? {}))).toHaveLength(50);
	});

	test("more events a second than asked for are counted and not sent", async () => {
		const control = await start();
		let got = 0;
		let missed = 0;
		const subscription = await subscribeControl(path, () => got++, {
			eventsPerSecond: 5,
			onMissed: (count, reason) => {
				if (reason === "rate") missed += count;
			},
		});
		const make = vi.fn(() => event(1));
		for (let n = 0; n < 1000; n++) control.publish("event", make);
		await vi.waitFor(() => expect(got + missed).toBe(1000), 5000);
		expect(make.mock.calls.length).toBeLessThanOrEqual(10);
		expect(got).toBe(make.mock.calls.length);
		subscription.close();
	});

	test("a second subscription on one connection is refused", async () => {
		await start();
		const socket = await raw();
		const lines = collect(socket);
		socket.write('{"id":1,"method":"subscribe"}\n{"id":2,"method":"subscribe"}\n');
		await vi.waitFor(() => expect(lines).toHaveLength(2));
		expect(lines[1]).toMatchObject({ id: 2, error: { code: "BAD_REQUEST" } });
	});

	test("a subscriber that vanishes in mid-stream does no harm", async () => {
		const control = await start();
		const socket = await raw();
		socket.write('{"id":1,"method":"subscribe"}\n');
		await vi.waitFor(() => expect(control.subscribers()).toBe(1));
		socket.destroy();
		for (let n = 0; n < 100; n++) control.publish("alert", () => alert(n));
		await vi.waitFor(() => expect(control.subscribers()).toBe(0));
		expect(await callControl(path, "ping", {}, 5000)).toBeTruthy();
	});
});
