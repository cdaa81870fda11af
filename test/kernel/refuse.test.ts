// Refusals in the kernel, on cgroups that the test makes: what is refused, to whom, until when, and what stays when the
// sensor dies. The same tests on whatever means to refuse an execution the kernel has.
import { type ChildProcess, spawn } from "node:child_process";
import {
	chmodSync,
	copyFileSync,
	existsSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmdirSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { LiveRefuser, type RefuserOptions } from "../../agent/capture/refuser.ts";
import { cgroupMount } from "../../agent/enrich/cgroups.ts";
import { parseNetwork } from "../../agent/model/address.ts";
import type { PeerMatch, ProgramMatch, Refusal, RefusalRule } from "../../agent/model/refusal.ts";
import { buildTrigger } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "picket-refuse-"));
const program = join(folder, "program");
const trigger = buildTrigger();
const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path)) ?? "";
const root = cgroupMount() ?? "";
const group = join(root, `picket-refuse-${process.pid}`);
const below = join(group, "below");
const other = join(root, `picket-other-${process.pid}`);
const idOf = (directory: string) => statSync(directory).ino;
const options: RefuserOptions = {
	pins: undefined,
	cgroupRoot: root,
	sensorPid: 0,
	off: [],
	logger: pino({ level: "silent" }),
	clock: Date.now,
};
/** Every means there is here: as the kernel has it, and without being asked for leave. */
const lsm =
	existsSync("/sys/kernel/security/lsm") && /\bbpf\b/.test(readFileSync("/sys/kernel/security/lsm", "utf8"));
const means = lsm
	? [
			{ by: "lsm", off: [] },
			{ by: "kill", off: ["lsm"] },
		]
	: [{ by: "kill", off: [] }];
let refuser: LiveRefuser;
let holder: ChildProcess;
/** A BPF file system of our own, in a mount namespace of its own. */
let pins: string;

beforeAll(async () => {
	for (const directory of [group, below, other]) mkdirSync(directory);
	copyFileSync(trigger, program);
	const mounted = join(folder, "bpffs");
	mkdirSync(mounted);
	const script = `mount -t bpf bpf ${mounted} && echo ready && exec sleep 600`;
	holder = spawn("unshare", ["-m", "--propagation", "private", "sh", "-c", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await new Promise((resolve) => holder.stdout?.once("data", resolve));
	pins = `/proc/${holder.pid}/root${mounted}/picket`;
});

afterAll(() => {
	holder?.kill("SIGKILL");
	for (const directory of [below, group, other]) rmdirSync(directory);
	rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
	refuser = new LiveRefuser(options);
});
afterEach(() => {
	refuser.release();
	refuser.close();
});

interface Ran {
	readonly status: number | null;
	readonly signal: NodeJS.Signals | null;
	readonly said: string;
	readonly pid: number;
}

/** Runs a command in a cgroup, from our folder. */
function runIn(directory: string, command: readonly string[], cwd = folder): Promise<Ran> {
	const script = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
	const child = spawn("sh", ["-c", script, directory, ...command], {
		stdio: ["ignore", "pipe", "pipe"],
		cwd,
	});
	let said = "";
	child.stdout.setEncoding("utf8").on("data", (part: string) => {
		said += part;
	});
	child.stderr.resume();
	return new Promise((resolve) =>
		child.on("close", (status, signal) => resolve({ status, signal, said, pid: child.pid ?? 0 })),
	);
}

function ruleOf(what: RefusalRule["what"], more: Partial<RefusalRule> = {}): RefusalRule {
	return { id: "test", mode: "enforce", where: [idOf(group)], what, deadline: Date.now() + 60_000, ...more };
}

function denyExec(...deny: ProgramMatch[]): RefusalRule {
	return ruleOf({ kind: "exec", deny });
}

const byLsm = () => "by" in refuser.exec && refuser.exec.by === "lsm";

/** It ran, or it did not get to its first instruction. */
async function expectRuns(
	directory: string,
	command: readonly string[] = [program, "exit", "0"],
): Promise<void> {
	expect(await runIn(directory, command)).toMatchObject({ status: 0, said: expect.stringContaining("{") });
}
async function expectRefused(
	directory: string,
	command: readonly string[] = [program, "exit", "0"],
): Promise<Ran> {
	const ran = await runIn(directory, command);
	expect(ran).toMatchObject({ said: "" });
	if (byLsm()) expect(ran.status).toBe(126);
	else expect(ran.signal).toBe("SIGKILL");
	return ran;
}

function told(): readonly Refusal[] {
	const { refusals, lost } = refuser.drain();
	expect(lost).toBe(0);
	return refusals;
}

/** The other one is tried on the kernel at hand. */
const tried = process.env.PICKET_BEST_MEANS ? means.slice(0, 1) : means;

describe.each(tried)("an execution is refused by $by", ({ by, off }) => {
	beforeEach(() => {
		refuser.close();
		refuser = new LiveRefuser({ ...options, off });
		expect(refuser.exec).toMatchObject({ by });
	});

	it("by its path, in the cgroup and below it, and nowhere else", async () => {
		await expectRuns(group);
		const rule = denyExec({ by: "path", path: program });
		expect(refuser.holds(rule)).toBe(false);
		refuser.put("test", [rule]);
		expect(refuser.holds(rule)).toBe(true);
		const { pid } = await expectRefused(group);
		expect(told()).toEqual([
			expect.objectContaining({
				id: "test",
				kind: "exec",
				refused: true,
				pid,
				cgroupId: idOf(group),
				path: program,
				peer: undefined,
				count: 1,
			}),
		]);
		await expectRefused(below);
		await expectRuns(other);
		const another = join(folder, "another");
		linkSync(program, another);
		await expectRuns(group, [another, "exit", "0"]);
		rmSync(another);
		refuser.put("test", []);
		expect(refuser.holds(rule)).toBe(false);
		await expectRuns(group);
	});

	it("by its inode, under whatever name", async () => {
		const file = join(folder, "one");
		copyFileSync(trigger, file);
		const { dev, ino } = statSync(file, { bigint: true });
		const device = Number(((dev >> 8n) & 0xfffn) << 20n) + Number((dev & 0xffn) | ((dev >> 12n) & 0xfff00n));
		refuser.put("test", [denyExec({ by: "inode", device, inode: ino })]);
		await expectRefused(group, [file, "exit", "0"]);
		const link = join(folder, "link");
		linkSync(file, link);
		await expectRefused(group, [link, "exit", "0"]);
		const moved = join(folder, "moved");
		renameSync(file, moved);
		await expectRefused(group, [moved, "exit", "0"]);
		await expectRuns(group);
		rmSync(link);
		rmSync(moved);
	});

	it("by its directory, by its name, and any", async () => {
		const inside = join(folder, "inside");
		mkdirSync(inside);
		copyFileSync(trigger, join(inside, "tool"));
		refuser.put("test", [denyExec({ by: "directory", path: `${inside}/` })]);
		await expectRefused(group, [join(inside, "tool"), "exit", "0"]);
		await expectRuns(group);
		refuser.put("test", [denyExec({ by: "name", name: "tool" })]);
		await expectRefused(group, [join(inside, "tool"), "exit", "0"]);
		await expectRuns(group);
		refuser.put("test", [denyExec({ by: "any" })]);
		await expectRefused(group);
		rmSync(inside, { recursive: true });
	});

	it("when it is not among those that alone are allowed", async () => {
		refuser.put("test", [ruleOf({ kind: "exec", allowOnly: [{ by: "path", path: program }] })]);
		await expectRuns(group);
		const another = join(folder, "another");
		copyFileSync(trigger, another);
		await expectRefused(group, [another, "exit", "0"]);
		rmSync(another);
		// A memory file has no path that could be on the list.
		expect((await runIn(group, [program, "memfd", "hidden"])).said).toBe("");
		refuser.put("test", []);
		expect((await runIn(group, [program, "memfd", "hidden"])).said).toContain("{");
	});

	it("of a script, by its path from wherever it is started", async () => {
		const script = join(folder, "script");
		writeFileSync(script, `#!${program} exit\n`);
		chmodSync(script, 0o755);
		refuser.put("test", [denyExec({ by: "path", path: script })]);
		await expectRefused(group, [script]);
		await expectRefused(group, ["./script"]);
		await expectRuns(group);
		refuser.put("test", [denyExec({ by: "name", name: "script" })]);
		await expectRefused(group, ["./script"]);
		// Its interpreter is an execution as well.
		refuser.put("test", [denyExec({ by: "path", path: program })]);
		await expectRefused(group, [script]);
		rmSync(script);
	});

	it("by the name of a link to it, as busybox has one for each of its programs", async () => {
		const bin = join(folder, "bin");
		mkdirSync(bin);
		symlinkSync(program, join(bin, "tool"));
		refuser.put("test", [denyExec({ by: "name", name: "tool" })]);
		await expectRefused(group, [join(bin, "tool"), "exit", "0"]);
		expect(told().map(({ path }) => path)).toContain(join(bin, "tool"));
		await expectRuns(group);
		refuser.put("test", [denyExec({ by: "path", path: join(bin, "tool") })]);
		await expectRefused(group, [join(bin, "tool"), "exit", "0"]);
		await expectRuns(group);
		// A link's name makes nothing allowed.
		refuser.put("test", [ruleOf({ kind: "exec", allowOnly: [{ by: "path", path: join(bin, "tool") }] })]);
		await expectRefused(group, [join(bin, "tool"), "exit", "0"]);
		// What is told of once is not told of again for its own name.
		refuser.put("test", [{ ...denyExec({ by: "name", name: "program" }), mode: "observe" }]);
		told();
		await expectRuns(group);
		expect(told()).toHaveLength(1);
		rmSync(bin, { recursive: true });
	});

	it("no more than once a second is told, and nothing is lost from the count", async () => {
		refuser.put("test", [denyExec({ by: "path", path: program })]);
		await Promise.all(Array.from({ length: 5 }, () => expectRefused(group)));
		const { refused, told: tellings, repeated, lost } = refuser.counts();
		expect(refused).toBe(5);
		expect(tellings + repeated + lost).toBe(refused);
		expect(told()).toHaveLength(tellings);
		expect(repeated).toBeGreaterThan(0);
	});

	it.skipIf(!/\toverlay$/m.test(readFileSync("/proc/filesystems", "utf8")))(
		"of what is not from the image of a container, and not of what is",
		async () => {
			const made = join(folder, "overlay");
			for (const name of ["lower", "merged", "work"]) mkdirSync(join(made, name), { recursive: true });
			for (const name of ["shipped", "changed"]) copyFileSync(trigger, join(made, "lower", name));
			copyFileSync(busybox, join(made, "lower", "busybox"));
			for (const name of ["proc", "tmp"]) mkdirSync(join(made, "lower", name));
			refuser.put("test", [denyExec({ by: "not-from-image" })]);
			const inImage = (command: string) =>
				runIn(group, [
					"unshare",
					"-m",
					"--propagation",
					"private",
					"sh",
					"-c",
					`mount -t tmpfs none ${made}/work && mkdir ${made}/work/u ${made}/work/w &&
					mount -t overlay overlay -o lowerdir=${made}/lower,upperdir=${made}/work/u,workdir=${made}/work/w ${made}/merged &&
					mount -t tmpfs none ${made}/merged/tmp && mount -t proc none ${made}/merged/proc &&
					exec chroot ${made}/merged /busybox sh -c '/busybox ${command}; true'`,
				]);
			const ran = expect.stringContaining("{");
			expect((await inImage("true; /shipped exit 0")).said).toEqual(ran);
			expect((await inImage("cp /shipped /dropped; /dropped exit 0")).said).toBe("");
			expect((await inImage("touch /changed; /changed exit 0")).said).toBe("");
			expect((await inImage("cp /shipped /tmp/memory; /tmp/memory exit 0")).said).toBe("");
			expect((await inImage("true; /shipped memfd hidden")).said).toBe("");
			// Outside of an image the same is nobody's concern.
			await expectRuns(group);
			const paths = told().map(({ path }) => path);
			expect(paths).toEqual(["/dropped", "/changed", "/tmp/memory", expect.stringMatching(/^memfd:/)]);
			rmSync(made, { recursive: true });
		},
	);

	it("but only told of where the rule observes", async () => {
		refuser.put("test", [{ ...denyExec({ by: "path", path: program }), mode: "observe" }]);
		await expectRuns(group);
		expect(told()).toEqual([expect.objectContaining({ refused: false, path: program })]);
	});

	it("until its deadline, whether anybody tells the kernel or not", async () => {
		const rule = denyExec({ by: "path", path: program });
		refuser.put("test", [rule]);
		await expectRefused(group);
		const deadline = Date.now() + 500;
		refuser.put("test", [{ ...rule, deadline }]);
		const ran = async () => (await runIn(group, [program, "exit", "0"])).status === 0;
		while (!(await ran()));
		expect(Date.now()).toBeGreaterThanOrEqual(deadline);
	});

	it("never of the sensor's own children", async () => {
		refuser.release();
		refuser.close();
		refuser = new LiveRefuser({ ...options, off, sensorPid: process.pid });
		refuser.put("test", [denyExec({ by: "path", path: program })]);
		await expectRuns(group);
	});

	it("on the host by path, but not in what is known to be a container", async () => {
		refuser.containers([idOf(other)]);
		refuser.put("test", [{ ...denyExec({ by: "path", path: program }), where: "host" }]);
		await expectRefused(group);
		await expectRuns(other);
	});
});

const v4 = "10.99.0.1";
const v6 = "fd99::1";
const port = 7000;

/** In a network of its own, where it answers at every address on one port. Does as it is told, a line each. */
const talk = `
	const net = require("node:net"), dgram = require("node:dgram");
	let flow;
	const say = (text) => console.log(text);
	const acts = {
		serve: () => net.createServer((s) => s.on("error", () => {}).pipe(s)).listen(${port}, "::", () => say("ready")),
		tcp: (host, port) => {
			const s = net.connect(Number(port), host);
			s.on("error", (e) => say(e.code)).on("connect", () => { s.destroy(); say("connected"); });
		},
		udp: (host, port) => {
			const s = dgram.createSocket(host.includes(":") ? "udp6" : "udp4");
			s.send("x", Number(port), host, (e) => { s.close(); say(e ? e.code : "sent"); });
		},
		open: (host, port) => { flow = net.connect(Number(port), host, () => say("connected")).on("error", () => {}); },
		echo: (ms) => {
			const timer = setTimeout(() => say("silence"), Number(ms));
			flow.once("data", () => { clearTimeout(timer); say("echo"); });
			flow.write("x");
		},
	};
	require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
		const [act, ...rest] = line.split(" ");
		acts[act](...rest);
	});`;

class Talker {
	readonly #child: ChildProcess;
	#said = "";

	constructor(directory: string, network: readonly string[]) {
		const script = 'echo $$ > "$0/cgroup.procs" && exec "$@"';
		const command = [...network, process.execPath, "-e", talk];
		this.#child = spawn("sh", ["-c", script, directory, ...command], { stdio: ["pipe", "pipe", "inherit"] });
		this.#child.stdout?.setEncoding("utf8").on("data", (part: string) => {
			this.#said += part;
		});
	}

	get pid(): number {
		return this.#child.pid ?? 0;
	}

	/** What it answers. */
	async ask(line: string): Promise<string> {
		this.#said = "";
		this.#child.stdin?.write(`${line}\n`);
		while (!this.#said.endsWith("\n")) await new Promise((resolve) => setTimeout(resolve, 5));
		return this.#said.trim();
	}

	async end(): Promise<void> {
		const ended = new Promise((resolve) => this.#child.on("close", resolve));
		this.#child.kill("SIGKILL");
		await ended;
	}
}

describe("what a cgroup sends is refused", () => {
	let server: Talker;
	let inside: Talker;
	let deeper: Talker;
	let outside: Talker;

	beforeAll(async () => {
		const addresses = `ip addr add ${v4}/32 dev lo && ip addr add ${v6}/128 dev lo && ip addr add 10.99.7.1/32 dev lo`;
		const network = ["unshare", "-n", "sh", "-c", `ip link set lo up && ${addresses} && exec "$0" "$@"`];
		server = new Talker(other, network);
		expect(await server.ask("serve")).toBe("ready");
		const join = ["nsenter", "-t", String(server.pid), "-n"];
		inside = new Talker(group, join);
		deeper = new Talker(below, join);
		outside = new Talker(other, join);
	});
	afterAll(async () => {
		for (const talker of [inside, deeper, outside, server]) await talker?.end();
	});

	const egress = (
		peers: { deny: PeerMatch[] } | { allowOnly: PeerMatch[] },
		more: Partial<RefusalRule> = {},
	) => ruleOf({ kind: "egress", ...peers }, more);
	const peer = (network: string | undefined, lowPort = 0, highPort = 65535): PeerMatch => ({
		network: network === undefined ? undefined : parseNetwork(network),
		lowPort,
		highPort,
	});

	it("to an address, by connections and datagrams of both families, in the cgroup and below it", async () => {
		const rule = egress({ deny: [peer("10.99.0.0/24"), peer(v6)] });
		expect(refuser.holds(rule)).toBe(false);
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("connected");
		refuser.put("test", [rule]);
		expect(refuser.holds(rule)).toBe(true);
		for (const talker of [inside, deeper]) {
			for (const address of [v4, v6, `::ffff:${v4}`]) {
				expect(await talker.ask(`tcp ${address} ${port}`)).toBe("EPERM");
				expect(await talker.ask(`udp ${address} 9`)).toBe("EPERM");
			}
			expect(await talker.ask(`tcp 10.99.7.1 ${port}`)).toBe("connected");
			expect(await talker.ask(`tcp 127.0.0.1 ${port}`)).toBe("connected");
			expect(await talker.ask(`tcp ::1 ${port}`)).toBe("connected");
		}
		for (const address of [v4, v6]) expect(await outside.ask(`tcp ${address} ${port}`)).toBe("connected");
		const refusals = told();
		expect(refusals[0]).toMatchObject({
			id: "test",
			kind: "egress",
			refused: true,
			pid: inside.pid,
			cgroupId: idOf(group),
			peer: { network: parseNetwork(v4), port, protocol: 6 },
		});
		const { refused, told: tellings, repeated, lost } = refuser.counts();
		expect({ refused, tellings }).toEqual({ refused: 12, tellings: refusals.length });
		expect(tellings + repeated + lost).toBe(refused);
		refuser.put("test", []);
		expect(refuser.holds(rule)).toBe(false);
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("connected");
	});

	it("by port, and by the ports of a wider network too", async () => {
		refuser.put("test", [egress({ deny: [peer("10.99.0.0/16", port, port), peer(v4, 9, 9)] })]);
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("EPERM");
		expect(await inside.ask(`udp ${v4} 9`)).toBe("EPERM");
		expect(await inside.ask(`udp ${v4} 10`)).toBe("sent");
		expect(await inside.ask(`udp 10.99.7.1 9`)).toBe("sent");
		expect(await inside.ask(`tcp ${v6} ${port}`)).toBe("connected");
	});

	it("when it is not among what alone is allowed", async () => {
		refuser.put("test", [egress({ allowOnly: [peer(v4, port, port), peer(undefined, 53, 53)] })]);
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("connected");
		expect(await inside.ask(`udp ${v6} 53`)).toBe("sent");
		expect(await inside.ask(`tcp ${v6} ${port}`)).toBe("EPERM");
		expect(await inside.ask(`udp ${v4} 9`)).toBe("EPERM");
		expect(await inside.ask(`tcp 127.0.0.1 ${port}`)).toBe("connected");
	});

	it("altogether, established flows included, when it is isolated", async () => {
		for (const talker of [inside, outside]) {
			expect(await talker.ask(`open ${v4} ${port}`)).toBe("connected");
			expect(await talker.ask("echo 5000")).toBe("echo");
		}
		const rule = ruleOf({ kind: "isolate" });
		refuser.put("test", [rule]);
		expect(refuser.holds(rule)).toBe(true);
		expect(await inside.ask("echo 500")).toBe("silence");
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("EPERM");
		expect(await inside.ask(`udp ${v6} 9`)).toBe("EPERM");
		expect(await inside.ask(`tcp 127.0.0.1 ${port}`)).toBe("connected");
		expect(await outside.ask("echo 5000")).toBe("echo");
		expect(told()).toEqual(
			expect.arrayContaining([expect.objectContaining({ kind: "egress", refused: true, pid: 0 })]),
		);
		refuser.put("test", []);
		// What was not sent is sent again.
		expect(await inside.ask("echo 10000")).toMatch(/^echo/);
	});

	it("on the host, but not in what is known to be a container", async () => {
		refuser.containers([idOf(group)]);
		const rule = egress({ deny: [peer("10.99.7.1")] }, { where: "host" });
		refuser.put("test", [rule]);
		expect(refuser.holds(rule)).toBe(true);
		expect(await outside.ask(`tcp 10.99.7.1 ${port}`)).toBe("EPERM");
		expect(await inside.ask(`tcp 10.99.7.1 ${port}`)).toBe("connected");
		expect(await outside.ask(`tcp ${v4} ${port}`)).toBe("connected");
	});

	it("until its deadline, and only told of where the rule observes", async () => {
		refuser.put("test", [egress({ deny: [peer(v4)] }, { mode: "observe" })]);
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("connected");
		expect(told()).toEqual([expect.objectContaining({ refused: false })]);
		const rule = egress({ deny: [peer(v4)] });
		refuser.put("test", [rule]);
		expect(await inside.ask(`tcp ${v4} ${port}`)).toBe("EPERM");
		const deadline = Date.now() + 500;
		refuser.put("test", [{ ...rule, deadline }]);
		while ((await inside.ask(`tcp ${v4} ${port}`)) === "EPERM");
		expect(Date.now()).toBeGreaterThanOrEqual(deadline);
	});
});

describe("what refuses", () => {
	it("is in the kernel only while a rule is, and goes with its time", async () => {
		const rule = denyExec({ by: "path", path: program });
		refuser.put("test", [rule]);
		await expectRefused(group);
		expect(refuser.holds(rule)).toBe(true);
		const deadline = Date.now() + 200;
		refuser.put("test", [{ ...rule, deadline }]);
		while (Date.now() <= deadline) await new Promise((resolve) => setTimeout(resolve, 20));
		expect(refuser.drain().refusals).toHaveLength(1);
		expect(refuser.holds(rule)).toBe(false);
		// The tables with the count in them are gone.
		expect(refuser.counts().refused).toBe(0);
	});

	it("outlives the sensor where it can be pinned, is taken over without a gap, and leaves nothing", async () => {
		const before = readdirSync(join(pins, ".."));
		const source = `
			const { LiveRefuser } = await import(${JSON.stringify(new URL("../../agent/capture/refuser.ts", import.meta.url).href)});
			const logger = { warn() {} };
			const refuser = new LiveRefuser({ ...${JSON.stringify({ ...options, pins })}, logger, clock: Date.now });
			refuser.put("test", [${JSON.stringify(denyExec({ by: "path", path: program }))}]);
			console.log(refuser.outlives);
			setInterval(() => {}, 1000);`;
		const sensor = spawn(process.execPath, ["--input-type=module", "-e", source], {
			stdio: ["ignore", "pipe", "inherit"],
		});
		const outlives = await new Promise<string>((resolve) =>
			sensor.stdout.setEncoding("utf8").once("data", resolve),
		);
		expect(outlives).toBe("true\n");
		await expectRefused(group);
		sensor.kill("SIGKILL");
		await new Promise((resolve) => sensor.on("close", resolve));
		const { pid } = await expectRefused(below);

		const next = new LiveRefuser({ ...options, pins });
		const rule = denyExec({ by: "path", path: program });
		expect(next.holds(rule)).toBe(true);
		expect(next.drain().refusals.map((each) => each.pid)).toContain(pid);
		next.put("test", [rule]);
		await expectRefused(group);
		next.close();
		await expectRefused(group);
		const last = new LiveRefuser({ ...options, pins });
		last.release();
		last.close();
		expect(readdirSync(join(pins, ".."))).toEqual(before);
		await expectRuns(group);
	});

	it("is looked after: who removes a pin or changes a table is noticed", async () => {
		const made = new LiveRefuser({ ...options, pins });
		const rule = denyExec({ by: "path", path: program });
		const all = () => true;
		try {
			expect(made.damages(all)).toEqual([]);
			made.put("test", [rule]);
			expect(made.damages(all)).toEqual([]);
			const [build = ""] = readdirSync(pins);
			const link = readdirSync(join(pins, build)).find((name) => name.endsWith("-0")) ?? "";
			rmSync(join(pins, build, link));
			expect(made.damages(all)).toContain(`its pin ${link} is gone`);
			// Of a cgroup that is gone nothing is expected.
			expect(made.damages(() => false)).toEqual([`its pin ${link} is gone`]);
		} finally {
			made.release();
			made.close();
		}
	});
});
