// What a rule of refusal is in the kernel's tables (bpf/refusal.h): its record, its entries, where it applies and
// which programs carry it out. Pure. Errors say what the tables do not take and what to write instead.
import { contains, type Network } from "../model/address.ts";
import * as layout from "../model/layout-refusal.ts";
import type { PeerMatch, ProgramMatch, RefusalRule } from "../model/refusal.ts";

export const Kind = layout.refusalKind;
export const Flag = layout.refusalFlag;
const AF_INET = 2;
const AF_INET6 = 10;

/** Rules that the kernel's table holds (REFUSAL_RULES), and of them those that may name one cgroup. */
export const mostRules = 512;
export const mostInScope = (layout.refusalScope.bytes - layout.refusalScope.rules) / 2;
const mostRanges = (layout.refusalPorts.bytes - layout.refusalPorts.ranges) / 4;
const longestPath = layout.refusalPathKey.bytes - layout.refusalPathKey.text;
/** A script's longer name is not told from its beginning. */
const longestName = layout.refusalNameKey.bytes - layout.refusalNameKey.text - 2;

/** Tables with entries of single rules, and where in their keys the rule's number is. */
export const ruleTables = {
	refusal_paths: layout.refusalPathKey,
	refusal_names: layout.refusalNameKey,
	refusal_inodes: layout.refusalInodeKey,
	refusal_networks: layout.refusalNetworkKey,
} as const;
export type RuleTable = keyof typeof ruleTables;

export interface Entry {
	readonly table: RuleTable;
	readonly key: Buffer;
	readonly value: Buffer;
}

export interface Compiled {
	readonly kind: number;
	readonly flags: number;
	/** Ids of cgroups, 0 for the host. */
	readonly cgroups: readonly number[];
	/** As they are for a rule with this number. */
	entries(slot: number): Entry[];
}

/** Throws an Error with a remedy when the kernel's tables cannot hold the rule. */
export function compileRule(rule: RefusalRule): Compiled {
	const { what, where } = rule;
	const cgroups = where === "host" ? [0] : [...new Set(where)];
	if (where !== "host" && cgroups.some((id) => !Number.isSafeInteger(id) || id <= 0))
		throw new Error(`${rule.id}: a cgroup's id is a number above 0; give the ids that events carry`);
	if (Buffer.byteLength(rule.id, "utf8") >= layout.refusalRule.bytes - layout.refusalRule.id)
		throw new Error(`the name of ${rule.id.slice(0, 80)}… is too long; shorten the names of scope and list`);
	const observe = rule.mode === "observe" ? Flag.REFUSAL_OBSERVE : 0;
	if (what.kind === "isolate") {
		if (where === "host") throw new Error(`${rule.id}: the whole host is never isolated; name containers`);
		return { kind: Kind.REFUSAL_ISOLATE, flags: observe, cgroups, entries: () => [] };
	}
	const allowOnly = "allowOnly" in what ? Flag.REFUSAL_ALLOW_ONLY : 0;
	if (what.kind === "egress") {
		const peers = "allowOnly" in what ? what.allowOnly : what.deny;
		const entries = (slot: number) => networkEntries(rule.id, peers, slot);
		entries(0);
		return { kind: Kind.REFUSAL_EGRESS, flags: observe | allowOnly, cgroups, entries };
	}
	const programs = "allowOnly" in what ? what.allowOnly : what.deny;
	const entries = (slot: number) => programs.flatMap((program) => programEntry(rule.id, program, slot));
	entries(0);
	const flags = programs.reduce((sum, { by }) => sum | flagsOf[by], observe | allowOnly);
	return { kind: Kind.REFUSAL_EXEC, flags, cgroups, entries };
}

const flagsOf: Record<ProgramMatch["by"], number> = {
	path: Flag.REFUSAL_PATHS,
	directory: Flag.REFUSAL_PATHS,
	name: Flag.REFUSAL_NAMES,
	inode: Flag.REFUSAL_INODES,
	"not-from-image": Flag.REFUSAL_NOT_FROM_IMAGE,
	any: Flag.REFUSAL_ANY,
};

const present = Buffer.from([1]);

function programEntry(id: string, program: ProgramMatch, slot: number): Entry[] {
	switch (program.by) {
		case "path":
		case "directory": {
			const text = program.by === "path" ? `${program.path}\0` : program.path;
			if (!text.startsWith("/") || (program.by === "directory" && !text.endsWith("/")))
				throw new Error(
					`${id}: "${program.path}" is no absolute path${program.by === "path" ? "" : " with / at its end"}`,
				);
			if (text.length > longestPath)
				throw new Error(
					`${id}: "${program.path}" is longer than the ${longestPath - 1} bytes that the kernel compares; name the program by its inode`,
				);
			const at = layout.refusalPathKey;
			const key = Buffer.alloc(at.bytes);
			key.writeUInt32LE((at.text - at.rule + text.length) * 8, at.prefixBits);
			key.writeUInt32LE(slot, at.rule);
			key.write(text, at.text, "latin1");
			return [{ table: "refusal_paths", key, value: present }];
		}
		case "name": {
			const { name } = program;
			if (name === "" || name.includes("/") || name.length > longestName)
				throw new Error(
					`${id}: "${name}" is no name of a program of at most ${longestName} bytes; give a path`,
				);
			const at = layout.refusalNameKey;
			const key = Buffer.alloc(at.bytes);
			key.writeUInt32LE(slot, at.rule);
			key.write(name, at.text, "latin1");
			return [{ table: "refusal_names", key, value: present }];
		}
		case "inode": {
			const at = layout.refusalInodeKey;
			const key = Buffer.alloc(at.bytes);
			key.writeBigUInt64LE(program.inode, at.inode);
			key.writeUInt32LE(program.device, at.device);
			key.writeUInt32LE(slot, at.rule);
			return [{ table: "refusal_inodes", key, value: present }];
		}
		default:
			return [];
	}
}

type Range = readonly [low: number, high: number];

/** One entry a network. Only the longest that fits is found, so it has what the wider ones say as well. */
function networkEntries(id: string, peers: readonly PeerMatch[], slot: number): Entry[] {
	const entries = new Map<string, Entry>();
	for (const { network } of peers) {
		const key = networkKey(network, slot);
		const wider = peers.filter((peer) => includes(peer.network, network));
		const ranges = mergeRanges(wider.map(({ lowPort, highPort }): Range => [lowPort, highPort]));
		if (ranges.length > mostRanges)
			throw new Error(
				`${id}: more than ${mostRanges} ranges of ports for one network; put neighbours together`,
			);
		const at = layout.refusalPorts;
		const value = Buffer.alloc(at.bytes);
		value.writeUInt32LE(ranges.length, at.count);
		for (const [index, port] of ranges.flat().entries()) value.writeUInt16LE(port, at.ranges + index * 2);
		entries.set(key.toString("latin1"), { table: "refusal_networks", key, value });
	}
	return [...entries.values()];
}

function includes(outer: Network | undefined, inner: Network | undefined): boolean {
	if (outer === undefined) return true;
	return inner !== undefined && contains(outer, inner);
}

function networkKey(network: Network | undefined, slot: number): Buffer {
	const at = layout.refusalNetworkKey;
	const key = Buffer.alloc(at.bytes);
	key.writeUInt32LE(slot, at.rule);
	key.writeUInt32LE((at.family - at.rule) * 8, at.prefixBits);
	if (network === undefined) return key;
	key.writeUInt32LE((at.address - at.rule) * 8 + network.prefix, at.prefixBits);
	key.writeUInt32LE(network.family === 4 ? AF_INET : AF_INET6, at.family);
	for (const [index, word] of network.words.entries()) key.writeUInt32BE(word, at.address + index * 4);
	return key;
}

/** In order, without overlaps. */
function mergeRanges(ranges: readonly Range[]): Range[] {
	const merged: Range[] = [];
	for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
		const last = merged.at(-1);
		if (last !== undefined && low <= last[1] + 1)
			merged[merged.length - 1] = [last[0], Math.max(last[1], high)];
		else merged.push([low, high]);
	}
	return merged;
}

export interface RuleRecord {
	/** ns since boot. */
	readonly deadline: bigint;
	/** 0 for none. */
	readonly generation: number;
	readonly kind: number;
	readonly flags: number;
	readonly owner: string;
	readonly id: string;
}

export function encodeRule(rule: RuleRecord): Buffer {
	const at = layout.refusalRule;
	const bytes = Buffer.alloc(at.bytes);
	bytes.writeBigUInt64LE(rule.deadline, at.deadline);
	bytes.writeUInt32LE(rule.generation, at.generation);
	bytes.writeUInt32LE(rule.kind, at.kind);
	bytes.writeUInt32LE(rule.flags, at.flags);
	bytes.write(rule.owner, at.owner, at.id - at.owner - 1);
	bytes.write(rule.id, at.id);
	return bytes;
}

export function decodeRule(bytes: Uint8Array): RuleRecord {
	const at = layout.refusalRule;
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const text = (from: number, to: number) => buffer.subarray(from, to).toString().replace(/\0.*$/s, "");
	return {
		deadline: buffer.readBigUInt64LE(at.deadline),
		generation: buffer.readUInt32LE(at.generation),
		kind: buffer.readUInt32LE(at.kind),
		flags: buffer.readUInt32LE(at.flags),
		owner: text(at.owner, at.id),
		id: text(at.id, at.bytes),
	};
}

export const noRule = Buffer.alloc(layout.refusalRule.bytes);

export function slotKey(slot: number): Buffer {
	const key = Buffer.alloc(4);
	key.writeUInt32LE(slot);
	return key;
}

export function scopeKey(cgroup: number, kind: number): Buffer {
	const at = layout.refusalScopeKey;
	const key = Buffer.alloc(at.bytes);
	key.writeBigUInt64LE(BigInt(cgroup), at.cgroup);
	key.writeUInt32LE(kind, at.kind);
	return key;
}

export function decodeScopeKey(key: Buffer): { cgroup: number; kind: number } {
	const at = layout.refusalScopeKey;
	return { cgroup: Number(key.readBigUInt64LE(at.cgroup)), kind: key.readUInt32LE(at.kind) };
}

export function encodeScope(slots: readonly number[]): Buffer {
	const at = layout.refusalScope;
	const bytes = Buffer.alloc(at.bytes);
	bytes.writeUInt32LE(slots.length, at.count);
	for (const [index, slot] of slots.entries()) bytes.writeUInt16LE(slot, at.rules + index * 2);
	return bytes;
}

export function decodeScope(value: Uint8Array | undefined): number[] {
	if (value === undefined) return [];
	const at = layout.refusalScope;
	const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
	return Array.from({ length: bytes.readUInt32LE(at.count) }, (_, index) =>
		bytes.readUInt16LE(at.rules + index * 2),
	);
}

/** Keys of a table as mapKeys() gives them. */
export function splitKeys(all: Uint8Array, bytes: number): Buffer[] {
	const buffer = Buffer.from(all.buffer, all.byteOffset, all.byteLength);
	return Array.from({ length: buffer.length / bytes }, (_, index) =>
		buffer.subarray(index * bytes, (index + 1) * bytes),
	);
}
