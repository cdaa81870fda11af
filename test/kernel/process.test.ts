// exec, fork and exit: the real act, then exactly one event with every field compared.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildTrigger, Harness, run } from "./harness.ts";

const namespaceOf = (name: string) => Number(/\d+/.exec(readlinkSync(`/proc/self/ns/${name}`))?.[0]);
const trigger = buildTrigger();
const identityTrigger = buildTrigger("act");
let harness: Harness;

beforeAll(() => {
	harness = new Harness({ kinds: ["exec", "fork", "exit", "open"] });
});
afterAll(() => harness.close());

describe("an execution", () => {
	it("is reported once with path, arguments, working directory, ids, namespaces and parent", async () => {
		const before = Date.now();
		const { pid, said } = await run(trigger, ["exit", "0", "two words", "", "ümlaut\n"], harness.folder);
		expect(said[0]?.pid).toBe(pid);
		const execs = (await harness.of(pid)).filter((event) => event.exec);
		expect(execs).toHaveLength(1);
		const event = execs[0];
		const file = statSync(trigger, { bigint: true });
		expect(event?.exec).toMatchObject({
			path: trigger,
			rawPath: trigger,
			previousExecutable: process.execPath,
			fileMode: Number(file.mode),
			fileUid: Number(file.uid),
			fileGid: Number(file.gid),
			writable: true,
		});
		expect(Date.parse(event?.exec?.fileChanged ?? "")).toBe(file.ctime.getTime());
		expect(Date.parse(event?.exec?.fileModified ?? "")).toBe(file.mtime.getTime());
		expect(event?.exec?.streams?.map(({ type }) => type)).toHaveLength(3);
		for (const key of ["interpreter", "fromMemfd", "unlinked", "upperLayer", "environment"])
			expect(event?.exec).not.toHaveProperty(key);
		expect(event?.process).toMatchObject({
			pid,
			tid: pid,
			parentPid: process.pid,
			name: "trigger",
			executable: trigger,
			args: [trigger, "exit", "0", "two words", "", "ümlaut\n"],
			workingDirectory: harness.folder,
			uid: 0,
			gid: 0,
			euid: 0,
			egid: 0,
			namespacePid: pid,
			executableId: {
				device: Number(((file.dev >> 8n) << 20n) | (file.dev & 0xffn)),
				inode: String(file.ino),
			},
			namespaces: {
				mount: namespaceOf("mnt"),
				pid: namespaceOf("pid"),
				network: namespaceOf("net"),
				user: namespaceOf("user"),
				uts: namespaceOf("uts"),
				ipc: namespaceOf("ipc"),
				cgroup: namespaceOf("cgroup"),
			},
		});
		const effective = /CapEff:\s*(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
		expect(event?.process?.capabilities).toBe(BigInt(`0x${effective}`).toString());
		const started = Date.parse(event?.process?.startTime ?? "");
		expect(started).toBeGreaterThan(before - 50);
		expect(started).toBeLessThan(Date.now() + 50);
		const loginUid = Number(readFileSync("/proc/self/loginuid", "utf8"));
		expect(event?.process?.loginUid).toBe(loginUid === 0xffffffff ? undefined : loginUid);
		// In the order of the act: a process is made, runs an image, ends.
		const child = harness.events.findIndex((each) => each.fork?.childPid === pid);
		expect(child).toBeGreaterThanOrEqual(0);
		expect(harness.events.indexOf(execs[0] as never)).toBeGreaterThan(child);
	});

	it("of a script names the interpreter as image and the script as what was asked for", async () => {
		const script = join(harness.folder, "script.sh");
		writeFileSync(script, "#!/bin/sh -e\nexit 3\n");
		chmodSync(script, 0o755);
		const { pid, status } = await run(script, ["a"]);
		expect(status).toBe(3);
		const [event] = (await harness.of(pid)).filter((each) => each.exec);
		expect(event?.exec?.rawPath).toBe(script);
		expect(event?.exec?.interpreter).toBe("/bin/sh");
		expect(event?.process?.executable).toBe(readlinkSync("/bin/sh").replace(/^(?!\/)/, "/usr/bin/"));
		expect(event?.process?.name).toBe("script.sh");
		expect(event?.process?.args).toEqual(["/bin/sh", "-e", script, "a"]);
	});

	it("keeps all arguments up to 8 KiB and says how long longer ones were", async () => {
		const whole = "x".repeat(7000);
		const first = await run(trigger, ["exit", "0", whole]);
		const [complete] = (await harness.of(first.pid)).filter((each) => each.exec);
		expect(complete?.process?.args?.[3]).toBe(whole);
		expect(complete?.process?.argsTruncated).toBeUndefined();
		const second = await run(trigger, ["exit", "0", "y".repeat(20_000)]);
		const [cut] = (await harness.of(second.pid)).filter((each) => each.exec);
		expect(cut?.process?.argsTruncated).toBe(true);
		expect(cut?.process?.argsBytes).toBe(Buffer.byteLength(`${trigger}\0exit\x000\0`) + 20_001);
		expect(cut?.process?.args?.[3]).toMatch(/^y{7000,}$/);
	});

	it("from anonymous memory is told apart from a file's", async () => {
		const { pid } = await run(trigger, ["memfd", "hello"]);
		const execs = (await harness.of(pid)).filter((each) => each.exec);
		expect(execs).toHaveLength(2);
		expect(execs[0]?.exec?.fromMemfd).toBeUndefined();
		expect(execs[1]?.exec).toMatchObject({
			path: "memfd:payload",
			fromMemfd: true,
			previousExecutable: trigger,
		});
		expect(execs[1]?.exec?.unlinked).toBeUndefined();
	});

	it("of a file that was deleted before is told", async () => {
		const copy = join(harness.folder, "gone");
		copyFileSync(trigger, copy);
		const script = `exec 9<${copy}; rm ${copy}; exec /proc/self/fd/9 exit 0`;
		const { pid } = await run("/bin/sh", ["-c", script]);
		const execs = (await harness.of(pid)).filter((each) => each.exec);
		expect(execs.at(-1)?.exec).toMatchObject({ path: copy, unlinked: true });
	});

	it("inside a chroot is named as the process itself names it", async () => {
		const inner = join(harness.folder, "jail");
		spawnSync("mkdir", ["-p", join(inner, "bin")]);
		copyFileSync(trigger, join(inner, "bin", "inside"));
		const { pid } = await run("chroot", [inner, "/bin/inside", "exit", "0"]);
		const execs = (await harness.of(pid)).filter((each) => each.exec);
		expect(execs.at(-1)?.exec?.path).toBe("/bin/inside");
		expect(execs.at(-1)?.process?.workingDirectory).toBe("/");
	});

	it("in a pid namespace of its own carries both pids", async () => {
		const { said } = await run("unshare", ["--pid", "--fork", trigger, "exit", "0"]);
		expect(said[0]?.pid).toBe(1);
		const event = await harness.waitFor(
			"exec in the namespace",
			(each) => each.process?.namespacePid === 1 && !!each.exec,
		);
		expect(event.process?.pid).not.toBe(1);
		expect(event.process?.namespaces?.pid).not.toBe(namespaceOf("pid"));
	});
});

describe("a fork", () => {
	it("is reported once by its maker, and the child's exit carries its code", async () => {
		const { pid, said } = await run(trigger, ["fork"]);
		const child = said[0]?.child as number;
		const events = await harness.of(pid);
		const forks = events.filter((each) => each.fork);
		expect(forks).toHaveLength(1);
		expect(forks[0]?.fork).toMatchObject({ childPid: child, childNamespacePid: child });
		const exits = harness.events.filter((each) => each.exit && each.process?.pid === child);
		expect(exits).toHaveLength(1);
		expect(exits[0]?.exit).toEqual({ code: 7, signal: 0 });
		expect(exits[0]?.process).toMatchObject({ parentPid: pid, executable: trigger });
	});
});

describe("a change of user", () => {
	it("shows in what the process does next, though the call itself is not captured", async () => {
		const { pid, said, status } = await run(identityTrigger, ["identity"]);
		expect(status).toBe(0);
		const events = await harness.of(pid);
		expect(events.filter(({ setuid, setgid, capset }) => setuid ?? setgid ?? capset)).toEqual([]);
		const opens = events.filter((event) => event.open?.path === `/proc/${pid}/task/${pid}/status`);
		// The trigger reads its status after each call.
		const users = opens.map(({ process }) => ({ uid: process?.uid, euid: process?.euid }));
		expect(users).toEqual(said.map(({ uid, euid }) => ({ uid, euid })));
		expect(users).toContainEqual({ uid: 11, euid: 12 });
	});
});

describe("an orphan", () => {
	it("has the parent that the kernel gave it, without having executed anything since", async () => {
		const { pid, said } = await run(trigger, ["orphan"]);
		const child = said[0]?.pid as number;
		expect(child).not.toBe(pid);
		const exit = (await harness.of(child)).find((each) => each.exit);
		expect(exit?.process?.parentPid).toBe(said[0]?.parent);
		expect(exit?.process?.parentPid).not.toBe(pid);
		expect(exit?.process?.executable).toBe(trigger);
	});
});

describe("an exit", () => {
	it("by a signal names it", async () => {
		const { pid } = await run(trigger, ["signal", "15"]);
		const [event] = (await harness.of(pid)).filter((each) => each.exit);
		expect(event?.exit).toEqual({ code: 0, signal: 15 });
	});

	it("of a process whose threads all leave at once is reported once", async () => {
		for (let round = 0; round < 20; round++) {
			const { pid } = await run(trigger, ["threads", "8"]);
			const exits = (await harness.of(pid)).filter((each) => each.exit);
			expect(exits).toHaveLength(1);
		}
	});
});
