import { randomBytes } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openStream } from "../../../agent/grpc/client.ts";
import { serve } from "../../../agent/grpc/server.ts";
import { requestCodec } from "../../../agent/report/protojson.ts";
import { eventRecord } from "../report/samples.ts";
import { consoleAt, hello, sensor, until } from "./rig.ts";

/** Sends raw message bytes over a real gRPC stream; resolves with the status the console ends it with. */
function rawCall(address: string, messages: Buffer[]): Promise<{ status: string; message: string }> {
	return new Promise((resolve, reject) => {
		const session = connectHttp2(`http://${address}`);
		session.on("error", reject);
		onTestFinished(() => session.destroy());
		const call = session.request({
			":method": "POST",
			":path": "/picket.v1.SensorService/Connect",
			"content-type": "application/grpc",
			te: "trailers",
		});
		const end = (headers: Record<string, unknown>): void => {
			if (headers["grpc-status"] === undefined) return;
			const message = decodeURIComponent(String(headers["grpc-message"] ?? ""));
			resolve({ status: String(headers["grpc-status"]), message });
		};
		call.on("response", end);
		call.on("trailers", end);
		call.on("error", () => {});
		call.resume();
		for (const message of messages) {
			const head = Buffer.alloc(5);
			head.writeUInt32BE(message.length, 1);
			call.write(Buffer.concat([head, message]));
		}
	});
}

test("bytes that are no message end that stream with an error and leave the console up", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const greeting = requestCodec.encode({ hello });
	for (const bytes of [
		Buffer.from([0xff, 0xff, 0xff, 0xff]),
		Buffer.from([0x0a, 0x7f, 0x01]),
		Buffer.from([0x12, 0x05, 0x0a, 0xff, 0xff, 0xff, 0x0f]),
		Buffer.alloc(100_000, 0xfb),
	]) {
		const answer = await rawCall(console.address, [greeting, bytes]);
		expect(answer.status).not.toBe("0");
	}
	const sink = sensor(console.address);
	sink.push(eventRecord(1));
	await until(() => sink.status().acknowledged === "1");
});

test("random bytes never bring the console down", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const greeting = requestCodec.encode({ hello });
	for (let round = 0; round < 30; round++) {
		const session = connectHttp2(`http://${console.address}`);
		session.on("error", () => {});
		const call = session.request({
			":method": "POST",
			":path": "/picket.v1.SensorService/Connect",
			"content-type": "application/grpc",
		});
		call.on("error", () => {});
		const head = Buffer.alloc(5);
		head.writeUInt32BE(greeting.length, 1);
		const noise = randomBytes(200);
		const noiseHead = Buffer.from([0, 0, 0, 0, 200]);
		call.end(Buffer.concat([head, greeting, noiseHead, noise]));
		await new Promise<void>((resolve) => {
			call.on("close", () => resolve());
			call.resume();
		});
		session.destroy();
	}
	const plain = connect(Number(console.address.split(":")[1]), "127.0.0.1");
	plain.on("error", () => {});
	plain.end(randomBytes(2000));
	await new Promise<void>((resolve) => {
		plain.on("close", () => resolve());
		plain.resume();
	});
	const sink = sensor(console.address);
	await until(() => sink.status().connected);
});

test("a message above 4 MiB is refused before it is read", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const answer = await rawCall(console.address, [Buffer.alloc(4 * 1024 * 1024 + 1)]);
	expect(answer.status).toBe("8");
	expect(answer.message).toMatch(/larger than max/);
});

test("a stream that does not begin with hello, or says hello without ids, is ended", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const first = await rawCall(console.address, [requestCodec.encode({ heartbeat: {} })]);
	expect(first.message).toContain("first message must be hello");
	const second = await rawCall(console.address, [requestCodec.encode({ hello: { hostId: "h" } })]);
	expect(second.message).toContain("a host id and a boot id");
});

test("message kinds that are not known are passed over", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const later = Buffer.from([0xa2, 0x06, 0x02, 0x08, 0x01]);
	const batch = requestCodec.encode({ batch: { records: [eventRecord(1)] } });
	void rawCall(console.address, [requestCodec.encode({ hello }), later, batch]).catch(() => {});
	await until(() => console.records.length === 1);
});

test("a console that answers a sensor with rubbish is left with a clear problem", async () => {
	const noise = createServer((socket) => {
		socket.on("error", () => {});
		socket.write(randomBytes(500));
	}).listen(0, "127.0.0.1");
	await new Promise((resolve) => noise.once("listening", resolve));
	onTestFinished(() => void noise.close());
	const address = noise.address();
	const sink = sensor(`127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
	const first = sink.status().problem;
	await until(() => sink.status().problem !== first);
	expect(sink.status().connected).toBe(false);
});

test("a console that speaks before its welcome is left", async () => {
	const server = await serve({
		listen: "127.0.0.1:0",
		connect: (stream) => ({
			message: () => void stream.write({ command: { id: "a", expires: "2999-01-01T00:00:00Z" } }),
			drain() {},
			end() {},
		}),
		health: () => ({}),
	});
	onTestFinished(() => server.close());
	let commands = 0;
	const sink = sensor(server.address, {
		onCommand: async () => {
			commands++;
			return {};
		},
	});
	await until(() => sink.status().problem?.includes("before its welcome"));
	expect(commands).toBe(0);
});

test("the newer of two streams of a host stays", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const ends: string[] = [];
	const open = () =>
		openStream(console.address, undefined, {
			message() {},
			drain() {},
			end: (problem) => ends.push(problem),
		});
	const first = open();
	first.write({ hello });
	await until(() => console.sensors().length === 1);
	const second = open();
	onTestFinished(() => second.close());
	second.write({ hello });
	await until(() => ends.length === 1);
	expect(ends[0]).toContain("connected again");
	expect(console.sensors()).toHaveLength(1);
});
