import { describe, expect, it } from "vitest";
import { z } from "zod";
import { exampleConfig } from "../../../agent/config/example.ts";
import { nearest } from "../../../agent/config/issues.ts";
import { defaultConfig, loadConfig } from "../../../agent/config/load.ts";
import { configSchema } from "../../../agent/config/schema.ts";
import { isSection, keysOf, schemaAt, describe as sentence } from "../../../agent/config/shape.ts";
import { parseYaml } from "../../../agent/config/yaml.ts";

const load = (text: string) => loadConfig(text, "picket.yaml");
const problem = (text: string) => {
	const { config, problems } = load(text);
	expect(config).toBeUndefined();
	expect(problems).toHaveLength(1);
	return problems[0];
};

describe("the configuration", () => {
	it("of an empty file is the default: harmless", () => {
		for (const text of ["", "# nothing\n", "{}", "docker:\ncapture:\n  # ring_bytes: 1\n"]) {
			expect(load(text)).toEqual({ config: defaultConfig(), problems: [] });
		}
		expect(defaultConfig()).toMatchObject({
			mode: "observe",
			paths: { run: "/run/picket", state: "/var/lib/picket" },
			capture: { ring_bytes: 4194304, drain_ms: 10 },
			limits: { actions_per_minute: 60 },
			respond: { ttl_seconds: 3600 },
			output: { events: "none" },
		});
	});

	it("has an example with every key that changes nothing when loaded", () => {
		const text = exampleConfig();
		expect(load(text)).toEqual({ config: defaultConfig(), problems: [] });
		for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
	});

	it("documents every key with a sentence", () => {
		const missing = (schema: z.ZodType, at: string): string[] =>
			keysOf(schema).flatMap((key) => {
				const inner = schemaAt(schema, [key]) ?? z.never();
				const own = /[.:;]/.test(sentence(inner)) ? [] : [`${at}${key}`];
				return isSection(inner) ? [...own, ...missing(inner, `${at}${key}.`)] : own;
			});
		expect(missing(configSchema, "")).toEqual([]);
	});

	it("takes what is given", () => {
		const { config } = load("mode: enforce\noutput: {events: [exec, connect]}\nscope: {pids: [1, 2]}\n");
		expect(config).toMatchObject({
			mode: "enforce",
			output: { events: ["exec", "connect"] },
			scope: { pids: [1, 2] },
		});
	});
});

describe("a mistake", () => {
	it("in a key is named with its place and the key that was meant", () => {
		expect(problem("mode: observe\ncapture:\n  ring_byte: 4096\n")).toEqual({
			file: "picket.yaml",
			line: 3,
			column: 3,
			where: "capture.ring_byte",
			message: 'there is no key "ring_byte"',
			remedy: 'write "ring_bytes"',
			level: "error",
		});
		expect(problem("colour: blue\n")?.remedy).toContain("known here: mode, paths");
	});

	it.each([
		["capture:\n  drain_ms: often\n", 2, "capture.drain_ms", 'must be a number, not "often"'],
		["capture: {ring_bytes: 262145}\n", 1, "capture.ring_bytes", "must be a power of two"],
		["capture: {ring_bytes: 1024}\n", 1, "capture.ring_bytes", "must be at least 262144, not 1024"],
		["\nmode: block\n", 2, "mode", 'must be one of observe, enforce, not "block"'],
		["docker: [a]\n", 1, "docker", 'must be a section with keys below it, not ["a"]'],
		["rules:\n  files: /etc/x\n", 2, "rules.files", 'must be a list, such as [a, b], not "/etc/x"'],
		["rules: {files: [1]}\n", 1, "rules.files[0]", "must be a text, not 1"],
		["output:\n  events:\n    - exec\n    - coffee\n", 4, "output.events[1]", "must be one of exec, fork"],
		["output: {events: 3}\n", 1, "output.events", "cannot be 3"],
		["paths: {state: var}\n", 1, "paths.state", "must be an absolute path"],
		["protect: {addresses: [10.0.0.1/8]}\n", 1, "protect.addresses[0]", "must be an address"],
		[
			"consoles: [{name: hq, addresses: [h:1], cert: /a}]\n",
			1,
			"consoles[0].key",
			"certificate and key go together",
		],
		["consoles: [{name: hq, addresses: [nowhere]}]\n", 1, "consoles[0].addresses[0]", "must be host:port"],
		["console: {address: 127.0.0.1:1}\n", 1, "console", 'there is no key "console" any more'],
		["sinks: [{syslog: loghost}]\n", 1, "sinks[0].syslog", "must be unix:/dev/log"],
		["sinks: [{file: a.log}]\n", 1, "sinks[0].file", "must be an absolute path"],
		["sinks:\n  - severity: high\n", 2, "sinks[0].file", "give either file or syslog"],
		["sinks: [{syslog: 'tcp:h:1', ca: /a}]\n", 1, "sinks[0].ca", "over tls"],
		["sinks: [{file: /a, facility: kern}]\n", 1, "sinks[0].facility", "must be one of user"],
		["metrics: {listen: '0.0.0.0:9469'}\n", 1, "metrics.listen", "of a loopback address"],
		["- a\n", 1, "", "must be a section"],
	])("in %j names line %i and %s", (text, line, where, message) => {
		const found = problem(text);
		expect(found).toMatchObject({ line, where });
		expect(found?.message).toContain(message);
		expect(found?.remedy).not.toBe("");
	});

	it("in the YAML itself is named with its line", () => {
		expect(load("mode: observe\ndocker: {enabled: true\n").problems[0]).toMatchObject({ level: "error" });
		expect(problem("mode: observe\nmode: enforce\n")).toMatchObject({ line: 2, column: 1 });
		expect(problem("a: &a [x]\nb: *unknown\n")?.message).toContain("unknown");
	});

	it("is reported together with all others, in one go", () => {
		const { problems } = load("mode: x\ncolour: 1\ncapture: {drain_ms: 0}\n");
		expect(problems.map((one) => one.where).sort()).toEqual(["capture.drain_ms", "colour", "mode"]);
	});

	it("cannot be a file without end or a bomb of aliases", () => {
		expect(problem(`# ${"x".repeat(2_000_000)}`)?.message).toContain("larger than");
		const bomb = ["a0: &a0 [x]"];
		for (let level = 1; level < 12; level++)
			bomb.push(`a${level}: &a${level} [${`*a${level - 1},`.repeat(9)}]`);
		expect(load(bomb.join("\n")).config).toBeUndefined();
	});
});

describe("an unencrypted console", () => {
	it.each(["127.0.0.1:7000", "127.8.8.8:7000", "[::1]:7000", "localhost:7000", "unix:/run/console.sock"])(
		"is allowed at %s",
		(address) => {
			expect(load(`consoles: [{name: hq, addresses: ["${address}"], plaintext: true}]`).problems).toEqual([]);
		},
	);

	it.each([
		"10.0.0.1:7000",
		"console.example:7000",
		"[2001:db8::1]:7000",
		"0.0.0.0:7000",
		"127.0.0.1.example:7000",
	])("is refused at %s", (address) => {
		expect(problem(`consoles: [{name: hq, addresses: ["${address}"], plaintext: true}]`)?.where).toBe(
			"consoles[0].plaintext",
		);
		expect(load(`consoles: [{name: hq, addresses: ["${address}"]}]`).problems).toEqual([]);
	});
});

describe("parseYaml", () => {
	it("tells the line of any value, and what is missing", () => {
		const schema = z.strictObject({
			list: z.array(z.strictObject({ name: z.string().describe("Its name.") })),
		});
		const parsed = parseYaml(schema, "list:\n  - name: a\n  - name: b\n", "f");
		expect(parsed.lineOf(["list", 1, "name"])).toBe(3);
		expect(parsed.lineOf(["list", 7])).toBe(0);
		const { problems } = parseYaml(schema, "list:\n  - {}\n", "f");
		expect(problems).toMatchObject([
			{ line: 2, where: "list[0].name", message: "is missing", remedy: "Its name." },
		]);
	});

	it("suggests only what is near", () => {
		expect(nearest("enabeld", ["enabled", "socket"])).toBe("enabled");
		expect(nearest("colour", ["enabled", "socket"])).toBeUndefined();
	});
});
