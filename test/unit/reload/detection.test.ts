// What changes from one rule set to the next, and that changes made at the same time do not undo each other.
import { describe, expect, it } from "vitest";
import { compareForms, formsOf } from "../../../agent/detect/compare.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import { finish, finishInTurns } from "../../../agent/detect/steps.ts";
import { detectionOf, file, policyOf, rule } from "./rig.ts";

describe("two rule sets", () => {
	const forms = (text: string) => finish(formsOf(loadRules([file(text)])));
	const compare = (before: string, after: string) => compareForms(forms(before), forms(after));
	const none = { came: [], went: [], changed: [] };

	it("differ in the rules that came and went, a mistake and its mending among them", () => {
		const [a, b] = [rule("A", "proc.name = a"), rule("B", "proc.name = b")];
		expect(compare(a, b)).toEqual({ came: ["B"], went: ["A"], changed: [] });
		expect(compare(a + b, a + rule("B", "proc.nmae = b"))).toEqual({ ...none, went: ["B"] });
	});

	it("are the same when only comments, spaces or the order change", () => {
		const [a, b] = [rule("A", "proc.name = a"), rule("B", "proc.name = b")];
		expect(compare(a + b, `# words\n${b}\n${a}`)).toEqual(none);
	});

	it.each([
		["its condition", rule("A", "proc.name = b")],
		["what it says", rule("A", "proc.name = a", "  tags: [T1003]\n")],
		["its being enabled", rule("A", "proc.name = a", "  enabled: false\n")],
		[
			"an exception",
			rule("A", "proc.name = a", "  exceptions: [{name: e, fields: [proc.pname], values: [[x]]}]\n"),
		],
	])("differ in a rule by %s", (_, after) => {
		expect(compare(rule("A", "proc.name = a"), after)).toEqual({ ...none, changed: ["A"] });
	});

	it("differ in a rule by a macro and a list that it uses", () => {
		const text = (macro: string, list: string) =>
			`- list: l\n  items: [${list}]\n- macro: m\n  condition: ${macro}\n${rule("A", "m and proc.name in (l)")}`;
		const before = text("proc.pname = x", "a");
		expect(compare(before, text("proc.pname = y", "a"))).toEqual({ ...none, changed: ["A"] });
		expect(compare(before, text("proc.pname = x", "a, b"))).toEqual({ ...none, changed: ["A"] });
	});
});

describe("a change", () => {
	it("that was overtaken by another one is made again on top of it", async () => {
		const detection = detectionOf(file(rule("A", "proc.name = a")));
		const rules = loadRules([file(rule("B", "proc.name = b"))]);
		const both = Promise.all([
			detection.change(() => ({ rules }), detection.adopt),
			detection.change(() => ({ suspended: new Set(["B"]) }), detection.adopt),
		]);
		const policy = policyOf("mode: observe\n");
		detection.adopt(detection.withPolicy(policy));
		await both;
		const now = detection.current();
		expect(now.rules).toBe(rules);
		expect(now.policy).toBe(policy);
		expect([...now.suspended]).toEqual(["B"]);
	});

	it("of which adopting fails leaves everything as it was", async () => {
		const detection = detectionOf(file(rule("A", "proc.name = a")));
		const before = detection.current();
		const refuse = () => {
			throw new Error("refused");
		};
		await expect(detection.change(() => ({ suspended: new Set(["A"]) }), refuse)).rejects.toThrow("refused");
		expect(detection.current()).toBe(before);
	});

	it("asks the kernel for nothing that only a suspended rule wants", async () => {
		const detection = detectionOf(
			file(rule("A", "evt.type = connect") + rule("B", "evt.type = execve and proc.name = b")),
		);
		expect([...detection.current().interest.kinds]).toContain("connect");
		await detection.change(() => ({ suspended: new Set(["A"]) }), detection.adopt);
		expect([...detection.current().interest.kinds]).not.toContain("connect");
		expect([...detection.current().interest.kinds]).toContain("exec");
	});
});

describe("long work", () => {
	it("lets others have their turn between its steps, and gives its result", async () => {
		let turns = 0;
		const count = () => {
			turns++;
			waiting = setImmediate(count);
		};
		let waiting = setImmediate(count);
		function* work(): Generator<void, number> {
			for (let i = 0; i < 20; i++) {
				const until = performance.now() + 1;
				while (performance.now() < until);
				yield;
			}
			return 7;
		}
		expect(await finishInTurns(work(), 2)).toBe(7);
		clearImmediate(waiting);
		expect(turns).toBeGreaterThan(3);
	});
});
