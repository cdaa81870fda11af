// Mutated recordings: a clear error or a clean end, and what is handed out lies where it says.
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RecordingError, RecordingWriter, readRecording } from "../../agent/capture/recording.ts";
import { readProcesses } from "../../agent/enrich/proc.ts";
import { createEnrichment, type Enrichment } from "../../agent/enrichment.ts";
import { eventNames } from "../../agent/model/event.ts";
import { formatSince, formatUnixMs } from "../../agent/report/time.ts";
import { Random } from "../unit/detect/rig.ts";
import { seed, soak, tell, timeout } from "./counts.ts";
import { anyRecord, anyText, nasty } from "./records.ts";
import { Watch } from "./watch.ts";

const wanted = soak ? 200_000 : 20_000;
const frameHeader = 8;
/** Where the first frame begins. */
const magicBytes = 24;

let folder = "";
beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-fuzz-"));
});
afterAll(() => {
	rmSync(folder, { recursive: true, force: true });
});

const [facts] = readProcesses();

/** With one value of another sort. */
function oneOff(random: Random, value: object): object {
	const other = random.pick<unknown>([null, -1, 1.5, 1e300, "", "x", [], [null], {}, true]);
	return { ...value, [random.pick(Object.keys(value))]: other };
}

/** A fact as a sensor tells it, or nearly. */
function anyFact(random: Random): [name: string, value: unknown] {
	const id = random
		.below(2 ** 32)
		.toString(16)
		.padStart(64, "0");
	const text = anyText(random);
	const [name, value] = random.pick<[string, object]>([
		["process", { ...facts, pid: random.below(2000), comm: text, args: [text] }],
		["container", { id, runtime: "docker", name: text, image: text, labels: { [text]: text }, mounts: [] }],
		["cgroup", { id: random.below(1000), path: `/docker/${id}` }],
		["user", { uid: random.below(1000), name: text }],
	]);
	if (random.chance(0.5)) return [name, value];
	return random.chance(0.1) ? [name, random.pick([null, 7, "x", []])] : [name, oneOff(random, value)];
}

function write(random: Random): Buffer {
	const path = join(folder, "whole");
	const whole = { version: "1", host: "h", kernel: "6.1", bootId: "b", bootTimeMs: 1.7e12, started: 1.7e12 };
	const header = random.chance(0.8) ? whole : oneOff(random, whole);
	const writer = new RecordingWriter(path, header as typeof whole);
	for (let count = random.below(12); count > 0; count--) {
		const record = anyRecord(random, random.pick(eventNames), 200);
		if (random.chance(0.7)) writer.record(record, 0, record.length);
		else writer.fact(...anyFact(random));
	}
	writer.close();
	return readFileSync(path);
}

/** Offsets of the frames of a whole recording. */
function framesOf(file: Buffer): number[] {
	const frames: number[] = [];
	for (let at = magicBytes; at < file.length; ) {
		frames.push(at);
		at += (frameHeader + file.readUInt32LE(at + 4) + 7) & ~7;
	}
	return frames;
}

function mutate(random: Random, whole: Buffer): Buffer {
	const file = Buffer.from(whole);
	const frame = random.pick(framesOf(whole));
	const size = file.readUInt32LE(frame + 4);
	const sizes = [
		0,
		1,
		7,
		size - 1,
		size + 1,
		size + 8,
		file.length,
		2 ** 24,
		2 ** 24 + 1,
		2 ** 31,
		2 ** 32 - 1,
	];
	switch (random.below(8)) {
		case 0:
			return file.subarray(0, random.below(file.length));
		case 1:
			file.writeUInt32LE(random.chance(0.7) ? random.pick(sizes) >>> 0 : random.word(), frame + 4);
			return file;
		case 2:
			file.writeUInt32LE(random.chance(0.5) ? random.below(5) : random.word(), frame);
			return file;
		case 3: // a frame once more, or in another's place
			return Buffer.concat([file.subarray(0, frame), file.subarray(random.pick(framesOf(whole)))]);
		case 4: // cut in the middle, the positions behind no longer multiples of 8
			return Buffer.concat([file.subarray(0, frame + random.below(16)), file.subarray(frame + 16)]);
		case 5:
			file.write(random.pick(nasty).repeat(1 + random.below(8)), frame + frameHeader, "latin1");
			return file;
		case 6: {
			// JSON of another shape than the reader hopes for.
			const texts = ["null", "1", "[]", "{}", '{"name":1,"value":null}', '{"name":"header","value":7}'];
			const text = Buffer.from(random.pick(texts).padEnd(size).slice(0, Math.max(8, size)));
			file.writeUInt32LE(2, frame);
			text.copy(file, frame + frameHeader);
			return file;
		}
		default:
			for (let times = 1 + random.below(6); times > 0; times--) {
				file[random.below(file.length)] = random.below(256);
			}
			return file;
	}
}

/** What became of it; throws what readRecording throws, but for its own errors. */
function read(path: string, most: number, enrichment: Enrichment): string {
	let memory = new ArrayBuffer(0);
	let handed = 0;
	let bytes = 0;
	const count = (size: number): void => {
		handed++;
		bytes += size;
		if (handed > most || bytes > 8 * most) throw new Error("more was handed out than the file can hold");
	};
	try {
		readRecording(path, (header) => {
			// What a replay makes of it, before the first event and for the last there can be.
			formatUnixMs(header.started);
			formatSince(header.bootTimeMs, 2 ** 64);
			return {
				memory: (given) => {
					memory = given;
				},
				record: (offset, size) => {
					if (offset % 8 !== 0 || offset < 0 || offset + size > memory.byteLength) {
						throw new Error(`a record at ${offset}, ${size} bytes, in ${memory.byteLength}`);
					}
					count(size);
				},
				fact: (fact) => {
					count(0);
					enrichment.replay(fact);
				},
			};
		});
		return "whole";
	} catch (error) {
		if (!(error instanceof RecordingError)) throw error;
		if (!error.message.startsWith(path) || error.remedy === "") throw new Error(`unclear: ${error.message}`);
		return error.code;
	}
}

describe("a mutated recording", () => {
	it(
		`ends clean or with a clear error, ${wanted} times`,
		() => {
			const random = new Random(seed);
			const path = join(folder, "mutated");
			const mutant = openSync(path, "w");
			const ends: Record<string, number> = {};
			const enrichment = createEnrichment({
				...{ processes: 256, containers: 64, clock: Date.now, onFact: () => {}, live: false },
			});
			const watch = new Watch();
			let whole = write(random);
			const begun = performance.now();
			for (let round = 1; round <= wanted; round++) {
				if (round % 100 === 0) whole = write(random);
				const file = mutate(random, whole);
				// Not emptied first: ext4 would write that through to the disk each time.
				writeSync(mutant, file, 0, file.length, 0);
				ftruncateSync(mutant, file.length);
				let end = "";
				watch.time(
					() => {
						end = read(path, file.length / 8, enrichment);
					},
					() => `seed ${seed}, round ${round}`,
				);
				ends[end] = (ends[end] ?? 0) + 1;
			}
			closeSync(mutant);
			const { slowestMs, slowestOwnMs } = watch;
			const seconds = Math.round((performance.now() - begun) / 1000);
			tell(
				`recording: ${JSON.stringify({ seed, mutated: wanted, ...ends, seconds, slowestMs, slowestOwnMs })}`,
			);
			// Each way to end was taken.
			expect(Object.keys(ends).sort()).toEqual(["DAMAGED", "LAYOUT", "NOT_A_RECORDING", "whole"]);
		},
		timeout,
	);
});
