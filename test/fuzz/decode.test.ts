// Mutated records of every kind through decoder, tree, rules, policy, alerts and every output: nothing throws, nothing
// takes long, nothing piles up.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { readRules } from "../../agent/content.ts";
import { at, observationsOf, type Step } from "../../agent/detect/correlation/sample.ts";
import type { RuleSet } from "../../agent/detect/load.ts";
import { observationOf, type Sample } from "../../agent/detect/sample.ts";
import { eventNames } from "../../agent/model/event.ts";
import { Random } from "../unit/detect/rig.ts";
import { limitMs, seed, soak, tell, timeout } from "./counts.ts";
import { mutate } from "./mutate.ts";
import { containerOf, everyKind, type Story, storyOf } from "./records.ts";
import { createStages, type Fuzzed } from "./stages.ts";
import { Watch } from "./watch.ts";

const wanted = soak ? 1_000_000 : 20_000;
/** ns. */
const hour = 3600e9;
const memoryBytes = 256 * 1024;
const cgroupOf = (place: number): number => 1000 + place;

function heapMb(): number {
	setFlagsFromString("--expose-gc");
	(runInNewContext("gc") as () => void)();
	return process.memoryUsage().heapUsed / 1024 / 1024;
}

/** Stories of our signatures, their containers made known. */
function sampleStories({ enrichment }: Fuzzed, rules: RuleSet): Story[] {
	const samples = rules.rules.flatMap(
		({ samples: given }) => (given as { positive?: (Sample | Step[])[] } | undefined)?.positive ?? [],
	);
	let firstPid = 10_000;
	return samples.map((sample, place) => {
		const acts = Array.isArray(sample) ? observationsOf(sample) : [observationOf(sample)];
		const container = containerOf(acts[0]);
		if (container) enrichment.replay({ name: "container", value: container });
		// Correlations group by container, and of a cgroup nobody knows it is not known whether it is one.
		const path = container ? `/docker/${container.id}` : `/system.slice/${place}.service`;
		enrichment.replay({ name: "cgroup", value: { id: cgroupOf(place), path } });
		return acts.flatMap((act) => {
			firstPid += 8;
			// An hour after the sample before: what that has left in a correlation's window is gone.
			at(act, act.event.time + place * hour, firstPid);
			return storyOf(act, firstPid, cgroupOf(place));
		});
	});
}

/** Hands records over and watches the clock. */
class Feeder {
	readonly #stages: Fuzzed;
	readonly #bytes: Buffer;
	readonly #random: Random;
	fed = 0;
	mutated = 0;
	readonly watch = new Watch();

	constructor(stages: Fuzzed, random: Random) {
		const memory = new ArrayBuffer(memoryBytes);
		this.#stages = stages;
		this.#bytes = Buffer.from(memory);
		this.#random = random;
		stages.pipeline.memory(memory);
	}

	feed(record: Buffer, change: boolean): void {
		const room = memoryBytes - record.length;
		// Often at the very end: what reads on behind it reads nothing.
		const offset = (this.#random.chance(0.3) ? room : this.#random.below(room)) & ~7;
		record.copy(this.#bytes, offset);
		const place = this.#bytes.subarray(offset, offset + record.length);
		const size = change ? mutate(this.#random, place) : record.length;
		const what = () => `seed ${seed}, record ${this.fed}: ${place.toString("hex").slice(0, 4000)}`;
		this.fed++;
		if (change) this.mutated++;
		this.watch.time(() => this.#stages.pipeline.record(offset, size), what);
		const [thrown] = this.#stages.thrown;
		if (thrown !== undefined) throw new Error(`${thrown}\n${what()}`);
	}
}

describe("a mutated record", () => {
	it(
		`of any kind passes every stage in time and without an exception, ${wanted} times`,
		async () => {
			const random = new Random(seed);
			const rules = readRules([], true);
			const stages = createStages(rules);
			const { pipeline, engine, found, sent } = stages;
			const feeder = new Feeder(stages, random);
			const samples = sampleStories(stages, rules);
			const others = everyKind(random);
			const begun = performance.now();
			for (const story of samples) for (const record of story) feeder.feed(record, false);
			// Every signature has something to find before anything is changed.
			const silent = rules.rules.filter(
				// Correlations that others are made of find something when these do.
				({ name, samples, correlation }) =>
					!found.has(name) && !engine.matches.has(name) && !(correlation && !samples),
			);
			expect(silent.map(({ name }) => name)).toEqual([]);

			let warm = 0;
			for (let slice = 1; feeder.mutated < wanted; slice++) {
				const until = Math.min(wanted, slice * 500);
				while (feeder.mutated < until) {
					const story = random.pick(random.chance(0.2) ? samples : others);
					for (const record of story) feeder.feed(record, random.chance(0.8));
				}
				stages.draw();
				// What was ordered is answered, timers run.
				await new Promise((resolve) => setImmediate(resolve));
				if (warm === 0 && feeder.mutated > wanted / 3) warm = heapMb();
			}
			const grown = heapMb() - warm;
			const seconds = (performance.now() - begun) / 1000;
			stages.close();
			tell(
				`decode: ${JSON.stringify({
					...{ seed, mutated: feeder.mutated, fed: feeder.fed, refused: pipeline.malformed, ...sent },
					...{
						seconds: Math.round(seconds),
						slowestMs: feeder.watch.slowestMs,
						slowestOwnMs: feeder.watch.slowestOwnMs,
					},
					...{ heapMb: Math.round(warm), grownMb: Math.round(grown) },
				})}`,
			);
			expect(stages.thrown).toEqual([]);
			expect(feeder.watch.slowestOwnMs).toBeLessThan(limitMs);
			expect(grown).toBeLessThan(32);
			// Most must get past the door, and of every kind, or nothing behind it is tried.
			expect(pipeline.malformed).toBeGreaterThan(0);
			expect(pipeline.malformed).toBeLessThan(feeder.fed / 4);
			expect(eventNames.filter((_, index) => !pipeline.delivered[index + 1])).toEqual([]);
			expect(sent.alerts).toBeGreaterThan(wanted / 100);
			expect(sent.actions).toBeGreaterThan(0);
		},
		timeout,
	);
});
