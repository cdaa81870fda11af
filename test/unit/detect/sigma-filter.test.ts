// Sigma filters: a site's additions to rules that others wrote.
import { describe, expect, it } from "vitest";
import { fired, load } from "./rig.ts";
import { ran, sigmaText } from "./sigma-rig.ts";

const id = "0f0c1c52-5f52-4d0c-8d55-6c8f1f6b8a01";
const rule = sigmaText({ s: { "Image|endswith": "/curl" }, condition: "s" }, { id, name: "curl_ran" });
const backup = { "CommandLine|contains": "backup" };

function withFilter(filter: unknown, more: Readonly<Record<string, unknown>> = {}) {
	const logsource = { product: "linux", category: "process_creation" };
	return load(`${rule}\n---\n${JSON.stringify({ title: "f", logsource, filter, ...more })}`);
}
const runs = (set: ReturnType<typeof load>) => ({
	backup: fired(set, ran(["curl", "backup"], "/usr/bin/curl")).length,
	other: fired(set, ran(["curl", "x"], "/usr/bin/curl")).length,
});

describe("a filter", () => {
	it.each([[[id]], [[id.toUpperCase(), "x"]], [["curl_ran"]], ["any"], [id]])(
		"of %j takes matches away",
		(rules) => {
			const set = withFilter({ rules, s: backup, condition: "not s" });
			expect(set.problems).toEqual([]);
			expect(runs(set)).toEqual({ backup: 0, other: 1 });
		},
	);

	it("may stand before its rule, in another file", () => {
		const filter = { rules: [id], s: backup, condition: "not s" };
		const text = JSON.stringify({ title: "f", logsource: { category: "process_creation" }, filter });
		expect(runs(load(`${text}\n---\n${rule}`))).toEqual({ backup: 0, other: 1 });
	});

	it("that is not negated keeps only what it selects, and that is warned of", () => {
		const set = withFilter({ rules: "any", s: backup, condition: "s" });
		expect(runs(set)).toEqual({ backup: 1, other: 0 });
		expect(set.problems).toMatchObject([{ level: "warning", where: "filter f", line: 3 }]);
	});

	it.each([
		["another rule", { rules: ["x"] }, {}],
		["another log source", { rules: "any" }, { logsource: { category: "file_event" } }],
		["another product", { rules: [id] }, { logsource: { product: "windows" } }],
	])("of %s changes nothing, and that is warned of", (_, which, more) => {
		const set = withFilter({ ...which, s: backup, condition: "not s" }, more);
		expect(runs(set)).toEqual({ backup: 1, other: 1 });
		expect(set.problems).toMatchObject([{ level: "warning", message: "the filter applies to no rule" }]);
	});

	it.each<[filter: unknown, message: RegExp]>([
		[{ s: backup, condition: "not s" }, /names no rules/],
		[{ rules: "any", s: backup }, /there is no condition/],
		[{ rules: "any", s: backup, condition: "not t" }, /no selection is named t/],
		[{ rules: "any", s: { "Image|foo": "x" }, condition: "not s" }, /no modifier foo/],
		["x", /names no rules/],
	])("%j is told, and its rules are as without it", (filter, message) => {
		const set = withFilter(filter);
		expect(set.problems).toMatchObject([
			{ level: "error", line: 3, where: "filter f", message: expect.stringMatching(message) },
		]);
		expect(runs(set)).toEqual({ backup: 1, other: 1 });
	});

	it("that asks for what no event has says so at its rules", () => {
		const set = withFilter({ rules: "any", s: { Hashes: "x" }, condition: "not s" });
		expect(set.rules).toMatchObject([
			{ status: "degraded", reasons: ["filter f: these fields are never set: Hashes"] },
		]);
		expect(runs(set)).toEqual({ backup: 1, other: 1 });
	});
});
