import { appendFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Entry, openLedger } from "../../../agent/respond/ledger.ts";
import { makeRoot } from "./host.ts";

const read = (file: string) => readFileSync(file, "utf8");
const entryOf = (target: string, more: Partial<Entry> = {}): Entry => ({
	kind: "block",
	target,
	targetName: target,
	actionId: "1",
	requester: "cli",
	reason: "",
	alertId: "",
	since: 1,
	expires: 2,
	...more,
});
const entry = entryOf("203.0.113.9");
const fileOf = (folder: string) => join(folder, "responses.ledger");
const lineCount = (folder: string) => read(fileOf(folder)).split("\n").length - 1;

describe("the ledger", () => {
	it("remembers what is in force, over restarts of the sensor but not of the host", () => {
		const folder = join(makeRoot(), "state");
		const first = openLedger(folder, "boot-1");
		expect(existsSync(folder)).toBe(false);
		first.put(entry);
		first.put(entryOf("2001:db8::9", { reason: 'a "quoted" line\nand one more .' }));
		const same = openLedger(folder, "boot-1");
		expect(same.entries()).toEqual(first.entries());
		expect(same.notice).toBeUndefined();
		expect(statSync(fileOf(folder)).mode & 0o777).toBe(0o600);
		const other = openLedger(folder, "boot-2");
		expect(other.entries()).toEqual([]);
		expect(other.notice).toContain("2 responses of an earlier boot");
		same.removeAll(same.entries());
		expect(openLedger(folder, "boot-1").entries()).toEqual([]);
	});

	it("keeps over a restart of the host what the container engine keeps", () => {
		const folder = makeRoot();
		const networks = [{ network: "shop net", ipv4: "10.1.1.1", ipv6: "", aliases: ["web", "a,b|c"] }];
		const disconnect = entryOf("ab".repeat(32), { kind: "disconnect", networks });
		openLedger(folder, "boot-1").putAll([entry, disconnect]);
		const later = openLedger(folder, "boot-2");
		expect(later.entries()).toEqual([disconnect]);
		later.remove("block", "203.0.113.1");
		later.put(entryOf("203.0.113.2"));
		expect(openLedger(folder, "boot-2").entries()).toHaveLength(2);
	});

	it("writes words that plain shell reads back with printf %b", () => {
		const folder = makeRoot();
		const networks = [
			{ network: "net-1", ipv4: "", ipv6: "", aliases: ["é|,\\"] },
			{ network: "net-2", ipv4: "10.1.1.1", ipv6: "fd00::1", aliases: [] },
		];
		openLedger(folder, "b").put(entryOf("x", { kind: "disconnect", networks }));
		const words = read(fileOf(folder)).split("\n")[1]?.split(" ") ?? [];
		expect(words.slice(0, 5)).toEqual([
			"+",
			"disconnect",
			"2",
			"x",
			"net-1|||\\0303\\0251\\0174\\0054\\0134,net-2|10.1.1.1|fd00::1",
		]);
	});

	it("costs a line for a change, and is written anew when most of it is history", () => {
		const folder = makeRoot();
		const ledger = openLedger(folder, "b");
		const many = Array.from({ length: 10_000 }, (_, index) => entryOf(`10.0.${index >> 8}.${index & 255}`));
		ledger.putAll(many);
		expect(ledger.count("block")).toBe(10_000);
		const size = statSync(fileOf(folder)).size;
		const { ino } = statSync(fileOf(folder));
		ledger.put(entry);
		expect(statSync(fileOf(folder)).ino).toBe(ino);
		expect(statSync(fileOf(folder)).size - size).toBeLessThan(400);
		ledger.removeAll(many);
		ledger.put(entryOf("203.0.113.10"));
		expect(lineCount(folder)).toBeLessThan(10);
		expect(openLedger(folder, "b").entries()).toEqual(ledger.entries());
		for (let round = 0; round < 1500; round++) ledger.put(entry);
		expect(lineCount(folder)).toBeLessThanOrEqual(1002);
	});

	it("forgets half a line, and never takes it for another", () => {
		const folder = makeRoot();
		openLedger(folder, "b").putAll([entryOf("203.0.113.4"), entryOf("203.0.113.45")]);
		// A removal of .45, torn; then somebody else's whole line.
		appendFileSync(fileOf(folder), "- block 203.0.113.4\n");
		appendFileSync(fileOf(folder), "+ block 2 203.0.113.7");
		const ledger = openLedger(folder, "b");
		expect(ledger.entries()).toHaveLength(2);
		expect(ledger.notice).toContain("2 lines");
		ledger.remove("block", "203.0.113.45");
		const again = openLedger(folder, "b");
		expect(again.entries()).toMatchObject([{ target: "203.0.113.4" }]);
		expect(again.notice).toBeUndefined();
	});

	it("takes over the form of version 1", () => {
		const folder = makeRoot();
		const older = join(folder, "responses.json");
		writeFileSync(older, JSON.stringify({ version: 1, bootId: "b", entries: [entry] }));
		const ledger = openLedger(folder, "b");
		expect(ledger.entries()).toEqual([entry]);
		expect(existsSync(older)).toBe(true);
		ledger.put(entryOf("203.0.113.10"));
		expect(existsSync(older)).toBe(false);
		expect(openLedger(folder, "b").entries()).toHaveLength(2);
	});

	it("takes nothing for done that the disk refused", () => {
		const folder = makeRoot({ state: "a file where the folder should be" });
		// Not a folder: nothing can be read from it and nothing written.
		const ledger = openLedger(join(folder, "state"), "b");
		expect(() => ledger.putAll([entry, entryOf("203.0.113.10")])).toThrow();
		expect(ledger.entries()).toEqual([]);
		expect(ledger.count("block")).toBe(0);
	});

	it.each(["", "{", "picket-responses 3 b\n"])("that holds %j is set aside and told", (text) => {
		const folder = makeRoot();
		writeFileSync(fileOf(folder), text);
		const ledger = openLedger(folder, "b");
		expect(ledger.entries()).toEqual([]);
		expect(ledger.notice).toContain("picket release --all");
		expect(read(`${fileOf(folder)}.unreadable`)).toBe(text);
		ledger.put(entry);
		expect(openLedger(folder, "b").entries()).toHaveLength(1);
	});

	it.each(["[]", '{"version":2}', '{"version":1,"bootId":"b","entries":[{"kind":"rm"}]}'])(
		"of version 1 that holds %j is set aside as well",
		(text) => {
			const folder = makeRoot();
			writeFileSync(join(folder, "responses.json"), text);
			expect(openLedger(folder, "b").notice).toContain("picket release --all");
			expect(read(join(folder, "responses.json.unreadable"))).toBe(text);
		},
	);
});
