// File changes: every system call, done and refused, and the forms a name can take.
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { EventFlag, type EventName, eventName, Text } from "../../agent/model/event.ts";
import { fileChangeKinds, noInterest, type PathInterest } from "../../agent/model/interest.ts";
import * as layout from "../../agent/model/layout.ts";
import type { Detector } from "../../agent/pipeline.ts";
import { asking, buildTrigger, Harness, run } from "./harness.ts";

const trigger = buildTrigger("change");
const at = layout.fileEvent;
const interest = asking(...fileChangeKinds, "chroot", "pivotRoot", "memfd");
const flagNames = Object.entries(EventFlag);

interface Change {
	readonly kind: EventName | undefined;
	readonly pid: number;
	readonly flags: string[];
	readonly syscall: number;
	readonly path: string;
	readonly raw: string;
	readonly target: string;
	readonly targetRaw: string;
	readonly name: string;
	readonly result: number;
	readonly inode: number;
	readonly device: number;
	readonly mode: number;
	readonly size: number;
	readonly callFlags: number;
	readonly newMode: number;
	readonly newUid: number;
	readonly newGid: number;
}

const changes: Change[] = [];
const collector: Detector = {
	evaluate({ event }) {
		const kind = eventName(event.kind);
		if (kind === "exit" || kind === "exec" || kind === "fork") return;
		changes.push({
			kind,
			pid: event.pid,
			flags: flagNames.filter(([, bit]) => event.flags & bit).map(([name]) => name),
			syscall: event.syscall,
			path: event.text(Text.path),
			raw: event.text(Text.raw),
			target: event.text(Text.target),
			targetRaw: event.text(Text.targetRaw),
			name: event.text(Text.name),
			result: event.signed(at.result as number),
			inode: event.long(at.inode as number),
			device: event.word(at.device as number),
			mode: event.word(at.mode as number),
			size: event.long(at.size as number),
			callFlags: event.word(at.callFlags as number),
			newMode: event.word(at.newMode as number),
			newUid: event.word(at.newUid as number),
			newGid: event.word(at.newGid as number),
		});
	},
};

let harness: Harness;
let folder: string;
beforeAll(() => {
	harness = new Harness({ kinds: ["exit"], interest, detectors: [collector] });
});
afterAll(() => harness.close());
beforeEach(() => {
	folder = mkdtempSync(join(harness.folder, "d"));
	writeFileSync(join(folder, "file"), "text");
	mkdirSync(join(folder, "directory"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What was reported of these acts, which one process does in the folder. */
async function changed(...words: string[]): Promise<{ events: Change[]; results: number[] }> {
	const { pid, status, said } = await run(trigger, words, folder);
	expect(status).toBe(0);
	await harness.of(pid);
	const results = said.slice(1).map(({ result }) => result as number);
	return { events: changes.filter((each) => each.pid === pid), results };
}

/** The one event of the last act. */
async function lastOf(...words: string[]): Promise<Change> {
	const { events, results } = await changed(...words);
	const last = events.at(-1);
	expect(last?.result).toBe(results.at(-1));
	return last as Change;
}

const inFolder = (name: string) => join(folder, name);
/** Older kernels' own names for a call are in the list only where they have it. */
const old = process.arch === "x64";
const ENOENT = -2;

interface Case {
	readonly act: string;
	readonly kind: EventName;
	/** What stands in the event besides the file it is about. */
	readonly says?: Partial<Change>;
	/** Name in the folder; "file" when not given. */
	readonly path?: string;
	readonly target?: string;
	readonly onlyOld?: true;
}

const cases: readonly Case[] = [
	{ act: "rename,file,new", kind: "rename", target: "new", onlyOld: true },
	{ act: "renameat,#-100,file,#-100,new", kind: "rename", target: "new" },
	{
		act: "renameat2,#-100,file,#-100,new,#1",
		kind: "rename",
		target: "new",
		says: { callFlags: 1 },
	},
	{ act: "unlink,file", kind: "unlink", onlyOld: true },
	{ act: "unlinkat,#-100,file,#0", kind: "unlink" },
	{ act: "rmdir,directory", kind: "rmdir", path: "directory", onlyOld: true },
	{ act: "unlinkat,#-100,directory,#0x200", kind: "rmdir", path: "directory", says: { callFlags: 0x200 } },
	{ act: "mkdir,new,#0750", kind: "mkdir", path: "new", says: { newMode: 0o750 }, onlyOld: true },
	{ act: "mkdirat,#-100,new,#0701", kind: "mkdir", path: "new", says: { newMode: 0o701 } },
	{ act: "mknod,new,#0010600,#0", kind: "mknod", path: "new", says: { newMode: 0o10600 }, onlyOld: true },
	{ act: "mknodat,#-100,new,#0010600,#0", kind: "mknod", path: "new", says: { newMode: 0o10600 } },
	{ act: "link,file,new", kind: "link", target: "new", onlyOld: true },
	{ act: "linkat,#-100,file,#-100,new,#0x400", kind: "link", target: "new", says: { callFlags: 0x400 } },
	{ act: "symlink,../text,new", kind: "symlink", path: "new", says: { targetRaw: "../text" }, onlyOld: true },
	{ act: "symlinkat,text,#-100,new", kind: "symlink", path: "new", says: { targetRaw: "text" } },
	{ act: "chmod,file,#04755", kind: "chmod", says: { newMode: 0o4755 }, onlyOld: true },
	{ act: "fchmodat,#-100,file,#0600", kind: "chmod", says: { newMode: 0o600 } },
	{ act: "chown,file,#7,#-1", kind: "chown", says: { newUid: 7, newGid: 0xffffffff }, onlyOld: true },
	{ act: "lchown,file,#7,#8", kind: "chown", says: { newUid: 7, newGid: 8 }, onlyOld: true },
	{
		act: "fchownat,#-100,file,#7,#8,#0x100",
		kind: "chown",
		says: { newUid: 7, newGid: 8, callFlags: 0x100 },
	},
	{ act: "truncate,file,#3", kind: "truncate", says: { size: 3 } },
	{ act: "setxattr,file,security.picket,v,#1,#0", kind: "setxattr", says: { name: "security.picket" } },
	{ act: "lsetxattr,file,security.picket,v,#1,#0", kind: "setxattr", says: { name: "security.picket" } },
];
const known = cases.filter(({ onlyOld }) => old || !onlyOld);
describe.each(known)("$act", ({ act, kind, says, path = "file", target }) => {
	/** The name the act gives to what it is about. */
	const absolute = (word: string) =>
		word
			.split(",")
			.map((each) => (["file", "directory", "new"].includes(each) ? inFolder(each) : each))
			.join(",");

	it("is reported with what was asked for when it is done", async () => {
		const event = await lastOf(absolute(act));
		expect(event).toMatchObject({
			kind,
			result: 0,
			path: inFolder(path),
			raw: inFolder(path),
			target: target === undefined ? "" : inFolder(target),
			...(target === undefined ? {} : { targetRaw: inFolder(target) }),
			...says,
		});
		expect(event.syscall).toBeGreaterThan(0);
	});

	it("is reported with the reason when it is refused", async () => {
		const moved = act.replace(/\b(file|directory|new)\b/g, "nowhere/$1");
		expect(await lastOf(moved)).toMatchObject({
			kind,
			result: ENOENT,
			path: inFolder(`nowhere/${path}`),
			raw: `nowhere/${path}`,
			...says,
		});
	});
});

/** st_dev as events have it. */
function fileOf(path: string): { inode: number; device: number } {
	const { ino, dev } = statSync(path);
	const major = ((dev >> 8) & 0xfff) | (Math.floor(dev / 2 ** 32) & ~0xfff);
	const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
	return { inode: ino, device: major * 2 ** 20 + minor };
}

/** The files' kernel objects are looked at before the act. */
const seesBefore = () =>
	harness.capture.capabilities().some(({ name, tier }) => name === "unlink" && tier === "fentry");

describe("a change by descriptor", () => {
	const open = "openat,#-100,file,#2";
	it.each([
		["fchmod,#3,#0604", "chmod", { newMode: 0o604 }],
		["fchown,#3,#7,#-1", "chown", { newUid: 7, newGid: 0xffffffff }],
		["ftruncate,#3,#2", "truncate", { size: 2 }],
		["fsetxattr,#3,security.picket,v,#1,#0", "setxattr", { name: "security.picket" }],
		["fchownat,#3,,#7,#8,#0x1000", "chown", { newUid: 7, newGid: 8, callFlags: 0x1000 }],
	] as const)("is named by the file itself: %s", async (act, kind, says) => {
		const { inode, device } = fileOf(inFolder("file"));
		const event = await lastOf(open, act);
		expect(event).toMatchObject({ kind, path: inFolder("file"), raw: "", inode, device, flags: [], ...says });
		// What a chmod left is not what was there before; of that the type is known at least.
		expect(event.mode & 0o170000).toBe(0o100000);
	});

	it("is named by the file as it is called now, and told of when it is deleted", async () => {
		const event = await lastOf(open, "renameat,#-100,file,#-100,other", "fchmod,#3,#0600");
		expect(event).toMatchObject({ path: inFolder("other"), flags: [] });
		const gone = await lastOf("openat,#-100,other,#2", "unlinkat,#-100,other,#0", "ftruncate,#3,#0");
		expect(gone).toMatchObject({ path: inFolder("other"), flags: ["unlinked"] });
	});

	it("that is none is reported with the reason", async () => {
		expect(await lastOf("fchmod,#77,#0600")).toMatchObject({ kind: "chmod", path: "", result: -9, inode: 0 });
	});
});

describe("a call that younger kernels have", () => {
	it.each([
		["fchmodat2,#-100,file,#0601,#0x100", "chmod", { newMode: 0o601, callFlags: 0x100 }],
		["setxattrat,#-100,file,#0,security.picket,#0,#0", "setxattr", { name: "security.picket" }],
		["removexattrat,#-100,file,#0,security.picket", "setxattr", { name: "security.picket" }],
	] as const)("%s is reported where there is one", async (act, kind, says) => {
		const { events, results } = await changed(act);
		if (results[0] === -38) expect(events).toEqual([]);
		else expect(events).toMatchObject([{ kind, path: inFolder("file"), raw: "file", ...says }]);
	});
});

describe("an attribute", () => {
	it.each(["removexattr", "lremovexattr"])(
		"of security is reported when it is taken off by %s",
		async (call) => {
			const event = await lastOf("setxattr,file,security.picket,v,#1,#0", `${call},file,security.picket`);
			expect(event).toMatchObject({ kind: "setxattr", name: "security.picket", result: 0 });
			expect(await lastOf(`${call},file,security.picket`)).toMatchObject({ result: -61 });
		},
	);

	it("that is none of security is not, and an access list is", async () => {
		const { events } = await changed(
			"setxattr,file,user.picket,v,#1,#0",
			"setxattr,file,securit,v,#1,#0",
			"setxattr,file,system.posix_acl_access,v,#1,#0",
			"openat,#-100,file,#2",
			"fremovexattr,#3,security.none",
		);
		expect(events.flatMap(({ kind, name }) => (kind === "setxattr" ? [name] : []))).toEqual([
			"system.posix_acl_access",
			"security.none",
		]);
	});
});

describe("a name", () => {
	const unlinked = (name: string) => lastOf(`openat,#-100,${name},#0102,#0600`, `unlinkat,#-100,${name},#0`);

	it("starts where the process is", async () => {
		writeFileSync(inFolder("directory/file"), "");
		const event = await lastOf("chdir,directory", "unlinkat,#-100,file,#0");
		expect(event).toMatchObject({ path: inFolder("directory/file"), raw: "file" });
	});

	it("starts at the directory that is passed, even when that has moved", async () => {
		const event = await lastOf(
			"openat,#-100,directory,#0x10000",
			"renameat,#-100,directory,#-100,moved",
			"mkdirat,#3,new,#0700",
		);
		expect(event).toMatchObject({ path: inFolder("moved/new"), raw: "new", result: 0 });
	});

	it("that starts nowhere is reported as it is", async () => {
		const event = await lastOf("renameat,#77,file,#78,new");
		expect(event).toMatchObject({ path: "", raw: "file", target: "", targetRaw: "new", result: -9 });
		expect(event.flags).toEqual(["pathIncomplete", "pathFromUser", "targetFromUser", "targetIncomplete"]);
	});

	it("with dot-dot and links in it is the file's own where the kernel tells it, else as it was written", async () => {
		symlinkSync("directory", inFolder("link"));
		writeFileSync(inFolder("directory/file"), "");
		const event = await lastOf("renameat,#-100,link/../link/file,#-100,directory/./../new");
		expect(event).toMatchObject({ raw: "link/../link/file", targetRaw: "directory/./../new", result: 0 });
		if (seesBefore()) {
			expect(event).toMatchObject({ path: inFolder("directory/file"), target: inFolder("new"), flags: [] });
			expect(event.mode).toBe(0o100644);
		} else {
			expect(event.path).toBe(`${folder}/link/../link/file`);
			expect(event.target).toBe(`${folder}/directory/./../new`);
			expect(event.flags).toEqual(["pathFromUser", "targetFromUser"]);
		}
	});

	it.each([
		["a%0ab", "a\nb"],
		["%01%1b[31m", "\x01\x1b[31m"],
		["%ff%fe", "\xff\xfe"],
		["*255", "n".repeat(255)],
	])("of any bytes comes as it is: %s", async (word, name) => {
		expect(await unlinked(word)).toMatchObject({ path: inFolder(name), raw: name, result: 0 });
	});

	it("that is too long is reported with its beginning", async () => {
		const { events, results } = await changed("unlinkat,#-100,*256,#0", "unlinkat,#-100,*5000,#0");
		expect(results).toEqual([-36, -36]);
		expect(events[0]).toMatchObject({ path: inFolder("n".repeat(256)), flags: ["pathFromUser"] });
		expect(events[1]).toMatchObject({ raw: "n".repeat(4095), path: inFolder("n".repeat(4095)) });
		expect(events[1]?.flags).toEqual(["pathTruncated", "pathFromUser"]);
	});

	it("that cannot be read is told of", async () => {
		const event = await lastOf("unlinkat,#-100,#1,#0");
		expect(event).toMatchObject({ path: "", raw: "", flags: ["rawUnreadable"], result: -14 });
	});

	it("in a directory that is deleted is told as it was", async () => {
		const event = await lastOf(
			"chdir,directory",
			"unlinkat,#-100,../directory,#0x200",
			"mkdirat,#-100,new,#0700",
		);
		expect(event).toMatchObject({ path: inFolder("directory/new"), raw: "new", result: ENOENT });
	});
});

describe("another root", () => {
	it("is named from the top when it is taken, and as it was passed when not", async () => {
		const { inode } = fileOf(inFolder("directory"));
		mkdirSync(inFolder("directory/inner"));
		const { events } = await changed("chroot,nowhere", "chroot,directory", "chroot,inner", "chdir,/");
		expect(events).toMatchObject([
			{ kind: "chroot", path: inFolder("nowhere"), flags: ["pathFromUser"], result: ENOENT },
			{ kind: "chroot", path: inFolder("directory"), raw: "directory", flags: [], inode, result: 0 },
			{ kind: "chroot", result: ENOENT },
		]);
	});

	it("is exchanged for the old one", async () => {
		const event = await lastOf(
			"unshare,#0x20000",
			"mount,#0,/,#0,#0x44000,#0",
			"mount,directory,directory,#0,#0x1000,#0",
			"mkdirat,#-100,directory/old,#0700",
			"pivot_root,directory,directory/old",
		);
		expect(event).toMatchObject({ kind: "pivotRoot", raw: "directory", targetRaw: "directory/old" });
		expect(await lastOf("pivot_root,nowhere,nowhere")).toMatchObject({ result: ENOENT });
	});
});

describe("a file in memory", () => {
	it("is reported with its name, flags and numbers", async () => {
		const event = await lastOf("memfd_create,na%0ame,#3");
		expect(event).toMatchObject({
			...{
				kind: "memfd",
				path: "memfd:na\nme",
				raw: "na\nme",
				callFlags: 3,
				flags: ["fromMemfd"],
				result: 3,
			},
			mode: 0o100777,
		});
		expect(event.inode).toBeGreaterThan(0);
	});

	it("that is refused is reported with the reason", async () => {
		expect(await lastOf("memfd_create,name,#0x8000")).toMatchObject({ raw: "name", path: "", result: -22 });
	});
});

it("that is told in the caller's words is said to be so where the hooks are listed", () => {
	const lost = (asked: string) => harness.capture.capabilities().find(({ name }) => name === asked)?.lost;
	if (seesBefore()) expect(lost("unlink")).toBe("");
	else expect(lost("unlink")).toMatch(/^the kernel's own names .*\(hooks on functions: (?!undefined)/);
	expect(lost("chroot")).toBe("");
});

describe("of some interest only", () => {
	const empty: PathInterest = { exact: [], prefixes: [], names: [], suffixes: [] };
	const watch = (asked: Partial<PathInterest> | "none") =>
		harness.capture.setInterest({
			...noInterest,
			kinds: new Set(["exec", "fork", "exit", ...fileChangeKinds]),
			fileChanges: asked === "none" ? asked : { ...empty, ...asked },
		});
	const told = async (...words: string[]) =>
		(await changed(...words)).events.map(({ raw, targetRaw }) => `${raw}>${targetRaw}`);
	afterAll(() => harness.capture.setInterest(interest));

	it("is what becomes of one path and what becomes it, done or not", async () => {
		watch({ exact: [inFolder("file")] });
		const words = [
			"mkdirat,#-100,other,#0700",
			"unlinkat,#-100,nobody,#0",
			"renameat,#-100,file,#-100,away",
			"renameat,#-100,away,#-100,filed",
			"renameat,#-100,filed,#-100,file",
			"unlinkat,#-100,file,#0",
			"unlinkat,#-100,file,#0",
			"unlinkat,#-100,directory/file,#0",
		];
		expect(await told(...words)).toEqual(["file>away", "filed>file", "file>", "file>"]);
	});

	it("is what lies below, is called or ends like something", async () => {
		watch({ prefixes: [inFolder("directory/")], names: ["id"], suffixes: [".key"] });
		const made = ["directory/a", "id", "ids", "a.key", ".keys", "other/id"];
		const words = made.map((name) => `mkdirat,#-100,${name},#0700`);
		expect(await told(...words)).toEqual(["directory/a>", "id>", "a.key>", "other/id>"]);
	});

	it("is what was passed as well as what that stands for", async () => {
		watch({ exact: ["away/./", "old"], prefixes: ["up/"] });
		const words = ["old", "older", "up/x", "down"].map((name) => `unlinkat,#-100,${name},#0`);
		expect(await told(...words, "symlinkat,/old,#-100,a", "symlinkat,/older,#-100,b")).toEqual([
			"old>",
			"up/x>",
		]);
	});

	it("is each whose name may stand for any other", async () => {
		watch({ exact: ["/nothing"] });
		const names = [
			"a/../b",
			"..",
			"./a",
			"a/.",
			"a//b",
			"a/",
			".a",
			"..a/b",
			"a./b",
			`${"x/".repeat(250)}y`,
			"#1",
		];
		const words = names.map((name) => `mkdirat,#-100,${name},#0700`);
		// Of one that is carried out the kernel's own name is known where it is looked at before the act.
		const done = seesBefore() ? [] : ["./a>"];
		const rest = ["a/../b>", "..>", ...done, "a/.>", "a//b>", "a/>", `${"x/".repeat(250)}y>`, ">"];
		expect(await told(...words, "symlinkat,anything,#-100,link")).toEqual([...rest, "link>anything"]);
	});

	it("is none when nobody asks", async () => {
		watch("none");
		expect(harness.capture.attached()).not.toContain("on_change@syscalls/sys_exit_renameat");
		expect(await told("renameat,#-100,file,#-100,a")).toEqual([]);
	});
});
