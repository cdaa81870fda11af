// Which events a Sigma rule's log source stands for, what the names of its fields mean there, and what it says when
// there are none.
import { describe, expect, it } from "vitest";
import type { Sample } from "../../../agent/detect/sample.ts";
import { observationOf } from "../../../agent/detect/sample.ts";
import { falcoFieldOf } from "../../../agent/detect/sigma/taxonomy.ts";
import { errorsOf, findings, fired, load } from "./rig.ts";
import { type Detection, ran, selects, sigmaError, sigmaOf, sigmaText } from "./sigma-rig.ts";

const from = (category: string): Detection => ({ logsource: { product: "linux", category } });
const audit = { logsource: { product: "linux", service: "auditd" } };
const shell: Sample = {
	process: {
		exe: "/usr/bin/bash",
		args: ["-bash", "-c", "id  -u"],
		uid: "1000",
		login_uid: "1000",
		cwd: "/tmp/x",
		pid: "7",
	},
	ancestors: [{ exe: "/usr/sbin/sshd", args: ["sshd: ada", "x"], pid: "5" }],
};
const open = (
	path: string,
	flags: readonly string[],
	more: Record<string, string | string[]> = {},
): Sample => ({
	process: { exe: "/usr/bin/wget" },
	open: { path, flags, syscall: "openat", ...more },
});
const made = (path: string) => open(path, ["O_WRONLY", "O_CREAT"], { event_flags: ["created"] });

describe("process_creation", () => {
	it.each<[key: string, yes: unknown, no: unknown]>([
		["Image", "/usr/bin/bash", "bash"],
		["CommandLine", "-bash -c id  -u", "bash -c id  -u"],
		["CommandLine|startswith", "-bash ", "/usr/bin/bash"],
		["ParentImage|endswith", "/sshd", "/ssh"],
		["ParentCommandLine", "sshd: ada x", "sshd"],
		["CurrentDirectory", "/tmp/x", "/tmp"],
		["CurrentDirectory", "/tmp/x/", "/tmp/"],
		["CurrentDirectory|endswith", "/x", "/tmp"],
		["CurrentDirectory|startswith", "/tmp/", "/var/"],
		["User", "ada", "root"],
		["LogonId", 1000, 0],
		["ProcessId", 7, 5],
		["ParentProcessId", 5, 7],
		["ParentUser", "root", "ada"],
		["Computer", "host-1", "host-2"],
	])("has %s: %j, not %j", (key, yes, no) => {
		expect(selects(key, yes, shell)).toBe(true);
		expect(selects(key, no, shell)).toBe(false);
	});

	it("is about programs that are started", () => {
		expect(selects("Image", "/usr/bin/wget", made("/tmp/x"))).toBe(false);
		expect(sigmaOf({ s: { Image: "x" }, condition: "s" }).rule.events).toEqual(["exec"]);
	});

	it("is so without a product too", () => {
		expect(selects("Image", "/usr/bin/bash", shell, { logsource: { category: "process_creation" } })).toBe(
			true,
		);
		expect(
			selects("Image", "/usr/bin/bash", shell, {
				logsource: { category: "Process_Creation", product: "Linux" },
			}),
		).toBe(true);
	});
});

describe("files", () => {
	const cron = ["TargetFilename|startswith", "/etc/cron.d/"] as const;
	it("are made by an open that makes or empties them, and by a rename", () => {
		const is = (sample: Sample) => selects(...cron, sample, from("file_event"));
		expect(is(made("/etc/cron.d/x"))).toBe(true);
		expect(is(open("/etc/cron.d/x", ["O_WRONLY", "O_TRUNC"]))).toBe(true);
		expect(is(open("/etc/cron.d/x", ["O_WRONLY", "O_CREAT"]))).toBe(false);
		expect(is(open("/etc/cron.d/x", ["O_RDONLY"]))).toBe(false);
		expect(is(open("/etc/cron.d/x", ["O_WRONLY", "O_TRUNC"], { result: "-13" }))).toBe(false);
		expect(is(made("/etc/cron.daily/x"))).toBe(false);
		expect(is({ rename: { path: "/tmp/x", target: "/etc/cron.d/x" } })).toBe(true);
		expect(is({ rename: { path: "/etc/cron.d/x", target: "/tmp/x" } })).toBe(false);
		expect(is({ unlink: { path: "/etc/cron.d/x" } })).toBe(false);
	});

	it("are removed, renamed and read", () => {
		expect(selects(...cron, { unlink: { path: "/etc/cron.d/x" } }, from("file_delete"))).toBe(true);
		expect(selects(...cron, made("/etc/cron.d/x"), from("file_delete"))).toBe(false);
		const moved = { rename: { path: "/tmp/x", target: "/etc/cron.d/x" } };
		expect(selects(...cron, moved, from("file_rename"))).toBe(true);
		expect(selects("SourceFilename", "/tmp/x", moved, from("file_rename"))).toBe(true);
		expect(selects("SourceFilename", "/etc/cron.d/x", moved, from("file_rename"))).toBe(false);
		expect(selects("FileName", "/etc/shadow", open("/etc/shadow", ["O_RDONLY"]), from("file_access"))).toBe(
			true,
		);
		expect(selects("FileName", "/etc/shadow", open("/etc/passwd", ["O_RDONLY"]), from("file_access"))).toBe(
			false,
		);
	});

	it("whose names are known bound what the kernel sends", () => {
		const { rule, set } = sigmaOf(
			{ s: { TargetFilename: ["/tmp/rootlog", "/etc/cron.d/*", "*/authorized_keys"] }, condition: "s" },
			from("file_event"),
		);
		const bound = {
			exact: ["/tmp/rootlog"],
			prefixes: ["/etc/cron.d/"],
			suffixes: ["/authorized_keys"],
			names: [],
		};
		expect(rule.interest).toMatchObject({ writeOpens: bound, readOpens: "none", fileChanges: bound });
		expect(rule.interest?.failedOpens).toBe(false);
		expect(set.problems).toEqual([]);
	});

	it("whose names are not known are told with what they cost", () => {
		const { set } = sigmaOf({ s: { "TargetFilename|contains": "x" }, condition: "s" }, from("file_event"));
		expect(set.interest.writeOpens).toBe("all");
		expect(set.problems).toMatchObject([
			{ level: "warning", where: "r", message: expect.stringContaining("writing") },
		]);
	});
});

describe("network_connection", () => {
	const more = from("network_connection");
	const out: Sample = { process: { exe: "/usr/bin/nc" }, connect: { address: "203.0.113.9", port: "4444" } };
	const within: Sample = {
		process: { exe: "/usr/bin/nc" },
		accept: {
			family: "2",
			protocol: "6",
			localAddress: "192.0.2.1",
			localPort: "4444",
			remoteAddress: "203.0.113.9",
			remotePort: "50000",
			result: "5",
		},
	};

	it.each<[key: string, out: unknown, within: unknown]>([
		["DestinationIp", "203.0.113.9", "192.0.2.1"],
		["DestinationPort", 4444, "4444"],
		["SourceIp|cidr", "0.0.0.0/0", "203.0.113.0/24"],
		["SourcePort", 40000, 50000],
		["Initiated", "true", false],
		["Protocol", "tcp", "TCP"],
		["Image|endswith", "/nc", "/nc"],
	])("has %s of who connects, %j, and of who is connected to, %j", (key, first, second) => {
		expect(selects(key, first, out, more)).toBe(true);
		expect(selects(key, second, within, more)).toBe(true);
		if (JSON.stringify(first) === JSON.stringify(second) || /Port|Protocol|cidr/.test(key)) return;
		expect(selects(key, second, out, more)).toBe(false);
		expect(selects(key, first, within, more)).toBe(false);
	});

	it("is not about what is refused, nor about sockets of the host", () => {
		expect(
			selects("Image", "*", { connect: { address: "203.0.113.9", port: "1", result: "-111" } }, more),
		).toBe(false);
		expect(selects("Image", "*", { connect: { path: "/run/x.sock" } }, more)).toBe(false);
	});

	it("on known ports makes the kernel send those alone", () => {
		const { rule } = sigmaOf({ s: { Initiated: true, DestinationPort: [4444, 8531] }, condition: "s" }, more);
		expect(rule.interest?.connects).toEqual({ ip: [4444, 8531], unix: false });
		expect(rule.events).not.toContain("accept");
	});
});

describe("auditd", () => {
	const is = (detection: Detection, sample: Sample): boolean =>
		fired(sigmaOf({ s: detection, condition: "s" }, audit).set, sample).length > 0;
	const chmod = ran(["chmod", "777", "/x"], "/usr/bin/chmod");

	it("has the arguments of a program in EXECVE", () => {
		expect(is({ type: "EXECVE", a0: "chmod", a1: 777 }, chmod)).toBe(true);
		expect(is({ type: "EXECVE", a0: "chmod", a2: 777 }, chmod)).toBe(false);
		expect(is({ a1: 777 }, chmod)).toBe(true);
		expect(is({ type: "PATH", a1: 777 }, chmod)).toBe(false);
		expect(is({ type: "EXECVE", "a3|exists": true }, chmod)).toBe(false);
		expect(is({ type: "EXECVE", a10: "x" }, ran("0 1 2 3 4 5 6 7 8 9 x".split(" ")))).toBe(true);
	});

	it("has words in the arguments", () => {
		const { set } = sigmaOf(
			{ e: { type: "EXECVE" }, k: { "|all": ["chmod", "777"] }, condition: "e and k" },
			audit,
		);
		expect(fired(set, chmod)).toEqual(["r"]);
		expect(fired(set, ran(["chmod", "755"]))).toEqual([]);
		expect(fired(set, made("/chmod/777"))).toEqual([]);
	});

	it("has in PATH what a call has touched", () => {
		const etc = { type: "PATH", name: "/etc/audit/*" };
		expect(is(etc, open("/etc/audit/rules", ["O_RDONLY"]))).toBe(true);
		expect(is(etc, made("/etc/audit/rules"))).toBe(true);
		expect(is(etc, { unlink: { path: "/etc/audit/rules" } })).toBe(true);
		expect(is(etc, { chmod: { path: "/etc/audit/rules", newMode: "511" } })).toBe(true);
		expect(is(etc, { rename: { path: "/etc/audit/a", target: "/tmp/a" } })).toBe(true);
		expect(is(etc, { rename: { path: "/tmp/a", target: "/etc/audit/a" } })).toBe(true);
		expect(is(etc, open("/etc/passwd", ["O_RDONLY"]))).toBe(false);
		expect(is({ type: "PATH", name: "/etc/*release" }, open("/etc/os-release", ["O_RDONLY"]))).toBe(true);
		expect(is({ type: "PATH", name: "/usr/bin/chmod" }, chmod)).toBe(true);
	});

	it("tells in PATH what was made from what was removed", () => {
		const unit = (nametype: string) => ({
			type: "PATH",
			nametype,
			"name|startswith": "/etc/systemd/system/",
		});
		const path = "/etc/systemd/system/x.service";
		const created: Sample[] = [
			made(path),
			{ rename: { path: "/tmp/x", target: path } },
			{ mkdir: { path } },
			{ symlink: { path, targetRaw: "/tmp/x" } },
			{ link: { path: "/tmp/x", target: path } },
		];
		for (const sample of created) {
			expect(is(unit("CREATE"), sample), JSON.stringify(sample)).toBe(true);
			expect(is(unit("DELETE"), sample), JSON.stringify(sample)).toBe(false);
		}
		expect(is(unit("CREATE"), open(path, ["O_WRONLY"]))).toBe(false);
		expect(is(unit("NORMAL"), open(path, ["O_WRONLY"]))).toBe(true);
		expect(is(unit("DELETE"), { unlink: { path } })).toBe(true);
		expect(is(unit("DELETE"), { rename: { path, target: "/tmp/x" } })).toBe(true);
	});

	it("has in SYSCALL who called what", () => {
		const web: Sample = {
			process: { exe: "/tmp/x", uid: "33", login_uid: "1000" },
			exec: { syscall: "execve" },
		};
		expect(is({ type: "SYSCALL", SYSCALL: ["execve", "execveat"], euid: 33 }, web)).toBe(true);
		expect(is({ type: "SYSCALL", SYSCALL: "execve", euid: 34 }, web)).toBe(false);
		expect(is({ type: "SYSCALL", "exe|startswith": "/tmp/" }, web)).toBe(true);
		expect(is({ type: "SYSCALL", comm: "x", auid: 1000, success: "yes" }, web)).toBe(true);
		expect(is({ type: "SYSCALL", comm: "x", success: "no" }, web)).toBe(false);
		// One that names no call is about programs that are started, not about all they do.
		expect(is({ type: "SYSCALL", comm: "wget" }, made("/tmp/x"))).toBe(false);
		expect(is({ type: "SYSCALL", SYSCALL: "openat", comm: "wget" }, made("/tmp/x"))).toBe(true);
		expect(
			is({ type: "SYSCALL", SYSCALL: "memfd_create" }, { memfd: { syscall: "memfd_create", name: "x" } }),
		).toBe(true);
		expect(
			is(
				{ type: "SYSCALL", "SYSCALL|startswith": "memfd" },
				{ memfd: { syscall: "memfd_create", name: "x" } },
			),
		).toBe(true);
		expect(is({ type: "SYSCALL", SYSCALL: "mknod" }, { mknod: { syscall: "mknod", path: "/dev/x" } })).toBe(
			true,
		);
	});

	it("has arguments of calls in hexadecimal", () => {
		const crypto = { type: "SYSCALL", SYSCALL: "socket", a0: "26" };
		expect(is(crypto, { socket: { family: "38", syscall: "socket" } })).toBe(true);
		expect(is(crypto, { socket: { family: "26", syscall: "socket" } })).toBe(false);
	});

	it.each<[detection: Detection, status: string, reason: RegExp]>([
		[{ type: "SERVICE_STOP", unit: "ufw" }, "not-evaluable", /no event here has type SERVICE_STOP/],
		[{ type: ["TTY", "EXECVE"], a0: "x" }, "degraded", /type TTY/],
		[{ type: "SYSCALL", SYSCALL: "personality" }, "not-evaluable", /not captured: personality/],
		[{ type: "SYSCALL", SYSCALL: ["sysinfo", "execve"] }, "degraded", /not captured: sysinfo/],
		[{ key: "susp" }, "not-evaluable", /never set: key/],
	])("%j is %s and says why", (detection, status, reason) => {
		const { rule } = sigmaOf({ s: detection, condition: "s" }, audit);
		expect(rule.status).toBe(status);
		expect(rule.reasons.join("; ")).toMatch(reason);
		expect(rule.enabled).toBe(status !== "not-evaluable");
	});
});

describe("what the sensor cannot see", () => {
	it.each<[logsource: Detection, reason: RegExp]>([
		[{ product: "linux", service: "sshd" }, /log of sshd/],
		[{ product: "linux", service: "sudo" }, /log of sudo/],
		[{ service: "cron", product: "linux" }, /log of cron/],
		[{ product: "linux" }, /text of any log/],
		[{ product: "windows", category: "process_creation" }, /for windows/],
		[{ product: "macos", category: "file_event" }, /for macos/],
		[{ category: "registry_set" }, /category registry_set/],
		[{ category: "webserver" }, /category webserver/],
	])("%j is loaded, and says why it is not evaluated", (logsource, reason) => {
		const { rule } = sigmaOf({ k: ["word"], condition: "k" }, { logsource });
		expect(rule).toMatchObject({ status: "not-evaluable", enabled: false });
		expect(rule.reasons).toHaveLength(1);
		expect(rule.reasons[0]).toMatch(reason);
	});

	it("of a rule is told even where the rest can be evaluated", () => {
		const { rule } = sigmaOf({ s: { Image: "*/x" }, t: { OriginalFileName: "x" }, condition: "s or t" });
		expect(rule).toMatchObject({
			status: "degraded",
			reasons: ["these fields are never set: OriginalFileName"],
		});
	});

	it.each(["deprecated", "unsupported"])("and a rule that is %s is loaded and not evaluated", (status) => {
		const { rule } = sigmaOf({ s: { Image: "*" }, condition: "s" }, { status });
		expect(rule).toMatchObject({
			status: "not-evaluable",
			enabled: false,
			reasons: [`its status is ${status}`],
		});
	});
});

describe("a rule", () => {
	const full = {
		id: "6f1b8a4e-9a3c-4a53-8f6e-0a8f6f3c1d2e",
		name: "short_name",
		status: "test",
		description: "What\nit means.",
		author: "Ada (Example)",
		references: ["https://example.org/a", "https://example.org/b"],
		tags: ["attack.execution", "attack.t1059.004", "attack.stealth", "cve.2021-4034"],
		falsepositives: ["Backups"],
	};

	it("tells in each finding who wrote it, where to read on, and what it is about", () => {
		const { set, rule } = sigmaOf({ s: { Image: "*/bash" }, condition: "s" }, full);
		expect(rule).toMatchObject({
			id: full.id,
			shortName: "short_name",
			author: full.author,
			origin: "sigma",
		});
		expect(findings(set, observationOf(shell))).toEqual([
			{
				rule: "r",
				origin: "sigma",
				priority: "Error",
				severity: "high",
				summary: "r | user=ada exe=/usr/bin/bash command=-bash -c id  -u parent=/usr/sbin/sshd",
				description: "What it means.",
				tactics: ["execution", "stealth"],
				techniques: ["T1059.004"],
				tags: full.tags,
				fields: {
					"user.name": "ada",
					"proc.exepath": "/usr/bin/bash",
					"proc.exeline": "-bash -c id  -u",
					"proc.pexepath": "/usr/sbin/sshd",
				},
				credit: {
					id: full.id,
					author: full.author,
					references: full.references,
					falsePositives: ["Backups"],
				},
			},
		]);
	});

	it.each([
		["informational", "informational", "Informational"],
		["low", "low", "Notice"],
		["medium", "medium", "Warning"],
		["HIGH", "high", "Error"],
		["critical", "critical", "Critical"],
		[undefined, "medium", "Warning"],
	])("of level %s has the severity %s", (level, severity, priority) => {
		expect(sigmaOf({ s: { Image: "x" }, condition: "s" }, { level }).rule).toMatchObject({
			severity,
			priority,
		});
	});

	it("shows the fields that its file asks for", () => {
		const fields = ["Image", "CurrentDirectory", "Hashes", "LogonId"];
		const { set } = sigmaOf({ s: { Image: "*" }, condition: "s" }, { fields });
		expect(findings(set, observationOf(shell))[0]?.summary).toMatch(
			/parent=\/usr\/sbin\/sshd CurrentDirectory=\/tmp\/x\/ LogonId=1000$/,
		);
	});

	it("of another taxonomy is loaded, and says why it is not evaluated", () => {
		const { rule } = sigmaOf({ s: { process_name: "x" }, condition: "s" }, { taxonomy: "ecs" });
		expect(rule).toMatchObject({ status: "not-evaluable", reasons: ["its names are of the taxonomy ecs"] });
		expect(sigmaOf({ s: { Image: "x" }, condition: "s" }, { taxonomy: "sigma" }).rule.status).toBe(
			"evaluable",
		);
	});

	it("may have a title with a percent sign", () => {
		const { set } = sigmaOf({ s: { Image: "*" }, condition: "s" }, { title: "100%proc.foo %d" });
		expect(findings(set, observationOf(shell))[0]?.summary).toMatch(/^100%proc\.foo %d \|/);
	});

	it.each<[more: Detection, message: RegExp]>([
		[{ level: "severe" }, /unknown level "severe"/],
		[{ status: "new" }, /unknown status "new"/],
		[{ logsource: {} }, /nothing says which events/],
		[{ logsource: undefined }, /nothing says which events/],
		[{ detection: undefined }, /there is no detection/],
		[{ detection: [] }, /there is no detection/],
		[{ title: "" }, /has no title/],
		[{ title: undefined }, /has no title/],
	])("with %j is told", (more, message) => {
		expect(sigmaError({ s: { Image: "x" }, condition: "s" }, more).message).toMatch(message);
	});

	it("has an id of its own, and costs no other when it has not", () => {
		const one = sigmaText({ s: { Image: "x" }, condition: "s" }, { title: "one", id: full.id });
		const two = sigmaText({ s: { Image: "x" }, condition: "s" }, { title: "two", id: full.id.toUpperCase() });
		const set = load(`${one}\n---\n${two}`);
		expect(set.rules.map(({ name, status }) => [name, status])).toEqual([
			["one", "evaluable"],
			["two", "error"],
		]);
		expect(errorsOf(set)).toMatchObject([
			{ line: 3, message: expect.stringContaining('that of "one" at rules.yaml:1') },
		]);
	});

	it("with an error leaves the others of its file in force", () => {
		const good = sigmaText({ s: { Image: "*/bash" }, condition: "s" }, { title: "good" });
		const bad = sigmaText({ s: { "Image|foo": "x" }, condition: "s" }, { title: "bad" });
		const set = load(`${bad}\n---\n${good}`);
		expect(errorsOf(set)).toHaveLength(1);
		expect(fired(set, shell)).toEqual(["good"]);
	});
});

it("fields of ours are known by Sigma's names", () => {
	expect(falcoFieldOf("process_creation", "Image")).toEqual({ name: "proc.exepath" });
	expect(falcoFieldOf("network_connection", "DestinationIp")).toEqual({ name: "fd.sip" });
	expect(falcoFieldOf("file_event", "TargetFilename")).toEqual({ name: "fs.path.changed" });
	expect(falcoFieldOf("auditd", "a2")).toEqual({ name: "proc.args", argument: "1" });
	expect(falcoFieldOf("process_creation", "TargetFilename")).toBeUndefined();
	expect(falcoFieldOf("nonsense", "Image")).toBeUndefined();
	expect(falcoFieldOf("process_creation", "constructor")).toBeUndefined();
});
