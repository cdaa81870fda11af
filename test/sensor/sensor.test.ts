// The sensor as a user meets it: started from the command line, with mistakes in its files, a second one beside it,
// consoles that come and go, and Ctrl-C.
import { execFileSync, spawnSync } from "node:child_process";
import {
	chmodSync,
	copyFileSync,
	existsSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RunningConsole, startConsole } from "../../agent/console/console.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { recordCodec } from "../../agent/report/protojson.ts";
import { picket, picketWith, SensorProcess, type Started } from "./process.ts";

let folder: string;
const sensors: SensorProcess[] = [];
let consoles: RunningConsole[] = [];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-cli-"));
	writeFileSync(
		join(folder, "rules.yaml"),
		`- rule: Marked program
  desc: A program that this test made ran.
  condition: evt.type = execve and proc.args contains "${folder}"
  output: "%proc.name ran (%proc.cmdline)"
  priority: CRITICAL
  tags: [mitre_execution, T1204.002]
`,
	);
});
afterEach(async () => {
	for (const sensor of sensors.splice(0)) await sensor.dispose();
	for (const console of consoles.splice(0)) await console.close();
	rmSync(folder, { recursive: true, force: true });
});

/** Options of setpriv: nobody, who may read every file (the checkout may lie in root's home), and nothing else. */
const readAll = "-all,+dac_read_search";
const asNobody = [
	"--reuid=65534",
	"--regid=65534",
	"--clear-groups",
	`--inh-caps=${readAll}`,
	`--ambient-caps=${readAll}`,
];

/** A sensor that sees only what this test process starts. */
function start(options: Started = {}): SensorProcess {
	const scope = [
		"--scope-pid",
		String(process.pid),
		"--no-default-rules",
		"--rules",
		join(folder, "rules.yaml"),
	];
	const sensor = new SensorProcess({ ...options, args: [...scope, ...(options.args ?? [])] });
	sensors.push(sensor);
	return sensor;
}
function act(word: string): void {
	execFileSync("/bin/echo", [`${folder}/${word}`]);
}
const isAlert = (word: string) => (record: wire.OutputRecord) =>
	record.alert?.event?.process?.args?.[1] === `${folder}/${word}`;

describe("an alert", () => {
	it("comes as one JSON object a line with who, what, why and the counters of its time", async () => {
		const sensor = start();
		await sensor.ready();
		act("first");
		const record = await sensor.record("the alert", isAlert("first"));
		expect(Object.keys(record)).toEqual(["time", "host", "sequence", "alert"]);
		expect(record.alert).toMatchObject({
			rule: "Marked program",
			origin: "ORIGIN_FALCO",
			severity: "SEVERITY_CRITICAL",
			summary: `echo ran (echo ${folder}/first)`,
			tactics: ["execution"],
			techniques: ["T1204.002"],
			responses: ["alert"],
			eventsLost: "0",
		});
		expect(record.alert?.ancestors?.[0]?.pid).toBe(process.pid);
		// In JSON every captured event is a line too, the one that raised the alert among them.
		const event = await sensor.record("the event", (each) => each.event?.id === record.alert?.event?.id);
		expect(event.event?.exec?.path).toMatch(/\/bin\/echo$/);
	});

	it("that repeats is folded and counted", async () => {
		const sensor = start({ args: ["--events", "none"] });
		await sensor.ready();
		for (let i = 0; i < 12; i++) act("again");
		await sensor.record("the count", (record) => record.alert?.count === 10);
		expect(sensor.records.filter((record) => record.alert).map((record) => record.alert?.count)).toEqual([
			1, 10,
		]);
	});
});

describe("Ctrl-C", () => {
	it("ends the sensor with a summary, status 0 and nothing left behind", async () => {
		const sensor = start();
		await sensor.ready();
		act("last");
		await sensor.record("the alert", isAlert("last"));
		expect(existsSync(sensor.socket)).toBe(true);
		expect(await sensor.interrupt()).toBe(0);
		expect(existsSync(sensor.socket)).toBe(false);
	});
});

describe("a second sensor", () => {
	it("is refused with who runs and what to do, and does the first no harm", async () => {
		const first = start();
		await first.ready();
		const second = await picket(
			"run",
			"--run-dir",
			join(first.folder, "run"),
			"--state-dir",
			join(folder, "other"),
		);
		expect(second.status).toBe(1);
		expect(second.err).toMatch(/another sensor is running/);
		expect(second.err).toMatch(/picket status/);
		act("still");
		await first.record("the first one's alert", isAlert("still"));
	});
});

describe("a mistake in", () => {
	it("the configuration stops the start and is told with file, line, key and remedy", async () => {
		const sensor = start({ config: "mode: enforce\nlimits:\n  procesess: 5\n" });
		expect(await sensor.ended).toBe(2);
		expect(sensor.messages).toMatch(/picket\.yaml:\d+:\d+: error/);
		expect(sensor.messages).toContain("procesess");
		expect(sensor.messages).toContain("processes");
	});

	it("the policy stops the start and is told with its line", async () => {
		const sensor = start({ policy: "scopes:\n  - scope: host\n    users: {deny: root}\nresponses: []\n" });
		expect(await sensor.ended).toBe(2);
		expect(sensor.messages).toMatch(/policy\.yaml:3:\d+: error/);
	});

	it("one rule costs that rule only", async () => {
		writeFileSync(
			join(folder, "broken.yaml"),
			`- rule: Broken\n  desc: d\n  condition: proc.nmae = x\n  output: o\n  priority: NOTICE\n`,
		);
		const sensor = start({ args: ["--rules", join(folder, "broken.yaml")] });
		await sensor.ready();
		expect(sensor.messages).toMatch(/broken\.yaml:3:\d+: error at rule Broken: there is no field proc\.nmae/);
		act("works");
		await sensor.record("the alert of the good rule", isAlert("works"));
	});
});

describe("a host without", () => {
	it("Docker is told so and is watched all the same", async () => {
		const sensor = start({ config: `docker: {socket: ${folder}/no.sock}\n` });
		await sensor.ready();
		const { out } = await picket("status", "--json", "--socket", sensor.socket);
		const docker = (JSON.parse(out) as wire.Status).capabilities?.find(
			(each) => each.name === "containers:docker",
		);
		expect(docker?.available ?? false).toBe(false);
		expect(docker?.lost).toContain("no.sock");
		expect(docker?.remedy).not.toBe("");
		act("anyway");
		await sensor.record("the alert", isAlert("anyway"));
	});

	it("a hook that can be missed loses that capability, and says so in status and doctor", async () => {
		const sensor = start({ args: ["--off", "connect"] });
		await sensor.ready();
		const { out } = await picket("status", "--socket", sensor.socket);
		expect(out).toContain("outgoing connections");
		const doctor = await picket("doctor", "--off", "connect", "--json");
		expect(doctor.status).toBe(0);
		const found = (JSON.parse(doctor.out) as { capabilities: wire.Capability[] }).capabilities;
		expect(found.find((each) => each.name === "connect")).toMatchObject({ available: false });
		expect(found.find((each) => each.name === "exec")).toMatchObject({ available: true, tier: "tracepoint" });
	});

	it("what the sensor cannot do without is refused in one sentence with what is needed", async () => {
		const sensor = start({ args: ["--off", "exec"] });
		expect(await sensor.ended).toBe(2);
		expect(sensor.messages).toContain("cannot report executions");
		expect(sensor.messages).toContain("5.10");
		const doctor = await picket("doctor", "--off", "exec");
		expect(doctor.status).toBe(1);
		expect(doctor.out).toContain("cannot report executions");
	});

	it("root's rights is told to start it as root", () => {
		const other = mkdtempSync(join(tmpdir(), "picket-user-"));
		chmodSync(other, 0o777);
		try {
			const run = spawnSync(
				"setpriv",
				[
					...asNobody,
					process.execPath,
					"agent/main.mjs",
					"run",
					"--run-dir",
					`${other}/run`,
					"--state-dir",
					`${other}/state`,
				],
				{ encoding: "utf8", cwd: new URL("../..", import.meta.url).pathname },
			);
			expect(run.status).toBe(2);
			expect(run.stderr).toMatch(/root|sudo/);
		} finally {
			rmSync(other, { recursive: true, force: true });
		}
	});
});

describe("a console", () => {
	const logger = pino({ level: "silent" });
	async function open(listen: string, got: wire.OutputRecord[]): Promise<RunningConsole> {
		const running = await startConsole({ listen, logger, onRecord: (record) => got.push(record) });
		consoles.push(running);
		return running;
	}

	/** Where nobody listens now. */
	async function freeAddress(): Promise<string> {
		const running = await startConsole({ listen: "127.0.0.1:0", logger });
		await running.close();
		return running.address;
	}

	it("that is not there does not keep the sensor from its work, and gets everything once it is", async () => {
		const address = await freeAddress();
		const sensor = start({ args: ["--console", address, "--events", "none"] });
		await sensor.ready();
		act("early");
		await sensor.record("the alert on stdout", isAlert("early"));
		const status = JSON.parse(
			(await picket("status", "--json", "--socket", sensor.socket)).out,
		) as wire.Status;
		expect(status.sinks?.find((sink) => sink.name === "console:console")).toMatchObject({ queued: "1" });
		const got: wire.OutputRecord[] = [];
		await open(address, got);
		await sensor.until("delivery", () => got.some(isAlert("early")));
	});

	it("that dies and comes back has lost nothing and sees the same lines as stdout", async () => {
		const address = await freeAddress();
		const got: wire.OutputRecord[] = [];
		const first = await open(address, got);
		const sensor = start({ args: ["--console", address, "--events", "none"] });
		await sensor.ready();
		act("before");
		await sensor.until("delivery", () => got.some(isAlert("before")));
		consoles = [];
		await first.close();
		act("meanwhile");
		await sensor.record("the alert on stdout", isAlert("meanwhile"));
		await open(address, got);
		act("after");
		await sensor.until("delivery of all", () => got.some(isAlert("meanwhile")) && got.some(isAlert("after")));
		// As bytes: a record that came over the stream has its keys in another order.
		const shown = (records: readonly wire.OutputRecord[]) =>
			records
				.filter((each) => each.alert)
				.map((each) => Buffer.from(recordCodec.encode(each)).toString("hex"));
		expect(shown(got)).toEqual(shown(sensor.records));
	});

	it("can ask for processes, but not for more than the policy grants", async () => {
		const address = await freeAddress();
		const console = await open(address, []);
		const sensor = start({
			args: ["--console", address],
			policy: "console: {may: [query_processes]}\n",
		});
		await sensor.ready();
		await sensor.until("the sensor's stream", () => console.sensors().length === 1);
		const host = console.sensors()[0]?.hostId ?? "";
		const answer = await console.send(host, { queryProcesses: { contains: "node", limit: 100 } });
		expect(answer.processes?.map((each) => each.pid)).toContain(sensor.child.pid);
		const block = await console.send(host, { block: { address: "203.0.113.9" } });
		expect(block).toMatchObject({ accepted: false });
		expect(block.message).toContain("does not let console console ask for block");
	});
});

describe("a recording", () => {
	it("replays to the same alerts without root, kernel or Docker", async () => {
		const file = join(folder, "events.rec");
		const args = ["-o", file, "--scope-pid", String(process.pid)];
		const recorder = new SensorProcess({ command: "record", args });
		sensors.push(recorder);
		const live = start({ args: ["--events", "none"] });
		await live.ready();
		await recorder.until("the recording", () => recorder.messages.includes("recording to"));
		for (const word of ["one", "two", "three"]) act(word);
		copyFileSync("/bin/true", join(folder, "copied"));
		spawnSync(join(folder, "copied"), [`${folder}/four`]);
		await live.record("the last alert", isAlert("four"));
		expect(await recorder.interrupt()).toBe(0);
		chmodSync(folder, 0o755);
		chmodSync(file, 0o644);
		chmodSync(join(folder, "rules.yaml"), 0o644);
		const replay = await picketWith(
			["setpriv", ...asNobody],
			...["replay", file, "--no-default-rules", "--rules", join(folder, "rules.yaml"), "--output", "json"],
		);
		expect(replay.status, replay.err).toBe(0);
		const strip = (record: wire.OutputRecord) => {
			const { id: _, event, ancestors, ...rest } = record.alert ?? {};
			const { id: __, ...kept } = event ?? {};
			return {
				time: record.time?.slice(0, 19),
				...rest,
				event: { ...kept, process: { ...kept.process, startTime: "" } },
				above: ancestors?.map((each) => each.pid),
			};
		};
		const again = replay.out
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as wire.OutputRecord);
		// Not those of the replay's own command line, which names the folder, too.
		const words = ["one", "two", "three", "four"];
		expect(again.map((each) => each.alert?.event?.process?.args?.[1])).toEqual(
			words.map((word) => `${folder}/${word}`),
		);
		expect(again.map(strip)).toEqual(words.map((word) => strip(live.records.find(isAlert(word)) ?? {})));
	});

	it("that is damaged is replayed up to the damage, which is named", async () => {
		const file = join(folder, "events.rec");
		const recorder = new SensorProcess({
			command: "record",
			args: ["-o", file, "--scope-pid", String(process.pid)],
		});
		sensors.push(recorder);
		await recorder.until("the recording", () => recorder.messages.includes("recording to"));
		act("kept");
		await new Promise((resolve) => setTimeout(resolve, 300));
		await recorder.interrupt();
		const whole = readFileSync(file);
		writeFileSync(file, whole.subarray(0, whole.length - 5));
		const cut = await picket("replay", file, "--output", "json", "--events", "exec", "--no-default-rules");
		expect(cut.status).toBe(2);
		expect(cut.err).toMatch(/ends within a frame at byte \d+/);
		expect(cut.out).toContain(`${folder}/kept`);
		writeFileSync(file, "hello");
		const foreign = await picket("replay", file);
		expect(foreign.status).toBe(2);
		expect(foreign.err).toContain("is no recording");
	});
});

describe("loss on purpose", () => {
	it("is counted, told as a gap, and the tree is whole afterwards", async () => {
		const sensor = start({ args: ["--simulate-loss", "3"] });
		await sensor.ready();
		for (let i = 0; i < 30; i++) act(`lossy-${i}`);
		const { gap } = await sensor.record("the gap", (record) => record.gap !== undefined);
		expect(gap?.where).toBe("simulated");
		expect(gap?.lost?.length).toBeGreaterThan(0);
		const { out } = await picket("status", "--json", "--socket", sensor.socket);
		for (const count of (JSON.parse(out) as wire.Status).counters ?? []) {
			const [generated, ...parts] = [
				count.generated,
				count.delivered,
				count.lost,
				count.suppressed,
				count.pending,
			];
			expect(parts.reduce((sum, part) => sum + Number(part ?? 0), 0)).toBe(Number(generated));
		}
	});
});

describe("commands without a sensor", () => {
	it.each([["status"], ["watch"], ["actions"], ["block", "203.0.113.5"]])(
		"%s say that none runs and what to do",
		async (...args) => {
			const { status, err } = await picket(...args, "--socket", join(folder, "none.sock"));
			expect(status).toBe(2);
			expect(err).toMatch(/what to do/);
		},
	);

	it("release --all has nothing to undo, and says so", async () => {
		const { status, out } = await picket(
			"release",
			"--all",
			"--socket",
			join(folder, "none.sock"),
			"--state-dir",
			join(folder, "no-state"),
		);
		expect(status).toBe(0);
		expect(out).toContain("nothing was in force");
	});
});

describe("rules", () => {
	it("check prints every rule's state as JSON and fails on an error", async () => {
		const good = await picket("rules", "check", join(folder, "rules.yaml"), "--json");
		expect(good.status).toBe(0);
		expect(JSON.parse(good.out)).toEqual({
			problems: [],
			rules: [
				{
					name: "Marked program",
					source: "falco",
					file: join(folder, "rules.yaml"),
					line: 1,
					status: "evaluable",
					reasons: [],
				},
			],
			totals: { evaluable: 1, degraded: 0, "not-evaluable": 0, error: 0 },
		});
		writeFileSync(
			join(folder, "bad.yaml"),
			"- rule: Bad\n  desc: d\n  condition: evt.type = execve and (\n  output: o\n  priority: NOTICE\n",
		);
		const bad = await picket("rules", "check", join(folder, "bad.yaml"));
		expect(bad.status).toBe(1);
		expect(bad.out).toMatch(/bad\.yaml:3:\d+: error at rule Bad/);
	});

	it("list and explain show our own signatures", async () => {
		const list = await picket("rules", "list", "--json");
		const { rules, totals } = JSON.parse(list.out) as {
			rules: { name: string; source: string }[];
			totals: { error: number };
		};
		expect(rules.length).toBeGreaterThanOrEqual(15);
		expect(totals.error).toBe(0);
		const explained = await picket("rules", "explain", rules[0]?.name ?? "");
		expect(explained.out).toContain("condition");
		const missing = await picket("rules", "explain", "no such rule");
		expect(missing.status).toBe(1);
	});
});
