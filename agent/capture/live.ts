// Capture from the running kernel: loads the programs, hooks them up, reads the ring in slices on the event
// loop. Everything that can fail here fails with what to do about it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Logger } from "pino";
import { type EventName, eventName } from "../model/event.ts";
import { everything, type Interest } from "../model/interest.ts";
import * as layout from "../model/layout.ts";
import type * as wire from "../model/picket.v1.ts";
import { addon, type NativeError, objectPath, type ProgramInfo, type Sensor } from "./addon.ts";
import { type Hook, hooks } from "./hooks.ts";
import { cgroupKey, pidKey, scopePathKeys, Tables } from "./tables.ts";

export interface Scope {
	/** Watch these processes and all they start from now on. */
	readonly pids: readonly number[];
	/** Watch these cgroups (paths below the cgroup2 mount) and all below them. */
	readonly cgroups: readonly string[];
	/** Report opens below these paths only. */
	readonly paths: readonly string[];
}

export interface CaptureOptions {
	readonly ringBytes: number;
	readonly drainMs: number;
	readonly scope: Scope;
	readonly simulateLoss: number;
	/** Programs not to load, as if the kernel refused them: for tests and for troubleshooting. */
	readonly off: readonly string[];
	readonly cgroupRoot: string | undefined;
	readonly logger: Logger;
}

export interface Counters {
	readonly generated: number;
	readonly submitted: number;
	readonly lost: number;
}

/** `message` says what is wrong, `remedy` what to do. */
export class CaptureError extends Error {
	readonly code: "NOT_PERMITTED" | "UNSUPPORTED" | "REFUSED" | "NOT_BUILT";
	readonly remedy: string;
	constructor(code: CaptureError["code"], message: string, remedy: string) {
		super(message);
		this.code = code;
		this.remedy = remedy;
	}
}

/** Called for each record, in order, with its place in `memory`. Must not throw and keep nothing of it. */
export type RecordHandler = (offset: number, bytes: number) => void;

/** Time one slice may take before timers and I/O get their turn, ms. */
const sliceMs = 8;
const slotsPerRead = 1024;

export class LiveCapture {
	readonly #sensor: Sensor;
	readonly #tables: Tables;
	readonly #options: CaptureOptions;
	readonly #slots = new Uint32Array(slotsPerRead * 2);
	readonly #sums = new Float64Array(layout.eventKind.EVENT_KINDS * 3);
	readonly #missing = new Map<string, string>();
	#scopeBits = 0;
	#handler: RecordHandler = () => {};
	#continuing = false;
	#closed = false;
	/** Why all read-only opens are sent; "" when they are not. */
	unboundedReads = "";

	constructor(options: CaptureOptions) {
		this.#options = options;
		this.#sensor = this.#load();
		this.#tables = new Tables(this.#sensor);
		this.#applyScope();
	}

	get memory(): ArrayBuffer {
		return this.#sensor.ring;
	}

	#wanted(): Hook[] {
		return hooks.filter((hook) => {
			if (hook.only && hook.only !== process.arch) return false;
			if (this.#options.off.includes(hook.program)) this.#missing.set(hook.program, "switched off");
			return !this.#missing.has(hook.program);
		});
	}

	/** Loads all programs; one that the kernel refuses and we can do without is left out and the rest tried again. */
	#load(): Sensor {
		for (;;) {
			const wanted = this.#wanted();
			const lacking = hooks.find((hook) => hook.required && this.#missing.has(hook.program));
			if (lacking) {
				throw new CaptureError(
					"UNSUPPORTED",
					`this kernel cannot report ${lacking.lost} (${lacking.program}: ${this.#missing.get(lacking.program)})`,
					`needed: ${lacking.remedy}`,
				);
			}
			try {
				return new (addon().Sensor)({
					object: objectPath,
					ringBytes: this.#options.ringBytes,
					programs: wanted.map((hook) => hook.program),
					layoutHash: layout.layoutHash,
				});
			} catch (error) {
				const failed = error as NativeError;
				if (failed.code === "LOAD" && failed.program && !isPermission(failed)) {
					this.#options.logger.debug({ program: failed.program, log: failed.log }, "a program was refused");
					this.#missing.set(failed.program, lastLine(failed));
					continue;
				}
				throw explain(failed);
			}
		}
	}

	/** Puts the interest in force, hooks everything up and starts delivering. */
	start(interest: Interest, handler: RecordHandler): void {
		this.#handler = handler;
		try {
			this.setInterest(interest);
			this.#attach();
			// What was forked between the first look at /proc and the hook on fork.
			this.#applyScope();
			this.#sensor.start(() => this.#drain(), this.#options.drainMs);
		} catch (error) {
			this.#closed = true;
			this.#sensor.close();
			throw error;
		}
	}

	#attach(): void {
		for (const hook of this.#wanted()) {
			try {
				this.#sensor.attach(hook.program);
			} catch (error) {
				const failed = error as NativeError;
				if (hook.required) throw explain(failed);
				this.#missing.set(hook.program, failed.message);
				this.#options.logger.warn(
					{ program: hook.program, reason: failed.message },
					`not captured: ${hook.lost}; needed: ${hook.remedy}`,
				);
			}
		}
	}

	setInterest(interest: Interest): void {
		this.unboundedReads = this.#tables.apply({
			interest,
			sensorPid: process.pid,
			ringBytes: this.#options.ringBytes,
			scopeBits: this.#scopeBits,
			simulateLoss: this.#options.simulateLoss,
		});
	}

	#applyScope(): void {
		const { pids, cgroups, paths } = this.#options.scope;
		const watched = new Set(pids);
		if (pids.length > 0) {
			this.#scopeBits |= layout.scope.SCOPE_PIDS;
			for (const pid of withDescendants(watched)) this.#put("scope_pids", pidKey(pid));
		}
		if (cgroups.length > 0) {
			this.#scopeBits |= layout.scope.SCOPE_CGROUPS;
			for (const path of cgroups) this.#put("scope_cgroups", cgroupKey(this.#cgroupId(path)));
		}
		if (paths.length > 0) {
			this.#scopeBits |= layout.scope.SCOPE_PATHS;
			for (const key of paths.flatMap(scopePathKeys)) this.#put("scope_paths", key);
		}
	}

	#put(table: string, key: Buffer): void {
		this.#sensor.mapUpdate(table, key, new Uint8Array([1]));
	}

	#cgroupId(path: string): number {
		try {
			return statSync(`${this.#options.cgroupRoot ?? "/sys/fs/cgroup"}/${path}`).ino;
		} catch {
			throw new CaptureError(
				"UNSUPPORTED",
				`there is no cgroup ${path}`,
				"name it as in /proc/PID/cgroup after 0::",
			);
		}
	}

	#drain(): void {
		if (this.#continuing) return; // a slice is due anyway
		const until = performance.now() + sliceMs;
		for (;;) {
			const count = this.#sensor.read(this.#slots);
			for (let i = 0; i < count; i++) {
				this.#handler(this.#slots[2 * i] as number, this.#slots[2 * i + 1] as number);
			}
			this.#sensor.advance();
			if (count < slotsPerRead) return;
			if (performance.now() >= until) {
				this.#continuing = true;
				setImmediate(() => {
					this.#continuing = false;
					if (!this.#closed) this.#drain();
				});
				return;
			}
		}
	}

	/** Delivers what waits in the ring now, whatever time it takes. */
	flush(): void {
		if (this.#closed) return;
		for (;;) {
			const count = this.#sensor.read(this.#slots);
			for (let i = 0; i < count; i++) {
				this.#handler(this.#slots[2 * i] as number, this.#slots[2 * i + 1] as number);
			}
			this.#sensor.advance();
			if (count === 0) return;
		}
	}

	/** The kernel's counts by kind, since start. */
	counters(): Map<EventName, Counters> {
		const out = new Map<EventName, Counters>();
		if (this.#closed) return out;
		this.#sensor.counters(this.#sums);
		for (let kind = 1; kind < layout.eventKind.EVENT_KINDS; kind++) {
			const name = eventName(kind);
			if (!name) continue;
			out.set(name, {
				generated: this.#sums[kind * 3] as number,
				submitted: this.#sums[kind * 3 + 1] as number,
				lost: this.#sums[kind * 3 + 2] as number,
			});
		}
		return out;
	}

	pending(): number {
		return this.#closed ? 0 : this.#sensor.pending();
	}

	programs(): ProgramInfo[] {
		return this.#closed ? [] : this.#sensor.programs();
	}

	capabilities(): wire.Capability[] {
		return hooks
			.filter((hook) => !hook.only || hook.only === process.arch)
			.map((hook) => {
				const missing = this.#missing.get(hook.program);
				return {
					name: hook.program.replace(/^on_/, ""),
					available: missing === undefined,
					tier: hook.tier,
					lost: missing === undefined ? "" : `${hook.lost} (${missing})`,
					remedy: missing === undefined ? "" : hook.remedy,
				};
			});
	}

	/**
	 * Nothing new is taken in from here on, and what waits is delivered; the counters can still be read. In this
	 * order, or a host that is busier than we read would never let us go.
	 */
	stop(): void {
		if (this.#closed) return;
		this.setInterest({ kinds: new Set(), writeOpens: false, failedOpens: false, readOpens: "none" });
		this.flush();
	}

	/** Detaches everything. What waited in the ring is delivered first. */
	close(): void {
		if (this.#closed) return;
		this.stop();
		this.#closed = true;
		this.#sensor.close();
	}
}

/** Can this kernel carry the sensor? What it lacks, program by program, without starting to capture. */
export function probe(options: Pick<CaptureOptions, "logger" | "off">): wire.Capability[] {
	const capture = new LiveCapture({
		ringBytes: 262_144,
		drainMs: 10,
		scope: { pids: [process.pid], cgroups: [], paths: [] },
		simulateLoss: 0,
		cgroupRoot: undefined,
		...options,
	});
	try {
		capture.start({ ...everything, kinds: new Set() }, () => {});
		return capture.capabilities();
	} finally {
		capture.close();
	}
}

function isPermission(error: NativeError): boolean {
	// EPERM, and EACCES with no verifier log: not a refusal of this program but of all.
	return error.errno === 1;
}

function lastLine(error: NativeError): string {
	const lines = (error.log ?? "").split("\n").filter((line) => line !== "" && !line.startsWith("processed "));
	return lines.at(-1) ?? error.message;
}

function explain(error: NativeError): Error {
	if (error instanceof CaptureError) return error;
	if (error.code === undefined) return new CaptureError("NOT_BUILT", error.message, "npm run setup");
	if (isPermission(error) && process.getuid?.() !== 0) {
		return new CaptureError("NOT_PERMITTED", "loading BPF programs needs root", "start it with sudo");
	}
	if (isPermission(error)) {
		return new CaptureError(
			"NOT_PERMITTED",
			`the kernel does not permit BPF programs (${error.message})`,
			"in a container: run it privileged, or with CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE; on a host: look for lockdown in /sys/kernel/security/lockdown",
		);
	}
	if (error.code === "LAYOUT") return new CaptureError("NOT_BUILT", error.message, "npm run setup");
	return new CaptureError(
		"REFUSED",
		`${error.message}${error.program ? ` at ${error.program}` : ""}: ${lastLine(error)}`,
		"a kernel from 5.10 with BTF (/sys/kernel/btf/vmlinux); `picket doctor` says what is missing",
	);
}

/** The processes below the given ones, as /proc knows them now, the given ones included. */
function withDescendants(roots: ReadonlySet<number>): Set<number> {
	const parents = new Map<number, number>();
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		try {
			const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
			parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
		} catch {
			// gone meanwhile
		}
	}
	for (const pid of roots) {
		if (parents.has(pid)) continue;
		throw new CaptureError(
			"UNSUPPORTED",
			`there is no process ${pid}`,
			"look for it with `ps` and name it again",
		);
	}
	const out = new Set(roots);
	for (let grown = true; grown; ) {
		grown = false;
		for (const [pid, parent] of parents) {
			if (out.has(parent) && !out.has(pid)) {
				out.add(pid);
				grown = true;
			}
		}
	}
	return out;
}
