// Recordings: what was written comes back, and of a damaged one all that is whole.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
	RecordingError,
	type RecordingHandler,
	type RecordingHeader,
	RecordingWriter,
	readRecording,
} from "../../../agent/capture/recording.ts";
import { layoutHash } from "../../../agent/model/layout.ts";
import { Random } from "../detect/rig.ts";

let folder = "";
beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-recording-"));
});
afterAll(() => {
	rmSync(folder, { recursive: true, force: true });
});

const header: Omit<RecordingHeader, "layoutHash"> = {
	version: "1.2.3",
	host: "ünì",
	kernel: "6.1",
	bootId: "b",
	bootTimeMs: 1_700_000_000_000.5,
	started: 1_700_000_100_000,
};

type Step = ["record", string] | ["fact", string, unknown];

function write(name: string, steps: readonly Step[]): string {
	const path = join(folder, name);
	const writer = new RecordingWriter(path, header);
	for (const step of steps) {
		if (step[0] === "fact") writer.fact(step[1], step[2]);
		else {
			const bytes = Buffer.from(step[1], "latin1");
			const around = Buffer.concat([Buffer.alloc(8, 0xee), bytes, Buffer.alloc(3, 0xee)]);
			writer.record(around, 8, bytes.length);
		}
	}
	writer.close();
	expect(writer.records).toBe(steps.filter(([is]) => is === "record").length);
	expect(writer.bytes).toBe(readFileSync(path).length);
	return path;
}

interface Heard {
	header: RecordingHeader | undefined;
	steps: Step[];
	error: unknown;
}
function read(path: string): Heard {
	const heard: Heard = { header: undefined, steps: [], error: undefined };
	try {
		readRecording(path, (found) => {
			heard.header = found;
			let memory = Buffer.alloc(0);
			const handler: RecordingHandler = {
				memory: (given) => {
					memory = Buffer.from(given);
				},
				record: (offset, bytes) => {
					if (offset % 8 !== 0) throw new Error(`a record at ${offset}`);
					if (offset + bytes > memory.length) throw new Error("a record outside the memory");
					heard.steps.push(["record", memory.toString("latin1", offset, offset + bytes)]);
				},
				fact: ({ name, value }) => heard.steps.push(["fact", name, value]),
			};
			return handler;
		});
	} catch (error) {
		heard.error = error;
	}
	return heard;
}

const small: readonly Step[] = [
	["fact", "process", { pid: 1, exe: "/sbin/init", args: ["a", "b"] }],
	["record", "12345678"],
	["record", "\xff\x00odd"],
	["fact", "user", { uid: 0, name: "röot" }],
	["record", "x".repeat(100)],
	["record", ""],
	["fact", "end", null],
];

describe("a recording", () => {
	it("gives back header, records and facts, in their order", () => {
		const heard = read(write("round", small));
		expect(heard.error).toBeUndefined();
		expect(heard.header).toEqual({ layoutHash, ...header });
		expect(heard.steps).toEqual(small);
	});

	it("of nothing but its header is one too", () => {
		expect(read(write("empty", []))).toMatchObject({ error: undefined, steps: [], header });
	});

	it("may be larger than what is read at a time, with records and facts that are, too", () => {
		const random = new Random(3);
		const steps: Step[] = [];
		for (let i = 0; i < 400; i++)
			steps.push(["record", String.fromCharCode(i & 255).repeat(random.below(20_000))]);
		steps.splice(100, 0, ["record", "big".repeat(700_000)]);
		steps.splice(200, 0, ["fact", "big", { text: "é".repeat(1_500_000) }]);
		steps.splice(300, 0, ["record", "bigger".repeat(500_000)]);
		const heard = read(write("large", steps));
		expect(heard.error).toBeUndefined();
		expect(heard.steps.length).toBe(steps.length);
		for (const [index, step] of steps.entries())
			if (JSON.stringify(heard.steps[index]) !== JSON.stringify(step)) expect.fail(`step ${index} differs`);
	});

	it("is for its owner's eyes, and replaces one that is there", () => {
		const path = write("twice", small);
		expect(statSync(path).mode & 0o777).toBe(0o600);
		write("twice", []);
		expect(read(path).steps).toEqual([]);
	});

	it("can be written on after a flush in between", () => {
		const path = join(folder, "flushed");
		const writer = new RecordingWriter(path, header);
		writer.flush();
		writer.fact("a", 1);
		writer.flush();
		writer.flush();
		writer.fact("b", 2);
		writer.close();
		expect(read(path).steps).toEqual([
			["fact", "a", 1],
			["fact", "b", 2],
		]);
	});

	it("on a disk that is full says so, every time", () => {
		const writer = new RecordingWriter("/dev/full", header);
		expect(() => writer.flush()).toThrow("ENOSPC");
		expect(() => writer.flush()).toThrow("ENOSPC");
		expect(writer.bytes).toBe(0);
		expect(() => writer.close()).toThrow("ENOSPC");
	});
});

describe("a file that is no recording", () => {
	const refused = (name: string, content: Buffer | string) => {
		const path = join(folder, name);
		writeFileSync(path, content);
		const { error, steps } = read(path);
		expect(steps).toEqual([]);
		expect(error).toBeInstanceOf(RecordingError);
		return error as RecordingError;
	};

	it.each([
		["empty", ""],
		["text", "hello\n".repeat(100)],
		["nearly", "PICKET RECORDING 2\n".padEnd(24, "\0")],
	])("(%s) is refused", (name, content) => {
		const error = refused(`no-${name}`, content);
		expect(error.code).toBe("NOT_A_RECORDING");
		expect(error.remedy).toContain("picket record");
	});

	it("of another layout is refused, naming both and the way out", () => {
		const bytes = readFileSync(write("layout", small));
		const at = bytes.indexOf(layoutHash);
		bytes.write("0123456789abcdef", at);
		const error = refused("other-layout", bytes);
		expect(error.code).toBe("LAYOUT");
		expect(error.message).toContain(layoutHash);
		expect(error.message).toContain("0123456789abcdef");
		expect(error.remedy).toContain("1.2.3");
	});

	const frame = (type: number, payload: string, bytes = payload.length) => {
		const head = Buffer.alloc(8);
		head.writeUInt32LE(type, 0);
		head.writeUInt32LE(bytes, 4);
		return Buffer.concat([head, Buffer.from(payload.padEnd((payload.length + 7) & ~7, "\0"), "latin1")]);
	};
	const headerWith = (more: object) =>
		JSON.stringify({ name: "header", value: { layoutHash, ...header, ...more } });
	const magic = Buffer.from("PICKET RECORDING 1\n".padEnd(24, "\0"));
	it.each([
		["no header", Buffer.alloc(0)],
		["a record first", frame(1, "x".repeat(72))],
		["another fact first", frame(2, '{"name":"user","value":{}}')],
		["a header of null", frame(2, '{"name":"header","value":null}')],
		["a header without times", frame(2, JSON.stringify({ name: "header", value: { layoutHash } }))],
		["a header with times out of all time", frame(2, headerWith({ bootTimeMs: 1e300 }))],
		["a header with a time before all time", frame(2, headerWith({ started: -1 }))],
		["a header with no host", frame(2, headerWith({ host: { name: "h" } }))],
		["no JSON", frame(2, "{")],
		["an unknown type", frame(3, "x")],
		["an enormous frame", frame(1, "", 0xffff_ffff)],
	])("(%s) is damaged", (name, frames) => {
		expect(refused(`damaged-${name}`, Buffer.concat([magic, frames])).code).toBe("DAMAGED");
	});
});

describe("a damaged recording", () => {
	it("with a fact that its reader can make nothing of ends there, with the reason", () => {
		const path = write("strange-fact", [
			["fact", "cgroup", null],
			["record", "12345678"],
		]);
		const records: number[] = [];
		const use = (): RecordingHandler => ({
			memory: () => {},
			record: (offset) => records.push(offset),
			fact: ({ value }) => expect((value as { id: number }).id).toBe(1),
		});
		expect(() => readRecording(path, use)).toThrow(RecordingError);
		expect(() => readRecording(path, use)).toThrow(/a fact that makes no sense \(.*null.*\) at byte \d+/);
		expect(records).toEqual([]);
	});

	it("takes no memory for a length that the file does not hold", () => {
		const path = write("long-frame", [["record", "12345678"]]);
		const bytes = readFileSync(path);
		bytes.writeUInt32LE(16 * 1024 * 1024, bytes.length - 12);
		writeFileSync(path, bytes);
		const sizes: number[] = [];
		const use = (): RecordingHandler => ({
			memory: (memory) => sizes.push(memory.byteLength),
			record: () => {},
			fact: () => {},
		});
		expect(() => readRecording(path, use)).toThrow("the file ends within a frame");
		expect(sizes).toEqual([1024 * 1024]);
	});

	it("cut at any byte hands out all that is whole before it", () => {
		const bytes = readFileSync(write("whole", small));
		// Where each step's frame ends.
		const ends: number[] = [];
		for (let at = 24; at < bytes.length; ) {
			at = (at + 8 + bytes.readUInt32LE(at + 4) + 7) & ~7;
			ends.push(at);
		}
		expect(ends.length).toBe(small.length + 1);
		const path = join(folder, "cut");
		for (let size = 0; size < bytes.length; size++) {
			writeFileSync(path, bytes.subarray(0, size));
			const heard = read(path);
			const whole = ends.filter((end) => end <= size).length;
			expect(heard.steps, `cut at ${size}`).toEqual(small.slice(0, Math.max(0, whole - 1)));
			const clean = whole > 0 && ends.includes(size);
			if (clean) expect(heard.error, `cut at ${size}`).toBeUndefined();
			else expect(heard.error, `cut at ${size}`).toBeInstanceOf(RecordingError);
		}
	});

	it("in any random way throws nothing but RecordingError, with a place", () => {
		const random = new Random(11);
		const whole = readFileSync(write("mutated", small));
		const path = join(folder, "mutant");
		const codes: Record<string, number> = {};
		for (let round = 0; round < 2000; round++) {
			let bytes = Buffer.from(whole);
			for (let i = 1 + random.below(5); i > 0; i--) bytes[random.below(bytes.length)] = random.word() & 255;
			if (random.chance(0.2)) bytes.writeUInt32LE(random.word(), random.below(bytes.length / 4 - 1) * 4);
			if (random.chance(0.2)) {
				const [from, to] = [random.below(bytes.length), random.below(bytes.length)];
				bytes = Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
			}
			writeFileSync(path, bytes);
			const { error } = read(path);
			const code =
				error === undefined ? "whole" : error instanceof RecordingError ? error.code : String(error);
			codes[code] = (codes[code] ?? 0) + 1;
			if (error instanceof RecordingError && error.code === "DAMAGED") expect(error.message).toContain(path);
		}
		expect(Object.keys(codes).sort()).toEqual(["DAMAGED", "LAYOUT", "NOT_A_RECORDING", "whole"]);
	}, 30_000);
});
