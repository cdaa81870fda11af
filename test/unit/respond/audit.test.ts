import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openAudit } from "../../../agent/respond/audit.ts";
import { interruptedActs, verifyAudit, verifyAuditFile } from "../../../agent/respond/audit-read.ts";
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
		expect(verifyAudit(read(file))).toMatchObject({ entries: 4, torn: [], broken: undefined });
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
		expect(verifyAudit("")).toMatchObject({ entries: 0, torn: [], broken: undefined });
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
		expect(verifyAudit(read(file))).toMatchObject({ entries: 3, torn: [2], broken: undefined });
		expect(read(file).split("\n")[2]).toContain("torn");
	});

	it("is continued in order by two writers in turn, as when release is run by hand", () => {
		const file = make();
		const daemon = openAudit(file, clock);
		const byHand = openAudit(file, clock);
		for (const writer of [daemon, byHand, daemon, byHand]) writer.append({ stage: "note" });
		expect(verifyAudit(read(file))).toMatchObject({ entries: 4, torn: [], broken: undefined });
	});

	it("takes many entries with one write, all of them or none", () => {
		const file = make();
		const audit = openAudit(file, clock);
		audit.appendAll(Array.from({ length: 100 }, (_, index) => ({ stage: "intent", index })));
		const tooLong = { stage: "note", text: "x".repeat(70_000) } as const;
		expect(() => audit.appendAll([{ stage: "note" }, tooLong])).toThrow("above");
		audit.append({ stage: "note" });
		expect(verifyAudit(read(file))).toMatchObject({ entries: 101, broken: undefined });
	});

	it("of any size is walked from its file to the same result", async () => {
		const file = make();
		const audit = openAudit(file, clock);
		for (const target of ["a", "b", "c"]) audit.append({ stage: "intent", target });
		appendFileSync(file, '{"number":4,"ti');
		expect(await verifyAuditFile(file)).toEqual(verifyAudit(read(file)));
		expect(await verifyAuditFile(file)).toMatchObject({ entries: 3, torn: [4], broken: undefined });
		writeFileSync(file, read(file).replace('"b"', '"x"'));
		expect(await verifyAuditFile(file)).toMatchObject({ entries: 1, broken: { line: 2 } });
		await expect(verifyAuditFile(`${file}.no`)).rejects.toThrow("ENOENT");
	});

	it("tells which acts were announced and never told of again", () => {
		const file = make();
		expect(interruptedActs(file)).toEqual([]);
		const audit = openAudit(file, clock);
		const order = { kind: "unblock", address: "203.0.113.9" };
		for (const id of ["1", "2", "3"]) audit.append({ stage: "intent", action: { id }, order, arrived: 7 });
		audit.append({ stage: "outcome", action: { id: "2" } });
		appendFileSync(file, '{"number":5,"stage":"outcome","act');
		expect(interruptedActs(file)).toEqual([
			{ action: { id: "1" }, order, arrived: 7 },
			{ action: { id: "3" }, order, arrived: 7 },
		]);
	});
});
