import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createUsers } from "../../../agent/enrich/users.ts";

let directory: string;
let file: string;
let now: number;
const clock = () => now;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "picket-users-"));
	file = join(directory, "passwd");
	now = 1_000_000;
});
afterEach(() => rmSync(directory, { recursive: true }));

/** As adduser does it: a new file in the old one's place. */
function replace(text: string | Buffer): void {
	writeFileSync(`${file}+`, text);
	renameSync(`${file}+`, file);
}

describe("user names", () => {
	it("come from the passwd file, the first line of a number winning", () => {
		replace("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nweb:x:33:33::/var/www:/bin/false\n");
		const users = createUsers({ clock, file });
		expect(users.name(0)).toBe("root");
		expect(users.name(33)).toBe("web");
		expect(users.name(34)).toBeUndefined();
	});

	it("follow a change of the file within a second and not before", () => {
		replace("one:x:1:1:::\n");
		const users = createUsers({ clock, file });
		expect(users.name(1)).toBe("one");
		replace("uno:x:1:1:::\ndue:x:2:2:::\n");
		now += 999;
		expect(users.name(1)).toBe("one");
		now += 1;
		expect(users.name(1)).toBe("uno");
		expect(users.name(2)).toBe("due");
	});

	it("follow a change although the clock was set back", () => {
		replace("one:x:1:1:::\n");
		const users = createUsers({ clock, file });
		expect(users.name(1)).toBe("one");
		replace("other:x:1:1:::\n");
		now -= 500_000;
		expect(users.name(1)).toBe("other");
	});

	it("are undefined without a file, and come once there is one", () => {
		const users = createUsers({ clock, file });
		expect(users.name(0)).toBeUndefined();
		replace("root:x:0:0:::\n");
		now += 1000;
		expect(users.name(0)).toBe("root");
	});

	it("stay in force when the file vanishes or becomes a directory", () => {
		replace("root:x:0:0:::\n");
		const users = createUsers({ clock, file });
		expect(users.name(0)).toBe("root");
		rmSync(file);
		now += 1000;
		expect(users.name(0)).toBe("root");
		expect(createUsers({ clock, file: directory }).name(0)).toBeUndefined();
	});

	it("leave out lines that name no user", () => {
		const lines = [
			"+@group:x:5:5:::",
			"-bad:x:6:6:::",
			"#off:x:7:7:::",
			":x:8:8:::",
			"short",
			"",
			"hex:x:0x9:9:::",
		];
		replace(
			`${[...lines, "far:x:4294967296:1:::", "negative:x:-1:1:::", "last:x:4294967295:1:::"].join("\n")}`,
		);
		const users = createUsers({ clock, file });
		expect(users.name(4_294_967_295)).toBe("last");
		expect(users.size).toBe(1);
	});

	it("are latin1, a character a byte", () => {
		replace(Buffer.from("j\u00f6rg:x:1:1:::\n", "utf8"));
		expect(createUsers({ clock, file }).name(1)).toBe("j\u00c3\u00b6rg");
	});

	it("are bounded in number", () => {
		replace(Array.from({ length: 50 }, (_, uid) => `u${uid}:x:${uid}:1:::`).join("\n"));
		const users = createUsers({ clock, file, limit: 10 });
		expect(users.name(9)).toBe("u9");
		expect(users.name(10)).toBeUndefined();
		expect(users.size).toBe(10);
	});
});

it("names of groups come from the group file, which has them in the same places", () => {
	replace("root:x:0:\nadm:x:4:ada,ben\nbroken\n");
	const groups = createUsers({ clock, file });
	expect(groups.name(4)).toBe("adm");
	expect(groups.name(5)).toBeUndefined();
});
