// Valid records to begin with: of every kind, and the samples of our signatures with the executions before them, so
// that rules have something to find.
import { type EventName, eventName, eventNames, type Observation, Text } from "../../agent/model/event.ts";
import * as layout from "../../agent/model/layout.ts";
import type { ContainerFacts, Process, StandardStream } from "../../agent/model/process.ts";
import { recordOf, sizesOf, structs, type Value } from "../unit/decode/bytes.ts";
import type { Random } from "../unit/detect/rig.ts";

/** Records that belong together, in order. */
export type Story = readonly Buffer[];

const second = 1_000_000_000;

/** Numbers at which something may tip over. */
export const extremes: readonly bigint[] = [
	...[0n, 1n, 0x7fn, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn],
	...[2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n],
];

/** What decoders, terminals and patterns stumble over; latin1. */
export const nasty: readonly string[] = [
	...["\0", "\n", "\r\n", "\x1b[2J", "\x1b]0;x\x07", "\x7f", "\x9b31m", "\\", '"', "%", "$(x)"],
	...["\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x80\xae", "\xe2\x80", "\xf0\x9f\x98\x80"],
	...["\xef\xbb\xbf", "\xcc\x81", "../", "//", "/proc/self/fd/3", " (deleted)", "a", "-c ", "=", "*"],
];

/** One text, or one over and over until it is long: patterns must not take forever on it. */
export function anyText(random: Random, most = 400): string {
	const pieces = random.several(1, 6, () =>
		random.chance(0.3) ? random.pick(nasty).repeat(random.below(most)) : `/${random.word().toString(36)}`,
	);
	return pieces.join("").slice(0, most);
}

function anyNumber(random: Random, size: number): bigint {
	const value = random.chance(0.3)
		? random.pick(extremes)
		: BigInt(random.below(random.pick([4, 256, 70_000, 2 ** 32])));
	return BigInt.asUintN(8 * size, value);
}

/** A record of a kind with something in every member. */
export function anyRecord(random: Random, kind: EventName, mostText = 400): Buffer {
	const values: Record<string, Value> = {};
	for (const [name, , size] of sizesOf(structs[kind])) {
		if (name === "header") continue;
		if (name in Text) values[name] = anyText(random, mostText);
		else if ([2, 4, 8].includes(size)) values[name] = anyNumber(random, size);
		else values[name] = Buffer.from(Array.from({ length: size }, () => random.below(256)));
	}
	const time = BigInt(random.below(1e9)) * 1_000_000n;
	return recordOf(kind, {
		...{ time, start: BigInt(1 + random.below(2000)), cgroupId: 1 + random.below(200) },
		...{ pid: 1 + random.below(2000), tid: 1 + random.below(2000), flags: random.word() & random.word() },
		syscall: random.pick([0, 2, 59, 257, 0xffff]),
		...values,
	});
}

function startOf(pid: number): bigint {
	return BigInt(100 * second + pid);
}

function headerOf(time: number, pid: number, cgroupId: number, flags: number): Record<string, Value> {
	return { time: BigInt(time), start: startOf(pid), cgroupId, pid, tid: pid, flags };
}

function streamOf({ type, inode, family, remotePort, localPort, remoteAddress }: StandardStream): Buffer {
	const { standardStream: at } = layout;
	const stream = Buffer.alloc(at.bytes);
	stream.writeBigUInt64LE(BigInt(inode), at.inode);
	stream.writeUInt16LE(type, at.type);
	stream.writeUInt16LE(family, at.family);
	stream.writeUInt16LE(remotePort, at.remotePort);
	stream.writeUInt16LE(localPort, at.localPort);
	stream.set(remoteAddress ?? [], at.remoteAddress);
	return stream;
}

function execOf(process: Process, time: number, pid: number, cgroupId: number, flags: number): Buffer {
	const { uid, gid, euid, egid, loginUid, sessionId, sessionLeader, processGroup, tty } = process;
	return recordOf("exec", {
		...headerOf(time, pid, cgroupId, flags),
		...{ parentPid: pid - 1, parentStart: startOf(pid - 1), namespacePid: pid },
		...{
			uid,
			gid,
			euid,
			egid,
			loginUid,
			sessionId,
			session: sessionLeader,
			processGroup,
			tty,
			inode: 7,
			capabilities: 0x1ff_ffff_ffffn,
		},
		...{ comm: process.comm, path: process.exe, raw: process.rawPath, cwd: process.cwd },
		args: process.args.map((argument) => `${argument}\0`).join(""),
		stream: Buffer.concat(process.streams.map(streamOf)),
	});
}

/** The sample's own record, with a header as the kernel would have written it. */
function actOf({ event }: Observation, pid: number, cgroupId: number): Buffer | undefined {
	const name = eventName(event.kind);
	if (name === undefined || name === "exec") return undefined;
	const record = Buffer.from(event.bytes);
	const header = recordOf(name, {
		...headerOf(event.time, pid, cgroupId, event.flags),
		syscall: event.syscall,
	});
	header.copy(record, 0, 0, layout.eventHeader.bytes);
	for (const [text, field] of Object.entries(Text)) {
		const at = structs[name][text];
		if (at === undefined) continue;
		record.writeUInt16LE(event.textStart(field), at + layout.text.offset);
		record.writeUInt16LE(event.textSize(field), at + layout.text.size);
	}
	return record;
}

/** The records after which the engine should see what the sample shows. */
export function storyOf(observation: Observation, firstPid: number, cgroupId: number): Story {
	const line: Process[] = [];
	for (let each = observation.process; each; each = each.parent) line.unshift(each);
	const records = line.map((process, index) => {
		const flags = index === line.length - 1 ? observation.event.flags : 0;
		return execOf(process, observation.event.time, firstPid + index, cgroupId, flags);
	});
	const act = actOf(observation, firstPid + line.length - 1, cgroupId);
	return act ? [...records, act] : records;
}

/** The container a sample lives in, as its runtime would tell of it. */
export function containerOf(observation: Observation | undefined): ContainerFacts | undefined {
	const container = observation?.process?.cgroup?.container;
	if (!container) return undefined;
	const { id, runtime, name, image, labels, privileged = false } = container;
	return { id, runtime, name, image, labels, privileged };
}

/** Short and long ones of every kind. */
export function everyKind(random: Random): Story[] {
	return eventNames.flatMap((kind) => [
		...random.several(12, 12, () => [anyRecord(random, kind)]),
		[anyRecord(random, kind, 8191)],
	]);
}
