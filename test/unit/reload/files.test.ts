// Rule files read again, and noticed when they change.
import { execFileSync } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	renameSync,
	rmSync,
	symlinkSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RuleFile } from "../../../agent/detect/load.ts";
import { finish } from "../../../agent/detect/steps.ts";
import { readAgain as steps, yamlPaths } from "../../../agent/rule-files.ts";
import { type Watch, watchFiles } from "../../../agent/watch.ts";

let folder: string;
let at: (name: string) => string;
const watches: Watch[] = [];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-files-"));
	at = (name) => join(folder, name);
});
afterEach(() => {
	for (const watch of watches.splice(0)) watch.close();
	rmSync(folder, { recursive: true, force: true });
});

const readAgain = (...args: Parameters<typeof steps>) => finish(steps(...args));
const falco = (path: string, text: string): RuleFile => ({ path, text, origin: "falco" });

describe("files read again", () => {
	it("are those that are there now, without hidden ones", () => {
		writeFileSync(at("a.yaml"), "- list: a\n  items: []\n");
		writeFileSync(at(".#a.yaml"), "lock");
		mkdirSync(at("..data"));
		writeFileSync(at("..data/a.yaml"), "- list: a\n  items: []\n");
		const { files, problems } = readAgain([folder], [falco(at("gone.yaml"), "")]);
		expect(files.map(({ path }) => path)).toEqual([at("a.yaml")]);
		expect(problems).toEqual([]);
	});

	it.each([
		[
			"is no YAML any more",
			() => writeFileSync(at("a.yaml"), "- rule: [\n"),
			/a\.yaml:[1-9]\d*:\d+ .*stays in force/,
		],
		["has become a folder", () => mkdirSync(at("a.yaml")), /EISDIR/],
		["is a link to nothing", () => symlinkSync(at("nothing"), at("a.yaml")), /ENOENT/],
	])("keep their last good version in force when one %s", (_, spoil, told) => {
		writeFileSync(at("b.yaml"), "[]");
		spoil();
		const good = falco(at("a.yaml"), "- list: a\n  items: []\n");
		const { files, problems, kept } = readAgain([folder], [good]);
		expect(files.find(({ path }) => path === good.path)).toEqual(good);
		expect(files).toHaveLength(2);
		expect(kept).toEqual([good.path]);
		expect(problems).toHaveLength(1);
		expect(
			`${problems[0]?.file}:${problems[0]?.line}:${problems[0]?.column} ${problems[0]?.message}`,
		).toMatch(told);
		expect(problems[0]?.remedy).not.toBe("");
	});

	it("are never waited for: a pipe, a device, a file without an end", () => {
		execFileSync("mkfifo", [at("pipe.yaml")]);
		symlinkSync("/dev/zero", at("zero.yaml"));
		writeFileSync(at("huge.yaml"), "");
		truncateSync(at("huge.yaml"), 2 ** 31);
		writeFileSync(at("latin1.yaml"), Buffer.from("- list: \xe9\n", "latin1"));
		writeFileSync(at("good.yaml"), "[]");
		symlinkSync("/dev/null", at("off.yaml"));
		const { files, problems } = readAgain([folder], []);
		expect(files.map(({ path }) => path)).toEqual([at("good.yaml"), at("off.yaml")]);
		expect(problems.map(({ message }) => message)).toEqual([
			"cannot be read (it is larger than 2 MiB)",
			"cannot be read (it is no UTF-8)",
			"cannot be read (it is no ordinary file)",
			"cannot be read (it is no ordinary file)",
		]);
	});

	it("are not more than memory allows, however many there are", () => {
		for (let i = 0; i < 9; i++) writeFileSync(at(`${i}.yaml`), "#".repeat(2 << 20));
		const { files, problems } = readAgain([folder], []);
		expect(files).toHaveLength(8);
		expect(problems.map(({ message }) => message)).toEqual([
			"cannot be read (all files together are larger than 16 MiB)",
		]);
	});

	it("are found once, wherever links lead", () => {
		mkdirSync(at("a/deeper"), { recursive: true });
		writeFileSync(at("a/deeper/x.yaml"), "[]");
		for (const [name, target] of [
			["one", "."],
			["two", "."],
			["a/up", ".."],
			["a/again", "deeper"],
			["gone", "nowhere"],
			["b.yaml", "a/deeper/x.yaml"],
		] as const)
			symlinkSync(target, at(name));
		expect(yamlPaths(folder)).toEqual([at("a/again/x.yaml"), at("b.yaml")]);
		mkdirSync(at("c"));
		writeFileSync(at("c/x.yaml"), "[]");
		symlinkSync("c", at("linked"));
		expect(yamlPaths(at("linked"))).toEqual([at("linked/x.yaml")]);
	});

	it("keep those of a folder that has vanished, and wait for one that never was there", () => {
		const good = falco(at("rules.d/a.yaml"), "[]");
		expect(readAgain([at("rules.d")], [good])).toMatchObject({ files: [good], kept: [good.path] });
		expect(readAgain([at("rules.d")], [])).toEqual({ files: [], problems: [], kept: [] });
	});

	it("tell of a new file that cannot be read, and of a file that was named and is not there", () => {
		symlinkSync(at("nothing"), at("a.yaml"));
		const { files, problems } = readAgain([folder, at("named.yaml")], []);
		expect(files).toEqual([]);
		expect(problems.map(({ file }) => file)).toEqual([at("a.yaml"), at("named.yaml")]);
	});
});

describe("a change of", () => {
	/** Waits for as many changes as are expected. */
	function watch(paths = [folder]): { seen(count: number): Promise<void>; count(): number } {
		let count = 0;
		const waiting: (() => void)[] = [];
		watches.push(
			watchFiles({
				paths: () => paths,
				onChange: () => {
					count++;
					for (const wake of waiting.splice(0)) wake();
				},
				everyMs: 10,
				restMs: 5,
			}),
		);
		return {
			async seen(wanted) {
				while (count < wanted) await new Promise<void>((resolve) => waiting.push(resolve));
			},
			count: () => count,
		};
	}

	it("a file is noticed when it came, was written, replaced or went", async () => {
		const { seen } = watch();
		writeFileSync(at("a.yaml"), "1");
		await seen(1);
		writeFileSync(at("a.yaml"), "22");
		await seen(2);
		writeFileSync(at("new"), "33");
		// Same size and time: another file all the same.
		utimesSync(at("new"), 1, 1);
		utimesSync(at("a.yaml"), 1, 1);
		await seen(3);
		renameSync(at("new"), at("a.yaml"));
		await seen(4);
		rmSync(at("a.yaml"));
		await seen(5);
	});

	it("a folder is noticed when it comes later, goes, and is a link turned elsewhere", async () => {
		const { seen } = watch([at("current")]);
		for (const name of ["one", "two"]) {
			mkdirSync(at(name));
			writeFileSync(join(at(name), "a.yaml"), name);
		}
		symlinkSync("one", at("current"));
		await seen(1);
		symlinkSync("two", at("next"));
		renameSync(at("next"), at("current"));
		await seen(2);
		rmSync(at("current"));
		await seen(3);
	});

	it("many files at once is one, and other files are none", async () => {
		const { seen, count } = watch();
		for (let i = 0; i < 50; i++) writeFileSync(at(`${i}.yaml`), "x");
		await seen(1);
		writeFileSync(at("notes.txt"), "x");
		writeFileSync(at(".swap.yaml"), "x");
		writeFileSync(at("last.yaml"), "x");
		await seen(2);
		expect(count()).toBe(2);
	});
});
