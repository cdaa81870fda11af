// Who runs, as what, started by whom: told by events, by /proc, or both in any order.
import { statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { terminalName } from "../../../agent/enrich/image.ts";
import { readProcess } from "../../../agent/enrich/proc.ts";
import { Random } from "../detect/rig.ts";
import { asInFacts, factsOf, namesAbove, rig, second } from "./rig.ts";

describe("a process", () => {
	it("that is forked has its maker's image, and its own after exec", () => {
		const { tree, fork, exec } = rig();
		exec(10, 1, "/bin/bash", {
			uid: 1000,
			euid: 1000,
			loginUid: 1000,
			cwd: "/home/ada",
			tty: (136 << 20) | 3,
		});
		fork(10, 1, 11, 2);
		const before = tree.get(11);
		expect(before).toMatchObject({
			pid: 11,
			start: 2 * second,
			comm: "bash",
			exe: "/bin/bash",
			uid: 1000,
			parentPid: 10,
		});
		const after = exec(11, 2, "/usr/bin/id", { uid: 1000, args: "id\0-u\0\0" });
		expect(after).toMatchObject({
			comm: "id",
			exe: "/usr/bin/id",
			args: ["id", "-u", ""],
			previousExe: "/bin/bash",
			parentPid: 10,
			fromProc: false,
			exited: 0,
		});
		expect(after.parent).toMatchObject({ pid: 10, comm: "bash", ttyName: "pts/3", loginUid: 1000 });
		expect(tree.get(11)).toBe(after);
	});

	it("keeps each of its images as it was: an exec makes a new one", () => {
		const { fork, exec, open } = rig();
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		const first = exec(11, 2, "/bin/a");
		const second = exec(11, 2, "/bin/b");
		expect(first).not.toBe(second);
		expect([first.exe, second.exe, second.previousExe]).toEqual(["/bin/a", "/bin/b", "/bin/a"]);
		expect(open(11, 2)).toBe(second);
	});

	it("stays whole in the hands of those who keep it after its exit", () => {
		const { tree, fork, exec, exit } = rig();
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		const child = exec(11, 2, "/bin/a");
		exit(11, 2, 0, 7);
		expect(tree.get(11)).toBeUndefined();
		expect(child).toMatchObject({ exe: "/bin/a", exited: 7 * second, pid: 11 });
		expect(child.parent?.comm).toBe("sh");
	});

	it("whose parent exits gets the one that inherits it", () => {
		const { tree, fork, exec, exit } = rig();
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		fork(1, 0.01, 10, 1);
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		const child = exec(11, 2, "/bin/daemon");
		expect(namesAbove(child)).toEqual(["sh", "init"]);
		exit(10, 1, 1);
		expect(namesAbove(child)).toEqual(["init"]);
		expect(child.parentPid).toBe(1);
		exit(1, 0.01, 0);
		expect(namesAbove(child)).toEqual([]);
		expect(tree.size).toBe(1);
	});

	it("that takes over a pid is another one", () => {
		const { tree, fork, exec, exit } = rig();
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		const old = exec(11, 2, "/bin/old");
		exit(11, 2);
		fork(10, 1, 11, 3);
		const young = exec(11, 3, "/bin/young");
		expect([old.exe, old.start, young.exe, young.start]).toEqual([
			"/bin/old",
			2 * second,
			"/bin/young",
			3 * second,
		]);
		expect(young.previousExe).toBe("/bin/sh");
		expect(tree.size).toBe(2);
	});

	it("that takes over a pid whose exit was lost inherits no children", () => {
		const { tree, fork, exec } = rig();
		exec(10, 1, "/bin/old");
		fork(10, 1, 11, 2);
		const orphan = exec(11, 2, "/bin/orphan");
		fork(1, 0.01, 10, 9);
		const young = exec(10, 9, "/bin/young");
		expect(orphan.parent).toBeUndefined();
		expect(tree.get(10)).toBe(young);
		// and the young one's exit leaves the stranger's child alone
		expect(orphan.parentPid).toBe(10);
	});

	it("moves to another cgroup with the first event that says so", () => {
		const { fork, exec, open } = rig();
		const sh = exec(10, 1, "/bin/sh");
		expect(sh.cgroup?.path).toBe("/c1");
		expect(open(10, 1, { cgroupId: 2 }).cgroup?.path).toBe("/c2");
		fork(10, 1, 11, 2, { cgroupId: 2, childCgroupId: 3 });
		expect(open(11, 2, { cgroupId: 3 }).cgroup?.path).toBe("/c3");
	});

	it("of which nobody knows anything has an empty image, and no one is asked twice for an exec", () => {
		const { asked, open, exec } = rig();
		const stranger = open(50, 4);
		expect(stranger).toMatchObject({ pid: 50, start: 4 * second, comm: "", exe: "", args: [], loginUid: -1 });
		expect(asked).toEqual([50]);
		open(50, 4);
		expect(asked).toEqual([50]);
		expect(exec(51, 4, "/bin/x")).toMatchObject({ exe: "/bin/x", previousExe: "" });
		expect(asked).toEqual([50]);
	});
});

describe("what /proc tells", () => {
	it("is taken in, parents and children in any order", () => {
		const { tree } = rig();
		tree.seed(factsOf(12, 3, { parentPid: 11 }), 4);
		tree.seed(factsOf(11, 2, { parentPid: 1 }), 0);
		tree.seed(factsOf(1, 0.01, { parentPid: 0 }), 0);
		tree.linkParents();
		const process = tree.get(12);
		expect(namesAbove(process)).toEqual(["p11", "p1"]);
		expect(process).toMatchObject({
			fromProc: true,
			args: ["p12", "x"],
			argsBytes: 6,
			capabilities: 3n,
			cgroup: { path: "/c4" },
			execTime: 3 * second,
		});
	});

	it("is the same process as an event's, though 10 ms coarser, and gets its exact time from it", () => {
		const { tree, asked, open } = rig();
		tree.seed(factsOf(20, 5.004), 0);
		const process = open(20, 5.004);
		expect([process.comm, process.start]).toEqual(["p20", 5.004 * second]);
		expect(asked).toEqual([]);
		expect(open(20, 6).comm).toBe("");
	});

	it("does not undo what events told while it was read", () => {
		const { tree, fork, exec } = rig();
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2.001);
		exec(11, 2.001, "/bin/new");
		tree.seed(factsOf(11, 2.001, { exe: "/bin/sh", comm: "sh" }), 0);
		expect(tree.get(11)).toMatchObject({ exe: "/bin/new", fromProc: false });
	});

	it("before its fork came out of the ring is not overwritten by the fork", () => {
		const { tree, fork, exec } = rig();
		exec(10, 1, "/bin/sh");
		tree.seed(factsOf(11, 2.003, { parentPid: 10 }), 0);
		fork(10, 1, 11, 2.003);
		expect(tree.get(11)).toMatchObject({ comm: "p11", start: 2.003 * second });
		expect(tree.get(11)?.parent?.comm).toBe("sh");
		expect(tree.size).toBe(2);
	});

	it("gives a process that only an event has named its image, and keeps its children", () => {
		const { tree, open, fork } = rig();
		open(30, 3);
		fork(30, 3, 31, 4);
		tree.seed(factsOf(30, 3), 0);
		expect(tree.get(30)?.comm).toBe("p30");
		expect(tree.get(31)?.parent).toBe(tree.get(30));
	});

	it("is asked for a process that no event has told of, and told on", () => {
		const { asked, told, running, open } = rig();
		running.set(40, factsOf(40, 6.007));
		expect(open(40, 6.007)).toMatchObject({ comm: "p40", start: 6.007 * second, cgroup: { path: "/c1" } });
		expect(asked).toEqual([40]);
		expect(told).toEqual([running.get(40)]);
	});

	it("of another process under the same pid is not believed", () => {
		const { told, running, open } = rig();
		running.set(40, factsOf(40, 9));
		expect(open(40, 6)).toMatchObject({ comm: "", start: 6 * second });
		expect(told).toEqual([]);
	});

	it("may be read of this very process", () => {
		const facts = readProcess(process.pid);
		expect(facts).toMatchObject({ pid: process.pid, parentPid: process.ppid });
		expect(facts?.args.length).toBeGreaterThan(0);
		expect(facts?.start).toBeGreaterThan(0);
		expect(facts?.inode).toBe(String(statSync(process.execPath, { bigint: true }).ino));
		expect(readProcess(2 ** 30)).toBeUndefined();
	});
});

describe("after a gap", () => {
	it("those that are gone are forgotten and the others have the parents they have now", () => {
		const { tree, fork, exec } = rig();
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		fork(1, 0.01, 10, 1);
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		const child = exec(11, 2, "/bin/daemon");
		fork(1, 0.01, 20, 3);
		tree.retain([factsOf(1, 0.01), factsOf(11, 2, { parentPid: 1 }), factsOf(20, 8)]);
		expect([...tree.processes()].map(({ pid }) => pid)).toEqual([1, 11]);
		expect(namesAbove(child)).toEqual(["init"]);
		expect(child.parentPid).toBe(1);
	});

	it("a child whose parent is gone is not given to a dead one", () => {
		const { tree, fork, exec } = rig();
		exec(10, 1, "/bin/sh");
		fork(10, 1, 11, 2);
		exec(11, 2, "/bin/daemon");
		tree.retain([factsOf(11, 2, { parentPid: 10 })]);
		expect(tree.get(11)?.parent).toBeUndefined();
		tree.seed(factsOf(10, 7), 0, true);
		tree.linkParents();
		expect(tree.get(11)?.parent?.comm).toBe("p10");
	});

	it("an image that was replaced meanwhile is seen, also by the children", () => {
		const { tree, fork, exec, exit } = rig();
		const old = exec(10, 1, "/bin/old", asInFacts);
		fork(10, 1, 11, 2);
		expect(tree.knows(factsOf(10, 1, { exe: "/bin/old" }))).toBe(true);
		const now = factsOf(10, 1, { exe: "/bin/new", comm: "new" });
		expect(tree.knows(now)).toBe(false);
		tree.seed(now, 0, true);
		expect(tree.get(10)?.exe).toBe("/bin/new");
		expect(tree.get(11)?.parent?.exe).toBe("/bin/new");
		expect(old.exe).toBe("/bin/old");
		expect(tree.knows(now)).toBe(true);
		exit(10, 1, 0);
		expect(tree.get(11)?.parent).toBeUndefined();
	});

	it("another process under a known pid is not known", () => {
		const { tree, exec } = rig();
		exec(10, 1, "/bin/a");
		expect(tree.knows(factsOf(10, 2, { exe: "/bin/a" }))).toBe(false);
		expect(tree.knows(factsOf(12, 1))).toBe(false);
	});
});

describe("the tree's memory is bounded:", () => {
	it("the oldest is forgotten when it is full, and its children still name it", () => {
		const { tree, fork, exec } = rig({ limit: 10 });
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		for (let pid = 100; pid < 200; pid++) {
			fork(1, 0.01, pid, pid);
			expect(tree.size).toBeLessThanOrEqual(10);
		}
		expect(tree.evicted).toBeGreaterThanOrEqual(90);
		expect(tree.get(199)).toMatchObject({ pid: 199, comm: tree.get(199)?.comm });
		expect(tree.get(100)).toBeUndefined();
	});

	it("who was heard of lately stays, the silent go first", () => {
		const { tree, fork, exec } = rig({ limit: 10 });
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		for (let pid = 100; pid < 200; pid++) {
			fork(1, 0.01, pid, pid);
			exec(100, 100, "/bin/busy");
		}
		expect(tree.get(1)?.exe).toBe("/sbin/init");
		expect(tree.get(100)?.exe).toBe("/bin/busy");
		expect(tree.get(150)).toBeUndefined();
	});

	it("a child made by the very one that has to go has its parent", () => {
		const { tree, fork, exec } = rig({ limit: 2 });
		exec(10, 1, "/bin/sh");
		exec(20, 1, "/bin/x");
		fork(10, 1, 11, 2);
		expect(tree.size).toBe(2);
		expect(tree.get(11)?.parent?.comm).toBe("sh");
	});

	it("a chain without end, each forking the next and exiting, keeps nothing behind", () => {
		const { tree, fork, exec, exit } = rig();
		exec(1, 0.01, "/sbin/init", { parentPid: 0 });
		fork(1, 0.01, 1000, 1);
		for (let i = 0; i < 5000; i++) {
			fork(1000 + i, 1 + i / 1000, 1001 + i, 1 + (i + 1) / 1000);
			exit(1000 + i, 1 + i / 1000, 1);
		}
		expect(tree.size).toBe(2);
		expect(namesAbove(tree.get(6000))).toEqual(["init"]);
	});

	it("the same chain with every exit lost is as long as the tree is large", () => {
		const { tree, fork } = rig({ limit: 50 });
		for (let i = 0; i < 5000; i++) fork(1000 + i, 1 + i / 1000, 1001 + i, 1 + (i + 1) / 1000);
		expect(tree.size).toBe(50);
		expect(namesAbove(tree.get(6000)).length).toBeLessThanOrEqual(51);
	});

	it("nobody is its own ancestor, whatever the events say", () => {
		const { tree, exec, fork } = rig();
		const self = exec(10, 1, "/bin/a", { parentPid: 10 });
		expect(self.parent).toBeUndefined();
		fork(10, 1, 11, 2, { childParentPid: 11 });
		expect(tree.get(11)?.parent).toBeUndefined();
		tree.seed(factsOf(12, 3, { parentPid: 12 }), 0);
		tree.linkParents();
		expect(tree.get(12)?.parent).toBeUndefined();
	});

	it("nobody inherits its own children, whatever the exit says", () => {
		const { tree, exec, fork, exit } = rig();
		exec(10, 1, "/bin/a");
		fork(10, 1, 11, 2);
		exit(10, 1, 10);
		expect(tree.get(11)?.parent).toBeUndefined();
		expect(tree.size).toBe(1);
	});

	it("random events of all sorts never break it", () => {
		const random = new Random(5);
		const { tree, fork, exec, open, exit, running } = rig({ limit: 40 });
		const pid = () => 2 + random.below(60);
		const start = () => 1 + random.below(3);
		for (let round = 0; round < 20_000; round++) {
			const one = pid();
			switch (random.below(6)) {
				case 0:
					fork(one, start(), pid(), start(), { childParentPid: pid() });
					break;
				case 1:
					exec(one, start(), random.pick(["/bin/a", "/bin/b"]), { parentPid: pid() });
					break;
				case 2:
					exit(one, start(), pid());
					break;
				case 3:
					tree.seed(factsOf(one, start(), { parentPid: pid() }), random.below(3), random.chance(0.5));
					break;
				case 4:
					if (random.chance(0.1)) {
						tree.retain(random.several(0, 60, () => factsOf(pid(), start(), { parentPid: pid() })));
						tree.linkParents();
					}
					running.set(one, factsOf(one, start()));
					break;
				default:
					expect(open(one, start()).pid).toBe(one);
			}
			if (tree.size > 40) expect.fail("too large");
		}
		for (const process of tree.processes()) {
			expect(tree.get(process.pid)).toBe(process);
			if (process.parent) expect(process.parent.pid).toBe(process.parentPid);
		}
	});
});

describe("a terminal's number", () => {
	it.each([
		[0, ""],
		[(136 << 20) | 0, "pts/0"],
		[(137 << 20) | 1, "pts/257"],
		[(4 << 20) | 1, "tty1"],
		[(4 << 20) | 64, "ttyS0"],
		[(204 << 20) | 64, "204:64"],
	])("%i is %j", (number, name) => {
		expect(terminalName(number)).toBe(name);
	});
});
