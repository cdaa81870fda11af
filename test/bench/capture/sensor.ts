// The real sensor as a process of its own, and what it uses: CPU, memory and its counts.
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { callControl } from "../../../agent/control/client.ts";
import { imbalance } from "../../../agent/health/status.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { start, temporaryFolder } from "./processes.ts";

const cli = new URL("../../../agent/main.mjs", import.meta.url).pathname;

/** ms after which start-up is over, its garbage collected and its code compiled. */
const settleMs = 1500;

/** Counts of one class as the sensor tells them, whatever it counts. */
export type Counts = Record<string, number>;

export interface Use {
	/** With what the idle sensor uses, a thousandth of the time: taking it off would add more error than it removes. */
	readonly cpuSeconds: number;
	readonly seconds: number;
	readonly counts: ReadonlyMap<string, Counts>;
	readonly alerts: number;
	/** Classes whose counts do not add up. */
	readonly unbalanced: readonly string[];
}

/** Asks for every write-open of the loads, each of which is in a folder like ours, and never matches. */
function askingRule(base: string): string {
	return `- rule: Files of the benchmark
  desc: Makes the loads' files of interest.
  condition: evt.is_open_write = true and evt.rawres >= 0 and fd.name startswith ${base}/picket-bench- and proc.name = nobody-at-all
  output: none
  priority: info
`;
}

export class Sensor {
	readonly folder = temporaryFolder();
	readonly #child: ReturnType<typeof start>;

	private constructor(args: readonly string[]) {
		const config = join(this.folder, "picket.yaml");
		const policy = join(this.folder, "policy.yaml");
		const paths = `paths: {run: ${this.folder}/run, state: ${this.folder}/state}`;
		writeFileSync(config, `${paths}\npolicy: ${policy}\ndocker: {enabled: false}\n`);
		writeFileSync(policy, "scopes: []\n");
		const rules = join(this.folder, "rules.yaml");
		writeFileSync(rules, askingRule(dirname(this.folder)));
		const out = openSync(this.outputFile, "w");
		const log = openSync(this.#logFile, "w");
		const options = ["--config", config, "--output", "json", "--rules", rules, ...args];
		this.#child = start(
			[process.execPath, "--v8-pool-size=1", "--max-semi-space-size=1", cli, "run", ...options],
			{ stdio: ["ignore", out, log] },
		);
		this.#child.ended.catch(() => {});
		closeSync(out);
		closeSync(log);
	}

	get outputFile(): string {
		return join(this.folder, "output.json");
	}
	get #logFile(): string {
		return join(this.folder, "log");
	}
	get alive(): boolean {
		return this.#child.exitCode === null && this.#child.signalCode === null;
	}

	/** Started and settled. Prints alerts only, unless `events` names kinds. */
	static async start(events = "none", ...more: string[]): Promise<Sensor> {
		const sensor = new Sensor(["--events", events, ...more]);
		const end = Date.now() + 60_000;
		while (!readFileSync(sensor.#logFile, "utf8").includes("watching;")) {
			if (!sensor.alive || Date.now() > end) {
				throw new Error(`the sensor did not start:\n${readFileSync(sensor.#logFile, "utf8")}`);
			}
			await wait(20);
		}
		await wait(settleMs);
		return sensor;
	}

	async status(): Promise<wire.Status> {
		return (await callControl(join(this.folder, "run/picket.sock"), "status", {}, 60_000)) as wire.Status;
	}

	/** All threads, to the ns; /proc/PID/stat counts in steps of 10 ms. */
	cpuSeconds(): number {
		const folder = `/proc/${this.#child.pid}/task`;
		const ofThread = (thread: string): number =>
			Number(readFileSync(`${folder}/${thread}/schedstat`, "latin1").split(" ")[0]) / 1e9;
		return readdirSync(folder).reduce((sum, thread) => sum + ofThread(thread), 0);
	}

	/** MiB. */
	residentSize(): number {
		const text = readFileSync(`/proc/${this.#child.pid}/status`, "latin1");
		return Number(/VmRSS:\s+(\d+)/.exec(text)?.[1]) / 1024;
	}

	/** Waits until everything that is in the ring was dealt with. */
	async drained(): Promise<wire.Status> {
		for (;;) {
			const status = await this.status();
			if ((status.counters ?? []).every((one) => Number(one.pending ?? 0) === 0)) return status;
			await wait(50);
		}
	}

	/** What it uses while `act` goes on and until it is through with all of that. */
	async during(act: () => Promise<unknown>): Promise<Use> {
		const before = await this.drained();
		const begin = performance.now();
		const cpu = this.cpuSeconds();
		await act();
		const after = await this.drained();
		const seconds = (performance.now() - begin) / 1000;
		const former = countsOf(before);
		const counts = new Map<string, Counts>();
		for (const [name, now] of countsOf(after)) {
			const then = former.get(name) ?? {};
			counts.set(
				name,
				mapValues(now, (key, value) => value - (then[key] ?? 0)),
			);
		}
		return {
			cpuSeconds: this.cpuSeconds() - cpu,
			seconds,
			counts,
			alerts: Number(after.alerts ?? 0) - Number(before.alerts ?? 0),
			unbalanced: (after.counters ?? [])
				.filter((one) => imbalance(one) !== 0n)
				.map((one) => one.class ?? "?"),
		};
	}

	async stop(): Promise<void> {
		this.#child.kill("SIGTERM");
		await this.#child.ended;
	}
}

function countsOf(status: wire.Status): Map<string, Counts> {
	return new Map(
		(status.counters ?? []).map(({ class: name = "?", ...fields }) => [
			name,
			mapValues(fields, (_, value) => Number(value)),
		]),
	);
}

function mapValues<T>(from: Record<string, T>, make: (key: string, value: T) => number): Counts {
	return Object.fromEntries(Object.entries(from).map(([key, value]) => [key, make(key, value)]));
}

/** Of all classes. */
export function sumOf(use: Use, field: string): number {
	return [...use.counts.values()].reduce((sum, counts) => sum + (counts[field] ?? 0), 0);
}

/** As "open: generated 10, delivered 10", without zeros. */
export function countsText(use: Use): string {
	const classes = [...use.counts].map(([name, counts]) => {
		const fields = Object.entries(counts).filter(([, value]) => value !== 0);
		return fields.length === 0
			? ""
			: `${name}: ${fields.map(([key, value]) => `${key} ${value}`).join(", ")}`;
	});
	return classes.filter((text) => text !== "").join("; ");
}
