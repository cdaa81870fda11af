// Who started whom and as whom, when attackers and the kernel make it hard: orphans, threads, reused pids, gaps.
import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { Pool } from "../../../agent/enrich/pool.ts";
import { readProcess } from "../../../agent/enrich/proc.ts";
import { EventFlag } from "../../../agent/model/event.ts";
import { structs, type Value } from "../decode/bytes.ts";
import { asInFacts, factsOf, makersOf, namesAbove, noUser, rig, second } from "./rig.ts";

describe("an image has", () => {
	it("what the exec told of session, file, capabilities and standard streams", () => {
		const { exec, tree, fork } = rig();
		const stream = Buffer.alloc(96);
		stream.writeBigUInt64LE(77n, 0);
		stream.writeUInt16LE(12, 8);
		stream.writeUInt16LE(2, 10);
		stream.writeUInt16LE(4444, 12);
		stream.writeUInt16LE(50_000, 14);
		stream.set([203, 0, 113, 7], 16);
		const process = exec(10, 1, "/bin/sh", {
			session: 8,
			processGroup: 9,
			stream,
			fileMode: 0o104755,
			fileUid: 3,
			fileGid: 4,
			fileChanged: 6_000_000_000n,
			fileModified: 5_000_000_000n,
			capabilities: 1n,
			permittedCapabilities: 3n,
			inheritableCapabilities: 4n,
			environment: "A=1\0B=2\0",
			flags: 1 << 11,
		});
		const facts = {
			sessionLeader: 8,
			processGroup: 9,
			fileMode: 0o104755,
			fileUid: 3,
			fileGid: 4,
			fileChanged: 6e9,
			fileModified: 5e9,
			capabilities: 1n,
			capabilitiesPermitted: 3n,
			capabilitiesInheritable: 4n,
			environment: ["A=1", "B=2"],
			upperLayer: true,
		};
		expect(process).toMatchObject(facts);
		expect(process.streams.map(({ type }) => type)).toEqual([12, 0, 0]);
		expect(process.streams[0]).toMatchObject({ inode: 77, family: 2, remotePort: 4444, localPort: 50_000 });
		expect([...(process.streams[0]?.remoteAddress ?? [])]).toEqual([203, 0, 113, 7]);
		fork(10, 1, 11, 2);
		expect(tree.get(11)).toMatchObject(facts);
		expect(tree.get(11)?.streams).toBe(process.streams);
		const same = exec(11, 2, "/bin/ls", { stream });
		expect(same.streams).toBe(process.streams);
		const other = Buffer.from(stream);
		other.writeUInt8(8, 19);
		expect(exec(11, 2, "/bin/ls", { stream: other }).streams).not.toBe(process.streams);
	});

	it("the same from /proc, as far as that shows it", () => {
		const { tree } = rig();
		// Leads a session of its own; what runs this test may be in the one of the kernel's first process, which is 0.
		const leader = spawn("sleep", ["60"], { detached: true, stdio: ["pipe", "pipe", "pipe"] });
		try {
			const pid = leader.pid ?? 0;
			const facts = readProcess(pid);
			if (!facts) throw new Error(`no facts of the process ${pid}`);
			tree.seed(facts, 0);
			const image = tree.get(pid);
			expect(image?.sessionLeader).toBe(pid);
			expect(image?.processGroup).toBe(pid);
			expect(image?.streams.length).toBe(3);
			expect((image?.fileMode ?? 0) & 0o170111).toBe(0o100111);
			expect(image?.fileModified).toBeGreaterThan(1e17);
			expect(image?.capabilitiesPermitted).toBe(BigInt(`0x${facts.capabilitiesPermitted}`));
		} finally {
			leader.kill();
		}
	});
});

describe("a pool", () => {
	it("gives the first of equal values, and starts anew when it is full", () => {
		const pool = new Pool<object>(2);
		const [a, b] = [{}, {}];
		expect(pool.get("a", () => a)).toBe(a);
		expect(pool.get("a", () => b)).toBe(a);
		pool.get("b", () => b);
		pool.get("c", () => b);
		expect(pool.get("a", () => b)).toBe(b);
	});
});

describe("who started it", () => {
	it("is still known after a double fork has hidden it from the parent's chain", () => {
		const { fork, exec, exit, open } = rig();
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		fork(1, 0.01, 10, 1);
		exec(10, 1, "/usr/bin/nginx");
		fork(10, 1, 11, 2);
		exec(11, 2, "/bin/sh");
		fork(11, 2, 12, 3);
		exit(11, 2, 1);
		fork(12, 3, 13, 4);
		exit(12, 3, 1);
		const backdoor = exec(13, 4, "/tmp/backdoor", { parentPid: 1 });
		expect(namesAbove(backdoor)).toEqual(["init"]);
		expect(makersOf(backdoor)).toEqual(["sh", "sh", "nginx", "init"]);
		exit(10, 1, 1);
		expect(makersOf(open(13, 4))).toEqual(["sh", "sh", "nginx", "init"]);
	});

	it("is the image it had then, whatever it became", () => {
		const { fork, exec } = rig();
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		exec(10, 1, "/usr/bin/sleep");
		const child = exec(11, 2, "/bin/id");
		expect(child.parent?.comm).toBe("sleep");
		expect(child.origin?.comm).toBe("sh");
	});

	it("is the maker, not the parent, when the two differ from the start (CLONE_PARENT)", () => {
		const { tree, fork, exec } = rig();
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		fork(1, 0.01, 10, 1);
		exec(10, 1, "/bin/sly");
		fork(10, 1, 11, 2, { childParentPid: 1 });
		expect(tree.get(11)?.parent?.comm).toBe("init");
		expect(tree.get(11)?.origin?.comm).toBe("sly");
	});

	it("is the parent where the start was not seen", () => {
		const { tree } = rig();
		tree.seed(factsOf(10, 1), 0);
		tree.seed(factsOf(11, 2, { parentPid: 10 }), 0);
		expect(tree.get(11)?.origin?.comm).toBe("p10");
	});

	it("is known after a gap in which it ended", () => {
		const { tree, fork, exec } = rig();
		exec(10, 1, "/bin/dropper");
		fork(10, 1, 11, 2);
		const child = exec(11, 2, "/bin/daemon", asInFacts);
		tree.retain([factsOf(11, 2, { parentPid: 1 })]);
		expect(child.parent).toBeUndefined();
		expect(child.origin?.comm).toBe("dropper");
	});

	it("is kept only so far: a chain of makers that have all gone is cut", () => {
		const { tree, fork, exec, exit } = rig({ limit: 160 });
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		fork(1, 0.01, 1000, 1);
		for (let i = 0; i < 500; i++) {
			fork(1000 + i, 1 + i / 1000, 1001 + i, 1 + (i + 1) / 1000);
			exit(1000 + i, 1 + i / 1000, 1);
		}
		expect(makersOf(tree.get(1500)).length).toBe(11);
		expect(namesAbove(tree.get(1500))).toEqual(["init"]);
	});
});

describe("a process started through a runtime's API", () => {
	it("has the client as its origin, through all its images and after its end; its children have their maker", () => {
		const { tree, fork, exec, exit } = rig();
		const client = exec(10, 1, "/usr/bin/docker");
		exec(20, 1, "/usr/bin/runc");
		fork(20, 1, 21, 2);
		const shell = exec(21, 2, "/bin/sh");
		tree.setStartedBy(shell, { kind: "docker exec", execId: "e", client });
		expect(exec(21, 2, "/bin/bash").origin).toBe(client);
		fork(21, 2, 22, 3);
		expect(tree.get(22)?.startedBy).toBeUndefined();
		expect(makersOf(tree.get(22))).toEqual(["bash", "docker"]);
		exit(21, 2, 1);
		tree.setStartedBy(shell, undefined);
		expect(makersOf(tree.get(22))).toEqual(["bash", "runc"]);
	});
});

describe("the kernel's parent", () => {
	it("is not the process that had its pid before, whose exit was lost", () => {
		const { fork, exec } = rig();
		exec(10, 1, "/bin/old");
		const child = exec(20, 8, "/bin/x", { parentPid: 10, parentStart: BigInt(7 * second) });
		expect(child.parent).toBeUndefined();
		expect(child.parentPid).toBe(10);
		fork(1, 0.01, 10, 7);
		exec(10, 7, "/bin/new");
		const again = exec(20, 8, "/bin/y", { parentPid: 10, parentStart: BigInt(7 * second) });
		expect(again.parent?.comm).toBe("new");
	});
});

describe("a thread", () => {
	it("acts as its process, and its exec is the process's", () => {
		const { tree, exec, open } = rig();
		const before = exec(10, 1, "/bin/many");
		expect(open(10, 1, { tid: 17 })).toBe(before);
		// The kernel gives a thread that execs its process's pid and start time (de_thread).
		const after = exec(10, 1, "/bin/one", { tid: 10 });
		expect(after).toMatchObject({ pid: 10, previousExe: "/bin/many" });
		expect(tree.size).toBe(1);
	});

	it("that changes its own identity or namespaces alone does not change the process's", () => {
		const { tree, exec, apply } = rig();
		exec(10, 1, "/bin/many", { uid: 1000, euid: 1000, networkNamespace: 3 });
		apply("setuid", 10, 1, { tid: 17, uid: 0, euid: 0 });
		apply("setns", 10, 1, { tid: 17, networkNamespace: 4 });
		expect(tree.get(10)).toMatchObject({ uid: 1000, euid: 1000, namespaces: { network: 3 } });
	});
});

describe("between execs", () => {
	const before = { ...asInFacts, uid: 0, euid: 0, gid: 0, egid: 0 };

	it("user, group and capabilities follow setuid, setgid and capset", () => {
		const { tree, exec, apply, fork } = rig();
		const root = exec(10, 1, "/usr/sbin/sshd", before);
		const same = { ...before, inheritableCapabilities: 0n };
		const identity = (values: Record<string, Value>) => only("setuid", { ...same, ...values });
		expect(apply("setgid", 10, 1, identity({}))).toBe(root);
		apply("setgid", 10, 1, identity({ gid: 1000, egid: 1000 }));
		const ada = { gid: 1000, egid: 1000, uid: 1000, euid: 1000, capabilities: 0n, permittedCapabilities: 0n };
		const user = apply("setuid", 10, 1, identity(ada));
		expect(user).toMatchObject({
			uid: 1000,
			gid: 1000,
			euid: 1000,
			egid: 1000,
			capabilities: 0n,
			capabilitiesPermitted: 0n,
			exe: "/usr/sbin/sshd",
		});
		expect(root).toMatchObject({ uid: 0, capabilities: 3n });
		fork(10, 1, 11, 2);
		expect(tree.get(11)?.uid).toBe(1000);
		const capable = apply("capset", 10, 1, identity({ ...ada, inheritableCapabilities: 1n << 40n }));
		expect(capable.capabilitiesInheritable).toBe(1n << 40n);
	});

	it("the user is the one who acted last, though no change of it was captured", () => {
		const { tree, exec, open, fork } = rig();
		const root = exec(10, 1, "/usr/sbin/sshd", before);
		expect(open(10, 1, { user: 0, effectiveUser: 0 })).toBe(root);
		const ada = open(10, 1, { user: 1000, effectiveUser: 1001 });
		expect(ada).toMatchObject({ uid: 1000, euid: 1001, gid: 0, exe: "/usr/sbin/sshd" });
		expect(root).toMatchObject({ uid: 0, euid: 0 });
		fork(10, 1, 11, 2, { user: 1000, effectiveUser: 1000 });
		expect(tree.get(10)).toMatchObject({ uid: 1000, euid: 1000 });
		expect(tree.get(11)).toMatchObject({ uid: 1000, euid: 1000 });
	});

	it.each([
		["of another thread", "open", { tid: 17 }],
		["that says nothing of a user", "open", { user: noUser, effectiveUser: noUser }],
		["that says half of it", "open", { effectiveUser: noUser }],
		["of a ring, which may act as somebody else", "open", { flags: EventFlag.ioUring }],
		["that is done by the kernel", "open", { flags: EventFlag.kernelActor }],
		["of a packet that comes", "dns", { flags: EventFlag.dnsResponse }],
		["of a datagram that goes", "send", {}],
	] as const)("the user stays what it was on an event %s", (_, kind, values) => {
		const { exec, apply } = rig();
		const process = exec(10, 1, "/bin/many", { ...before, uid: 1000, euid: 1000 });
		expect(apply(kind, 10, 1, { user: 0, effectiveUser: 0, ...values })).toBe(process);
	});

	it("namespaces follow unshare and setns; a new pid namespace is the children's", () => {
		const { tree, exec, apply, fork } = rig();
		const shared = exec(10, 1, "/usr/bin/unshare", before);
		const space = only("setns", before);
		expect(apply("unshare", 10, 1, space)).toBe(shared);
		const alone = apply("unshare", 10, 1, { ...space, mountNamespace: 50, pidNamespace: 51 });
		expect(alone.namespaces).toEqual({ mount: 50, pid: 2, network: 3, user: 4, uts: 5, ipc: 6, cgroup: 7 });
		fork(10, 1, 11, 2, { childPidNamespace: 51, childNamespacePid: 1 });
		expect(tree.get(11)).toMatchObject({ namespacePid: 1, namespaces: { mount: 50, pid: 51 } });
		expect(apply("setns", 10, 1, { ...space, networkNamespace: 9 }).namespaces.network).toBe(9);
	});

	it("what a gap swallowed of it is taken from /proc, and nothing else of the image is lost", () => {
		const { tree, exec } = rig();
		exec(10, 1, "/bin/p10", { ...before, raw: "./p10" });
		const facts = factsOf(10, 1);
		expect(tree.knows(facts)).toBe(false);
		tree.seed(facts, 0, true);
		expect(tree.get(10)).toMatchObject({ uid: 5, euid: 5, rawPath: "./p10", fromProc: false });
		expect(tree.knows(facts)).toBe(true);
	});

	it("a process that has ended and not been waited for keeps its image", () => {
		const { tree, exec } = rig();
		exec(10, 1, "/bin/p10", asInFacts);
		const zombie = factsOf(10, 1, {
			exe: "",
			args: [],
			namespaces: { mount: 0, pid: 0, network: 0, user: 0, uts: 0, ipc: 0, cgroup: 0 },
		});
		expect(tree.knows(zombie)).toBe(true);
		tree.seed(zombie, 0, true);
		expect(tree.get(10)).toMatchObject({ exe: "/bin/p10", namespaces: { mount: 1 } });
	});
});

/** The facts that a record of this kind carries. */
function only(kind: "setuid" | "setns", facts: Readonly<Record<string, Value>>): Record<string, Value> {
	return Object.fromEntries(Object.entries(facts).filter(([name]) => name in structs[kind]));
}
