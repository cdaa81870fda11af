// Delivered content on the disk: whatever happens to it, the last good version is in force, and it is told.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { contentFolder, openStore, type Store } from "../../../agent/delivered/store.ts";
import { bundleOf, noon, rule, stateOf } from "./rig.ts";

const folders: string[] = [];
afterEach(() => {
	for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const textOf = (version: number) => rule(`V${version}`, "proc.name = a");
function put(store: Store, version: number): void {
	const { bytes, signature } = bundleOf("rules", version, textOf(version));
	const files = [{ name: "rules.yaml", text: textOf(version) }];
	const previous = store.state("rules").current;
	store.save({ kind: "rules", version, created: noon, author: "test", files }, bytes, signature);
	store.put("rules", {
		current: version,
		previous,
		highest: version,
		since: noon,
		probationUntil: 0,
		problem: "",
	});
}
/** With versions 1, 2 and 3. */
function filled() {
	const { folder, trust } = stateOf();
	folders.push(folder);
	const open = () => openStore(contentFolder(folder), trust);
	const store = open();
	for (const version of [1, 2, 3]) put(store, version);
	return { trust, open, store, at: (...names: string[]) => join(folder, "content/rules", ...names) };
}

describe("what is damaged", () => {
	it.each(["bundle", "signature", "manifest.json", "files/rules.yaml"])(
		"in %s costs that version, not the one before",
		(name) => {
			const { open, at } = filled();
			const path = at("3", name);
			const bytes = readFileSync(path);
			bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
			writeFileSync(path, bytes);
			const store = open();
			expect(store.describe()).toBe("rules 2");
			expect(store.bundle("rules")?.files).toEqual([{ name: "rules.yaml", text: textOf(2) }]);
			expect(store.state("rules").highest).toBe(3);
			expect(store.problems().join()).toMatch(
				/delivered rules version 3 are not in force: .*deliver a new one/,
			);
		},
	);

	it("beyond the last version leaves what is local alone", () => {
		const { open, at } = filled();
		for (const version of ["1", "2", "3"]) rmSync(at(version, "bundle"));
		const store = open();
		expect(store.describe()).toBe("");
		expect(store.inForce().files).toEqual([]);
		expect(store.problems()).toHaveLength(3);
	});

	it("in state.json is taken from its copy; without both the newest version is in force", () => {
		const { open, at } = filled();
		writeFileSync(at("state.json"), "{}");
		expect(open().describe()).toBe("rules 3");
		expect(open().problems()).toEqual([]);
		writeFileSync(at("state.backup.json"), "");
		const store = open();
		expect([store.describe(), store.state("rules").highest]).toEqual(["rules 3", 3]);
		expect(store.problems().join()).toMatch(/not known: its record is damaged/);
	});

	it("may be a folder half written: it does not count, and is written again", () => {
		const { open, at, store } = filled();
		rmSync(at("3"), { recursive: true });
		put(store, 4);
		expect(open().describe()).toBe("rules 4");
		expect(existsSync(at(".new-4"))).toBe(false);
	});
});

describe("a key", () => {
	it("that is trusted no more takes its content along at the next start", () => {
		const { trust, open } = filled();
		rmSync(trust[0] ?? "");
		const store = open();
		expect(store.describe()).toBe("");
		expect(store.problems().join()).toMatch(/none of the keys in content\.trust/);
	});
});

describe("a disk that takes nothing", () => {
	it("leaves what is in force in force, in memory and on the disk", () => {
		const { open, at, store } = filled();
		const before = store.state("rules");
		// A folder in the way of the name, which stops root, too.
		mkdirSync(at(".state.backup.json.new"));
		expect(() => store.put("rules", { ...before, current: 2 })).toThrow(/EISDIR/);
		expect([store.describe(), open().describe()]).toEqual(["rules 3", "rules 3"]);
		expect(store.force("rules", { ...before, current: 2 })).toMatch(/EISDIR/);
		expect([store.describe(), open().describe()]).toEqual(["rules 2", "rules 3"]);
	});
});
