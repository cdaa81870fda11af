// How content comes in force and out of it: the order, the probation, and what a failure leaves.
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { ContentRefusal } from "../../../agent/delivered/model.ts";
import { contentFolder, openStore } from "../../../agent/delivered/store.ts";
import { makeKeys, signContent } from "../../../agent/delivered/verify.ts";
import { bundleOf, rule, takeoverRig } from "./rig.ts";

const made: ReturnType<typeof takeoverRig>[] = [];
afterEach(() => {
	for (const { takeover, rig } of made.splice(0)) {
		takeover.close(true);
		rmSync(rig.folder, { recursive: true, force: true });
	}
});
function start(...given: Parameters<typeof takeoverRig>) {
	const one = takeoverRig(...given);
	made.push(one);
	return one;
}
const rulesOf = (version: number, name = `V${version}`) =>
	bundleOf("rules", version, rule(name, `evt.type = execve and proc.name = v${version}`));

describe("content", () => {
	it("is in force beside what is local, on the disk, in the audit, and after a restart", async () => {
		const { rig, apply, rules, takeover } = start();
		expect(await apply(rulesOf(3))).toMatchObject({
			accepted: true,
			message: expect.stringMatching(
				/^rules version 3 by test are in force, on probation for 5 minutes: 1 rules; .*1 rules came, 0 went/,
			),
		});
		expect(rules()).toEqual(["V3", "Local"]);
		expect(takeover.states()).toMatchObject([
			{ kind: "rules", version: "3", previous: "0", highest: "3", author: "test" },
		]);
		expect(rig.audit).toMatchObject([
			{ stage: "intent", content: "rules", version: 3, requester: "console:test", commandId: "1" },
			{ stage: "outcome", version: 3 },
		]);
		const again = openStore(contentFolder(rig.folder), rig.trust);
		expect(again.inForce().files.map(({ path }) => path)).toEqual([
			join(rig.folder, "content/rules/3/files/rules.yaml"),
		]);
		expect(again.describe()).toBe("rules 3");
	});

	it("is taken once, and none that is older, also after a restart", async () => {
		const { rig, apply, rules } = start();
		await apply(rulesOf(3));
		for (const version of [3, 2])
			expect(await apply(rulesOf(version, "Old"))).toMatchObject({
				accepted: false,
				message: `refused: version ${version} of rules is not above 3, which this host has had: give it a higher one`,
			});
		expect(rules()).toEqual(["V3", "Local"]);
		expect(openStore(contentFolder(rig.folder), rig.trust).state("rules").highest).toBe(3);
	});

	it("without a grant, a trusted signature or a sound trial leaves everything as it was", async () => {
		const { rig, apply, rules, takeover } = start();
		rig.granted = ["apply_intel"];
		expect((await apply(rulesOf(1))).message).toBe("refused: apply_rules is not granted");
		rig.granted = [];
		expect((await apply(rulesOf(1))).message).toMatch(/apply_rules is not granted; .*apply_intel/);
		rig.granted = ["apply_rules"];
		const { bytes } = rulesOf(1);
		expect((await apply({ bytes, signature: signContent(bytes, makeKeys().privateKey) })).message).toMatch(
			/none of the keys/,
		);
		expect((await apply({ bytes, signature: Buffer.alloc(0) })).message).toMatch(/not signed/);
		expect((await apply(bundleOf("rules", 1, rule("All", "evt.type = execve")))).message).toMatch(
			/rule All matches/,
		);
		expect(rules()).toEqual(["Local"]);
		expect(takeover.states()).toEqual([]);
		expect(rig.audit).toHaveLength(5);
		expect((await apply(rulesOf(1))).accepted).toBe(true);
	});

	it("that a trial of ours let through wrongly is refused all the same", async () => {
		const files = [{ name: "a.yaml", text: rule("A", "proc.name = a") }];
		const lie = { kind: "policy", version: 1, created: 0, author: "", files } as const;
		const { rig, apply, rules } = start(async () => ({ bundle: lie, findings: [] }));
		rig.granted = ["apply_rules"];
		expect((await apply(rulesOf(1))).message).toBe("refused: apply_policy is not granted");
		rig.granted = ["apply_policy"];
		expect((await apply(rulesOf(1))).message).toMatch(/the policy has errors/);
		expect(rules()).toEqual(["Local"]);
	});

	it("comes one at a time", async () => {
		const gate = Promise.withResolvers<void>();
		const { apply } = start(async () => {
			await gate.promise;
			throw new ContentRefusal("no");
		});
		const first = apply(rulesOf(1));
		expect((await apply(rulesOf(2))).message).toMatch(/other content is being taken over/);
		gate.resolve();
		expect((await first).message).toBe("refused: no");
	});

	it("that cannot be put in force leaves the version before, on the disk, too", async () => {
		const { rig, apply, rules, onAdopt } = start();
		await apply(rulesOf(1));
		onAdopt(() => {
			throw new ContentRefusal("the kernel does not take it");
		});
		expect(await apply(rulesOf(2))).toMatchObject({
			accepted: false,
			message: "refused: the kernel does not take it",
		});
		onAdopt(undefined);
		expect(rules()).toEqual(["V1", "Local"]);
		expect(openStore(contentFolder(rig.folder), rig.trust).describe()).toBe("rules 1");
		// It may be tried again: what kept it out may be gone.
		expect((await apply(rulesOf(2))).accepted).toBe(true);
	});

	it("of all kinds stands side by side, and a policy never takes what the local one says", async () => {
		const { apply, rules, detection } = start();
		await apply(bundleOf("intel", 1, "- list: bad_names\n  items: [evil]\n"));
		const uses = bundleOf("rules", 1, rule("Uses", "evt.type = execve and proc.name in (bad_names)"));
		expect(await apply(uses)).toMatchObject({ accepted: true });
		const policy =
			"mode: off\nscopes: [{name: theirs, scope: host, processes: {deny: [/opt/x]}}]\nconsole: {may: [kill]}\n";
		expect(await apply(bundleOf("policy", 9, policy))).toMatchObject({ accepted: true });
		expect(rules()).toEqual(["Uses", "Local"]);
		const inForce = detection.current().policy.policy;
		expect(inForce).toMatchObject({
			file: "/policy.yaml",
			mode: undefined,
			scopes: [{ name: "theirs", mode: "off" }],
		});
		expect(inForce.console.may).not.toEqual(["kill"]);
	});
});

describe("probation", () => {
	it("ends after five minutes when nothing speaks against it", async () => {
		const { apply, takeover, pass, rules, rig } = start();
		for (let i = 0; i < 6; i++) await pass(0.5, 1000, 0);
		await apply(rulesOf(1));
		for (let i = 0; i < 29; i++) await pass(0.5, 1000, 1);
		expect(takeover.states()[0]?.probationUntil).toBeDefined();
		for (let i = 0; i < 2; i++) await pass(0.5, 1000, 1);
		expect(takeover.states()[0]?.probationUntil).toBeUndefined();
		// What comes afterwards is the business of limits and demotion.
		for (let i = 0; i < 6; i++) await pass(9, 1000, 1000);
		expect(rules()).toEqual(["V1", "Local"]);
		expect(rig.alerts).toEqual([]);
	});

	it.each([
		["matches", [0.5, 1000, 100, 1], /it matches 600 times a minute, 0 before/],
		["takes CPU time", [6, 1000, 0, 1], /the sensor takes 60 % of a core, 5 % before/],
		["holds up the loop", [0.5, 1000, 0, 900], /the event loop is 900 ms late, 1 ms before/],
	] as [string, [number, number, number, number], RegExp][])(
		"ends at once for content that %s, with an alert and the version before",
		async (_, load, reason) => {
			const { apply, takeover, pass, rules, rig } = start();
			await apply(rulesOf(1));
			for (let i = 0; i < 31; i++) await pass(0.5, 1000, 0);
			await apply(rulesOf(2));
			expect(rules()).toEqual(["V2", "Local"]);
			// One look has nothing to compare with, and a judgement takes half a minute.
			for (let i = 0; i < 3; i++) await pass(...load);
			expect(rules()).toEqual(["V2", "Local"]);
			await pass(...load);
			expect(rules()).toEqual(["V1", "Local"]);
			expect(rig.alerts).toMatchObject([{ rule: "picket/content", summary: expect.stringMatching(reason) }]);
			expect(takeover.states()).toMatchObject([
				{ version: "1", highest: "2", problem: expect.stringMatching(reason) },
			]);
			expect(takeover.problems().join()).toMatch(/delivered rules: version 2 was taken back/);
			const kept = openStore(contentFolder(rig.folder), rig.trust);
			expect(kept.describe()).toBe("rules 1");
			expect((await apply(rulesOf(2))).message).toMatch(/not above 2/);
			expect(await apply(rulesOf(3))).toMatchObject({ accepted: true });
		},
	);

	it("is not ended by a flood of events alone", async () => {
		const { apply, pass, rules } = start();
		for (let i = 0; i < 6; i++) await pass(0.5, 10_000, 0);
		await apply(rulesOf(1));
		for (let i = 0; i < 10; i++) await pass(8, 400_000, 0);
		expect(rules()).toEqual(["V1", "Local"]);
	});

	it("goes on after a restart", async () => {
		const { apply, rig } = start();
		await apply(rulesOf(1));
		expect(openStore(contentFolder(rig.folder), rig.trust).state("rules").probationUntil).toBe(
			rig.now + 300_000,
		);
	});
});

describe("a roll-back by hand", () => {
	it("goes back by a version, then to none, then says that there is none", async () => {
		const { apply, takeover, rules } = start();
		await apply(rulesOf(1));
		await apply(rulesOf(2));
		const asked = { requester: "cli", commandId: "" };
		expect((await takeover.rollback("rules", asked)).message).toMatch(/version 1 is in force again/);
		expect(rules()).toEqual(["V1", "Local"]);
		expect((await takeover.rollback("rules", asked)).message).toMatch(
			/no delivered version is in force again/,
		);
		expect(rules()).toEqual(["Local"]);
		expect(await takeover.rollback("rules", asked)).toMatchObject({ accepted: false });
	});

	it("keeps two versions on the disk and no more", async () => {
		const { apply, rig, pass } = start();
		for (let version = 1; version <= 4; version++) {
			await apply(rulesOf(version));
			for (let i = 0; i < 31; i++) await pass(0.5, 1000, 0);
		}
		const kept = readdirSync(join(rig.folder, "content/rules")).sort();
		expect(kept).toEqual(["3", "4", "state.backup.json", "state.json"]);
	});
});
