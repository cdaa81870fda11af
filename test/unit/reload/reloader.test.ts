// What a request to read rules again comes to.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { defaultConfig } from "../../../agent/config/load.ts";
import { readRuleFiles } from "../../../agent/content.ts";
import { createReloader } from "../../../agent/reload.ts";
import { detectionOf, logger, rule } from "./rig.ts";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-reloader-"));
	writeFileSync(join(folder, "a.yaml"), rule("Dear", "proc.name = a") + rule("Cheap", "proc.name = b"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function rig() {
	const config = { ...defaultConfig(), rules: { ...defaultConfig().rules, default: false, files: [folder] } };
	const files = readRuleFiles([folder], false);
	const detection = detectionOf(...files);
	const { policy } = detection.current();
	const reloader = createReloader({
		sources: { files: [], own: [], config: () => config, policy: () => policy },
		start: { config, files, policy, problems: [] },
		detection,
		adopt: detection.adopt,
		onReload: () => {},
		logger,
		clock: () => 0,
	});
	return { detection, reloader };
}

describe("a suspended rule", () => {
	it.each(["cli", "signal"] as const)("is tried again when a %s asks, whatever has changed", async (who) => {
		const { detection, reloader } = rig();
		await detection.change(() => ({ suspended: new Set(["Dear"]) }), detection.adopt);
		expect(await reloader.reload("files")).toMatchObject({ outcome: "OUTCOME_UNCHANGED" });
		expect([...detection.current().suspended]).toEqual(["Dear"]);
		expect(await reloader.reload(who)).toMatchObject({ outcome: "OUTCOME_APPLIED", changed: [] });
		expect([...detection.current().suspended]).toEqual([]);
		expect(await reloader.reload(who)).toMatchObject({ outcome: "OUTCOME_UNCHANGED" });
	});
});

describe("a look at what lies on disk", () => {
	it("counts also when it finds nothing new, but not when a console's content came", async () => {
		const { reloader } = rig();
		expect(reloader.looks()).toBe(0);
		expect(await reloader.reload("signal")).toMatchObject({ outcome: "OUTCOME_UNCHANGED" });
		expect(reloader.looks()).toBe(1);
		await reloader.deliver();
		expect(reloader.looks()).toBe(1);
	});
});

describe("what is wrong on disk", () => {
	it("is told in a list that does not grow with it", async () => {
		const { reloader } = rig();
		for (let i = 0; i < 300; i++) writeFileSync(join(folder, `${i}.yaml`), Buffer.from([0xff]));
		const { problems } = await reloader.reload("cli");
		expect(problems).toHaveLength(101);
		expect(reloader.problems()).toHaveLength(101);
	});
});
