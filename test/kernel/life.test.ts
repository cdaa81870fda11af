// No birth, execution or death of a process is missed or told twice, whoever preempts whom within the programs.
import { writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { EventKind } from "../../agent/model/event.ts";
import { noInterest } from "../../agent/model/interest.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { asking, buildTrigger, Harness, run } from "./harness.ts";

const trigger = buildTrigger();
const kinds = ["exec", "fork", "exit"] as const;
const interest = asking();
let harness: Harness;
afterEach(() => harness.close());

/** What was told of the children of these processes, which have ended, and what should have been. */
function children(parents: ReadonlySet<number>, each: number) {
	harness.capture.flush();
	const forks = harness.events.filter(({ fork, process }) => fork && parents.has(process?.pid ?? 0));
	const pids = forks.map(({ fork }) => fork?.childPid ?? 0);
	const known = new Set(pids);
	const of = (is: (event: wire.Event) => unknown) =>
		harness.events.filter((event) => is(event) && known.has(event.process?.pid ?? 0)).length;
	const all = parents.size * each;
	return {
		told: {
			forks: pids.length,
			pids: known.size,
			execs: of(({ exec }) => exec),
			exits: of(({ exit }) => exit),
		},
		done: { forks: all, pids: all, execs: all, exits: all },
	};
}

function identity(): void {
	harness.capture.flush();
	for (const kind of kinds) {
		const { generated, submitted, lost } = harness.capture.counters().get(kind) ?? {};
		expect(generated, kind).toBe(submitted);
		expect(lost, kind).toBe(0);
		expect(harness.pipeline.delivered[EventKind[kind]], kind).toBe(generated);
	}
}

describe("processes that live for a moment", () => {
	it("are told of whole, each once, when more of them than there are processors get in each other's way", async () => {
		harness = new Harness({ kinds, interest });
		const count = 100;
		const runs = await Promise.all(Array.from({ length: 6 }, () => run(trigger, ["execs", String(count)])));
		const { told, done } = children(new Set(runs.map(({ pid }) => pid)), count);
		if (Number.parseInt(release(), 10) < 7) {
			expect(told).toEqual(done);
			expect(harness.capture.skipped()).toBe(0);
		} else {
			// Where programs are preempted both of an execution's may be skipped, when a map is being written on that CPU:
			// 2 of 600 on an emulated processor with two others and more beside it.
			expect({ ...told, execs: 0 }).toEqual({ ...done, execs: 0 });
			expect(told.execs).toBeGreaterThanOrEqual(done.execs - 6);
			expect(told.execs).toBeLessThanOrEqual(done.execs);
		}
		identity();
	});

	it("are told of by the program that knows more, whichever the kernel runs first", async () => {
		harness = new Harness({ kinds, interest });
		const script = join(harness.folder, "script");
		writeFileSync(script, "#!/bin/sh\n:\n", { mode: 0o755 });
		// Off and on again: the second programs' events may outlive the first ones' hooks.
		for (let time = 0; time < 3; time++) {
			harness.capture.setInterest(noInterest);
			harness.capture.setInterest(interest);
			const { pid } = await run(script, []);
			const exec = (await harness.of(pid)).find((event) => event.exec);
			expect(exec?.exec).toMatchObject({ rawPath: script, interpreter: "/bin/sh" });
		}
		identity();
	});

	it.each(["", "_again"])("are told of whole by one of the two programs alone: on_exec%s", async (rest) => {
		const off = kinds.map((kind) => `on_${kind}${rest}`);
		harness = new Harness({ kinds, interest, off });
		for (const name of off) expect(harness.capture.attached()).not.toContain(name);
		const { pid } = await run(trigger, ["execs", "10"]);
		const { told, done } = children(new Set([pid]), 10);
		expect(told).toEqual(done);
		const exec = harness.events.find((event) => event.exec && event.process?.pid === pid);
		expect(exec?.exec).toMatchObject({ path: trigger, previousExecutable: process.execPath });
		expect(exec?.process?.args).toEqual([trigger, "execs", "10"]);
		identity();
	});
});
