// Refusing in the kernel, over the second BPF object. Nothing is loaded before the first rule. What is in force is kept
// in the kernel alone, pinned, so that this process may end and another take over; the order of writing is such that
// at no moment less is in force than before or after a change.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statfsSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Logger } from "pino";
import * as layout from "../model/layout-refusal.ts";
import type { Means, Refusal, RefusalRule, Refuser } from "../model/refusal.ts";
import { addon, type Refuser as Native, type NativeError, refuseObjectPath } from "./addon.ts";
import { decodeRefusal, sumCounters } from "./refusal-records.ts";
import {
	type Compiled,
	compileRule,
	decodeRule,
	decodeScope,
	decodeScopeKey,
	type Entry,
	encodeRule,
	encodeScope,
	Kind,
	mostInScope,
	mostRules,
	noRule,
	type RuleRecord,
	type RuleTable,
	ruleTables,
	scopeKey,
	slotKey,
	splitKeys,
} from "./refusal-tables.ts";

export interface RefuserOptions {
	/** Below a BPF file system, made when missing; undefined keeps nothing longer than this process. */
	readonly pins: string | undefined;
	/** Where cgroup2 is mounted. */
	readonly cgroupRoot: string | undefined;
	/** Whose executions are never refused, with what it starts; 0 for nobody. */
	readonly sensorPid: number;
	/** Programs to do without, as if the kernel refused them. */
	readonly off: readonly string[];
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
}

export const defaultPins = "/sys/fs/bpf/picket";

/** What has been counted since the rules were loaded: refused + observed = told + repeated + lost. */
export interface RefusalCounts {
	readonly refused: number;
	readonly observed: number;
	readonly told: number;
	/** The same was told less than a second before. */
	readonly repeated: number;
	readonly lost: number;
	/** Let pass because too many were looked at at the same time. */
	readonly unchecked: number;
}

const bpffs = 0xcafe4a11;
const noEntry = 2;
const peerPrograms = ["refuse_connect4", "refuse_connect6", "refuse_send4", "refuse_send6"];
const killPrograms = ["kill_exec", "kill_exec_again"];
/** They make up for another; a kernel that does not take them has no need of them (bpf/refuse_exec.h). */
const optional: ReadonlySet<string> = new Set(["kill_exec_again"]);
const killLost =
	"of a script only the name by which it is started is looked at, and not by lists of what alone is allowed; " +
	"the process that executes ends instead of getting an error";
const lsmRemedy = "bpf among the modules in lsm=… on the kernel's command line";

/** A rule that is in the kernel. */
interface Placed {
	readonly slot: number;
	readonly owner: string;
	readonly id: string;
	readonly generation: number;
	/** The rule as text, without its deadline; "" for one that was there before us. */
	readonly text: string;
	readonly kind: number;
	readonly cgroups: readonly number[];
	readonly entries: readonly Entry[];
	deadline: bigint;
}

export class LiveRefuser implements Refuser {
	exec: Means<"lsm" | "kill">;
	readonly egress: Means<"cgroup">;
	readonly outlives: boolean;
	readonly #options: RefuserOptions;
	readonly #folder: string;
	#native: Native;
	/** Tables are in the kernel. */
	#loaded = false;
	readonly #placed = new Map<number, Placed>();
	/** Names of rules by generation, those that are gone included: what they refused may not be told yet. */
	readonly #names = new Map<number, string>();
	/** "program-cgroup" that are hooked up. */
	readonly #hooks = new Set<string>();
	#containers = new Set<number>();
	#generation = 0;
	#lostTold = 0;
	/** Read when the tables went, for the next drain(). */
	#unread: Refusal[] = [];
	#othersGone = false;

	constructor(options: RefuserOptions) {
		this.#options = options;
		const { pins, cgroupRoot } = options;
		this.outlives = pins !== undefined && isBpffs(pins);
		// A program that was built anew finds nothing of the old one: its tables may mean something else.
		const build = createHash("sha256").update(readFileSync(refuseObjectPath)).digest("hex").slice(0, 16);
		this.#folder = this.outlives ? join(pins as string, build) : "";
		this.exec = execMeans(options.off);
		this.egress = cgroupRoot
			? { by: "cgroup", lost: "", remedy: "" }
			: { lacking: "there is no cgroup2 file system", remedy: "mount cgroup2" };
		this.#native = this.#open();
		if (this.outlives && exists(this.#folder)) this.#adopt();
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
		const before = [...this.#placed.values()].filter((placed) => placed.owner === owner);
		if (wanted.length === 0) {
			this.#removeAll(before);
			return;
		}
		const kept = new Set<Placed>();
		const fresh: typeof wanted = [];
		for (const each of wanted) {
			const same = before.find((placed) => placed.text === each.text && !kept.has(placed));
			if (same === undefined) fresh.push(each);
			else kept.add(same);
			if (same !== undefined) this.#prolong(same, each.deadline);
		}
		const added: Placed[] = [];
		try {
			this.#load(wanted.map(({ compiled }) => compiled.kind));
			for (const { rule, compiled, deadline, text } of fresh)
				added.push(this.#place(owner, rule.id, text, compiled, deadline));
			this.#syncHooks();
		} catch (error) {
			this.#removeAll(added);
			throw explained(error);
		}
		this.#removeAll(before.filter((placed) => !kept.has(placed)));
	}

	containers(ids: Iterable<number>): void {
		const next = new Set(ids);
		if (this.#loaded) this.#writeContainers(this.#containers, next);
		this.#containers = next;
	}

	holds(rule: RefusalRule): boolean {
		if (!this.#loaded) return false;
		const compiled = compileRule(rule);
		return [...this.#placed.values()].some(
			(placed) => placed.id === rule.id && this.#isInKernel(placed.slot, rule, compiled),
		);
	}

	owns(owner: string): boolean {
		return [...this.#placed.values()].some((placed) => {
			const record = placed.owner === owner ? this.#record(placed.slot) : undefined;
			return record?.owner === owner && record.generation !== 0 && record.deadline > this.#bootNow();
		});
	}

	drain(): { refusals: readonly Refusal[]; lost: number } {
		if (!this.#othersGone) this.#removeOthers();
		const unread = this.#unread;
		this.#unread = [];
		if (!this.#loaded) return { refusals: unread, lost: 0 };
		const refusals = [...unread, ...this.#read()];
		const { lost } = this.counts();
		const lostNow = lost - this.#lostTold;
		this.#lostTold = lost;
		const now = this.#bootNow();
		this.#removeAll([...this.#placed.values()].filter(({ deadline }) => deadline <= now));
		return { refusals, lost: lostNow };
	}

	counts(): RefusalCounts {
		return sumCounters(this.#loaded ? this.#native.mapLookup("refusal_counts", slotKey(0)) : undefined);
	}

	release(): void {
		for (const hook of this.#hooks) this.#detach(hook);
		this.#placed.clear();
		this.#unload();
		this.#removeOthers();
		if (this.outlives) removeFolder(this.#options.pins as string);
	}

	close(): void {
		this.#native.close();
		this.#loaded = false;
		this.#placed.clear();
		this.#hooks.clear();
	}

	#open(): Native {
		const { Refuser } = addon();
		return new Refuser({
			object: refuseObjectPath,
			layoutHash: layout.layoutHash,
			folder: this.#folder,
			cgroupRoot: this.#options.cgroupRoot ?? "",
		});
	}

	/** What another process of ours has left. */
	#adopt(): void {
		this.#loaded = this.#native.adopt();
		if (!this.#loaded) return;
		for (const name of readdirSync(this.#folder)) if (/-\d+$/.test(name)) this.#hooks.add(name);
		const scopes = this.#keys("refusal_scopes", layout.refusalScopeKey.bytes).map((key) => ({
			...decodeScopeKey(key),
			slots: decodeScope(this.#native.mapLookup("refusal_scopes", key)),
		}));
		const entries = this.#allEntries();
		for (let slot = 0; slot < mostRules; slot++) {
			const record = this.#record(slot);
			const own = entries.get(slot) ?? [];
			if (record === undefined || record.generation === 0) {
				// Its maker ended before it was in force.
				for (const { table, key } of own) this.#native.mapDelete(table, key);
				continue;
			}
			const cgroups = scopes.filter(({ kind, slots }) => kind === record.kind && slots.includes(slot));
			const { owner, id, generation, kind, deadline } = record;
			this.#names.set(generation, id);
			this.#generation = Math.max(this.#generation, generation);
			this.#placed.set(slot, {
				slot,
				owner,
				id,
				generation,
				text: "",
				kind,
				cgroups: cgroups.map(({ cgroup }) => cgroup),
				entries: own,
				deadline,
			});
		}
		this.#lostTold = 0;
		this.#writeSettings();
		const known = this.#keys("refusal_containers", 8).map((key) => Number(key.readBigUInt64LE()));
		this.#containers = new Set(known);
	}

	#keys(table: string, bytes: number): Buffer[] {
		try {
			return splitKeys(this.#native.mapKeys(table), bytes);
		} catch {
			return []; // its maker ended before it was there
		}
	}

	#allEntries(): Map<number, Entry[]> {
		const entries = new Map<number, Entry[]>();
		for (const [table, at] of Object.entries(ruleTables) as [RuleTable, (typeof ruleTables)[RuleTable]][]) {
			for (const key of this.#keys(table, at.bytes)) {
				const slot = key.readUInt32LE(at.rule);
				const value = Buffer.from(this.#native.mapLookup(table, key) ?? []);
				entries.set(slot, [...(entries.get(slot) ?? []), { table, key, value }]);
			}
		}
		return entries;
	}

	/** Loads what rules of these kinds need. */
	#load(kinds: readonly number[]): void {
		if (this.outlives) mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
		const first = !this.#loaded;
		if (kinds.includes(Kind.REFUSAL_EXEC)) this.#loadExec();
		if (kinds.some((kind) => kind !== Kind.REFUSAL_EXEC)) {
			if ("lacking" in this.egress) throw new Error(`${this.egress.lacking}; ${this.egress.remedy}`);
			this.#native.load([...peerPrograms, "refuse_packet"]);
		}
		this.#loaded = true;
		if (!first) return;
		this.#writeSettings();
		this.#writeContainers(new Set(), this.#containers);
	}

	#loadExec(): void {
		if ("by" in this.exec && this.exec.by === "lsm") {
			try {
				this.#native.load(["refuse_exec"]);
				return;
			} catch (error) {
				this.#options.logger.warn({ error }, "the kernel refuses the program that asks for leave to execute");
				this.exec = { by: "kill", lost: killLost, remedy: "a kernel that takes BPF programs for LSM" };
			}
		}
		for (const program of killPrograms) {
			try {
				if (!this.#options.off.includes(program)) this.#native.load([program]);
			} catch (error) {
				if (!optional.has(program)) throw error;
			}
		}
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
		const placed = {
			slot,
			owner,
			id,
			generation,
			text,
			kind,
			cgroups,
			entries: compiled.entries(slot),
			deadline,
		};
		this.#placed.set(slot, placed);
		this.#names.set(generation, id);
		try {
			for (const { table, key, value } of placed.entries) this.#native.mapUpdate(table, key, value);
			this.#native.mapUpdate(
				"refusal_rules",
				slotKey(slot),
				encodeRule({ deadline, generation, kind, flags, owner, id }),
			);
			for (const cgroup of cgroups) this.#changeScope(cgroup, kind, (slots) => [...slots, slot]);
		} catch (error) {
			this.#removeAll([placed]);
			throw error;
		}
		return placed;
	}

	#prolong(placed: Placed, deadline: bigint): void {
		const record = this.#record(placed.slot);
		if (record === undefined) return;
		this.#native.mapUpdate("refusal_rules", slotKey(placed.slot), encodeRule({ ...record, deadline }));
		placed.deadline = deadline;
	}

	#changeScope(cgroup: number, kind: number, change: (slots: number[]) => number[]): void {
		const key = scopeKey(cgroup, kind);
		const slots = change(decodeScope(this.#native.mapLookup("refusal_scopes", key)));
		if (slots.length > mostInScope)
			throw new Error(`more than ${mostInScope} rules for one cgroup; put their programs or peers together`);
		if (slots.length > 0) this.#native.mapUpdate("refusal_scopes", key, encodeScope(slots));
		else this.#native.mapDelete("refusal_scopes", key);
	}

	/** Takes rules out of force, and the programs that nothing needs any more with them. */
	#removeAll(gone: readonly Placed[]): void {
		if (gone.length === 0 && (this.#placed.size > 0 || !this.#loaded)) return;
		for (const { slot, kind, cgroups, entries } of gone) {
			for (const cgroup of cgroups)
				this.#changeScope(cgroup, kind, (slots) => slots.filter((each) => each !== slot));
			this.#native.mapUpdate("refusal_rules", slotKey(slot), noRule);
			for (const { table, key } of entries) this.#native.mapDelete(table, key);
			this.#placed.delete(slot);
		}
		this.#syncHooks();
		if (this.#placed.size === 0) this.#unload();
	}

	/** What the rules that are placed need hooked up: "program-cgroup". */
	#neededHooks(): Set<string> {
		const needed = new Set<string>();
		for (const { kind, cgroups } of this.#placed.values()) {
			for (const hook of this.#hooksOf(kind, cgroups)) needed.add(hook);
		}
		return needed;
	}

	#hooksOf(kind: number, cgroups: readonly number[]): string[] {
		if (kind === Kind.REFUSAL_EXEC) {
			const lsm = "by" in this.exec && this.exec.by === "lsm";
			const programs = lsm ? ["refuse_exec"] : killPrograms;
			return programs.filter((each) => !this.#options.off.includes(each)).map((each) => `${each}-0`);
		}
		const programs = kind === Kind.REFUSAL_ISOLATE ? [...peerPrograms, "refuse_packet"] : peerPrograms;
		return cgroups.flatMap((cgroup) => programs.map((program) => `${program}-${cgroup}`));
	}

	#syncHooks(): void {
		const needed = this.#neededHooks();
		for (const hook of needed) {
			if (this.#hooks.has(hook)) continue;
			const [program = "", cgroup] = hook.split("-");
			try {
				this.#native.attach(program, Number(cgroup));
				this.#hooks.add(hook);
			} catch (error) {
				// Nobody is left in a cgroup that is gone.
				if (optional.has(program) || (error as NativeError).errno === noEntry) continue;
				throw error;
			}
		}
		for (const hook of this.#hooks) if (!needed.has(hook)) this.#detach(hook);
	}

	#detach(hook: string): void {
		const [program = "", cgroup] = hook.split("-");
		this.#native.detach(program, Number(cgroup));
		this.#hooks.delete(hook);
	}

	/** Nothing of ours is in the kernel afterwards. */
	#unload(): void {
		if (this.#loaded) this.#unread.push(...this.#read());
		this.#native.close();
		this.#loaded = false;
		this.#lostTold = 0;
		if (this.#folder !== "") removeFolder(this.#folder);
		if (this.outlives) removeFolder(this.#options.pins as string);
		this.#native = this.#open();
	}

	#isInKernel(slot: number, rule: RefusalRule, { kind, flags, cgroups, entries }: Compiled): boolean {
		const record = this.#record(slot);
		if (record?.id !== rule.id || record.kind !== kind || record.flags !== flags) return false;
		if (record.generation === 0 || record.deadline <= this.#bootNow()) return false;
		const applies = (cgroup: number) =>
			decodeScope(this.#native.mapLookup("refusal_scopes", scopeKey(cgroup, kind))).includes(slot);
		const stands = ({ table, key, value }: Entry) =>
			value.equals(this.#native.mapLookup(table, key) ?? Buffer.alloc(0));
		const hooked = (hook: string) => {
			const [program = "", cgroup] = hook.split("-");
			return optional.has(program) || this.#native.attached(program, Number(cgroup));
		};
		return (
			cgroups.length > 0 &&
			cgroups.every(applies) &&
			entries(slot).every(stands) &&
			this.#hooksOf(kind, cgroups).every(hooked)
		);
	}

	#record(slot: number): RuleRecord | undefined {
		const bytes = this.#native.mapLookup("refusal_rules", slotKey(slot));
		return bytes === undefined ? undefined : decodeRule(bytes);
	}

	#read(): Refusal[] {
		return this.#native
			.read()
			.map((bytes) => decodeRefusal(bytes, (generation) => this.#names.get(generation)));
	}

	#writeSettings(): void {
		const at = layout.refusalSettings;
		const bytes = Buffer.alloc(at.bytes);
		const { sensorPid } = this.#options;
		if (sensorPid > 0) {
			bytes.writeBigUInt64LE(startTicks(sensorPid), at.sensorStart);
			bytes.writeUInt32LE(sensorPid, at.sensorPid);
		}
		this.#native.mapUpdate("refusal_settings_map", slotKey(0), bytes);
	}

	#writeContainers(before: ReadonlySet<number>, next: ReadonlySet<number>): void {
		const keyOf = (id: number) => {
			const key = Buffer.alloc(8);
			key.writeBigUInt64LE(BigInt(id));
			return key;
		};
		for (const id of before) if (!next.has(id)) this.#native.mapDelete("refusal_containers", keyOf(id));
		for (const id of next) {
			if (!before.has(id)) this.#native.mapUpdate("refusal_containers", keyOf(id), Buffer.from([1]));
		}
	}

	/** Pins of programs that were built otherwise: whoever put their rules has put them anew by now. */
	#removeOthers(): void {
		this.#othersGone = true;
		const { pins } = this.#options;
		if (!this.outlives || pins === undefined || !exists(pins)) return;
		for (const name of readdirSync(pins)) {
			const folder = join(pins, name);
			if (folder !== this.#folder) removeFolder(folder);
		}
	}

	#bootNow(): bigint {
		return BigInt(Math.round(addon().clocks().bootMs * 1e6));
	}

	#deadline(rule: RefusalRule): bigint {
		return this.#bootNow() + BigInt(Math.round((rule.deadline - this.#options.clock()) * 1e6));
	}
}

function execMeans(off: readonly string[]): Means<"lsm" | "kill"> {
	if (off.includes("lsm")) return { by: "kill", lost: killLost, remedy: "lsm is off by configuration" };
	let modules = "";
	try {
		modules = readFileSync("/sys/kernel/security/lsm", "latin1");
	} catch {
		// no securityfs: nobody knows
	}
	if (modules.trim().split(",").includes("bpf")) return { by: "lsm", lost: "", remedy: "" };
	return { by: "kill", lost: killLost, remedy: lsmRemedy };
}

function textOf({ deadline, ...rule }: RefusalRule): string {
	return JSON.stringify(rule, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

/** Of /proc/PID/stat, 1/100 s since boot. */
function startTicks(pid: number): bigint {
	const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	return BigInt(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? 0);
}

function explained(error: unknown): Error {
	const { code, message, program, log } = error as Partial<NativeError>;
	if (code !== "LOAD" && code !== "ATTACH" && code !== "MAP") return error as Error;
	const what = program ? `${program}: ${message}` : message;
	return new Error(`${what}; see picket doctor${log ? ` (${log.trim().split("\n").at(-1)})` : ""}`, {
		cause: error,
	});
}

function exists(path: string): boolean {
	try {
		readdirSync(path);
		return true;
	} catch {
		return false;
	}
}

function isBpffs(path: string): boolean {
	try {
		return statfsSync(exists(path) ? path : dirname(path)).type === bpffs;
	} catch {
		return false;
	}
}

/** With the pins in it; what is not a pin of ours stays, and the folder with it. */
function removeFolder(folder: string): void {
	try {
		for (const entry of readdirSync(folder, { withFileTypes: true })) {
			if (!entry.isDirectory()) unlinkSync(join(folder, entry.name));
		}
		rmdirSync(folder);
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code !== "ENOENT" && code !== "ENOTEMPTY") throw error;
	}
}
