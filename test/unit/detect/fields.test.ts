// What each field reads on each kind of event, and that rules about system calls tell them apart.
import { describe, expect, it, test } from "vitest";
import { fieldNames, fieldsWithArgument, findField } from "../../../agent/detect/fields.ts";
import { addressField } from "../../../agent/detect/fields-socket.ts";
import { knownNames } from "../../../agent/detect/known-fields.ts";
import { observationOf, type Sample } from "../../../agent/detect/sample.ts";
import { EventKind, eventNames, type Observation } from "../../../agent/model/event.ts";
import type { Container, Process } from "../../../agent/model/process.ts";
import { fired, holds, load, context as rigContext } from "./rig.ts";

const context = {
	...rigContext,
	bootTimeMs: () => 1_750_000_000_000,
	userName: (uid: number) => (uid === 0 ? "root" : undefined),
};

function read(name: string, observation: Observation): string | number | undefined {
	const [, plain = name, argument] = /^(.*?)(?:\[(.*)\])?$/.exec(name) ?? [];
	const field = findField(plain, argument);
	if (!field) throw new Error(`no field ${name}`);
	// As conditions and outputs do: a kind that has not got the field is not asked.
	if (field.kinds && !field.kinds.includes(observation.event.kind)) return undefined;
	return field.type === "address"
		? addressField(field)(observation, context)
		: field.get(observation, context);
}

type Values = Readonly<Record<string, string | number | undefined>>;
const at = { localAddress: "10.0.0.1", remoteAddress: "192.0.2.7" };

const cases: readonly [what: string, sample: Sample, values: Values][] = [
	[
		"a failed exec",
		{ execFailed: { raw: "./x", path: "/x", result: "-13" } },
		{
			"evt.type": "exec_failed",
			"evt.res": "EACCES",
			"evt.rawres": -13,
			"evt.failed": 1,
			"fd.name": undefined,
		},
	],
	[
		"rename",
		{
			rename: {
				path: "/a/old",
				raw: "old",
				target: "/a/new",
				targetRaw: "new",
				syscall: "renameat2",
				callFlags: "1",
			},
		},
		{
			"evt.type": "renameat2",
			"evt.arg.oldpath": "/a/old",
			"evt.arg.newpath": "/a/new",
			"evt.rawarg.oldpath": "old",
			"evt.arg.flags": "RENAME_NOREPLACE",
			"evt.rawarg.flags": 1,
			"fs.path.source": "/a/old",
			"fs.path.sourceraw": "old",
			"fs.path.target": "/a/new",
			"fs.path.targetraw": "new",
			"fs.path.name": undefined,
			"fd.name": undefined,
			"evt.args": "res=SUCCESS oldpath=/a/old newpath=/a/new flags=RENAME_NOREPLACE",
			"evt.abspath.dst": "/a/new",
		},
	],
	[
		"unlinkat",
		{ unlink: { path: "/t/x", raw: "x", syscall: "unlinkat" } },
		{
			"evt.type": "unlinkat",
			"evt.arg.name": "/t/x",
			"evt.rawarg.name": "x",
			"evt.arg[name]": "/t/x",
			"evt.arg.path": undefined,
			"fs.path.name": "/t/x",
			"fs.path.nameraw": "x",
			"evt.arg.flags": "0",
		},
	],
	[
		"a failed unlinkat",
		{ unlink: { path: "/t/x", syscall: "unlinkat", result: "-2" } },
		{ "fs.path.name": undefined, "evt.res": "ENOENT", "evt.arg.name": "/t/x" },
	],
	[
		"rmdir by unlinkat",
		{ rmdir: { path: "/d", syscall: "unlinkat", callFlags: "0x200" } },
		{ "evt.type": "unlinkat", "evt.arg.name": "/d", "evt.arg.flags": "AT_REMOVEDIR" },
	],
	[
		"mkdirat",
		{ mkdir: { path: "/d", syscall: "mkdirat", newMode: "0o1777" } },
		{
			"evt.arg.path": "/d",
			"evt.arg.mode": "S_IXOTH|S_IWOTH|S_IROTH|S_IXGRP|S_IWGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISVTX",
			"evt.rawarg.mode": 0o1777,
		},
	],
	["mknod", { mknod: { path: "/p" } }, { "evt.arg.path": "/p", "fs.path.name": "/p" }],
	[
		"link",
		{ link: { path: "/etc/shadow", raw: "shadow", target: "/tmp/s" } },
		{
			"evt.arg.oldpath": "/etc/shadow",
			"evt.arg.newpath": "/tmp/s",
			"fs.path.source": "/tmp/s",
			"fs.path.target": "/etc/shadow",
			"fs.path.targetraw": "shadow",
		},
	],
	[
		"symlink",
		{ symlink: { path: "/tmp/l", raw: "l", targetRaw: "/etc/shadow" } },
		{
			"evt.arg.target": "/etc/shadow",
			"evt.arg.linkpath": "/tmp/l",
			"evt.rawarg.linkpath": "l",
			"fs.path.source": "/tmp/l",
			"fs.path.target": "/etc/shadow",
		},
	],
	[
		"fchmodat",
		{ chmod: { path: "/a", newMode: "0o4755", syscall: "fchmodat" } },
		{
			"evt.arg.filename": "/a",
			"evt.arg.mode": "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID",
			"fd.name": undefined,
			"fs.path.name": "/a",
		},
	],
	[
		"fchmod",
		{ chmod: { path: "/a/b", mode: "0o100644", newMode: "0o755", syscall: "fchmod" } },
		{
			"evt.arg.filename": undefined,
			"fd.name": "/a/b",
			"fd.directory": "/a",
			"fd.filename": "b",
			"fd.typechar": "f",
			"fd.type": "file",
		},
	],
	[
		"fchown of a directory",
		{ chown: { path: "/d", mode: "0o040755", newUid: "0", newGid: "0xffffffff", syscall: "fchown" } },
		{ "evt.arg.uid": "root", "evt.arg.gid": "-1", "evt.rawarg.uid": 0, "fd.typechar": "d" },
	],
	[
		"fchownat",
		{ chown: { path: "/d", syscall: "fchownat" } },
		{ "evt.arg.pathname": "/d", "evt.arg.path": undefined },
	],
	["truncate", { truncate: { path: "/log", size: "0" } }, { "evt.arg.path": "/log", "fs.path.name": "/log" }],
	[
		"setxattr",
		{ setxattr: { path: "/x", name: "security.capability" } },
		{ "evt.arg.name": "security.capability", "evt.arg.path": "/x" },
	],
	[
		"accept",
		{
			accept: {
				...at,
				family: "2",
				protocol: "6",
				localPort: "22",
				remotePort: "5000",
				descriptor: "3",
				result: "4",
				syscall: "accept4",
			},
		},
		{
			"evt.type": "accept4",
			"fd.sip": "10.0.0.1",
			"fd.sport": 22,
			"fd.cip": "192.0.2.7",
			"fd.cport": 5000,
			"fd.rip": "192.0.2.7",
			"fd.lip": "10.0.0.1",
			"fd.rport": 5000,
			"fd.lport": 22,
			"fd.name": "192.0.2.7:5000->10.0.0.1:22",
			"fd.num": 4,
			"fd.is_server": 1,
			"fd.connected": 1,
			"fd.l4proto": "tcp",
			"fd.type": "ipv4",
			"fd.typechar": "4",
			"fd.sockfamily": "ip",
			"fd.sip.name": undefined,
			"fd.cip.name": "peer.example",
			"fd.rip.name": "peer.example",
			"evt.arg.tuple": "192.0.2.7:5000->10.0.0.1:22",
		},
	],
	[
		"connect",
		{ connect: { ...at, family: "2", protocol: "17", localPort: "4000", remotePort: "53", descriptor: "5" } },
		{
			"fd.sip": "192.0.2.7",
			"fd.cip": "10.0.0.1",
			"fd.is_server": 0,
			"fd.num": 5,
			"fd.l4proto": "udp",
			"fd.sip.name": "peer.example",
			"fd.cip.name": undefined,
			"fd.name": "10.0.0.1:4000->192.0.2.7:53",
			"evt.arg.addr": "192.0.2.7:53",
		},
	],
	[
		"bind",
		{ bind: { localAddress: "0.0.0.0", localPort: "80", protocol: "6", descriptor: "3" } },
		{
			"fd.name": "0.0.0.0:80",
			"fd.sip": "0.0.0.0",
			"fd.sport": 80,
			"fd.cip": undefined,
			"fd.rport": undefined,
			"fd.rip": undefined,
			"fd.is_server": 1,
			"fd.num": 3,
			"fd.connected": 0,
		},
	],
	[
		"listen over IPv6",
		{ listen: { localAddress: "::1", localPort: "80", protocol: "6", argument: "128" } },
		{ "fd.name": "[::1]:80", "fd.typechar": "6", "evt.arg.backlog": 128, "fd.port": 80 },
	],
	[
		"send",
		{ send: { ...at, protocol: "17", localPort: "4000", remotePort: "53", syscall: "sendmsg" } },
		{
			"evt.type": "sendmsg",
			"fd.sip": "192.0.2.7",
			"fd.connected": 0,
			"fd.name_changed": 1,
			"fd.l4proto": "udp",
		},
	],
	[
		"a packet socket",
		{ socket: { family: "17", type: "3", protocol: "768", result: "-1" } },
		{
			"evt.arg.domain": "AF_PACKET",
			"evt.rawarg.domain": 17,
			"evt.arg.type": "3",
			"evt.arg.proto": 768,
			"fd.name": undefined,
			"fd.sip": undefined,
		},
	],
	[
		"dup of a socket",
		{
			dup: {
				...at,
				protocol: "6",
				localPort: "4000",
				remotePort: "443",
				descriptor: "3",
				result: "0",
				syscall: "dup2",
			},
		},
		{
			"evt.type": "dup2",
			"fd.num": 0,
			"fd.type": "ipv4",
			"fd.types": "ipv4",
			"evt.arg.oldfd": 3,
			"evt.arg.newfd": 0,
			"fd.sip": undefined,
			"fd.rip": "192.0.2.7",
			"fd.name": "10.0.0.1:4000->192.0.2.7:443",
			"fd.is_server": undefined,
		},
	],
	[
		"dns",
		{ dns: { ...at, localPort: "4000", remotePort: "53", payloadBytes: "30" } },
		{ "evt.type": "dns", "fd.sip": "192.0.2.7", "fd.sport": 53, "fd.l4proto": "udp", "evt.res": undefined },
	],
	[
		"setresuid",
		{ setuid: { asked: ["-1", "0", "1000"], syscall: "setresuid" } },
		{
			"evt.type": "setresuid",
			"evt.arg.ruid": "-1",
			"evt.arg.euid": "root",
			"evt.arg.suid": "1000",
			"evt.rawarg.euid": 0,
			"evt.arg.uid": undefined,
		},
	],
	[
		"setuid",
		{ setuid: { asked: ["0", "0", "0"], syscall: "setuid" } },
		{ "evt.arg.uid": "root", "evt.arg.ruid": undefined },
	],
	["setgid", { setgid: { asked: ["33", "0", "0"], syscall: "setgid" } }, { "evt.arg.gid": "33" }],
	[
		"capset",
		{ capset: { capabilities: "3", permittedCapabilities: "1" } },
		{
			"evt.arg.cap_effective": "CAP_CHOWN|CAP_DAC_OVERRIDE",
			"evt.arg.cap_permitted": "CAP_CHOWN",
			"evt.arg.cap_inheritable": "",
		},
	],
	["unshare", { unshare: { callFlags: "0x10020000" } }, { "evt.arg.flags": "CLONE_NEWNS|CLONE_NEWUSER" }],
	["setns", { setns: { callFlags: "0" } }, { "evt.arg.nstype": "0" }],
	[
		"ptrace",
		{ ptrace: { request: "16", targetPid: "77" } },
		{ "evt.arg.request": "PTRACE_ATTACH", "evt.rawarg.request": 16, "evt.arg.pid": 77 },
	],
	[
		"process_vm_writev",
		{ vmWrite: { targetPid: "77" } },
		{ "evt.type": "process_vm_writev", "evt.arg.pid": 77 },
	],
	[
		"tgkill",
		{ kill: { request: "9", targetPid: "77", targetTid: "78", syscall: "tgkill" } },
		{ "evt.arg.sig": "SIGKILL", "evt.arg.pid": 77, "evt.arg.tid": 78 },
	],
	[
		"a kill that found nobody",
		{ kill: { request: "15", targetNamespacePid: "-1", result: "-3" } },
		{ "evt.arg.pid": -1 },
	],
	[
		"mount",
		{ mount: { path: "/mnt", raw: "mnt", source: "/dev/sda1", filesystem: "ext4", callFlags: "0x1001" } },
		{
			"evt.arg.dev": "/dev/sda1",
			"evt.arg.dir": "/mnt",
			"evt.arg.type": "ext4",
			"evt.arg.flags": "RDONLY|BIND",
			"fs.path.source": "/dev/sda1",
			"fs.path.target": "/mnt",
		},
	],
	[
		"umount2",
		{ umount: { path: "/mnt", callFlags: "2", syscall: "umount2" } },
		{ "evt.type": "umount2", "evt.arg.name": "/mnt", "evt.arg.flags": "DETACH", "fs.path.name": "/mnt" },
	],
	["pivot_root", { pivotRoot: { path: "/n" } }, { "evt.type": "pivot_root" }],
	["chroot", { chroot: { path: "/jail" } }, { "evt.arg.path": "/jail" }],
	[
		"finit_module",
		{ module: { operation: "1", name: "m", args: "a=1", syscall: "finit_module" } },
		{ "evt.type": "finit_module", "evt.arg.name": "m", "evt.arg.uargs": "a=1" },
	],
	["bpf", { bpf: { command: "5", type: "2" } }, { "evt.arg.cmd": "BPF_PROG_LOAD", "evt.rawarg.cmd": 5 }],
	[
		"memfd_create",
		{ memfd: { name: "x", result: "3", callFlags: "1" } },
		{
			"evt.arg.name": "x",
			"fd.name": "memfd:x",
			"fd.typechar": "m",
			"fd.num": 3,
			"evt.arg.flags": "MFD_CLOEXEC",
		},
	],
	[
		"userfaultfd",
		{ userfaultfd: { argument: ["1", "0", "0", "0"], result: "-1" } },
		{ "evt.rawarg.flags": 1, "evt.res": "EPERM" },
	],
	[
		"mprotect",
		{ protect: { protection: "7", size: "4096", syscall: "mprotect" } },
		{ "evt.type": "mprotect", "evt.arg.prot": "PROT_READ|PROT_WRITE|PROT_EXEC", "evt.arg.length": 4096 },
	],
	[
		"io_uring_setup",
		{ ioUring: { argument: ["64", "0", "0", "0"], result: "3" } },
		{ "evt.arg.entries": 64 },
	],
	[
		"an open that made the file",
		{ open: { path: "/t/x", flags: ["O_CREAT"], syscall: "openat" } },
		{ "evt.type": "openat", "evt.is_open_create": 0, "fd.dev.major": 0 },
	],
	["fork", { fork: {} }, { "evt.type": "clone", "evt.res": undefined, "evt.args": "" }],
	["exit", { exit: { result: "256" } }, { "evt.type": "procexit", "evt.rawres": undefined }],
	["cgroup", { cgroup: { path: "/x" } }, { "evt.type": "cgroup", "fd.name": undefined }],
];

describe("on an event of", () => {
	test.each(cases)("%s", (_, sample, values) => {
		const observation = observationOf(sample);
		const peerName = () => "peer.example";
		const found = Object.fromEntries(
			Object.keys(values).map((name) => {
				const [, plain = name, argument] = /^(.*?)(?:\[(.*)\])?$/.exec(name) ?? [];
				const field = findField(plain, argument);
				if (field?.type !== "text" || !/\.name$/.test(name)) return [name, read(name, observation)];
				const has = !field.kinds || field.kinds.includes(observation.event.kind);
				return [name, has ? field.get(observation, { ...context, peerName }) : undefined];
			}),
		);
		expect(found).toEqual(values);
	});

	it("every kind is among them but exec, which has a description of its own", () => {
		const kinds = new Set(cases.map(([, sample]) => observationOf(sample).event.kind));
		expect(eventNames.filter((name) => !kinds.has(EventKind[name]))).toEqual(["exec"]);
	});

	it("any kind, every field reads without an error, and nothing but what its type says", () => {
		for (const kind of eventNames) {
			const observation = observationOf({ [kind]: kind === "connect" ? { address: "::1" } : {} });
			for (const name of fieldNames) {
				const field = findField(name, undefined);
				if (!field || (field.kinds && !field.kinds.includes(EventKind[kind]))) continue;
				const value = read(name, observation);
				const type = field.type === "text" || field.type === "address" ? "string" : "number";
				if (value !== undefined) expect(typeof value, `${name} of ${kind}`).toBe(type);
			}
		}
	});
});

describe("the process's fields", () => {
	const base = observationOf({
		process: { exe: "/bin/x", args: ["x", "ab", "c"], pid: "50", uid: "7" },
		ancestors: [
			{ exe: "/bin/sh", pid: "40" },
			{ exe: "/sbin/init", pid: "1" },
		],
	});
	const with_ = (given: Partial<Process>): Observation => ({
		...base,
		process: { ...(base.process as Process), ...given },
	});
	const none = { inode: 9, family: 0, remotePort: 0, localPort: 0, remoteAddress: undefined };

	it.each<[Partial<Process>, Values]>([
		[
			{ sessionLeader: 40, processGroup: 50 },
			{
				"proc.sid": 40,
				"proc.sname": "sh",
				"proc.sid.exe": "sh",
				"proc.sid.exepath": "/bin/sh",
				"proc.vsid": 40,
				"proc.is_sid_leader": 0,
				"proc.pgid": 50,
				"proc.pgid.name": "x",
				"proc.is_pgid_leader": 1,
				"proc.is_vpgid_leader": 1,
				"proc.vpgid": 50,
			},
		],
		[
			{ sessionLeader: 0, processGroup: 99 },
			{
				"proc.sid": undefined,
				"proc.sname": undefined,
				"proc.is_sid_leader": undefined,
				"proc.pgid": 99,
				"proc.pgid.name": undefined,
			},
		],
		[
			{ fileMode: 0o100757, fileUid: 1, fileGid: 1, capabilities: 0n, upperLayer: true },
			{ "proc.is_exe_writable": 1, "proc.is_exe_upper_layer": 1 },
		],
		[{ fileMode: 0 }, { "proc.is_exe_writable": undefined, "proc.is_exe_upper_layer": 0 }],
		[
			{ capabilitiesPermitted: 3n, capabilitiesInheritable: 0n },
			{ "thread.cap_permitted": "CAP_CHOWN CAP_DAC_OVERRIDE", "thread.cap_inheritable": "" },
		],
		[
			{ environment: ["A=1", "B=2 3"] },
			{ "proc.env": "A=1 B=2 3", "proc.env[B]": "2 3", "proc.env[C]": undefined },
		],
		[{ environment: [] }, { "proc.env": undefined }],
		[
			{ fileChanged: 1_750_000_000_000_000_000, execTime: 1e12 },
			{ "proc.exe_ino.ctime": 1_750_000_000_000_000_000, "proc.exe_ino.ctime_duration_proc_start": 1e12 },
		],
		[
			{
				streams: [
					{
						...none,
						type: 12,
						family: 2,
						remotePort: 443,
						localPort: 4000,
						remoteAddress: Buffer.from([192, 0, 2, 7]),
					},
					{ ...none, type: 1 },
					{ ...none, type: 0 },
				],
			},
			{
				"proc.stdin.type": "ipv4",
				"proc.stdin.name": ":4000->192.0.2.7:443",
				"proc.stdout.type": "pipe",
				"proc.stdout.name": "pipe:[9]",
				"proc.stderr.type": undefined,
				"proc.stderr.name": undefined,
			},
		],
		[
			{},
			{
				"proc.apid[1]": 40,
				"proc.apid[2]": 1,
				"proc.apid[3]": undefined,
				"proc.pvpid": 40,
				"proc.cmdlenargs": 3,
				"thread.ismain": 1,
				"thread.nametid": "x:50",
				"proc.pid.ts": 1_750_000_000_000_000_000 + 9e11,
				"evt.rawtime.s": 1_750_001_000,
				"evt.time.iso8601": "2025-06-15T15:23:20.000000000+0000",
			},
		],
	])("with %o", (given, values) => {
		const observation = with_(given);
		expect(Object.fromEntries(Object.keys(values).map((name) => [name, read(name, observation)]))).toEqual(
			values,
		);
	});
});

describe("the pod's fields", () => {
	const inPod = (given: Partial<Container>): Observation => {
		const { event, process } = observationOf({ exec: {}, container: {} });
		const container = { ...(process?.cgroup?.container as Container), ...given };
		return { event, process: { ...(process as Process), cgroup: { id: 1, path: "/", container } } };
	};
	const uid = "3e41dc6b-08a8-44db-bc2a-3724b18ab19a";
	const names = ["k8s.pod.name", "k8s.ns.name", "k8s.pod.uid", "k8s.pod.id"];

	it.each<[string, Partial<Container>, (string | undefined)[]]>([
		[
			"are there in a pod",
			{ podName: "web-0", podNamespace: "shop", podUid: uid },
			["web-0", "shop", uid, uid],
		],
		[
			"begin with its uid, which the cgroup tells",
			{ podUid: uid, known: false },
			[undefined, undefined, uid, uid],
		],
		["are missing outside", {}, names.map(() => undefined)],
	])("%s", (_, given, values) => {
		expect(names.map((name) => read(name, inPod(given)))).toEqual(values);
	});
});

describe("evt.type", () => {
	const conditions = {
		unlink: "evt.type = unlink",
		unlinkat: "evt.type = unlinkat",
		rmdir: "evt.type = rmdir",
		other: "evt.type != unlink and evt.type in (unlink, unlinkat)",
	};
	const set = load(
		JSON.stringify(
			Object.entries(conditions).map(([rule, condition]) => ({
				rule,
				condition,
				desc: "d",
				output: "o",
				priority: "Notice",
			})),
		),
	);

	it.each([
		["unlink", "unlink", ["unlink"]],
		["unlink", "unlinkat", ["unlinkat", "other"]],
		["rmdir", "unlinkat", ["unlinkat", "other"]],
		["rmdir", "rmdir", ["rmdir"]],
	])("of %s by %s is that call alone", (kind, syscall, rules) => {
		expect(fired(set, { [kind]: { path: "/x", syscall } })).toEqual(rules);
	});

	it("may be any of its kind's when the record does not tell, as what a ring was asked for", () => {
		expect(fired(set, { unlink: { path: "/x" } })).toEqual(["unlink", "unlinkat"]);
		const ring = { unlink: { path: "/x", syscall: "unlink", event_flags: ["ioUring"] } };
		expect(fired(set, ring)).toEqual(["unlink", "unlinkat"]);
	});
});

describe("an end that a socket has not", () => {
	const waits = { listen: { localAddress: "127.0.0.1", localPort: "80", protocol: "6" } };
	const copy = { dup: { ...at, localPort: "4000", remotePort: "443", protocol: "6", result: "0" } };
	const taken = { accept: { ...at, localPort: "22", remotePort: "5000", protocol: "6" } };

	it.each<[string, Sample, boolean]>([
		["fd.rip = 127.0.0.1", waits, false],
		["fd.rip != 127.0.0.1", waits, false],
		["fd.rip exists", waits, false],
		["fd.sip = 127.0.0.1", waits, true],
		["fd.sip exists", waits, true],
		["fd.ip != 127.0.0.1", waits, false],
		["fd.ip != 10.0.0.9", waits, true],
		["fd.snet in (127.0.0.0/8)", waits, true],
		["fd.cnet != 127.0.0.0/8", waits, false],
		["fd.port = 80", waits, true],
		["fd.rport >= 0", waits, false],
		["fd.sip = 192.0.2.7", copy, false],
		["fd.rip = 192.0.2.7", copy, true],
		["fd.ip = 192.0.2.7", copy, true],
		["fd.sip = 10.0.0.1", taken, true],
		["fd.cip = 192.0.2.7", taken, true],
		["fd.sport = 22 and fd.cport = 5000", taken, true],
		["fd.sip = 192.0.2.7", taken, false],
	])("%s", (condition, sample, expected) => {
		expect(holds(condition, sample)).toBe(expected);
	});
});

it("no field is both there and said to be missing", () => {
	// These are missing with an argument, which the language has for them and ours do not take.
	const without = ["evt.abspath", "fd.types", ...fieldsWithArgument];
	const both = fieldNames.filter((name) => knownNames.has(name) && !without.includes(name));
	expect(both).toEqual([]);
});
