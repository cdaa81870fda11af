import { expect, test } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { createCommandDesk } from "../../../agent/report/commands.ts";
import { listeningLogger } from "../report/samples.ts";
import { consoleAt, relayTo, sensor, until } from "./rig.ts";

const now = Date.parse("2026-01-02T03:04:05Z");
const later = "2026-01-02T03:05:05Z";
const done = async (): Promise<wire.CommandResult> => ({ accepted: true, message: "done" });

function desk(onCommand: (command: wire.Command) => Promise<wire.CommandResult> = done, resultMs = 1000) {
	const results: wire.CommandResult[] = [];
	const seen: wire.Command[] = [];
	let connected = true;
	const made = createCommandDesk({
		onCommand: (command) => {
			seen.push(command);
			return onCommand(command);
		},
		clock: () => now,
		send: (result) => {
			if (connected) results.push(result);
			return connected;
		},
		resultMs,
	});
	const disconnect = (): void => {
		connected = false;
	};
	return { ...made, results, seen, disconnect };
}

const block = (id: string): wire.Command => ({ id, expires: later, block: { address: "192.0.2.1" } });

test("a command goes to the sensor and its result comes back", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const commands: wire.Command[] = [];
	const sink = sensor(console.address, {
		onCommand: async (command) => {
			commands.push(command);
			return { accepted: true, message: "blocked", action: { kind: "KIND_BLOCK", target: "192.0.2.1" } };
		},
	});
	await until(() => sink.status().connected && console.sensors().length === 1);
	const order = { address: "192.0.2.1", ttlSeconds: 60, reason: "test" };
	const result = await console.send("host-1", { block: order });
	expect(result).toEqual({
		commandId: commands[0]?.id,
		accepted: true,
		message: "blocked",
		action: { kind: "KIND_BLOCK", target: "192.0.2.1" },
	});
	expect(commands).toEqual([
		{ id: expect.any(String), expires: expect.any(String), requester: "console", block: order },
	]);
});

test("a result that was cut off with its connection still arrives, and the command ran once", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const relay = await relayTo(console.address);
	let runs = 0;
	let finish: () => void = () => {};
	const sink = sensor(relay.address, {
		onCommand: () => {
			runs++;
			return new Promise((resolve) => {
				finish = () => resolve({ accepted: true, message: "late" });
			});
		},
	});
	await until(() => console.sensors().length === 1);
	const result = console.send("host-1", { pause: { container: "web" } });
	await until(() => runs === 1);
	relay.cut();
	await until(() => !sink.status().connected);
	finish();
	expect(await result).toMatchObject({ accepted: true, message: "late" });
	expect(runs).toBe(1);
});

test("a result that no message can hold is replaced by one that says so, and the stream stays", async () => {
	const console = await consoleAt("127.0.0.1:0");
	const results: wire.CommandResult[] = [
		{ accepted: true, message: "long", processes: [{ name: "x".repeat(5 * 1024 * 1024) }] },
		{ accepted: true, message: "odd", action: { kind: "KIND_DANCE" as never } },
		{ accepted: true, message: "good" },
	];
	const { logger, lines } = listeningLogger();
	sensor(console.address, { logger, onCommand: async () => results.shift() ?? {} });
	await until(() => console.sensors().length === 1);
	const order = { pause: { container: "web" } };
	const long = await console.send("host-1", order);
	expect(long).toEqual({
		commandId: expect.any(String),
		accepted: true,
		message: "long (the whole result cannot be sent: it is too long)",
	});
	expect((await console.send("host-1", order)).message).toContain("ConnectRequest.result.action.kind");
	expect((await console.send("host-1", order)).message).toBe("good");
	expect(lines.map((line) => line.msg)).toEqual([expect.stringContaining("connected to")]);
});

test("a sensor that is not connected, or gives no answer in time, is an error at the console", async () => {
	const console = await consoleAt("127.0.0.1:0");
	await expect(console.send("host-1", {})).rejects.toMatchObject({ code: "NO_SENSOR" });
	sensor(console.address, { onCommand: () => new Promise(() => {}) });
	await until(() => console.sensors().length === 1);
	const expires = new Date(Date.now() + 100).toISOString();
	const unanswered = console.send("host-1", { expires, pause: { container: "web" } }, 50);
	await expect(unanswered).rejects.toMatchObject({ code: "NO_ANSWER" });
});

test("an expired command, or one without expiry or id, is refused and not carried out", async () => {
	const { take, results, seen } = desk();
	take({ ...block("a"), expires: "2026-01-02T03:04:05Z" });
	take({ id: "b", block: { address: "192.0.2.1" } });
	take({ expires: later, block: { address: "192.0.2.1" } });
	take({ ...block("c"), expires: "soon" });
	expect(results.map((result) => [result.commandId, result.accepted])).toEqual([
		["a", false],
		["b", false],
		["", false],
		["c", false],
	]);
	expect(results[0]?.message).toMatch(/expired at 2026-01-02T03:04:05Z/);
	expect(seen).toEqual([]);
});

test("a kind of command this sensor does not know is refused with a message", () => {
	const { take, results } = desk();
	take({ id: "new", expires: later });
	expect(results).toEqual([
		{ commandId: "new", accepted: false, message: expect.stringContaining("does not know that kind") },
	]);
});

test("a command that comes twice is carried out once and answered alike", async () => {
	const { take, results, seen } = desk();
	take(block("a"));
	take(block("a"));
	await until(() => results.length === 1);
	take(block("a"));
	expect(results).toHaveLength(2);
	expect(results[1]).toEqual(results[0]);
	expect(seen).toHaveLength(1);
});

test("the last thousand commands are remembered", async () => {
	const { take, results, seen } = desk();
	for (let index = 0; index < 1500; index++) {
		take(block(`c${index}`));
		while (results.length <= index) await new Promise((resolve) => setImmediate(resolve));
	}
	take(block("c500"));
	expect(seen).toHaveLength(1500);
	take(block("c499"));
	expect(seen).toHaveLength(1501);
});

test("a command that fails, or never ends, still gets exactly one result", async () => {
	const failing = desk(async () => {
		throw new Error("no such container");
	});
	failing.take(block("a"));
	await until(() => failing.results.length === 1);
	expect(failing.results[0]).toEqual({
		commandId: "a",
		accepted: false,
		message: "failed: no such container",
	});
	const endless = desk(() => new Promise(() => {}), 20);
	endless.take(block("b"));
	await until(() => endless.results.length === 1);
	expect(endless.results[0]?.message).toContain("may still take effect");
});

test("too many commands at a time are refused, not queued", () => {
	const { take, results, seen } = desk(() => new Promise(() => {}));
	for (let index = 0; index < 20; index++) take(block(`c${index}`));
	expect(seen).toHaveLength(16);
	expect(results).toHaveLength(4);
	expect(results[0]?.message).toContain("try again");
});

test("results without a connection are kept for the next one", async () => {
	const { take, pending, results, disconnect } = desk();
	disconnect();
	take(block("a"));
	let kept: wire.CommandResult[] = [];
	await until(() => {
		kept = kept.concat(pending());
		return kept.length > 0;
	});
	expect(kept).toEqual([{ commandId: "a", accepted: true, message: "done" }]);
	expect(results).toEqual([]);
	expect(pending()).toEqual([]);
});

test("a list of processes is not remembered, and a repeat says so", async () => {
	const { take, results } = desk(async () => ({ accepted: true, processes: [{ pid: 1 }] }));
	const query = { id: "q", expires: later, queryProcesses: { contains: "" } };
	take(query);
	await until(() => results.length === 1);
	take(query);
	expect(results[0]?.processes).toEqual([{ pid: 1 }]);
	expect(results[1]).toEqual({
		commandId: "q",
		accepted: true,
		message: expect.stringContaining("ask again"),
	});
});
