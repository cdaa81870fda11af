// What a process does to itself and to others: each act, success and failure, field by field.
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Counters } from "../../agent/capture/live.ts";
import { EventFlag, type EventName, type Observation } from "../../agent/model/event.ts";
import { everything } from "../../agent/model/interest.ts";
import { buildTrigger, Harness, run } from "./harness.ts";
import { copyOf, type Seen } from "./seen.ts";

const kinds: EventName[] = [
	"setuid",
	"setgid",
	"capset",
	"unshare",
	"setns",
	"userfaultfd",
	"ioUring",
	"ptrace",
	"vmWrite",
	"kill",
	"execFailed",
	"mount",
	"umount",
	"module",
	"bpf",
	"protect",
];
const trigger = buildTrigger("act");
const targetTrigger = buildTrigger("target");
const seen: Seen[] = [];
let harness: Harness;

function keep({ event }: Observation): void {
	const copy = copyOf(event);
	if (copy && kinds.includes(copy.kind)) seen.push(copy);
}

beforeAll(() => {
	harness = new Harness({
		kinds: ["exit"],
		interest: { ...everything, kinds: new Set([...kinds, "fork", "exit"]) },
		detectors: [{ evaluate: keep }],
	});
});
afterAll(() => harness.close());

/** ENOSYS: a kernel without modules has none of their calls. */
const noSuchCall = -38;

interface Acted {
	readonly said: Record<string, number>;
	readonly event: Seen;
}

/** What the trigger said of its acts, each beside the event it made. There are no other events of these kinds. */
async function acted(
	kind: readonly EventName[],
	act: string,
	name = "",
	program = trigger,
): Promise<Acted[]> {
	const ran = await run(program, [act, name]);
	expect(ran.status).toBe(0);
	await harness.of(ran.pid);
	const actors = new Set(ran.said.map(({ pid }) => pid));
	const events = seen.filter((event) => actors.has(event.pid) && kind.includes(event.kind));
	const known = ran.said.filter(({ result }) => result !== noSuchCall);
	expect(events.map(({ syscall }) => syscall)).toEqual(known.map(({ syscall }) => syscall));
	return known.map((said, index) => ({ said, event: events[index] as Seen }));
}

/** The same of what one process did to another. */
const actedOn = (kind: readonly EventName[], act: string) => acted(kind, act, "", targetTrigger);

/** The same names with the same numbers, but for the words that only the trigger has. */
function expectSame(fields: Record<string, number>, said: Record<string, number>): void {
	const { pid, syscall, ...facts } = said;
	expect(fields).toMatchObject(facts);
}

const unset = 0xffff_ffff;

describe("a change of identity", () => {
	it("is reported with what holds afterwards and what was asked for", async () => {
		const acts = await acted(["setuid", "setgid", "capset"], "identity");
		for (const { said, event } of acts) expectSame(event.fields, said);
		expect(acts.map(({ event }) => event.flags)).toEqual(acts.map(() => 0));
		const asked = acts.map(({ event: { kind, fields } }) => [
			kind,
			fields.asked0,
			fields.asked1,
			fields.asked2,
			fields.result,
		]);
		expect(asked).toEqual([
			["setgid", 1, 2, 3, 0],
			["setgid", 4, unset, unset, 0],
			["setgid", 7, unset, unset, 2],
			["setgid", 6, unset, unset, 0],
			["setuid", 0, unset, unset, 0],
			["capset", 1 << 7, (1 << 7) | (1 << 5), 1 << 5, 0],
			["setuid", 11, 12, 13, 0],
			["setuid", 12, 13, unset, 0],
			["setuid", 12, unset, unset, 13],
			["setuid", 0, unset, unset, -1],
			["setuid", 0, 0, unset, -1],
			["setuid", 0, unset, unset, -1],
			["setgid", 0, unset, unset, -1],
			["setgid", 0, 0, unset, -1],
			["setgid", 0, unset, unset, -1],
			["capset", unset, unset, 0, -1],
		]);
	});
});

describe("a change of namespaces", () => {
	it("is reported with where the process is afterwards", async () => {
		const acts = await acted(["unshare", "setns"], "namespaces");
		for (const { said, event } of acts.slice(0, -1)) expectSame(event.fields, said);
		const [newUts, newMount, oldUts, own, any, wrong, refused, newPid] = acts.map(({ event }) => event);
		expect([newUts, newMount, refused, newPid].map((event) => event?.kind)).toEqual(Array(4).fill("unshare"));
		expect([oldUts, own, any, wrong].map((event) => event?.kind)).toEqual(Array(4).fill("setns"));
		expect(newUts?.fields).toMatchObject({ callFlags: 0x0c00_0000, result: 0 });
		expect(newMount?.fields).toMatchObject({ callFlags: 0x0202_0000, result: 0 });
		expect(oldUts?.fields).toMatchObject({ callFlags: 0x0400_0000, result: 0 });
		expect(own?.fields).toMatchObject({ callFlags: 0x0c00_0000, result: 0 });
		expect(any?.fields).toMatchObject({ callFlags: 0, result: 0 });
		expect(wrong?.fields).toMatchObject({ callFlags: 0x4000_0000, result: -22 });
		expect(refused?.fields.result).toBe(-22);
		// Not entered but for children to come, of which there is none: /proc cannot name it yet.
		expect(newPid?.fields).toMatchObject({ callFlags: 0x2000_0000, result: 0 });
		expect(newPid?.fields.pidNamespace).toBeGreaterThan(0);
		expect(newPid?.fields.pidNamespace).not.toBe(refused?.fields.pidNamespace);
	});
});

describe("a call that is telling by itself", () => {
	it("is reported with its arguments", async () => {
		const acts = await acted(["userfaultfd", "ioUring"], "calls");
		expect(acts.map(({ event }) => event.kind)).toEqual(["userfaultfd", "userfaultfd", "ioUring", "ioUring"]);
		for (const { said, event } of acts) {
			expect(event.fields).toMatchObject({
				argument0: said.argument,
				argument1: 0,
				argument2: said.flags ?? 0,
				argument3: 0,
				result: said.result,
			});
		}
		expect(acts.map(({ said }) => ((said.result ?? 0) > 0 ? "made" : said.result))).toEqual([
			"made",
			-22,
			"made",
			-22,
		]);
	});
});

const { pidFromUser, targetIsSensor } = EventFlag;
const nobody = 0x3ffffff0;

/** Names the target as /proc does, whose clock ticks every 10 ms. */
function expectTarget({ said, event }: Acted): void {
	const { targetPid, targetTid, startTicks, targetNamespacePid = targetPid } = said;
	expect(event.fields).toMatchObject({ targetPid, targetTid, targetNamespacePid });
	expect(Math.floor((event.fields.targetStart as number) / 1e7)).toBe(startTicks);
	expect(event.flags).toBe(targetPid === process.pid ? targetIsSensor : 0);
}

describe("ptrace", () => {
	it("is reported with its target, but for what every debugger does all the time", async () => {
		const acts = await actedOn(["ptrace"], "ptrace");
		for (const { said, event } of acts) {
			const { request, address, result } = said;
			expect(event.fields).toMatchObject({ request, address, result });
		}
		const unknown = acts.filter(({ said }) => said.nobody);
		expect(unknown.map(({ event: { flags, fields } }) => ({ flags, ...fields }))).toMatchObject([
			{ flags: pidFromUser, targetNamespacePid: nobody, targetPid: nobody, targetStart: 0, result: -3 },
		]);
		const known = acts.filter(({ said }) => !said.nobody);
		for (const act of known) expectTarget(act);
		const users = known.map(({ event: { fields } }) => [fields.targetUid, fields.targetEuid]);
		const middle = known.length - 2;
		expect(users).toEqual([[0, 0], ...Array(middle).fill([1234, 1235]), [0, 0]]);
		expect(known.map(({ said }) => said.result).filter((result) => result !== 0)).toEqual([-5, -1]);
		const traceMe = known.at(-1);
		expect(traceMe?.event.fields).toMatchObject({ request: 0, targetPid: traceMe?.event.pid });
	});
});

describe("a write to another process's memory", () => {
	it("is reported with what the caller passed", async () => {
		const acts = await actedOn(["vmWrite"], "vm_write");
		for (const { said, event } of acts) {
			expectSame(event.fields, said);
			expect(event.flags).toBe(pidFromUser);
		}
		expect(acts.map(({ said }) => said.result)).toEqual([24, -14, -3]);
	});
});

describe("a signal", () => {
	it("to another user's process or the sensor is reported, however it is sent", async () => {
		const acts = await actedOn(["kill"], "kill");
		for (const act of acts) {
			expectTarget(act);
			const { request, result } = act.said;
			expect(act.event.fields).toMatchObject({ request, result });
		}
		const users = acts.map(({ event: { fields } }) => [fields.targetUid, fields.targetEuid]);
		const sensor = acts.findIndex(({ said }) => said.targetPid === process.pid);
		expect(sensor).toBe(acts.length - 2);
		expect(users).toEqual(acts.map((_, index) => (index === sensor ? [0, 0] : [1234, 1235])));
	});

	it("that is refused is reported with what the caller passed", async () => {
		const acts = await actedOn(["kill"], "refused");
		expect(acts).toHaveLength(7);
		for (const { said, event } of acts.slice(0, -1)) {
			expect(event.flags).toBe(pidFromUser | targetIsSensor);
			expect(event.fields).toMatchObject({
				result: -1,
				request: said.request,
				targetPid: process.pid,
				targetNamespacePid: process.pid,
				targetStart: 0,
			});
		}
		// A descriptor tells the process itself.
		const byDescriptor = acts.at(-1)?.event;
		expect(byDescriptor).toMatchObject({
			flags: targetIsSensor,
			fields: { result: -1, request: 10, targetUid: 0 },
		});
		expect(byDescriptor?.fields).toMatchObject({ targetPid: process.pid, targetTid: process.pid });
		expect(byDescriptor?.fields.targetStart).toBeGreaterThan(0);
	});

	it("is reported when it crosses the border of a pid namespace, with both numbers of its target", async () => {
		const acts = await actedOn(["kill"], "inside");
		for (const act of acts) expectTarget(act);
		const [, inside] = acts;
		expect(inside?.said.result).toBe(0);
		const traced = seen.filter(({ kind, pid }) => kind === "ptrace" && pid === inside?.event.pid);
		const [known, unknown] = traced.map((event) => ({ said: inside?.said ?? {}, event }));
		if (known) expectTarget(known);
		// Its number says nothing outside.
		expect(unknown?.event.fields).toMatchObject({ result: -3, targetNamespacePid: 77, targetPid: 0 });
	});
});

describe("an execution that is refused", () => {
	it("is reported with name, arguments and folder, and with what could not be told", async () => {
		const folder = join(harness.folder, "exec");
		mkdirSync(folder);
		const text = join(folder, "text");
		writeFileSync(text, "no program\n", { mode: 0o755 });
		const acts = await acted(["execFailed"], "exec", folder);
		expect(acts.map(({ said }) => said.result)).toEqual([-8, -2, -8, -8, -8, -14, -14, -2, -9]);
		const few = "name\0\0tab\there\0";
		const just = `${"x".repeat(255)}\0`;
		const { pathFromUser, argsTruncated, argsUnreadable, rawUnreadable, pathIncomplete } = EventFlag;
		const expected = [
			[text, text, few, pathFromUser],
			[`${folder}/./nothing`, "./nothing", "", pathFromUser],
			[text, "text", just, pathFromUser],
			[text, "text", just, pathFromUser | argsTruncated],
			[text, "", just.repeat(8), argsTruncated],
			["", "", few, rawUnreadable],
			[text, "text", "name\0", pathFromUser | argsUnreadable],
			["/nothing", "nothing", "b\0".repeat(16), pathFromUser],
			["", "nothing", few, pathFromUser | pathIncomplete],
		] as const;
		for (const [index, { said, event }] of acts.entries()) {
			const [path, raw, args, flags] = expected[index] ?? [];
			expect(event.texts).toEqual({ path, raw, args, cwd: index < 7 ? folder : "/" });
			expect(event.flags).toBe(flags);
			expect(event.fields).toMatchObject({ result: said.result, argsBytes: args?.length });
		}
	});
});

describe("a mount", () => {
	it("is reported with what the caller named, made absolute", async () => {
		const folder = join(harness.folder, "mount");
		for (const name of ["a", "b"]) mkdirSync(join(folder, name), { recursive: true });
		const [a, b] = [join(folder, "a"), join(folder, "b")];
		const acts = await acted(["mount", "umount"], "mount", folder);
		const { pathFromUser, rawUnreadable } = EventFlag;
		const text = { path: a, raw: a, source: "", filesystem: "", options: "" };
		const tmpfs = { ...text, source: "memory", filesystem: "tmpfs", options: "size=64k,mode=700" };
		const expected = [
			["mount", 0, 0x4_4000, { ...text, path: "/", raw: "/", source: "none" }],
			["mount", 0, 0xa, tmpfs],
			["mount", 0, 0x1000, { ...text, path: b, raw: "b", source: a }],
			["mount", -19, 0, { ...text, raw: "a", source: "x", filesystem: "no-such-type", options: "some" }],
			["mount", -14, 0, { ...text, path: "", raw: "", source: "x", filesystem: "tmpfs" }],
			["umount", 0, 2, { ...text, path: b, raw: "b" }],
			["umount", -22, 0, { ...text, path: b, raw: "b" }],
			["mount", 0, 0, { ...text, path: b, raw: "b", source: "a" }],
			["mount", 0, 4, { ...text, raw: "a", filesystem: "tmpfs" }],
			["mount", -2, 0, { ...text, path: "/nowhere", raw: "/nowhere", source: "missing" }],
		] as const;
		expect(acts).toHaveLength(expected.length);
		for (const [index, [kind, result, callFlags, texts]] of expected.entries()) {
			const { said, event } = acts[index] as Acted;
			expect(said.result).toBe(result);
			expect(event).toMatchObject({ kind, texts, fields: { result, callFlags, device: said.device ?? 0 } });
			expect(event.flags).toBe(texts.raw === "" ? rawUnreadable : pathFromUser);
		}
	});
});

describe("a kernel module", () => {
	it("is reported with its file, name and arguments", async () => {
		const file = join(harness.folder, "module.ko");
		writeFileSync(file, "no module");
		const { ino } = statSync(file);
		const acts = await acted(["module"], "module", file);
		const nothing = { path: "", name: "", args: "" };
		const expected = [
			[
				{ ...nothing, path: file, args: "debug=1 name=x" },
				{ operation: 1, callFlags: 1, inode: ino },
			],
			[
				{ ...nothing, args: "first=2" },
				{ operation: 1, callFlags: 0, inode: 0 },
			],
			[
				{ ...nothing, name: "picket_none" },
				{ operation: 2, callFlags: 0x800, inode: 0 },
			],
		] as const;
		expect([0, expected.length]).toContain(acts.length);
		for (const [index, { said, event }] of acts.entries()) {
			const [texts, fields] = expected[index] ?? [];
			expect(event).toMatchObject({ texts, fields: { ...fields, result: said.result } });
			expect(said.result).toBeLessThan(0);
		}
	});
});

describe("a BPF program or map", () => {
	it("is reported when it is made, attached, pinned or refused", async () => {
		const acts = await acted(["bpf"], "bpf");
		for (const { said, event } of acts) expectSame(event.fields, said);
		const { pathFromUser } = EventFlag;
		expect(acts.map(({ event: { texts, flags, fields } }) => [fields.command, texts.name, flags])).toEqual([
			[0, "a_map", 0],
			[0, "a_map", pathFromUser],
			[5, "a_program", 0],
			[5, "a_program", pathFromUser],
			[8, "a_program", 0],
			[9, "a_program", 0],
			[28, "a_program", 0],
			[6, "/tmp/not-a-bpf-file-system", pathFromUser],
			[17, "no_such_point", pathFromUser],
		]);
		const results = acts.map(({ said }) => Math.sign(said.result as number));
		expect(results).toEqual([1, -1, 1, -1, -1, -1, -1, -1, -1]);
	});
});

describe("memory made executable", () => {
	it("is reported when it was or can be written, once a while", async () => {
		const file = join(harness.folder, "pages");
		writeFileSync(file, Buffer.alloc(3 * 4096));
		const { ino } = statSync(file);
		const before = harness.capture.counters().get("protect");
		const acts = await acted(["protect"], "protect", file);
		const after = harness.capture.counters().get("protect");
		for (const { said, event } of acts) expectSame(event.fields, said);
		const { written } = EventFlag;
		const told = acts.map(({ said, event: { fields, flags, texts } }) => [
			said.result,
			fields.protection,
			flags,
			fields.inode,
			texts.path,
		]);
		expect(told).toEqual([
			[0, 7, 0, ino, file],
			[0, 6, 0, 0, ""],
			[0, 5, 0, 0, ""],
			[-22, 4, 0, 0, ""],
			[0, 4, 0, ino, file],
			[0, 5, written, ino, file],
			[0, 5, written, 0, ""],
			[0, 7, 0, 0, ""],
			[0, 4, written, 0, ""],
			[-22, 7, 0, 0, ""],
		]);
		const grown = (count: keyof Counters) => (after?.[count] ?? 0) - (before?.[count] ?? 0);
		expect([grown("generated"), grown("submitted"), grown("repeated")]).toEqual([19, 10, 9]);
	});
});
