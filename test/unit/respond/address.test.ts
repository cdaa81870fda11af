import { isIP } from "node:net";
import { describe, expect, it } from "vitest";
import {
	contains,
	containsBytes,
	formatNetwork,
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
