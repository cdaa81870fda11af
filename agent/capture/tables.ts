// Writes the kernel's small tables: what is of interest, what is in scope. Keeps what it wrote, so that a change
// adds the new before it takes the old away and no event falls into a gap between.
import { realpathSync } from "node:fs";
import { EventKind } from "../model/event.ts";
import type { Interest } from "../model/interest.ts";
import * as layout from "../model/layout.ts";
import type { NativeError, Sensor } from "./addon.ts";

const one = new Uint8Array([1]);
const pathBytes = layout.pathKey.bytes - layout.pathKey.text;

/** Key for a path prefix; an exact path carries its closing NUL. Longer ones are cut, which only widens them. */
function prefixKey(path: string, exact: boolean): Buffer {
	const key = Buffer.alloc(layout.pathKey.bytes);
	const text = Buffer.from(exact ? `${path}\0` : path, "latin1").subarray(0, pathBytes);
	key.writeUInt32LE(text.length * 8, layout.pathKey.prefixBits);
	text.copy(key, layout.pathKey.text);
	return key;
}

/** undefined when the name is longer than the table takes. */
function nameKey(name: string): Buffer | undefined {
	const text = Buffer.from(name, "latin1");
	if (text.length >= layout.nameKey.bytes) return undefined;
	const key = Buffer.alloc(layout.nameKey.bytes);
	text.copy(key);
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

/** One kernel table and the keys we have in it. */
class Table {
	readonly #sensor: Sensor;
	readonly #name: string;
	#keys = new Map<string, Buffer>();

	constructor(sensor: Sensor, name: string) {
		this.#sensor = sensor;
		this.#name = name;
	}

	replace(keys: Iterable<Buffer>): void {
		const next = new Map<string, Buffer>();
		for (const key of keys) next.set(key.toString("latin1"), key);
		for (const [text, key] of next) {
			if (this.#keys.has(text)) continue;
			this.#sensor.mapUpdate(this.#name, key, one);
			this.#keys.set(text, key); // at once: the table may be full before the last one
		}
		for (const [text, key] of this.#keys) if (!next.has(text)) this.#sensor.mapDelete(this.#name, key);
		this.#keys = next;
	}
}

export interface Steering {
	readonly interest: Interest;
	readonly sensorPid: number;
	readonly ringBytes: number;
	readonly scopeBits: number;
	/** One event in so many is refused on purpose; 0 for none. */
	readonly simulateLoss: number;
}

export class Tables {
	readonly #sensor: Sensor;
	readonly #paths: Table;
	readonly #names: Table;

	constructor(sensor: Sensor) {
		this.#sensor = sensor;
		this.#paths = new Table(sensor, "interest_paths");
		this.#names = new Table(sensor, "interest_names");
	}

	/** Puts interest and settings in force. Returns why every read-only open is sent, "" when not. */
	apply(steering: Steering): string {
		const { interest } = steering;
		let openMask = 0;
		let unbounded = "";
		if (interest.writeOpens) openMask |= layout.openInterest.OPEN_WRITE;
		if (interest.failedOpens) openMask |= layout.openInterest.OPEN_FAILED;
		if (interest.readOpens === "all") {
			unbounded = "a rule or an output asks for every open";
		} else if (interest.readOpens !== "none") {
			const { exact, prefixes, names, suffixes } = interest.readOpens;
			const keys = new Map<string, Buffer | undefined>();
			for (const name of names) keys.set(name, nameKey(name));
			for (const suffix of suffixes) {
				const slash = suffix.lastIndexOf("/");
				if (slash < 0) unbounded = `a rule asks for any file that ends in ${JSON.stringify(suffix)}`;
				else keys.set(suffix.slice(slash + 1), nameKey(suffix.slice(slash + 1)));
			}
			for (const [name, key] of keys)
				if (!key) unbounded = `the file name ${name} is too long for the kernel's table`;
			if (unbounded === "") {
				try {
					this.#names.replace([...keys.values()].filter((key) => key !== undefined));
					this.#paths.replace([
						...exact.flatMap(withTarget).map((path) => prefixKey(path, true)),
						...prefixes.flatMap(withTarget).map((path) => prefixKey(path, false)),
					]);
					openMask |= layout.openInterest.OPEN_READ_PATHS;
				} catch (error) {
					unbounded = `the rules name more files than the kernel's table takes (${(error as NativeError).message})`;
				}
			}
		}
		if (unbounded !== "") openMask |= layout.openInterest.OPEN_READ;

		let eventMask = 0;
		for (const kind of interest.kinds) eventMask |= 1 << EventKind[kind];
		if (openMask === 0) eventMask &= ~(1 << EventKind.open);
		const settings = Buffer.alloc(layout.settings.bytes);
		settings.writeUInt32LE(eventMask >>> 0, layout.settings.eventMask);
		settings.writeUInt32LE(openMask, layout.settings.openMask);
		settings.writeUInt32LE(steering.scopeBits, layout.settings.scope);
		settings.writeUInt32LE(steering.sensorPid, layout.settings.sensorPid);
		settings.writeUInt32LE((steering.ringBytes / 4) * 3, layout.settings.bulkLimit);
		settings.writeUInt32LE(steering.ringBytes / 4, layout.settings.wakeLimit);
		settings.writeUInt32LE(steering.simulateLoss, layout.settings.simulateLoss);
		this.#sensor.mapUpdate("settings_map", Buffer.alloc(4), settings);
		return unbounded;
	}
}
