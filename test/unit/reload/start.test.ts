// What a sensor starts with when not everything that users wrote can be used.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Prepared, prepare } from "../../../agent/commands/prepare.ts";
import { logger, rule } from "./rig.ts";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-start-"));
	mkdirSync(join(folder, "rules.d"));
	writeFileSync(join(folder, "rules.d/good.yaml"), rule("Good", "proc.name = a"));
	symlinkSync("nowhere", join(folder, "rules.d/gone.yaml"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function prepareWith(...files: string[]): Prepared["sensor"] {
	const config = join(folder, "picket.yaml");
	const paths = files.map((file) => join(folder, file));
	writeFileSync(config, JSON.stringify({ rules: { default: false, files: paths } }));
	return prepare({ config, defaultRules: true }, () => logger).sensor;
}

it("a file of a folder that cannot be read is told, and the others are in force", () => {
	const { rules, reload } = prepareWith("rules.d", "later.d");
	expect(rules.rules.map(({ name }) => name)).toEqual(["Good"]);
	expect(reload?.problems).toMatchObject([{ file: join(folder, "rules.d/gone.yaml"), level: "error" }]);
});

it("a file that the configuration names and that cannot be read keeps the sensor from starting", () => {
	expect(() => prepareWith("rules.d/gone.yaml")).toThrow(/rule file .*gone\.yaml cannot be read \(ENOENT\)/);
	expect(() => prepareWith("nowhere.yaml")).toThrow(/nowhere\.yaml cannot be read/);
});
