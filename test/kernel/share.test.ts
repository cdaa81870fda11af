// What is left out on purpose, repeats and what goes beyond a cgroup's share, and that every one of them is counted.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { noLimits } from "../../agent/capture/live.ts";
import { EventKind } from "../../agent/model/event.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { buildTrigger, Harness, otherOpens, run } from "./harness.ts";

const slip = buildTrigger("slip");
const trigger = buildTrigger();

let folder: string;
let harness: Harness;
/** For the tests in which the window never ends. */
let endless: Harness;
beforeAll(() => {
	endless = window(60_000);
});
afterAll(() => endless.close());
beforeEach(() => {
	harness = endless;
	folder = mkdtempSync(join(tmpdir(), "picket-share-"));
	chmodSync(folder, 0o755);
	for (const name of ["a", "b"]) writeFileSync(join(folder, name), "");
});
afterEach(() => {
	if (harness !== endless) harness.close();
	rmSync(folder, { recursive: true, force: true });
});

const window = (ms: number): Harness =>
	new Harness({ off: otherOpens, kinds: ["open", "exit"], limits: { ...noLimits, repeatWindowMs: ms } });

/** What was reported of one process that did all this. */
async function opens(...words: string[]): Promise<wire.Open[]> {
	const { pid, status } = await run(slip, words, folder);
	expect(status).toBe(0);
	return (await harness.of(pid)).flatMap(({ open }) => (open ? [open] : []));
}

function whole(kind: "open" | "exec" | "fork" | "exit") {
	harness.capture.flush();
	const counts = harness.capture.counters().get(kind);
	if (!counts) throw new Error("no counters");
	expect(counts.submitted + counts.lost + counts.limited + counts.repeated).toBe(counts.generated);
	expect(harness.pipeline.delivered[EventKind[kind]]).toBe(counts.submitted);
	return counts;
}

describe("the same open again", () => {
	it("is counted and not sent", async () => {
		const before = whole("open");
		expect(await opens("times:1000", "open:a")).toMatchObject([{ rawPath: "a" }]);
		expect(whole("open").repeated - before.repeated).toBe(999);
	});

	it("is sent with the number of those that were not, once the window is over", async () => {
		harness = window(300);
		const seen = await opens("times:50", "open:a", "wait:600", "open:a", "wait:600", "open:a");
		expect(seen.map(({ repeats }) => repeats)).toEqual([undefined, 49, undefined]);
	});

	it.each([
		["of another file", ["open:a", "open:b"]],
		["for another purpose", ["open:a", "write:a"]],
		["by another name", ["open:a", "open:./a"]],
		[
			"by a name that differs beyond a few bytes",
			[`open:${"./".repeat(120)}a`, `open:${"./".repeat(119)}.//a`],
		],
		["by another thread", ["open:a", "thread:a"]],
		["by another image of the process", ["open:a", "exec:", "open:a"]],
		["with other rights", ["open:a", "setuid:65534", "open:a"]],
		["of another file of the same name", ["open:a", "unlink:a", "make:a", "open:a"]],
		["of the same file under another name", ["open:a", "rename:a:c", "open:c"]],
	])("is another one: %s", async (_, words) => {
		const before = whole("open").repeated;
		const expected = (words as string[]).filter((word) => /^(open|write|thread|make)/.test(word)).length;
		expect((await opens(...(words as string[]))).length).toBe(expected);
		expect(whole("open").repeated).toBe(before);
	});

	it("by another process is another one", async () => {
		expect(await opens("open:a")).toHaveLength(1);
		expect(await opens("open:a")).toHaveLength(1);
	});

	it("is told when the one before it was lost", async () => {
		harness = new Harness({
			off: otherOpens,
			kinds: ["open", "exit"],
			simulateLoss: 2,
			limits: { ...noLimits, repeatWindowMs: 60_000 },
		});
		// Half of all first reports get lost; the file is heard of all the same, unless the machine throws heads 40 times.
		const { pid } = await run(slip, ["times:40", "open:a"], folder);
		await new Promise((resolve) => setTimeout(resolve, 100));
		harness.capture.flush();
		const seen = harness.events.filter(({ open, process }) => open && process?.pid === pid);
		expect(seen).toHaveLength(1);
		whole("open");
	});
});

describe("a cgroup that sends more than its share", () => {
	it("is cut, to the event, in what is bulk and in nothing else", async () => {
		harness = new Harness({
			off: otherOpens,
			kinds: [],
			limits: { ...noLimits, bulkRate: 100, bulkBurst: 2000 },
		});
		const begun = performance.now();
		await Promise.all([
			run(trigger, ["opens", "10000", "/etc/hostname"]),
			run(trigger, ["forks", "300"]),
			run(trigger, ["opens", "10000", "/etc/hostname"]),
		]);
		const seconds = (performance.now() - begun) / 1000;
		const counts = whole("open");
		// A kernel that can be preempted within a program skips it for whoever comes next on that CPU, and tells us.
		expect(counts.generated + harness.capture.skipped()).toBeGreaterThanOrEqual(20_000);
		expect(counts.submitted).toBeGreaterThan(1900);
		// Besides what both processes may: what the test itself has opened since the harness was made.
		expect(counts.submitted).toBeLessThan(2000 + 100 * seconds + 1000);
		// An emulated processor takes a minute for what another does in a second.
		expect(counts.limited).toBeGreaterThan(10_000);
		for (const kind of ["exec", "fork", "exit"] as const)
			expect(whole(kind)).toMatchObject({ lost: 0, limited: 0 });
	});
});
