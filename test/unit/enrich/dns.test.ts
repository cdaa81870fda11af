// DNS messages: what is read of good ones, and that no bytes whatever do harm. Names by address.
import { describe, expect, it } from "vitest";
import { NameTable, parseDns } from "../../../agent/enrich/dns.ts";
import type { DnsMessage } from "../../../agent/model/dns.ts";

/** Labels as they are sent; the name of `pointer` may follow. */
function wireName(labels: readonly string[], pointer?: number): Buffer {
	const parts = labels.map((label) => Buffer.from([label.length, ...Buffer.from(label, "latin1")]));
	const end = pointer === undefined ? [0] : [0xc0 | (pointer >> 8), pointer & 255];
	return Buffer.concat([...parts, Buffer.from(end)]);
}

interface WireAnswer {
	readonly name: Buffer;
	readonly type: number;
	readonly data: Buffer;
	readonly ttl?: number;
	readonly class?: number;
}

function message(questions: readonly Buffer[], answers: readonly WireAnswer[], bits = 0x8180): Buffer {
	const header = Buffer.alloc(12);
	for (const [index, value] of [0x1234, bits, questions.length, answers.length].entries())
		header.writeUInt16BE(value, 2 * index);
	const asked = questions.map((name) => Buffer.concat([name, Buffer.from([0, 1, 0, 1])]));
	const answered = answers.map(({ name, type, data, ttl = 300, class: of = 1 }) => {
		const fixed = Buffer.alloc(10);
		fixed.writeUInt16BE(type, 0);
		fixed.writeUInt16BE(of, 2);
		fixed.writeUInt32BE(ttl, 4);
		fixed.writeUInt16BE(data.length, 8);
		return Buffer.concat([name, fixed, data]);
	});
	return Buffer.concat([header, ...asked, ...answered]);
}

function parse(bytes: Buffer): DnsMessage {
	const parsed = parseDns(bytes, 0, bytes.length);
	if (!parsed) throw new Error("there is no message");
	return parsed;
}

const asked = 12;
const pointer = wireName([], asked);
const example = wireName(["WWW", "Example", "com"]);

describe("a DNS message", () => {
	it("is read with its question and what the names and addresses of its answers are", () => {
		const bytes = message(
			[example],
			[
				{ name: pointer, type: 5, data: wireName(["cdn"], asked + 4) },
				{ name: wireName(["cdn"], asked + 4), type: 1, data: Buffer.from([192, 0, 2, 1]), ttl: 60 },
				{ name: pointer, type: 28, data: Buffer.alloc(16, 7) },
				{ name: pointer, type: 15, data: Buffer.concat([Buffer.from([0, 9]), pointer]) },
				{ name: pointer, type: 33, data: Buffer.concat([Buffer.alloc(6), wireName(["a"])]) },
				{ name: pointer, type: 16, data: Buffer.from("\x04text") },
				{ name: pointer, type: 4711, data: Buffer.alloc(3), ttl: 0x8000_0001 },
				{ name: pointer, type: 1, data: Buffer.alloc(4), class: 3 },
				{ name: pointer, type: 1, data: Buffer.alloc(5) },
			],
		);
		const name = "www.example.com";
		expect(parse(bytes)).toEqual({
			id: 0x1234,
			response: true,
			code: "NOERROR",
			questions: [{ name, type: "A" }],
			answers: [
				{ name, type: "CNAME", ttl: 300, target: "cdn.example.com" },
				{ name: "cdn.example.com", type: "A", ttl: 60, address: new Uint8Array([192, 0, 2, 1]) },
				{ name, type: "AAAA", ttl: 300, address: new Uint8Array(16).fill(7) },
				{ name, type: "MX", ttl: 300, target: name },
				{ name, type: "SRV", ttl: 300, target: "a" },
				{ name, type: "TXT", ttl: 300 },
				{ name, type: "TYPE4711", ttl: 0 },
				{ name, type: "A", ttl: 300 },
				{ name, type: "A", ttl: 300 },
			],
			complete: true,
		});
	});

	it("lies where it is said to lie, and keeps nothing of those bytes", () => {
		const bytes = message([example], [{ name: pointer, type: 1, data: Buffer.from([1, 2, 3, 4]) }]);
		const around = Buffer.concat([Buffer.alloc(5, 0xff), bytes, Buffer.alloc(5, 0xff)]);
		const parsed = parseDns(around, 5, bytes.length);
		around.fill(0);
		expect(parsed).toEqual(parse(bytes));
	});

	it.each([
		[0x0100, false, "NOERROR"],
		[0x8183, true, "NXDOMAIN"],
		[0x8182, true, "SERVFAIL"],
		[0x818f, true, "15"],
	])("with the bits %i says whether it is an answer, and which", (bits, response, code) => {
		expect(parse(message([example], [], bits))).toMatchObject({ response, code, complete: true });
	});

	it("shows no two names alike, but for the case", () => {
		const names = [
			["a.b"],
			["a", "b"],
			["a\\", "b"],
			["a\\.b"],
			["a\0"],
			["a\\000"],
			["é"],
			["\xff"],
			["a b"],
			[],
		];
		const shown = names.map((labels) => parse(message([wireName(labels)], [])).questions[0]?.name);
		expect(shown).toEqual([
			"a\\.b",
			"a.b",
			"a\\\\.b",
			"a\\\\\\.b",
			"a\\000",
			"a\\\\000",
			"\\233",
			"\\255",
			"a\\032b",
			".",
		]);
	});

	it("may have names of 255 bytes, and no longer ones", () => {
		const labels = (last: number) => ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(last)];
		expect(parse(message([wireName(labels(61))], [])).questions[0]?.name).toHaveLength(253);
		expect(parse(message([wireName(labels(62))], []))).toMatchObject({ questions: [], complete: false });
	});

	it.each([
		["to itself", wireName([], asked)],
		["forwards", wireName(["a"], asked + 20)],
		["round in a circle", wireName(["a"], asked)],
		["into the header's zeros beyond the pointers allowed", wireName(["a"], 0x3fff)],
	])("with a name that leads %s has no such question", (_, name) => {
		expect(parse(message([name], []))).toMatchObject({ questions: [], answers: [], complete: false });
	});

	it("that is cut anywhere gives a part of what the whole one gives", () => {
		const data = Buffer.from([192, 0, 2, 1]);
		const bytes = message([example], Array(5).fill({ name: pointer, type: 1, data }));
		const whole = parse(bytes);
		for (let size = 0; size < bytes.length; size++) {
			const part = parseDns(bytes, 0, size);
			if (size < 12) expect(part).toBeUndefined();
			else {
				expect(part?.complete).toBe(false);
				expect(whole.questions.slice(0, part?.questions.length)).toEqual(part?.questions);
				expect(whole.answers.slice(0, part?.answers.length)).toEqual(part?.answers);
			}
		}
	});

	it("that announces more than anybody sends is read up to a limit", () => {
		const data = Buffer.from([192, 0, 2, 1]);
		const many = parse(message([example], Array(1000).fill({ name: pointer, type: 1, data })));
		expect(many.answers).toHaveLength(64);
		expect(many.complete).toBe(false);
		expect(parse(message(Array(9).fill(example), []))).toMatchObject({ complete: false, answers: [] });
	});

	it("of random or damaged bytes never throws and takes its time from nobody", () => {
		let seed = 20;
		const random = (below: number) => {
			seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
			return Math.floor((seed / 2 ** 32) * below);
		};
		const good = message(
			[example],
			Array.from({ length: 12 }, () => ({ name: pointer, type: 5, data: wireName(["cdn"], asked + 4) })),
		);
		const begun = performance.now();
		let answers = 0;
		for (let round = 0; round < 100_000; round++) {
			const bytes = round % 2 ? Buffer.from(good) : Buffer.alloc(random(513));
			if (round % 2) for (let i = 0; i < 8; i++) bytes[random(bytes.length)] = random(256);
			else for (let i = 0; i < bytes.length; i++) bytes[i] = random(4) ? random(256) : 0xc0;
			const parsed = parseDns(bytes, random(4), random(600));
			answers += parsed?.answers.length ?? 0;
			for (const { name } of [...(parsed?.questions ?? []), ...(parsed?.answers ?? [])]) {
				if (name === "" || name.length > 4 * 255) throw new Error(`a name that cannot be: ${name}`);
			}
		}
		expect(answers).toBeGreaterThan(1000);
		expect(performance.now() - begun).toBeLessThan(30_000);
	});

	it("of the worst kind takes a bounded time", () => {
		// Names as long as they may be, each found through as many pointers as are followed.
		const chain = [wireName(["x".repeat(63), "y".repeat(63), "z".repeat(63), "w".repeat(30)])];
		let at = asked + (chain[0] as Buffer).length + 4;
		let to = asked;
		for (let i = 0; i < 3; i++) {
			chain.push(wireName(["p"], to));
			to = at;
			at += 4 + 4;
		}
		const answers = Array.from({ length: 64 }, () => ({
			name: wireName(["q"], to),
			type: 5,
			data: wireName(["r"], to),
		}));
		const bytes = message(chain, answers);
		expect(parse(bytes).answers[63]?.target).toHaveLength(2 * 4 + 3 * 64 + 30);
		const begun = performance.now();
		for (let i = 0; i < 1000; i++) parse(bytes);
		// A second is a millisecond each; 0.4 were measured.
		expect(performance.now() - begun).toBeLessThan(5000);
	});
});

describe("the table of names", () => {
	const address = (last: number) => Buffer.from([192, 0, 2, last]);
	function answer(name: string, last: number, ttl = 300): DnsMessage {
		return parse(message([wireName([name])], [{ name: pointer, type: 1, data: address(last), ttl }]));
	}
	function table(limit?: number) {
		const time = { now: 1_000_000 };
		return { time, names: new NameTable({ clock: () => time.now, ...(limit && { limit }) }) };
	}

	it("gives the name that was asked for, through aliases in whatever order they come", () => {
		const { names } = table();
		const cname = (from: string, to: string) => ({ name: wireName([from]), type: 5, data: wireName([to]) });
		const a = (name: string, last: number) => ({ name: wireName([name]), type: 1, data: address(last) });
		names.learn(
			"x",
			parse(message([wireName(["q"])], [a("r", 1), cname("s", "r"), cname("q", "s"), a("other", 2)])),
		);
		expect(names.name("x", address(1))).toBe("q");
		expect(names.name("x", address(2))).toBeUndefined();
		names.learn(
			"x",
			parse(message([wireName(["loop"])], [cname("loop", "m"), cname("m", "loop"), a("m", 3)])),
		);
		expect(names.name("x", address(3))).toBe("loop");
	});

	it("knows IPv6 addresses, and IPv4 in the clothes of IPv6 as IPv4", () => {
		const { names } = table();
		const v6 = Buffer.alloc(16, 9);
		const mapped = Buffer.concat([Buffer.alloc(10), Buffer.from([255, 255]), address(5)]);
		names.learn(
			"x",
			parse(
				message(
					[example],
					[
						{ name: pointer, type: 28, data: v6 },
						{ name: pointer, type: 28, data: mapped },
					],
				),
			),
		);
		const around = Buffer.concat([Buffer.alloc(3), v6, Buffer.alloc(3)]);
		expect(names.name("x", around, 3, 16)).toBe("www.example.com");
		expect(names.name("x", address(5))).toBe("www.example.com");
		expect(names.name("x", mapped)).toBe("www.example.com");
	});

	it("keeps scopes apart, and forgets one that is gone", () => {
		const { names } = table();
		names.learn("x", answer("a", 1));
		names.learn("y", answer("b", 1));
		expect([names.name("x", address(1)), names.name("y", address(1)), names.name("z", address(1))]).toEqual([
			"a",
			"b",
			undefined,
		]);
		names.forget("x");
		expect([names.name("x", address(1)), names.name("y", address(1)), names.size]).toEqual([
			undefined,
			"b",
			1,
		]);
	});

	it.each([
		[1, 60],
		[300, 300],
		[86_400, 3600],
	])("keeps what may live %i s for %i s", (ttl, seconds) => {
		const { names, time } = table();
		names.learn("x", answer("a", 1, ttl));
		time.now += seconds * 1000 - 1;
		expect(names.name("x", address(1))).toBe("a");
		time.now += 1;
		expect(names.name("x", address(1))).toBeUndefined();
		expect(names.size).toBe(0);
	});

	it("learns nothing from questions, refusals and answers to nothing", () => {
		const { names } = table();
		const data = address(1);
		names.learn("x", parse(message([example], [{ name: pointer, type: 1, data }], 0x0100)));
		names.learn("x", parse(message([example], [{ name: pointer, type: 1, data }], 0x8183)));
		names.learn("x", parse(message([], [{ name: wireName(["a"]), type: 1, data }])));
		expect(names.size).toBe(0);
	});

	it("is bounded, and one scope cannot push the others out", () => {
		const { names } = table(80);
		for (let scope = 0; scope < 5; scope++)
			for (let last = 0; last < 10; last++) names.learn(`s${scope}`, answer("kept", last));
		for (let last = 0; last < 250; last++) names.learn("hostile", answer("new", last));
		expect(names.size).toBe(60);
		expect(names.name("hostile", address(239))).toBeUndefined();
		expect(names.name("hostile", address(240))).toBe("new");
		for (let scope = 0; scope < 5; scope++)
			for (let last = 0; last < 10; last++) expect(names.name(`s${scope}`, address(last))).toBe("kept");
		for (let scope = 0; scope < 50; scope++) names.learn(`other${scope}`, answer("new", 1));
		expect(names.size).toBe(80);
		expect(names.name("s0", address(0))).toBeUndefined();
		expect(names.name("other49", address(1))).toBe("new");
	});
});
