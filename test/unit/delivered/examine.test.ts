// What content has to stand before it takes over.
import { describe, expect, it } from "vitest";
import { readRuleFiles } from "../../../agent/content.ts";
import { examine, type Question } from "../../../agent/delivered/examine.ts";
import type { ContentKind } from "../../../agent/delivered/model.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { codecOf } from "../../../agent/report/protojson.ts";
import { bundleOf, corpus, local, noon, question, rule } from "./rig.ts";

const content = codecOf<wire.Content>("Content");
const own = readRuleFiles([], true).filter(({ path }) => /00-common|discovery/.test(path));
const beside = (files: Partial<Question["files"]>): Question => ({
	...question,
	files: { ...question.files, ...files },
});
const tried = (kind: ContentKind, text: string | Record<string, string>, asked = question) =>
	examine(bundleOf(kind, 1, text).bytes, asked, corpus);

describe("the form of content", () => {
	const good: wire.Content = {
		kind: "rules",
		version: "1",
		created: new Date(noon).toISOString(),
		author: "a",
		files: [{ name: "a.yaml", text: rule("A", "proc.name = a") }],
	};
	const file = { name: "a.yaml", text: "" };
	it.each<[string, Partial<wire.Content>, RegExp]>([
		["an unknown kind", { kind: "code" }, /no kind of content "code"/],
		["no version", { version: "0" }, /version 0 is not a number/],
		["a version beyond numbers", { version: "18446744073709551615" }, /is not a number from 1/],
		["no time", { created: undefined } as never, /when it was made/],
		["the future", { created: "2026-01-02T12:00:01Z" }, /made in the future.*clocks/],
		["no file", { files: [] }, /no file/],
		[
			"too many files",
			{ files: Array.from({ length: 201 }, (_, i) => ({ name: `${i}.yaml` })) },
			/201 files.*200/,
		],
		["a path", { files: [{ name: "../../etc/cron.d/x.yaml" }] }, /no plain file name/],
		["a hidden file", { files: [{ name: ".a.yaml" }] }, /no plain file name/],
		["a name twice", { files: [file, file] }, /two files a\.yaml/],
		["a large file", { files: [{ ...file, text: "x".repeat((2 << 20) + 1) }] }, /larger than 2 MiB/],
	])("with %s is refused", (_, other, reason) => {
		expect(() => examine(content.encode({ ...good, ...other }), question, corpus)).toThrow(reason);
		expect(examine(content.encode(good), question, corpus).bundle.version).toBe(1);
	});

	it("of a version that is not above every one before is refused", () => {
		const above = { rules: 7, policy: 0, intel: 0 };
		for (const version of [1, 6, 7])
			expect(() =>
				examine(bundleOf("rules", version, rule("A", "proc.name = a")).bytes, { ...question, above }, corpus),
			).toThrow(/not above 7/);
		const next = bundleOf("rules", 8, rule("A", "proc.name = a"));
		expect(examine(next.bytes, { ...question, above }, corpus).bundle.version).toBe(8);
	});

	it("that is not granted is refused before it is compiled", () => {
		expect(() => tried("rules", "- [", { ...question, refused: { rules: "not here" } })).toThrow("not here");
	});
});

describe("delivered rules", () => {
	it("that are narrow may take over", () => {
		const { findings } = tried("rules", rule("A", "evt.type = execve and proc.name = nc"), beside({ own }));
		expect(findings).toEqual(["1 rules", expect.stringMatching(/^an event costs [\d.]+ µs with it/)]);
	});

	it("with an error are refused with its place", () => {
		expect(() => tried("rules", rule("A", "proc.nmae = a"))).toThrow(
			/rules\.yaml:3:14: .*did you mean proc\.name/,
		);
		expect(() => tried("rules", "- rule: [\n")).toThrow(/errors/);
	});

	it.each(["evt.type = execve", "evt.type in (open, openat)", "evt.type = connect", "proc.pid > 0"])(
		"that match everything (%s) are refused",
		(condition) => {
			expect(() => tried("rules", rule("Everything", condition), beside({ own }))).toThrow(
				/rule Everything matches \d+ % of \d+ .*; 50 % are the most/,
			);
		},
	);

	it("that make an event dear are refused with the figures", () => {
		const dear = Array.from({ length: 150 }, (_, i) =>
			rule(`Dear ${i}`, `proc.args regex "([a-z]+[0-9]*)+-${i}[a-z]*x?$" and fd.name regex ".*a${i}.*b"`),
		);
		expect(() => tried("rules", dear.join(""))).toThrow(
			/too dear: an event costs [\d.]+ µs with it, [\d.]+ µs without/,
		);
	});

	it("cannot switch off, blind or break what is on the host", () => {
		const [, name = ""] =
			/- rule: (.*)/.exec(own.find(({ path }) => /discovery/.test(path))?.text ?? "") ?? [];
		expect(name).not.toBe("");
		const change = (lines: string) => `- rule: ${name}\n${lines}`;
		const asked = beside({ own, local: [local] });
		expect(() => tried("rules", change("  enabled: false\n  override: {enabled: replace}\n"), asked)).toThrow(
			`would switch off rules of this host: ${name}`,
		);
		expect(() =>
			tried("rules", change("  condition: and proc.name = nobody\n  override: {condition: append}\n"), asked),
		).toThrow(/no longer see the attacks/);
		const narrower = change(
			"  condition: and not proc.name = my-own-tool\n  override: {condition: append}\n",
		);
		expect(tried("rules", narrower, asked).bundle.version).toBe(1);
	});
});

describe("a delivered policy", () => {
	it("that would lock the host out is refused", () => {
		const scope = "scopes:\n  - name: a\n    scope: host\n    processes: {deny: [/bin/sh]}\n";
		expect(() => tried("policy", scope)).toThrow(/denies the host its shell/);
	});

	it("that ordinary work violates is refused", () => {
		const scope =
			"scopes:\n  - name: a\n    scope: host\n    mode: observe\n    files: {deny_read: ['/**'], deny_write: ['/**']}\n    peers: {deny: ['1-65535']}\n    processes: {allow: []}\n";
		expect(() => tried("policy", scope)).toThrow(/would violate it/);
	});

	it("includes its own files and templates, never a file of the host", () => {
		const more = "scopes: [{name: b, scope: host, processes: {deny: [/opt/x]}}]\n";
		const good = { "policy.yaml": "include: [no-shells, ./more.yaml]\n", "more.yaml": more };
		expect(tried("policy", good).findings[0]).toMatch(/^2 scopes/);
		expect(() => tried("policy", "include: [/etc/passwd]\n")).toThrow(/not in the bundle/);
		expect(() => tried("policy", { "a.yaml": more, "b.yaml": more })).toThrow(/called policy\.yaml/);
	});
});

describe("delivered intelligence", () => {
	it("is lists, which no rule of the host has", () => {
		expect(tried("intel", "- list: bad_addresses\n  items: [192.0.2.1]\n").bundle.kind).toBe("intel");
		expect(() => tried("intel", rule("A", "proc.name = a"))).toThrow(/besides lists/);
		expect(() => tried("intel", "- list: a\n  items: [b]\n  append: true\n")).toThrow(/besides lists/);
		const other = { ...local, text: "- list: mine\n  items: [a]\n" };
		const asked = beside({ local: [other] });
		expect(() => tried("intel", "- list: mine\n  items: [b]\n", asked)).toThrow(/replace the list mine/);
	});
});
