// The record that a console cannot take, and consoles that only seem to have one.
import { expect, test } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { relayTo, until } from "../console/rig.ts";
import { obliging, puppet, rig, sequencesOf } from "./stream-rig.ts";

const range = (from: number, to: number): number[] =>
	Array.from({ length: to - from + 1 }, (_, index) => from + index);

async function picky(refuses: (sequence: number) => boolean) {
	const stored: number[] = [];
	let streams = 0;
	const server = await puppet((message, stream) => {
		if (message.hello) streams++;
		const sequences = sequencesOf(message.batch);
		if (sequences.some(refuses)) return stream.close("I cannot take this");
		for (const sequence of sequences) if (sequence > (stored.at(-1) ?? 0)) stored.push(sequence);
		obliging(message, stream);
	});
	return { server, stored, streams: () => streams };
}

test("one record that a console cannot take is found, set aside and told; all others arrive in order", async () => {
	for (const poison of [1, 333, 500, 501]) {
		const console = await picky((sequence) => sequence === poison);
		const one = rig([console.server.address]);
		for (const sequence of range(1, 1200)) one.push(sequence);
		await until(() => one.source.held === 0);
		expect(one.quarantined).toEqual([poison]);
		expect(console.stored).toEqual(range(1, 1200).filter((sequence) => sequence !== poison));
		expect(one.logs.filter((text) => text.includes(`record ${poison} of boot boot-1`))).toHaveLength(1);
		expect(console.streams()).toBeLessThan(25);
	}
});

test("several such records are each found", async () => {
	const bad = new Set([3, 4, 700, 1199]);
	const console = await picky((sequence) => bad.has(sequence));
	const one = rig([console.server.address]);
	for (const sequence of range(1, 1200)) one.push(sequence);
	await until(() => one.source.held === 0);
	expect(one.quarantined).toEqual([...bad]);
	expect(console.stored).toHaveLength(1196);
});

test("the last record there is, refused, is kept and tried until another one proves that it is the record", async () => {
	const console = await picky((sequence) => sequence === 1);
	const one = rig([console.server.address]);
	one.push(1);
	await until(() => console.streams() >= 8);
	expect(one.quarantined).toEqual([]);
	one.push(2);
	await until(() => one.source.held === 0);
	expect(one.quarantined).toEqual([1]);
	expect(console.stored).toEqual([2]);
});

test("a console that takes nothing at all, as one with a full disk, costs no record when it recovers", async () => {
	let full = true;
	let pause: NodeJS.Timeout | undefined;
	const console = await picky(() => {
		clearTimeout(pause);
		// It recovers while the sensor waits, as nearly always: tries take far less time than the pauses between them.
		pause = setTimeout(() => {
			if (console.streams() >= 40) full = false;
		}, 40);
		return full;
	});
	const one = rig([console.server.address], { random: () => 0.99, times: { firstRetry: 80, lastRetry: 80 } });
	for (const sequence of range(1, 600)) one.push(sequence);
	await until(() => one.source.held === 0);
	clearTimeout(pause);
	expect(console.streams()).toBeGreaterThan(40);
	expect(one.quarantined).toEqual([]);
	expect(console.stored).toEqual(range(1, 600));
});

test("a console that crashes upon a record, without any status, is found to do so", async () => {
	const stored: number[] = [];
	const server = await puppet((message, stream) => {
		const sequences = sequencesOf(message.batch);
		if (sequences.includes(2)) return relay.cut();
		stored.push(...sequences);
		obliging(message, stream);
	});
	const relay = await relayTo(server.address);
	const one = rig([relay.address]);
	for (const sequence of range(1, 4)) one.push(sequence);
	await until(() => one.source.held === 0);
	expect(one.quarantined).toEqual([2]);
	expect([...new Set(stored)]).toEqual([1, 3, 4]);
	expect(server.streams.length).toBeGreaterThan(30);
});

test("while a record is suspected nothing goes ahead, so that it is clear upon what a stream ends", async () => {
	const batches: wire.Batch[] = [];
	const server = await puppet((message, stream) => {
		if (message.batch) batches.push(message.batch);
		if (sequencesOf(message.batch).includes(700)) return stream.close("no");
		obliging(message, stream);
	});
	const one = rig([server.address], { times: { ahead: 0 } });
	for (const sequence of range(1, 3000)) one.push(sequence);
	await until(() => server.streams.length >= 4);
	one.push(3001, "boot-1", "alert");
	await until(() => one.source.held === 0);
	expect(one.quarantined).toEqual([700]);
	expect(batches.filter((batch) => batch.ahead)).toEqual([]);
});
