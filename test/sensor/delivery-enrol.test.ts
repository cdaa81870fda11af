// A host is enrolled while its sensor runs: the commands as an admin types them, renewal through the uplink, revocation.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { readEnrolled, writeEnrolled } from "../../agent/enrol/store.ts";
import { consoleWithAuthority, enrolHere } from "../unit/enrol/rig.ts";
import { place, untilStatus } from "./delivery-rig.ts";
import { cli, picket } from "./process.ts";

/** `picket console` with an authority of its own; ends with the test. */
async function consoleProcess(authority: string): Promise<{ text: () => string; child: ChildProcess }> {
	const args = ["console", "--authority", authority, "--listen", "127.0.0.1:0", "--name", "127.0.0.1"];
	const child = spawn(process.execPath, [cli, ...args], { stdio: ["pipe", "pipe", "pipe"] });
	const ended = new Promise((resolve) => child.on("close", resolve));
	onTestFinished(async () => {
		child.kill("SIGKILL");
		await ended;
	});
	let text = "";
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (more: string) => {
			text += more;
		});
	await expect.poll(() => text, { timeout: 30_000 }).toContain("console listens on");
	return { text: () => text, child };
}

it("reports seconds after it was enrolled, renews its certificate, and says when it was revoked", async () => {
	const { folder, act, sensor: begin } = place();
	const authority = join(folder, "authority");
	const sensor = begin({ policy: "console: {may: [query_counters]}\n" });
	const [console] = await Promise.all([consoleProcess(authority), sensor.ready()]);
	const state = join(sensor.folder, "state");

	const token = await picket("console", "token", "--authority", authority);
	expect(token).toMatchObject({ status: 0, err: "" });
	const enrolled = await picket("enrol", token.out.trim(), "--name", "hq", "--state-dir", state);
	expect(enrolled).toMatchObject({ status: 0, out: expect.stringContaining('enrolled with console "hq"') });
	const at = Date.now();
	const hostId = readFileSync(join(state, "host-id"), "utf8").trim();
	await sensor.until("its stream", () => new RegExp(`sensor .*${hostId}\\) connected`).test(console.text()));
	// A look every 5 s, and the start of the uplink on a machine that is busy.
	expect(Date.now() - at).toBeLessThan(30_000);
	act("after enrolment");
	await sensor.until("the alert at the console", () => console.text().includes("after enrolment"));
	// An operator's command, to a sensor that had no console when it started.
	console.child.stdin?.write(`counters ${hostId}\n`);
	await sensor.until("the answer", () => /: accepted: /.test(console.text()));
	const again = await picket("enrol", token.out.trim(), "--name", "hq", "--state-dir", state);
	expect(again).toMatchObject({ status: 2, err: expect.stringContaining("picket enrol --remove hq") });

	// One that is due for renewal when the sensor first sees it.
	const second = await consoleWithAuthority();
	const due = await enrolHere(second.token(), hostId);
	writeEnrolled(state, { ...due, name: "due", issued: due.issued - 300 * 86_400_000 });
	sensor.child.kill("SIGHUP");
	const kept = () => readEnrolled(state).consoles.find(({ name }) => name === "due")?.tls.cert;
	await sensor.until("its new certificate", () => kept() !== due.tls.cert);
	expect(second.authority.files.certificates(hostId)).toHaveLength(2);
	await sensor.until("the stream", () => second.running.sensors().length === 1);
	await sensor.until("word of it", () => sensor.messages.includes("certificate renewed"));

	const revoked = await picket("console", "revoke", hostId, "--authority", authority);
	expect(revoked).toMatchObject({ status: 0, out: expect.stringContaining("1 certificate revoked") });
	const { sinks = [] } = await untilStatus(sensor, "the refusal", (status) =>
		(status.sinks ?? []).some(({ name, problem }) => name === "console:hq" && /revoked/.test(problem ?? "")),
	);
	expect(sinks.map(({ name, connected }) => [name, connected === true])).toContainEqual([
		"console:hq",
		false,
	]);
	expect(sinks.map(({ name, connected }) => [name, connected === true])).toContainEqual([
		"console:due",
		true,
	]);
	const status = await picket("status", "--socket", sensor.socket);
	expect(status).toMatchObject({ status: 1, out: expect.stringMatching(/hq[\s\S]*revoked/) });
	act("after revocation");
	await sensor.until("the alert at the other", () => Number(second.running.sensors()[0]?.records) > 0);
	expect(console.text()).not.toContain("after revocation");
});
