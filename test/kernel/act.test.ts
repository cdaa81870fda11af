// What a process does to itself and to others: each act, success and failure, field by field.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EventName, eventName, type Observation, Text } from "../../agent/model/event.ts";
import { everything } from "../../agent/model/interest.ts";
import { structs } from "../../agent/model/structs.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

/** A copy of what an event holds: the view itself is moved on. */
interface Seen {
	readonly kind: EventName;
	readonly pid: number;
	readonly tid: number;
	readonly syscall: number;
	readonly flags: number;
	/** Members of 4 and 8 bytes by name, and arrays of words as "name0", "name1", … */
	readonly fields: Record<string, number>;
	readonly texts: Record<string, string>;
}

const kinds: EventName[] = ["setuid", "setgid", "capset", "unshare", "setns", "userfaultfd", "ioUring"];
const trigger = buildTrigger("act");
const seen: Seen[] = [];
let harness: Harness;

function copy({ event }: Observation): void {
	const kind = eventName(event.kind);
	if (!kind || !kinds.includes(kind)) return;
	const struct = structs[kind];
	const texts: Record<string, string> = {};
	const fields: Record<string, number> = {};
	const members = Object.entries(struct).filter(([name]) => name !== "bytes" && name !== "header");
	for (const [index, [name, at]] of members.entries()) {
		const bytes = (members[index + 1]?.[1] ?? struct.bytes) - at;
		if (name in Text) texts[name] = event.text(Text[name as keyof typeof Text]);
		else if (bytes === 4) fields[name] = event.word(at);
		else if (bytes === 8) fields[name] = event.long(at);
		else for (let i = 0; i < bytes / 4; i++) fields[`${name}${i}`] = event.word(at + 4 * i);
	}
	fields.result = event.result;
	const { pid, tid, syscall, flags } = event;
	seen.push({ kind, pid, tid, syscall, flags, fields, texts });
}

beforeAll(() => {
	harness = new Harness({
		kinds: ["exit"],
		interest: { ...everything, kinds: new Set([...kinds, "fork", "exit"]) },
		detectors: [{ evaluate: copy }],
	});
});
afterAll(() => harness.close());

/** What the trigger said of its acts, each beside the event it made. There are no other events. */
async function acted(...args: string[]): Promise<{ said: Record<string, number>; event: Seen }[]> {
	const ran = await run(trigger, args);
	expect(ran.status).toBe(0);
	await harness.of(ran.pid);
	const events = seen.filter(({ pid }) => pid === ran.pid);
	expect(events.map(({ syscall }) => syscall)).toEqual(ran.said.map(({ syscall }) => syscall));
	return ran.said.map((said, index) => ({ said, event: events[index] as Seen }));
}

/** The same names with the same numbers, but for the words that only the trigger has. */
function expectSame(fields: Record<string, number>, said: Record<string, number>): void {
	const { pid, syscall, ...facts } = said;
	expect(fields).toMatchObject(facts);
}

const unset = 0xffff_ffff;

describe("a change of identity", () => {
	it("is reported with what holds afterwards and what was asked for", async () => {
		const acts = await acted("identity");
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
		const acts = await acted("namespaces");
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
		const acts = await acted("calls");
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
		expect(acts.map(({ said }) => said.result)).toEqual([
			expect.toSatisfy((fd) => fd > 0),
			-22,
			expect.toSatisfy((fd) => fd > 0),
			-22,
		]);
	});
});
