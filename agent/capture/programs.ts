// Which programs carry what: the best way this kernel takes is loaded, what it refuses is left out or done another
// way, and what the events asked for need is hooked up.
import type { Logger } from "pino";
import type { EventName } from "../model/event.ts";
import * as layout from "../model/layout.ts";
import type * as wire from "../model/picket.v1.ts";
import { addon, type NativeError, objectPath, type Sensor } from "./addon.ts";
import { CaptureError, explain, isPermission, lastLine } from "./capture-error.ts";
import { type Capability, capabilities, pairs, programsOf, type Way } from "./hooks.ts";

export interface ProgramsOptions {
	readonly ringBytes: number;
	/** Programs, capabilities or tiers to do without, as if the kernel refused them: for tests and troubleshooting. */
	readonly off: readonly string[];
	/** Kinds that may ever be asked for; programs for others are not loaded. */
	readonly mayAsk: ReadonlySet<EventName>;
	/** Hooks each program up in one place only: enough to know whether it can be. */
	readonly trial?: boolean;
	readonly cgroupRoot: string | undefined;
	readonly logger: Logger;
}

/** One program in one place. */
interface Hook {
	readonly name: string;
	readonly program: string;
	readonly target: string;
	readonly capability: Capability;
}

/** A hook that was not as we left it. */
export interface HookFault {
	readonly name: string;
	readonly problem: string;
	/** What is not captured without it. */
	readonly lost: string;
	readonly mended: boolean;
}

/** ENOENT: the kernel marks no such place. */
const noSuchTracepoint = 2;

/** ESRCH: what libbpf says of a function that the kernel's types do not name. */
const noSuchFunction = 3;

export class Programs {
	readonly sensor: Sensor;
	readonly #options: ProgramsOptions;
	/** Programs we do without, and why. */
	readonly #missing = new Map<string, string>();
	/** Hooks in place, by name. */
	readonly #attached = new Map<string, Hook>();

	/** Throws CaptureError when this kernel cannot carry what is required. */
	constructor(options: ProgramsOptions) {
		this.#options = options;
		for (const name of options.off) this.#switchOff(name);
		this.sensor = this.#load();
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

	/** Loads all that will do; what the kernel refuses is left out or done another way, and the rest tried again. */
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

	/** Hooks by name that the interest needs. */
	#needed(kinds: ReadonlySet<EventName>): Map<string, Hook> {
		const needed = new Map<string, Hook>();
		for (const capability of this.#known()) {
			const way = kinds.has(capability.kind) ? this.#wayOf(capability) : undefined;
			for (const hook of way ? this.#hooksOf(capability, way) : []) needed.set(hook.name, hook);
		}
		return needed;
	}

	/** Hooks up what events of these kinds need and is not in place. */
	attach(kinds: ReadonlySet<EventName>): void {
		for (const [name, hook] of this.#needed(kinds)) {
			if (!this.#attached.has(name) && this.#hookUp(hook)) this.#attached.set(name, hook);
		}
	}

	/** Takes off what they do not need. */
	detach(kinds: ReadonlySet<EventName>): void {
		const needed = this.#needed(kinds);
		const idle = [...this.#attached].filter(([name]) => !needed.has(name));
		this.sensor.detach(idle.map(([, hook]) => hook));
		for (const [name] of idle) this.#attached.delete(name);
	}

	/**
	 * Asks the kernel whether all that we have hooked up runs there, and hooks it up anew where that can be done: a
	 * descriptor that is not ours any more may be anything, and is let alone.
	 */
	mend(): HookFault[] {
		const states = this.sensor.hookStates().filter(({ problem }) => problem !== "");
		return states.flatMap(({ program, target, problem }) => {
			const hook = [...this.#attached.values()].find(
				(each) => each.program === program && each.target === target,
			);
			if (!hook) return [];
			const { lost } = hook.capability;
			if (problem.includes("descriptor")) return [{ name: hook.name, problem, lost, mended: false }];
			this.sensor.detach([hook]);
			this.#attached.delete(hook.name);
			const mended = this.#hookUp(hook);
			if (mended) this.#attached.set(hook.name, hook);
			return [{ name: hook.name, problem, lost, mended }];
		});
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
			this.sensor.attach(program, target);
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

	lacks(program: string): boolean {
		return this.#missing.has(program);
	}

	/** Of what events of these kinds need. */
	capabilities(kinds: ReadonlySet<EventName>): wire.Capability[] {
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

	/** What is in place; a program in several places as "program@place". */
	attached(): ReadonlySet<string> {
		return new Set(this.#attached.keys());
	}
}

/** What this architecture can have. */
function here(): Capability[] {
	return capabilities.filter(({ only }) => only === undefined || only === process.arch);
}

/** The programs to do without when `name` (a program, a tier or a capability) is switched off. */
function meantBy(name: string, capability: Capability, way: Way): string[] {
	if (name === capability.name || name === way.tier) return [programsOf(way)[0] as string];
	return programsOf(way).filter((program) => program === name);
}
