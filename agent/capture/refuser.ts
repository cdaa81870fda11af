// Which rules of refusal are in the kernel, by owner. Nothing is loaded before the first. What is in force is kept in
// the kernel, so that this process may end and another take over; at no moment of a change less is in force than
// before or after it.
import * as layout from "../model/layout-refusal.ts";
import type { Means, Refusal, RefusalRule, Refuser } from "../model/refusal.ts";
import { addon, type NativeError } from "./addon.ts";
import { type KernelOptions, type Placement, RefusalKernel } from "./refusal-kernel.ts";
import { decodeRefusal, type RefusalCounts, sumCounters } from "./refusal-records.ts";
import { type Compiled, compileRule, mostRules, type RuleRecord } from "./refusal-tables.ts";

export interface RefuserOptions extends KernelOptions {
	/** Unix ms. */
	readonly clock: () => number;
}

/** Where BPF programs outlive the process that loaded them, on every host with systemd. */
export const defaultPins = "/sys/fs/bpf/picket";

/** By far more than can be between two calls of drain(). */
const mostNames = 8192;

/** A rule that is in the kernel. */
interface Placed extends Placement {
	/** The rule as text, without its deadline; "" for one that was there before us. */
	readonly text: string;
	record: RuleRecord;
}

/** What this kernel takes: loads the programs and lets go of them again, hooks up nothing. */
export function probeRefusals(
	options: Omit<KernelOptions, "sensorPid">,
): Pick<Refuser, "exec" | "egress" | "outlives"> {
	const { outlives } = new RefusalKernel({ ...options, sensorPid: 0 });
	const kernel = new RefusalKernel({ ...options, pins: undefined, sensorPid: 0 });
	kernel.probe();
	return { exec: kernel.exec, egress: kernel.egress, outlives };
}

export class LiveRefuser implements Refuser {
	readonly #kernel: RefusalKernel;
	readonly #clock: () => number;
	readonly #placed = new Map<number, Placed>();
	/** Names of rules by generation, those that are gone included: what they refused may not be told yet. */
	readonly #names = new Map<number, string>();
	#containers: Set<number> = new Set();
	#generation = 0;
	#lostTold = 0;
	/** Read when the tables went, for the next drain(). */
	#unread: Refusal[] = [];
	#othersGone = false;

	constructor(options: RefuserOptions) {
		this.#kernel = new RefusalKernel(options);
		this.#clock = options.clock;
		for (const { record, ...placement } of this.#kernel.adopt(mostRules)) {
			this.#names.set(record.generation, record.id);
			this.#generation = Math.max(this.#generation, record.generation);
			this.#placed.set(placement.slot, { ...placement, record, text: "" });
		}
		if (this.#kernel.loaded) this.#containers = this.#kernel.containers();
	}

	get exec(): Means<"lsm" | "kill"> {
		return this.#kernel.exec;
	}

	get egress(): Means<"cgroup"> {
		return this.#kernel.egress;
	}

	get outlives(): boolean {
		return this.#kernel.outlives;
	}

	put(owner: string, rules: readonly RefusalRule[]): void {
		if (owner === "" || Buffer.byteLength(owner) >= layout.refusalRule.id - layout.refusalRule.owner)
			throw new Error(`"${owner}" is no name of an owner; use up to 63 bytes`);
		const now = this.#bootNow();
		const wanted = rules
			.map((rule) => ({
				rule,
				compiled: compileRule(rule),
				deadline: this.#deadline(rule),
				text: textOf(rule),
			}))
			.filter(({ deadline }) => deadline > now);
		const before = [...this.#placed.values()].filter(({ record }) => record.owner === owner);
		const kept = new Set<Placed>();
		const added: Placed[] = [];
		try {
			if (wanted.length > 0) this.#load(wanted.map(({ compiled }) => compiled.kind));
			for (const { rule, compiled, deadline, text } of wanted) {
				const same = before.find((placed) => placed.text === text && !kept.has(placed));
				if (same === undefined) added.push(this.#place(owner, rule.id, text, compiled, deadline));
				else kept.add(this.#prolong(same, deadline));
			}
			this.#kernel.syncHooks(this.#placed.values());
		} catch (error) {
			this.#removeAll(added);
			throw explained(error);
		}
		this.#removeAll(before.filter((placed) => !kept.has(placed)));
	}

	containers(ids: Iterable<number>): void {
		this.#containers = new Set(ids);
		if (this.#kernel.loaded) this.#kernel.writeContainers(this.#containers);
	}

	holds(rule: RefusalRule): boolean {
		const compiled = compileRule(rule);
		return [...this.#placed.keys()].some((slot) => {
			const record = this.#inForce(slot);
			return (
				record?.id === rule.id &&
				record.kind === compiled.kind &&
				record.flags === compiled.flags &&
				this.#kernel.stands({ ...compiled, slot, entries: compiled.entries(slot) })
			);
		});
	}

	owns(owner: string): boolean {
		return [...this.#placed.keys()].some((slot) => this.#inForce(slot)?.owner === owner);
	}

	drain(): { refusals: readonly Refusal[]; lost: number } {
		if (!this.#othersGone) this.#kernel.removeOthers();
		this.#othersGone = true;
		const refusals = [...this.#unread, ...this.#read()];
		this.#unread = [];
		const { lost } = this.counts();
		const lostNow = lost - this.#lostTold;
		this.#lostTold = lost;
		const now = this.#bootNow();
		this.#removeAll([...this.#placed.values()].filter(({ record }) => record.deadline <= now));
		return { refusals, lost: lostNow };
	}

	/**
	 * What of ours in the kernel is not as we left it, in words; asks the kernel. `exists`: is that cgroup still there?
	 * Nothing is hooked up to one that is gone.
	 */
	damages(exists: (cgroup: number) => boolean): string[] {
		if (!this.#kernel.loaded) return [];
		const found = this.#kernel.missingPins().map((name) => `its pin ${name} is gone`);
		const now = this.#bootNow();
		for (const placed of this.#placed.values()) {
			const { record, slot } = placed;
			if (record.deadline <= now || !placed.cgroups.every((id) => id === 0 || exists(id))) continue;
			const held = this.#kernel.record(slot);
			const same = held?.generation === record.generation && held.deadline === record.deadline;
			if (!same || !this.#kernel.stands(placed))
				found.push(`the kernel does not hold the rule ${record.id} as it was put there`);
		}
		return found;
	}

	/** Since the first rule was put, all of them. */
	counts(): RefusalCounts {
		return sumCounters(this.#kernel.counters());
	}

	release(): void {
		this.#placed.clear();
		this.#unload();
		this.#kernel.removeOthers();
		this.#kernel.unload();
	}

	close(): void {
		this.#kernel.close();
		this.#placed.clear();
	}

	#load(kinds: readonly number[]): void {
		const first = !this.#kernel.loaded;
		this.#kernel.load(kinds);
		if (first) this.#kernel.writeContainers(this.#containers);
	}

	#place(owner: string, id: string, text: string, compiled: Compiled, deadline: bigint): Placed {
		const { kind, flags, cgroups } = compiled;
		let slot = 0;
		while (this.#placed.has(slot)) slot++;
		if (slot >= mostRules)
			throw new Error(
				`the kernel's table holds ${mostRules} rules; put programs or peers of one scope together`,
			);
		const generation = ++this.#generation;
		const record = { deadline, generation, kind, flags, owner, id };
		const placed: Placed = { slot, kind, cgroups, entries: compiled.entries(slot), text, record };
		this.#placed.set(slot, placed);
		this.#remember(generation, id);
		try {
			this.#kernel.write(placed, record);
		} catch (error) {
			this.#removeAll([placed]);
			throw error;
		}
		return placed;
	}

	#remember(generation: number, id: string): void {
		this.#names.set(generation, id);
		if (this.#names.size <= mostNames) return;
		this.#names.clear();
		for (const { record } of this.#placed.values()) this.#names.set(record.generation, record.id);
	}

	#prolong(placed: Placed, deadline: bigint): Placed {
		placed.record = { ...placed.record, deadline };
		this.#kernel.writeRecord(placed.slot, placed.record);
		return placed;
	}

	/** Takes rules out of force, and the programs that nothing needs any more with them. */
	#removeAll(gone: readonly Placed[]): void {
		for (const placed of gone) {
			this.#kernel.erase(placed);
			this.#placed.delete(placed.slot);
		}
		if (this.#placed.size === 0) this.#unload();
		else if (gone.length > 0) this.#kernel.syncHooks(this.#placed.values());
	}

	#unload(): void {
		if (!this.#kernel.loaded) return;
		this.#unread.push(...this.#read());
		this.#lostTold = 0;
		this.#kernel.unload();
	}

	#inForce(slot: number): RuleRecord | undefined {
		const record = this.#kernel.record(slot);
		return record && record.generation !== 0 && record.deadline > this.#bootNow() ? record : undefined;
	}

	#read(): Refusal[] {
		return this.#kernel
			.read()
			.map((bytes) => decodeRefusal(bytes, (generation) => this.#names.get(generation)));
	}

	#bootNow(): bigint {
		return BigInt(Math.round(addon().clocks().bootMs * 1e6));
	}

	#deadline(rule: RefusalRule): bigint {
		return this.#bootNow() + BigInt(Math.round((rule.deadline - this.#clock()) * 1e6));
	}
}

function textOf({ deadline, ...rule }: RefusalRule): string {
	return JSON.stringify(rule, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

function explained(error: unknown): Error {
	const { code, message, program, log } = error as Partial<NativeError>;
	if (code !== "LOAD" && code !== "ATTACH" && code !== "MAP") return error as Error;
	const what = program ? `${program}: ${message}` : message;
	return new Error(`${what}; see picket doctor${log ? ` (${log.trim().split("\n").at(-1)})` : ""}`, {
		cause: error,
	});
}
