// The whole way: an act, the sensor's alert, the spool on the disk, the uplink, TLS, a console; and what is left of it when
// the sensor is killed.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startConsole } from "../../agent/console/console.ts";
import type * as wire from "../../agent/model/picket.v1.ts";
import { makeAuthority } from "../unit/report/certificates.ts";
import { picket, SensorProcess } from "./process.ts";
import { statusOf } from "./uplink-rig.ts";

let folder: string;
let cleanUp: (() => unknown)[] = [];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-delivery-"));
	cleanUp = [() => rmSync(folder, { recursive: true, force: true })];
	writeFileSync(
		join(folder, "rules.yaml"),
		`- rule: Marked program
  desc: A program that this test made ran.
  condition: evt.type = execve and proc.args contains "${folder}"
  output: "%proc.name ran (%proc.cmdline)"
  priority: CRITICAL
`,
	);
});
afterEach(async () => {
	for (const step of cleanUp.reverse()) await step();
});

function act(word: string): void {
	execFileSync("/bin/echo", [`${folder}/${word}`]);
}
const isAlert = (word: string) => (record: wire.OutputRecord) =>
	record.alert?.event?.process?.args?.[1] === `${folder}/${word}`;

function start(config: string, stateDir?: string): SensorProcess {
	const scope = ["--scope-pid", String(process.pid), "--no-default-rules"];
	const state = stateDir === undefined ? [] : ["--state-dir", stateDir];
	const args = [...scope, "--rules", join(folder, "rules.yaml"), "--events", "none", ...state];
	const sensor = new SensorProcess({ config, args });
	cleanUp.push(() => sensor.dispose());
	return sensor;
}

async function statusFrom(sensor: SensorProcess): Promise<wire.Status> {
	return JSON.parse((await picket("status", "--json", "--socket", sensor.socket)).out) as wire.Status;
}

describe("a sensor with a console", () => {
	it("is lost without a word only to itself: the console hears of it, and the next start tells the rest", async () => {
		const authority = makeAuthority("test authority");
		cleanUp.push(authority.remove);
		const server = authority.issue("console", "DNS:localhost,IP:127.0.0.1");
		const client = authority.issue("web-1", "DNS:web-1");
		const files = { ca: authority.cert, cert: client.cert, key: client.key };
		for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `${name}.pem`), text);
		const got: wire.OutputRecord[] = [];
		const farewells: (string | undefined)[] = [];
		const logger = pino({ level: "silent" });
		const open = async (listen: string) => {
			const running = await startConsole({
				listen,
				tls: { cert: server.cert, key: server.key, clientCa: authority.cert },
				logger,
				onRecord: (record) => got.push(record),
				onSensor: (info, connected) => {
					if (!connected) farewells.push(info.farewell?.reason);
				},
			});
			cleanUp.push(() => running.close());
			return running;
		};
		const console = await open("127.0.0.1:0");
		const tls = ["ca", "cert", "key"].map((name) => `${name}: ${folder}/${name}.pem`).join(", ");
		const config = `consoles: [{name: hq, addresses: ["${console.address}"], ${tls}, records: [alert, gap]}]\n`;
		const sensor = start(config, join(folder, "state"));
		await sensor.ready();
		act("first");
		await sensor.until("the alert at the console", () => got.some(isAlert("first")));

		const status = await statusFrom(sensor);
		const uplink = status.uplink ?? {};
		expect(status.sinks).toContainEqual(expect.objectContaining({ name: "console:hq", connected: true }));
		expect(uplink).toMatchObject({ problem: "", restarts: 0 });
		expect(uplink.confinement).toHaveLength(6);
		expect(statusOf(uplink.pid ?? 0, "Uid")).not.toMatch(/\b0\b/);
		expect(Number(uplink.residentBytes)).toBeGreaterThan(10_000_000);
		process.stdout.write(
			`resident: sensor ${statusOf(sensor.child.pid ?? 0, "VmRSS")}, uplink ${statusOf(uplink.pid ?? 0, "VmRSS")}\n`,
		);
		// Nothing of the sensor's is open there: no map, no program, no lock, no socket of ours.
		const kept = readdirSync(`/proc/${uplink.pid}/fd`).length;
		expect(kept).toBeLessThan(40);

		await console.close();
		act("second");
		await sensor.record("the second alert", isAlert("second"));
		const spoolFiles = () =>
			readdirSync(join(folder, "state"))
				.filter((name) => name.startsWith("spool.db"))
				.map((name) => readFileSync(join(folder, "state", name), "latin1"));
		await sensor.until("its place on the disk", () =>
			spoolFiles().some((text) => text.includes(`${folder}/second`)),
		);
		sensor.child.kill("SIGKILL");
		await sensor.ended;
		const again = await open(console.address);
		const next = start(config, join(folder, "state"));
		await next.ready();
		await next.until("the second alert at the console", () => got.some(isAlert("second")));
		expect(got.filter(isAlert("first"))).toHaveLength(1);
		expect(got.filter(isAlert("second"))).toHaveLength(1);

		next.child.kill("SIGKILL");
		await next.ended;
		const end = Date.now() + 20_000;
		while (!farewells.includes("REASON_LOST") && Date.now() < end)
			await new Promise((resolve) => setTimeout(resolve, 20));
		expect(farewells.at(-1)).toBe("REASON_LOST");
		await again.close();
	});
});
