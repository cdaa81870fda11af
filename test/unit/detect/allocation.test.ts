// An event that matches nothing leaves nothing to the garbage collector.
import { readdirSync, readFileSync } from "node:fs";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { RecordView } from "../../../agent/decode/view.ts";
import { Engine } from "../../../agent/detect/engine.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import { ProcessTree } from "../../../agent/enrich/tree.ts";
import type { Process } from "../../../agent/model/process.ts";
import { type StreamName, streamOf } from "../../bench/streams.ts";
import { memoryOf } from "../decode/bytes.ts";
import { context } from "./rig.ts";

const folder = new URL("../../../agent/detect/signatures/", import.meta.url).pathname;
const set = loadRules(
	readdirSync(folder).map((path) => ({ path, text: readFileSync(folder + path, "utf8"), origin: "picket" })),
);

setFlagsFromString("--expose-gc");
// Code that is not optimised yet makes numbers into objects: on a busy machine the compiler's thread may come late.
setFlagsFromString("--no-concurrent-recompilation");
const collect = runInNewContext("gc") as () => void;

/** A stream and its processes, as the tree makes them. */
class Events {
	readonly #view = new RecordView();
	readonly #places: Uint32Array;
	readonly #processes: readonly Process[];
	readonly #observation: { event: RecordView; process: Process | undefined };

	constructor({ memory, places }: ReturnType<typeof memoryOf>) {
		this.#observation = { event: this.#view, process: undefined };
		this.#view.attach(memory);
		const nothing = { read: () => undefined, onRead: () => undefined, cgroup: () => undefined };
		const tree = new ProcessTree({ limit: 10_000, ...nothing });
		const processes = places.map(([offset, size]) => {
			if (!this.#view.move(offset, size, 1)) throw new Error("no record");
			return tree.apply(this.#view);
		});
		// What curl and rm are told is looked into more closely, and becomes a text for that.
		const plain = (index: number) => !["curl", "rm"].includes(processes[index]?.comm ?? "");
		this.#places = Uint32Array.from(places.filter((_, index) => plain(index)).flat());
		this.#processes = processes.filter((_, index) => plain(index));
	}

	judge(engine: Engine): number {
		for (let i = 0; i < this.#processes.length; i++) {
			this.#view.move(this.#places[2 * i] as number, this.#places[2 * i + 1] as number, i);
			this.#observation.process = this.#processes[i];
			engine.evaluate(this.#observation, unexpected);
		}
		return this.#processes.length;
	}
}
const unexpected = ({ rule }: { readonly rule: string }): never => {
	throw new Error(`${rule} matched`);
};

describe("an event that matches nothing", () => {
	it.each<StreamName>(["open", "open for writing", "connect", "exec", "fork and exit"])(
		"makes no object and no string: %s",
		(name) => {
			const engine = new Engine(set, context);
			const { before: lives, measured } = streamOf(name);
			const records = memoryOf([...lives, ...measured]);
			const familiar = new Events(records);
			for (let round = 0; round < 20; round++) familiar.judge(engine);
			// Processes that the engine has never seen; nothing can have been remembered of these.
			const fresh = Array.from({ length: 5 }, () => new Events(records));
			collect();
			const before = getHeapStatistics();
			let events = 0;
			for (const each of fresh) events += each.judge(engine);
			const after = getHeapStatistics();
			expect(events).toBeGreaterThan(40_000);
			// An object or a string is 16 bytes at least, which would be 640 kB; what the runtime makes for
			// itself meanwhile is up to 100 kB, however many events there are.
			const grown = after.used_heap_size - before.used_heap_size;
			expect(grown).toBeLessThan(events * 4);
			// A collection in between would hide what was made.
			expect(grown).toBeGreaterThan(-events);
		},
		60_000,
	);
});
