// Which changes of files the kernel is asked to send for a rule: enough that no match is lost.
import { expect, it } from "vitest";
import type { OpenInterest, PathInterest } from "../../../agent/model/interest.ts";
import { noInterest, sumOfInterests } from "../../../agent/model/interest.ts";
import { ruleOf } from "./rig.ts";

const empty: PathInterest = { exact: [], prefixes: [], names: [], suffixes: [] };
const changes = (condition: string) => ruleOf(condition).rule.interest?.fileChanges;

it.each<[string, Partial<PathInterest>]>([
	["evt.type = unlink and fs.path.name = /etc/shadow", { exact: ["/etc/shadow"] }],
	["evt.type in (rename, renameat) and fs.path.source startswith /etc/", { prefixes: ["/etc/"] }],
	["evt.type = rename and (fs.path.source = /a or fs.path.target = /b)", { exact: ["/a", "/b"] }],
	["evt.type = rename and evt.arg.oldpath endswith .bash_history", { suffixes: [".bash_history"] }],
	["evt.type = symlink and evt.arg.target in (/etc, shadow)", { exact: ["/etc", "shadow"] }],
	["evt.type = fchmod and fd.name = /a", { exact: ["/a"] }],
	["evt.type = fchmod and fd.filename = a", { names: ["a"] }],
	["evt.type = fchmod and fd.name pmatch (/etc)", { exact: ["/etc"], prefixes: ["/etc/"] }],
	["evt.type = unlink and fs.path.nameraw glob */id_rsa", { names: ["id_rsa"] }],
	["evt.type = unlink and fs.path.name = /a and proc.name = rm", { exact: ["/a"] }],
	["evt.type in (unlink, mkdir) and evt.arg.path = /a", { exact: ["/a"] }],
])("%s is bounded", (condition, bound) => {
	expect(changes(condition)).toEqual({ ...empty, ...bound });
});

it.each([
	"evt.type = rename",
	"evt.type = unlink and not fs.path.name = /a",
	"evt.type = unlink and fs.path.name contains /a",
	"evt.type = unlink and fs.path.nameraw pmatch (/etc)",
	"evt.type = chmod and evt.arg.mode contains S_ISUID",
	"evt.type = setxattr and evt.arg.name = security.capability",
	"evt.type in (rename, unlink) and (fs.path.name = /a or evt.type = rename)",
])("%s is not bounded", (condition) => {
	expect(changes(condition)).toBe("all");
});

it.each([
	"evt.type = execve",
	"evt.type = openat and fd.name = /a",
	"evt.type = chroot",
	"evt.type = memfd_create",
])("%s asks for no change of a file", (condition) => {
	expect(changes(condition)).toBe("none");
});

it("an open is bounded by fs.path.name as by fd.name", () => {
	expect(ruleOf("evt.type = openat and fs.path.name = /a").rule.interest?.writeOpens).toEqual({
		...empty,
		exact: ["/a"],
	});
});

it("what several ask for adds up", () => {
	const asked = (...all: OpenInterest[]) =>
		sumOfInterests(all.map((fileChanges) => ({ ...noInterest, fileChanges }))).fileChanges;
	expect(asked("none", { ...empty, exact: ["/a"] }, { ...empty, exact: ["/b"], names: ["c"] })).toEqual({
		...empty,
		exact: ["/a", "/b"],
		names: ["c"],
	});
	expect(asked({ ...empty, exact: ["/a"] }, "all")).toBe("all");
	expect(asked("none", "none")).toBe("none");
});
