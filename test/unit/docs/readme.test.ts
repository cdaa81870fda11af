// What the README says is what the program does.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { exampleConfig } from "../../../agent/config/example.ts";
import { loadConfig } from "../../../agent/config/load.ts";
import { readRules } from "../../../agent/content.ts";
import { loadPolicy } from "../../../agent/policy/load.ts";

const root = new URL("../../../", import.meta.url).pathname;
const readme = readFileSync(`${root}README.md`, "utf8");
const changelog = readFileSync(`${root}CHANGELOG.md`, "utf8");

function blocks(mark: string): string[] {
	return [...readme.matchAll(new RegExp(`<!-- ${mark} -->\n\`\`\`yaml\n(.*?)\`\`\``, "gs"))].map(
		(found) => found[1] ?? "",
	);
}

describe("the README", () => {
	it("shows the configuration as it is, and it loads", () => {
		expect(blocks("config")).toEqual([exampleConfig()]);
		expect(loadConfig(exampleConfig(), "README.md").problems).toEqual([]);
	});

	it("shows policies that load", () => {
		expect(blocks("policy")).toHaveLength(2);
		for (const text of blocks("policy")) {
			const { policy, problems } = loadPolicy(text, "README.md");
			expect(problems).toEqual([]);
			expect(policy?.responses.length).toBeGreaterThan(0);
		}
	});

	it("names every command and every option of the command line", () => {
		const cli = readFileSync(`${root}agent/cli.ts`, "utf8");
		const options = new Set([...cli.matchAll(/"(?:-\w, )?(--[a-z-]+)/g)].map((found) => found[1] ?? ""));
		const commands = [...cli.matchAll(/(?:command|respond)\(\s*"([a-z]+)/g)].map((found) => found[1] ?? "");
		expect(options.size).toBeGreaterThan(20);
		expect(commands.length).toBeGreaterThan(14);
		expect([...options].filter((option) => !readme.includes(option))).toEqual([]);
		expect(commands.filter((command) => !new RegExp(`[\`\\s]${command}\\b`).test(readme))).toEqual([]);
	});

	it("counts the signatures right, as does the changelog", () => {
		const { rules } = readRules([], true);
		expect(readme).toContain(`${rules.length} signatures come with the sensor`);
		expect(changelog).toContain(`${rules.length} signatures of our own`);
		for (const name of [
			"Password hashes read",
			"Program ran from shared memory",
			"Reverse shell started from its command line",
		]) {
			expect(rules.map((rule) => rule.name)).toContain(name);
			expect(readme).toContain(name);
		}
	});

	it("points to files that exist", () => {
		for (const [, path] of readme.matchAll(
			/`((?:agent|test|proto|packaging|bpf)\/[\w./-]+\.\w+)`|\]\((packaging\/[^)]+)\)/g,
		)) {
			if (path) expect(() => readFileSync(`${root}${path}`)).not.toThrow();
		}
	});
});
