// A sensor that watches over itself: its canary comes back, systemd hears the truth, and whoever tampers with it is
// told. Everything is done to a sensor that the test has started, from a copy of the program.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
	appendFileSync,
	cpSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { callControl } from "../../agent/control/client.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess } from "./process.ts";

const root = new URL("../..", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "picket-health-"));
const trigger = join(folder, "tamper");
const copy = join(folder, "program");
/** Never ends by itself, and is of no interest to anybody else. */
const own = ["--scope-pid", String(process.pid), "--no-default-rules"];
const sensors: SensorProcess[] = [];
const children: ChildProcess[] = [];

beforeAll(() => {
	execFileSync("cc", ["-O1", "-o", trigger, join(root, "test/trigger/tamper.c")]);
	mkdirSync(join(copy, "build"), { recursive: true });
	for (const name of ["agent", "package.json", "proto"])
		cpSync(join(root, name), join(copy, name), { recursive: true });
	mkdirSync(join(copy, "build/Release"));
	for (const name of ["picket.node", "picket.bpf.o", "refuse.bpf.o"])
		cpSync(join(root, "build/Release", name), join(copy, "build/Release", name));
	symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
	writeFileSync(
		join(folder, "rules.yaml"),
		`- rule: Aimed at the sensor
  desc: So that signals are captured.
  condition: evt.type = kill and evt.is_on_sensor = true and proc.name = nobody
  output: "%proc.name"
  priority: CRITICAL
- rule: Peer
  desc: So that names of peers are captured, by hooks on a cgroup.
  condition: evt.type = connect and fd.sport = 9
  output: "%proc.name"
  priority: CRITICAL
- rule: Secret read
  desc: So that there is a table of paths.
  condition: evt.type = openat and fd.name = ${folder}/secret
  output: "%proc.name"
  priority: CRITICAL
`,
	);
});
afterEach(async () => {
	for (const sensor of sensors.splice(0)) await sensor.dispose();
	for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sensor(options: ConstructorParameters<typeof SensorProcess>[0]): SensorProcess {
	const made = new SensorProcess(options);
	sensors.push(made);
	return made;
}

function act(...words: string[]): string {
	return execFileSync(trigger, words, { encoding: "utf8", stdio: "pipe" });
}

/** Numbers in the descriptors of a process: "map_id", "link_id". */
function idsOf({ pid = 0 }: ChildProcess, key: string): string[] {
	const found = readdirSync(`/proc/${pid}/fdinfo`).flatMap((name) => {
		try {
			const text = readFileSync(`/proc/${pid}/fdinfo/${name}`, "latin1");
			return new RegExp(`^${key}:\\s*(\\d+)$`, "m").exec(text)?.[1] ?? [];
		} catch {
			return [];
		}
	});
	return [...new Set(found)];
}

function mapOf(child: ChildProcess, name: string): string {
	const ids = idsOf(child, "map_id");
	const id =
		ids[
			act("name", ...ids)
				.trim()
				.split("\n")
				.indexOf(name)
		];
	if (id === undefined) throw new Error(`the sensor has no map ${name}`);
	return id;
}

const statusOf = async ({ socket }: SensorProcess) =>
	(await callControl(socket, "status", {}, 5000)) as wire.Status;

function tells(one: SensorProcess, what: RegExp, ms?: number): Promise<wire.OutputRecord> {
	const isIt = ({ alert }: wire.OutputRecord) =>
		alert?.rule === "picket/tamper" && what.test(alert.summary ?? "");
	return one.record(String(what), isIt, ms);
}

describe("a sensor that somebody tampers with", () => {
	it("sees each of it, tells it with what to do, and puts right what it can", async () => {
		const log = join(folder, "log.jsonl");
		writeFileSync(log, "");
		const one = sensor({
			cli: join(copy, "agent/main.mjs"),
			args: [...own, "--rules", join(folder, "rules.yaml"), "--events", "exec"],
			config: `health: {canary_seconds: 2, tamper_seconds: 1}\nsinks: [{file: ${log}}]\ndocker: {enabled: false}\n`,
		});
		await one.ready();
		const { child } = one;
		const before = await statusOf(one);
		expect(before.canary).toMatchObject({ seen: true, problem: "", missed: "0" });
		expect(before.problems).toEqual([]);
		expect(before.contentHashes).toEqual({
			rules: expect.stringMatching(/^[0-9a-f]{64}$/),
			policy: expect.stringMatching(/^[0-9a-f]{64}$/),
		});
		expect(before.lagMs).toBeLessThan(60_000);
		const healthy = await picket("status", "--socket", one.socket);
		expect(healthy.status).toBe(0);
		expect(healthy.out).toMatch(/canary: seen after \d+ ms/);

		// Tables.
		const settings = mapOf(child, "settings_map");
		await tells(one, /taken hold of the sensor's maps/);
		act("zero", settings);
		const changed = await tells(one, /table settings_map/);
		expect(changed.alert).toMatchObject({
			origin: "ORIGIN_PICKET",
			severity: "SEVERITY_CRITICAL",
			techniques: ["T1685"],
			description: expect.stringContaining("put right"),
		});
		act("clear", mapOf(child, "interest_paths"));
		await tells(one, /table interest_paths .*1 of its entries/);
		execFileSync("cat", [join(folder, "rules.yaml")]);

		// A hook on a cgroup is the one sort that can be taken off from outside.
		const links = idsOf(child, "link_id");
		const taken = links.find((id) => {
			try {
				act("detach", id);
				return true;
			} catch {
				return false;
			}
		});
		expect(taken).toBeDefined();
		const hook = await tells(one, /hook .* was taken off/);
		expect(hook.alert?.description).toContain("hooked up anew");
		expect(idsOf(child, "link_id")).toHaveLength(links.length);

		// The process.
		act("seize", String(child.pid), "2500");
		await tells(one, /took hold of the sensor as a debugger does/);
		await tells(one, /process \d+ \(tamper\) has hold of the sensor/);
		execFileSync("/bin/kill", ["-STOP", String(child.pid)]);
		await new Promise((resolve) => setTimeout(resolve, 4800));
		execFileSync("/bin/kill", ["-CONT", String(child.pid)]);
		await tells(one, /sent the sensor SIGSTOP/);
		await tells(one, /stood still for \d+ s/);

		// Files.
		appendFileSync(join(copy, "agent/version.ts"), "// changed\n");
		rmSync(log);
		rmSync(one.socket);
		await tells(one, /agent\/version\.ts was replaced or changed/);
		await tells(one, /log\.jsonl is (gone|another file now)/);
		await tells(one, /picket\.sock was removed/);

		// One alert for each, however often it was looked at; and not one execution of its own among the events.
		const told = one.records.flatMap(({ alert }) =>
			alert?.rule === "picket/tamper" ? (alert.summary ?? "") : [],
		);
		expect(told.filter((text) => text.includes("version.ts"))).toHaveLength(1);
		const events = one.records.filter(({ event }) => event?.exec !== undefined);
		expect(events.some(({ event }) => event?.process?.name === "cat")).toBe(true);
		expect(JSON.stringify(events)).not.toContain("picket-canary-");
	});
});

describe("a sensor under systemd", () => {
	it("says ready once its canary is back, and no more that all is well once canaries are missed", async () => {
		const path = join(folder, "notify");
		const systemd = spawn(trigger, ["notified", path], { stdio: ["pipe", "pipe", "inherit"] });
		children.push(systemd);
		const heard: { readonly time: number; readonly text: string }[] = [];
		createInterface({ input: systemd.stdout }).on("line", (text) => heard.push({ time: Date.now(), text }));
		while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
		const one = sensor({
			prefix: ["env", `NOTIFY_SOCKET=${path}`, "WATCHDOG_USEC=300000"],
			args: [...own, "--rules", join(folder, "rules.yaml")],
			config: "health: {canary_seconds: 1, tamper_seconds: 0}\ndocker: {enabled: false}\n",
		});
		const fed = () => heard.filter(({ text }) => text.includes("WATCHDOG=1"));
		await one.until("food for the watchdog", () => fed().length >= 3);
		expect(heard[1]?.text).toMatch(/^READY=1 STATUS=watching/);
		expect((await statusOf(one)).canary?.seen).toBe(true);

		act("zero", mapOf(one.child, "settings_map"));
		const missed = await one.record("the alert", ({ alert }) => alert?.rule === "picket/canary");
		expect(missed.alert).toMatchObject({ severity: "SEVERITY_CRITICAL" });
		await one.until("that it is not well", () =>
			heard.some(({ text }) => text.startsWith("STATUS=not well")),
		);
		const { time } = heard.find(({ text }) => text.startsWith("STATUS=not well")) ?? { time: 0 };
		await new Promise((resolve) => setTimeout(resolve, 1000));
		expect(fed().filter((each) => each.time > time)).toEqual([]);
		const sick = await picket("status", "--socket", one.socket);
		expect(sick.status).toBe(1);
		expect(sick.out).toContain("canary: not seen");
	});
});
