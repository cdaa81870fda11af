import { constants } from "node:os";
import { describe, expect, test } from "vitest";
import { findField } from "../../../agent/detect/fields.ts";
import { asLatin1 } from "../../../agent/detect/text.ts";
import { showIpv6 } from "../../../agent/model/address-text.ts";
import { capabilityNames } from "../../../agent/model/capabilities.ts";
import { EventFlag, eventNames } from "../../../agent/model/event.ts";
import { flagNames, protectionNames } from "../../../agent/model/flag-names.ts";
import { openFlagNames, protocolName, resultName } from "../../../agent/model/kernel-names.ts";
import {
	bpfCommandName,
	bpfTypeName,
	familyName,
	ptraceName,
	signalName,
	socketTypeName,
} from "../../../agent/model/number-names.ts";
import type { Container, Process } from "../../../agent/model/process.ts";
import { syscallName, syscallNumber } from "../../../agent/model/syscalls.ts";
import { dedupKey, findingToAlert } from "../../../agent/report/alert.ts";
import { codecOf } from "../../../agent/report/protojson.ts";
import {
	containerToWire,
	eventTime,
	eventToWire,
	nanosecondsSinceBoot,
	processToWire,
} from "../../../agent/report/wire.ts";
import { context as rulesContext } from "../detect/rig.ts";
import { rig } from "../tree/rig.ts";
import { context, fakeEvent, fakeFinding, fakeProcess } from "./samples.ts";

const container: Container = {
	id: "c".repeat(64),
	runtime: "docker",
	name: "web-1",
	image: "nginx:1.27",
	imageId: "sha256:abc",
	labels: { "com.docker.compose.project": "shop", "com.docker.compose.service": "web" },
	podName: "",
	podNamespace: "",
	podUid: "",
	privileged: false,
	mounts: [],
	created: 1_750_000_000_000,
	known: true,
};

describe("processes", () => {
	test("all that is known is told, in canonical form", () => {
		const parent = fakeProcess({ pid: 812, comm: "sh", namespacePid: 3 });
		const process = fakeProcess({
			parent,
			parentPid: 1,
			args: ["curl", "\xff", "\xc3\xbc"],
			argsTruncated: true,
			argsBytes: 9000,
			uid: 1000,
			euid: 0,
			loginUid: 1000,
			sessionId: 4,
			ttyName: "pts/3",
			capabilities: (1n << 40n) | 1n,
			namespaces: { mount: 1, pid: 2, network: 3, user: 4, uts: 5, ipc: 6, cgroup: 7 },
			device: 8 << 20,
			inode: 123n,
			cgroup: { id: 55, path: "/docker/c", container },
			fromProc: true,
		});
		const shown = processToWire(process, context, 1300);
		expect(shown).toEqual({
			pid: 1204,
			tid: 1300,
			startTime: "2025-06-15T15:06:44.250Z",
			parentPid: 1,
			name: "curl",
			executable: "/usr/bin/curl",
			args: ["curl", "\\xff", "ü"],
			workingDirectory: "/root",
			uid: 1000,
			gid: 0,
			euid: 0,
			egid: 0,
			loginUid: 1000,
			loginUser: "ana",
			sessionId: 4,
			user: "ana",
			tty: "pts/3",
			namespacePid: 12,
			cgroupId: "55",
			cgroup: "/docker/c",
			namespaces: { mount: 1, pid: 2, network: 3, user: 4, uts: 5, ipc: 6, cgroup: 7 },
			executableId: { device: 8 << 20, inode: "123" },
			capabilities: "1099511627777",
			argsTruncated: true,
			argsBytes: 9000,
			fromProc: true,
			parentNamespacePid: 3,
		});
		const codec = codecOf("Process", { strict: true });
		expect(codec.decode(codec.encode(shown))).toEqual(shown);
	});

	test("root stays visible as 0, a login that never was stays out", () => {
		const shown = processToWire(fakeProcess({ loginUid: -1 }), context);
		expect(shown).toMatchObject({ uid: 0, gid: 0, euid: 0, egid: 0, user: "root" });
		expect(shown).not.toHaveProperty("loginUid");
		expect(shown).not.toHaveProperty("sessionId");
		expect(processToWire(fakeProcess({ loginUid: 0xffff_ffff }), context)).not.toHaveProperty("loginUid");
		expect(processToWire(fakeProcess({ loginUid: 0 }), context)).toMatchObject({
			loginUid: 0,
			loginUser: "root",
		});
	});

	test("a start time that was given out leads back to the process", () => {
		for (const start of [4_000_000_000, 123_456_789_012_345, 1, 8_640_000_000_000_001]) {
			const shown = processToWire(fakeProcess({ start }), context);
			expect(nanosecondsSinceBoot(shown.startTime ?? "", context)).toBe(start);
		}
		expect(nanosecondsSinceBoot("soon", context)).toBeUndefined();
	});
});

test("a container of a pod is told with it, and one outside without", () => {
	const pod = { podName: "web-0", podNamespace: "shop", podUid: "3e41dc6b-08a8-44db-bc2a-3724b18ab19a" };
	const shown = containerToWire({ ...container, ...pod });
	expect(shown).toMatchObject(pod);
	const codec = codecOf("Container", { strict: true });
	expect(codec.decode(codec.encode(shown))).toEqual(shown);
	for (const key of Object.keys(pod)) expect(containerToWire(container)).not.toHaveProperty(key);
});

test("a container is told with its Compose project and service", () => {
	expect(containerToWire(container)).toEqual({
		id: "c".repeat(64),
		name: "web-1",
		image: "nginx:1.27",
		imageId: "sha256:abc",
		labels: { "com.docker.compose.project": "shop", "com.docker.compose.service": "web" },
		runtime: "docker",
		privileged: false,
		composeProject: "shop",
		composeService: "web",
		created: "2025-06-15T15:06:40Z",
	});
	expect(
		containerToWire({
			...container,
			name: "",
			image: "",
			imageId: "",
			labels: {},
			privileged: undefined,
			created: 0,
		}),
	).toEqual({ id: "c".repeat(64), runtime: "docker" });
});

describe("events", () => {
	test("carry an id, the acting process and its container", () => {
		const process = fakeProcess({ cgroup: { id: 55, path: "/", container } });
		const event = fakeEvent("exit", { result: 0x0100 });
		expect(eventToWire({ event, process }, context)).toMatchObject({
			id: "0a1b2c3d-7",
			process: { pid: 1204, tid: 1205 },
			container: { name: "web-1" },
			exit: { code: 1, signal: 0 },
		});
		expect(eventTime(event, context)).toBe("2025-06-15T15:06:45.250000001Z");
	});

	test("of an unknown process carry what the event itself tells", () => {
		const event = fakeEvent("exit", { result: 0x8b, texts: { comm: "sh" } });
		expect(eventToWire({ event, process: undefined }, context)).toEqual({
			id: "0a1b2c3d-7",
			process: {
				pid: 1204,
				tid: 1205,
				startTime: "2025-06-15T15:06:44.250Z",
				name: "sh",
				cgroupId: "55",
			},
			exit: { code: 0, signal: 11, coreDumped: true },
		});
	});

	test("exec: path, raw path, interpreter, what it replaced, and where it came from", () => {
		const event = fakeEvent("exec", {
			texts: { path: "/tmp/a.sh", raw: "./a.sh", interpreter: "/bin/sh" },
			flags: EventFlag.fromMemfd | EventFlag.unlinked,
		});
		expect(eventToWire({ event, process: fakeProcess({ previousExe: "/bin/bash" }) }, context).exec).toEqual({
			path: "/tmp/a.sh",
			rawPath: "./a.sh",
			interpreter: "/bin/sh",
			fromMemfd: true,
			previousExecutable: "/bin/bash",
			unlinked: true,
		});
	});

	test("fork and cgroup", () => {
		const fork = fakeEvent("fork", { childPid: 9, childNamespacePid: 4, childStart: 1_000_000_000 });
		expect(eventToWire({ event: fork, process: undefined }, context).fork).toEqual({
			childPid: 9,
			childNamespacePid: 4,
			childStartTime: "2025-06-15T15:06:41.250Z",
		});
		const cgroup = fakeEvent("cgroup", {
			cgroupOperation: 2,
			targetCgroupId: 77,
			texts: { path: "/docker/x" },
		});
		expect(eventToWire({ event: cgroup, process: undefined }, context).cgroup).toEqual({
			operation: "OPERATION_REMOVED",
			id: "77",
			path: "/docker/x",
		});
	});

	test("open: the opened file, how it was asked for, and the descriptor even when it is 0", () => {
		const event = fakeEvent("open", {
			texts: { path: "/etc/shadow", raw: "shadow" },
			openFlags: 0o2000000,
			mode: 0o100640,
			device: 1,
			inode: 2,
			big: () => 2n,
		});
		expect(eventToWire({ event, process: undefined }, context).open).toEqual({
			path: "/etc/shadow",
			rawPath: "shadow",
			flags: ["O_RDONLY", "O_CLOEXEC"],
			mode: 0o100640,
			file: { device: 1, inode: "2" },
			result: "SUCCESS",
			returnValue: 0,
		});
	});

	test.each([
		["/home/a", "../b/./c//d", 0, "/home/b/c/d"],
		["/", "x", 0, "/x"],
		["/home", "/etc/../etc/shadow", 0, "/etc/shadow"],
		["/home/\xff", "x", 0, "/home/\\xff/x"],
		["/home", "", EventFlag.rawUnreadable, undefined],
		["", "x", 0, undefined],
	])("failed open in %j of %j gives %j", (base, raw, more, path) => {
		const event = fakeEvent("open", {
			texts: { path: base, raw },
			flags: EventFlag.pathIsBase | more,
			result: -2,
		});
		const open = eventToWire({ event, process: undefined }, context).open;
		expect(open?.path).toBe(path);
		expect(open).toMatchObject({ result: "ENOENT", returnValue: -2 });
	});

	test("connect over IPv4", () => {
		const event = fakeEvent("connect", {
			family: 2,
			protocol: 6,
			localPort: 40_000,
			remotePort: 443,
			local: [10, 0, 0, 1],
			remote: [192, 0, 2, 7],
			result: -115,
			flags: EventFlag.peerFromUser,
		});
		expect(eventToWire({ event, process: undefined }, context).connect).toEqual({
			family: "ipv4",
			protocol: "tcp",
			sourceAddress: "10.0.0.1",
			sourcePort: 40_000,
			destinationAddress: "192.0.2.7",
			destinationPort: 443,
			result: "EINPROGRESS",
			returnValue: -115,
			destinationUnverified: true,
		});
	});

	test("connect over IPv6, with a source that is not chosen yet", () => {
		const event = fakeEvent("connect", {
			family: 10,
			protocol: 17,
			remotePort: 53,
			local: new Array(16).fill(0),
			remote: [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
		});
		expect(eventToWire({ event, process: undefined }, context).connect).toEqual({
			family: "ipv6",
			protocol: "udp",
			destinationAddress: "2001:db8::1",
			destinationPort: 53,
			result: "SUCCESS",
			returnValue: 0,
		});
	});

	test.each([
		["/run/docker.sock", "/run/docker.sock"],
		["\0abstract", "@abstract"],
		["@file", "./@file"],
		["", ""],
	])("connect to the unix socket %j is shown as %j", (path, shown) => {
		const event = fakeEvent("connect", { family: 1, texts: { path } });
		expect(eventToWire({ event, process: undefined }, context).connect).toEqual({
			family: "unix",
			path: shown,
			result: "SUCCESS",
			returnValue: 0,
		});
	});

	test("are valid messages of the contract, whatever bytes they hold", () => {
		const codec = codecOf("Event", { strict: true });
		const texts = { path: "/\xff\\x", raw: "\0\x1b", interpreter: "\xc3", cwd: "x", comm: "\x80" };
		for (const kind of eventNames) {
			const event = fakeEvent(kind, { texts, family: 1, cgroupOperation: 1, result: -13 });
			const shown = eventToWire({ event, process: fakeProcess({ exe: "\xff" }) }, context);
			expect(codec.decode(codec.encode(shown))).toEqual(shown);
		}
	});
});

describe("alerts", () => {
	test("hold the finding, the event, the ancestors and what was lost", () => {
		const root = fakeProcess({ pid: 1, comm: "init" });
		const shell = fakeProcess({ pid: 812, comm: "sh", parent: root });
		const process = fakeProcess({ parent: shell });
		const event = fakeEvent("open", { texts: { path: "/etc/shadow" } });
		const finding = fakeFinding({
			summary: "read \xff",
			fields: { "fd.name": "\xc3\xbc" },
			description: "d",
		});
		const alert = findingToAlert(
			finding,
			{ event, process },
			{ context, responses: ["kill"], eventsLost: 5n },
		);
		expect(alert).toMatchObject({
			rule: "Read sensitive file",
			origin: "ORIGIN_FALCO",
			severity: "SEVERITY_MEDIUM",
			priority: "Warning",
			summary: "read \\xff",
			fields: { "fd.name": "ü" },
			ancestors: [{ pid: 812 }, { pid: 1 }],
			techniques: ["T1003.008"],
			count: 1,
			responses: ["kill"],
			eventsLost: "5",
		});
		expect(alert.id).toMatch(/^0a1b2c3d-7-[0-9a-f]{8}$/);
		const codec = codecOf("Alert", { strict: true });
		expect(codec.decode(codec.encode(alert))).toEqual(alert);
	});

	test("have texts that are cut where they are too long to read, with their length, and not within a character", () => {
		const long = asLatin1(`${"a".repeat(4095)}é${"b".repeat(9000)}`);
		const finding = { ...fakeFinding(), summary: long, fields: { "proc.args": long, "proc.name": "sh" } };
		const { summary, fields } = findingToAlert(
			finding,
			{ event: fakeEvent("exec"), process: undefined },
			{ context, responses: [], eventsLost: 0 },
		);
		const shown = `${"a".repeat(4095)}… (13097 bytes)`;
		expect([summary, fields]).toEqual([shown, { "proc.args": shown, "proc.name": "sh" }]);
	});

	describe("tell who started whom, whatever the kernel's parents are", () => {
		const namesOf = (process: Process) =>
			findingToAlert(
				fakeFinding(),
				{ event: fakeEvent("exec"), process },
				{ context, responses: [], eventsLost: 0 },
			).ancestors?.map(({ name }) => name);
		const read = (name: string, argument: string, process: Process) => {
			const field = findField(name, argument);
			return field?.type === "text"
				? field.get({ event: fakeEvent("exec"), process }, rulesContext)
				: "no text";
		};

		test("after a double fork, which leaves the shell to an init", () => {
			const { fork, exec, exit } = rig();
			exec(1, 0.01, "/sbin/init", { parentPid: 0 });
			fork(1, 0.01, 20, 1);
			exec(20, 1, "/bin/bash");
			fork(20, 1, 21, 2);
			exec(21, 2, "/tmp/drop");
			fork(21, 2, 22, 3);
			exit(21, 2, 1);
			const daemon = exec(22, 3, "/tmp/miner", { parentPid: 1 });
			expect(namesOf(daemon)).toEqual(["drop", "bash", "init"]);
			expect([daemon.parentPid, read("proc.aname", "1", daemon), read("proc.aname", "2", daemon)]).toEqual([
				1,
				"init",
				undefined,
			]);
			expect(processToWire(daemon, context).parentPid).toBe(1);
		});

		test("through docker exec, which leaves the client to nobody", () => {
			const { fork, exec, tree } = rig();
			exec(20, 1, "/bin/bash", { parentPid: 0 });
			fork(20, 1, 21, 2);
			const client = exec(21, 2, "/usr/bin/docker", { args: "docker\0exec\0web\0sh\0" });
			exec(30, 1, "/usr/bin/containerd-shim", { parentPid: 0 });
			fork(30, 1, 31, 3);
			const shell = exec(31, 3, "/bin/sh");
			tree.setStartedBy(shell, { kind: "docker exec", execId: "e1", client });
			expect(namesOf(shell)).toEqual(["docker", "bash"]);
			expect(read("proc.aname", "1", shell)).toBe("containerd-shim");
			const shown = processToWire(shell, context);
			expect(shown.startedBy).toEqual({
				kind: "docker exec",
				execId: "e1",
				clientPid: 21,
				clientStartTime: "2025-06-15T15:06:42.250Z",
				clientExecutable: "/usr/bin/docker",
				clientArgs: ["docker", "exec", "web", "sh"],
			});
			const codec = codecOf("Process", { strict: true });
			expect(codec.decode(codec.encode(shown))).toEqual(shown);
			tree.setStartedBy(shell, { kind: "docker exec", execId: "e1", client: undefined });
			expect(processToWire(shell, context).startedBy).toEqual({ kind: "docker exec", execId: "e1" });
			fork(31, 3, 32, 4);
			expect(processToWire(exec(32, 4, "/bin/ls"), context)).not.toHaveProperty("startedBy");
		});
	});

	test("name at most twelve ancestors, and end where a chain bites its tail", () => {
		let above = fakeProcess({ pid: 1 });
		for (let pid = 2; pid < 40; pid++) above = fakeProcess({ pid, parent: above });
		const extra = { context, responses: [], eventsLost: 0 };
		const event = fakeEvent("exit");
		expect(findingToAlert(fakeFinding(), { event, process: above }, extra).ancestors).toHaveLength(12);
		const one = fakeProcess({ pid: 1 });
		const two = fakeProcess({ pid: 2, parent: one });
		Object.assign(one, { origin: two });
		expect(findingToAlert(fakeFinding(), { event, process: two }, extra).ancestors).toHaveLength(1);
	});

	test("share a key when rule, image, object and container are the same, and only then", () => {
		const open = (path: string, exe = "/bin/cat", id = "") => ({
			process: { executable: exe },
			open: { path },
			...(id === "" ? {} : { container: { id } }),
		});
		const keys = [
			dedupKey("r", open("/a")),
			dedupKey("q", open("/a")),
			dedupKey("r", open("/b")),
			dedupKey("r", open("/a", "/bin/tac")),
			dedupKey("r", open("/a", "/bin/cat", "c1")),
			dedupKey("r", { process: { executable: "/bin/cat" }, exec: { path: "/a" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, connect: { path: "/a" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, unlink: { path: "/a" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, rename: { path: "/a", targetPath: "/b" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, rename: { path: "/a", targetPath: "/c" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, kill: { targetPid: 5, signal: "SIGKILL" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, kill: { targetPid: 6, signal: "SIGKILL" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, accept: { remoteAddress: "10.0.0.1" } }),
			dedupKey("r", { process: { executable: "/bin/cat" }, dns: { questions: [{ name: "a" }] } }),
			dedupKey("r", {
				process: { executable: "/bin/cat" },
				connect: { destinationAddress: "1.1.1.1", destinationPort: 53, protocol: "udp" },
			}),
		];
		expect(new Set(keys).size).toBe(keys.length);
		expect(dedupKey("r", { ...open("/a"), id: "other" })).toBe(keys[0]);
		const unlink = { process: { executable: "/bin/cat" }, unlink: { path: "/a" } };
		expect(dedupKey("r", { ...unlink, unlink: { ...unlink.unlink, result: "EPERM", returnValue: -1 } })).toBe(
			dedupKey("r", unlink),
		);
	});
});

describe("names of the kernel's numbers", () => {
	test("errno names agree with those of the running system", () => {
		const names = Object.entries(constants.errno).filter(
			([name]) => !["EWOULDBLOCK", "EOPNOTSUPP", "ENOTSUP"].includes(name),
		);
		expect(names.length).toBeGreaterThan(60);
		for (const [name, number] of names) expect(resultName(-number)).toBe(name);
		expect(resultName(-133)).toBe("EHWPOISON");
		expect(resultName(-512)).toBe("ERESTARTSYS");
		expect(resultName(-41)).toBe("41");
		expect(resultName(-9999)).toBe("9999");
		expect(resultName(5)).toBe("SUCCESS");
	});

	test("open flags differ by architecture where the kernel's do", () => {
		expect(openFlagNames(0)).toEqual(["O_RDONLY"]);
		expect(openFlagNames(0o1101)).toEqual(["O_WRONLY", "O_CREAT", "O_TRUNC"]);
		expect(openFlagNames(0o4010002)).toEqual(["O_RDWR", "O_SYNC"]);
		expect(openFlagNames(0o10002)).toEqual(["O_RDWR", "O_DSYNC"]);
		expect(openFlagNames(3)).toEqual(["O_ACCMODE"]);
		expect(openFlagNames(0o740000, "x64")).toEqual([
			"O_RDONLY",
			"O_DIRECT",
			"O_LARGEFILE",
			"O_DIRECTORY",
			"O_NOFOLLOW",
		]);
		expect(openFlagNames(0o40000, "arm64")).toEqual(["O_RDONLY", "O_DIRECTORY"]);
		expect(openFlagNames(0o20200002, "x64")).toEqual(["O_RDWR", "O_TMPFILE"]);
		expect(openFlagNames(0o20040002, "arm64")).toEqual(["O_RDWR", "O_TMPFILE"]);
		expect(openFlagNames(0x8000_0000 | 0)).toEqual(["O_RDONLY", "0x80000000"]);
	});

	test("signals agree with those of the running system", () => {
		const synonyms = new Set(["SIGIOT", "SIGPOLL", "SIGUNUSED"]);
		for (const [name, number] of Object.entries(constants.signals))
			if (!synonyms.has(name)) expect(signalName(number)).toBe(name);
		expect([0, 32, 34, 64, 65].map(signalName)).toEqual(["0", "32", "SIGRTMIN+0", "SIGRTMIN+30", "65"]);
	});

	test("one number, one name, and the number itself where there is none", () => {
		expect([0, 16, 0x4206, 11, 0x4300].map(ptraceName)).toEqual([
			"PTRACE_TRACEME",
			"PTRACE_ATTACH",
			"PTRACE_SEIZE",
			"11",
			String(0x4300),
		]);
		expect([1, 16, 17, 38, 40, 99].map(familyName)).toEqual([
			"AF_UNIX",
			"AF_NETLINK",
			"AF_PACKET",
			"AF_ALG",
			"AF_VSOCK",
			"99",
		]);
		expect([1, 3 | 0x80800, 5, 0].map(socketTypeName)).toEqual([
			"SOCK_STREAM",
			"SOCK_RAW",
			"SOCK_SEQPACKET",
			"",
		]);
		expect([5, 8, 18, 28, 36, 99].map(bpfCommandName)).toEqual([
			"BPF_PROG_LOAD",
			"BPF_PROG_ATTACH",
			"BPF_BTF_LOAD",
			"BPF_LINK_CREATE",
			"BPF_TOKEN_CREATE",
			"99",
		]);
		expect([bpfTypeName(0, 27), bpfTypeName(5, 29), bpfTypeName(28, 27), bpfTypeName(1, 3)]).toEqual([
			"BPF_MAP_TYPE_RINGBUF",
			"BPF_PROG_TYPE_LSM",
			"BPF_LSM_MAC",
			"",
		]);
	});

	test("a name a flag, and the rest in hex", () => {
		expect(flagNames("clone", 0x7e02_0080)).toEqual(
			["TIME", "NS", "CGROUP", "UTS", "IPC", "USER", "PID", "NET"].map((name) => `CLONE_NEW${name}`),
		);
		expect(flagNames("mount", 0x8000_0000 + 0x4000 + 0x200 + 1)).toEqual([
			"MS_RDONLY",
			"MS_REC",
			"0x80000200",
		]);
		expect(flagNames("map", 3)).toEqual(["MAP_SHARED_VALIDATE"]);
		expect(flagNames("map", 0x2_0122)).toEqual([
			"MAP_PRIVATE",
			"MAP_ANONYMOUS",
			"MAP_GROWSDOWN",
			"MAP_STACK",
		]);
		expect(flagNames("permissions", 0o6001)).toEqual(["S_IXOTH", "S_ISGID", "S_ISUID"]);
		expect([0, 5].map(protectionNames)).toEqual([["PROT_NONE"], ["PROT_READ", "PROT_EXEC"]]);
		expect(capabilityNames((1n << 40n) | 1n | (1n << 63n))).toEqual(["CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"]);
	});

	test("system calls have the names of their architecture", () => {
		expect([syscallName(263, "x64"), syscallName(35, "arm64")]).toEqual(["unlinkat", "unlinkat"]);
		expect([syscallName(0, "x64"), syscallName(87, "arm64")]).toEqual([undefined, undefined]);
		expect([syscallNumber("unlink", "x64"), syscallNumber("unlink", "arm64")]).toEqual([87, undefined]);
	});

	test("protocols without a name are numbers", () => {
		expect([6, 17, 132, 200].map(protocolName)).toEqual(["tcp", "udp", "sctp", "200"]);
	});
});

test.each([
	["0000 0000 0000 0000 0000 0000 0000 0000", "::"],
	["0000 0000 0000 0000 0000 0000 0000 0001", "::1"],
	["2001 0db8 0000 0001 0001 0001 0001 0001", "2001:db8:0:1:1:1:1:1"],
	["2001 0000 0000 0001 0000 0000 0000 0001", "2001:0:0:1::1"],
	["2001 0db8 0000 0000 0001 0000 0000 0001", "2001:db8::1:0:0:1"],
	["fe80 0000 0000 0000 0000 0000 0000 0000", "fe80::"],
	["0001 0002 0003 0004 0005 0006 0007 0000", "1:2:3:4:5:6:7:0"],
	["abcd ef01 2345 6789 abcd ef01 2345 6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"],
])("the address %s is written %s, as RFC 5952 says", (hex, text) => {
	expect(showIpv6(Buffer.from(hex.replaceAll(" ", ""), "hex"), 0)).toBe(text);
});
