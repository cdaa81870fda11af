// One line for each kind of event.
import { describe, expect, it, test } from "vitest";
import { eventNames } from "../../../agent/model/event.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { actText } from "../../../agent/report/act-text.ts";

const acts: readonly (readonly [text: string, event: wire.Event])[] = [
	["exec /bin/ls -l", { process: { args: ["ls", "-l"] }, exec: { path: "/bin/ls" } }],
	["exec failed /x -l EACCES", { execFailed: { path: "/x", args: ["x", "-l"], result: "EACCES" } }],
	["fork 9", { fork: { childPid: 9 } }],
	["exit 1", { exit: { code: 1 } }],
	["exit by signal 9", { exit: { signal: 9 } }],
	["open /x O_RDONLY ENOENT", { open: { path: "/x", flags: ["O_RDONLY"], result: "ENOENT" } }],
	[
		"connect tcp [::1]:80 (a.example)",
		{
			connect: {
				protocol: "tcp",
				destinationAddress: "::1",
				destinationPort: 80,
				destinationName: "a.example",
			},
		},
	],
	["connect unix /run/x", { connect: { family: "unix", path: "/run/x" } }],
	["cgroup - /x", { cgroup: { operation: "OPERATION_REMOVED", path: "/x" } }],
	["rename /a → /b", { rename: { path: "/a", targetPath: "/b", result: "SUCCESS" } }],
	["unlink /a EPERM", { unlink: { path: "/a", result: "EPERM" } }],
	["rmdir /a", { rmdir: { path: "/a" } }],
	["mkdir /a 750", { mkdir: { path: "/a", newMode: 0o750 } }],
	["mknod /a 600", { mknod: { path: "/a", newMode: 0o10600 } }],
	["link /a → /b", { link: { path: "/a", targetPath: "/b" } }],
	["symlink /l → ../x", { symlink: { path: "/l", rawTargetPath: "../x" } }],
	["chmod /a 4755", { chmod: { path: "/a", newMode: 0o4755 } }],
	["chown /a 0:", { chown: { path: "/a", newUid: 0 } }],
	["truncate /a to 0 bytes", { truncate: { path: "/a", size: "0" } }],
	["setxattr /a security.capability", { setxattr: { path: "/a", name: "security.capability" } }],
	[
		"accept tcp 192.0.2.7:5000 at 10.0.0.1:22",
		{
			accept: {
				protocol: "tcp",
				localAddress: "10.0.0.1",
				localPort: 22,
				remoteAddress: "192.0.2.7",
				remotePort: 5000,
			},
		},
	],
	["bind tcp 0.0.0.0:80", { bind: { protocol: "tcp", localAddress: "0.0.0.0", localPort: 80 } }],
	["listen unix @x", { listen: { family: "unix", path: "@x" } }],
	[
		"send udp 192.0.2.7:53 (ns.example)",
		{
			send: {
				protocol: "udp",
				localAddress: "10.0.0.1",
				localPort: 1,
				remoteAddress: "192.0.2.7",
				remotePort: 53,
				remoteName: "ns.example",
			},
		},
	],
	["socket AF_PACKET SOCK_RAW", { socket: { family: "AF_PACKET", type: "SOCK_RAW" } }],
	[
		"dup tcp 192.0.2.7:443 as descriptor 0",
		{ dup: { protocol: "tcp", remoteAddress: "192.0.2.7", remotePort: 443, newDescriptor: 0 } },
	],
	[
		"dns question A a.example to 192.0.2.7:53",
		{ dns: { questions: [{ name: "a.example", type: "A" }], serverAddress: "192.0.2.7", serverPort: 53 } },
	],
	[
		"dns answer A a.example 192.0.2.9",
		{
			dns: {
				response: true,
				code: "NOERROR",
				questions: [{ name: "a.example", type: "A" }],
				answers: [{ data: "192.0.2.9" }],
			},
		},
	],
	["setuid 0 now 0:1, effective 0:1", { setuid: { asked: ["0"], uid: 0, gid: 1, euid: 0, egid: 1 } }],
	[
		"setgid -1 5 now 1:5, effective 1:5 EPERM",
		{ setgid: { asked: ["-1", "5"], uid: 1, gid: 5, euid: 1, egid: 5, result: "EPERM" } },
	],
	["capset effective 0x3", { capset: { capabilities: "3" } }],
	["unshare CLONE_NEWNS|CLONE_NEWUSER", { unshare: { flags: ["CLONE_NEWNS", "CLONE_NEWUSER"] } }],
	["setns CLONE_NEWNET", { setns: { flags: ["CLONE_NEWNET"] } }],
	["ptrace PTRACE_ATTACH of 7", { ptrace: { request: "PTRACE_ATTACH", targetPid: 7 } }],
	["vm write 8 bytes of 7", { vmWrite: { size: "8", targetPid: 7 } }],
	["kill SIGKILL of -1 ESRCH", { kill: { signal: "SIGKILL", targetNamespacePid: -1, result: "ESRCH" } }],
	[
		"mount ext4 /dev/sda1 on /mnt MS_RDONLY",
		{ mount: { filesystem: "ext4", source: "/dev/sda1", path: "/mnt", flags: ["MS_RDONLY"] } },
	],
	["umount /mnt MNT_DETACH", { umount: { path: "/mnt", flags: ["MNT_DETACH"] } }],
	["pivot root /new → /new/old", { pivotRoot: { path: "/new", targetPath: "/new/old" } }],
	["chroot /jail", { chroot: { path: "/jail" } }],
	["module + m /m.ko", { module: { operation: "OPERATION_LOADED", name: "m", path: "/m.ko" } }],
	[
		"bpf BPF_PROG_LOAD BPF_PROG_TYPE_KPROBE spy",
		{ bpf: { command: "BPF_PROG_LOAD", type: "BPF_PROG_TYPE_KPROBE", name: "spy" } },
	],
	["memfd x", { memfd: { name: "x" } }],
	["userfaultfd 1 0 EPERM", { userfaultfd: { arguments: ["1", "0"], result: "EPERM" } }],
	[
		"protect PROT_READ|PROT_EXEC 4096 bytes /lib/x",
		{ protect: { protection: ["PROT_READ", "PROT_EXEC"], size: "4096", path: "/lib/x" } },
	],
	["io uring 64 0", { ioUring: { arguments: ["64", "0"] } }],
	["event", {}],
];

describe("an event in one line", () => {
	test.each(acts)("%s", (text, event) => expect(actText(event)).toBe(text));

	it("is there for every kind, even when nothing else is told", () => {
		const kinds = new Set(acts.flatMap(([, event]) => Object.keys(event)));
		expect(eventNames.filter((name) => !kinds.has(name))).toEqual([]);
		for (const name of eventNames) expect(actText({ [name]: {} }).length).toBeGreaterThan(2);
	});

	it("cannot command the terminal, whatever it is called", () => {
		const hostile = "\x1b[2J\n\u202e";
		for (const event of [
			{ rename: { path: hostile, targetPath: hostile } },
			{ mount: { source: hostile } },
			{ capset: { capabilities: hostile } },
			{ dns: { response: true, answers: [{ data: hostile }] } },
		])
			expect(actText(event)).not.toMatch(/\p{C}/u);
	});
});
