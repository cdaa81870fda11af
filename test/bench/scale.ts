// Events a second through decode, enrich and detect on one core, from a recording, with 25, 250 and 2,500 rules, and
// the memory that so many take. All engines take turns on the same events within one run: the ratios count, and of
// each the fastest pass. `node test/bench/scale.ts`; about half a minute.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getHeapStatistics } from "node:v8";
import type { Logger } from "pino";
import { addon } from "../../agent/capture/addon.ts";
import { RecordingWriter, readRecording } from "../../agent/capture/recording.ts";
import { Engine } from "../../agent/detect/engine.ts";
import { loadRules, type RuleSet } from "../../agent/detect/load.ts";
import { createEnrichment } from "../../agent/enrichment.ts";
import { releaseMemory } from "../../agent/health/memory.ts";
import { type Detector, Pipeline } from "../../agent/pipeline.ts";
import { memoryOf } from "../unit/decode/bytes.ts";
import { generatedFiles, signatureFiles } from "./rules.ts";
import { streamOf } from "./streams.ts";

const counts = [25, 250, 2500] as const;
const seconds = 20;
/** Events that are timed together. */
const slice = 200;
const context = { hostname: "bench", userName: () => "www-data" };

/** Our own signatures and generated ones, half and half as far as there are so many of ours. */
function ruleSet(count: number): RuleSet {
	const files = [...signatureFiles(), ...generatedFiles(count)];
	const { rules, ...rest } = loadRules(files);
	const own = rules.filter(({ origin, enabled }) => origin === "picket" && enabled);
	const others = rules.filter(({ origin }) => origin === "falco");
	const share = Math.min(own.length, Math.ceil(count / 2));
	const every = own.length / share;
	const chosen = Array.from(
		{ length: share },
		(_, index) => own[Math.floor(index * every)] as (typeof own)[number],
	);
	return { ...rest, rules: [...chosen, ...others.slice(0, count - share)] };
}

interface Memory {
	/** Resident bytes, ready to judge, and the most there were until then. */
	readonly rss: number;
	readonly peak: number;
	/** Allocated for an event that matches nothing, beyond what the pipeline does without rules. */
	readonly bytes: number;
}

/** In processes of their own. */
function alone(count: number, path: string): Memory {
	const run = (flags: readonly string[], ...words: readonly string[]) =>
		spawnSync(process.execPath, [...flags, import.meta.filename, ...words, String(count)]).stdout.toString();
	// With so much room that no garbage is collected in a pass.
	const room = ["--min-semi-space-size=64", "--max-semi-space-size=64"];
	return { ...JSON.parse(run(product, "memory")), bytes: Number(run(room, "allocation", path)) };
}

function allocation(count: number, path: string): number {
	const recording = read(path);
	const bare = new Run([], recording);
	const run = new Run([new Engine(ruleSet(count), context)], recording);
	const loud = new Set(run.matching());
	// What is not optimised yet allocates: the least of many passes is the true one.
	const least = [0, 1].map(() => Number.POSITIVE_INFINITY);
	for (let pass = 0; pass < 12; pass++)
		for (const [index, each] of [bare, run].entries()) {
			releaseMemory(() => {});
			least[index] = Math.min(least[index] as number, each.weigh(loud));
		}
	const [without = 0, withRules = 0] = least;
	return (withRules - without) / (run.events - loud.size);
}

function memory(count: number): Omit<Memory, "bytes"> {
	const { predicates, rules } = ruleSet(count);
	const engine = new Engine({ ...loadRules([]), predicates, rules }, context);
	// As a sensor does once it is ready.
	releaseMemory(addon().trimMemory);
	const { rss } = process.memoryUsage();
	if (engine.matches.size > 0) throw new Error("unreachable");
	return { rss, peak: process.resourceUsage().maxRSS * 1024 };
}

/** The stream as a recording; what brings its processes to life comes first. */
function record(path: string): void {
	const { before, measured } = streamOf("usual");
	const writer = new RecordingWriter(path, {
		...{ version: "bench", host: "bench", kernel: "", bootId: "bench", bootTimeMs: 1.7e12, started: 1.7e12 },
	});
	for (const record of [...before, ...measured]) writer.record(record, 0, record.length);
	writer.close();
}

/** The recording before one engine. */
class Run {
	readonly #pipeline: Pipeline;
	/** Offset and size of each event. */
	readonly #places: readonly (readonly [offset: number, size: number])[];
	readonly #slices: readonly Uint32Array[];
	/** By slice, ns. */
	readonly #fastest: number[] = [];
	matches = 0;

	constructor(
		detectors: readonly Detector[],
		{ records, first }: { records: readonly Buffer[]; first: number },
	) {
		const enrichment = createEnrichment({
			...{ processes: 32_768, containers: 64, clock: Date.now, onFact: () => {}, live: false },
		});
		this.#pipeline = new Pipeline({
			...{ tree: enrichment.tree, cgroups: enrichment.cgroups, peerNames: { heard: () => {} } },
			detectors: detectors.map((detector) => ({
				evaluate: (seen) => detector.evaluate(seen, this.#onFinding),
			})),
			...{ responses: () => [], responder: undefined, emit: () => {}, eventKinds: new Set(), tap: undefined },
			folder: { push: () => {}, repeat: () => true },
			wire: { bootTimeMs: () => 1.7e12, userName: context.userName, bootId: "bench" } as never,
			...{ activity: () => {}, eventsLost: () => 0 },
			logger: {
				error({ error }: { error: string }) {
					throw new Error(error);
				},
			} as unknown as Logger,
		});
		const { memory, places } = memoryOf(records);
		this.#pipeline.memory(memory);
		for (const [offset, size] of places.slice(0, first)) this.#pipeline.record(offset, size);
		this.#places = places.slice(first);
		this.#slices = slicesOf(this.#places);
		this.matches = 0;
	}

	readonly #onFinding = (): void => {
		this.matches++;
	};

	pass(): void {
		for (const [index, places] of this.#slices.entries()) {
			const begin = process.hrtime.bigint();
			this.#play(places);
			const took = Number(process.hrtime.bigint() - begin);
			this.#fastest[index] = Math.min(this.#fastest[index] ?? took, took);
		}
	}

	#play(places: Uint32Array): void {
		for (let i = 0; i < places.length; i += 2)
			this.#pipeline.record(places[i] as number, places[i + 1] as number);
	}

	/** Numbers of the events that match something. */
	matching(): number[] {
		const matching: number[] = [];
		for (const [index, place] of this.#places.entries()) {
			const before = this.matches;
			this.#play(Uint32Array.from(place));
			if (this.matches > before) matching.push(index);
		}
		return matching;
	}

	/** Bytes by which the heap grows over all events but these. */
	weigh(loud: ReadonlySet<number>): number {
		const quiet = Uint32Array.from(this.#places.filter((_, index) => !loud.has(index)).flat());
		const before = getHeapStatistics().used_heap_size;
		this.#play(quiet);
		return getHeapStatistics().used_heap_size - before;
	}

	get events(): number {
		return this.#places.length;
	}

	/** ns an event, of each slice the fastest pass: a busy machine leaves a moment to a slice sooner than to all. */
	get fastest(): number {
		return this.#fastest.reduce((sum, each) => sum + each, 0) / this.#places.length;
	}
}

function slicesOf(places: readonly (readonly number[])[]): Uint32Array[] {
	return Array.from({ length: Math.ceil(places.length / slice) }, (_, index) =>
		Uint32Array.from(places.slice(slice * index, slice * (index + 1)).flat()),
	);
}

function read(path: string): { records: Buffer[]; first: number } {
	const records: Buffer[] = [];
	let at = Buffer.alloc(0);
	readRecording(path, () => ({
		memory(memory) {
			at = Buffer.from(memory);
		},
		record: (offset, bytes) => void records.push(Buffer.from(at.subarray(offset, offset + bytes))),
		fact() {},
	}));
	return { records, first: streamOf("usual").before.length };
}

function measure(): void {
	const folder = mkdtempSync(join(tmpdir(), "picket-bench-"));
	try {
		const path = join(folder, "usual.rec");
		record(path);
		const recording = read(path);
		const bare = new Run([], recording);
		const runs = counts.map((count) => new Run([new Engine(ruleSet(count), context)], recording));
		const until = performance.now() + seconds * 1000;
		while (performance.now() < until) for (const run of [bare, ...runs]) run.pass();
		const print = (...cells: readonly (string | number)[]): void => {
			process.stdout.write(`${cells.map((cell) => String(cell).padStart(14)).join("")}\n`);
		};
		print(
			"rules",
			"events/s",
			"ns/event",
			"x 25 rules",
			"detect ns",
			"B/quiet event",
			"matches",
			"RSS MB",
			"peak MB",
		);
		const small = runs[0]?.fastest ?? Number.NaN;
		for (const [index, run] of [bare, ...runs].entries()) {
			const count = index === 0 ? 0 : (counts[index - 1] as number);
			const { rss, peak, bytes } = alone(count, path);
			print(
				...[count, Math.round(1e9 / run.fastest), Math.round(run.fastest), (run.fastest / small).toFixed(2)],
				...[Math.round(run.fastest - bare.fastest), bytes.toFixed(2)],
				...[run.matches, Math.round(rss / 1e6), Math.round(peak / 1e6)],
			);
		}
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** As the product is started. */
const product = ["--v8-pool-size=1", "--max-semi-space-size=1"];
const [what, ...words] = process.argv.slice(2);
if (what === undefined) measure();
else {
	const count = Number(words.at(-1));
	process.stdout.write(
		JSON.stringify(what === "memory" ? memory(count) : allocation(count, words[0] as string)),
	);
}
