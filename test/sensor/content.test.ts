// Content from a console in a real sensor: delivered over its stream, tried, in force without a lost event, taken back;
// and what a series of crashes leaves in force.

import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type RunningConsole, startConsole } from "../../agent/console/console.ts";
import { readEnvelope } from "../../agent/delivered/bundle.ts";
import { bytesOf } from "../../agent/delivered/model.ts";
import { openStarts } from "../../agent/delivered/starts.ts";
import { contentFolder, openStore } from "../../agent/delivered/store.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess } from "./process.ts";

let folder: string;
let console: RunningConsole | undefined;
const sensors: SensorProcess[] = [];
const may = "console: {may: [apply_rules, apply_policy, apply_intel]}\n";

beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), "picket-content-"));
	expect((await picket("content", "keygen", join(folder, "team"))).status).toBe(0);
});
afterEach(async () => {
	for (const sensor of sensors.splice(0)) await sensor.dispose();
	await console?.close();
	console = undefined;
	rmSync(folder, { recursive: true, force: true });
});

function rule(name: string, condition: string): string {
	return `- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: "%proc.args"\n  priority: NOTICE\n`;
}

async function bundle(kind: string, version: number, text: string): Promise<wire.ApplyContent> {
	const [file, out] = [join(folder, `${kind}.yaml`), join(folder, "out.bundle")];
	writeFileSync(file, text);
	const args = ["--key", join(folder, "team.key"), "--kind", kind, "--content-version", String(version)];
	const { err } = await picket("content", "sign", ...args, "-o", out, file);
	expect(err).toBe("");
	return readEnvelope(readFileSync(out));
}

function start(policy: string, config = "", args: readonly string[] = []): SensorProcess {
	const sensor = new SensorProcess({
		config: `rules: {watch: false}\ncapture: {repeat_window_ms: 0}\ncontent: {trust: [${folder}/team.pub]}\n${config}`,
		policy,
		args: ["--scope-pid", String(process.pid), "--no-default-rules", "--events", "none", ...args],
	});
	sensors.push(sensor);
	return sensor;
}
const alertOf = (name: string) => (record: wire.OutputRecord) => record.alert?.rule === name;

async function statusOf(sensor: SensorProcess): Promise<wire.Status> {
	return JSON.parse((await picket("status", "--json", "--socket", sensor.socket)).out) as wire.Status;
}

describe("content from a console", () => {
	it("is refused without grant or signature, takes over without a lost event, and goes back when it is told to", async () => {
		// Over loopback: the uplink is nobody, whom this folder does not let in.
		console = await startConsole({ listen: "127.0.0.1:0", logger: pino({ level: "silent" }) });
		const { address } = console;
		const rules = join(folder, "local");
		mkdirSync(rules);
		const steady = `evt.type = execve and proc.args startswith "${folder}/steady"`;
		writeFileSync(join(rules, "steady.yaml"), rule("Steady", steady));
		const sensor = start("console: {may: [apply_intel]}\n", "", ["--console", address, "--rules", rules]);
		await sensor.ready();
		await sensor.until("the stream", () => (console?.sensors().length ?? 0) === 1);
		const [{ hostId = "" } = {}] = console.sensors();
		const send = async (applyContent: wire.ApplyContent): Promise<wire.CommandResult> =>
			(console as RunningConsole).send(hostId, { requester: "test", applyContent });
		const act = (word: string) => spawn("/bin/echo", [`${folder}/${word}`], { stdio: "ignore" });
		const end = join(folder, "end");
		const words = `i=0; while [ $i -lt 50000 ] && ! [ -e ${end} ]; do /bin/echo ${folder}/steady >/dev/null; sleep 0.02; i=$((i+1)); done; echo $i`;
		const stream = spawn("/bin/sh", ["-c", words], { stdio: ["ignore", "pipe", "ignore"] });
		let runs = "";
		stream.stdout.on("data", (text: Buffer) => {
			runs += text;
		});
		const ended = new Promise((resolve) => stream.on("close", resolve));

		const other = await bundle("rules", 1, rule("Other", "evt.type = execve and proc.name = other"));
		expect((await send(other)).message).toMatch(/does not let console console ask for apply_rules/);
		expect((await send({ content: other.content ?? "" })).message).toMatch(/not signed/);
		expect((await statusOf(sensor)).delivered).toEqual([]);
		writeFileSync(join(sensor.folder, "policy.yaml"), may);
		expect(await picket("rules", "reload", "--socket", sensor.socket)).toMatchObject({ status: 0 });

		const first = await send(
			await bundle("rules", 1, rule("Mine", `evt.type = execve and proc.args = "${folder}/mine"`)),
		);
		expect(first).toMatchObject({ accepted: true, message: expect.stringMatching(/version 1 .*probation/) });
		act("mine");
		await sensor.record("the delivered rule's alert", alertOf("Mine"));
		// One that is dear, one that is old, one of another key: all the same, nothing changes.
		const again = await send(other);
		expect(again).toMatchObject({
			accepted: false,
			message: expect.stringMatching(/version 1 of rules is not above 1/),
		});
		const status = await statusOf(sensor);
		expect(status.delivered).toMatchObject([{ kind: "rules", version: "1", highest: "1" }]);
		expect((status.counters ?? []).filter((each) => each.lost !== "0")).toEqual([]);
		const list = await picket(
			"rules",
			"list",
			"--config",
			join(sensor.folder, "picket.yaml"),
			"--no-default-rules",
		);
		expect(list.out).toMatch(/Mine .*delivered by a console, rules version 1/);

		const back = await picket("content", "rollback", "rules", "--socket", sensor.socket);
		expect(back).toMatchObject({
			status: 0,
			out: expect.stringMatching(/version 1 was taken back: asked for by cli/),
		});
		expect((await statusOf(sensor)).delivered).toMatchObject([{ version: "0", highest: "1" }]);
		writeFileSync(end, "");
		await ended;
		expect(await sensor.interrupt()).toBe(0);
		const counts = sensor.records.filter(alertOf("Steady")).map((record) => record.alert?.count ?? 0);
		const windows = counts.filter((count, at) => (counts[at + 1] ?? 0) <= count);
		expect(Number(runs)).toBeGreaterThan(10);
		expect(windows.reduce((sum, count) => sum + count, 0)).toBe(Number(runs));
		const audit = readFileSync(join(sensor.folder, "state/audit.jsonl"), "utf8");
		expect(audit).toMatch(/"stage":"intent","content":"rules","version":1.*"requester":"console:console"/);
	});
});

describe("a sensor that is killed again and again", () => {
	it("starts the fourth time without the last content, only looks on, and acts once that is accepted", async () => {
		const state = join(folder, "state");
		// Version 1 and 2, put there as a takeover does.
		const store = openStore(contentFolder(state), [join(folder, "team.pub")]);
		for (const version of [1, 2]) {
			const text = rule(`V${version}`, "evt.type = execve and proc.name = v");
			const [bytes, signature] = bytesOf(await bundle("rules", version, text));
			const files = [{ name: "rules.yaml", text }];
			store.save({ kind: "rules", version, created: 1, author: "", files }, bytes, signature);
			const since = Date.now();
			store.put("rules", {
				current: version,
				previous: version - 1,
				highest: version,
				since,
				probationUntil: 0,
				problem: "",
			});
		}
		const again = () => {
			const sensor = start(may, `mode: enforce\n`, ["--state-dir", state]);
			return sensor;
		};
		const sensor = again();
		await sensor.ready();
		expect(await statusOf(sensor)).toMatchObject({ mode: "enforce", captureOnly: "" });
		sensor.child.kill("SIGKILL");
		await sensor.ended;
		// Twice more, as far as it goes into what is kept of it.
		for (let i = 0; i < 2; i++) openStarts(state, Date.now).begun(store.describe());
		const fourth = again();
		await fourth.ready();
		expect(fourth.messages).toMatch(/version 2 was taken back: the sensor ended three times/);
		expect(fourth.messages).toMatch(/CAPTURE ONLY/);
		const status = await statusOf(fourth);
		expect(status).toMatchObject({
			mode: "observe",
			captureOnly: expect.stringMatching(/3 times within ten minutes/),
		});
		expect(status.delivered).toMatchObject([{ version: "1", highest: "2" }]);
		expect(status.problems?.join()).toMatch(/nothing acts: .*picket content accept/);
		const accepted = await picket("content", "accept", "--socket", fourth.socket);
		expect(accepted).toMatchObject({ status: 0, out: expect.stringMatching(/responses act again/) });
		expect(await statusOf(fourth)).toMatchObject({ mode: "enforce", captureOnly: "" });
	});
});
