import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { findConnections } from "../../../agent/remote/connections.ts";
import { createEvidence, type EvidenceOptions } from "../../../agent/remote/evidence.ts";
import { createEvidenceStore, evidenceId } from "../../../agent/remote/evidence-store.ts";
import { readIdentity } from "../../../agent/respond/procfs.ts";
import { context, fakeProcess } from "../report/samples.ts";
import { start, stateFolder } from "./rig.ts";

const byHand = { requester: "console:hq", reason: "look (alice)" };

/** Ends with the test. `start`: ns since boot, as /proc has it. */
async function running(
	file: string,
	args: string[],
	options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
) {
	const child: ChildProcess = spawn(file, args, { stdio: ["pipe", "pipe", "ignore"], ...options });
	const ended = new Promise((resolve) => child.on("exit", resolve));
	onTestFinished(async () => {
		child.kill("SIGKILL");
		await ended;
	});
	await new Promise((resolve) => child.stdout?.once("data", resolve));
	const pid = child.pid ?? 0;
	return { child, pid, ended, start: (readIdentity("/", pid)?.startTicks ?? 0) * 10_000_000 };
}

function evidenceIn(stateDir: string, more: Partial<EvidenceOptions> = {}) {
	return createEvidence({
		...{ stateDir, host: "web-1", clock: () => start, wire: context, find: () => undefined },
		recent: () => [],
		...more,
	});
}

it("keeps what runs: the very file, though it was deleted, its words, names of its environment, files and sockets", async () => {
	const stateDir = stateFolder();
	const program = join(stateDir, "dropped");
	copyFileSync("/bin/sh", program);
	const secret = "hunter2";
	const it = await running(program, ["-c", "exec 7>&1; echo ready; read x", "arg\n\x1b[2J"], {
		env: { TOKEN: secret, PATH: "/bin" },
		cwd: stateDir,
	});
	rmSync(program);
	writeFileSync(program, "something harmless");
	const parent = fakeProcess({ pid: 1, comm: "init" });
	const process = fakeProcess({ pid: it.pid, start: it.start, comm: "dropped", parent });
	const told = (pid: number): wire.OutputRecord => ({
		action: { kind: "KIND_KILL", target: `${pid}:${it.start}` },
	});
	const { evidence, message } = await evidenceIn(stateDir, {
		find: () => process,
		recent: () => [told(it.pid), told(1)],
	}).take({ ...byHand, pid: it.pid, start: it.start });
	expect(message).toBe("");
	const text = readFileSync(evidence.path ?? "", "utf8");
	expect(evidence).toMatchObject({
		path: join(stateDir, "evidence", `${evidence.id}.json`),
		sha256: createHash("sha256").update(text).digest("hex"),
		content: text,
		truncated: false,
	});
	expect(statSync(evidence.path ?? "").mode & 0o777).toBe(0o600);
	expect(text).not.toContain(secret);
	const found = JSON.parse(text);
	expect(found).toMatchObject({
		format: "picket evidence 1",
		...byHand,
		host: "web-1",
		process: { pid: it.pid, name: "dropped" },
		ancestors: [{ pid: 1, name: "init" }],
		records: [told(it.pid)],
		now: {
			problems: [],
			commandLine: [program, "-c", "exec 7>&1; echo ready; read x", "arg\n\x1b[2J"],
			environmentNames: expect.arrayContaining(["TOKEN", "PATH"]),
			workingDirectory: stateDir,
			root: "/",
			executable: {
				path: `${program} (deleted)`,
				sha256: createHash("sha256").update(readFileSync("/bin/sh")).digest("hex"),
				bytes: statSync("/bin/sh").size,
			},
		},
	});
	expect(found.now.descriptors).toContainEqual({ number: 7, target: expect.stringContaining("socket:") });
	expect(found.now.maps.join("\n")).toContain("[stack]");
	expect(found.now.status).toContain("Name:\tdropped");
});

it("is refused for a process that has ended, and for another one under the same pid", async () => {
	const stateDir = stateFolder();
	const it = await running("/bin/sh", ["-c", "echo ready; read x"]);
	const evidence = evidenceIn(stateDir);
	const other = evidence.take({ ...byHand, pid: it.pid, start: it.start - 10 * 1e9 });
	await expect(other).rejects.toThrow("belongs to another process now");
	it.child.kill("SIGKILL");
	await it.ended;
	await expect(evidence.take({ ...byHand, pid: it.pid, start: it.start })).rejects.toThrow("no process");
	expect(existsSync(join(stateDir, "evidence"))).toBe(false);
});

it("of a process that ends meanwhile what was read is kept, and the rest is named", async () => {
	const evidence = evidenceIn(stateFolder());
	let partial = 0;
	for (let round = 0; round < 12; round++) {
		const it = await running("/bin/sh", ["-c", "echo ready; read x"]);
		setTimeout(() => it.child.kill("SIGKILL"), round / 3);
		const taken = await evidence.take({ ...byHand, pid: it.pid, start: it.start }).catch((error) => {
			expect(error.message).toContain("no process");
			return undefined;
		});
		if (taken?.message.startsWith("not all could be read")) partial++;
		const now = taken && JSON.parse(taken.evidence.content ?? "").now;
		if (now) expect(now.problems.length === 0 || taken?.message.includes("not all")).toBe(true);
		await it.ended;
	}
	expect(partial).toBeGreaterThan(0);
});

it("hashing a large program does not hold up the event loop", async () => {
	const stateDir = stateFolder();
	const it = await running(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)"]);
	const bytes = readFileSync(process.execPath);
	// A busy machine stalls by itself: one round in which it does not is enough.
	for (let round = 1; ; round++) {
		let longest = 0;
		let last = performance.now();
		const timer = setInterval(() => {
			longest = Math.max(longest, performance.now() - last);
			last = performance.now();
		}, 1);
		const { evidence } = await evidenceIn(stateDir).take({ ...byHand, pid: it.pid, start: it.start });
		clearInterval(timer);
		const begun = performance.now();
		const sha256 = createHash("sha256").update(bytes).digest("hex");
		const atOnce = performance.now() - begun;
		expect(JSON.parse(evidence.content ?? "").now.executable).toMatchObject({ sha256, bytes: bytes.length });
		if (longest < atOnce / 2) break;
		expect(round).toBeLessThan(8);
	}
});

it("keeps so many files and bytes, the oldest going first, and touches nothing else there", async () => {
	const stateDir = stateFolder();
	const store = createEvidenceStore(stateDir, { maxFiles: 3, maxBytes: 1000 });
	const ids = [1, 2, 3, 4].map((second) => evidenceId(start + second * 1000, 7));
	for (const id of ids.slice(0, 3)) await store.keep(id, Buffer.alloc(200));
	writeFileSync(join(stateDir, "evidence", "notes.txt"), "mine");
	expect(await store.keep(ids[3] ?? "", Buffer.alloc(200))).toMatchObject({ removed: 1 });
	expect(readdirSync(join(stateDir, "evidence")).sort()).toEqual([
		...ids.slice(1).map((id) => `${id}.json`),
		"notes.txt",
	]);
	const large = evidenceId(start + 9000, 7);
	expect(await store.keep(large, Buffer.alloc(900))).toMatchObject({ removed: 3 });
	expect(readdirSync(join(stateDir, "evidence")).sort()).toEqual([`${large}.json`, "notes.txt"]);
});

it("that cannot be kept is sent all the same, and says so", async () => {
	const stateDir = stateFolder();
	writeFileSync(join(stateDir, "evidence"), "in the way");
	const it = await running("/bin/sh", ["-c", "echo ready; read x"]);
	const { evidence, message } = await evidenceIn(stateDir).take({ ...byHand, pid: it.pid, start: it.start });
	expect(message).toContain("it is not kept on the host");
	expect(evidence.path).toBe("");
	expect(JSON.parse(evidence.content ?? "").now.commandLine).toBeDefined();
	mkdirSync(join(stateDir, "x"));
});

it("finds a connection at both its ends, with who holds it", async () => {
	const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	onTestFinished(() => void server.close());
	const { port } = server.address() as { port: number };
	const script = `const s = require("net").connect(${port}, "127.0.0.1", () => console.log(1)); s.on("close", () => process.exit())`;
	const it = await running(process.execPath, ["-e", script]);
	const holder = (pid: number) => ({ executable: `exe of ${pid}` });
	const own = await findConnections({ pid: it.pid, limit: 100, holder });
	expect(own).toMatchObject({
		truncated: "",
		connections: [
			{
				...{ protocol: "tcp", remoteAddress: "127.0.0.1", remotePort: port, state: "established" },
				...{ pid: it.pid, executable: `exe of ${it.pid}` },
			},
		],
	});
	const all = await findConnections({ pid: 0, limit: 10_000, holder });
	const here = all.connections.filter(({ localPort }) => localPort === port);
	expect(here.map(({ state, pid }) => [state, pid]).sort()).toEqual([
		["established", process.pid],
		["listen", process.pid],
	]);
	const few = await findConnections({ pid: 0, limit: 1, holder });
	expect(few).toMatchObject({ connections: [{}], truncated: "cut at 1" });
});
