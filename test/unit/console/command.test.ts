import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import { type ConsoleCommandOptions, runConsole } from "../../../agent/console/command.ts";
import { readOperatorLine } from "../../../agent/console/operator.ts";
import { openStore, runKey } from "../../../agent/console/store.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { recordLine } from "../../../agent/report/record.ts";
import { alertRecord, eventRecord, silent } from "../report/samples.ts";
import { hello, sensor, temporaryFolder, until } from "./rig.ts";

async function run(more: Partial<ConsoleCommandOptions> = {}) {
	const input = new PassThrough();
	const stdout = new PassThrough();
	const stderr = new PassThrough();
	const text = { out: "", err: "" };
	stdout.on("data", (chunk) => {
		text.out += chunk;
	});
	stderr.on("data", (chunk) => {
		text.err += chunk;
	});
	const stop = new AbortController();
	let address = "";
	const done = runConsole({
		listen: "127.0.0.1:0",
		logger: silent,
		input,
		stdout,
		stderr,
		signal: stop.signal,
		onListening: (at) => {
			address = at;
		},
		...more,
	});
	onTestFinished(async () => {
		stop.abort();
		await done.catch(() => {});
	});
	await until(() => address !== "");
	return { input, text, address, done, type: (line: string) => void input.write(`${line}\n`) };
}

test("records are shown as text, orders are carried out, and quit ends it", async () => {
	const { text, address, done, type } = await run();
	const orders: wire.Command[] = [];
	const sink = sensor(address, {
		onCommand: async (command) => {
			orders.push(command);
			const processes = command.queryProcesses
				? [
						{
							pid: 7,
							startTime: "2026-01-02T03:04:05.000000001Z",
							user: "root",
							args: ["sh", "-c", "\x1b[2J"],
						},
					]
				: undefined;
			const action: wire.Action = { kind: "KIND_BLOCK", outcome: "OUTCOME_VERIFIED", target: "192.0.2.1" };
			return { accepted: true, message: "done", ...(processes ? { processes } : { action }) };
		},
	});
	sink.push(alertRecord(1));
	await until(() => text.out.includes("HIGH     r: s"));
	type("sensors");
	await until(() => /web-1 {2}host-1 {2}picket 0\.1\.0 {2}observe/.test(text.out));
	type("block web-1 192.0.2.1 10m");
	await until(() => text.out.includes("action block 192.0.2.1: verified"));
	expect(orders[0]).toMatchObject({
		requester: "operator",
		block: { address: "192.0.2.1", ttlSeconds: 600 },
	});
	type("ps host-1 sh");
	await until(() => text.out.includes("7  2026-01-02T03:04:05.000000001Z  root  sh -c \\x1b[2J"));
	expect(orders[1]?.queryProcesses?.contains).toBe("sh");
	type("block nowhere 192.0.2.1");
	await until(() => text.out.includes('no sensor "nowhere" is connected'));
	type("\x1b[2Jdance");
	await until(() => text.out.includes("is no command"));
	expect(text.out).not.toContain("\x1b");
	type("quit");
	await done;
});

test("with JSON the output holds nothing but JSON lines; answers go to stderr", async () => {
	const { text, address, type } = await run({ output: "json" });
	const sink = sensor(address);
	sink.push(alertRecord(1));
	sink.push(eventRecord(2));
	type("help");
	await until(() => text.out.split("\n").length === 3 && text.err.includes("block HOST ADDRESS"));
	expect(text.out).toBe(`${recordLine(alertRecord(1))}\n${recordLine(eventRecord(2))}\n`);
});

test("the end of the input does not end the console", async () => {
	const { input, text, address } = await run();
	input.end();
	const sink = sensor(address);
	sink.push(alertRecord(1));
	await until(() => text.out.includes("r: s"));
});

test("half of a TLS pair, or files that are not there, are refused before anything listens", async () => {
	const options = {
		logger: silent,
		input: new PassThrough(),
		stdout: new PassThrough(),
		stderr: new PassThrough(),
	};
	await expect(runConsole({ ...options, tlsCert: "x" })).rejects.toThrow(/both --tls-cert and --tls-key/);
	await expect(runConsole({ ...options, tlsCert: "/none", tlsKey: "/none" })).rejects.toThrow(
		/cannot be read/,
	);
	await expect(runConsole({ ...options, listen: "0.0.0.0:0" })).rejects.toMatchObject({ code: "PLAINTEXT" });
});

test.each([
	["", { kind: "nothing" }],
	["  sensors ", { kind: "sensors" }],
	["unblock h 192.0.2.0/24", { command: { unblock: { address: "192.0.2.0/24" } } }],
	["block h 192.0.2.1", { command: { block: { address: "192.0.2.1", ttlSeconds: 0 } } }],
	["pause h web", { command: { pause: { container: "web" } } }],
	["resume h web", { command: { resume: { container: "web" } } }],
	["kill h 7 2026-01-02T03:04:05Z", { command: { kill: { pid: 7, startTime: "2026-01-02T03:04:05Z" } } }],
	["ps h", { command: { queryProcesses: { contains: "" } } }],
	["connections h", { command: { queryConnections: { pid: 0 } } }],
	["connections h 7", { command: { queryConnections: { pid: 7 } } }],
	["connections h x", { kind: "mistake", message: expect.stringContaining("no pid") }],
	["containers h web", { command: { queryContainers: { contains: "web" } } }],
	["counters h", { command: { queryCounters: {} } }],
	["counters", { kind: "mistake", message: expect.stringContaining("needs a host") }],
	["evidence h 7 2026-01-02T03:04:05Z", { command: { takeEvidence: { pid: 7 } } }],
	["evidence h 7", { kind: "mistake", message: expect.stringContaining("start time") }],
	["mode h observe", { command: { setMode: { mode: "observe" } } }],
	["mode h off", { kind: "mistake", message: expect.stringContaining("observe or enforce") }],
	["block h", { kind: "mistake", message: expect.stringContaining("Usage: block HOST ADDRESS [TTL]") }],
	["block h a 5x", { kind: "mistake", message: expect.stringContaining('"5x" is no time span') }],
	["kill h 7", { kind: "mistake", message: expect.stringContaining("start time") }],
	["kill h 0 2026-01-02T03:04:05Z", { kind: "mistake", message: expect.stringContaining("no pid") }],
	["kill h 7 now", { kind: "mistake", message: expect.stringContaining("no start time") }],
	["quit now", { kind: "mistake", message: expect.stringContaining("takes nothing") }],
])("an operator's line is read: %j", async (line, read) => {
	expect(await readOperatorLine(line)).toMatchObject(read);
});

test("the store knows after a restart what it has, and cuts off a line that a crash left half written", async () => {
	const path = join(temporaryFolder(), "records.jsonl");
	const first = await openStore(path);
	const boot = 'b"\\1';
	await Promise.all([
		first.append("h", boot, [eventRecord(5), eventRecord(6, '","sequence":"99')]),
		first.append("other", boot, [eventRecord(1)]),
	]);
	await first.close();
	const whole = readFileSync(path, "utf8");
	truncateSync(path, whole.length - 3);
	const second = await openStore(path);
	expect(second.last.get(runKey("h", boot))).toBe(6n);
	expect(second.last.has(runKey("other", boot))).toBe(false);
	await second.append("other", boot, [eventRecord(1)]);
	await second.close();
	expect(readFileSync(path, "utf8")).toBe(whole);
	expect(JSON.parse(whole.split("\n")[0] ?? "")).toEqual({ hostId: "h", bootId: boot, ...eventRecord(5) });
	await expect(openStore("/none/such/file")).rejects.toMatchObject({ code: "STORE" });
});

test("records sent twice are stored and shown once", async () => {
	const path = join(temporaryFolder(), "records.jsonl");
	const { text, address } = await run({ store: path, output: "json" });
	const one = sensor(address);
	for (let sequence = 1; sequence <= 3; sequence++) one.push(eventRecord(sequence));
	await until(() => one.status().acknowledged === "3");
	await one.close();
	const two = sensor(address, { hello: () => ({ ...hello }) });
	for (let sequence = 1; sequence <= 4; sequence++) two.push(eventRecord(sequence));
	await until(() => two.status().acknowledged === "4");
	expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(4);
	await until(() => text.out.trimEnd().split("\n").length === 4);
});
