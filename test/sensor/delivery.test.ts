// The whole way: an act, the sensor's alert, the spool on the disk, the uplink, TLS, a console; and what is left of it when
// the sensor is killed.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeAuthority } from "../unit/report/certificates.ts";
import { consoleFor, place, statusFrom } from "./delivery-rig.ts";
import type { SensorProcess } from "./process.ts";
import { statusOf } from "./uplink-rig.ts";

describe("a sensor with a console", () => {
	it("is lost without a word only to itself: the console hears of it, and the next start tells the rest", async () => {
		const { folder, act, isAlert, sensor: begin } = place();
		const authority = makeAuthority("test authority");
		onTestFinished(authority.remove);
		const server = authority.issue("console", "DNS:localhost,IP:127.0.0.1");
		const client = authority.issue("web-1", "DNS:web-1");
		const files = { ca: authority.cert, cert: client.cert, key: client.key };
		for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, `${name}.pem`), text);
		const tlsOf = { cert: server.cert, key: server.key, clientCa: authority.cert };
		const console = await consoleFor({ tls: tlsOf });
		const loud = await consoleFor();
		const tls = ["ca", "cert", "key"].map((name) => `${name}: ${folder}/${name}.pem`).join(", ");
		const config =
			`consoles: [{name: hq, addresses: ["${console.address}"], ${tls}, records: [alert, gap]}, ` +
			`{name: loud, addresses: ["${loud.address}"], plaintext: true, severity: critical, records: [alert]}]\n`;
		const start = (): SensorProcess => begin({ config, args: ["--state-dir", join(folder, "state")] });
		const sensor = start();
		await sensor.ready();
		act("first");
		await sensor.until("the alert at both consoles", () =>
			[console, loud].every(({ records }) => records.some(isAlert("first"))),
		);

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
		act("whispered", true);
		act("second");
		await sensor.record("the second alert", isAlert("second"));
		const spoolFiles = () =>
			readdirSync(join(folder, "state"))
				.filter((name) => name.startsWith("spool.db"))
				.map((name) => readFileSync(join(folder, "state", name), "latin1"));
		await sensor.until("its place on the disk", () =>
			spoolFiles().some((text) => text.includes(`${folder}/loud/second`)),
		);
		sensor.child.kill("SIGKILL");
		await sensor.ended;
		const again = await consoleFor({ listen: console.address, tls: tlsOf });
		const next = start();
		await next.ready();
		await next.until("the second alert at both", () =>
			[again, loud].every(({ records }) => records.some(isAlert("second"))),
		);
		// Once by key, in order, and of what is not critical nothing at the other.
		const alerts = [...console.records, ...again.records].filter(({ alert }) => alert !== undefined);
		expect(alerts.map(({ alert }) => alert?.event?.process?.args?.[1]?.split("/").at(-1))).toEqual([
			"first",
			"whispered",
			"second",
		]);
		expect(new Set(loud.records.map(({ sequence }) => sequence)).size).toBe(2);
		expect(loud.records.every(({ alert }) => alert?.rule === "Marked program")).toBe(true);

		next.child.kill("SIGKILL");
		await next.ended;
		await expect.poll(() => again.ends, { timeout: 20_000 }).toEqual(["REASON_LOST"]);
	});
});
