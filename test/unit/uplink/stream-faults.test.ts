// A real console behind a network that breaks in every way: nothing is lost, order is kept, repeats vanish by key.
// 14 faults, 1,000 with PICKET_SOAK=1.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { seed } from "../../fuzz/counts.ts";
import { consoleAt, temporaryFolder, until } from "../console/rig.ts";
import { faultProxy, faults } from "./fault-proxy.ts";
import { randomOf } from "./random.ts";
import { rig } from "./stream-rig.ts";

const long = process.env.PICKET_SOAK === "1";
const rounds = long ? 1000 : 14;

test(`${rounds} faults of the network lose no record, change no order and leave no repeat`, async () => {
	const store = join(temporaryFolder(), "records.jsonl");
	const console = await consoleAt("127.0.0.1:0", { store });
	const proxy = await faultProxy(console.address);
	const one = rig([proxy.address], {
		times: { heartbeat: 40, answer: 150, firstRetry: 2, lastRetry: 10, batch: 5 },
	});
	const random = randomOf(seed);
	let sequence = 0;
	const push = (count: number): void => {
		for (let index = 0; index < count; index++) one.push(++sequence);
	};
	// An earlier boot's are still there.
	for (let old = 1; old <= 300; old++) one.push(old, "boot-0");
	for (let round = 0; round < rounds; round++) {
		const fault = faults[round % faults.length] ?? "reset";
		const before = proxy.hits;
		proxy.set(fault, random() < 0.5 ? 0 : Math.floor(random() * 5000));
		push(1 + Math.floor(random() * 400));
		await until(() => {
			// Something must be said, or no fault ever strikes.
			push(1);
			return proxy.hits > before;
		});
		const hold = fault === "delay" ? 80 : random() * 200;
		await new Promise((resolve) => setTimeout(resolve, hold));
		proxy.set("none");
		if (random() < 0.7) await until(() => one.stream.state.connected);
	}
	await until(() => one.source.held === 0);
	await one.stream.farewell("REASON_STOPPED");
	await console.close();
	const lines = readFileSync(store, "utf8").trimEnd().split("\n");
	const stored = lines.map((line) => JSON.parse(line) as { bootId: string; sequence: string });
	const of = (boot: string): number[] =>
		stored.filter(({ bootId }) => bootId === boot).map((record) => Number(record.sequence));
	expect(of("boot-0")).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
	expect(of("boot-1")).toEqual(Array.from({ length: sequence }, (_, index) => index + 1));
	expect(one.quarantined).toEqual([]);
	expect(one.lost).toEqual([]);
	expect(proxy.hits).toBeGreaterThanOrEqual(rounds);
}, 1_800_000);

/** Seconds of the real times; a tenth of them without PICKET_SOAK. */
const unit = long ? 1000 : 100;

test(`an idle stream that a black hole swallows is noticed within ${35 * unit} ms`, async () => {
	const console = await consoleAt("127.0.0.1:0");
	const proxy = await faultProxy(console.address);
	const one = rig([proxy.address], { times: { heartbeat: 20 * unit, answer: 10 * unit, lastRetry: 100 } });
	await until(() => one.stream.state.connected);
	proxy.set("black hole");
	const start = performance.now();
	while (one.stream.state.connected) {
		await new Promise((resolve) => setTimeout(resolve, 20));
		expect(performance.now() - start).toBeLessThan(35 * unit);
	}
	expect(one.stream.state.problem).toContain("no answer");
	proxy.set("none");
	await until(() => one.stream.state.connected);
}, 120_000);
