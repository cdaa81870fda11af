import { expect, onTestFinished, test } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { defaultPolicy, loadPolicy } from "../../../agent/policy/load.ts";
import { createCommandDesk as createCoreDesk } from "../../../agent/remote/desk.ts";
import { createCommandDesk } from "../../../agent/report/commands.ts";
import { listeningLogger, silent } from "../report/samples.ts";
import { consoleAt, relayTo, sensor, temporaryFolder, until } from "./rig.ts";

const done = async (): Promise<wire.CommandResult> => ({ accepted: true, message: "done" });

function desk(onCommand: (command: wire.Command) => Promise<wire.CommandResult> = done) {
	const results: wire.CommandResult[] = [];
	const line = { connected: true };
	const made = createCommandDesk({
		onCommand,
		send: (result) => {
			if (line.connected) results.push(result);
			return line.connected;
		},
	});
	return { ...made, results, line };
}

const block = (id: string): wire.Command => ({ id, block: { address: "192.0.2.1" } });

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
	const core = createCoreDesk({
		stateDir: temporaryFolder(),
		clock: Date.now,
		logger: silent,
		policy: () => loadPolicy("console: {may: [pause]}", "policy.yaml").policy ?? defaultPolicy(),
		emit: () => {},
		carryOut: () => {
			runs++;
			return new Promise((resolve) => {
				finish = () => resolve({ accepted: true, message: "late" });
			});
		},
	});
	onTestFinished(() => core.close());
	let runs = 0;
	let finish: () => void = () => {};
	const sink = sensor(relay.address, { onCommand: (command) => core.take("hq", command) });
	await until(() => console.sensors().length === 1);
	const result = console.send("host-1", { pause: { container: "web" } });
	await until(() => runs === 1);
	relay.cut();
	await until(() => !sink.status().connected);
	// The console asks again once it has its sensor back.
	await until(() => sink.status().connected);
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

test("a command that fails still gets its one result, under its id", async () => {
	const { take, results } = desk(async () => {
		throw new Error("no such container");
	});
	take(block("a"));
	await until(() => results.length === 1);
	expect(results).toEqual([{ commandId: "a", accepted: false, message: "failed: no such container" }]);
});

test("more commands than anybody has on the way are refused, not queued", () => {
	let running = 0;
	const { take, results } = desk(() => {
		running++;
		return new Promise(() => {});
	});
	for (let index = 0; index < 1010; index++) take(block(`c${index}`));
	expect(running).toBe(1000);
	expect(results).toHaveLength(10);
	expect(results[0]).toMatchObject({ commandId: "c1000", accepted: false });
});

test("results without a connection are kept for the next one, as far as there is room", async () => {
	const { take, pending, results, line } = desk(async () => ({ message: "x".repeat(1024 * 1024) }));
	line.connected = false;
	for (let index = 0; index < 10; index++) take(block(`c${index}`));
	await new Promise((resolve) => setImmediate(resolve));
	expect(pending().map(({ commandId }) => commandId)).toEqual(["c3", "c4", "c5", "c6", "c7", "c8", "c9"]);
	expect(pending()).toEqual([]);
	line.connected = true;
	take(block("d"));
	await until(() => results.length === 1);
	expect(pending()).toEqual([]);
});
