// Capture from the running kernel: loads the programs, hooks them up, reads the ring in slices on the event
// loop. Everything that can fail here fails with what to do about it.
import { type EventName, eventName } from "../model/event.ts";
import { everything, type Interest, noInterest, sumOfInterests } from "../model/interest.ts";
import * as layout from "../model/layout.ts";
import type * as wire from "../model/picket.v1.ts";
import { addon, type ProgramInfo, type Sensor } from "./addon.ts";
import { pairs } from "./hooks.ts";
import { type HookFault, Programs, type ProgramsOptions } from "./programs.ts";
import { applyScope, type Scope } from "./scope.ts";
import { Tables } from "./tables.ts";

export interface CaptureOptions extends ProgramsOptions {
	readonly drainMs: number;
	readonly scope: Scope;
	readonly simulateLoss: number;
	readonly limits: CaptureLimits;
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

/** Called for each record, in order, with its place in `memory`. Must not throw and keep nothing of it. */
export type RecordHandler = (offset: number, bytes: number) => void;

/** Time one slice may take before timers and I/O get their turn, ms. */
const sliceMs = 8;
const slotsPerRead = 1024;
/** From a change of the interest to when idle hooks come off, ms. */
const detachMs = 250;
const counterFields = layout.classCounters.bytes / 8;

export class LiveCapture {
	readonly #programs: Programs;
	readonly #sensor: Sensor;
	readonly #tables: Tables;
	readonly #options: CaptureOptions;
	readonly #slots = new Uint32Array(slotsPerRead * 2);
	readonly #sums = new Float64Array(layout.eventKind.EVENT_KINDS * counterFields);
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
	readonly #view: DataView;
	/** Of this second, and of the one before, ms. */
	#lag = 0;
	#lagBefore = 0;
	#lagSince = 0;
	/** Why all opens of a sort are sent; "" when they are not. */
	unboundedOpens = "";

	constructor(options: CaptureOptions) {
		this.#options = options;
		this.#programs = new Programs(options);
		this.#sensor = this.#programs.sensor;
		this.#tables = new Tables(this.#sensor);
		this.#view = new DataView(this.#sensor.ring);
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

	/** Puts another interest in force, as far as it lies within the kinds this capture was made for. */
	setInterest(interest: Interest): void {
		const beyond = [...interest.kinds].filter((kind) => !this.#options.mayAsk.has(kind));
		if (beyond.length > 0) this.#options.logger.warn({ kinds: beyond }, "captured only after a restart");
		this.#asked = interest.kinds;
		this.#steer(interest);
		this.#programs.detach(this.#eventKinds);
		this.#programs.attach(this.#eventKinds);
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
			this.#programs.attach(this.#eventKinds);
			takeOver();
			next = interest;
			this.#asked = interest.kinds;
		} finally {
			this.#steer(next);
			this.#detachLater();
		}
	}

	/** Hooks wait for a grace period of the kernel to come off: not while events of the old interest are still read. */
	#detachLater(): void {
		clearTimeout(this.#detaching);
		this.#detaching = setTimeout(() => {
			if (!this.#closed) this.#programs.detach(this.#eventKinds);
		}, detachMs).unref();
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
			execAlone: this.#programs.lacks("on_exec"),
		});
		this.unboundedOpens = unbounded;
		this.#eventKinds = kinds;
	}

	#applyScope(): void {
		const { scope, cgroupRoot = "/sys/fs/cgroup" } = this.#options;
		this.#scopeBits = applyScope(this.#sensor, scope, cgroupRoot);
	}

	#drain(): void {
		if (this.#continuing) return; // a slice is due anyway
		const until = performance.now() + sliceMs;
		for (;;) {
			const count = this.#sensor.read(this.#slots);
			if (count > 0) this.#noteLag(this.#slots[0] as number);
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
		return this.#programs.capabilities(this.#asked ?? this.#options.mayAsk);
	}

	/** Programs that run now: those the interest needs; one in several places as "program@place". */
	attached(): ReadonlySet<string> {
		return this.#programs.attached();
	}

	/** Hooks that are not as we left them, hooked up anew where possible. */
	mendHooks(): HookFault[] {
		return this.#closed ? [] : this.#programs.mend();
	}

	/** Names of the tables that mendTable() can look at. */
	get tables(): readonly string[] {
		return this.#tables.parts;
	}

	/** What somebody else has changed in that table, put right by now; "" for nothing. */
	mendTable(name: string): string {
		return this.#closed ? "" : this.#tables.mend(name);
	}

	/** The kernel's numbers of our programs, tables and links, with their names. */
	ids(): { programs: Map<number, string>; maps: Map<number, string>; links: Map<number, string> } {
		const states = this.#closed ? [] : this.#sensor.hookStates();
		const maps = this.#closed ? {} : this.#sensor.mapIds();
		return {
			programs: new Map(states.map(({ programId, program }) => [programId, program])),
			maps: new Map(Object.entries(maps).map(([name, id]) => [id, name])),
			links: new Map(states.map(({ linkId, program }) => [linkId, program])),
		};
	}

	/**
	 * How long the oldest event waited that was read within the last second or two, or waits since it could not be
	 * read, ms; 0 when none came.
	 */
	lagMs(): number {
		this.#turnLag();
		return Math.max(this.#lag, this.#lagBefore);
	}

	#turnLag(): void {
		const now = performance.now();
		if (now - this.#lagSince < 1000) return;
		this.#lagBefore = now - this.#lagSince < 2000 ? this.#lag : 0;
		this.#lag = 0;
		this.#lagSince = now;
	}

	/** Once a slice: its first record has waited longest. */
	#noteLag(offset: number): void {
		this.#turnLag();
		const at = offset + layout.eventHeader.time;
		const time = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
		this.#lag = Math.max(this.#lag, addon().clocks().bootMs - time / 1e6);
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
