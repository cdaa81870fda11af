// The second BPF object as the kernel has it: loaded on demand, hooked up, pinned so that it outlives this process, taken
// away to the last pin. Knows the tables by what is in them (refusal-tables.ts); which rules there are is refuser.ts's.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statfsSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Logger } from "pino";
import * as layout from "../model/layout-refusal.ts";
import type { Means } from "../model/refusal.ts";
import { addon, type Refuser as Native, type NativeError, refuseObjectPath } from "./addon.ts";
import {
	decodeRule,
	decodeScope,
	decodeScopeKey,
	type Entry,
	encodeRule,
	encodeScope,
	Kind,
	mostInScope,
	noRule,
	type RuleRecord,
	type RuleTable,
	ruleTables,
	scopeKey,
	slotKey,
	splitKeys,
} from "./refusal-tables.ts";

export interface KernelOptions {
	/** Below a BPF file system, made when missing; undefined keeps nothing longer than this process. */
	readonly pins: string | undefined;
	/** Where cgroup2 is mounted. */
	readonly cgroupRoot: string | undefined;
	/** Whose executions and connections are never refused, with what it starts; 0 for nobody. */
	readonly sensorPid: number;
	/** Programs to do without, as if the kernel refused them; "lsm" for the one that asks for leave. */
	readonly off: readonly string[];
	readonly logger: Logger;
}

/** What a rule has in the kernel. */
export interface Placement {
	readonly slot: number;
	readonly kind: number;
	readonly cgroups: readonly number[];
	readonly entries: readonly Entry[];
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
/** Where BPF is among the LSMs, and its program is refused. */
const killMeans = { by: "kill", lost: killLost, remedy: "a kernel that takes BPF programs for LSM" } as const;
const lsmRemedy = "bpf among the modules in lsm=… on the kernel's command line";

export class RefusalKernel {
	exec: Means<"lsm" | "kill">;
	egress: Means<"cgroup">;
	readonly outlives: boolean;
	/** Tables are in the kernel. */
	loaded = false;
	readonly #options: KernelOptions;
	readonly #folder: string;
	#native: Native;
	/** "program-cgroup" that are hooked up. */
	readonly #hooks = new Set<string>();

	constructor(options: KernelOptions) {
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

	/** Takes over what another process of ours has left; [] when there is nothing. */
	adopt(rules: number): (Placement & { readonly record: RuleRecord })[] {
		if (!this.outlives || !exists(this.#folder)) return [];
		this.loaded = this.#native.adopt();
		if (!this.loaded) return [];
		for (const name of readdirSync(this.#folder)) if (/-\d+$/.test(name)) this.#hooks.add(name);
		if (this.#hooks.has("kill_exec-0") && "by" in this.exec && this.exec.by === "lsm") this.exec = killMeans;
		const scopes = this.#keys("refusal_scopes", layout.refusalScopeKey.bytes).map((key) => ({
			...decodeScopeKey(key),
			slots: decodeScope(this.#native.mapLookup("refusal_scopes", key)),
		}));
		const entries = this.#allEntries();
		const found = [];
		for (let slot = 0; slot < rules; slot++) {
			const record = this.record(slot);
			const own = entries.get(slot) ?? [];
			if (record !== undefined && record.generation !== 0) {
				const { kind } = record;
				const applied = scopes.filter((scope) => scope.kind === kind && scope.slots.includes(slot));
				found.push({ slot, kind, cgroups: applied.map(({ cgroup }) => cgroup), entries: own, record });
			} else {
				// Its maker ended before it was in force.
				for (const { table, key } of own) this.#native.mapDelete(table, key);
			}
		}
		this.#writeSettings();
		return found;
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

	/** Loads what rules of these kinds need. Throws an Error with a remedy. */
	load(kinds: readonly number[]): void {
		if (this.outlives) mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
		if (this.loaded) {
			this.#loadKinds(kinds);
			return;
		}
		try {
			this.#loadKinds(kinds);
			this.#writeSettings();
			this.loaded = true;
		} catch (error) {
			this.unload(); // half of it may be there
			throw error;
		}
	}

	#loadKinds(kinds: readonly number[]): void {
		if (kinds.includes(Kind.REFUSAL_EXEC)) this.#loadExec();
		if (kinds.every((kind) => kind === Kind.REFUSAL_EXEC)) return;
		if ("lacking" in this.egress) throw new Error(`${this.egress.lacking}; ${this.egress.remedy}`);
		this.#native.load([...peerPrograms, "refuse_packet"]);
	}

	#loadExec(): void {
		if ("by" in this.exec && this.exec.by === "lsm") {
			try {
				this.#native.load(["refuse_exec"]);
				return;
			} catch (error) {
				this.#options.logger.warn({ error }, "the kernel refuses the program that asks for leave to execute");
				this.exec = killMeans;
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

	/** Loads everything, hooks up nothing, and keeps what that says of the means. */
	probe(): void {
		const lacking = (error: unknown) => ({
			lacking: `the kernel refuses the programs: ${(error as Error).message}`,
			remedy: "a kernel from 5.10 with BTF, and CAP_SYS_ADMIN",
		});
		try {
			this.load([Kind.REFUSAL_EXEC]);
		} catch (error) {
			this.exec = lacking(error);
		}
		try {
			if ("by" in this.egress) this.load([Kind.REFUSAL_EGRESS]);
		} catch (error) {
			this.egress = lacking(error);
		}
		this.close();
	}

	/** What it consists of first, so that it is in force as a whole or not at all. */
	write({ slot, kind, cgroups, entries }: Placement, record: RuleRecord): void {
		for (const { table, key, value } of entries) this.#native.mapUpdate(table, key, value);
		this.writeRecord(slot, record);
		for (const cgroup of cgroups) this.#changeScope(cgroup, kind, (slots) => [...slots, slot]);
	}

	erase({ slot, kind, cgroups, entries }: Placement): void {
		for (const cgroup of cgroups)
			this.#changeScope(cgroup, kind, (slots) => slots.filter((each) => each !== slot));
		this.#native.mapUpdate("refusal_rules", slotKey(slot), noRule);
		for (const { table, key } of entries) this.#native.mapDelete(table, key);
	}

	record(slot: number): RuleRecord | undefined {
		const bytes = this.#native.mapLookup("refusal_rules", slotKey(slot));
		return bytes === undefined ? undefined : decodeRule(bytes);
	}

	writeRecord(slot: number, record: RuleRecord): void {
		this.#native.mapUpdate("refusal_rules", slotKey(slot), encodeRule(record));
	}

	#changeScope(cgroup: number, kind: number, change: (slots: number[]) => number[]): void {
		const key = scopeKey(cgroup, kind);
		const slots = change(decodeScope(this.#native.mapLookup("refusal_scopes", key)));
		if (slots.length > mostInScope)
			throw new Error(`more than ${mostInScope} rules for one cgroup; put their programs or peers together`);
		if (slots.length > 0) this.#native.mapUpdate("refusal_scopes", key, encodeScope(slots));
		else this.#native.mapDelete("refusal_scopes", key);
	}

	/** Reads it all back: entries, where it applies, and the programs that carry it out. */
	stands({ slot, kind, cgroups, entries }: Placement): boolean {
		const applies = (cgroup: number) =>
			decodeScope(this.#native.mapLookup("refusal_scopes", scopeKey(cgroup, kind))).includes(slot);
		const isThere = ({ table, key, value }: Entry) =>
			value.equals(this.#native.mapLookup(table, key) ?? Buffer.alloc(0));
		const hooked = (hook: string) => {
			const { program, cgroup } = partsOf(hook);
			return optional.has(program) || this.#native.attached(program, cgroup);
		};
		return (
			cgroups.length > 0 &&
			cgroups.every(applies) &&
			entries.every(isThere) &&
			this.#hooksOf(kind, cgroups).every(hooked)
		);
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

	/** Hooks up what these rules need, and nothing else. */
	syncHooks(placed: Iterable<Placement>): void {
		const needed = new Set([...placed].flatMap(({ kind, cgroups }) => this.#hooksOf(kind, cgroups)));
		for (const hook of needed) {
			if (this.#hooks.has(hook)) continue;
			const { program, cgroup } = partsOf(hook);
			try {
				this.#native.attach(program, cgroup);
				this.#hooks.add(hook);
			} catch (error) {
				// Nobody is left in a cgroup that is gone.
				const gone = cgroup !== 0 && (error as NativeError).errno === noEntry;
				if (!optional.has(program) && !gone) throw error;
			}
		}
		for (const hook of this.#hooks) {
			if (needed.has(hook)) continue;
			const { program, cgroup } = partsOf(hook);
			this.#native.detach(program, cgroup);
			this.#hooks.delete(hook);
		}
	}

	/** Files of ours that somebody has removed; [] where nothing is pinned. */
	missingPins(): string[] {
		if (!this.outlives || !this.loaded) return [];
		const there = new Set(exists(this.#folder) ? readdirSync(this.#folder) : []);
		return [...this.#hooks, "refusal_rules", "refusal_scopes"].filter((name) => !there.has(name));
	}

	containers(): Set<number> {
		const keys = this.#keys("refusal_containers", 8);
		return new Set(keys.map((key) => Number(key.readBigUInt64LE())));
	}

	writeContainers(next: ReadonlySet<number>): void {
		const keyOf = (id: number) => {
			const key = Buffer.alloc(8);
			key.writeBigUInt64LE(BigInt(id));
			return key;
		};
		const before = this.containers();
		for (const id of before) if (!next.has(id)) this.#native.mapDelete("refusal_containers", keyOf(id));
		for (const id of next) {
			if (!before.has(id)) this.#native.mapUpdate("refusal_containers", keyOf(id), Buffer.from([1]));
		}
	}

	/** Records of refusals since the last call. */
	read(): Uint8Array[] {
		return this.loaded ? this.#native.read() : [];
	}

	/** Of all CPUs, undefined when nothing is loaded. */
	counters(): Uint8Array | undefined {
		return this.loaded ? this.#native.mapLookup("refusal_counts", slotKey(0)) : undefined;
	}

	/** Nothing of ours is in the kernel afterwards. What was refused and not read is gone with it. */
	unload(): void {
		if (this.loaded) this.syncHooks([]);
		this.close();
		if (this.outlives) {
			removeFolder(this.#folder);
			removeFolder(this.#options.pins as string);
		}
		this.#native = this.#open();
	}

	/** Pins of programs that were built otherwise: whoever put their rules has put them anew by now. */
	removeOthers(): void {
		const { pins } = this.#options;
		if (!this.outlives || pins === undefined || !exists(pins)) return;
		for (const name of readdirSync(pins)) {
			const folder = join(pins, name);
			if (folder !== this.#folder) removeFolder(folder);
		}
	}

	/** Lets go; what is pinned stays in force. */
	close(): void {
		this.#native.close();
		this.#hooks.clear();
		this.loaded = false;
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
}

function partsOf(hook: string): { program: string; cgroup: number } {
	const [program = "", cgroup] = hook.split("-");
	return { program, cgroup: Number(cgroup) };
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

/** Of /proc/PID/stat, 1/100 s since boot. */
function startTicks(pid: number): bigint {
	const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
	return BigInt(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? 0);
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
