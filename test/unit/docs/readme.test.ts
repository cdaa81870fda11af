// What the README says is what the program does.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { exampleConfig } from "../../../agent/config/example.ts";
import { loadConfig } from "../../../agent/config/load.ts";
import { readRules } from "../../../agent/content.ts";
import { eventTypes } from "../../../agent/detect/event-types.ts";
import { fieldNames, findField } from "../../../agent/detect/fields.ts";
import { loadRules } from "../../../agent/detect/load.ts";
import { listOperators, signs, textOperators } from "../../../agent/detect/syntax.ts";
import { eventNames } from "../../../agent/model/event.ts";
import { loadPolicy } from "../../../agent/policy/load.ts";
import { defaultSettings } from "../../../agent/respond/orders.ts";
import { commandLine } from "./command-line.ts";

const root = new URL("../../../", import.meta.url).pathname;
const signatures = `${root}agent/detect/signatures/`;
const readme = readFileSync(`${root}README.md`, "utf8");
const contributing = readFileSync(`${root}CONTRIBUTING.md`, "utf8");
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
		expect(blocks("policy")).toHaveLength(4);
		for (const text of blocks("policy")) {
			const { policy, problems } = loadPolicy(text, "README.md");
			expect(problems).toEqual([]);
			expect(policy?.responses.length).toBeGreaterThan(0);
		}
	});

	it("shows console settings that load", () => {
		const [text = "", ...more] = blocks("settings");
		expect(more).toEqual([]);
		const { config, problems } = loadConfig(text, "README.md");
		expect(problems).toEqual([]);
		expect(config?.consoles[0]?.addresses).toEqual(["console.example:7443"]);
	});

	it("shows rules that load beside our own and can match", () => {
		const [text = "", ...more] = blocks("rules");
		expect(more).toEqual([]);
		const own = readdirSync(signatures)
			.sort()
			.map((name) => ({
				path: name,
				text: readFileSync(signatures + name, "utf8"),
				origin: "picket" as const,
			}));
		const { rules, problems } = loadRules([...own, { path: "mine.yaml", text, origin: "falco" }]);
		expect(problems).toEqual([]);
		expect(rules.find(({ name }) => name === "Backup user talks to a stranger")?.status).toBe("evaluable");
		const off = rules.filter(({ enabled }) => !enabled).map(({ name }) => name);
		expect(off).toEqual(["Program ran from a temporary directory on the host"]);
	});

	it("names every event and every operator, and fields that are there", () => {
		expect(eventNames.filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))).toEqual([]);
		const operators = [...signs, ...textOperators, ...listOperators];
		expect(operators.filter((operator) => !readme.includes(`\`${operator}\``))).toEqual([]);
		const named = [
			...readme.matchAll(/`((?:evt|fd|fs|proc|user|group|thread|container)\.[a-z_.]+)(?:\[(\w+)\])?`/g),
		]
			.map(([, name = "", argument]) => ({ name, argument }))
			.filter(({ name }) => !name.endsWith("."));
		expect(named.length).toBeGreaterThan(10);
		for (const { name, argument } of named)
			expect(findField(name, argument?.replace("NAME", "name").replace("N", "1")), name).toBeDefined();
	});

	it("leads to the page of events and fields, which has all of them", () => {
		expect(readme).toContain("(packaging/docs/events.md)");
		const page = readFileSync(`${root}packaging/docs/events.md`, "utf8");
		const types = Object.values(eventTypes).flat();
		expect([...eventNames, ...types].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
		const shown = (name: string) => name.replace(/^evt\.(raw)?arg(\.|$)/, "");
		expect(
			fieldNames.filter((name) => shown(name) !== "" && !page.includes(`| \`${shown(name)}\` |`)),
		).toEqual([]);
	});

	it("shows one line of output as the sensor prints it", () => {
		const line = /<!-- line -->\n```json\n(.*)\n```/.exec(readme)?.[1] ?? "";
		const record = JSON.parse(line) as Record<string, unknown>;
		expect(Object.keys(record)).toEqual(["time", "host", "sequence", "event"]);
	});

	it("states the limits of actions as they are", () => {
		expect(readme).toContain(`at most ${defaultSettings.maxActiveBlocks} blocks at a time`);
		expect(defaultSettings.maxTtlSeconds, "no block longer than a day").toBe(86_400);
	});

	it("shows a picture of a neutral host", () => {
		const picture = readFileSync(`${root}packaging/pictures/live-view.svg`, "utf8");
		expect(picture).toContain("web-1");
		expect(picture).toContain("CRITICAL");
	});

	it("names every command and every option of the command line", () => {
		const cli = commandLine();
		const options = new Set([...cli.matchAll(/"(?:-\w, )?(--[a-z-]+)/g)].map((found) => found[1] ?? ""));
		const commands = [...cli.matchAll(/(?:command|respond)\(\s*"([a-z]+)/g)].map((found) => found[1] ?? "");
		expect(options.size).toBeGreaterThan(20);
		expect(commands.length).toBeGreaterThan(14);
		expect([...options].filter((option) => !readme.includes(option))).toEqual([]);
		expect(commands.filter((command) => !new RegExp(`[\`\\s]${command}\\b`).test(readme))).toEqual([]);
	});

	it("has, in CONTRIBUTING, a word on every folder of agent/ and test/", () => {
		const folders = (of: string) =>
			readdirSync(`${root}${of}`, { withFileTypes: true })
				.filter((entry) => entry.isDirectory())
				.map(({ name }) => name);
		const rows = contributing.split("\n").filter((line) => line.startsWith("| `"));
		const named = new Set(
			rows.flatMap((row) => [...row.matchAll(/`(?:agent\/|test\/)?([\w-]+)`/g)].map(([, name]) => name)),
		);
		expect([...folders("agent"), ...folders("test")].filter((name) => !named.has(name))).toEqual([]);
	});

	it("counts the signatures right, as does the changelog", () => {
		const rules = readRules([], true).rules.filter(({ silent }) => !silent);
		const correlations = rules.filter(({ correlation }) => correlation).length;
		const count = `${rules.length - correlations} signatures and ${correlations} correlations`;
		expect(readme).toContain(`${count} come with the sensor`);
		expect(changelog).toContain(`${count} of our own`);
		for (const name of [
			"Password hashes read",
			"Program ran from shared memory",
			"Reverse shell started from its command line",
		]) {
			expect(rules.map((rule) => rule.name)).toContain(name);
			expect(readme).toContain(name);
		}
	});

	it.each([
		["README.md", readme],
		["CONTRIBUTING.md", contributing],
	])("%s points to files and headings that exist", (_, text) => {
		const paths = [...text.matchAll(/`((?:agent|test|proto|packaging|bpf|native)\/[\w./-]+\.\w+)`/g)];
		const links = [...text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)];
		const named = [...paths, ...links].map((found) => found[1] ?? "");
		expect(named.length).toBeGreaterThan(4);
		expect(named.filter((path) => !existsSync(root + path))).toEqual([]);
		const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
			heading.toLowerCase().replaceAll(" ", "-"),
		);
		const targets = [...text.matchAll(/\]\(#([^)]+)\)/g)].map((found) => found[1] ?? "");
		expect(targets.filter((target) => !headings.includes(target))).toEqual([]);
	});
});
