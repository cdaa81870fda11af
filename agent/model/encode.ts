// Records as the kernel would write them, byte by byte from the generated layout: for events that are made up.
import { EventKind, type EventName } from "./event.ts";
import * as layout from "./layout.ts";
import { type Struct, structs } from "./structs.ts";

const header: Struct = layout.eventHeader;

/** Every member's size, in the order of the struct: up to the next member or the end. */
export function sizesOf(struct: Struct): [name: string, offset: number, size: number][] {
	const members = Object.entries(struct).filter(([name]) => name !== "bytes");
	return members.map(([name, offset], index) => [
		name,
		offset,
		(members[index + 1]?.[1] ?? struct.bytes) - offset,
	]);
}

/** Number (u16, u32, u64 by the member's size), bytes, or for a text its latin1. */
export type Value = number | bigint | Buffer | string;

/** A record of that kind; members that are not named are 0. Its size is that of its content, as in the ring. */
export function recordOf(kind: EventName, values: Readonly<Record<string, Value>>): Buffer {
	const struct = structs[kind];
	const record = Buffer.alloc(struct.bytes);
	const tails: Buffer[] = [];
	let end = struct.bytes;
	const put = (offset: number, size: number, value: Value): void => {
		if (typeof value === "string") {
			const text = Buffer.from(value, "latin1");
			record.writeUInt16LE(end, offset + layout.text.offset);
			record.writeUInt16LE(text.length, offset + layout.text.size);
			tails.push(text);
			end += text.length;
		} else if (typeof value === "object") value.copy(record, offset);
		else if (size === 2) record.writeUInt16LE(Number(value), offset);
		else if (size === 8) record.writeBigUInt64LE(BigInt(value), offset);
		else record.writeUInt32LE(Number(BigInt.asUintN(32, BigInt(value))), offset);
	};
	const all = { kind: EventKind[kind], ...values };
	const members = [...sizesOf(header), ...sizesOf(struct)];
	for (const [name, value] of Object.entries(all)) {
		const member = members.find(([known]) => known === name);
		if (!member) throw new Error(`${kind} has no member ${name}`);
		put(member[1], member[2], value);
	}
	return Buffer.concat([record, ...tails]);
}

/** Memory with records in it at multiples of 8, as the ring has them; returns where each lies. */
export function memoryOf(records: readonly Buffer[]): {
	memory: ArrayBuffer;
	places: [offset: number, size: number][];
} {
	let at = 0;
	const places = records.map((record): [number, number] => {
		const place: [number, number] = [at, record.length];
		at = (at + record.length + 7) & ~7;
		return place;
	});
	const memory = new ArrayBuffer(Math.max(8, at));
	const bytes = Buffer.from(memory);
	for (const [index, record] of records.entries()) record.copy(bytes, places[index]?.[0]);
	return { memory, places };
}
