// What a hostile or broken console may send: no effect on the records, no crash, clear words.
// 600 fuzzed messages, 100,000 with PICKET_SOAK=1.
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { responseCodec } from "../../../agent/report/protojson.ts";
import { seed } from "../../fuzz/counts.ts";
import { consoleAt, until } from "../console/rig.ts";
import { randomOf } from "./random.ts";
import { obliging, puppet, rig } from "./stream-rig.ts";

const rounds = process.env.PICKET_SOAK === "1" ? 100_000 : 600;
/** Far from what damage to a smaller number makes. */
const first = 5_000_000_000;

const welcome = responseCodec.encode({ welcome: { console: "evil", lastSequence: "18446744073709551615" } });
const expires = "2999-01-01T00:00:00Z";
const seeds: readonly wire.ConnectResponse[] = [
	{ acknowledgement: { lastSequence: "18446744073709551615" } },
	{ acknowledgement: { lastSequence: "1", bootId: "boot-1" } },
	{ welcome: { console: "again", lastSequence: "1" } },
	{ heartbeat: { time: expires } },
	{ heartbeat: { status: { mode: "enforce", counters: [{ class: "exec", delivered: "1" }] } } },
	{ command: { id: "a", expires, requester: "x", kill: { pid: 1 } } },
	{ command: { id: "", block: { address: "0.0.0.0/0", ttlSeconds: 4_294_967_295 } } },
	{ command: { id: "b".repeat(5000), expires: "1970-01-01T00:00:00Z", setMode: { mode: "enforce" } } },
	{},
];

/** Never damaged: without its boot it is a good console's acknowledgement of the first record. */
const ofNobody = responseCodec.encode({
	acknowledgement: { lastSequence: String(first), bootId: "boot-of-nobody" },
});

function framed(message: Buffer, flag = 0, length = message.length): Buffer {
	const head = Buffer.alloc(5);
	head.writeUInt8(flag, 0);
	head.writeUInt32BE(length, 1);
	return Buffer.concat([head, message]);
}

function damaged(random: () => number): Buffer {
	const pick = Math.floor(random() * 12);
	if (pick === 0) return framed(Buffer.alloc(10), 0, 0xffff_ffff);
	if (pick === 1) return framed(Buffer.from("not compressed"), 1);
	if (pick === 2) return framed(Buffer.alloc(4 * 1024 * 1024 + 1));
	if (pick === 3) return framed(ofNobody);
	const message = Buffer.from(responseCodec.encode(seeds[Math.floor(random() * seeds.length)] ?? {}));
	for (let flips = Math.floor(random() * 4); flips > 0 && message.length > 0; flips--) {
		message[Math.floor(random() * message.length)] = Math.floor(random() * 256);
	}
	return framed(random() < 0.1 ? message.subarray(0, Math.floor(random() * message.length)) : message);
}

test(`${rounds} fuzzed messages have no effect, and a good console then gets every record`, async () => {
	const crashes: unknown[] = [];
	const crash = (error: unknown): void => void crashes.push(error);
	process.on("unhandledRejection", crash);
	process.on("uncaughtException", crash);
	onTestFinished(() => {
		process.off("unhandledRejection", crash);
		process.off("uncaughtException", crash);
	});
	const random = randomOf(seed);
	const began = Date.now();
	let sent = 0;
	let streams = 0;
	const evil = createServer();
	evil.on("sessionError", () => {});
	evil.on("session", (session) => session.on("error", () => {}));
	evil.on("stream", (stream: ServerHttp2Stream) => {
		streams++;
		stream.on("error", () => {});
		stream.resume();
		stream.respond({ ":status": 200, "content-type": "application/grpc" });
		if (random() < 0.9) stream.write(framed(welcome));
		const speak = (): void => {
			if (stream.destroyed || stream.closed) return;
			// A few at a time: a flood of commands would end the connection.
			for (let count = 0; count < 5; count++, sent++) stream.write(damaged(random));
			setImmediate(speak);
		};
		setImmediate(speak);
	});
	await new Promise<void>((resolve) => evil.listen(0, "127.0.0.1", resolve));
	const { port } = evil.address() as AddressInfo;
	const address = `127.0.0.1:${port}`;
	const one = rig([address], { times: { firstRetry: 1, lastRetry: 2, batch: 1 } });
	for (let sequence = first; sequence < first + 100; sequence++) one.push(sequence);
	while (sent < rounds) await new Promise((resolve) => setTimeout(resolve, 20));
	expect(one.source.held).toBe(100);
	expect(one.stream.state.acknowledged).toBe(0);
	expect(one.quarantined).toEqual([]);
	expect(crashes).toEqual([]);
	expect(streams).toBeGreaterThan(rounds / 200);
	// Of each second of the clock, however many streams it has.
	expect(one.commands.length).toBeLessThanOrEqual(100 * (2 + (Date.now() - began) / 1000));
	expect(new Set(one.logs.filter((text) => text.startsWith("not connected"))).size).toBeLessThan(40);
	await new Promise<void>((resolve) => {
		evil.close(() => resolve());
		one.stream.reconfigure({ id: 1, kind: "console", name: "test", addresses: ["127.0.0.1:1"] });
	});
	const good = await consoleAt(address);
	one.stream.reconfigure({ id: 1, kind: "console", name: "test", addresses: [address] });
	await until(() => one.source.held === 0);
	expect(good.records).toHaveLength(100);
}, 1_800_000);

test("a flood of commands ends the connection before it reaches the sensor", async () => {
	const console = await puppet((message, stream) => {
		obliging(message, stream);
		if (!message.hello) return;
		for (let count = 0; count < 5000; count++) stream.write({ command: { id: `c${count}`, expires } });
	});
	const one = rig([console.address]);
	await until(() => one.stream.state.problem.includes("more than 100 commands a second"));
	expect(one.commands.length).toBeLessThanOrEqual(200);
});

test("acknowledgements of old records over and over count as none: such a console is left, too", async () => {
	const console = await puppet((message, stream) => {
		if (message.hello) stream.write({ welcome: {} });
		if (message.heartbeat) stream.write({ heartbeat: {} });
		stream.write({ acknowledgement: { lastSequence: "0" } });
	});
	const one = rig([console.address], { times: { heartbeat: 20, answer: 100 } });
	one.push(1);
	await until(() => one.stream.state.problem.includes("nothing acknowledged although asked"));
});
