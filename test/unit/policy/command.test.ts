// `picket policy …`, and what it says.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { pageOf } from "../../../agent/commands/page.ts";
import { checkPolicies, explainPolicies, showPolicy } from "../../../agent/commands/policy.ts";
import { adviceOf } from "../../../agent/policy/advice.ts";
import { policyJsonSchema } from "../../../agent/policy/schema.ts";
import { load } from "./rig.ts";

const folder = mkdtempSync(join(tmpdir(), "picket-policy-"));
afterAll(() => rmSync(folder, { recursive: true }));
const page = pageOf({}, {});
let files = 0;
function write(text: string, name = `${files++}.yaml`): string {
	const path = join(folder, name);
	writeFileSync(path, text);
	return path;
}
const config = write("mode: enforce\n", "picket.yaml");

const text = `include: [{template: no-shells, scope: {image: "shop/*"}}]
scopes:
  - name: web
    scope: {image: "shop/web:*"}
    processes:
      deny: [nc, "/opt/*.sh"]
    peers:
      allow: [10.0.0.0/8]
    files:
      alert_read: [/etc/passwd]
  - name: admins
    scope: host
    mode: observe
    user: www-data
    processes: {deny: [vim]}
responses:
  - when: {rule: "policy/web/processes.*"}
    do: [kill_tree]
  - when: {severity: medium, count: 3, within: 5m}
    do: [{block: {ttl: 30m}}]
`;

describe("policy check", () => {
	it("says nothing is wrong, and how much there is", () => {
		const path = write(text);
		expect(checkPolicies([path], {}, page)).toEqual({ text: `${path}: 3 scopes, 2 responses`, status: 0 });
	});

	it("shows a mistake in its line, with a mark below it, also in an included file", () => {
		const more = write("scopes:\n  - scope: containers\n    peers: {deny: [10.0.0.1/8]}\n", "more.yaml");
		const path = write("include: [./more.yaml]\nscopes: [{scope: hosts}]\n");
		const { text: said, status } = checkPolicies([path], {}, page);
		expect(status).toBe(1);
		expect(said).toContain(`${path}:2:18: error at scopes[0].scope`);
		const fixed = checkPolicies([write("include: [./more.yaml]\n")], {}, page).text;
		expect(fixed).toContain(`${more}:3:20: error at scopes[0].peers.deny[0]`);
		expect(fixed).toMatch(/\| {5}peers: \{deny: \[10\.0\.0\.1\/8\]\}\n *\| *\^~+/);
	});

	it("warns of what does nothing, which --strict makes an error", () => {
		const path = write("scopes: [{scope: containers, processes: {deny: [nc, nc]}}]\n");
		expect(checkPolicies([path], {}, page)).toMatchObject({
			status: 0,
			text: expect.stringContaining("warning at processes.deny"),
		});
		expect(checkPolicies([path], { strict: true }, page).status).toBe(1);
		const json = JSON.parse(checkPolicies([path], { json: true }, page).text);
		expect(json).toMatchObject({ errors: 0, warnings: 1, problems: [{ line: 1, column: 53 }] });
	});

	it.each([
		["scopes: [{scope: containers, processes: {deny: ['/opt/*', /opt/x]}}]", "/opt/x never counts"],
		[
			"scopes: [{scope: containers, processes: {deny: [nc], allow: [nc]}}]",
			"nc never counts: nc in processes.deny",
		],
		["scopes: [{scope: containers, processes: {deny: [nc, /usr/bin/nc]}}]", "/usr/bin/nc never counts"],
		["scopes: [{scope: containers, peers: {deny: [10.0.0.0/8, 10.1.0.0/16:443]}}]", "10.1.0.0/16:443 never"],
		["scopes: [{scope: containers, files: {deny_read: [/etc/, /etc/shadow]}}]", "/etc/shadow never counts"],
		["scopes: [{scope: host, images: {deny: [x]}}]", "can never apply: its scope is the host"],
		["scopes: [{scope: host}]", "says nothing"],
		["responses: [{do: [kill]}, {when: {tag: a}, do: [kill]}]", "never asked: line 1 fits everything"],
		["responses: [{when: {rule: policy/wep/users.deny}, do: [kill]}]", "names no scope of this policy"],
		["responses: [{when: {scope: host}, do: [pause]}]", "pause never applies outside containers"],
	])("warns of %s", (given, message) => {
		const { policy, problems } = load(given);
		expect(problems).toEqual([]);
		expect(policy && adviceOf(policy).map((each) => each.message)).toEqual([
			expect.stringContaining(message),
		]);
	});

	it.each([
		"scopes: [{scope: containers, processes: {deny: [/opt/x, '/opt/*', nc, 'n?']}}]",
		"scopes: [{scope: containers, peers: {deny: [10.1.0.0/16, 10.0.0.0/8, 443]}}]",
		"scopes: [{name: w, scope: host, users: {deny: [x]}}]\nresponses: [{when: {rule: 'policy/w/*'}, do: [kill]}]",
		"responses: [{when: {count: 2}, do: [kill]}, {do: [pause]}]",
	])("does not warn of %s", (given) => {
		const { policy } = load(given);
		expect(policy && adviceOf(policy)).toEqual([]);
	});
});

describe("policy show", () => {
	it("has what is included, and every line's place", () => {
		const path = write(text);
		const { text: said } = showPolicy({ policy: path, config }, page);
		expect(said).toContain(`${path}:1 `);
		expect(said).toMatch(/no-shells\.yaml:\d+ +sh, ash, bash, .* may never be executed\./);
		expect(said).toContain(`Scope "web": containers with image shop/web:*.`);
		expect(said).toMatch(/:8 +Only 10\.0\.0\.0\/8 may be connected to\./);
		expect(said).toMatch(/:10 +\/etc\/passwd may be read, which is told\./);
		expect(said).toContain(`Scope "admins": the host outside containers, user www-data. Only observed.`);
		expect(said).toMatch(/:19 +On severity medium or above, 3 in 300 s by source: alert, block for 1800 s\./);
		expect(said).not.toContain("picket.yaml says");
	});
});

describe("policy explain", () => {
	const path = write(text);
	const explain = (flags: Parameters<typeof explainPolicies>[0]) =>
		explainPolicies({ policy: path, config, ...flags }, page).text;
	const image = "shop/web:2";

	it("says what a program would get, by which line, and that the kernel does it", () => {
		expect(
			explain({ process: "/usr/bin/nc", image }),
		).toBe(`a process of user root in a container (image shop/web:2) executes /usr/bin/nc:
  web (${path}:3): containers with image shop/web:*
    denied: processes.deny holds nc (${path}:6)
    refused in the kernel, before it happens
    alert, kill tree (${path}:17)
  no-shells (${path}:1): containers with image shop/*
    nothing here stands against it`);
	});

	it("says why it is judged after the fact", () => {
		expect(explain({ process: "/opt/x.sh", image })).toContain(
			"judged after the fact: the kernel knows whole paths",
		);
	});

	it("says what a peer, a file and a port would get", () => {
		const peer = explain({ process: "nginx", image, peer: "203.0.113.7:443" });
		expect(peer).toContain(
			"nginx of user root in a container (image shop/web:2) connects to 203.0.113.7:443:",
		);
		expect(peer).toContain(`denied: not in peers.allow, which holds 10.0.0.0/8 (${path}:8)`);
		expect(peer).toContain(`after 3 in 300 s by source: alert, block for 1800 s (${path}:19)`);
		expect(explain({ image, peer: "10.1.1.1:443" })).not.toContain("denied");
		expect(explain({ image, file: "/etc/passwd" })).toContain(
			"permitted and told: files.alert_read holds /etc/passwd",
		);
		expect(explain({ image, file: "/etc/passwd", write: true })).not.toContain("told");
		expect(explain({ image, listen: "8080", incoming: "203.0.113.7:22" })).toContain(
			"waits for others on 8080:",
		);
	});

	it("says what only observes, and where no scope is", () => {
		const vim = explain({ process: "vim", user: "www-data" });
		expect(vim).toContain(`admins (${path}:11): the host outside containers, user www-data`);
		expect(vim).toContain("mode observe: what would be done is only told");
		expect(explain({ process: "vim", image: "redis:7" })).toContain("no scope speaks of it: it is permitted");
	});

	it("refuses what it cannot answer", () => {
		expect(() => explain({})).toThrow("nothing is asked");
		expect(() => explain({ peer: "example.org:443" })).toThrow("is not one address");
		expect(() => explain({ process: "vim", user: "nobody-of-this-name" })).toThrow("there is no user");
	});
});

describe("the schema of the policy", () => {
	const schema = z.fromJSONSchema(JSON.parse(JSON.stringify(policyJsonSchema())));

	it("takes the policies of the README, and refuses a key that is none", () => {
		const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
		const blocks = [...readme.matchAll(/<!-- policy -->\n```yaml\n(.*?)```/gs)].map(
			([, block = ""]) => block,
		);
		expect(blocks.length).toBeGreaterThan(2);
		for (const block of [...blocks, text]) expect(schema.safeParse(parse(block)).error).toBeUndefined();
		expect(schema.safeParse({ scopes: [{ scope: "host", proceses: {} }] }).success).toBe(false);
	});
});
