import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import {
	codecOf,
	encodeBatch,
	messageNames,
	messageType,
	recordCodec,
	requestCodec,
} from "../../../agent/report/protojson.ts";
import { formatSince, formatTime, parseTime } from "../../../agent/report/time.ts";
import { alertRecord, eventRecord, seeded } from "./samples.ts";

type Json = Record<string, unknown>;

/** A value for every field; of a oneof the one whose turn it is. */
function sample(type: protobuf.Type, turn: number, depth = 0): Json {
	const json: Json = {};
	const chosen = new Map(
		type.oneofsArray
			.filter((oneof) => !oneof.name.startsWith("_"))
			.flatMap((oneof) => {
				const field = oneof.fieldsArray[turn % oneof.fieldsArray.length];
				return field === undefined ? [] : [[oneof.name, field.name] as const];
			}),
	);
	for (const field of type.fieldsArray) {
		const choice = field.partOf?.name;
		if (choice !== undefined && chosen.has(choice) && chosen.get(choice) !== field.name) continue;
		const one = (): unknown => value(field, turn, depth);
		json[field.name] = field.map
			? { a: one(), "": one(), __proto: one() }
			: field.repeated
				? [one(), one()]
				: one();
	}
	return json;
}

function value(field: protobuf.Field, turn: number, depth: number): unknown {
	const type = field.resolvedType;
	if (type instanceof protobuf.Enum) return Object.keys(type.values)[turn % Object.keys(type.values).length];
	if (type?.fullName === ".google.protobuf.Timestamp") return "2026-01-02T03:04:05.000000006Z";
	if (type instanceof protobuf.Type) return sample(type, turn, depth + 1);
	switch (field.type) {
		case "string":
			return ["", "ünï€𝄞", "\0\n\x1b[31m", 'a"b\\c'][turn % 4];
		case "bool":
			return turn % 2 === 0;
		case "double":
			return [0.5, -1e300, "NaN", "Infinity"][turn % 4];
		case "uint32":
			return [0, 1, 4294967295][turn % 3];
		case "int32":
			return [0, -2147483648, 2147483647][turn % 3];
		case "bytes":
			return ["", "AP9/", "/+8="][turn % 3];
		case "int64":
			return ["0", "-1", "-9223372036854775808"][turn % 3];
		case "uint64":
			return ["0", "9007199254740993", "18446744073709551615"][turn % 3];
		default:
			throw new Error(`no sample for ${field.type}: add one`);
	}
}

describe("every message", () => {
	test.each(messageNames())("%s comes back from its bytes as it was", (name) => {
		const codec = codecOf<Json>(name, { strict: true });
		for (let turn = 0; turn < 12; turn++) {
			const json = sample(messageType(name), turn);
			expect(codec.decode(codec.encode(json))).toEqual(json);
		}
		expect(codec.decode(codec.encode({}))).toEqual({});
	});

	test.each(messageNames())("%s survives hostile bytes: a message or a clean error", (name) => {
		const codec = codecOf<Json>(name);
		const random = seeded(7);
		const whole = codec.encode(sample(messageType(name), 3));
		for (let round = 0; round < 200; round++) {
			const bytes = Buffer.from(whole.subarray(0, Math.floor(random() * (whole.length + 1))));
			for (let flip = 0; flip < 3 && bytes.length > 0; flip++) {
				bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
			}
			try {
				codec.decode(bytes);
			} catch (error) {
				expect(error).toMatchObject({ code: "MESSAGE_BYTES", name: "ReportError" });
			}
		}
	});
});

test("a key that the message does not have is refused in strict mode and left out otherwise", () => {
	const json = { alert: { rule: "r", event: { open: { path: "/x", pth: 1 } } } };
	expect(() => codecOf("Record", { strict: true }).encode(json)).toThrow(
		/Record\.alert\.event\.open\.pth: Open has no such field/,
	);
	expect(recordCodec.decode(recordCodec.encode(json as never))).toEqual({
		alert: { rule: "r", event: { open: { path: "/x" } } },
	});
});

test("the names as written in the proto file are read too", () => {
	const codec = codecOf("Gap", { strict: true });
	expect(codec.decode(codec.encode({ lost: [{ class: "open", count: 5 }] }))).toEqual({
		lost: [{ class: "open", count: "5" }],
	});
	const hello = codecOf("Hello", { strict: true });
	expect(hello.decode(hello.encode({ host_id: "h" }))).toEqual({ hostId: "h" });
});

test.each([
	[{ time: "yesterday" }, /Record\.time: a time as in RFC 3339/],
	[{ time: "2026-02-30T00:00:00Z" }, /Record\.time/],
	[{ sequence: "-1" }, /Record\.sequence: a number from 0 to/],
	[{ sequence: "18446744073709551616" }, /Record\.sequence/],
	[{ sequence: 1.5 }, /whole number/],
	[{ host: 5 }, /Record\.host: a text is wanted, got 5/],
	[{ alert: [] }, /Record\.alert: an object/],
	[{ alert: { severity: "SEVERITY_HUGE" } }, /one of SEVERITY_UNSPECIFIED/],
	[{ alert: { severity: "constructor" } }, /one of/],
	[{ alert: { tactics: "x" } }, /a list/],
	[{ alert: { tactics: [null] } }, /Record\.alert\.tactics\[0\]/],
	[{ alert: { fields: ["x"] } }, /an object/],
	[{ alert: { count: 4294967296 } }, /from 0 to 4294967295/],
	[{ alert: {}, event: {} }, /both alert and event/],
	[{ status: { eventRate: "fast" } }, /a number/],
	[{ gap: { lost: [{ count: "1e3" }] } }, /Record\.gap\.lost\[0\]\.count/],
])("a value that does not fit is refused with its place: %j", (json, message) => {
	expect(() => recordCodec.encode(json as never)).toThrow(message);
	expect(() => recordCodec.encode(json as never)).toThrow(expect.objectContaining({ code: "MESSAGE_JSON" }));
});

test("an enum value that came later is kept as its number", () => {
	const codec = codecOf<Json>("Action");
	expect(codec.decode(codec.encode({ kind: 77 }))).toEqual({ kind: 77 });
});

test("a map key called __proto__ is a key like any other", () => {
	const codec = codecOf<{ labels: Json }>("Container");
	const labels = JSON.parse('{"__proto__":"x"}');
	const back = codec.decode(codec.encode({ labels }));
	expect(Object.keys(back.labels)).toEqual(["__proto__"]);
	expect(Object.getPrototypeOf(back.labels)).toBe(Object.prototype);
});

test("a lone surrogate becomes a replacement character, not bytes that others refuse", () => {
	const bytes = recordCodec.encode({ host: "a\ud800b" });
	expect(new TextDecoder("utf-8", { fatal: true }).decode(bytes)).toContain("a\ufffdb");
});

test("two members of a oneof in one message are refused", () => {
	const bytes = Buffer.concat([requestCodec.encode({ hello: {} }), requestCodec.encode({ heartbeat: {} })]);
	expect(() => requestCodec.decode(bytes)).toThrow(expect.objectContaining({ code: "MESSAGE_BYTES" }));
});

test("a batch put together from encoded records is the same message as one encoded whole", () => {
	const records = [eventRecord(1), alertRecord(2), eventRecord(3, "x".repeat(300))];
	const bytes = encodeBatch(records.map((record) => recordCodec.encode(record)));
	expect(requestCodec.decode(bytes)).toEqual({ batch: { records } });
	expect(requestCodec.decode(encodeBatch([]))).toEqual({ batch: {} });
});

test("a message above 4 MiB is not decoded", () => {
	expect(() => requestCodec.decode(Buffer.alloc(4 * 1024 * 1024 + 1))).toThrow(/4194304 are the most/);
});

describe("times", () => {
	test.each([
		[0, 0, "1970-01-01T00:00:00Z"],
		[1, 500_000_000, "1970-01-01T00:00:01.500Z"],
		[1, 500_000, "1970-01-01T00:00:01.000500Z"],
		[1, 1, "1970-01-01T00:00:01.000000001Z"],
		[-1, 999_000_000, "1969-12-31T23:59:59.999Z"],
		[-62_135_596_800, 0, "0001-01-01T00:00:00Z"],
		[253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"],
	])("%i s and %i ns are %s, and back", (seconds, nanos, text) => {
		expect(formatTime(seconds, nanos)).toBe(text);
		expect(parseTime(text)).toEqual({ seconds, nanos });
	});

	test("nanoseconds since boot keep their last digit", () => {
		expect(formatSince(1_750_000_000_250, 5_000_000_001)).toBe("2025-06-15T15:06:45.250000001Z");
		expect(formatSince(1_750_000_000_999.5, 500_001)).toBe("2025-06-15T15:06:41.000000001Z");
	});

	test.each([
		["2026-01-02T05:04:05+02:00", 1_767_323_045],
		["2026-01-01t23:34:05.25-03:30", 1_767_323_045],
	])("the offset of %s is reckoned in", (text, seconds) => {
		expect(parseTime(text)?.seconds).toBe(seconds);
	});

	test.each([
		"",
		"now",
		"2026-13-01T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:00:00",
		"2026-01-01 00:00:00Z",
		"0000-01-01T00:00:00Z",
		"2026-01-01T00:00:00.1234567890Z",
	])("%j is no time", (text) => {
		expect(parseTime(text)).toBeUndefined();
	});
});
