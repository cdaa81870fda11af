// Writes the kernel's small tables: what is of interest, what is in scope. Keeps what it wrote, so that a change
// adds the new before it takes the old away and no event falls into a gap between.
import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import { EventKind, type EventName } from "../model/event.ts";
import {
	type ConnectInterest,
	fileChangeKinds,
	type Interest,
	type OpenInterest,
} from "../model/interest.ts";
import * as layout from "../model/layout.ts";
import type { NativeError, Sensor } from "./addon.ts";
import type { CaptureLimits } from "./live.ts";

const pathBytes = layout.pathKey.bytes - layout.pathKey.text;
/** The kernel compares one byte less than the key of an end has. */
const suffixBytes = layout.suffixKey.bytes - layout.suffixKey.text;

/** Key for a path prefix; an exact path carries its closing NUL. Longer ones are cut, which only widens them. */
function prefixKey(path: string, exact: boolean): Buffer {
	const key = Buffer.alloc(layout.pathKey.bytes);
	const text = Buffer.from(exact ? `${path}\0` : path, "latin1").subarray(0, pathBytes);
	key.writeUInt32LE(text.length * 8, layout.pathKey.prefixBits);
	text.copy(key, layout.pathKey.text);
	return key;
}

export function pidKey(pid: number): Buffer {
	const key = Buffer.alloc(4);
	key.writeUInt32LE(pid);
	return key;
}

export function cgroupKey(id: number): Buffer {
	const key = Buffer.alloc(8);
	key.writeBigUInt64LE(BigInt(id));
	return key;
}

/** A path itself and everything below it. */
export function scopePathKeys(path: string): Buffer[] {
	const bare = path.replace(/\/+$/, "");
	return [prefixKey(bare, true), prefixKey(`${bare}/`, false)];
}

/** A rule names /bin/sh or /var/run; the kernel reports where the file really lies. */
function withTarget(path: string): string[] {
	try {
		const slash = path.endsWith("/") && path !== "/" ? "/" : "";
		const target = realpathSync(path) + slash;
		return target === path ? [path] : [path, target];
	} catch {
		return [path]; // does not exist (yet)
	}
}

/** A byte string as the key of a longest-prefix table: where the text lies and how long it may be. */
interface PrefixLayout {
	readonly bytes: number;
	readonly prefixBits: number;
	readonly text: number;
}

function bitsKey(layout: PrefixLayout, text: string): Buffer {
	const key = Buffer.alloc(layout.bytes);
	key.writeUInt32LE(text.length * 8, layout.prefixBits);
	key.write(text, layout.text, "latin1");
	return key;
}

/** Entries of a longest-prefix table: what a prefix asks, its extensions ask too, for only one of them is found. */
function prefixEntries(layout: PrefixLayout, asked: ReadonlyMap<string, number>): Entry[] {
	const limit = layout.bytes - layout.text;
	const cut = new Map<string, number>();
	for (const [text, bits] of asked) add(cut, text.slice(0, limit), bits); // cutting only widens
	return [...cut].map(([text, own]) => {
		let bits = own;
		for (let length = 0; length < text.length; length++) bits |= cut.get(text.slice(0, length)) ?? 0;
		return { key: bitsKey(layout, text), value: bits };
	});
}

function add(table: Map<string, number>, text: string, bits: number): void {
	table.set(text, (table.get(text) ?? 0) | bits);
}

function maskOf(kinds: Iterable<EventName>): bigint {
	let mask = 0n;
	for (const kind of kinds) mask |= 1n << BigInt(EventKind[kind]);
	return mask;
}

interface Entry {
	readonly key: Buffer;
	readonly value: number;
}

/** One kernel table and what we have in it. */
class Table {
	readonly name: string;
	readonly #sensor: Sensor;
	readonly #keyBytes: number;
	readonly #valueBytes: number;
	readonly #entries = new Map<string, Entry>();

	constructor(sensor: Sensor, name: string, keyBytes: number, valueBytes: number) {
		this.#sensor = sensor;
		this.name = name;
		this.#keyBytes = keyBytes;
		this.#valueBytes = valueBytes;
	}

	/** Reads it back and puts right what is not as we wrote it; how many entries that were. */
	mend(): number {
		const found = Buffer.from(this.#sensor.mapEntries(this.name));
		const foreign: Buffer[] = [];
		const missing = new Set(this.#entries.keys());
		for (let at = 0; at < found.length; at += this.#keyBytes + this.#valueBytes) {
			const key = found.subarray(at, at + this.#keyBytes);
			const text = key.toString("latin1");
			const value = found.readUIntLE(at + this.#keyBytes, this.#valueBytes);
			if (this.#entries.get(text)?.value === value) missing.delete(text);
			else if (!this.#entries.has(text)) foreign.push(key);
		}
		for (const key of foreign) this.#sensor.mapDelete(this.name, key);
		for (const text of missing) {
			const entry = this.#entries.get(text);
			if (entry) this.#write(entry);
		}
		return foreign.length + missing.size;
	}

	#write({ key, value }: Entry): void {
		const bytes = Buffer.alloc(this.#valueBytes);
		bytes.writeUIntLE(value, 0, this.#valueBytes);
		this.#sensor.mapUpdate(this.name, key, bytes);
	}

	/**
	 * Adds the new before it takes the old away; true when anything has changed. Throws NativeError when it is full,
	 * with what fitted in it.
	 */
	replace(entries: Iterable<Entry>): boolean {
		const next = new Map<string, Entry>();
		for (const entry of entries) next.set(entry.key.toString("latin1"), entry);
		let changed = false;
		for (const [text, entry] of next) {
			if (this.#entries.get(text)?.value === entry.value) continue;
			changed = true;
			this.#write(entry);
			this.#entries.set(text, entry);
		}
		for (const [text, { key }] of this.#entries) {
			if (next.has(text)) continue;
			changed = true;
			this.#sensor.mapDelete(this.name, key);
			this.#entries.delete(text);
		}
		return changed;
	}
}

export interface Steering {
	readonly interest: Interest;
	readonly sensorPid: number;
	readonly ringBytes: number;
	readonly scopeBits: number;
	/** One event in so many is refused on purpose; 0 for none. */
	readonly simulateLoss: number;
	readonly limits: CaptureLimits;
	/** on_exec_again() is there without the program it makes up for. */
	readonly execAlone: boolean;
}

export interface Steered {
	/** Why every open of a sort is sent, "" when not. */
	readonly unbounded: string;
	/** Kinds that will come. */
	readonly kinds: ReadonlySet<EventName>;
}

const { OPEN_READ, OPEN_WRITE, OPEN_FAILED, OPEN_PATHS, OPEN_CHANGE } = layout.openInterest;
const { CONNECT_IP, CONNECT_PORTS, CONNECT_UNIX } = layout.connectInterest;

interface FileMasks {
	readonly openMask: number;
	readonly changeMask: number;
	readonly unbounded: string;
	/** A table has changed. */
	readonly moved: boolean;
}

function maskOfFiles(asked: OpenInterest, bit: number): number {
	return asked === "all" ? bit : asked === "none" ? 0 : OPEN_PATHS;
}

export class Tables {
	readonly #sensor: Sensor;
	readonly #paths: Table;
	readonly #names: Table;
	readonly #suffixes: Table;
	readonly #ports: Table;
	/** The tables did not take all, so that the settings in force ask for everything. */
	#full = false;
	/** Settings in force, with an empty seed. */
	#settings: Buffer = Buffer.alloc(0);
	/** The same as they are in the kernel. */
	#written: Buffer = Buffer.alloc(0);

	constructor(sensor: Sensor) {
		this.#sensor = sensor;
		this.#paths = new Table(sensor, "interest_paths", layout.pathKey.bytes, 4);
		this.#names = new Table(sensor, "interest_names", layout.nameKey.bytes, 4);
		this.#suffixes = new Table(sensor, "interest_suffixes", layout.suffixKey.bytes, 4);
		this.#ports = new Table(sensor, "interest_ports", 4, 1);
	}

	/**
	 * Puts interest and settings in force; verdicts that were remembered count no more. Where nothing changes, nothing
	 * is written: a call that is under way is not disturbed.
	 */
	apply(steering: Steering): Steered {
		const { interest, limits } = steering;
		let changed = this.#makeRoom();
		let { openMask, changeMask, unbounded, moved } = this.#applyFiles(interest);
		const { mask: connectMask, moved: portsMoved } = this.#applyConnects(interest.connects);
		changed ||= moved || portsMoved;
		if (interest.failedOpens) openMask |= OPEN_FAILED;

		const kinds = new Set(interest.kinds);
		if (openMask === 0) kinds.delete("open");
		if (changeMask === 0) for (const kind of fileChangeKinds) kinds.delete(kind);
		if (connectMask === 0) kinds.delete("connect");
		if (!kinds.has("open")) unbounded = "";
		const at = layout.settings;
		const settings = Buffer.alloc(at.bytes);
		settings.writeBigUInt64LE(BigInt(limits.repeatWindowMs) * 1_000_000n, at.repeatWindow);
		settings.writeBigUInt64LE(BigInt(limits.bulkBurst), at.bulkBurst);
		settings.writeUInt32LE(limits.bulkRate, at.bulkRate);
		settings.writeBigUInt64LE(maskOf(kinds), at.eventMask);
		settings.writeBigUInt64LE(limits.wakeOnExec ? maskOf(["exec"]) : 0n, at.wakeMask);
		settings.writeUInt32LE(openMask, at.openMask);
		settings.writeUInt32LE(connectMask, at.connectMask);
		settings.writeUInt32LE(limits.environmentBytes, at.environment);
		settings.writeUInt32LE(changeMask, at.changeMask);
		settings.writeUInt32LE(steering.scopeBits, at.scope);
		settings.writeUInt32LE(steering.sensorPid, at.sensorPid);
		settings.writeUInt32LE((steering.ringBytes / 4) * 3, at.bulkLimit);
		settings.writeUInt32LE(steering.ringBytes / 4, at.wakeLimit);
		settings.writeUInt32LE(steering.simulateLoss, at.simulateLoss);
		settings.writeUInt32LE(Number(steering.execAlone), at.execAlone);
		if (!changed && this.#settings.equals(settings)) return { unbounded, kinds };
		this.#settings = settings;
		this.#writeSettings();
		return { unbounded, kinds };
	}

	/** With another seed, so that no verdict that was remembered counts any more. */
	#writeSettings(): void {
		this.#written = Buffer.from(this.#settings);
		randomBytes(8).copy(this.#written, layout.settings.seed);
		this.#sensor.mapUpdate("settings_map", Buffer.alloc(4), this.#written);
	}

	/** The tables that can be looked at by themselves: reading a large one takes some ms. */
	readonly parts: readonly string[] = [
		"settings_map",
		"interest_paths",
		"interest_names",
		"interest_suffixes",
		"interest_ports",
	];

	/** Reads one back and puts right what somebody else has changed; "" or what that was. */
	mend(part: string): string {
		if (this.#written.length === 0) return "";
		if (part === "settings_map") {
			const found = Buffer.from(this.#sensor.mapEntries(part)).subarray(4);
			if (found.equals(this.#written)) return "";
			this.#writeSettings();
			return "the settings";
		}
		const table = [this.#paths, this.#names, this.#suffixes, this.#ports].find(({ name }) => name === part);
		const count = this.#full ? 0 : (table?.mend() ?? 0);
		if (count === 0) return "";
		this.#writeSettings();
		return `${count} of its entries`;
	}

	/** While everything is asked for anyway, the tables may be emptied; else what was in them would keep the new out. */
	#makeRoom(): boolean {
		if (!this.#full) return false;
		this.#full = false;
		for (const table of [this.#paths, this.#names, this.#suffixes, this.#ports]) table.replace([]);
		return true;
	}

	#applyFiles({ readOpens, writeOpens, fileChanges }: Interest): FileMasks {
		const opens = [
			[readOpens, OPEN_READ, "reading"],
			[writeOpens, OPEN_WRITE, "writing"],
		] as const;
		let openMask = 0;
		for (const [asked, bit] of opens) openMask |= maskOfFiles(asked, bit);
		let changeMask = maskOfFiles(fileChanges, OPEN_CHANGE);
		const whole = opens.filter(([asked]) => asked === "all").map(([, , doing]) => doing);
		let unbounded =
			whole.length === 0 ? "" : `a rule or an output asks for every file opened for ${whole.join(" and ")}`;
		let moved = false;
		if (!((openMask | changeMask) & OPEN_PATHS)) return { openMask, changeMask, unbounded, moved };
		try {
			moved = this.#applyPaths([...opens, [fileChanges, OPEN_CHANGE]]);
		} catch (error) {
			this.#full = true;
			unbounded = `the rules name more files than the kernel's tables take (${(error as NativeError).message})`;
			for (const [asked, bit] of opens) if (asked !== "none") openMask |= bit;
			if (changeMask !== 0) changeMask |= OPEN_CHANGE;
		}
		return { openMask, changeMask, unbounded, moved };
	}

	/** True when a table has changed. */
	#applyPaths(sorts: readonly (readonly [OpenInterest, number, ...unknown[]])[]): boolean {
		const paths = new Map<string, number>();
		const names = new Map<string, number>();
		const suffixes = new Map<string, number>();
		const end = (text: string, bit: number) =>
			add(suffixes, [...text.slice(1 - suffixBytes)].reverse().join(""), bit);
		for (const [asked, bit] of sorts) {
			if (typeof asked === "string") continue;
			for (const path of asked.exact.flatMap(withTarget)) add(paths, `${path}\0`, bit);
			for (const path of asked.prefixes.flatMap(withTarget)) add(paths, path, bit);
			// The end of a whole path with a slash in it is at least a whole name.
			const whole = asked.suffixes.filter((text) => text.includes("/"));
			for (const name of [...asked.names, ...whole.map((text) => text.slice(text.lastIndexOf("/") + 1))]) {
				if (name.length < layout.nameKey.bytes) add(names, name, bit);
				else end(name, bit);
			}
			for (const text of asked.suffixes) if (!text.includes("/")) end(text, bit);
		}
		const named = [...names].map(([name, value]) => {
			const key = Buffer.alloc(layout.nameKey.bytes);
			key.write(name, "latin1");
			return { key, value };
		});
		const moved = [
			this.#paths.replace(prefixEntries(layout.pathKey, paths)),
			this.#suffixes.replace(prefixEntries(layout.suffixKey, suffixes)),
			this.#names.replace(named),
		];
		return moved.includes(true);
	}

	#applyConnects({ ip, unix }: ConnectInterest): { mask: number; moved: boolean } {
		const mask = unix ? CONNECT_UNIX : 0;
		if (ip === "all") return { mask: mask | CONNECT_IP, moved: false };
		if (ip === "none" || ip.length === 0) return { mask, moved: false };
		try {
			const moved = this.#ports.replace(ip.map((port) => ({ key: pidKey(port), value: 1 })));
			return { mask: mask | CONNECT_PORTS, moved };
		} catch {
			this.#full = true; // more ports than the table takes
			return { mask: mask | CONNECT_IP, moved: true };
		}
	}
}
