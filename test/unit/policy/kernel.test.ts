// What of a policy the kernel refuses itself, in which form, for which cgroups, and what is left to the agent.
import { describe, expect, it } from "vitest";
import { refusalRules, whyAfterTheFact } from "../../../agent/policy/kernel.ts";
import { container, policyOf } from "./rig.ts";

const boxes = [
	{ container: container({ image: "shop/web:1", name: "web" }), cgroups: [101, 102] },
	{ container: container({ image: "redis:7", name: "db" }), cgroups: [103] },
];
const part = (text: string) => refusalRules(policyOf(text), boxes);

describe("the kernel's part", () => {
	it("has every program it can know, in its form", () => {
		const { rules, after } = part(`
scopes:
  - name: web
    scope: {image: "shop/*"}
    processes:
      deny: [nc, /usr/bin/curl, /tmp/, "/opt/**", "**/xmrig", "/usr/*/x", "nc*"]
      not_from_image: deny
`);
		expect(rules).toEqual([
			{
				id: "policy/web/processes.deny",
				mode: "enforce",
				where: [101, 102],
				what: {
					kind: "exec",
					deny: [
						{ by: "name", name: "nc" },
						{ by: "path", path: "/usr/bin/curl" },
						{ by: "directory", path: "/tmp/" },
						{ by: "directory", path: "/opt/" },
						{ by: "name", name: "xmrig" },
					],
				},
			},
			{
				id: "policy/web/processes.not_from_image",
				mode: "enforce",
				where: [101, 102],
				what: { kind: "exec", deny: [{ by: "not-from-image" }] },
			},
		]);
		expect(after.map(({ text }) => text)).toEqual(["/usr/*/x", "nc*"]);
		expect(after[0]).toMatchObject({ id: "policy/web/processes.deny", place: { line: 6 } });
		expect(after[0]?.reason).toContain("no other globs");
	});

	it("has an allow list as a whole, with what is only told, or not at all", () => {
		const whole = part(
			"scopes: [{name: c, scope: containers, processes: {allow: [nginx], alert: [/bin/sh]}}]",
		);
		expect(whole.rules).toEqual([
			{
				id: "policy/c/processes.allow",
				mode: "enforce",
				where: [101, 102, 103],
				what: {
					kind: "exec",
					allowOnly: [
						{ by: "path", path: "/bin/sh" },
						{ by: "name", name: "nginx" },
					],
				},
			},
		]);
		const none = part('scopes: [{name: c, scope: containers, processes: {allow: [nginx, "py*"]}}]');
		expect(none.rules).toEqual([]);
		expect(none.after).toMatchObject([
			{ id: "policy/c/processes.allow", reason: expect.stringMatching(/^py\*: /) },
		]);
	});

	it("has peers, with the mode of the scope", () => {
		const { rules } = part(
			"scopes: [{name: h, scope: host, mode: observe, peers: {deny: [203.0.113.0/24], allow: [443]}}]",
		);
		expect(rules).toMatchObject([
			{
				id: "policy/h/peers.deny",
				mode: "observe",
				where: "host",
				what: { kind: "egress", deny: [{ network: { prefix: 24 }, lowPort: 0, highPort: 65_535 }] },
			},
			{
				id: "policy/h/peers.allow",
				what: { allowOnly: [{ network: undefined, lowPort: 443, highPort: 443 }] },
			},
		]);
	});

	it("has what a scope asks for also while no container is in it, so that it is loaded when one comes", () => {
		const { rules } = part("scopes: [{name: b, scope: {name: nobody}, processes: {deny: [nc]}}]");
		expect(rules).toMatchObject([{ id: "policy/b/processes.deny", where: [] }]);
	});

	it("has nothing of a scope that is off, or that is narrowed to users or programs", () => {
		const { rules, after } = part(`
scopes:
  - {name: a, scope: host, mode: off, processes: {deny: [nc]}}
  - {name: c, scope: host, user: www-data, processes: {deny: [nc]}, peers: {allow: [443]}}
  - {name: d, scope: host, program: nginx, processes: {deny: [sh]}}
  - {name: e, scope: host, processes: {alert: [nc]}, files: {deny_write: [/etc/]}}
`);
		expect(rules).toEqual([]);
		expect(after.map(({ id, reason }) => [id, reason])).toEqual([
			["policy/c/processes.deny", "the kernel does not know which user a rule is for"],
			["policy/c/peers.allow", "the kernel does not know which user a rule is for"],
			["policy/d/processes.deny", "the kernel does not know which program a rule is for"],
		]);
	});

	it("takes a path's bytes as the kernel has them", () => {
		const { rules } = part("scopes: [{name: h, scope: host, processes: {deny: [/opt/é]}}]");
		expect(rules[0]?.what).toEqual({ kind: "exec", deny: [{ by: "path", path: "/opt/Ã©" }] });
	});

	it("says of each line why it is not in it", () => {
		const policy = policyOf(
			"scopes: [{name: h, scope: host, processes: {deny: [nc, 'x*']}, files: {deny_read: [/etc/shadow]}}]",
		);
		const [scope] = policy.scopes;
		if (!scope) throw new Error("no scope");
		const [nc, glob] = scope.processes.deny ?? [];
		const [shadow] = scope.reads.deny ?? [];
		expect([nc, glob, shadow].map((line) => line && whyAfterTheFact(scope, line))).toEqual([
			undefined,
			expect.stringContaining("no other globs"),
			"the kernel refuses programs and peers alone",
		]);
	});
});
