// What must not happen to the host or to the truth: a recording that acts, a watch over nobody, a loss untold.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { picket, SensorProcess } from "./process.ts";

let folder: string;
const sensors: SensorProcess[] = [];
const own = ["--scope-pid", String(process.pid), "--no-default-rules"];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-robust-"));
	writeFileSync(
		join(folder, "rules.yaml"),
		`- rule: Marked program
  desc: A program that this test made ran.
  condition: evt.type = execve and proc.args contains "${folder}"
  output: "%proc.name ran"
  priority: CRITICAL
`,
	);
});
afterEach(async () => {
	for (const sensor of sensors.splice(0)) await sensor.dispose();
	rmSync(folder, { recursive: true, force: true });
});

function sensor(options: ConstructorParameters<typeof SensorProcess>[0]): SensorProcess {
	const made = new SensorProcess(options);
	sensors.push(made);
	return made;
}

describe("record", () => {
	it("acts on nothing and takes nothing back, whatever configuration and policy say", async () => {
		const recorder = sensor({
			command: "record",
			prefix: ["unshare", "-n"], // the firewall of a network of its own, should it ever get that far
			config: "mode: enforce\n",
			policy: "responses: [{do: [kill]}]\n",
			args: ["-o", join(folder, "recording"), ...own, "--rules", join(folder, "rules.yaml")],
		});
		const ledger = join(recorder.folder, "state", "responses.json");
		const entry = {
			kind: "block",
			target: "192.0.2.1/32",
			...{ targetName: "192.0.2.1", actionId: "a", requester: "cli", reason: "", alertId: "" },
			...{ since: Date.now(), expires: Date.now() + 3_600_000 },
		};
		const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
		mkdirSync(join(recorder.folder, "state"));
		const text = JSON.stringify({ version: 1, bootId, entries: [entry] });
		writeFileSync(ledger, text);
		await recorder.until("start", () => recorder.messages.includes("recording to"));
		const victim = spawn("/bin/sh", ["-c", "read line; exit 7", folder], {
			stdio: ["pipe", "ignore", "ignore"],
		});
		const ended = new Promise((resolve) => victim.on("close", resolve));
		await recorder.record("the alert", (record) => record.alert !== undefined);
		await recorder.interrupt();
		victim.stdin?.end("\n");
		expect(await ended).toBe(7);
		expect(recorder.records.filter((record) => record.action?.outcome === "OUTCOME_VERIFIED")).toEqual([]);
		expect(readFileSync(ledger, "utf8")).toBe(text);
	});
});

describe("a sensor", () => {
	const dirs = () => ["--run-dir", join(folder, "run"), "--state-dir", join(folder, "state")];

	it("does not start to watch a process that is not there", async () => {
		const { status, err } = await picket("run", ...dirs(), "--scope-pid", "4194303", "--no-default-rules");
		expect(status).toBe(2);
		expect(err).toContain("there is no process 4194303");
	});

	it("told to run for months does not end at once", async () => {
		const long = sensor({ args: [...own, "--duration", "3000000"] });
		await long.ready();
		await long.until("a second of work", () => Date.now() - begun > 1000);
		expect(long.child.exitCode).toBeNull();
	});
	const begun = Date.now();

	it("tells of losses in its last moments, too", async () => {
		const lossy = sensor({ args: [...own, "--simulate-loss", "2"] });
		await lossy.ready();
		await new Promise((resolve) =>
			spawn("/bin/sh", ["-c", "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done"]).on("close", resolve),
		);
		await lossy.interrupt();
		const lost = lossy.records.flatMap((record) => record.gap?.lost ?? []);
		const total = Number(/(\d+) lost/.exec(lossy.messages)?.[1]);
		expect(total).toBeGreaterThan(0);
		expect(lost.reduce((sum, { count }) => sum + Number(count), 0)).toBe(total);
	});

	it("goes on when the disk of its own log is full", async () => {
		const full = sensor({
			config: "log: {file: /dev/full, level: debug}\n",
			args: [...own, "--events", "exec"],
		});
		const seen = () => full.records.some((record) => record.event?.exec !== undefined);
		await full.until("an event", () => {
			spawn("/bin/true");
			return seen();
		});
		expect(await full.interrupt()).toBe(0);
	});
});
