// Changes in one record, in place. What is changed is picked so that the rest of it stays believable: bytes that are
// noise throughout are refused at the door and try nothing behind it.
import { EventKind, type EventName, eventName, eventNames, Text } from "../../agent/model/event.ts";
import * as layout from "../../agent/model/layout.ts";
import { sizesOf, structs } from "../unit/decode/bytes.ts";
import type { Random } from "../unit/detect/rig.ts";
import { anyText, extremes } from "./records.ts";

interface Member {
	readonly at: number;
	readonly size: number;
}

const header = sizesOf(layout.eventHeader).map(([, at, size]): Member => ({ at, size }));
const numbers = new Map<EventName, Member[]>();
const texts = new Map<EventName, Member[]>();
for (const kind of eventNames) {
	const members = sizesOf(structs[kind]).filter(([name]) => name !== "header");
	const member = ([, at, size]: [string, number, number]): Member => ({ at, size });
	numbers.set(kind, [...header, ...members.filter(([name]) => !(name in Text)).map(member)]);
	texts.set(kind, members.filter(([name]) => name in Text).map(member));
}

function flip(random: Random, record: Buffer): void {
	for (let times = 1 + random.below(8); times > 0; times--) {
		const at = random.below(record.length);
		record[at] = random.chance(0.5) ? random.below(256) : (record[at] as number) ^ (1 << random.below(8));
	}
}

function placeText(random: Random, record: Buffer, kind: EventName): void {
	const { at } = random.pick(texts.get(kind) ?? []);
	const any = () =>
		random.pick([0, 1, record.length - 1, record.length, record.length + 1, 0x7fff, 0xffff]) & 0xffff;
	const value = () => (random.chance(0.5) ? any() : random.below(random.pick([64, record.length, 0x10000])));
	if (random.chance(0.7)) record.writeUInt16LE(value(), at + layout.text.offset);
	if (random.chance(0.7)) record.writeUInt16LE(value(), at + layout.text.size);
}

function toExtreme(random: Random, record: Buffer, kind: EventName): void {
	const { at, size } = random.pick(numbers.get(kind) ?? header);
	const value = random.pick(extremes);
	if (size >= 8) record.writeBigUInt64LE(value, at);
	else if (size === 4) record.writeUInt32LE(Number(BigInt.asUintN(32, value)), at);
	else record.writeUInt16LE(Number(BigInt.asUintN(16, value)), at);
}

/** Over the texts, which lie behind the struct. */
function overwriteText(random: Random, record: Buffer, kind: EventName): void {
	const begin = structs[kind].bytes;
	const at = begin + random.below(record.length - begin);
	record.write(anyText(random, 1 + random.below(record.length - at)), at, "latin1");
}

function swapKind(random: Random, record: Buffer): void {
	const kind = random.chance(0.9) ? EventKind[random.pick(eventNames)] : random.below(0x10000);
	record.writeUInt16LE(kind, layout.eventHeader.kind);
}

/** Changes `record` and returns the size to hand it over with, which may be a lie, too. */
export function mutate(random: Random, record: Buffer): number {
	let size = record.length;
	for (let times = 1 + random.below(3); times > 0; times--) {
		const kind = eventName(record.readUInt16LE(layout.eventHeader.kind)) ?? "exec";
		// Its members may lie behind the end by now.
		const able = structs[kind].bytes <= record.length;
		const what = random.below(able ? 100 : 25);
		if (what < 15) flip(random, record);
		else if (what < 20) swapKind(random, record);
		else if (what < 25) size = random.below(random.chance(0.8) ? record.length + 1 : 0x10000);
		else if (what < 50) toExtreme(random, record, kind);
		else if (what < 75 && texts.get(kind)?.length) placeText(random, record, kind);
		else if (structs[kind].bytes < record.length) overwriteText(random, record, kind);
		else flip(random, record);
	}
	return size;
}
