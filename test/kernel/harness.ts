// The real capture with the real pipeline behind it, restricted to what this test process starts, collecting the
// events as a user would get them.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { addon } from "../../agent/capture/addon.ts";
import { type CaptureOptions, LiveCapture, noLimits } from "../../agent/capture/live.ts";
import { cgroupMount } from "../../agent/enrich/cgroups.ts";
import { readProcess, readProcesses } from "../../agent/enrich/proc.ts";
import { ProcessTree } from "../../agent/enrich/tree.ts";
import { type EventName, eventNames } from "../../agent/model/event.ts";
import { everything, type Interest } from "../../agent/model/interest.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { createPeerNames } from "../../agent/peer-names.ts";
import { type Detector, Pipeline } from "../../agent/pipeline.ts";

const root = new URL("../..", import.meta.url).pathname;

/** Builds a program of test/trigger once; returns its path. */
export function buildTrigger(name = "trigger"): string {
	const out = join(root, "build", "test", name);
	const source = join(root, "test", "trigger", `${name}.c`);
	mkdirSync(join(root, "build", "test"), { recursive: true });
	let built = 0;
	try {
		built = statSync(out).mtimeMs;
	} catch {
		// not yet
	}
	if (built < statSync(source).mtimeMs) {
		const args = ["-O1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-o", out, source];
		const run = spawnSync("cc", args, { encoding: "utf8" });
		if (run.status !== 0) throw new Error(`cannot build ${source}:\n${run.stderr}`);
	}
	return out;
}

export interface Ran {
	/** What the trigger printed, a line each. */
	readonly said: Record<string, number>[];
	readonly pid: number;
	readonly status: number | null;
}

/** Runs a command to its end without blocking the event loop (the ring is read on it). */
export async function run(command: string, args: readonly string[], cwd?: string): Promise<Ran> {
	const child: ChildProcess = spawn(command, args, {
		stdio: ["pipe", "pipe", "inherit"],
		cwd: cwd ?? tmpdir(),
	});
	// Not "ignore": for that the child opens /dev/null itself, which is an event too.
	child.stdin?.end();
	let text = "";
	child.stdout?.setEncoding("utf8").on("data", (part: string) => {
		text += part;
	});
	const status = await new Promise<number | null>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) => resolve(code));
	});
	const said = text
		.split("\n")
		.filter((line) => line.startsWith("{"))
		.map((line) => JSON.parse(line) as Record<string, number>);
	return { said, pid: child.pid ?? 0, status };
}

/** What every process does; other kinds are captured when the interest names them. */
const classic = ["exec", "fork", "exit", "open", "connect", "cgroup"] as const;

/** Ways to open a file that the triggers do not take when they only make many events. */
export const otherOpens = ["openat2", "open", "creat", "open_by_handle_at"];

/** Everything of these kinds, and the life of processes. */
export function asking(...kinds: readonly EventName[]): Interest {
	return { ...everything, kinds: new Set<EventName>(["exec", "fork", "exit", ...kinds]) };
}

export interface HarnessOptions {
	readonly interest?: Interest;
	/** Kinds to collect. */
	readonly kinds?: readonly EventName[];
	readonly detectors?: readonly Detector[];
	/** With what is asked for through io_uring: its programs take the verifier of an emulated processor seconds. */
	readonly rings?: boolean;
}

export class Harness {
	readonly events: wire.Event[] = [];
	readonly capture: LiveCapture;
	readonly pipeline: Pipeline;
	readonly tree: ProcessTree;
	readonly folder = mkdtempSync(join(tmpdir(), "picket-kernel-"));

	constructor(options: Partial<CaptureOptions> & HarnessOptions = {}) {
		const {
			kinds,
			detectors,
			rings = false,
			off = [],
			interest = { ...everything, kinds: new Set(classic) },
			...capture
		} = options;
		this.capture = new LiveCapture({
			ringBytes: 4 * 1024 * 1024,
			drainMs: 10,
			scope: { pids: [process.pid], cgroups: [], paths: [] },
			simulateLoss: 0,
			off: [
				...(process.env.PICKET_OFF ?? "").split(",").filter(Boolean),
				...off,
				...(rings ? [] : ["io_uring_open"]),
			],
			limits: noLimits,
			mayAsk: new Set(interest.kinds.size > 0 ? ["exec", "fork", "exit", ...interest.kinds] : classic),
			cgroupRoot: cgroupMount(),
			logger: pino({ level: "silent" }),
			...capture,
		});
		const clocks = addon().clocks();
		const bootTime = clocks.realMs - clocks.bootMs;
		this.tree = new ProcessTree({
			limit: 65536,
			cgroup: () => undefined,
			read: readProcess,
			onRead: () => {},
		});
		const peerNames = createPeerNames();
		this.pipeline = new Pipeline({
			tree: this.tree,
			cgroups: { created: () => {}, removed: () => {} },
			peerNames,
			detectors: detectors ?? [],
			responses: () => [],
			responder: undefined,
			emit: (body) => {
				if (body.event) this.events.push(body.event);
			},
			folder: { push: () => {}, repeat: () => false },
			wire: {
				bootTimeMs: () => bootTime,
				userName: () => undefined,
				bootId: "00000000-test",
				dnsMessage: peerNames.message,
				peerName: peerNames.name,
			},
			eventKinds: new Set(kinds ?? eventNames),
			activity: () => {},
			eventsLost: () => 0,
			tap: undefined,
			logger: pino({ level: "silent" }),
		});
		this.pipeline.memory(this.capture.memory);
		for (const facts of readProcesses()) this.tree.seed(facts, 0);
		this.tree.linkParents();
		this.capture.start(interest, (offset, bytes) => this.pipeline.record(offset, bytes));
	}

	/** Waits until an event satisfies `wanted`; fails with what there was instead after 10 s. */
	async waitFor(what: string, wanted: (event: wire.Event) => boolean): Promise<wire.Event> {
		const until = Date.now() + 10_000;
		for (;;) {
			const found = this.events.find(wanted);
			if (found) return found;
			if (Date.now() > until) {
				const seen = this.events.slice(-20).map((event) => JSON.stringify(event));
				throw new Error(`waited in vain for ${what}; the last events:\n${seen.join("\n")}`);
			}
			await new Promise((resolve) => setTimeout(resolve, 5));
		}
	}

	/** All events of one process, complete: waits for its exit first. */
	async of(pid: number): Promise<wire.Event[]> {
		await this.waitFor(`exit of ${pid}`, (event) => event.exit !== undefined && event.process?.pid === pid);
		return this.events.filter((event) => event.process?.pid === pid);
	}

	close(): void {
		this.capture.close();
		rmSync(this.folder, { recursive: true, force: true });
	}
}
