import { createServer } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { consoleAt, hello, relayTo, temporaryFolder, until } from "../console/rig.ts";
import { obliging, puppet, rig, sequencesOf } from "./stream-rig.ts";

const range = (from: number, to: number): number[] =>
	Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A port where nothing listens. */
async function nobody(): Promise<string> {
	const server = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	const address = server.address();
	await new Promise((resolve) => server.close(resolve));
	return `127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}

test("records of an earlier boot go first, in batches of their own, and are acknowledged by their boot", async () => {
	const store = `${temporaryFolder()}/records.jsonl`;
	const console = await consoleAt("127.0.0.1:0", { store });
	const one = rig([console.address]);
	for (const sequence of range(900, 950)) one.push(sequence, "boot-0");
	for (const sequence of range(1, 700)) one.push(sequence);
	await until(() => one.source.held === 0);
	expect(console.records.map((record) => Number(record.sequence))).toEqual([
		...range(900, 950),
		...range(1, 700),
	]);
	expect(one.stream.state).toMatchObject({ connected: true, sent: 751, acknowledged: 751, problem: "" });
	await console.close();
	// The store knows each boot's place.
	const again = await consoleAt("127.0.0.1:0", { store });
	const two = rig([again.address], { hello: () => ({ ...hello, bootId: "boot-0" }) });
	for (const sequence of range(949, 952)) two.push(sequence, "boot-0");
	await until(() => two.source.held === 0);
	expect(again.records.map((record) => Number(record.sequence))).toEqual([951, 952]);
});

test("an acknowledgement of one boot says nothing about another", async () => {
	const console = await puppet((message, stream) => {
		if (message.hello) stream.write({ welcome: {} });
		if (message.heartbeat) stream.write({ heartbeat: {} });
		// Sequence 5 was sent of both boots.
		if (message.batch?.bootId === "boot-0") {
			stream.write({ acknowledgement: { lastSequence: "5", bootId: "boot-0" } });
		}
	});
	const one = rig([console.address]);
	one.push(5, "boot-0");
	one.push(5);
	await until(() => one.stream.state.acknowledged === 1);
	await until(() => console.heard.filter((message) => message.batch).length === 2);
	expect(one.source.held).toBe(1);
});

test("addresses are tried in order; one that takes the connection and never welcomes counts as failed", async () => {
	const dead = await nobody();
	const mute = await puppet(() => {});
	const console = await consoleAt("127.0.0.1:0");
	const one = rig([dead, mute.address, console.address], { times: { answer: 150 } });
	one.push(1);
	await until(() => one.source.held === 0);
	expect(one.stream.state.address).toBe(console.address);
	expect(mute.heard).toHaveLength(1);
	expect(one.logs.filter((text) => text.includes("no answer for 0.15 s"))).toHaveLength(1);
});

test("the first address takes over again once it answers, and nothing is lost or sent in another order", async () => {
	const first = await nobody();
	const second = await consoleAt("127.0.0.1:0");
	const one = rig([first, second.address], { times: { comeBack: 60 } });
	one.push(1);
	await until(() => one.source.held === 0);
	expect(one.stream.state.address).toBe(second.address);
	const back = await consoleAt(first);
	await until(() => one.stream.state.address === first);
	one.push(2);
	await until(() => one.source.held === 0);
	expect(back.records.map((record) => record.sequence)).toEqual(["2"]);
	await until(() => second.sensors().length === 0);
});

test("while the first address stays silent the other one serves on undisturbed", async () => {
	const mute = await puppet(() => {});
	const second = await puppet(obliging);
	const one = rig([mute.address, second.address], { times: { comeBack: 20, answer: 100, heartbeat: 30 } });
	await until(() => one.stream.state.address === second.address);
	await until(() => mute.streams.length >= 3);
	expect(second.streams).toHaveLength(1);
	expect(one.stream.state.connected).toBe(true);
});

test("alerts overtake a backlog as batches ahead, and come again in their place", async () => {
	let storing = false;
	const batches: wire.Batch[] = [];
	const console = await puppet((message, stream) => {
		if (message.batch) batches.push(message.batch);
		if (storing || !message.batch) obliging(message, stream);
	});
	const one = rig([console.address], { times: { heartbeat: 50, answer: 5000 } });
	for (const sequence of range(1, 8000)) one.push(sequence);
	await until(() => batches.length >= 8);
	one.push(8001, "boot-1", "alert");
	one.push(8002);
	await until(() => batches.some((batch) => batch.ahead === true));
	const ahead = batches.filter((batch) => batch.ahead === true);
	expect(ahead.map(sequencesOf)).toEqual([[8001]]);
	expect(sequencesOf(batches.filter((batch) => !batch.ahead).at(-1)).at(-1)).toBeLessThan(8001);
	storing = true;
	console.streams[0]?.close("come again");
	await until(() => one.source.held === 0);
	const order = batches.filter((batch) => !batch.ahead).flatMap(sequencesOf);
	expect(order.slice(-2)).toEqual([8001, 8002]);
});

test("the console shows what came ahead once, at once, and stores it in its place only", async () => {
	const store = `${temporaryFolder()}/records.jsonl`;
	const seen: [number, boolean][] = [];
	const console = await consoleAt("127.0.0.1:0", {
		store,
		onRecord: (record, _sensor, ahead) => void seen.push([Number(record.sequence), ahead]),
	});
	const { openStream } = await import("../../../agent/grpc/client.ts");
	const { eventRecord, alertRecord } = await import("../report/samples.ts");
	const acknowledged: string[] = [];
	const stream = openStream(console.address, undefined, {
		message: (message) => void acknowledged.push(message.acknowledgement?.lastSequence ?? ""),
		drain() {},
		end() {},
	});
	onTestFinished(() => stream.close());
	stream.write({ hello });
	stream.write({ batch: { records: [alertRecord(9)], ahead: true } });
	stream.write({ batch: { records: [eventRecord(1), alertRecord(9)] } });
	await until(() => seen.length === 2);
	expect(seen).toEqual([
		[9, true],
		[1, false],
	]);
	await until(() => acknowledged.includes("9"));
	expect(acknowledged).toEqual(["", "9"]);
});

test("a farewell tells the console whether the sensor was stopped or lost", async () => {
	const ends: [string | undefined, string | undefined][] = [];
	const console = await consoleAt("127.0.0.1:0", {
		onSensor: (sensor, connected) => {
			if (!connected) ends.push([sensor.farewell?.reason, sensor.farewell?.message]);
		},
	});
	for (const [reason, message] of [
		["REASON_STOPPED", "upgrade"],
		["REASON_LOST", "the core is gone"],
	] as const) {
		const one = rig([console.address]);
		await until(() => one.stream.state.connected);
		one.push(ends.length + 1);
		await one.stream.farewell(reason, message);
		expect(one.source.held).toBe(0);
		await until(() => ends.at(-1)?.[0] === reason && ends.at(-1)?.[1] === message);
	}
	expect(ends).toHaveLength(2);
});

test("a sensor that went without a farewell and does not come back is told; one that returns is not", async () => {
	const silent: string[] = [];
	const console = await consoleAt("127.0.0.1:0", {
		silenceMs: 150,
		onSilent: (sensor) => void silent.push(sensor.hostId),
	});
	const relay = await relayTo(console.address);
	const staying = rig([relay.address], { hello: () => ({ ...hello, hostId: "stays" }) });
	const going = rig([relay.address], { hello: () => ({ ...hello, hostId: "goes" }) });
	const polite = rig([relay.address], { hello: () => ({ ...hello, hostId: "polite" }) });
	await until(() => console.sensors().length === 3);
	await polite.stream.farewell("REASON_STOPPED");
	going.stream.close();
	relay.cut();
	await until(() => silent.length > 0);
	await until(() => staying.stream.state.connected);
	expect(silent).toEqual(["goes"]);
});

test("results without a connection are kept within bounds and sent with the next", async () => {
	const results: wire.CommandResult[] = [];
	const address = await nobody();
	const one = rig([address], { times: { answer: 8000 } });
	const big = "x".repeat(1024 * 1024);
	for (let count = 0; count < 40; count++) one.stream.result({ commandId: `c${count}`, message: big });
	const server = await puppet((message, stream) => {
		if (message.result) results.push(message.result);
		obliging(message, stream);
	}, address);
	await until(() => results.length === 40);
	expect(server.streams).toHaveLength(1);
	expect(results.map((result) => result.commandId)).toEqual(range(0, 39).map((count) => `c${count}`));
	expect(results[0]?.message).toContain("cannot be sent");
	expect(results[39]?.message).toBe(big);
});

test("another address or authority takes effect at once, the same settings change nothing, bad ones are refused", async () => {
	const first = await puppet(obliging);
	const second = await puppet(obliging);
	const base = { id: 1, kind: "console", name: "test" } as const;
	const one = rig([first.address]);
	await until(() => one.stream.state.connected);
	one.stream.reconfigure({ ...base, addresses: [first.address] });
	expect(() => one.stream.reconfigure({ ...base, addresses: ["192.0.2.1:7443"] })).toThrow(
		/without TLS is refused/,
	);
	expect(first.streams).toHaveLength(1);
	expect(one.stream.state.address).toBe(first.address);
	one.stream.reconfigure({ ...base, addresses: [second.address] });
	await until(() => one.stream.state.address === second.address);
});

test("what has changed in hello is told on the same stream", async () => {
	let mode = "observe";
	const console = await consoleAt("127.0.0.1:0");
	const one = rig([console.address], { hello: () => ({ ...hello, mode }) });
	await until(() => one.stream.state.connected);
	mode = "enforce";
	one.stream.helloChanged();
	await until(() => console.sensors()[0]?.mode === "enforce");
});

test("the sensor's status goes along with the first heartbeat, and then rarely", async () => {
	const beats: (wire.Heartbeat | undefined)[] = [];
	const server = await puppet((message, stream) => {
		if (message.heartbeat) beats.push(message.heartbeat);
		obliging(message, stream);
	});
	rig([server.address], { status: () => ({ mode: "observe" }), times: { heartbeat: 20 } });
	await until(() => beats.length >= 4);
	expect(beats.map((beat) => beat?.status?.mode)).toEqual([
		"observe",
		...beats.slice(1).map(() => undefined),
	]);
});
