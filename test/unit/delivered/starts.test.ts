// A series of crashes: when it is one, what it leaves in force, and what ends it.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { openStarts } from "../../../agent/delivered/starts.ts";
import { contentFolder, openStore } from "../../../agent/delivered/store.ts";
import { afterCrashes } from "../../../agent/delivered/takeover.ts";
import { bundleOf, noon, rule, stateOf, takeoverRig } from "./rig.ts";

const folders: string[] = [];
afterEach(() => {
	for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});
function host() {
	const { folder, trust } = stateOf();
	folders.push(folder);
	let now = noon;
	return {
		...{ folder, trust },
		wait: (ms: number) => {
			now += ms;
		},
		/** A start; without an end it is a crash. */
		start(content = "") {
			const starts = openStarts(folder, () => now);
			const found = { captureOnly: starts.captureOnly(), blames: starts.blames(content) };
			starts.begun(content);
			return { ...found, starts };
		},
		now: () => now,
	};
}

describe("the fourth start after three crashes within ten minutes", () => {
	it("only looks on, and blames the content that all three had", () => {
		const { start, wait } = host();
		for (let i = 0; i < 3; i++) {
			expect(start("rules 2").captureOnly).toBe("");
			wait(60_000);
		}
		const fourth = start("rules 2");
		expect(fourth.captureOnly).toMatch(/ended 3 times within ten minutes/);
		expect(fourth.blames).toBe(true);
	});

	it("blames no content that was not in force in all of them", () => {
		const { start } = host();
		for (const content of ["rules 1", "rules 2", "rules 2"]) start(content);
		expect(start("rules 2")).toMatchObject({ blames: false, captureOnly: expect.stringMatching(/3 times/) });
	});

	it("acts when one of them was stopped on purpose, or when they lie further apart", () => {
		const one = host();
		one.start();
		one.start();
		one.start().starts.ended();
		expect(one.start().captureOnly).toBe("");
		const two = host();
		for (let i = 0; i < 4; i++) {
			expect(two.start().captureOnly).toBe("");
			two.wait(250_000);
		}
	});

	it("stays so over a stop, until it is accepted", () => {
		const { start } = host();
		for (let i = 0; i < 3; i++) start();
		start().starts.ended();
		const next = start();
		expect(next.captureOnly).not.toBe("");
		next.starts.accept();
		expect(next.starts.captureOnly()).toBe("");
		expect(start().captureOnly).toBe("");
	});

	it("has nothing to go by when the record is damaged, and starts all the same", () => {
		const { folder, start } = host();
		for (let i = 0; i < 3; i++) start();
		const path = join(folder, "starts.json");
		writeFileSync(path, readFileSync(path, "utf8").replace("starts", "stars"));
		expect(start().captureOnly).toBe("");
	});
});

describe("content that is to blame", () => {
	it("goes back by a version at a time, until none is left", async () => {
		const { rig, apply, takeover } = takeoverRig();
		folders.push(rig.folder);
		for (const version of [1, 2]) await apply(bundleOf("rules", version, rule("A", "proc.name = a")));
		takeover.close(true);
		const restart = () => {
			const store = openStore(contentFolder(rig.folder), rig.trust);
			const starts = openStarts(rig.folder, () => noon);
			const done = afterCrashes(store, starts, noon);
			starts.begun(store.describe());
			return { done, describe: store.describe(), problem: store.state("rules").problem };
		};
		const told = Array.from({ length: 7 }, restart);
		expect(told.map(({ describe }) => describe)).toEqual([
			...["rules 2", "rules 2", "rules 2"],
			...["rules 1", "rules 1", "rules 1", ""],
		]);
		expect(told[3]?.problem).toMatch(
			/version 2 was taken back: the sensor ended three times .* with rules 2/,
		);
		expect(told.filter(({ done }) => done !== "")).toHaveLength(2);
	});

	it("acts again after ten minutes that went well", async () => {
		const { rig, takeover, starts, pass } = takeoverRig();
		folders.push(rig.folder);
		for (let i = 0; i < 3; i++) openStarts(rig.folder, () => rig.now).begun("");
		takeover.close(false);
		expect(openStarts(rig.folder, () => rig.now).captureOnly()).not.toBe("");
		for (let i = 0; i < 61; i++) await pass(0.5, 100, 0);
		expect(starts.captureOnly()).toBe("");
		expect(openStarts(rig.folder, () => rig.now).captureOnly()).toBe("");
	});
});
