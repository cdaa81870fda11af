// Every kind of record as the JSON it goes out as: from bytes laid out as the kernel writes them.
import { describe, expect, it, test } from "vitest";
import { RecordView } from "../../../agent/decode/view.ts";
import type { DnsMessage } from "../../../agent/model/dns.ts";
import { EventFlag, type EventName, eventNames } from "../../../agent/model/event.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import type { Process } from "../../../agent/model/process.ts";
import { syscallNumber } from "../../../agent/model/syscalls.ts";
import { mayWriteExecutable } from "../../../agent/model/writable.ts";
import { codecOf } from "../../../agent/report/protojson.ts";
import { eventToWire } from "../../../agent/report/wire.ts";
import type { WireContext } from "../../../agent/report/wire-context.ts";
import { memoryOf, recordOf, structs, type Value } from "../decode/bytes.ts";
import { rig } from "../tree/rig.ts";
import { context, fakeProcess } from "./samples.ts";

type Values = Readonly<Record<string, Value>>;

function viewOf(kind: EventName, values: Values): RecordView {
	const { memory, places } = memoryOf([Buffer.alloc(64, 0xee), recordOf(kind, values)]);
	const view = new RecordView();
	view.attach(memory);
	expect(view.move(places[1]?.[0] ?? -1, places[1]?.[1] ?? 0, 7)).toBe(true);
	return view;
}

function shownOf(
	kind: EventName,
	values: Values,
	more: Partial<WireContext> = {},
	process?: Process,
): wire.Event {
	return eventToWire({ event: viewOf(kind, values), process }, { ...context, ...more });
}

const call = (name: string) => ({ syscall: syscallNumber(name, "x64") ?? -1 });
const done = { result: "SUCCESS", returnValue: 0 };
const refused = { result: "EPERM", returnValue: -1 };
const ip = (text: string) => Buffer.from(text.split(".").map(Number));

/** What goes in, and the act that comes out. Kinds of one shape share the shape's tests but have one line each. */
const acts: readonly [kind: EventName, values: Values, act: wire.Event][] = [
	[
		"fork",
		{ childPid: 9, childNamespacePid: 4, childStart: 1e9 },
		{ fork: { childPid: 9, childNamespacePid: 4, childStartTime: "2025-06-15T15:06:41.250Z" } },
	],
	["exit", { result: 0x100 }, { exit: { code: 1, signal: 0 } }],
	[
		"cgroup",
		{ operation: 1, targetCgroupId: 77n, path: "/x" },
		{ cgroup: { operation: "OPERATION_CREATED", id: "77", path: "/x" } },
	],
	[
		"exec",
		{ path: "/bin/x", raw: "x", flags: EventFlag.upperLayer },
		{ exec: { path: "/bin/x", rawPath: "x", upperLayer: true } },
	],
	[
		"execFailed",
		{
			...call("execve"),
			path: "/x/y",
			raw: "y",
			args: "y\0\0-\xff\0",
			cwd: "/x",
			argsBytes: 9000,
			flags: EventFlag.argsTruncated,
			result: -13,
		},
		{
			syscall: "execve",
			execFailed: {
				path: "/x/y",
				rawPath: "y",
				args: ["y", "", "-\\xff"],
				argsTruncated: true,
				argsBytes: 9000,
				workingDirectory: "/x",
				result: "EACCES",
				returnValue: -13,
			},
		},
	],
	[
		"open",
		{
			...call("openat"),
			path: "/t/new",
			raw: "new",
			openFlags: 0o102,
			flags: EventFlag.created | EventFlag.pathFromUser,
			inode: 5n,
			device: 8,
			mode: 0o100644,
			result: 3,
		},
		{
			syscall: "openat",
			open: {
				path: "/t/new",
				rawPath: "new",
				flags: ["O_RDWR", "O_CREAT"],
				mode: 0o100644,
				file: { device: 8, inode: "5" },
				created: true,
				pathUnverified: true,
				result: "SUCCESS",
				returnValue: 3,
			},
		},
	],
	[
		"connect",
		{
			...call("connect"),
			flags: EventFlag.ioUring,
			family: 2,
			protocol: 6,
			localPort: 4000,
			remotePort: 443,
			localAddress: ip("10.0.0.1"),
			remoteAddress: ip("192.0.2.7"),
		},
		{
			syscall: "connect",
			throughIoUring: true,
			connect: {
				family: "ipv4",
				protocol: "tcp",
				sourceAddress: "10.0.0.1",
				sourcePort: 4000,
				destinationAddress: "192.0.2.7",
				destinationPort: 443,
				...done,
			},
		},
	],
	[
		"rename",
		{
			...call("renameat2"),
			path: "/a",
			raw: "a",
			target: "/b",
			targetRaw: "b",
			callFlags: 2,
			inode: 6n,
			device: 8,
			mode: 0o100600,
			flags: EventFlag.targetFromUser,
		},
		{
			syscall: "renameat2",
			rename: {
				path: "/a",
				rawPath: "a",
				targetPath: "/b",
				rawTargetPath: "b",
				flags: ["RENAME_EXCHANGE"],
				file: { device: 8, inode: "6" },
				mode: 0o100600,
				targetUnverified: true,
				...done,
			},
		},
	],
	[
		"unlink",
		{ ...call("unlinkat"), path: "/a", flags: EventFlag.pathFromUser, result: -1 },
		{ syscall: "unlinkat", unlink: { path: "/a", pathUnverified: true, ...refused } },
	],
	[
		"rmdir",
		{ ...call("unlinkat"), path: "/a", callFlags: 0x200 },
		{ syscall: "unlinkat", rmdir: { path: "/a", flags: ["AT_REMOVEDIR"], ...done } },
	],
	[
		"mkdir",
		{ ...call("mkdir"), path: "/d", newMode: 0o750 },
		{ syscall: "mkdir", mkdir: { path: "/d", newMode: 0o750, ...done } },
	],
	["mknod", { path: "/p", newMode: 0o10600 }, { mknod: { path: "/p", newMode: 0o10600, ...done } }],
	[
		"link",
		{ path: "/a", target: "/b", callFlags: 0x400 },
		{ link: { path: "/a", targetPath: "/b", flags: ["AT_SYMLINK_FOLLOW"], ...done } },
	],
	[
		"symlink",
		{ path: "/l", raw: "l", targetRaw: "../etc" },
		{ symlink: { path: "/l", rawPath: "l", rawTargetPath: "../etc", ...done } },
	],
	[
		"chmod",
		{ path: "/a", mode: 0o100644, newMode: 0o4755 },
		{ chmod: { path: "/a", mode: 0o100644, newMode: 0o4755, ...done } },
	],
	["chown", { path: "/a", newUid: 0, newGid: 0xffff_ffff }, { chown: { path: "/a", newUid: 0, ...done } }],
	["truncate", { path: "/a", size: 0n }, { truncate: { path: "/a", size: "0", ...done } }],
	[
		"setxattr",
		{ path: "/a", name: "security.capability", callFlags: 1 },
		{ setxattr: { path: "/a", name: "security.capability", flags: ["XATTR_CREATE"], ...done } },
	],
	[
		"accept",
		{
			family: 2,
			protocol: 6,
			type: 1,
			localPort: 22,
			remotePort: 5000,
			localAddress: ip("10.0.0.1"),
			remoteAddress: ip("192.0.2.7"),
			descriptor: 3,
			result: 4,
		},
		{
			accept: {
				family: "ipv4",
				type: "SOCK_STREAM",
				protocol: "tcp",
				localAddress: "10.0.0.1",
				localPort: 22,
				remoteAddress: "192.0.2.7",
				remotePort: 5000,
				descriptor: 3,
				result: "SUCCESS",
				returnValue: 4,
			},
		},
	],
	[
		"bind",
		{ family: 10, protocol: 17, type: 2, descriptor: 3 },
		{
			bind: {
				family: "ipv6",
				type: "SOCK_DGRAM",
				protocol: "udp",
				localAddress: "::",
				localPort: 0,
				descriptor: 3,
				...done,
			},
		},
	],
	[
		"listen",
		{ family: 1, type: 1, path: "\0x", argument: 128, descriptor: 5 },
		{ listen: { family: "unix", type: "SOCK_STREAM", path: "@x", backlog: 128, descriptor: 5, ...done } },
	],
	[
		"send",
		{
			family: 2,
			protocol: 17,
			type: 2,
			remotePort: 53,
			remoteAddress: ip("192.0.2.7"),
			descriptor: 3,
			result: 12,
			flags: EventFlag.peerFromUser,
		},
		{
			send: {
				family: "ipv4",
				type: "SOCK_DGRAM",
				protocol: "udp",
				remoteAddress: "192.0.2.7",
				remotePort: 53,
				descriptor: 3,
				result: "SUCCESS",
				returnValue: 12,
				addressUnverified: true,
			},
		},
	],
	[
		"socket",
		{ family: 17, type: 3, protocol: 768, result: -1 },
		{ socket: { family: "AF_PACKET", type: "SOCK_RAW", protocol: "768", ...refused } },
	],
	[
		"dup",
		{ ...call("dup2"), family: 1, type: 1, descriptor: 5, result: 0 },
		{
			syscall: "dup2",
			dup: { family: "unix", type: "SOCK_STREAM", descriptor: 5, newDescriptor: 0, ...done },
		},
	],
	[
		"dns",
		{
			family: 2,
			localPort: 40_000,
			remotePort: 53,
			localAddress: ip("10.0.0.1"),
			remoteAddress: ip("192.0.2.7"),
			payloadBytes: 2000,
			payload: "x",
			flags: EventFlag.dnsResponse | EventFlag.payloadTruncated,
		},
		{
			dns: {
				response: true,
				localAddress: "10.0.0.1",
				localPort: 40_000,
				serverAddress: "192.0.2.7",
				serverPort: 53,
				truncated: true,
				bytes: 2000,
			},
		},
	],
	[
		"setuid",
		{
			...call("setresuid"),
			asked: Buffer.from("ffffffff000000000100ff7f", "hex"),
			uid: 1,
			gid: 2,
			euid: 3,
			egid: 4,
			savedUid: 5,
			savedGid: 6,
			fileUid: 7,
			fileGid: 8,
			capabilities: 1n,
			permittedCapabilities: 1n << 40n,
			inheritableCapabilities: 2n,
		},
		{
			syscall: "setresuid",
			setuid: {
				asked: ["-1", "0", "2147418113"],
				uid: 1,
				gid: 2,
				euid: 3,
				egid: 4,
				savedUid: 5,
				savedGid: 6,
				fileUid: 7,
				fileGid: 8,
				capabilities: "1",
				permittedCapabilities: "1099511627776",
				inheritableCapabilities: "2",
				...done,
			},
		},
	],
	[
		"setgid",
		{ ...call("setgid"), asked: Buffer.from("0100000000000000", "hex"), result: -1 },
		{
			syscall: "setgid",
			setgid: {
				asked: ["1"],
				uid: 0,
				gid: 0,
				euid: 0,
				egid: 0,
				savedUid: 0,
				savedGid: 0,
				fileUid: 0,
				fileGid: 0,
				capabilities: "0",
				permittedCapabilities: "0",
				inheritableCapabilities: "0",
				...refused,
			},
		},
	],
	[
		"capset",
		{ uid: 9, capabilities: 7n },
		{
			capset: {
				uid: 9,
				gid: 0,
				euid: 0,
				egid: 0,
				savedUid: 0,
				savedGid: 0,
				fileUid: 0,
				fileGid: 0,
				capabilities: "7",
				permittedCapabilities: "0",
				inheritableCapabilities: "0",
				...done,
			},
		},
	],
	[
		"unshare",
		{ callFlags: 0x1002_0200, mountNamespace: 1, userNamespace: 2 },
		{
			unshare: {
				flags: ["CLONE_FS", "CLONE_NEWNS", "CLONE_NEWUSER"],
				namespaces: { mount: 1, pid: 0, network: 0, user: 2, uts: 0, ipc: 0, cgroup: 0 },
				...done,
			},
		},
	],
	[
		"setns",
		{ networkNamespace: 3, result: -1 },
		{
			setns: { namespaces: { mount: 0, pid: 0, network: 3, user: 0, uts: 0, ipc: 0, cgroup: 0 }, ...refused },
		},
	],
	[
		"ptrace",
		{
			request: 16,
			targetPid: 5,
			targetTid: 6,
			targetStart: 1e9,
			targetNamespacePid: 2,
			targetUid: 7,
			targetEuid: 8,
			address: 0x7fff_ffff_f000n,
		},
		{
			ptrace: {
				request: "PTRACE_ATTACH",
				targetPid: 5,
				targetTid: 6,
				targetStartTime: "2025-06-15T15:06:41.250Z",
				targetNamespacePid: 2,
				targetUid: 7,
				targetEuid: 8,
				address: "140737488351232",
				...done,
			},
		},
	],
	[
		"vmWrite",
		{ targetPid: 5, targetTid: 5, targetNamespacePid: 5, address: 4096n, size: 8n, result: 8 },
		{
			vmWrite: {
				targetPid: 5,
				targetTid: 5,
				targetNamespacePid: 5,
				targetUid: 0,
				targetEuid: 0,
				address: "4096",
				size: "8",
				result: "SUCCESS",
				returnValue: 8,
			},
		},
	],
	[
		"kill",
		{
			...call("kill"),
			request: 9,
			targetNamespacePid: 0xffff_ffff,
			flags: EventFlag.pidFromUser,
			result: -3,
		},
		{
			syscall: "kill",
			kill: {
				signal: "SIGKILL",
				targetNamespacePid: -1,
				targetUnverified: true,
				result: "ESRCH",
				returnValue: -3,
			},
		},
	],
	[
		"mount",
		{
			path: "/mnt",
			raw: "mnt",
			source: "/dev/sda1",
			filesystem: "ext4",
			options: "ro",
			callFlags: 4097n,
			device: 8,
		},
		{
			mount: {
				path: "/mnt",
				rawPath: "mnt",
				source: "/dev/sda1",
				filesystem: "ext4",
				options: "ro",
				flags: ["MS_RDONLY", "MS_BIND"],
				device: 8,
				...done,
			},
		},
	],
	[
		"umount",
		{ ...call("umount2"), path: "/mnt", callFlags: 10n, flags: EventFlag.pathFromUser },
		{
			syscall: "umount2",
			umount: { path: "/mnt", flags: ["MNT_DETACH", "UMOUNT_NOFOLLOW"], pathUnverified: true, ...done },
		},
	],
	[
		"pivotRoot",
		{ path: "/new", target: "/new/old" },
		{ pivotRoot: { path: "/new", targetPath: "/new/old", ...done } },
	],
	["chroot", { path: "/jail" }, { chroot: { path: "/jail", ...done } }],
	[
		"module",
		{
			...call("finit_module"),
			operation: 1,
			name: "m",
			path: "/m.ko",
			inode: 4n,
			device: 8,
			args: "a=1",
			callFlags: 3,
		},
		{
			syscall: "finit_module",
			module: {
				operation: "OPERATION_LOADED",
				name: "m",
				path: "/m.ko",
				file: { device: 8, inode: "4" },
				args: "a=1",
				flags: ["MODULE_INIT_IGNORE_MODVERSIONS", "MODULE_INIT_IGNORE_VERMAGIC"],
				...done,
			},
		},
	],
	[
		"bpf",
		{ command: 5, type: 2, name: "spy", id: 77, result: 3 },
		{
			bpf: {
				command: "BPF_PROG_LOAD",
				type: "BPF_PROG_TYPE_KPROBE",
				name: "spy",
				id: 77,
				result: "SUCCESS",
				returnValue: 3,
			},
		},
	],
	[
		"memfd",
		{ name: "x", callFlags: 3, result: 3 },
		{ memfd: { name: "x", flags: ["MFD_CLOEXEC", "MFD_ALLOW_SEALING"], result: "SUCCESS", returnValue: 3 } },
	],
	[
		"userfaultfd",
		{ argument: Buffer.from("0100000000000000", "hex"), result: -1 },
		{ userfaultfd: { arguments: ["1", "0"], ...refused } },
	],
	[
		"protect",
		{
			address: 4096n,
			size: 8192n,
			protection: 7,
			previous: 3,
			callFlags: 0x22,
			path: "/lib/x",
			inode: 3n,
			device: 8,
			flags: EventFlag.written,
		},
		{
			protect: {
				address: "4096",
				size: "8192",
				protection: ["PROT_READ", "PROT_WRITE", "PROT_EXEC"],
				previousProtection: ["PROT_READ", "PROT_WRITE"],
				flags: ["MAP_PRIVATE", "MAP_ANONYMOUS"],
				path: "/lib/x",
				file: { device: 8, inode: "3" },
				written: true,
				...done,
			},
		},
	],
	[
		"ioUring",
		{ argument: Buffer.from("4000000000000000", "hex"), flags: EventFlag.kernelActor, result: 3 },
		{ processUncertain: true, ioUring: { arguments: ["64", "0"], result: "SUCCESS", returnValue: 3 } },
	],
];

describe("an event of", () => {
	const codec = codecOf("Event", { strict: true });

	test.each(acts)("%s tells what its record holds, as a message of the contract", (kind, values, act) => {
		const shown = shownOf(kind, values);
		const { id, process, ...rest } = shown;
		expect(rest).toEqual(act);
		expect(id).toBe("0a1b2c3d-7");
		expect(process).toBeDefined();
		expect(codec.decode(codec.encode(shown))).toEqual(shown);
	});

	it("every kind is here", () => {
		expect([...new Set(acts.map(([kind]) => kind))].sort()).toEqual([...eventNames].sort());
	});

	it.each(eventNames)("%s without anything is a valid message still", (kind) => {
		const shown = shownOf(kind, {});
		expect(shown).toHaveProperty(kind);
		expect(codec.decode(codec.encode(shown))).toEqual(shown);
	});

	it("a system call of another architecture has that one's name", () => {
		expect(shownOf("unlink", { syscall: 35 }, { architecture: "arm64" }).syscall).toBe("unlinkat");
		expect(shownOf("unlink", { syscall: 35 }).syscall).toBeUndefined();
	});

	it("an inode keeps its last digit, which no double holds", () => {
		const inode = (1n << 63n) + 1n;
		for (const kind of eventNames.filter((name) => "inode" in structs[name] && name !== "exec")) {
			const act = shownOf(kind, { inode })[kind] as { file?: wire.FileId };
			expect(act.file?.inode, kind).toBe("9223372036854775809");
		}
		const { exec } = rig();
		const ran = shownOf("exec", { path: "/bin/x" }, {}, exec(10, 1, "/bin/x", { inode, device: 8 }));
		expect(ran.process?.executableId).toEqual({ device: 8, inode: "9223372036854775809" });
	});

	it("dns holds the message, and a connection the name that was looked up", () => {
		const message: DnsMessage = {
			complete: true,
			id: 7,
			response: true,
			code: "NOERROR",
			questions: [{ name: "a\xff.example", type: "A" }],
			answers: [
				{ name: "a.example", type: "A", ttl: 60, address: ip("192.0.2.7") },
				{ name: "b.example", type: "CNAME", ttl: 5, target: "c.example" },
			],
		};
		const { dns } = shownOf("dns", {}, { dnsMessage: () => message });
		expect(dns).toMatchObject({
			id: 7,
			code: "NOERROR",
			questions: [{ name: "a\\xff.example", type: "A" }],
			answers: [
				{ name: "a.example", type: "A", ttlSeconds: 60, data: "192.0.2.7" },
				{ name: "b.example", type: "CNAME", ttlSeconds: 5, data: "c.example" },
			],
		});
		const peer = { family: 2, remoteAddress: ip("192.0.2.7"), remotePort: 443 };
		const names = { peerName: () => "a.example" };
		expect(shownOf("connect", peer, names).connect?.destinationName).toBe("a.example");
		expect(shownOf("send", peer, names).send?.remoteName).toBe("a.example");
	});
});

describe("an exec", () => {
	const image = {
		fileMode: 0o100775,
		fileUid: 0,
		fileGid: 33,
		fileChanged: 1_750_000_000_123_000_000,
		fileModified: 1_750_000_000_000_000_000,
		capabilitiesPermitted: 1n << 40n,
		capabilitiesInheritable: 2n,
		environment: ["A=1", "B=\xff"],
	};

	it("tells of the executed file, the streams and the environment", () => {
		const socket = {
			type: 12,
			inode: 5,
			family: 2,
			remotePort: 443,
			localPort: 4000,
			remoteAddress: ip("192.0.2.7"),
		};
		const none = { inode: 0, family: 0, remotePort: 0, localPort: 0, remoteAddress: undefined };
		const process = fakeProcess({
			...image,
			euid: 33,
			egid: 33,
			sessionLeader: 11,
			processGroup: 12,
			streams: [socket, { ...none, type: 12, family: 1, inode: 6 }, { ...none, type: 0 }],
		});
		const flags = EventFlag.environmentTruncated;
		const shown = shownOf("exec", { path: "/x", flags, environmentBytes: 9000 }, {}, process);
		expect(shown.process).toMatchObject({ session: 11, processGroup: 12 });
		expect(shown.exec).toEqual({
			path: "/x",
			fileMode: 0o100775,
			fileUid: 0,
			fileGid: 33,
			fileChanged: "2025-06-15T15:06:40.123Z",
			fileModified: "2025-06-15T15:06:40Z",
			writable: true,
			permittedCapabilities: "1099511627776",
			inheritableCapabilities: "2",
			streams: [
				{
					type: "socket",
					inode: "5",
					family: "ipv4",
					remoteAddress: "192.0.2.7",
					remotePort: 443,
					localPort: 4000,
				},
				{ type: "socket", inode: "6", family: "unix" },
				{ type: "closed" },
			],
			environment: ["A=1", "B=\\xff"],
			environmentTruncated: true,
			environmentBytes: 9000,
		});
	});

	it.each([
		["root without capabilities by its owner bit", { euid: 0, fileMode: 0o100555 }, false],
		["root with CAP_DAC_OVERRIDE", { euid: 0, fileMode: 0o100555, capabilities: 2n }, true],
		["the owner", { euid: 7, fileUid: 7, fileMode: 0o100755 }, true],
		["the owner, whom others' bit does not help", { euid: 7, fileUid: 7, fileMode: 0o100557 }, false],
		["the group", { euid: 7, egid: 33, fileMode: 0o100775 }, true],
		["the group, which others' bit does not help", { euid: 7, egid: 33, fileMode: 0o100757 }, false],
		["anybody", { euid: 7, egid: 7, fileMode: 0o100757 }, true],
		["anybody, of a file of 755", { euid: 7, egid: 7, fileMode: 0o100755 }, false],
		["nobody knows", { fileMode: 0 }, undefined],
	])("is writable for %s as the kernel would say", (_, given, expected) => {
		expect(mayWriteExecutable(fakeProcess({ ...image, ...given }))).toBe(expected);
	});
});
