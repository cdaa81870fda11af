import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { openSeenCommands } from "../../../agent/remote/seen.ts";
import { verifyAudit } from "../../../agent/respond/audit-read.ts";
import { block, policyOf, rig, start } from "./rig.ts";

const later = "2026-01-02T03:05:05Z";
const query = (id: string): wire.Command => ({ id, expires: later, queryProcesses: {} });

function nested(depth: number): unknown {
	let value: unknown = "x";
	for (let level = 0; level < depth; level++) value = [value];
	return value;
}

function auditOf(stateDir: string): Record<string, unknown>[] {
	const text = readFileSync(join(stateDir, "audit.jsonl"), "utf8");
	expect(verifyAudit(text).broken).toBeUndefined();
	return text
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line));
}

it("a command that is granted is carried out once, under the console's own name, and is in the audit", async () => {
	const { desk, done, stateDir } = rig();
	const first = await desk.take("hq", block("a"));
	expect(first).toEqual({ commandId: "a", accepted: true, message: "done" });
	expect(await desk.take("hq", block("a"))).toEqual(first);
	expect(done).toHaveLength(1);
	expect(done[0]).toMatchObject({ console: "hq", requester: "console:hq", person: "alice" });
	// Another console's ids are its own.
	expect(await desk.take("eu", block("a"))).toMatchObject({ accepted: true });
	expect(done).toHaveLength(2);
	await desk.close();
	expect(auditOf(stateDir)).toMatchObject([
		{
			stage: "outcome",
			requester: "console:hq",
			person: "alice",
			command: { id: "a", order: "block", params: { address: "192.0.2.1" } },
			accepted: true,
		},
		{ requester: "console:eu" },
		{ stage: "note", requester: "console:hq", commands: { "came again": 1 } },
	]);
});

it("a command that comes again while it runs waits for the same result", async () => {
	const ends = Promise.withResolvers<wire.CommandResult>();
	const { desk, done } = rig({ carryOut: () => ends.promise });
	const both = [desk.take("hq", block("a")), desk.take("hq", block("a"))];
	ends.resolve({ accepted: true, message: "blocked" });
	expect((await Promise.all(both)).map(({ message }) => message)).toEqual(["blocked", "blocked"]);
	expect(done).toHaveLength(1);
});

it("the same id with another order is refused, before and after a restart", async () => {
	const { desk, done, stateDir } = rig();
	await desk.take("hq", block("a"));
	const other = await desk.take("hq", block("a", "192.0.2.99"));
	expect(other).toMatchObject({ accepted: false, message: expect.stringContaining("used for another") });
	await desk.close();
	const next = rig({ stateDir });
	expect(await next.desk.take("hq", block("a", "192.0.2.99"))).toEqual(other);
	expect([...done, ...next.done]).toHaveLength(1);
});

it("a restart forgets no command: it is answered as before and not carried out again", async () => {
	const { desk, stateDir } = rig();
	const before = await desk.take("hq", block("a"));
	await desk.close();
	const next = rig({ stateDir });
	expect(await next.desk.take("hq", block("a"))).toEqual(before);
	expect(next.done).toEqual([]);
});

it("a command that was running when the sensor died is not begun again", async () => {
	const { desk, stateDir } = rig({ carryOut: () => new Promise(() => {}) });
	void desk.take("hq", block("a"));
	// Nobody closed it: as after a kill -9.
	const next = rig({ stateDir });
	const answer = await next.desk.take("hq", block("a"));
	expect(answer).toMatchObject({
		accepted: false,
		message: expect.stringContaining("not carried out again"),
	});
	expect(next.done).toEqual([]);
});

it("what cannot be remembered is not done, except what gives back", async () => {
	const { desk, stateDir, done, actions } = rig();
	// A folder cannot be replaced by a file, whoever asks.
	const { mkdirSync } = await import("node:fs");
	mkdirSync(join(stateDir, "commands.seen", "x"), { recursive: true });
	const refused = await desk.take("hq", block("a"));
	expect(refused).toMatchObject({ accepted: false, message: expect.stringContaining("could run twice") });
	expect(actions).toMatchObject([{ kind: "KIND_BLOCK", outcome: "OUTCOME_REFUSED" }]);
	const unblock = { id: "b", expires: later, unblock: { address: "192.0.2.1" } };
	expect(await desk.take("hq", unblock)).toMatchObject({ accepted: true });
	expect(done.map(({ id }) => id)).toEqual(["b"]);
});

it("a damaged file of commands costs the damaged lines alone", async () => {
	const { desk, stateDir } = rig();
	for (const id of ["a", "b", "c"]) await desk.take("hq", block(id));
	await desk.close();
	const file = join(stateDir, "commands.seen");
	const text = readFileSync(file, "utf8");
	// One letter of an id flips, and the end is torn off.
	writeFileSync(file, `${text.replace('"b"', '"x"').slice(0, -4)}\n\0\0garbage\n`);
	const next = rig({ stateDir });
	expect(next.desk.problems()).toEqual([expect.stringContaining("are damaged")]);
	for (const id of ["a", "c"]) await next.desk.take("hq", block(id));
	expect(next.done).toEqual([]);
	expect(await next.desk.take("hq", block("x"))).toMatchObject({ accepted: true });
	await next.desk.close();
	expect(rig({ stateDir }).desk.problems()).toEqual([]);
});

it("a damaged file of commands is a problem for as long as one of them could come again, a torn end is none", async () => {
	const { desk, stateDir } = rig();
	await desk.take("hq", block("a"));
	await desk.close();
	const file = join(stateDir, "commands.seen");
	const text = readFileSync(file, "utf8");
	writeFileSync(file, `${text}["taken","hq"`);
	const torn = rig({ stateDir });
	expect(torn.desk.problems()).toEqual([]);
	writeFileSync(file, `${text}garbage\n`);
	let now = Date.now();
	const damaged = openSeenCommands({ file, clock: () => now });
	expect(damaged.danger).toContain("are damaged");
	now += 26 * 3600 * 1000;
	expect(damaged.danger).toBe("");
	expect(damaged.problem).toContain("are damaged");
});

it("a clock that is set back brings no old command to life", async () => {
	const one = rig();
	await one.desk.take("hq", block("a"));
	await one.desk.close();
	const ahead = start + 3 * 86_400_000;
	const two = rig({ stateDir: one.stateDir, clock: () => ahead });
	await two.desk.take("hq", { ...block("b"), expires: new Date(ahead + 60_000).toISOString() });
	await two.desk.close();
	expect(readFileSync(join(one.stateDir, "commands.seen"), "utf8")).not.toContain('"a"');
	const next = rig({ stateDir: one.stateDir });
	const answer = await next.desk.take("hq", block("a"));
	expect(answer).toMatchObject({ accepted: false, message: expect.stringContaining("compare the clocks") });
	expect(next.done).toEqual([]);
});

it.each([
	["no expiry", { id: "a", block: { address: "192.0.2.1" } }, "needs a time"],
	["expired", { ...block("a"), expires: "2026-01-02T03:04:00Z" }, "expired 5 s ago by this host's clock"],
	["too far ahead", { ...block("a"), expires: "2026-01-03T03:10:06Z" }, "more than a day"],
	["no id", { ...block("a"), id: undefined }, "needs an id"],
	["a long id", { ...block("a"), id: "x".repeat(201) }, "needs an id"],
	["an id with a line end", { ...block("a"), id: "a\nb" }, "needs an id"],
	["no order", { id: "a", expires: later }, "does not know that kind"],
	["two orders", { ...block("a"), unblock: { address: "192.0.2.1" } }, "one order"],
	["an unknown field", { ...block("a"), block: { address: "192.0.2.1", force: true } }, "block."],
	["an unknown order", { id: "a", expires: later, format: {} }, "nrecognized"],
	["a long address", block("a", "1".repeat(201)), "block.address"],
	["a pid of 0", { id: "a", expires: later, kill: { pid: 0, startTime: later } }, "kill.pid"],
	["no start time", { id: "a", expires: later, kill: { pid: 7 } }, "kill.startTime"],
	[
		"evidence without a start time",
		{ id: "a", expires: later, takeEvidence: { pid: 7 } },
		"takeEvidence.startTime",
	],
	["a mode there is none of", { id: "a", expires: later, setMode: { mode: "off" } }, "setMode.mode"],
	["one nested without end", { ...block("a"), block: nested(100_000) }, "cannot be read"],
	["no object", "block", "needs an id"],
	["nothing", null, "needs an id"],
])("%s is refused with a word on it, and nothing is done", async (_, command, message) => {
	const { desk, done, stateDir } = rig();
	const result = await desk.take("hq", command);
	expect(result).toMatchObject({ accepted: false, message: expect.stringContaining(message) });
	expect(done).toEqual([]);
	await desk.close();
	expect(auditOf(stateDir)).toMatchObject([{ stage: "outcome", requester: "console:hq", accepted: false }]);
});

it("what is not granted is refused, and told as an act that was not", async () => {
	const { desk, done, actions } = rig({ policyText: "" });
	expect(await desk.take("hq", query("q"))).toMatchObject({ accepted: true });
	const refused = await desk.take("hq", block("a"));
	expect(refused).toMatchObject({
		accepted: false,
		message: expect.stringContaining("does not let console hq"),
	});
	expect(actions).toMatchObject([
		{
			kind: "KIND_BLOCK",
			outcome: "OUTCOME_REFUSED",
			target: "192.0.2.1",
			requester: "console:hq",
			reason: "scan (alice)",
		},
	]);
	expect(done.map(({ id }) => id)).toEqual(["q"]);
});

it("content goes on only to a console that may apply something, which its reader asks for by kind", async () => {
	const { desk, done } = rig();
	const content = { content: "AA==", signature: "AA==" };
	await desk.take("hq", { id: "a", expires: later, applyContent: content });
	expect(done[0]?.refusal("apply_rules")).toBeUndefined();
	expect(done[0]?.refusal("apply_policy")).toContain("does not let console hq");
	const other = rig({ policyText: "" });
	expect(await other.desk.take("hq", { id: "a", expires: later, applyContent: content })).toMatchObject({
		accepted: false,
	});
	expect(other.done).toEqual([]);
});

it("a console cannot name itself another, whatever its requester says", async () => {
	const { desk, done } = rig({ policyText: "console: {names: {hq: {may: [block]}}}" });
	const posing = { ...block("a"), requester: "console:hq" };
	expect(await desk.take("eu", posing)).toMatchObject({ accepted: false });
	expect(await desk.take("hq", block("b"))).toMatchObject({ accepted: true });
	expect(done.map(({ requester }) => requester)).toEqual(["console:hq"]);
});

it("a console has so many commands a minute, and what is above is counted in the audit", async () => {
	const made = rig();
	let accepted = 0;
	for (let index = 0; index < 500; index++)
		if ((await made.desk.take("hq", query(`q${index}`))).accepted) accepted++;
	expect(accepted).toBe(60);
	expect((await made.desk.take("hq", query("one more"))).message).toContain("120 commands a minute");
	// What is known costs nothing: it may be running.
	expect(await made.desk.take("hq", query("q1"))).toMatchObject({ accepted: true });
	made.now += 30_000;
	expect(await made.desk.take("hq", query("later"))).toMatchObject({ accepted: true });
	await made.desk.close();
	const sums = auditOf(made.stateDir).filter(({ stage }) => stage === "note");
	expect(sums).toMatchObject([{ commands: { "refused without a look: too many": 442 } }]);
});

it("no console takes all that may run at a time, and what gives back still runs", async () => {
	const { desk, done } = rig({ carryOut: () => new Promise(() => {}), resultMs: 10 });
	for (let index = 0; index < 10; index++) void desk.take("hq", block(`a${index}`));
	expect(done).toHaveLength(8);
	expect((await desk.take("hq", block("b"))).message).toContain("running already");
	void desk.take("hq", { id: "u", expires: later, unblock: { address: "192.0.2.1" } });
	void desk.take("eu", block("c"));
	expect(done.slice(8).map(({ id }) => id)).toEqual(["u", "c"]);
});

it("an order that never ends, or fails, has one result", async () => {
	const endless = rig({ carryOut: () => new Promise(() => {}), resultMs: 20 });
	expect((await endless.desk.take("hq", block("a"))).message).toContain("may still take effect");
	const failing = rig({ carryOut: () => Promise.reject(new Error("no such container")) });
	expect(await failing.desk.take("hq", block("a"))).toEqual({
		commandId: "a",
		accepted: false,
		message: "failed: no such container",
	});
});

it("a list that fits into no message is cut, which the result says", async () => {
	const processes = Array.from({ length: 8000 }, (_, pid) => ({ pid, name: "x".repeat(1000) }));
	const { desk } = rig({ carryOut: async () => ({ accepted: true, message: "", processes }) });
	const result = await desk.take("hq", query("a"));
	expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(3 * 1024 * 1024);
	expect(result.message).toMatch(/^cut to \d{4} of 8000/);
	expect(await desk.take("hq", query("a"))).toEqual({
		commandId: "a",
		accepted: true,
		message: expect.stringContaining("ask again"),
	});
});

it("the ids of a console are bounded: it cannot fill the disk", async () => {
	const { openSeenCommands } = await import("../../../agent/remote/seen.ts");
	const { stateDir } = rig();
	const file = join(stateDir, "bounded");
	const seen = openSeenCommands({ file, clock: () => start, maxPerConsole: 10, maxAll: 15 });
	const add = (console: string, id: number) =>
		seen.add({ console, id: String(id), digest: "d", expires: start + 1000 });
	for (let id = 0; id < 10; id++) add("hq", id);
	expect(() => add("hq", 10)).toThrow("10 commands of this console");
	for (let id = 0; id < 5; id++) add("eu", id);
	expect(() => add("eu", 5)).toThrow("15 commands are remembered");
	seen.close();
	const later = openSeenCommands({ file, clock: () => start + 2 * 86_400_000, maxPerConsole: 10 });
	later.add({ console: "hq", id: "new", digest: "d", expires: start + 2 * 86_400_000 + 1 });
	expect(later.size).toBe(1);
	expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(2);
	later.close();
});

it("another policy counts from the next command on", async () => {
	const made = rig({ policyText: "" });
	expect(await made.desk.take("hq", block("a"))).toMatchObject({ accepted: false });
	made.policy = policyOf("console: {may: [block]}");
	expect(await made.desk.take("hq", block("b"))).toMatchObject({ accepted: true });
});
