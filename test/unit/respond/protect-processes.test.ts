// Processes and programs that are never touched, on hosts on paper: who is who is told by executable and namespaces.
import { linkSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ProgramMatch } from "../../../agent/model/refusal.ts";
import { readIdentity } from "../../../agent/respond/procfs.ts";
import { createProtection } from "../../../agent/respond/protect.ts";
import { createVitalPrograms } from "../../../agent/respond/vital-programs.ts";
import { makeRoot, stat } from "./host.ts";

const extra = { addresses: [], containers: [], processes: [] };
const on = (root: string, self = 900) =>
	createProtection({
		root,
		self,
		extra: () => extra,
		resolve: async () => [],
		blocked: () => [],
		clock: () => 0,
	});

interface Fake {
	/** What it runs: a file below the root by inode, and what its link says. */
	readonly file?: string;
	readonly link?: string;
	readonly mnt?: string;
	readonly user?: string;
	readonly parent?: number;
}

/** A host with a few programs, busybox as its shell and getty, and one process to be judged, pid 60. */
function hostWith(fake: Fake): string {
	const root = makeRoot({
		"usr/sbin/sshd": "sshd",
		"usr/lib/systemd/systemd-logind": "logind",
		"usr/bin/busybox": "busybox",
		"usr/sbin/getty": "-> ../bin/busybox",
		"usr/bin/node": "node",
		"overlay/usr/sbin/sshd": "an attacker's",
		"proc/1/stat": stat(1, "systemd", 0, 1),
		"proc/1/ns/mnt": "-> mnt:[1]",
		"proc/1/ns/user": "-> user:[1]",
		"proc/900/stat": stat(900, "node", 1, 10),
		"proc/60/stat": stat(60, "sshd", fake.parent ?? 1, 10),
		"proc/60/ns/mnt": `-> ${fake.mnt ?? "mnt:[1]"}`,
		"proc/60/ns/user": `-> ${fake.user ?? "user:[1]"}`,
	});
	// A hard link has the inode but no text, as a link has text but, here, leads nowhere.
	if (fake.file !== undefined) linkSync(join(root, fake.file), join(root, "proc/60/exe"));
	if (fake.link !== undefined) symlinkSync(fake.link, join(root, "proc/60/exe"));
	linkSync(join(root, "usr/bin/node"), join(root, "proc/900/exe"));
	return root;
}

function why(fake: Fake): string | undefined {
	const root = hostWith(fake);
	const identity = readIdentity(root, 60);
	if (identity === undefined) throw new Error("no process");
	return on(root).process(identity);
}

describe("a process that is never killed", () => {
	it("runs the host's sshd, in whatever mount namespace", () => {
		expect(why({ file: "usr/sbin/sshd" })).toContain("/usr/sbin/sshd keeps this host reachable");
		expect(why({ file: "usr/sbin/sshd", mnt: "mnt:[7]" })).toContain("keeps this host reachable");
		expect(why({ file: "usr/lib/systemd/systemd-logind", mnt: "mnt:[7]" })).toContain("systemd-logind");
	});

	it("runs an sshd that an upgrade has replaced on disk", () => {
		expect(why({ link: "/usr/sbin/sshd (deleted)" })).toContain("keeps this host reachable");
		expect(why({ link: "/usr/lib/systemd/systemd-resolved" })).toContain("keeps this host reachable");
	});

	it("is the sshd of a host whose init may not be looked at", () => {
		const root = makeRoot({
			"proc/self/ns/mnt": "-> mnt:[3]",
			"proc/60/stat": stat(60, "sshd", 1, 10),
			"proc/60/exe": "-> /usr/sbin/sshd",
			"proc/60/ns/mnt": "-> mnt:[3]",
			"proc/60/ns/user": "-> user:[1]",
			"proc/61/stat": stat(61, "sshd", 1, 10),
			"proc/61/exe": "-> /usr/sbin/sshd",
			"proc/61/ns/mnt": "-> mnt:[4]",
		});
		const judge = (pid: number) => on(root).process(readIdentity(root, pid) ?? expect.fail());
		expect(judge(60)).toContain("keeps this host reachable");
		expect(judge(61)).toBeUndefined();
	});

	it("is a part of the sensor", () => {
		expect(why({ file: "usr/bin/node", parent: 900 })).toContain("a part of the sensor");
		expect(why({ file: "usr/bin/node" })).toBeUndefined();
	});

	it("does not become one by its name", () => {
		expect(why({ link: "/tmp/sshd" })).toBeUndefined();
		expect(why({ link: "/home/x/usr/sbin/sshd" })).toBeUndefined();
	});

	it("does not become one by its path in a container or a user namespace of its own", () => {
		expect(why({ link: "/usr/sbin/sshd", mnt: "mnt:[7]" })).toBeUndefined();
		expect(why({ link: "/usr/sbin/sshd", mnt: "mnt:[7]", user: "user:[7]" })).toBeUndefined();
		expect(why({ link: "/usr/sbin/sshd (deleted)", user: "user:[7]" })).toBeUndefined();
		expect(why({ file: "overlay/usr/sbin/sshd", mnt: "mnt:[7]" })).toBeUndefined();
	});

	it("is the part of a session that runs as its user, but not an sshd that a user started for himself", () => {
		const process = (pid: number, parent: number, uid: number) => ({
			[`proc/${pid}/stat`]: stat(pid, "sshd", parent, 10),
			[`proc/${pid}/status`]: `Name:\tsshd\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\n`,
			[`proc/${pid}/exe`]: "-> /usr/sbin/sshd",
		});
		const root = makeRoot({ ...process(60, 1, 0), ...process(61, 60, 1000), ...process(62, 61, 1000) });
		const judge = (pid: number) => on(root).process(readIdentity(root, pid) ?? expect.fail());
		expect(judge(60)).toContain("keeps this host reachable");
		expect(judge(61)).toContain("keeps this host reachable");
		expect(judge(62)).toBeUndefined();
	});

	it("is no shell, not even where getty is the same busybox", () => {
		expect(why({ file: "usr/bin/busybox" })).toBeUndefined();
	});
});

describe("a program that is never refused on the whole host", () => {
	const root = () => {
		const made = makeRoot({
			"usr/bin/dash": "dash",
			"usr/bin/curl": "curl",
			"usr/bin/sh": "-> dash",
			bin: "-> usr/bin",
			"usr/lib/x86_64-linux-gnu/libc.so.6": "libc",
			lib: "-> usr/lib",
			"lib64/ld-linux-x86-64.so.2": "-> /usr/lib/x86_64-linux-gnu/ld-2.so",
			"usr/lib/x86_64-linux-gnu/ld-2.so": "loader",
			"usr/bin/containerd-shim-runc-v2": "shim",
			"usr/bin/fancyshell": "fancy",
			"etc/shells": "# shells\n/bin/sh\n/usr/bin/fancyshell\n",
			"opt/tool": "tool",
			"opt/safe": "-> ../usr/bin/dash",
		});
		linkSync(join(made, "usr/bin/dash"), join(made, "opt/copy"));
		return made;
	};
	const path = (text: string): ProgramMatch => ({ by: "path", path: text });

	it.each<[ProgramMatch, string | undefined]>([
		[path("/bin/sh"), "shell"],
		[path("/usr/bin/bash"), "shell"],
		[path("/usr/bin/fancyshell"), "shell"],
		[path("/opt/copy"), "shell"],
		[path("/opt/safe"), "shell"],
		[path("/usr/lib/x86_64-linux-gnu/libc.so.6"), "every program is loaded"],
		[path("/lib64/ld-linux-x86-64.so.2"), "every program is loaded"],
		[path("/usr/lib/x86_64-linux-gnu/ld-2.so"), "every program is loaded"],
		[path("/usr/bin/containerd-shim-runc-v2"), "keeper"],
		[path("/usr/sbin/runc"), "keeper"],
		[path("/usr/sbin/sshd"), "log in"],
		[path("/usr/sbin/ipset"), "the sensor works with it"],
		[path(process.execPath), "the sensor runs by it"],
		[path("/usr/bin/curl"), undefined],
		[path("/opt/tool"), undefined],
		[path("/opt/nothing"), undefined],
		[{ by: "directory", path: "/bin/" }, "below it"],
		[{ by: "directory", path: "/usr/bin/" }, "below it"],
		[{ by: "directory", path: "/" }, "below it"],
		[{ by: "directory", path: "/opt/" }, undefined],
		[{ by: "name", name: "dash" }, "shell"],
		[{ by: "name", name: "sudo" }, "administrator"],
		[{ by: "name", name: "curl" }, undefined],
		[{ by: "any" }, "nothing could be started"],
		[{ by: "not-from-image" }, undefined],
	])("%j: %s", (match, reason) => {
		const said = on(root()).program(match);
		if (reason === undefined) expect(said).toBeUndefined();
		else expect(said).toContain(reason);
	});

	it("is known by its inode", () => {
		const made = root();
		const programs = createVitalPrograms({ host: made, own: [], clock: () => 0 });
		const dash = programs.files().find(({ real }) => real === "/usr/bin/dash");
		expect(dash?.inode).toBeTypeOf("bigint");
		const match = { by: "inode", device: 0, inode: dash?.inode ?? 0n } as const;
		expect(programs.refused(match)).toContain("shell");
		expect(programs.refused({ ...match, inode: 1n })).toBeUndefined();
	});

	it("has to be in a list of the only allowed ones, by the path that its links lead to", () => {
		const programs = createVitalPrograms({ host: root(), own: [], clock: () => 0 });
		const directories = (...paths: string[]) => paths.map((one) => ({ by: "directory", path: one }) as const);
		expect(programs.missing(directories("/usr/"))).toBeUndefined();
		expect(programs.missing(directories("/usr/bin/"))).toContain("lib");
		const runtime = path("/usr/bin/containerd-shim-runc-v2");
		expect(programs.missing([path("/bin/sh"), runtime, ...directories("/usr/lib/")])).toContain("dash");
		expect(programs.missing([{ by: "not-from-image" }])).toBeDefined();
	});

	it("is found on this very host as well: its shell, its loader and its libc", () => {
		const programs = createVitalPrograms({ host: "/", own: [process.execPath], clock: Date.now });
		for (const one of ["/bin/sh", process.execPath]) expect(programs.refused(path(one)), one).toBeDefined();
		const whys = new Set(programs.files().map((file) => file.why));
		expect(whys).toContain("every program is loaded with it");
		expect(whys).toContain("it is a shell, which services, scripts and logins need");
	});
});

describe("the host of a sensor in a container", () => {
	it("is init's root: absolute links in it start there", () => {
		const root = makeRoot({ "usr/bin/node": "the container's" });
		const host = join(root, "proc/1/root");
		mkdirSync(dirname(join(host, "usr/bin/x")), { recursive: true });
		mkdirSync(join(host, "opt"));
		linkSync(join(root, "usr/bin/node"), join(host, "usr/bin/dash"));
		symlinkSync("/usr/bin/dash", join(host, "opt/shell"));
		expect(readdirSync(join(host, "opt"))).toEqual(["shell"]);
		expect(on(root).program({ by: "path", path: "/opt/shell" })).toContain("shell");
	});
});
