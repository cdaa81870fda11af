// What an execution tells of the file, of the process's session and of its standard streams, and how the ways of
// running something that is not what it looks like are told apart.
import { spawn, spawnSync } from "node:child_process";
import {
	closeSync,
	copyFileSync,
	mkdirSync,
	openSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EventFlag, EventKind, type EventView, Text } from "../../agent/model/event.ts";
import { noInterest } from "../../agent/model/interest.ts";
import { execEvent, standardStream } from "../../agent/model/layout.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

interface Stream {
	readonly inode: number;
	readonly type: number;
	readonly family: number;
	readonly remotePort: number;
	readonly localPort: number;
	readonly remote: string;
}
interface Exec {
	readonly pid: number;
	readonly path: string;
	readonly raw: string;
	readonly comm: string;
	readonly interpreter: string;
	readonly args: string[];
	readonly flags: number;
	readonly environment: string[];
	readonly environmentBytes: number;
	readonly group: number;
	readonly session: number;
	readonly file: { mode: number; uid: number; gid: number; changed: number; modified: number };
	readonly permitted: bigint;
	readonly inheritable: bigint;
	readonly streams: Stream[];
}

function streamOf(event: EventView, index: number): Stream {
	const at = execEvent.stream + index * standardStream.bytes;
	return {
		inode: event.long(at + standardStream.inode),
		type: event.half(at + standardStream.type),
		family: event.half(at + standardStream.family),
		remotePort: event.half(at + standardStream.remotePort),
		localPort: event.half(at + standardStream.localPort),
		remote: [0, 1]
			.map((half) => event.half(at + standardStream.remoteAddress + 2 * half).toString(16))
			.join(" "),
	};
}

function execOf(event: EventView): Exec {
	const list = (field: Text) => event.text(field).split("\0").slice(0, -1);
	return {
		pid: event.pid,
		path: event.text(Text.path),
		raw: event.text(Text.raw),
		comm: event.text(Text.comm),
		interpreter: event.text(Text.interpreter),
		args: list(Text.args),
		flags: event.flags,
		environment: list(Text.environment),
		environmentBytes: event.word(execEvent.environmentBytes),
		group: event.word(execEvent.processGroup),
		session: event.word(execEvent.session),
		file: {
			mode: event.word(execEvent.fileMode),
			uid: event.word(execEvent.fileUid),
			gid: event.word(execEvent.fileGid),
			changed: event.long(execEvent.fileChanged),
			modified: event.long(execEvent.fileModified),
		},
		permitted: event.big(execEvent.permittedCapabilities),
		inheritable: event.big(execEvent.inheritableCapabilities),
		streams: [0, 1, 2].map((index) => streamOf(event, index)),
	};
}

const regular = 0o10;
const pipe = 0o1;
const socket = 0o14;
const trigger = buildTrigger();
const execs: Exec[] = [];
let harness: Harness;

beforeAll(() => {
	harness = new Harness({
		kinds: [],
		interest: { ...noInterest, kinds: new Set(["exec", "fork", "exit"]) },
		limits: { repeatWindowMs: 0, bulkRate: 0, bulkBurst: 0, wakeOnExec: true, environmentBytes: 200 },
		detectors: [
			{ evaluate: ({ event }) => void (event.kind === EventKind.exec && execs.push(execOf(event))) },
		],
	});
});
afterAll(() => harness.close());

async function execWhere(what: string, wanted: (exec: Exec) => boolean): Promise<Exec> {
	for (let waited = 0; waited < 10_000; waited += 5) {
		const found = execs.find(wanted);
		if (found) return found;
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
	throw new Error(
		`waited in vain for ${what}; there were ${JSON.stringify(execs.slice(-10).map(({ path, args }) => [path, args]))}`,
	);
}

/** Runs a shell command; its children are in scope. */
async function shell(command: string, env: NodeJS.ProcessEnv = process.env): Promise<number> {
	const child = spawn("/bin/sh", ["-c", command], {
		cwd: harness.folder,
		env,
		stdio: ["pipe", "pipe", "inherit"],
	});
	child.stdin.end();
	return new Promise((resolve) => child.on("close", (code) => resolve(code ?? -1)));
}

describe("an execution", () => {
	it("tells owner, mode and times of the file, and the capabilities", async () => {
		const copy = join(harness.folder, "copy");
		copyFileSync(trigger, copy);
		spawnSync("chown", ["7:8", copy]);
		const file = statSync(copy, { bigint: true });
		const { pid } = await run(copy, ["exit", "0"], harness.folder);
		const exec = await execWhere("the copy", (each) => each.pid === pid);
		expect(exec.file).toEqual({
			mode: Number(file.mode),
			uid: 7,
			gid: 8,
			changed: Number(file.ctimeNs),
			modified: Number(file.mtimeNs),
		});
		const own = readFileSync("/proc/self/status", "utf8");
		expect(exec.permitted).toBe(BigInt(`0x${/CapPrm:\s*(\w+)/.exec(own)?.[1]}`));
		expect(exec.inheritable).toBe(BigInt(`0x${/CapInh:\s*(\w+)/.exec(own)?.[1]}`));
	});

	it("tells session and process group by their leaders' pids", async () => {
		await shell(`setsid ${trigger} exit 0 sessions`);
		const exec = await execWhere(
			"the leader",
			({ args }) => args.at(-1) === "sessions" && args[0] === trigger,
		);
		expect([exec.group, exec.session]).toEqual([exec.pid, exec.pid]);
		const { pid } = await run(trigger, ["exit", "0"], harness.folder);
		const stat = readFileSync("/proc/self/stat", "utf8")
			.replace(/^.*\) /, "")
			.split(" ");
		const inherited = await execWhere("the member", (each) => each.pid === pid);
		expect([inherited.group, inherited.session]).toEqual([Number(stat[2]), Number(stat[3])]);
	});

	it("tells what standard input, output and error are", async () => {
		writeFileSync(join(harness.folder, "input"), "x");
		// No second program beside it: a preemptible kernel skips ours for what runs on a CPU where it was preempted.
		await shell(`mkfifo pipe; exec ${trigger} exit 0 streams < input 1<> pipe 2>&-`);
		const { streams } = await execWhere("the command", ({ args }) => args.at(-1) === "streams");
		const { ino } = statSync(join(harness.folder, "input"));
		expect(streams.map(({ type }) => type)).toEqual([regular, pipe, 0]);
		expect(streams[0]?.inode).toBe(ino);
		expect(streams[1]?.inode).toBeGreaterThan(0);
	});

	it("tells the peer of a socket that is its input and output", async () => {
		let server: Server | undefined;
		try {
			const port = await new Promise<number>((resolve) => {
				server = createServer((peer) => peer.on("error", () => {})).listen(0, "127.0.0.1", () => {
					const address = server?.address();
					resolve(typeof address === "object" && address ? address.port : 0);
				});
			});
			await run(trigger, ["reverse", String(port), trigger], harness.folder);
			const { streams } = await execWhere(
				"the program",
				({ args, path }) => args.at(-1) === "reverse" && path === trigger,
			);
			for (const stream of streams.slice(0, 2)) {
				expect(stream).toMatchObject({ type: socket, family: 2, remotePort: port, remote: "7f 100" });
				expect(stream.localPort).toBeGreaterThan(0);
			}
		} finally {
			server?.close();
		}
	});

	it("tells its environment as far as it was asked for", async () => {
		await shell(`exec ${trigger} exit 0 few`, { FIRST: "one", SECOND: "two words" });
		const few = await execWhere("the program", ({ args, path }) => args.at(-1) === "few" && path === trigger);
		expect(few.environment).toEqual(expect.arrayContaining(["FIRST=one", "SECOND=two words"]));
		expect(few.flags & EventFlag.environmentTruncated).toBe(0);
		await shell(`exec ${trigger} exit 0 many`, { LONG: "x".repeat(500) });
		const many = await execWhere(
			"the program",
			({ args, path }) => args.at(-1) === "many" && path === trigger,
		);
		expect(many.environmentBytes).toBeGreaterThan(500);
		expect(many.flags & EventFlag.environmentTruncated).not.toBe(0);
	});
});

describe("what hides what it is", () => {
	const bits = EventFlag.fromMemfd | EventFlag.unlinked | EventFlag.upperLayer | EventFlag.pathIncomplete;

	it("in a memory file, deleted, or through a descriptor", async () => {
		await run(trigger, ["memfd", "hidden"], harness.folder);
		const memory = await execWhere("the memory file", ({ path }) => path.startsWith("memfd:"));
		expect(memory.flags & bits).toBe(EventFlag.fromMemfd);

		const doomed = join(harness.folder, "doomed");
		copyFileSync(trigger, doomed);
		const descriptor = openSync(doomed, "r");
		rmSync(doomed);
		const gone = spawn(`/proc/self/fd/3`, ["exit", "0"], { stdio: ["pipe", "pipe", "inherit", descriptor] });
		await new Promise((resolve) => gone.on("close", resolve));
		closeSync(descriptor);
		const deleted = await execWhere("the deleted file", ({ pid }) => pid === gone.pid);
		expect(deleted.flags & bits).toBe(EventFlag.unlinked);
		expect(deleted).toMatchObject({ path: doomed, raw: "/proc/self/fd/3" });

		const kept = openSync(trigger, "r");
		const through = spawn(`/proc/self/fd/3`, ["exit", "0"], { stdio: ["pipe", "pipe", "inherit", kept] });
		await new Promise((resolve) => through.on("close", resolve));
		closeSync(kept);
		const named = await execWhere("the descriptor", ({ pid }) => pid === through.pid);
		expect(named.flags & bits).toBe(0);
		expect(named).toMatchObject({ path: trigger, raw: "/proc/self/fd/3" });
	});

	it("behind the dynamic loader, in a script from standard input, under another name", async () => {
		const loader = /\S*\/ld-linux\S*/.exec(readFileSync("/proc/self/maps", "latin1"))?.[0] ?? "";
		const { pid } = await run(loader, ["--verify", trigger], harness.folder);
		const loaded = await execWhere("the loader", (each) => each.pid === pid);
		expect(loaded).toMatchObject({ path: loader, args: [loader, "--verify", trigger] });
		const script = join(harness.folder, "script");
		writeFileSync(script, ":\n");
		await shell("sh < script");
		const fed = await execWhere("the shell", ({ args }) => args.length === 1 && args[0] === "sh");
		expect(fed.streams[0]).toMatchObject({ type: regular, inode: statSync(script).ino });

		const renamed = spawn(trigger, ["exit", "0", "renamed"], {
			argv0: "[kworker/0:1]",
			stdio: ["pipe", "pipe", "inherit"],
		});
		await new Promise((resolve) => renamed.on("close", resolve));
		const disguised = await execWhere("the disguised", ({ pid }) => pid === renamed.pid);
		expect(disguised).toMatchObject({
			path: trigger,
			comm: "trigger",
			args: ["[kworker/0:1]", "exit", "0", "renamed"],
		});
	});

	it.skipIf(!/\toverlay$/m.test(readFileSync("/proc/filesystems", "utf8")))(
		"in an overlay's upper layer, unlike what the lower one came with",
		async () => {
			const folder = join(harness.folder, "overlay");
			for (const name of ["lower", "upper", "work", "merged"])
				mkdirSync(join(folder, name), { recursive: true });
			copyFileSync(trigger, join(folder, "lower", "shipped"));
			copyFileSync(trigger, join(folder, "lower", "changed"));
			const status = await shell(
				`exec unshare -m --propagation private sh -ec '
				mount -t tmpfs none ${folder}/upper && mkdir ${folder}/upper/u ${folder}/upper/w
				mount -t overlay overlay -o lowerdir=${folder}/lower,upperdir=${folder}/upper/u,workdir=${folder}/upper/w ${folder}/merged
				cp ${folder}/merged/shipped ${folder}/merged/dropped
				touch ${folder}/merged/changed
				for name in shipped dropped changed; do ${folder}/merged/$name exit 0 >/dev/null; done'`,
			);
			expect(status).toBe(0);
			const flagsOf = async (name: string) =>
				(await execWhere(name, ({ path }) => path === `${folder}/merged/${name}`)).flags & bits;
			expect(await flagsOf("shipped")).toBe(0);
			expect(await flagsOf("dropped")).toBe(EventFlag.upperLayer);
			expect(await flagsOf("changed")).toBe(EventFlag.upperLayer);
		},
	);
});
