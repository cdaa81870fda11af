import { BlockList, isIP } from "node:net";
import { describe, expect, it } from "vitest";
import {
	carried4,
	contains,
	containsBytes,
	formatNetwork,
	type Network,
	overlaps,
	parseNetwork,
} from "../../../agent/model/address.ts";

const canonical = (text: string) => formatNetwork(parseNetwork(text));

describe("an address", () => {
	it("is brought into one canonical form", () => {
		expect(canonical("1.2.3.4")).toBe("1.2.3.4");
		expect(canonical("1.2.3.4/32")).toBe("1.2.3.4");
		expect(canonical("10.0.0.0/8")).toBe("10.0.0.0/8");
		expect(canonical("2001:DB8:0:0:0:0:0:1")).toBe("2001:db8::1");
		expect(canonical("2001:db8::/32")).toBe("2001:db8::/32");
		expect(canonical("1:0:0:2:0:0:0:3")).toBe("1:0:0:2::3");
		expect(canonical("1:0:2:3:4:5:6:7")).toBe("1:0:2:3:4:5:6:7");
		expect(canonical("::")).toBe("::");
		expect(canonical("255.255.255.255")).toBe("255.255.255.255");
	});

	it("that is IPv4 mapped into IPv6 becomes IPv4", () => {
		expect(canonical("::ffff:1.2.3.4")).toBe("1.2.3.4");
		expect(canonical("::ffff:102:304")).toBe("1.2.3.4");
		expect(canonical("::ffff:10.0.0.0/104")).toBe("10.0.0.0/8");
	});

	it.each([
		["010.1.1.1", "leading zeros"],
		["0x7f.0.0.1", "leading zeros"],
		["1.2.3", "four decimal"],
		["16909060", "four decimal"],
		["1.2.3.256", "0 to 255"],
		[" 1.2.3.4", "not an IP"],
		["1.2.3.4\n", "not an IP"],
		["", "not an IP"],
		["fe80::1%eth0", "without the part after %"],
		["10.0.0.1/8", "write 10.0.0.0/8"],
		["2001:db8::1/32", "write 2001:db8::/32"],
		["1.2.3.4/", "prefix length"],
		["1.2.3.4/33", "prefix length"],
		["1.2.3.4/08", "prefix length"],
		["1::2::3", "like 2001:db8::1"],
		["1:2:3:4:5:6:7:8:9", "like 2001:db8::1"],
		["1:2:3:4:5:6:7::8", "like 2001:db8::1"],
		[":1:2:3:4:5:6:7", "like 2001:db8::1"],
		["--help", "not an IP"],
		["1.2.3.4 timeout 0", "not an IP"],
		["127.1", "four decimal"],
		["2130706433", "four decimal"],
		["0x7f000001", "four decimal"],
		["0177.0.0.1", "leading zeros"],
		["１２７.0.0.1", "not an IP"],
		["127.0.0.1\0.example", "not an IP"],
		["127.0.0.1%lo", "not an IP"],
		["::ffff:127.0.0.01", "leading zeros"],
		["::ffff:10.0.0.1/104", "bits set after its prefix"],
		["10.1.2.3/8", "write 10.0.0.0/8"],
		["0.0.0.0/-1", "prefix length"],
		["1.2.3.4/32/32", "prefix length"],
	])("written as %j is refused with the way to write it", (text, message) => {
		expect(() => parseNetwork(text)).toThrow(message);
	});

	it("agrees with the platform's own parser on 5,000 random texts", () => {
		let seed = 42;
		const random = (below: number) => {
			seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
			return Math.floor((seed / 2 ** 32) * below);
		};
		const pieces = [
			"::",
			":",
			".",
			"0",
			"1",
			"25",
			"255",
			"256",
			"01",
			"a",
			"ff",
			"ffff",
			"g",
			"/",
			"%",
			" ",
		];
		const samples = ["1.2.3.4", "::ffff:1.2.3.4", "2001:db8::1", "1:2:3:4:5:6:7:8", "fe80::", "1::1.2.3.4"];
		let valid = 0;
		for (let round = 0; round < 5000; round++) {
			let text = samples[random(samples.length)] ?? "";
			if (random(3) === 0) text = "";
			for (let edits = random(5); edits > 0; edits--) {
				const at = random(text.length + 1);
				text = text.slice(0, at) + pieces[random(pieces.length)] + text.slice(at + random(3));
			}
			if (text.includes("/")) continue;
			const expected = text.includes("%") ? 0 : isIP(text);
			let got = 0;
			let shown = "";
			try {
				const network = parseNetwork(text);
				shown = formatNetwork(network);
				got = text.includes(":") ? 6 : 4;
			} catch (error) {
				expect((error as Error).constructor.name, text).toBe("AddressError");
			}
			expect(got, JSON.stringify(text)).toBe(expected);
			if (expected === 0) continue;
			valid++;
			expect(formatNetwork(parseNetwork(shown))).toBe(shown);
			if (shown.includes(":")) expect(new URL(`http://[${text}]`).hostname).toBe(`[${shown}]`);
		}
		expect(valid).toBeGreaterThan(500);
	});
});

describe("networks", () => {
	const net = parseNetwork;
	it("contain and overlap by prefix, within one family", () => {
		expect(contains(net("10.0.0.0/8"), net("10.255.1.1"))).toBe(true);
		expect(contains(net("10.0.0.0/8"), net("11.0.0.0"))).toBe(false);
		expect(contains(net("10.0.0.0/9"), net("10.0.0.0/8"))).toBe(false);
		expect(overlaps(net("10.0.0.0/9"), net("10.0.0.0/8"))).toBe(true);
		expect(overlaps(net("0.0.0.0/0"), net("200.1.1.1"))).toBe(true);
		expect(overlaps(net("::/0"), net("1.1.1.1"))).toBe(false);
		expect(contains(net("2001:db8::/33"), net("2001:db8:7fff::1"))).toBe(true);
		expect(contains(net("2001:db8::/33"), net("2001:db8:8000::1"))).toBe(false);
	});

	it("are matched against bytes in place as the kernel gives them", () => {
		const bytes = Buffer.from([0, 0, 192, 168, 255, 7]);
		expect(containsBytes(net("192.168.0.0/16"), 2, bytes, 2)).toBe(true);
		expect(containsBytes(net("192.168.255.7"), 2, bytes, 2)).toBe(true);
		expect(containsBytes(net("192.168.255.8"), 2, bytes, 2)).toBe(false);
		expect(containsBytes(net("192.168.0.0/16"), 10, Buffer.alloc(32), 0)).toBe(false);
		const six = Buffer.from("20010db8000000000000000000000001", "hex");
		expect(containsBytes(net("2001:db8::/32"), 10, six, 0)).toBe(true);
		expect(containsBytes(net("2001:db8::2"), 10, six, 0)).toBe(false);
	});
});

/** The slow way: whole addresses as one number. */
function range({ family, words, prefix }: Network): { first: bigint; last: bigint } {
	const first = words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
	return { first, last: first + (1n << BigInt((family === 4 ? 32 : 128) - prefix)) - 1n };
}

describe("20,000 random pairs of networks", () => {
	let seed = 7;
	const random = (below: number) => {
		seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
		return Math.floor((seed / 2 ** 32) * below);
	};
	// Few bits differ, so that there are pairs that overlap and pairs that miss by one.
	const word = () => (random(2) === 0 ? 0 : 1 << random(32)) >>> 0;
	const carriers = [
		[0, 0, 0xffff],
		[0, 0, 0],
		[0x64ff9b, 0, 0],
		[0x64ff9b, 0x10000, 0],
		[0x20020000 | random(99), 0, 0],
	];

	function network(family: 4 | 6): Network {
		const width = family === 4 ? 32 : 128;
		const prefix = random(width + 1);
		const start = random(2) === 0 ? (carriers[random(carriers.length)] ?? []) : [word(), word(), word()];
		const words = family === 4 ? [word()] : [...start, word()];
		const kept = words.map((one, index) => {
			const bits = Math.min(32, Math.max(0, prefix - index * 32));
			return Number((BigInt(one) >> BigInt(32 - bits)) << BigInt(32 - bits));
		});
		return { family, words: kept, prefix };
	}

	it("contain and overlap each other as numbers and the platform's own list say", () => {
		const seen = { overlapping: 0, containing: 0 };
		for (let round = 0; round < 20_000; round++) {
			const family = random(2) === 0 ? 4 : 6;
			const [one, two] = [network(family), network(family)];
			const [a, b] = [range(one), range(two)];
			const told = `${formatNetwork(one)} ${formatNetwork(two)}`;
			expect(overlaps(one, two), told).toBe(a.first <= b.last && b.first <= a.last);
			expect(contains(one, two), told).toBe(a.first <= b.first && b.last <= a.last);
			if (overlaps(one, two)) seen.overlapping++;
			if (contains(one, two)) seen.containing++;
			if (round % 20 !== 0) continue;
			const list = new BlockList();
			const single = { ...two, prefix: family === 4 ? 32 : 128 };
			list.addSubnet(formatNetwork({ ...one, prefix: single.prefix }), one.prefix, `ipv${family}`);
			expect(list.check(formatNetwork(single), `ipv${family}`), told).toBe(contains(one, single));
		}
		expect(seen.overlapping).toBeGreaterThan(2000);
		expect(seen.containing).toBeGreaterThan(1000);
	});

	it("carry in IPv6 exactly the IPv4 addresses that are written in it", () => {
		let carrying = 0;
		for (let round = 0; round < 20_000; round++) {
			const outer = network(6);
			const inner = { family: 4, words: [word()], prefix: 32 } as const;
			const [four = 0] = inner.words;
			const written = [
				...[
					[0, 0, 0xffff],
					[0, 0, 0],
					[0x64ff9b, 0, 0],
				].map((start) => [...start, four]),
				[(0x20020000 | (four >>> 16)) >>> 0, ((four & 0xffff) << 16) >>> 0, 0, 0],
			].map((words) => range({ family: 6, words, prefix: 128 }).first);
			const { first, last } = range(outer);
			// A 6to4 address stands for its whole /48.
			const expected = written.some((one, index) => {
				const end = index === 3 ? one + (1n << 80n) - 1n : one;
				return first <= end && one <= last;
			});
			const local = overlaps(outer, { family: 6, words: [0x64ff9b, 0x10000, 0, 0], prefix: 48 });
			const got = carried4(outer).some((one) => contains(one, inner));
			if (expected) carrying++;
			if (!local) expect(got, `${formatNetwork(outer)} ${formatNetwork(inner)}`).toBe(expected);
			else if (expected) expect(got).toBe(true);
		}
		expect(carrying).toBeGreaterThan(1000);
	});
});
