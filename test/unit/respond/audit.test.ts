import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openAudit, verifyAudit } from "../../../agent/respond/audit.ts";
import { openLedger } from "../../../agent/respond/ledger.ts";
import { createRateLimit } from "../../../agent/respond/limit.ts";
import { makeRoot } from "./host.ts";

const clock = () => Date.parse("2026-01-02T03:04:05Z");
const read = (file: string) => readFileSync(file, "utf8");

describe("the audit", () => {
	const make = () => join(makeRoot(), "state", "audit.jsonl");

	it("is a chain that goes on over restarts, readable by its owner only", () => {
		const file = make();
		for (const name of ["first", "second"]) {
			const audit = openAudit(file, clock);
			audit.append({ stage: "intent", name });
			audit.append({ stage: "outcome", name });
			audit.close();
		}
		expect(verifyAudit(read(file))).toEqual({ entries: 4, torn: [], broken: undefined });
		expect(statSync(file).mode & 0o777).toBe(0o600);
		const numbers = read(file)
			.trim()
			.split("\n")
			.map((line) => (JSON.parse(line) as { number: number }).number);
		expect(numbers).toEqual([1, 2, 3, 4]);
	});

	it("shows an altered, a removed and an added line", () => {
		const file = make();
		const audit = openAudit(file, clock);
		for (const target of ["a", "b", "c"]) audit.append({ stage: "intent", target });
		audit.close();
		const lines = read(file).trim().split("\n");
		const altered = lines.map((line) => line.replace('"target":"b"', '"target":"x"')).join("\n");
		expect(verifyAudit(altered).broken).toMatchObject({
			line: 2,
			reason: expect.stringContaining("altered"),
		});
		expect(verifyAudit([lines[0], lines[2]].join("\n")).broken).toMatchObject({ line: 2 });
		expect(verifyAudit([lines[0], lines[0], ...lines.slice(1)].join("\n")).broken).toMatchObject({ line: 2 });
		expect(verifyAudit(`${lines[0]}\nnonsense\n${lines[1]}\n`).broken).toMatchObject({ line: 2 });
		expect(verifyAudit("")).toEqual({ entries: 0, torn: [], broken: undefined });
	});

	it("tells of a line torn by a crash and goes on after it", () => {
		const file = make();
		const audit = openAudit(file, clock);
		audit.append({ stage: "intent", target: "a" });
		audit.close();
		appendFileSync(file, '{"number":2,"ti');
		const next = openAudit(file, clock);
		next.append({ stage: "intent", target: "b" });
		next.close();
		expect(verifyAudit(read(file))).toEqual({ entries: 3, torn: [2], broken: undefined });
		expect(read(file).split("\n")[2]).toContain("torn");
	});

	it("is continued in order by two writers in turn, as when release is run by hand", () => {
		const file = make();
		const daemon = openAudit(file, clock);
		const byHand = openAudit(file, clock);
		for (const writer of [daemon, byHand, daemon, byHand]) writer.append({ stage: "note" });
		expect(verifyAudit(read(file))).toEqual({ entries: 4, torn: [], broken: undefined });
	});
});

describe("the ledger", () => {
	const entry = {
		kind: "block",
		target: "203.0.113.9",
		targetName: "203.0.113.9",
		actionId: "1",
		requester: "cli",
		reason: "",
		alertId: "",
		since: 1,
		expires: 2,
	} as const;

	it("remembers what is in force, over restarts of the sensor but not of the host", () => {
		const file = join(makeRoot(), "responses.json");
		openLedger(file, "boot-1").put(entry);
		const same = openLedger(file, "boot-1");
		expect(same.entries()).toEqual([entry]);
		expect(same.notice).toBeUndefined();
		const other = openLedger(file, "boot-2");
		expect(other.entries()).toEqual([]);
		expect(other.notice).toContain("earlier boot");
		same.remove("block", entry.target);
		expect(openLedger(file, "boot-1").entries()).toEqual([]);
	});

	it.each(["", "{", "[]", '{"version":2}', '{"version":1,"bootId":"b","entries":[{"kind":"rm"}]}'])(
		"that holds %j is set aside and told",
		(text) => {
			const file = join(makeRoot(), "responses.json");
			writeFileSync(file, text);
			const ledger = openLedger(file, "b");
			expect(ledger.entries()).toEqual([]);
			expect(ledger.notice).toContain("picket release --all");
			expect(read(`${file}.unreadable`)).toBe(text);
			ledger.put(entry);
			expect(openLedger(file, "b").entries()).toHaveLength(1);
		},
	);
});

describe("the rate limit", () => {
	it("allows so many in any minute", () => {
		let now = 0;
		const limit = createRateLimit(2, () => now);
		expect([limit.take(), limit.take(), limit.take()]).toEqual([true, true, false]);
		now = 59_999;
		expect(limit.take()).toBe(false);
		now = 60_000;
		expect([limit.take(), limit.take(), limit.take()]).toEqual([true, true, false]);
		limit.giveBack();
		expect(limit.take()).toBe(true);
	});
});
