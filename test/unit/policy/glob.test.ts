import { describe, expect, it } from "vitest";
import { matchesText, nameGlob, pathGlob } from "../../../agent/policy/glob.ts";

const path = (glob: string, text: string) => matchesText(pathGlob(glob), text);

describe("a glob", () => {
	it.each([
		["/etc/passwd", "/etc/passwd", true],
		["/etc/passwd", "/etc/passwd2", false],
		["/etc/*", "/etc/passwd", true],
		["/etc/*", "/etc/ssh/sshd_config", false],
		["/etc/**", "/etc/ssh/sshd_config", true],
		["/etc/", "/etc/ssh/sshd_config", true],
		["/etc/**", "/etc", false],
		["/etc/**", "/etcetera", false],
		["**/id_rsa", "/root/.ssh/id_rsa", true],
		["**/id_*", "/root/.ssh/id_ed25519", true],
		["**/id_*", "/root/id_x/file", false],
		["/a/?", "/a/b", true],
		["/a/?", "/a/", false],
		["/?/b", "///b", false],
		["/a/*/c/**/e", "/a/b/c/x/y/e", true],
		["/a/*/c/**/e", "/a/b/b/c/x/e", false],
		["**", "", true],
		["", "", true],
	])("%s on %s: %s", (glob, text, expected) => {
		expect(path(glob, text)).toBe(expected);
	});

	it("in names has no separator", () => {
		expect(matchesText(nameGlob("*nginx*"), "registry/lib/nginx:1")).toBe(true);
		expect(matchesText(nameGlob("nginx:?"), "nginx:/")).toBe(false);
	});

	it("is written in UTF-8 and matched against captured bytes", () => {
		expect(path("/tmp/é*", Buffer.from("/tmp/école").toString("latin1"))).toBe(true);
	});

	it("agrees with a regular expression on random texts", () => {
		let seed = 7;
		const pick = (from: string[]) => {
			seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
			return from[Math.floor((seed / 2 ** 32) * from.length)] ?? "";
		};
		const make = (from: string[], length: number) => Array.from({ length }, () => pick(from)).join("");
		let matched = 0;
		for (let round = 0; round < 5000; round++) {
			const glob = make(["a", "b", "/", "*", "**", "?"], round % 7);
			const text = make(["a", "b", "/"], round % 9);
			const source = (glob.endsWith("/") ? `${glob}**` : glob).replace(/\*\*+|\*|\?/g, (wild) =>
				wild === "?" ? "[^/]" : wild === "*" ? "[^/]*" : wild.length % 2 === 0 ? ".*" : ".*[^/]*",
			);
			const expected = new RegExp(`^${source}$`, "s").test(text);
			expect(path(glob, text), `${glob} on ${text}`).toBe(expected);
			if (expected) matched++;
		}
		expect(matched).toBeGreaterThan(100);
	});

	it("takes time linear in a hostile text", () => {
		const began = performance.now();
		expect(path(`/**${"*a".repeat(40)}b`, `/${"a".repeat(4096)}`)).toBe(false);
		expect(performance.now() - began).toBeLessThan(500);
	});
});
