// An uplink that strangers have taken over: whatever it writes into the pipe has no effect, ends it, and is told.
import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { pino } from "pino";
import { expect, it } from "vitest";
import type { FromUplink } from "../../agent/model/delivery.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { checkFromUplink } from "../../agent/uplink/frame-check.ts";
import { createFrameReader, encodeFrame, encodeRaw, frameTypes } from "../../agent/uplink/frames.ts";
import { createUplink } from "../../agent/uplink-host.ts";
import { seeded } from "../unit/report/samples.ts";
import { createMemorySpool } from "../unit/uplink/memory-spool.ts";
import { soak, timeout } from "./counts.ts";

const rounds = soak ? 100_000 : 2000;
const random = seeded(Number(process.env.PICKET_SEED ?? 7));
const below = (most: number) => Math.floor(random() * most);
const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;

/** A process that is none: what it writes is what the test pushes. */
function createFake() {
	const toCore = new PassThrough();
	const fake = Object.assign(new EventEmitter(), {
		pid: 4_194_303,
		stderr: new PassThrough(),
		stdio: [] as unknown[],
		kill() {
			setImmediate(() => fake.emit("exit", null, "SIGKILL"));
			return true;
		},
	});
	const pipe = Object.assign(toCore, { write: () => true, writable: true });
	fake.stdio = [null, null, null, pipe];
	return { process: fake as unknown as ChildProcess, say: (bytes: Buffer) => toCore.emit("data", bytes) };
}

const good: readonly FromUplink[] = [
	{ type: "alive", problems: [] },
	{ type: "more", outlet: 0, after: 0, records: 10, bytes: 1000 },
	{ type: "acknowledged", outlet: 0, position: 1 },
	{ type: "quarantine", outlet: 0, position: 1, reason: "poison" },
	{ type: "command", outlet: 0, command: { id: "1", expires: "2030-01-01T00:00:00Z", kill: { pid: 1 } } },
	{
		type: "state",
		outlet: 0,
		state: { connected: true, address: "h:1", sent: 1, acknowledged: 1, problem: "" },
	},
	{ type: "log", level: "info", message: "hello" },
];
const odd: readonly unknown[] = [
	-1,
	1.5,
	2 ** 60,
	1e308,
	null,
	true,
	"",
	"x".repeat(70_000),
	"\u0000\u001b[2J",
	[],
	{},
	[[[[]]]],
	{ __proto__: null, constructor: 1 },
];

/** Whether an odd value could stand where this one stands. */
function mayBe(value: unknown, there: unknown): boolean {
	if (Array.isArray(there)) return Array.isArray(value) && value.length === 0;
	// A command without an order is the desk's to refuse.
	if (typeof there === "object") return JSON.stringify(value) === "{}";
	if (typeof there === "string") return typeof value === "string" && value.length < 1000;
	return typeof there === "boolean" && typeof value === "boolean";
}

/** Bytes that are wrong in one of many ways; each has to end the uplink. */
function hostile(): Buffer {
	const bytes = Buffer.concat(encodeFrame(pick(good)));
	switch (below(7)) {
		// A field of another type or size, or one too many.
		case 0: {
			const { type, ...head } = structuredClone(pick(good)) as unknown as { type: "log" } & Record<
				string,
				unknown
			>;
			const keys = Object.keys(head);
			const key = random() < 0.2 ? "surplus" : pick(keys);
			head[key] = pick(odd.filter((value) => !mayBe(value, head[key])));
			return Buffer.concat(encodeRaw(frameTypes[type], Buffer.from(JSON.stringify(head) ?? "")));
		}
		// Positions that were never sent, outlets that are not there.
		case 1: {
			const position = 1000 + below(1e9);
			const far: readonly FromUplink[] = [
				{ type: "acknowledged", outlet: 0, position },
				{ type: "quarantine", outlet: 0, position, reason: "" },
				{ type: "more", outlet: 0, after: position, records: 1, bytes: 1 },
				{ type: "acknowledged", outlet: 1 + below(9000), position: 0 },
			];
			return Buffer.concat(encodeFrame(pick(far)));
		}
		case 2:
			bytes.writeUInt32LE(0x100_0000 + below(0x7000_0000), 0);
			return bytes;
		case 3:
			bytes.writeUInt8(pick([0, 1, 2, 3, 4, 5, 6, 7, 41, 200, 255]), 4);
			return bytes;
		case 4:
			bytes.writeUInt32LE(bytes.length + below(0x7fff_ffff), 5);
			return bytes;
		case 5:
			return Buffer.concat(encodeRaw(frameTypes.log, Buffer.from("[".repeat(1 + below(30_000)))));
		default:
			return Buffer.concat(
				encodeRaw(frameTypes.alive, Buffer.from('{"problems":[]}'), [Buffer.alloc(1 + below(99))]),
			);
	}
}

it(`does nothing that ${rounds} hostile frames ask for, and tells of each`, { timeout }, async () => {
	const spool = createMemorySpool();
	const reader = spool.reader("console:hq", { kinds: ["alert"], severity: "informational" });
	for (let i = 1; i <= 3; i++)
		spool.push({ bootId: "b", sequence: i, kind: "alert", severity: "high", payload: Buffer.from("x") });
	const told: string[] = [];
	const commands: wire.Command[] = [];
	let fake = createFake();
	const host = createUplink({
		identity: undefined,
		outlets: () => [{ config: { id: 0, kind: "console", name: "hq", addresses: ["127.0.0.1:1"] }, reader }],
		metrics: "",
		hello: () => ({}),
		status: () => ({}),
		policyHash: () => "",
		onCommand: (_name, command) => void commands.push(command),
		onReady: () => {},
		onRenewed: () => {},
		logger: pino(
			{ level: "error" },
			{ write: (line: string) => void told.push((JSON.parse(line) as { msg: string }).msg) },
		),
		random: () => 0,
		times: { drain: 10, end: 10 },
		launch: () => {
			fake = createFake();
			return fake.process;
		},
	});
	const turn = () => new Promise((resolve) => setImmediate(resolve));
	for (let round = 0; round < rounds; round++) {
		const before = fake;
		before.say(Buffer.concat(encodeFrame({ type: "ready", confinement: [], problems: [] })));
		const bytes = hostile();
		// In pieces, as a pipe may give them.
		const cut = below(bytes.length);
		before.say(bytes.subarray(0, cut));
		before.say(bytes.subarray(cut));
		for (const late = performance.now() + 5000; fake === before && performance.now() < late; ) await turn();
		if (fake === before)
			throw new Error(
				`survived: ${JSON.stringify(bytes.subarray(0, 300).toString("latin1"))} (round ${round})`,
			);
	}
	expect(told).toHaveLength(rounds);
	for (const text of told) expect(text).toMatch(/^the uplink ended \(it sent [ -~…]*\); another is started/);
	expect(commands).toEqual([]);
	expect(reader.acknowledged).toBe(0);
	expect(spool.quarantined).toEqual([]);
	expect(host.status().restarts).toBe(rounds);
	setTimeout(() => fake.process.emit("exit", 0, null), 5);
	await host.close();
});

it("reads frames whole however they are cut, and takes every one that is right", () => {
	const bytes = Buffer.concat(good.flatMap((message) => encodeFrame(message)));
	for (let round = 0; round < 200; round++) {
		const got: unknown[] = [];
		const reader = createFrameReader({
			limit: () => 65_536,
			frame: (type, head, payload) => void got.push(checkFromUplink(type, head, payload)),
			broken: (reason) => void got.push(reason),
		});
		for (let at = 0; at < bytes.length; ) {
			const end = Math.min(bytes.length, at + 1 + below(round + 1));
			reader.push(bytes.subarray(at, end));
			at = end;
		}
		expect(got).toEqual(good);
	}
});
