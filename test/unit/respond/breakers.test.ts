import { describe, expect, it } from "vitest";
import { type Breaker, createBreakers, type Request } from "../../../agent/respond/breakers.ts";
import { defaultSettings, type Settings } from "../../../agent/respond/orders.ts";

const quarterHour = 900_000;

function make(settings: Partial<Settings> = {}, running = 20, out: string[] = []) {
	const time = { now: 1_000_000 };
	const told: Breaker[] = [];
	const breakers = createBreakers({
		settings: { ...defaultSettings, ...settings },
		clock: () => time.now,
		outOfService: () => out,
		runningContainers: () => running,
		onOpen: (breaker) => told.push(breaker),
	});
	const take = (target: string, more: Partial<Request> = {}) =>
		breakers.take({ target, rule: "noisy", byHand: false, container: undefined, ...more });
	const allowed = (target: string, more?: Partial<Request>) => "slot" in take(target, more);
	return { time, told, breakers, take, allowed };
}

describe("a breaker", () => {
	it("opens for a rule that wants more than ten targets in a minute, and for no other", () => {
		const { told, allowed, take, breakers, time } = make();
		const outcomes = Array.from({ length: 12 }, (_, index) => allowed(`10.0.0.${index}`));
		expect(outcomes).toEqual([...Array<boolean>(10).fill(true), false, false]);
		expect(told).toEqual([
			{ rule: "noisy", reason: expect.stringContaining("10 targets"), until: time.now + quarterHour },
		]);
		expect(take("10.0.0.1")).toMatchObject({ breaker: true, refused: expect.stringContaining('"noisy"') });
		expect(allowed("10.0.0.1", { rule: "quiet" })).toBe(true);
		expect(allowed("10.0.0.1", { rule: undefined, byHand: true })).toBe(true);
		expect(breakers.open()).toEqual(told);
		time.now += quarterHour - 1;
		expect(allowed("10.0.0.1")).toBe(false);
		time.now += 1;
		expect(breakers.open()).toEqual([]);
		expect(allowed("10.0.0.1")).toBe(true);
		expect(told).toHaveLength(1);
	});

	it("counts a target once a minute, however often it is asked for", () => {
		const { allowed, time } = make();
		for (let round = 0; round < 50; round++) expect(allowed(`10.0.0.${round % 10}`)).toBe(true);
		time.now += 60_000;
		for (let last = 0; last < 10; last++) expect(allowed(`10.0.1.${last}`)).toBe(true);
		expect(allowed("10.0.0.0")).toBe(false);
	});

	it("opens for all rules when together they want more than sixty", () => {
		const { told, allowed, take } = make();
		for (let index = 0; index < 60; index++) {
			expect(allowed(`10.0.0.${index}`, { rule: `rule ${index % 8}` })).toBe(true);
		}
		expect(take("10.0.1.1", { rule: "one more" })).toMatchObject({ breaker: true });
		expect(told).toMatchObject([{ rule: "" }]);
		expect(allowed("10.0.0.1", { rule: "rule 1" })).toBe(false);
	});

	it("does not hold back the admin, who is held to the overall rate alone", () => {
		const { told, take, allowed, time } = make({ actionsPerMinute: 12 });
		const byHand = { rule: undefined, byHand: true } as const;
		for (let last = 0; last < 12; last++) expect(allowed(`10.0.0.${last}`, byHand)).toBe(true);
		expect(take("10.0.0.99", byHand)).toMatchObject({ breaker: false });
		expect(told).toEqual([]);
		expect(allowed("10.0.0.99")).toBe(false);
		expect(told).toMatchObject([{ rule: "" }]);
		time.now += 60_000;
		expect(allowed("10.0.0.99", byHand)).toBe(true);
		expect(allowed("10.0.0.98")).toBe(false);
	});

	it("does not count an order that changed nothing", () => {
		const { take, allowed } = make({ ruleTargetsPerMinute: 1 });
		const answer = take("10.0.0.1");
		if ("slot" in answer) answer.slot.giveBack();
		expect(allowed("10.0.0.2")).toBe(true);
	});

	it("lets rules have a fifth of the containers out of service, those under way included", () => {
		const out: string[] = [];
		const { take, allowed, told, time } = make({}, 15, out);
		const pause = { container: "while in force" } as const;
		out.push("a", "b");
		const third = take("c", pause);
		expect("slot" in third).toBe(true);
		expect(allowed("d", { ...pause, rule: undefined, byHand: true })).toBe(true);
		expect(allowed("a", pause)).toBe(true);
		expect(take("e", pause)).toMatchObject({
			breaker: true,
			refused: expect.stringContaining("of 15 containers"),
		});
		expect(told).toHaveLength(1);
		time.now += quarterHour;
		expect(allowed("f", pause)).toBe(false);
	});

	it("gives the place of an act that is over to the next", () => {
		const { take, allowed } = make({}, 3);
		const pause = { container: "while in force" } as const;
		const first = take("a", pause);
		if ("slot" in first) {
			first.slot.end();
			first.slot.end();
		}
		expect(allowed("b", pause)).toBe(true);
		expect(allowed("c", pause)).toBe(false);
	});

	it("always allows one container, and remembers for an hour which were stopped or removed", () => {
		const { take, allowed, time } = make({ alertOnlySeconds: 1 }, 0);
		const stop = { container: "for good" } as const;
		const first = take("a", stop);
		if ("slot" in first) first.slot.end();
		expect(allowed("b", stop)).toBe(false);
		time.now += 3_599_999;
		expect(allowed("b", stop)).toBe(false);
		time.now += 1001;
		expect(allowed("b", stop)).toBe(true);
	});
});
