import { describe, expect, it } from "vitest";
import { decodeRefusal } from "../../../agent/capture/refusal-records.ts";
import { compileRule, decodeRule, encodeRule } from "../../../agent/capture/refusal-tables.ts";
import { parseNetwork } from "../../../agent/model/address.ts";
import { refusalNetworkKey, refusalPorts } from "../../../agent/model/layout-refusal.ts";
import type { PeerMatch, RefusalRule } from "../../../agent/model/refusal.ts";

const rule = (what: RefusalRule["what"], more: Partial<RefusalRule> = {}): RefusalRule => ({
	id: "policy/web/deny",
	mode: "enforce",
	where: [7],
	what,
	deadline: 0,
	...more,
});
const peer = (network: string | undefined, lowPort = 0, highPort = 65535): PeerMatch => ({
	network: network === undefined ? undefined : parseNetwork(network),
	lowPort,
	highPort,
});

describe("a rule in the kernel's tables", () => {
	it.each([
		["a path that is not absolute", { by: "path", path: "bin/sh" }, "absolute path"],
		["a directory without its slash", { by: "directory", path: "/bin" }, "/ at its end"],
		["a path that is too long", { by: "path", path: `/${"x".repeat(251)}` }, "name the program by its inode"],
		["a name with a slash", { by: "name", name: "a/b" }, "give a path"],
		["a name that is too long", { by: "name", name: "x".repeat(59) }, "give a path"],
	] as const)("cannot be %s", (_, match, words) => {
		expect(() => compileRule(rule({ kind: "exec", deny: [match] }))).toThrow(words);
	});

	it("cannot isolate the host, nor name what is no cgroup, nor have a name without end", () => {
		expect(() => compileRule(rule({ kind: "isolate" }, { where: "host" }))).toThrow("never isolated");
		expect(() => compileRule(rule({ kind: "isolate" }, { where: [0] }))).toThrow("above 0");
		expect(() => compileRule(rule({ kind: "isolate" }, { id: "x".repeat(208) }))).toThrow("too long");
		expect(compileRule(rule({ kind: "isolate" }, { id: "x".repeat(207) })).cgroups).toEqual([7]);
	});

	it("says of a network what the wider ones say too, ports put together", () => {
		const deny = [
			peer("10.0.0.0/8", 80, 90),
			peer("10.1.0.0/16", 91, 100),
			peer(undefined, 53, 53),
			peer("::/0", 1, 2),
		];
		const found = compileRule(rule({ kind: "egress", deny }))
			.entries(3)
			.map(({ key, value }) => ({
				bits: key.readUInt32LE(refusalNetworkKey.prefixBits),
				ranges: Array.from({ length: value.readUInt32LE(refusalPorts.count) * 2 }, (_, index) =>
					value.readUInt16LE(refusalPorts.ranges + index * 2),
				),
			}));
		expect(found).toEqual([
			{ bits: 64 + 8, ranges: [53, 53, 80, 90] },
			{ bits: 64 + 16, ranges: [53, 53, 80, 100] },
			{ bits: 32, ranges: [53, 53] },
			{ bits: 64, ranges: [1, 2, 53, 53] },
		]);
		const many = Array.from({ length: 16 }, (_, index) => peer("10.0.0.1", index * 10, index * 10 + 1));
		expect(() => compileRule(rule({ kind: "egress", deny: many }))).toThrow("15 ranges");
	});

	it("comes out of its record as it went in", () => {
		const record = {
			deadline: 123_456_789_012n,
			generation: 5,
			kind: 1,
			flags: 6,
			owner: "policy",
			id: "ä/b",
		};
		expect(decodeRule(encodeRule(record))).toEqual(record);
	});
});

it("a record of a refusal is read whatever it holds", () => {
	expect(decodeRefusal(new Uint8Array(0), () => undefined)).toMatchObject({ id: "unknown (0)", path: "" });
	expect(decodeRefusal(new Uint8Array(90).fill(255), () => "rule")).toMatchObject({
		id: "rule",
		refused: true,
	});
});
