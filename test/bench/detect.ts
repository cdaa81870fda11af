// What the engine costs an event, by kind, with the default signatures and with ten times as many rules, none of which
// match; and what such events leave to the garbage collector. Decoding and the process tree are measured apart (no
// rules) and taken off. `node test/bench/detect.ts`; about twenty seconds.
import { readdirSync, readFileSync } from "node:fs";
import { RecordView } from "../../agent/decode/view.ts";
import { Engine } from "../../agent/detect/engine.ts";
import { loadRules, type RuleFile, type RuleSet } from "../../agent/detect/load.ts";
import { ProcessTree } from "../../agent/enrich/tree.ts";
import { EventKind, type Observation } from "../../agent/model/event.ts";
import type { Process } from "../../agent/model/process.ts";
import { memoryOf } from "../unit/decode/bytes.ts";
import { streamOf, streams } from "./streams.ts";

/** Long enough for the compiler, whose thread comes late on a busy machine. */
const secondsPerStream = 3;
const folder = new URL("../../agent/detect/signatures/", import.meta.url).pathname;

function signatures(): RuleFile[] {
	return readdirSync(folder)
		.filter((name) => /\.ya?ml$/.test(name))
		.sort()
		.map((name): RuleFile => ({ path: name, text: readFileSync(folder + name, "utf8"), origin: "picket" }));
}

/** The same rules about other places: no predicate with a path in it is shared with the originals. */
function copyOf({ path, text, origin }: RuleFile, index: number): RuleFile {
	return {
		path: `${index}-${path}`,
		origin,
		text: text
			.replace(
				/^- rule: (.*)$/gm,
				(_, name: string) => `- rule: Copy ${index} of ${name.replace(/["']/g, "")}`,
			)
			.replace(/\bpicket_(?!samples|false_positives)/g, `picket${index}_`)
			.replace(/\/(etc|usr|var|proc|sys|dev|tmp|home|root|run|opt|s?bin|lib|snap)\b/g, `/$1${index}`),
	};
}
function rules(copies: number): RuleSet {
	const files = signatures();
	return loadRules(
		Array.from({ length: copies }, (_, index) =>
			files.map((file) => (index === 0 ? file : copyOf(file, index))),
		).flat(),
	);
}

class Current implements Observation {
	readonly event: RecordView;
	process: Process | undefined;
	constructor(event: RecordView) {
		this.event = event;
	}
}

/** A stream before one engine: ns an event in its fastest pass, and what the heap grew by. */
class Run {
	readonly #engine: Engine;
	readonly #view = new RecordView();
	readonly #current = new Current(this.#view);
	readonly #places: Uint32Array;
	readonly #tree = new ProcessTree({
		limit: 32_768,
		cgroup: () => undefined,
		read: () => undefined,
		onRead: () => undefined,
	});
	readonly #onFinding = (): void => {
		this.matches++;
	};
	#number = 0;
	matches = 0;
	fastest = Number.POSITIVE_INFINITY;
	bytes = Number.POSITIVE_INFINITY;

	constructor(set: RuleSet, { before, measured }: ReturnType<typeof streamOf>) {
		this.#engine = new Engine(set, { hostname: "bench", userName: () => "www-data" });
		const { memory, places } = memoryOf([...before, ...measured]);
		this.#view.attach(memory);
		this.#pass(Uint32Array.from(places.slice(0, before.length).flat()));
		this.#places = Uint32Array.from(places.slice(before.length).flat());
		this.matches = 0;
	}

	pass(): void {
		const heap = process.memoryUsage().heapUsed;
		const begin = performance.now();
		this.#pass(this.#places);
		const events = this.#places.length / 2;
		this.fastest = Math.min(this.fastest, ((performance.now() - begin) * 1e6) / events);
		// Between two collections the heap only grows; the smallest growth of all passes is the true one.
		const grown = (process.memoryUsage().heapUsed - heap) / events;
		if (grown >= 0) this.bytes = Math.min(this.bytes, grown);
	}

	#pass(places: Uint32Array): void {
		const view = this.#view;
		for (let i = 0; i < places.length; i += 2) {
			if (!view.move(places[i] as number, places[i + 1] as number, ++this.#number))
				throw new Error("no record");
			this.#current.process = this.#tree.apply(view);
			this.#engine.evaluate(this.#current, this.#onFinding);
			if (view.kind === EventKind.exit) this.#tree.forget(view);
		}
	}
}

const none = loadRules([]);
const once = rules(1);
const tenfold = rules(10);
const count = (set: RuleSet): number => set.rules.filter(({ enabled }) => enabled).length;
const line = (...cells: readonly (string | number)[]): string =>
	cells.map((cell, index) => (index === 0 ? String(cell).padEnd(20) : String(cell).padStart(15))).join("");
const print = (...cells: readonly (string | number)[]): void => {
	process.stdout.write(`${line(...cells)}\n`);
};

print(
	"ns/event",
	"no rules",
	`${count(once)} rules`,
	`${count(tenfold)} rules`,
	"10x costs",
	"B/event",
	"matches",
);
for (const name of streams) {
	const runs = [none, once, tenfold].map((set) => new Run(set, streamOf(name)));
	const until = performance.now() + secondsPerStream * 1000;
	while (performance.now() < until) for (const run of runs) run.pass();
	const [bare, small, large] = runs as [Run, Run, Run];
	const [cost, more] = [small.fastest - bare.fastest, large.fastest - bare.fastest];
	print(
		name,
		Math.round(bare.fastest),
		`+${Math.round(cost)}`,
		`+${Math.round(more)}`,
		`${(more / cost).toFixed(1)}x`,
		Math.max(0, small.bytes - bare.bytes).toFixed(1),
		small.matches + large.matches,
	);
}
print("predicates", "", once.predicates.all.length, tenfold.predicates.all.length);
