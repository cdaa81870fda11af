import { describe, expect, it } from "vitest";
import { createInbound } from "../../../agent/respond/inbound.ts";

const inet = 2;
const inet6 = 10;
const words = (last: number) => [0, 0, 0xffff, (0xc6336400 | last) >>> 0];

function host(ignored?: (port: number) => boolean) {
	let now = 100 * 60_000;
	const inbound = createInbound(() => now, ignored);
	return {
		fronts: (last: number) => inbound.fronts(words(last)),
		all: () => inbound.all(),
		from(last: number, times: number, port = 443) {
			const bytes = Uint8Array.of(9, 198, 51, 100, last);
			for (let index = 0; index < times; index++) inbound.count(inet, bytes, 1, port);
		},
		from6(bytes: Uint8Array, times: number) {
			for (let index = 0; index < times; index++) inbound.count(inet6, bytes, 0, 443);
		},
		minute() {
			now += 60_000;
		},
	};
}

describe("the address that most connections come from", () => {
	it("is known after 20 of them", () => {
		const { from, fronts, all } = host();
		from(7, 19);
		expect(fronts(7)).toBe(false);
		from(7, 1);
		expect(fronts(7)).toBe(true);
		expect(all()).toEqual([words(7)]);
	});

	it("is none when none has more than half", () => {
		const { from, fronts, all } = host();
		from(7, 30);
		from(8, 30);
		expect(fronts(7) || fronts(8)).toBe(false);
		from(7, 1);
		expect(fronts(7)).toBe(true);
		expect(all()).toEqual([words(7)]);
	});

	it("is found among more clients than the table has room for", () => {
		const { from, fronts } = host();
		for (let index = 0; index < 200; index++) {
			from(7, 2);
			from(20 + index, 1);
		}
		expect(fronts(7)).toBe(true);
		expect(fronts(20)).toBe(false);
	});

	it("is not an attacker who floods for a minute, and a flood does not hide the proxy", () => {
		const { from, fronts, minute } = host();
		for (let index = 0; index < 8; index++) {
			from(7, 10);
			minute();
		}
		from(66, 10_000);
		expect(fronts(66)).toBe(false);
		expect(fronts(7)).toBe(true);
	});

	it("is forgotten ten minutes later", () => {
		const { from, fronts, minute } = host();
		from(7, 100);
		for (let index = 0; index < 9; index++) minute();
		expect(fronts(7)).toBe(true);
		minute();
		expect(fronts(7)).toBe(false);
	});

	it("is not told from ports that nobody balances", () => {
		const { from, fronts } = host((port) => port === 22);
		from(7, 100, 22);
		expect(fronts(7)).toBe(false);
	});

	it("is the same whether the socket was IPv4 or dual-stack", () => {
		const { from, from6, fronts } = host();
		from(7, 10);
		from6(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 198, 51, 100, 7), 10);
		expect(fronts(7)).toBe(true);
	});
});
