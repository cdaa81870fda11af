import { spawnSync } from "node:child_process";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { checkHealth } from "../../../agent/grpc/client.ts";
import { serve } from "../../../agent/grpc/server.ts";
import type { ServerStream } from "../../../agent/grpc/streams.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { alertRecord, eventRecord, listeningLogger } from "../report/samples.ts";
import { consoleAt, hello, relayTo, sensor, temporaryFolder, until } from "./rig.ts";

const sequences = (records: readonly wire.OutputRecord[]): number[] =>
	records.map((record) => Number(record.sequence));
const range = (from: number, to: number): number[] =>
	Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A console whose every answer is the test's own. */
async function puppet(answer: (message: wire.ConnectRequest, stream: ServerStream) => void) {
	const server = await serve({
		listen: "127.0.0.1:0",
		connect: (stream) => ({ message: (message) => answer(message, stream), drain() {}, end() {} }),
		health: () => ({}),
	});
	onTestFinished(() => server.close());
	return server;
}

test("records reach the console in order and are acknowledged", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const sink = sensor(console.address);
	for (let sequence = 1; sequence <= 1500; sequence++) sink.push(eventRecord(sequence));
	await until(() => sink.status().acknowledged === "1500");
	expect(sequences(console.records)).toEqual(range(1, 1500));
	expect(console.records[0]).toEqual(eventRecord(1));
	expect(sink.status()).toEqual({
		name: "console:test",
		connected: true,
		sent: "1500",
		acknowledged: "1500",
		queued: "0",
		lost: "0",
		problem: "",
	});
	expect(console.sensors()[0]).toMatchObject({ hostId: "host-1", host: "web-1", records: 1500 });
});

test("a unix socket carries the stream, also where a killed console has left its socket behind", async () => {
	const path = join(temporaryFolder(), "console.sock");
	const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`;
	expect(spawnSync(process.execPath, ["-e", script]).signal).toBe("SIGKILL");
	const console = await consoleAt(`unix:${path}`);
	const sink = sensor(`unix:${path}`);
	sink.push(eventRecord(1));
	await until(() => console.records.length === 1);
	expect(await checkHealth(`unix:${path}`, undefined)).toEqual({
		state: "STATE_SERVING",
		version: "",
		sensors: 1,
	});
});

test("a console that is not there is tried again without end, told once, and nothing is lost", async () => {
	const probe = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => probe.once("listening", resolve));
	const address = probe.address();
	const listen = `127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
	await new Promise((resolve) => probe.close(resolve));
	const { logger, lines } = listeningLogger();
	let tries = 0;
	const sink = sensor(listen, {
		logger,
		hello: () => hello,
		random: () => {
			tries++;
			return 0.5;
		},
	});
	for (let sequence = 1; sequence <= 10; sequence++) sink.push(alertRecord(sequence));
	await until(() => tries >= 5);
	expect(sink.status()).toMatchObject({ connected: false, queued: "10", lost: "0" });
	expect(sink.status().problem).toContain("nothing listens there");
	expect(lines.filter((line) => String(line.msg).startsWith("not connected, trying again"))).toHaveLength(1);
	const console = await consoleAt(listen);
	await until(() => sink.status().acknowledged === "10");
	expect(sequences(console.records)).toEqual(range(1, 10));
	expect(lines.filter((line) => String(line.msg).startsWith("connected to"))).toHaveLength(1);
});

test("pauses between tries are random below a limit that doubles to its maximum", async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	onTestFinished(() => void vi.useRealTimers());
	const pauses: number[] = [];
	const real = globalThis.setTimeout;
	vi.spyOn(globalThis, "setTimeout").mockImplementation(((task: () => void, ms: number) => {
		if (ms !== undefined && String(task).includes("retryTimer = undefined")) pauses.push(ms);
		return real(task, ms);
	}) as typeof setTimeout);
	const sink = sensor("127.0.0.1:1", {
		random: () => 0.5,
		times: { firstRetry: 1000, lastRetry: 60_000 },
	});
	for (let round = 0; round < 9; round++) {
		const wanted = round + 1;
		await vi.waitFor(() => expect(pauses.length).toBe(wanted), { timeout: 5000, interval: 1 });
		await vi.runOnlyPendingTimersAsync();
	}
	expect(pauses.slice(0, 9)).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
	vi.restoreAllMocks();
	await sink.close();
});

test("a console that dies and comes back with its store gets every record once, in order", async () => {
	const store = join(temporaryFolder(), "records.jsonl");
	const first = await consoleAt("127.0.0.1:0", { store });
	const sink = sensor(first.address);
	let next = 1;
	const feed = setInterval(() => {
		for (let count = 0; count < 20 && next <= 3000; count++) sink.push(eventRecord(next++));
	}, 2);
	onTestFinished(() => clearInterval(feed));
	await until(() => first.records.length >= 300);
	await first.close();
	await until(() => sink.status().connected === false);
	const second = await consoleAt(first.address, { store });
	await until(() => sink.status().acknowledged === "3000");
	expect(sequences([...first.records, ...second.records])).toEqual(range(1, 3000));
	expect(sink.status().lost).toBe("0");
});

test("records that were on their way when the connection broke are sent again; the key tells repeats", async () => {
	const got: wire.OutputRecord[] = [];
	let connections = 0;
	const server = await puppet((message, stream) => {
		if (message.hello) {
			connections++;
			stream.write({ welcome: { console: "p", lastSequence: connections === 1 ? "0" : "2" } });
		}
		for (const record of message.batch?.records ?? []) got.push(record);
		// The first connection takes records and acknowledges none.
		if (message.batch && connections === 1) stream.close("gone");
		else if (message.batch) stream.write({ acknowledgement: { lastSequence: got.at(-1)?.sequence ?? "0" } });
	});
	const sink = sensor(server.address);
	for (let sequence = 1; sequence <= 5; sequence++) sink.push(eventRecord(sequence));
	await until(() => sink.status().acknowledged === "5");
	expect(sequences(got)).toEqual([1, 2, 3, 4, 5, 3, 4, 5]);
	expect(sink.status()).toMatchObject({ sent: "5", lost: "0", queued: "0" });
});

test("a connection that swallows everything is noticed and left", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const relay = await relayTo(console.address);
	const sink = sensor(relay.address, { times: { heartbeat: 50, answer: 200 } });
	await until(() => sink.status().connected);
	relay.swallow(true);
	sink.push(eventRecord(1));
	await until(() => !sink.status().connected);
	expect(sink.status().problem).toContain("no answer for 0.2 s");
	relay.swallow(false);
	await until(() => sink.status().acknowledged === "1");
	expect(relay.connections()).toBeGreaterThan(1);
});

test("a listener that never says anything is left too, and is not hammered", async () => {
	const sockets: Socket[] = [];
	const hole = createServer((socket) => {
		sockets.push(socket);
		socket.on("error", () => {});
	}).listen(0, "127.0.0.1");
	await new Promise((resolve) => hole.once("listening", resolve));
	onTestFinished(() => {
		for (const socket of sockets) socket.destroy();
		hole.close();
	});
	const address = hole.address();
	const sink = sensor(`127.0.0.1:${typeof address === "object" ? address?.port : 0}`, {
		times: { answer: 100 },
	});
	await until(() => sink.status().problem?.includes("no answer for 0.1 s"));
	await until(() => sockets.length >= 2);
	expect(sink.status().connected).toBe(false);
});

test("an idle stream is kept alive by heartbeats", async () => {
	let heartbeats = 0;
	const server = await puppet((message, stream) => {
		if (message.hello) stream.write({ welcome: { console: "p" } });
		if (message.heartbeat) {
			heartbeats++;
			expect(Date.parse(message.heartbeat.time ?? "")).not.toBeNaN();
			stream.write({ heartbeat: { time: message.heartbeat.time ?? "" } });
		}
	});
	const sink = sensor(server.address, { times: { heartbeat: 30, answer: 1000 } });
	await until(() => heartbeats >= 4);
	expect(sink.status().connected).toBe(true);
});

test("a console that answers but never acknowledges is left", async () => {
	const server = await puppet((message, stream) => {
		if (message.hello) stream.write({ welcome: { console: "p" } });
		if (message.heartbeat) stream.write({ heartbeat: {} });
	});
	const sink = sensor(server.address, { times: { heartbeat: 20, answer: 100 } });
	sink.push(eventRecord(1));
	await until(() => sink.status().problem?.includes("nothing acknowledged although asked 3 times"));
});

test("a slow console costs bounded memory: the oldest events go first, then it is told as a gap", async () => {
	let release = false;
	const got: wire.OutputRecord[] = [];
	const server = await puppet((message, stream) => {
		if (message.hello && release) stream.write({ welcome: { console: "p" } });
		if (!message.batch) return;
		got.push(...(message.batch.records ?? []));
		stream.write({ acknowledgement: { lastSequence: got.at(-1)?.sequence ?? "0" } });
	});
	const sink = sensor(server.address, { maxRecords: 100, times: { answer: 200 } });
	sink.push(alertRecord(1));
	for (let sequence = 2; sequence <= 1000; sequence++) sink.push(eventRecord(sequence));
	expect(sink.status()).toMatchObject({ queued: "100", lost: "900" });
	await until(() => sink.gaps.length > 0);
	expect(sink.gaps[0]).toMatchObject({
		where: "sink:console:test",
		lost: [{ class: "event", count: "900" }],
	});
	release = true;
	await until(() => sink.status().queued === "0");
	expect(sequences(got)).toEqual([1, ...range(902, 1000)]);
});

test("the byte limit holds as well as the record limit", () => {
	const sink = sensor("127.0.0.1:1", { maxBytes: 100_000 });
	for (let sequence = 1; sequence <= 100; sequence++) sink.push(eventRecord(sequence, "x".repeat(10_000)));
	expect(Number(sink.status().queued)).toBe(9);
	expect(sink.status().lost).toBe("91");
});

test("a record that no message can hold is counted, not sent, and stops nothing", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const sink = sensor(console.address);
	sink.push(eventRecord(1, "x".repeat(5 * 1024 * 1024)));
	sink.push({ ...eventRecord(2), time: "yesterday" });
	sink.push(eventRecord(3));
	await until(() => sink.status().acknowledged === "1");
	expect(sequences(console.records)).toEqual([3]);
	expect(sink.status().lost).toBe("2");
});

test("an acknowledgement of what was never sent ends the connection and frees nothing", async () => {
	const server = await puppet((message, stream) => {
		if (message.hello) stream.write({ welcome: { console: "p", lastSequence: "999999999" } });
		if (message.batch) stream.write({ acknowledgement: { lastSequence: "18446744073709551615" } });
	});
	const sink = sensor(server.address);
	sink.push(eventRecord(1));
	await until(() => sink.status().problem?.includes("never sent"));
	expect(sink.status()).toMatchObject({ acknowledged: "0", queued: "1" });
});

test("closing hands over what is queued", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const sink = sensor(console.address, { times: { batch: 60_000, close: 3000 } });
	await until(() => sink.status().connected);
	sink.push(eventRecord(1));
	await sink.close();
	expect(sequences(console.records)).toEqual([1]);
	expect(sink.status()).toMatchObject({ acknowledged: "1", connected: false });
});

test("pushing to a sink after it is closed, or with nothing in the record, does nothing", async () => {
	const sink = sensor("127.0.0.1:1");
	sink.push({ time: "2026-01-02T03:04:05Z" });
	await sink.close();
	sink.push(eventRecord(1));
	expect(sink.status()).toMatchObject({ queued: "0", lost: "0" });
});
