// The page about signatures: its files are written into a folder, and its commands are run there, from top to bottom.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { RecordingWriter } from "../../../agent/capture/recording.ts";
import { usualRecords } from "../../../agent/commands/usual-events.ts";
import { readRuleFiles } from "../../../agent/content.ts";
import { findField } from "../../../agent/detect/fields.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import { isSamplesFile } from "../../../agent/detect/samples.ts";
import { folderOf, type Outcome, picket } from "../rules/rig.ts";
import { commandLine } from "./command-line.ts";

const page = readFileSync(new URL("../../../packaging/docs/signatures.md", import.meta.url), "utf8");
interface Block {
	/** Of a file its name, of commands the status they end with. */
	readonly mark: string;
	readonly is: "file" | "run";
	readonly text: string;
}
const blocks = [...page.matchAll(/<!-- (file|run)(?:: (.+?))? -->\n```(?:yaml|sh)\n(.*?)```/gs)].map(
	([, is, mark = "0", text = ""]): Block => ({ is: is as Block["is"], mark, text }),
);
const files = blocks.filter(({ is }) => is === "file");
const commands = blocks
	.filter(({ is }) => is === "run")
	.flatMap(({ mark, text }) =>
		text
			.trim()
			.split("\n")
			.map((line) => [line, Number(mark)] as const),
	);
const folder = folderOf({ "picket.yaml": "mode: observe\n" });

function record(): void {
	const header = { version: "1", host: "h", kernel: "k", bootId: "b", bootTimeMs: 1e12, started: 1e12 };
	const writer = new RecordingWriter(join(folder, "today.rec"), header);
	for (const each of usualRecords()) writer.record(each, 0, each.length);
	writer.close();
}

/** A line as a shell takes it apart, as far as the page uses it. */
function run(line: string): Outcome {
	const [program, ...words] = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(
		([, quoted, bare]) => quoted ?? bare ?? "",
	);
	expect(program).toBe("picket");
	return picket(folder, ...words);
}

describe("the page about signatures", () => {
	it("has every block of it tested", () => {
		expect(page.match(/^```\w+$/gm)).toHaveLength(blocks.length);
		expect(files.length).toBeGreaterThan(6);
		expect(commands.length).toBeGreaterThan(10);
		for (const { mark, text } of files) writeFileSync(join(folder, mark), text);
		record();
	});

	it.each(commands)(
		"shows a command that works: %s",
		(line, status) => {
			const ended = run(line);
			expect(ended.status, ended.out + ended.err).toBe(status);
			expect(ended.out).not.toBe("");
		},
		60_000,
	);

	it("shows rule files that load without a word, but for the one that costs", () => {
		const paths = files
			.map(({ mark }) => mark)
			.filter((name) => !isSamplesFile(name) && name !== "wide.yaml");
		const set = loadRules(
			readRuleFiles(
				paths.map((name) => join(folder, name)),
				true,
			),
		);
		expect(set.problems).toEqual([]);
		const status = (name: string) => set.rules.find((rule) => rule.name === name)?.status;
		expect(status("Shop release changed by hand")).toBe("evaluable");
		expect(status("Shop database dumped")).toBe("evaluable");
		expect(status("Many releases changed by hand")).toBe("evaluable");
	}, 60_000);

	it("shows a rule whose kernel interest is what the page says", () => {
		const [shop] = loadRules(readRuleFiles([join(folder, "shop.yaml")], false)).rules;
		expect(shop?.interest?.writeOpens).toMatchObject({ prefixes: ["/srv/shop/releases/"] });
		expect(shop?.interest?.readOpens).toBe("none");
	});

	it("keeps one of our signatures quiet about one program, and about no other", () => {
		const { out } = picket(folder, "rules", "test", "site.yaml", "--json");
		const [tested] = JSON.parse(out).rules;
		expect(tested).toMatchObject({ name: "Password hashes read", status: "passed" });
		expect(tested.file).toContain("signatures/credential-access.yaml");
		const samples = tested.samples.filter(({ file }: { file: string }) => file === "site.samples.yaml");
		expect(samples).toHaveLength(3);
		// Without the exception the signature does speak of it.
		writeFileSync(join(folder, "alone.samples.yaml"), readFileSync(join(folder, "site.samples.yaml")));
		expect(picket(folder, "rules", "test", "alone.samples.yaml").out).toContain("negative sample 1 matched");
	}, 60_000);

	it("names fields that are there, and links that lead somewhere", () => {
		const named = [...page.matchAll(/`((?:evt|fd|fs|proc|user|container)\.[a-z_.]+)(?:\[(\d)\])?[ `]/g)];
		expect(named.length).toBeGreaterThan(20);
		for (const [, name = "", argument] of named) expect(findField(name, argument), name).toBeDefined();
		const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
			heading
				.toLowerCase()
				.replaceAll(" ", "-")
				.replaceAll(/[^\w-]/g, ""),
		);
		const targets = [...page.matchAll(/\]\(#([^)]+)\)/g)].map(([, target = ""]) => target);
		expect(targets.filter((target) => !headings.includes(target))).toEqual([]);
		for (const [, path = ""] of page.matchAll(/\]\(([^)#]+)\)/g))
			expect(existsSync(new URL(`../../../packaging/docs/${path}`, import.meta.url)), path).toBe(true);
	});

	it("names commands and options that the command line has", () => {
		const cli = commandLine();
		const options = [...page.matchAll(/ (--[a-z][a-z-]+)/g)].map(([, option = ""]) => option);
		expect(options.filter((option) => !cli.includes(option))).toEqual([]);
	});
});
