// What the kernel is told of a policy, when, and what becomes of its answers.
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Refusal, RefusalRule, Refuser } from "../../../agent/model/refusal.ts";
import { createRefusing, type Refusing, type StandingRule } from "../../../agent/refusing.ts";

const rule: StandingRule = {
	id: "policy/web/processes.deny",
	mode: "enforce",
	where: [7],
	what: { kind: "exec", deny: [{ by: "name", name: "nc" }] },
};
const refusal: Refusal = {
	id: rule.id,
	kind: "exec",
	refused: true,
	time: 1,
	pid: 2,
	start: 3,
	cgroupId: 7,
	path: "/bin/nc",
	peer: undefined,
	count: 1,
};

let rules: StandingRule[];
let mode: "observe" | "enforce";
let puts: { owner: string; rules: readonly RefusalRule[] }[];
let failure: Error | undefined;
let waiting: { refusals: Refusal[]; lost: number };
let told: Refusal[];
let lost: number;
/** In the kernel from an earlier sensor. */
let left: StandingRule[];
let refusing: Refusing;

beforeEach(() => {
	vi.useFakeTimers({ now: 1_000_000 });
	rules = [rule];
	mode = "enforce";
	puts = [];
	failure = undefined;
	waiting = { refusals: [], lost: 0 };
	lost = 0;
	left = [];
	told = [];
	const refuser: Refuser = {
		exec: { by: "lsm", lost: "", remedy: "" },
		egress: { by: "cgroup", lost: "", remedy: "" },
		outlives: true,
		containers: () => undefined,
		owns: () => (puts.at(-1)?.rules ?? left).length > 0,
		put(owner, given) {
			if (failure) throw failure;
			puts.push({ owner, rules: given });
		},
		holds: () => true,
		drain() {
			const now = waiting;
			waiting = { refusals: [], lost: 0 };
			return now;
		},
		release: () => undefined,
		close: () => undefined,
	};
	refusing = createRefusing({
		refuser,
		rules: () => rules,
		mode: () => mode,
		eventsWithinMs: 60,
		told: (each) => told.push(each),
		lost: (count) => {
			lost += count;
		},
		logger: pino({ level: "silent" }),
		clock: Date.now,
	});
});

afterEach(() => {
	refusing.close();
	vi.useRealTimers();
});

describe("a policy", () => {
	it("that asks for nothing puts nothing into the kernel", () => {
		rules = [];
		refusing.changed();
		vi.advanceTimersByTime(120_000);
		expect(puts).toEqual([]);
		expect(refusing.standing).toBe(0);
	});

	it("is put in force once for all changes of a turn, with a deadline that is moved on in time", () => {
		refusing.changed();
		refusing.changed();
		vi.advanceTimersByTime(1);
		expect(puts.length).toBe(1);
		expect(puts[0]?.owner).toBe("policy");
		const first = puts[0]?.rules[0]?.deadline ?? 0;
		expect(first).toBeGreaterThan(Date.now() + 60_000);
		vi.advanceTimersByTime(60_200);
		expect(puts.length).toBe(2);
		expect(puts[1]?.rules[0]?.deadline).toBeGreaterThan(first);
		expect(refusing.standing).toBe(1);
	});

	it("is taken out again when it asks for nothing any more", () => {
		refusing.changed();
		vi.advanceTimersByTime(1);
		rules = [];
		refusing.changed();
		vi.advanceTimersByTime(1);
		expect(puts.at(-1)?.rules).toEqual([]);
		expect(refusing.standing).toBe(0);
	});

	it("that asks for nothing takes out what an earlier sensor left", () => {
		rules = [];
		left = [rule];
		refusing.changed();
		vi.advanceTimersByTime(1);
		expect(puts).toEqual([{ owner: "policy", rules: [] }]);
	});

	it("only watches in observe mode, and follows a change of the mode by itself", () => {
		mode = "observe";
		refusing.changed();
		vi.advanceTimersByTime(1);
		expect(puts.at(-1)?.rules[0]?.mode).toBe("observe");
		mode = "enforce";
		vi.advanceTimersByTime(200);
		expect(puts.at(-1)?.rules[0]?.mode).toBe("enforce");
	});

	it("that the kernel does not take is a problem until it does, and is tried again", () => {
		failure = new Error("no room");
		refusing.changed();
		vi.advanceTimersByTime(1);
		expect(refusing.problem).toBe("no room");
		expect(refusing.standing).toBe(0);
		failure = undefined;
		vi.advanceTimersByTime(60_200);
		expect(refusing.problem).toBe("");
		expect(refusing.standing).toBe(1);
	});
});

describe("what the kernel refused", () => {
	it("is told, and so is how much there was no room for", () => {
		waiting = { refusals: [refusal], lost: 4 };
		vi.advanceTimersByTime(200);
		expect(told).toEqual([refusal]);
		expect(lost).toBe(4);
	});

	it("is told when its event has been judged, not before", () => {
		waiting = { refusals: [refusal], lost: 0 };
		vi.advanceTimersByTime(150);
		expect(told).toEqual([]);
		vi.advanceTimersByTime(50);
		expect(told).toEqual([refusal]);
	});

	it("until the end is told before letting go", () => {
		waiting = { refusals: [refusal], lost: 0 };
		refusing.close();
		expect(told).toEqual([refusal]);
	});
});

it("a kernel that does not answer costs neither the sensor nor its end", () => {
	const error = new Error("EIO");
	const broken = createRefusing({
		refuser: { owns: () => false, put: () => undefined, drain: () => fail(error) } as unknown as Refuser,
		rules: () => fail(error),
		mode: () => "enforce",
		told: () => undefined,
		lost: () => undefined,
		eventsWithinMs: 0,
		logger: pino({ level: "silent" }),
		clock: Date.now,
	});
	broken.changed();
	expect(() => vi.advanceTimersByTime(1000)).not.toThrow();
	expect(broken.problem).toBe("EIO");
	expect(() => broken.close()).not.toThrow();
});

function fail(error: Error): never {
	throw error;
}
