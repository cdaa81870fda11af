// Correlations of real acts: ports of this host probed, and a file fetched, made executable and run. Each beside what
// nearly is one. Sessions of their own, since that is what the correlations group by; the ports are those of a network
// namespace in which nobody listens.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SensorProcess } from "./process.ts";

let folder: string;
let sensor: SensorProcess;

beforeAll(async () => {
	folder = mkdtempSync(join(tmpdir(), "picket-correlation-"));
	sensor = new SensorProcess({ args: ["--scope-pid", String(process.pid)] });
	await sensor.ready();
});
afterAll(async () => {
	await sensor.dispose();
	rmSync(folder, { recursive: true, force: true });
});

/** Runs the script in a session of its own, to its end. */
function session(script: string, prefix: readonly string[] = []): void {
	const [file = "", ...args] = ["setsid", "--wait", ...prefix, "bash", "-c", script];
	const { status, stderr } = spawnSync(file, args, { encoding: "utf8" });
	expect(status, stderr).toBe(0);
}
function probe(ports: number): void {
	const script = `ip link set lo up
		for port in $(seq 20001 ${20000 + ports}); do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; done; true`;
	session(script, ["unshare", "--net"]);
}
const alertsOf = (rule: string) => sensor.records.filter(({ alert }) => alert?.rule === rule);
/** Later than all that came before it. */
async function marked(): Promise<void> {
	const word = join(folder, "marker");
	session(`/bin/true ${word}`);
	await sensor.record("the marker", ({ event }) => event?.process?.args?.[1] === word);
}

describe("connections that are refused", () => {
	it("are told of once thirty ports were tried by one session, and not of twenty-nine", async () => {
		probe(29);
		await marked();
		expect(alertsOf("Ports of this host probed")).toEqual([]);
		probe(30);
		const { alert } = await sensor.record(
			"the alert",
			(each) => each.alert?.rule === "Ports of this host probed",
		);
		await marked();
		expect(alertsOf("Ports of this host probed")).toHaveLength(1);
		expect(alert).toMatchObject({
			origin: "ORIGIN_PICKET",
			author: "Picket",
			techniques: ["T1046", "T1049"],
			event: { connect: { destinationAddress: "127.0.0.1", destinationPort: 20030 } },
			correlation: {
				type: "value_count",
				value: 30,
				matches: 30,
				group: { "container.id": "host" },
				rules: ["Connection to this host refused"],
			},
		});
		const ids = alert?.correlation?.eventIds ?? [];
		expect(ids).toHaveLength(30);
		expect(ids.at(-1)).toBe(alert?.event?.id);
		// They are those of the events that went out.
		const ports = sensor.records.flatMap(({ event }) =>
			event?.id !== undefined && ids.includes(event.id) ? [event.connect?.destinationPort] : [],
		);
		expect(ports).toEqual(Array.from({ length: 30 }, (_, index) => 20001 + index));
		expect(alert?.summary).toMatch(/^Ports of this host probed: 30 different fd\.sport within 60s \(/);
	});
});

describe("a program that is fetched, made executable and run", () => {
	it("is told of as one story, in that order and in one session alone", async () => {
		// What counts of a download is the command.
		const curl = join(folder, "curl");
		copyFileSync("/bin/true", curl);
		chmodSync(curl, 0o755);
		const rule = "Downloaded, made executable and run";
		const dropped = (name: string) =>
			`cp /bin/true ${folder}/${name}; chmod +x ${folder}/${name}; ${folder}/${name}`;
		session(`${dropped("early")}; ${curl} -o x http://127.0.0.1/`);
		session(`${curl} -o x http://127.0.0.1/`);
		session(dropped("other"));
		await marked();
		expect(alertsOf(rule)).toEqual([]);
		session(`${curl} -o x http://127.0.0.1/; ${dropped("late")}`);
		const { alert } = await sensor.record("the alert", (each) => each.alert?.rule === rule);
		expect(alert).toMatchObject({
			severity: "SEVERITY_HIGH",
			event: { process: { executable: join(folder, "late") } },
			correlation: {
				type: "temporal_ordered",
				value: 2,
				rules: ["Something downloaded by a command", "File made executable and run"],
			},
		});
		await marked();
		expect(alertsOf(rule)).toHaveLength(1);
		// Its parts are silent by themselves.
		const names = new Set(sensor.records.flatMap(({ alert }) => alert?.rule ?? []));
		expect(names).not.toContain("File made executable and run");
		expect(names).not.toContain("Something downloaded by a command");
	});
});
