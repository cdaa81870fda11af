import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Mode } from "../../../agent/model/verdict.ts";
import { createModeSwitch } from "../../../agent/remote/mode.ts";
import { verifyAudit } from "../../../agent/respond/audit-read.ts";
import { start, stateFolder } from "./rig.ts";

function modeIn(stateDir: string, most: Mode = "enforce") {
	let changes = 0;
	const made = createModeSwitch({
		stateDir,
		most: () => most,
		clock: () => start,
		changed: () => {
			changes++;
		},
	});
	return { ...made, changes: () => changes };
}

it("takes enforcing back and gives it back, over restarts, and says who did", () => {
	const stateDir = stateFolder();
	const one = modeIn(stateDir);
	expect(one.mode()).toBeUndefined();
	expect(one.set("observe", "console:hq", "maintenance (alice)")).toBe("");
	expect(one.mode()).toBe("observe");
	expect(statSync(join(stateDir, "mode.json")).mode & 0o777).toBe(0o600);
	const two = modeIn(stateDir);
	expect(two.mode()).toBe("observe");
	expect(two.problems()[0]).toBe(
		"nothing is enforced: console:hq took it back at 2026-01-02T03:04:05.000Z (maintenance (alice)); " +
			"`picket mode enforce` gives it back",
	);
	two.set("enforce", "console:hq", "");
	expect(two.mode()).toBeUndefined();
	expect(two.problems()).toEqual([]);
	expect([one.changes(), two.changes()]).toEqual([1, 1]);
	expect(modeIn(stateDir).mode()).toBeUndefined();
	const audit = readFileSync(join(stateDir, "audit.jsonl"), "utf8");
	expect(verifyAudit(audit)).toMatchObject({ entries: 2, broken: undefined });
});

it("is never above the configuration", () => {
	const made = modeIn(stateFolder(), "observe");
	expect(() => made.set("enforce", "console:hq", "")).toThrow("configuration or policy says observe");
	expect(() => made.set("enforce", "cli", "")).toThrow("configuration or policy says observe");
	expect(made.changes()).toBe(0);
});

it("lets a console give back only what it took itself; an admin gives back anything", () => {
	const made = modeIn(stateFolder());
	made.set("observe", "cli", "by hand");
	// What would make it its own changes nothing.
	made.set("observe", "console:hq", "");
	expect(() => made.set("enforce", "console:hq", "")).toThrow("cli took it back");
	made.set("enforce", "cli", "");
	made.set("observe", "console:hq", "");
	expect(() => made.set("enforce", "console:eu", "")).toThrow("console:hq took it back");
	made.set("enforce", "cli", "");
	expect(made.mode()).toBeUndefined();
});

it.each(["", "{", '{"mode":"enforce"}', "\0\0\0"])(
	"a damaged file keeps it at observe, and is told: %j",
	(text) => {
		const stateDir = stateFolder();
		writeFileSync(join(stateDir, "mode.json"), text);
		const made = modeIn(stateDir);
		expect(made.mode()).toBe("observe");
		expect(made.problems()[0]).toContain("is damaged");
		expect(() => made.set("enforce", "console:hq", "")).toThrow("somebody took it back");
		made.set("enforce", "cli", "");
		expect(modeIn(stateDir).mode()).toBeUndefined();
	},
);

it("without a place to keep it, it observes all the same and says what that means; enforcing it refuses", () => {
	const folder = join(stateFolder(), "none");
	writeFileSync(folder, "");
	const made = modeIn(folder);
	// The file that should be a folder is no word about the mode, but nobody can tell.
	expect(made.mode()).toBe("observe");
	expect(made.set("observe", "cli", "")).toContain("does not outlive a restart");
	expect(() => made.set("enforce", "cli", "")).toThrow("audit cannot be written");
	expect(made.mode()).toBe("observe");
});
