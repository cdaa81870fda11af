// Rules and policy changed under a running sensor, while a program makes events all the time: what both sets have is
// alerted exactly once, and what cannot be used leaves the old in force.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess, type Started } from "./process.ts";

const rounds = process.env.PICKET_SOAK === "1" ? 200 : 20;
let folder: string;
let rules: string;
const sensors: SensorProcess[] = [];
const streams: ChildProcess[] = [];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-reload-"));
	rules = join(folder, "rules.d");
	mkdirSync(rules);
	mkdirSync(watched(), { recursive: true });
	put(
		"steady",
		rule("Steady", `evt.type = execve and proc.args startswith "${folder}/steady"`) +
			rule("Written", `evt.type = openat and evt.is_open_write = true and fd.name startswith ${watched()}`),
	);
});
afterEach(async () => {
	for (const stream of streams.splice(0)) stream.kill("SIGKILL");
	for (const sensor of sensors.splice(0)) await sensor.dispose();
	rmSync(folder, { recursive: true, force: true });
});

const watched = () => join(folder, "watched/deep");

function rule(name: string, condition: string): string {
	return `- rule: ${name}\n  desc: d\n  condition: ${condition}\n  output: "%proc.args"\n  priority: NOTICE\n`;
}

/** As editors do it: another file takes the name. */
function put(name: string, text: string): void {
	writeFileSync(join(folder, "new"), text);
	renameSync(join(folder, "new"), join(rules, `${name}.yaml`));
}

function start(options: Started = {}): SensorProcess {
	const scope = ["--scope-pid", String(process.pid), "--no-default-rules", "--rules", rules];
	const sensor = new SensorProcess({
		...options,
		config: options.config ?? "rules: {watch: false}\n",
		args: [...scope, "--events", "none", ...(options.args ?? [])],
	});
	sensors.push(sensor);
	return sensor;
}

/** Runs `command` all the time, so many times at most. */
function repeat(command: string, most: number): void {
	const words = `i=0; while [ $i -lt ${most} ]; do ${command} >/dev/null; i=$((i+1)); done`;
	streams.push(spawn("/bin/sh", ["-c", words], { stdio: "ignore" }));
}

/** Runs a program and writes a file so many times at most; resolves to how often when it is told to end. */
function steady(most: number): { end(): Promise<number> } {
	const act = `/bin/echo ${folder}/steady >/dev/null; : >> ${watched()}/file`;
	const words = `i=0; while [ $i -lt ${most} ] && ! [ -e ${folder}/end ]; do ${act}; i=$((i+1)); done; echo $i`;
	const child = spawn("/bin/sh", ["-c", words], { stdio: ["ignore", "pipe", "ignore"] });
	streams.push(child);
	let out = "";
	child.stdout?.on("data", (text: Buffer) => {
		out += text;
	});
	const ended = new Promise<number>((resolve) => child.on("close", () => resolve(Number(out))));
	return {
		end() {
			writeFileSync(join(folder, "end"), "");
			return ended;
		},
	};
}

function act(word: string): void {
	streams.push(spawn("/bin/echo", [`${folder}/${word}`], { stdio: "ignore" }));
}
const alertOf = (name: string) => (record: wire.OutputRecord) => record.alert?.rule === name;
const reloads = (sensor: SensorProcess) =>
	sensor.records.flatMap((record) => (record.status?.reload ? [record.status.reload] : []));

async function command(sensor: SensorProcess): Promise<{ status: number | null; reload: wire.Reload }> {
	const { status, out, err } = await picket("rules", "reload", "--json", "--socket", sensor.socket);
	expect(err).toBe("");
	return { status, reload: JSON.parse(out) as wire.Reload };
}
async function statusOf(sensor: SensorProcess): Promise<wire.Status> {
	return JSON.parse((await picket("status", "--json", "--socket", sensor.socket)).out) as wire.Status;
}

describe("reloading", () => {
	it(`${rounds} times under a stream of events alerts each of them exactly once`, async () => {
		const sensor = start({ config: "rules: {watch: false}\ncapture: {repeat_window_ms: 0}\n" });
		await sensor.ready();
		const stream = steady(20_000);
		await sensor.record("the stream", alertOf("Steady"));
		for (let i = 0; i < rounds; i++) {
			// Other kinds of events and other files each time, so that the kernel's tables change, too.
			const wants = [
				`evt.type in (rename, unlink) and fd.name startswith ${folder}/watched/`,
				`evt.type = openat and evt.is_open_read = true and fd.name startswith ${folder}/watched/dee`,
				`evt.type = connect and fd.sport = ${1000 + i}`,
				`evt.type = openat and evt.is_open_write = true and fd.filename = none`,
			];
			put("other", rule(`Other ${i}`, wants[i % 4] ?? ""));
			const before = reloads(sensor).length;
			sensor.child.kill("SIGHUP");
			await sensor.until(`reload ${i}`, () => reloads(sensor).length > before);
			expect(reloads(sensor).at(-1)).toMatchObject({
				outcome: "OUTCOME_APPLIED",
				came: [`Other ${i}`],
				went: i === 0 ? [] : [`Other ${i - 1}`],
				changed: [],
			});
		}
		const runs = await stream.end();
		expect(runs).toBeGreaterThan(rounds);
		const { counters = [] } = await statusOf(sensor);
		expect(counters.filter((each) => each.lost !== "0")).toEqual([]);
		expect(await sensor.interrupt()).toBe(0);
		for (const name of ["Steady", "Written"]) {
			const counts = sensor.records.filter(alertOf(name)).map((record) => record.alert?.count ?? 0);
			// The last one of a window says how many there were in it.
			const windows = counts.filter((count, at) => (counts[at + 1] ?? 0) <= count);
			expect([name, windows.reduce((sum, count) => sum + count, 0)]).toEqual([name, runs]);
		}
	});

	it("on command answers what came, went and changed, and says so to everybody who listens", async () => {
		const sensor = start();
		await sensor.ready();
		expect((await command(sensor)).reload.outcome).toBe("OUTCOME_UNCHANGED");
		put("more", rule("Second", `evt.type = execve and proc.args = "${folder}/second"`));
		const { status, reload } = await command(sensor);
		expect(status).toBe(0);
		expect(reload).toMatchObject({ outcome: "OUTCOME_APPLIED", requester: "cli", came: ["Second"] });
		await sensor.record("the record", (record) => record.status?.reload?.came?.[0] === "Second");
		act("second");
		await sensor.record("the new rule's alert", alertOf("Second"));
		put("more", rule("Second", `evt.type = execve and proc.args = "${folder}/third"`));
		expect((await command(sensor)).reload).toMatchObject({ came: [], went: [], changed: ["Second"] });
		rmSync(join(rules, "more.yaml"));
		expect((await command(sensor)).reload).toMatchObject({ went: ["Second"] });
		expect((await statusOf(sensor)).rules).toMatchObject({ evaluable: 2, error: 0 });
	});

	it("happens by itself when a file came, was replaced or went, in a folder that came later, too", async () => {
		const later = join(folder, "later.d");
		const sensor = start({ config: "", args: ["--rules", later] });
		await sensor.ready();
		expect(sensor.messages).toContain(`there is no folder ${later} yet`);
		mkdirSync(later);
		writeFileSync(join(later, "a.yaml"), rule("Late", `evt.type = execve and proc.args = "${folder}/late"`));
		await sensor.until("the new rule", () => reloads(sensor).some(({ came = [] }) => came.includes("Late")));
		expect(reloads(sensor)[0]).toMatchObject({ requester: "files" });
		act("late");
		await sensor.record("its alert", alertOf("Late"));
		rmSync(later, { recursive: true });
		// A folder that has vanished is no wish to be without its rules.
		await sensor.until("the complaint", () => reloads(sensor).some(({ kept = [] }) => kept.length === 1));
		act("late");
		await sensor.record("its alert again", (record) => alertOf("Late")(record) && record.alert?.count === 1);
		expect(await sensor.interrupt()).toBe(0);
	});

	it("rejects one rule with an error, with its place, and takes the rest", async () => {
		const sensor = start();
		await sensor.ready();
		put(
			"two",
			`${rule("Wrong", "proc.nmae = x")}${rule("Right", "evt.type = execve and proc.name = right")}`,
		);
		const { status, reload } = await command(sensor);
		expect(status).toBe(1);
		expect(reload.came).toEqual(["Right"]);
		expect(reload.problems).toEqual([
			expect.stringMatching(
				/two\.yaml:3:\d+: error at rule Wrong: there is no field proc\.nmae .*proc\.name/,
			),
		]);
		const after = await statusOf(sensor);
		expect(after.rules).toMatchObject({ evaluable: 3, error: 1 });
		expect(after.problems?.join()).toMatch(/two\.yaml:3/);
		expect(sensor.messages).toMatch(/two\.yaml:3/);
		// Who asks again has to hear it again.
		const again = await command(sensor);
		expect(again.status).toBe(1);
		expect(again.reload).toMatchObject({ outcome: "OUTCOME_UNCHANGED", problems: reload.problems });
	});
});

describe("what cannot be used", () => {
	const good = () => rule("Kept", `evt.type = execve and proc.args = "${folder}/kept"`);

	it("is told until it is mended, and the last good version of the file stays in force", async () => {
		put("kept", good());
		const sensor = start();
		await sensor.ready();
		put("kept", `${good()}- rule: [\n`);
		put("other", rule("Other", "evt.type = execve and proc.name = other"));
		const { status, reload } = await command(sensor);
		expect(status).toBe(1);
		expect(reload).toMatchObject({ outcome: "OUTCOME_APPLIED", came: ["Other"], went: [] });
		expect(reload.kept).toEqual([join(rules, "kept.yaml")]);
		expect(reload.problems?.[0]).toMatch(/kept\.yaml:\d+:\d+: error.*stays in force/);
		expect((await statusOf(sensor)).problems?.join()).toMatch(/kept\.yaml/);
		act("kept");
		await sensor.record("the alert of the last good version", alertOf("Kept"));
		put("kept", good());
		expect(await command(sensor)).toMatchObject({ status: 0, reload: { outcome: "OUTCOME_UNCHANGED" } });
		expect((await statusOf(sensor)).problems?.join()).not.toMatch(/kept\.yaml/);
	});

	it("leaves everything as it is when no rule would be left or the policy has an error", async () => {
		const sensor = start();
		await sensor.ready();
		const { contentHash } = (await statusOf(sensor)).rules ?? {};
		put("steady", rule("Steady", "proc.nmae = x"));
		let { status, reload } = await command(sensor);
		expect(status).toBe(1);
		expect(reload).toMatchObject({ outcome: "OUTCOME_REFUSED" });
		expect(reload.message).toMatch(/no rule would be left/);
		expect(reload.problems?.[0]).toMatch(/steady\.yaml:3/);
		put("steady", rule("Steady", `evt.type = execve and proc.args startswith "${folder}/s"`));
		writeFileSync(join(sensor.folder, "policy.yaml"), "scopes: 5\n");
		({ status, reload } = await command(sensor));
		expect(status).toBe(1);
		expect(reload.message).toMatch(/policy\.yaml:1:\d+: error/);
		const { problems, rules: totals } = await statusOf(sensor);
		expect(totals?.contentHash).toBe(contentHash);
		const doctor = await picket("doctor", "--config", join(sensor.folder, "picket.yaml"));
		expect(doctor.out).toMatch(/running sensor.*refused.*policy\.yaml/s);
		expect(problems?.join()).toMatch(/refused.*policy\.yaml.*stays in force/s);
		act("steady");
		await sensor.record("an alert of the old rule", alertOf("Steady"));
		writeFileSync(join(sensor.folder, "policy.yaml"), "scopes: []\n# mended\n");
		expect(await command(sensor)).toMatchObject({
			status: 0,
			reload: { changed: ["Steady"], went: ["Written"] },
		});
		expect((await statusOf(sensor)).problems?.join()).not.toMatch(/policy/);
	});

	it("of the configuration is told with what takes a restart", async () => {
		const sensor = start();
		await sensor.ready();
		const config = join(sensor.folder, "picket.yaml");
		const text = readFileSync(config, "utf8");
		writeFileSync(config, `${text}limits: {alerts_per_minute: 5}\n`);
		const { reload } = await command(sensor);
		expect(reload).toMatchObject({ outcome: "OUTCOME_UNCHANGED" });
		expect(reload.problems?.join()).toMatch(/limits.*restart/);
		writeFileSync(config, `${text}ruels: {}\n`);
		expect(await command(sensor)).toMatchObject({ status: 1, reload: { outcome: "OUTCOME_REFUSED" } });
	});
});

describe("SIGHUP", () => {
	it("reloads; SIGTERM ends the sensor afterwards", async () => {
		const sensor = start();
		await sensor.ready();
		put("more", rule("More", "evt.type = execve and proc.name = more"));
		sensor.child.kill("SIGHUP");
		await sensor.until("the reload", () => reloads(sensor).length === 1);
		expect(reloads(sensor)[0]).toMatchObject({ requester: "signal", came: ["More"] });
		sensor.child.kill("SIGTERM");
		expect(await sensor.ended).toBe(0);
		expect(sensor.messages).toContain("stopped;");
	});
});

describe("a rule", () => {
	it("that costs too much is suspended and told, the others go on, and a reload tries it again", async () => {
		// 2 ms a look, so that some hundred executions are enough, however busy the machine is.
		const dear = Array.from({ length: 200 }, (_, i) => `proc.args regex "([a-z]+[0-9]*)+-${i}-x$"`);
		put("costly", rule("Costly", `evt.type = execve and (${dear.join(" or ")})`));
		const sensor = start({ config: "rules: {watch: false}\nlimits: {rule_cpu_percent: 1}\n" });
		await sensor.ready();
		const literals = dear.map((_, i) => `-${i}-x`).join("");
		repeat(`/bin/echo ${folder}/other ${"abc1".repeat(600)}${literals}`, 20_000);
		const told = await sensor.record("the alert", alertOf("Rule suspended"), 150_000);
		expect(told.alert).toMatchObject({ fields: { rule: "Costly" }, severity: "SEVERITY_MEDIUM" });
		const status = await statusOf(sensor);
		expect(status.rules?.suspended).toEqual(["Costly"]);
		expect(status.problems?.join()).toMatch(/rule Costly .*suspended until/);
		act("steady");
		await sensor.record("another rule's alert", alertOf("Steady"));
		put("costly", rule("Costly", `evt.type = execve and proc.args = "${folder}/costly"`));
		expect((await command(sensor)).reload).toMatchObject({ changed: ["Costly"] });
		expect((await statusOf(sensor)).rules?.suspended).toEqual([]);
		act("costly");
		await sensor.record("its alert", alertOf("Costly"));
	});

	it("that floods is limited and counted, and is evaluated as before", async () => {
		put("flood", rule("Flood", `evt.type = execve and proc.args startswith "${folder}/flood"`));
		const sensor = start({ config: "rules: {watch: false}\nlimits: {rule_alerts_per_minute: 5}\n" });
		await sensor.ready();
		repeat(`/bin/echo ${folder}/flood$i`, 100);
		await sensor.until("the last of them", () => sensor.records.filter(alertOf("Flood")).length === 5);
		act("steady");
		await sensor.record("another rule's alert", alertOf("Steady"));
		let status = await statusOf(sensor);
		for (let i = 0; i < 50 && status.rules?.limited?.Flood !== "95"; i++) status = await statusOf(sensor);
		expect(status.rules?.limited).toEqual({ Flood: "95" });
		expect(status.rules?.suspended).toEqual([]);
		expect(status.problems?.join()).toMatch(/95 alerts of rule Flood were held back/);
		expect(await sensor.interrupt()).toBe(0);
		const gaps = sensor.records.flatMap((record) =>
			record.gap?.where === "alert limit" ? [record.gap] : [],
		);
		expect(gaps.flatMap((gap) => gap.lost ?? [])).toEqual([{ class: "alert of Flood", count: "95" }]);
	});
});
