// Capture from the running kernel: loads the programs, hooks them up, reads the ring in slices on the event
// loop. Everything that can fail here fails with what to do about it.
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Logger } from "pino";
import { type EventName, eventName } from "../model/event.ts";
import { everything, type Interest, noInterest, sumOfInterests } from "../model/interest.ts";
import * as layout from "../model/layout.ts";
import type * as wire from "../model/picket.v1.ts";
import { addon, type NativeError, objectPath, type ProgramInfo, type Sensor } from "./addon.ts";
import { type Capability, capabilities, pairs, programsOf, type Way } from "./hooks.ts";
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
	/** Programs, capabilities or tiers to do without, as if the kernel refused them: for tests and troubleshooting. */
	readonly off: readonly string[];
	readonly limits: CaptureLimits;
	/** Kinds that may ever be asked for; programs for others are not loaded. */
	readonly mayAsk: ReadonlySet<EventName>;
	/** Hooks each program up in one place only: enough to know whether it can be. */
	readonly trial?: boolean;
	readonly cgroupRoot: string | undefined;
	readonly logger: Logger;
}

export interface CaptureLimits {
	/** The same open is reported once in this time, ms; 0 reports each. */
	readonly repeatWindowMs: number;
	/** Opens and connections a cgroup may send a second once its burst is used up; 0 for no limit. */
	readonly bulkRate: number;
	readonly bulkBurst: number;
	/** Executions wake the agent at once instead of within drainMs: for responses that must be quick. */
	readonly wakeOnExec: boolean;
	/** Of an execution's environment so many bytes are sent, at most 8191; 0 for none. */
	readonly environmentBytes: number;
}

export const noLimits: CaptureLimits = {
	repeatWindowMs: 0,
	bulkRate: 0,
	bulkBurst: 0,
	wakeOnExec: false,
	environmentBytes: 0,
};

/** generated = submitted + lost + limited + repeated. */
export interface Counters {
	readonly generated: number;
	readonly submitted: number;
	/** The ring was full (or loss is simulated). */
	readonly lost: number;
	/** Over the share of its cgroup. */
	readonly limited: number;
	/** Told by an earlier event of the same. */
	readonly repeated: number;
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
/** Between two hooks that are taken off, ms. */
const detachMs = 250;
const counterFields = layout.classCounters.bytes / 8;

export class LiveCapture {
	readonly #sensor: Sensor;
	readonly #tables: Tables;
	readonly #options: CaptureOptions;
	readonly #slots = new Uint32Array(slotsPerRead * 2);
	readonly #sums = new Float64Array(layout.eventKind.EVENT_KINDS * counterFields);
	/** Programs we do without, and why. */
	readonly #missing = new Map<string, string>();
	/** Hooks in place, by name. */
	readonly #attached = new Map<string, Hook>();
	#scopeBits = 0;
	/** In force. */
	#interest: Interest = noInterest;
	#eventKinds: ReadonlySet<EventName> = new Set();
	/** Kinds that rules, policy and outputs ask for; undefined before the start. */
	#asked: ReadonlySet<EventName> | undefined;
	#detaching: NodeJS.Timeout | undefined;
	#handler: RecordHandler = () => {};
	#continuing = false;
	#closed = false;
	/** Why all opens of a sort are sent; "" when they are not. */
	unboundedOpens = "";

	constructor(options: CaptureOptions) {
		this.#options = options;
		for (const name of options.off) this.#switchOff(name);
		this.#sensor = this.#load();
		this.#tables = new Tables(this.#sensor);
		try {
			this.#applyScope();
		} catch (error) {
			this.#sensor.close();
			throw error;
		}
	}

	get memory(): ArrayBuffer {
		return this.#sensor.ring;
	}

	#switchOff(name: string): void {
		const meant = here().flatMap((capability) =>
			capability.ways.flatMap((way) => meantBy(name, capability, way)),
		);
		if (meant.length === 0) {
			const known = here().flatMap(({ name, ways }) => [
				name,
				...ways.flatMap((way) => [...programsOf(way), way.tier]),
			]);
			throw new CaptureError(
				"UNSUPPORTED",
				`there is no hook ${JSON.stringify(name)} to switch off`,
				`name one of ${[...new Set(known)].sort().join(", ")}`,
			);
		}
		for (const program of meant) this.#missing.set(program, "switched off");
	}

	/** What may be asked for here. */
	#known(): Capability[] {
		return here().filter(({ kind, required }) => required || this.#options.mayAsk.has(kind));
	}

	/** Why a way cannot be had. */
	#refusal(way: Way): string {
		return programsOf(way).flatMap((program) => this.#missing.get(program) ?? [])[0] ?? "";
	}

	/** The best way that is left. */
	#wayOf(capability: Capability): Way | undefined {
		return capability.ways.find((way) => !programsOf(way).some((program) => this.#missing.has(program)));
	}

	/** Loads and hooks up all that will do; what the kernel refuses is left out or done another way, and the rest tried again. */
	#load(): Sensor {
		for (;;) {
			const lacking = here().find((capability) => capability.required && !this.#wayOf(capability));
			if (lacking) {
				const reasons = lacking.ways.map((way) => `${way.program}: ${this.#refusal(way)}`);
				throw new CaptureError(
					"UNSUPPORTED",
					`this kernel cannot report ${lacking.lost} (${reasons.join("; ")})`,
					`needed: ${lacking.remedy}`,
				);
			}
			const ways = this.#known().flatMap((capability) => this.#wayOf(capability) ?? []);
			let sensor: Sensor | undefined;
			try {
				sensor = new (addon().Sensor)({
					object: objectPath,
					ringBytes: this.#options.ringBytes,
					programs: [...new Set(ways.flatMap(programsOf))],
					layoutHash: layout.layoutHash,
				});
				// Nothing is reported yet. Some refusals show only here.
				const functions = ways
					.filter(({ tier }) => tier === "fentry")
					.map((way) => programsOf(way)[0] as string);
				for (const program of new Set(functions)) {
					// Twice: before 5.13 (f3a95075549e) what was taken off cannot be put on again.
					for (let time = 0; time < 2; time++) {
						sensor.attach(program);
						sensor.detach([{ program, target: "" }]);
					}
				}
				return sensor;
			} catch (error) {
				sensor?.close();
				this.#doWithout(error as NativeError, ways);
			}
		}
	}

	/** Notes what a refusal costs; throws when it costs everything. */
	#doWithout(failed: NativeError, ways: readonly Way[]): void {
		const way = ways.find((each) => programsOf(each).includes(failed.program ?? ""));
		const program = failed.program ?? "";
		if (!way || (way.tier !== "fentry" && (failed.code !== "LOAD" || isPermission(failed))))
			throw explain(failed);
		this.#options.logger.debug({ program: failed.program, log: failed.log }, "a program was refused");
		const reason = way.tier === "fentry" ? failed.message.replace(/^.*: /, "") : lastLine(failed);
		this.#missing.set(program, reason);
		// A kernel that refuses one hook on a function refuses them all, unless it is that function it has not, or
		// what the program reads there.
		const alone = failed.errno === noSuchFunction || (failed.log ?? "").includes("CO-RE relocation");
		if (way.tier !== "fentry" || (failed.code === "LOAD" && alone)) return;
		for (const other of ways) {
			if (other.tier === "fentry") this.#missing.set(programsOf(other)[0] as string, reason);
		}
	}

	/** Puts the interest in force, hooks everything up and starts delivering. */
	start(interest: Interest, handler: RecordHandler): void {
		this.#handler = handler;
		try {
			this.setInterest(interest);
			// What was forked between the first look at /proc and the hook on fork.
			this.#applyScope();
			this.#sensor.start(() => this.#drain(), this.#options.drainMs);
		} catch (error) {
			this.#closed = true;
			this.#sensor.close();
			throw error;
		}
	}

	/** Hooks by name that the interest needs. */
	#needed(): Map<string, Hook> {
		const needed = new Map<string, Hook>();
		for (const capability of this.#known()) {
			const way = this.#eventKinds.has(capability.kind) ? this.#wayOf(capability) : undefined;
			for (const hook of way ? this.#hooksOf(capability, way) : []) needed.set(hook.name, hook);
		}
		return needed;
	}

	#attach(): void {
		for (const [name, hook] of this.#needed()) {
			if (!this.#attached.has(name) && this.#hookUp(hook)) this.#attached.set(name, hook);
		}
	}

	/** Takes off what the interest no longer needs. */
	#detach(): void {
		const needed = this.#needed();
		const idle = [...this.#attached].filter(([name]) => !needed.has(name));
		this.#sensor.detach(idle.map(([, hook]) => hook));
		for (const [name] of idle) this.#attached.delete(name);
	}

	/** Hooks wait for a grace period of the kernel to come off: not while events of the old interest are still read. */
	#detachLater(): void {
		clearTimeout(this.#detaching);
		this.#detaching = setTimeout(() => {
			if (!this.#closed) this.#detach();
		}, detachMs).unref();
	}

	#hooksOf(capability: Capability, way: Way): Hook[] {
		const { program, calls, also = [], cgroup } = way;
		if (cgroup) {
			const target = this.#options.cgroupRoot ?? "/sys/fs/cgroup";
			return programsOf(way).map((name) => ({ name, program: name, target, capability }));
		}
		const places = this.#options.trial ? calls?.slice(0, 1) : calls;
		const targets = places?.map((call) => `syscalls/sys_exit_${call}`) ?? [""];
		return [
			...also.map((name) => ({ name, program: name, target: "", capability })),
			...targets.map((target) => ({
				name: target === "" ? program : `${program}@${target}`,
				program,
				target,
				capability,
			})),
		];
	}

	/** False when the kernel does not take it: noted and told, unless it has no such system call in the first place. */
	#hookUp({ program, target, capability }: Hook): boolean {
		try {
			this.#sensor.attach(program, target);
			return true;
		} catch (error) {
			const failed = error as NativeError;
			if (failed.errno === noSuchTracepoint && target.startsWith("syscalls/")) return false;
			// The second program of a pair needs a readable tracefs, which the first one does without.
			const spare = pairs.some((pair) => pair[0] === program);
			if (capability.required && !spare) throw explain(failed);
			if (!spare) this.#missing.set(program, failed.message);
			this.#options.logger.warn(
				{ program, reason: failed.message },
				`not captured: ${spare ? `what the kernel skips of ${capability.lost}` : capability.lost}; needed: ${capability.remedy}`,
			);
			return false;
		}
	}

	/** Puts another interest in force, as far as it lies within the kinds this capture was made for. */
	setInterest(interest: Interest): void {
		const beyond = [...interest.kinds].filter((kind) => !this.#options.mayAsk.has(kind));
		if (beyond.length > 0) this.#options.logger.warn({ kinds: beyond }, "captured only after a restart");
		this.#asked = interest.kinds;
		this.#steer(interest);
		this.#detach();
		this.#attach();
	}

	/**
	 * Goes over to another interest while events come, without missing one that both ask for: the kernel is asked for
	 * what either wants, then `takeOver` puts in force what asked for it, then the rest is left out. Straight from one
	 * table to the other an entry that is written early could hide a shorter one for a moment. When `takeOver` throws,
	 * the old interest stays.
	 */
	changeInterest(interest: Interest, takeOver: () => void): void {
		const before = this.#interest;
		let next = before;
		try {
			this.#steer(sumOfInterests([before, interest]));
			this.#attach();
			takeOver();
			next = interest;
			this.#asked = interest.kinds;
		} finally {
			this.#steer(next);
			this.#detachLater();
		}
	}

	#steer(interest: Interest): void {
		this.#interest = interest;
		const { unbounded, kinds } = this.#tables.apply({
			interest,
			sensorPid: process.pid,
			ringBytes: this.#options.ringBytes,
			scopeBits: this.#scopeBits,
			simulateLoss: this.#options.simulateLoss,
			limits: this.#options.limits,
			execAlone: this.#missing.has("on_exec"),
		});
		this.unboundedOpens = unbounded;
		this.#eventKinds = kinds;
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
		const field = (kind: number, offset: number) => this.#sums[kind * counterFields + offset / 8] as number;
		for (let kind = 1; kind < layout.eventKind.EVENT_KINDS; kind++) {
			const name = eventName(kind);
			if (!name) continue;
			out.set(name, {
				generated: field(kind, layout.classCounters.generated),
				submitted: field(kind, layout.classCounters.submitted),
				lost: field(kind, layout.classCounters.lost),
				limited: field(kind, layout.classCounters.limited),
				repeated: field(kind, layout.classCounters.repeated),
			});
		}
		return out;
	}

	pending(): number {
		return this.#closed ? 0 : this.#sensor.pending();
	}

	/** How often an unknown number of events was skipped, because the ring made no sense. */
	damages(): number {
		return this.#closed ? 0 : this.#sensor.damages();
	}

	programs(): ProgramInfo[] {
		return this.#closed ? [] : this.#sensor.programs();
	}

	/**
	 * Events that no counter knows of, at most: how often the kernel ran none of the programs that see to an event,
	 * because another run of theirs was not done on that CPU. Not every kernel counts all of them.
	 */
	skipped(): number {
		const missed = new Map(this.programs().map((program) => [program.name, program.missed]));
		let sum = 0;
		for (const pair of pairs) {
			const both = pair.flatMap((name) => missed.get(name) ?? []);
			if (both.length > 0) sum += Math.min(...both);
			for (const name of pair) missed.delete(name);
		}
		for (const count of missed.values()) sum += count;
		return sum;
	}

	/** Of what is asked for now. */
	capabilities(): wire.Capability[] {
		const kinds = this.#asked ?? this.#options.mayAsk;
		const asked = this.#known().filter(({ kind, required }) => required || kinds.has(kind));
		return asked.map((capability) => {
			const way = this.#wayOf(capability);
			const { name, lost, remedy } = capability;
			if (!way) {
				const reasons = new Set(capability.ways.map((each) => this.#refusal(each)));
				return { name, available: false, tier: "none", lost: `${lost} (${[...reasons].join("; ")})`, remedy };
			}
			const [best] = capability.ways;
			// Another program at the same place is as good.
			if (best === undefined || way.tier === best.tier)
				return { name, available: true, tier: way.tier, lost: "", remedy: "" };
			return {
				name,
				available: true,
				tier: way.tier,
				lost: `${way.lost ?? "a few ns of every system call"} (hooks on functions: ${this.#refusal(best)})`,
				remedy: "a kernel from 5.13 with CONFIG_FUNCTION_TRACER",
			};
		});
	}

	/** Programs that run now: those the interest needs; one in several places as "program@place". */
	attached(): ReadonlySet<string> {
		return new Set(this.#attached.keys());
	}

	/**
	 * Nothing new is taken in from here on, and what waits is delivered; the counters can still be read. In this
	 * order, or a host that is busier than we read would never let us go.
	 */
	stop(): void {
		if (this.#closed) return;
		this.#steer(noInterest);
		this.flush();
	}

	/** Detaches everything. What waited in the ring is delivered first. */
	close(): void {
		if (this.#closed) return;
		this.stop();
		this.#closed = true;
		clearTimeout(this.#detaching);
		this.#sensor.close();
	}
}

/** Can this kernel carry the sensor? What it lacks, program by program, without starting to capture. */
export function probe(options: Pick<CaptureOptions, "logger" | "off" | "cgroupRoot">): wire.Capability[] {
	const capture = new LiveCapture({
		ringBytes: 262_144,
		drainMs: 10,
		scope: { pids: [process.pid], cgroups: [], paths: [] },
		simulateLoss: 0,
		limits: noLimits,
		mayAsk: everything.kinds,
		trial: true,
		...options,
	});
	try {
		// Within the scope of this process nothing happens meanwhile.
		capture.start(everything, () => {});
		return capture.capabilities();
	} finally {
		capture.close();
	}
}

/** What this architecture can have. */
function here(): Capability[] {
	return capabilities.filter(({ only }) => only === undefined || only === process.arch);
}

/** One program in one place. */
interface Hook {
	readonly name: string;
	readonly program: string;
	readonly target: string;
	readonly capability: Capability;
}

/** The programs to do without when `name` (a program, a tier or a capability) is switched off. */
function meantBy(name: string, capability: Capability, way: Way): string[] {
	if (name === capability.name || name === way.tier) return [programsOf(way)[0] as string];
	return programsOf(way).filter((program) => program === name);
}

/** ENOENT: the kernel marks no such place. */
const noSuchTracepoint = 2;

/** ESRCH: what libbpf says of a function that the kernel's types do not name. */
const noSuchFunction = 3;

function isPermission(error: NativeError): boolean {
	// EPERM, and EACCES with no verifier log: not a refusal of this program but of all.
	return error.errno === 1;
}

function lastLine(error: NativeError): string {
	const lines = (error.log ?? "").split("\n").filter((line) => line !== "" && !line.startsWith("processed "));
	// REQUIRE_RESULT in bpf/io_uring_request.h.
	if (lines.some((line) => line.includes("unknown#5190"))) return "a request does not keep its result";
	// What the verifier says is more than that the library failed.
	return lines.findLast((line) => !/^(libbpf: |-- )/.test(line)) ?? lines.at(-1) ?? error.message;
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
