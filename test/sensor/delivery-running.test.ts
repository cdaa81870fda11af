// What of the delivery changes under a sensor that runs: certificates, the list of consoles, the uplink that is killed;
// and what the uplink serves meanwhile: commands, network syslog, metrics, a console in another language.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { makeAuthority, type Pair } from "../unit/report/certificates.ts";
import { makeStubs, pythonConsole } from "../unit/uplink/python-console.ts";
import { consoleFor, place, statusFrom, untilStatus } from "./delivery-rig.ts";
import { picket } from "./process.ts";
import { statusOf } from "./uplink-rig.ts";

const names = "DNS:localhost,IP:127.0.0.1";

function authorityOf(name: string): ReturnType<typeof makeAuthority> {
	const made = makeAuthority(name);
	onTestFinished(made.remove);
	return made;
}

/** A receiver of syslog over TCP, and a port of loopback that nobody has just now. */
async function receiver(): Promise<{ port: number; free: number; text: () => string }> {
	let text = "";
	const server = createServer((socket) => {
		socket.setEncoding("utf8").on("data", (more: string) => {
			text += more;
		});
		socket.on("error", () => {});
		onTestFinished(() => void socket.destroy());
	});
	const other = createServer();
	for (const each of [server, other]) await new Promise<void>((go) => each.listen(0, "127.0.0.1", go));
	onTestFinished(() => void server.close());
	const free = (other.address() as AddressInfo).port;
	await new Promise((resolve) => other.close(resolve));
	return { port: (server.address() as AddressInfo).port, free, text: () => text };
}

it("certificates and consoles change under it, its uplink is killed, and it serves on", async () => {
	const { folder, act, isAlert, sensor: begin } = place();
	const [one, two] = [authorityOf("first authority"), authorityOf("second authority")];
	const server = one.issue("console", names);
	const put = (pair: Pair): void => {
		for (const key of ["cert", "key"] as const) writeFileSync(join(folder, `${key}.pem`), pair[key]);
	};
	writeFileSync(join(folder, "ca.pem"), one.cert);
	put(one.issue("web-1", "DNS:web-1"));
	const admits = (clientCa: string) => ({ tls: { cert: server.cert, key: server.key, clientCa } });
	const hq = await consoleFor(admits(one.cert));
	const syslog = await receiver();
	const files = ["ca", "cert", "key"].map((name) => `${name}: ${folder}/${name}.pem`).join(", ");
	const entry = (address: string): string => `{name: hq, addresses: ["${address}"], ${files}}`;
	const sensor = begin({
		config: [
			"rules: {watch: false}",
			`sinks: [{syslog: "tcp:127.0.0.1:${syslog.port}", records: [alert]}]`,
			`metrics: {listen: "127.0.0.1:${syslog.free}"}`,
			`consoles: [${entry(hq.address)}]\n`,
		].join("\n"),
		policy: "console: {may: [block]}\n",
	});
	await sensor.ready();
	act("first");
	await sensor.until("the alert at the console", () => hq.records.some(isAlert("first")));
	await sensor.until("the alert as syslog", () => syslog.text().includes(`${folder}/loud/first`));

	// The file alone: seen within 5 s.
	const renewed = () => sensor.messages.split("has other settings or certificates").length - 1;
	put(one.issue("web-1", "DNS:web-1"));
	await sensor.until("the new certificate", () => renewed() === 1);
	const seen = Date.now();
	// Right after such a look: the next would come too late.
	put(two.issue("web-1", "DNS:web-1"));
	sensor.child.kill("SIGHUP");
	await sensor.until("the other new certificate", () => renewed() === 2);
	expect(Date.now() - seen).toBeLessThan(4500);
	act("under two certificates");
	await sensor.until("the next alert", () => hq.records.some(isAlert("under two certificates")));
	expect([hq.streams(), hq.ends]).toEqual([1, []]);
	await hq.close();
	// This one takes the newest alone.
	const strict = await consoleFor({ listen: hq.address, ...admits(two.cert) });
	await sensor.until("the stream of the new certificate", () => strict.sensors().length === 1);

	// Another list of consoles.
	makeStubs(folder);
	const python = await pythonConsole(folder, "127.0.0.1:0");
	const loud = await consoleFor();
	const more = [
		`{name: python, addresses: ["${python.address}"], plaintext: true}`,
		`{name: loud, addresses: ["${loud.address}"], plaintext: true, records: [alert], severity: critical}`,
		`{name: away, addresses: ["198.51.100.7:7443"], ca: ${folder}/ca.pem, records: [gap]}`,
	];
	const expires = new Date(Date.now() + 600_000).toISOString();
	const block = (id: string) => {
		const command = { id, expires, requester: "alice", block: { address: "198.51.100.7", ttlSeconds: 60 } };
		return strict.send(strict.sensors()[0]?.hostId ?? "", command);
	};
	const would = await block("b-1");
	expect(would).toMatchObject({ accepted: true, action: { outcome: "OUTCOME_WOULD_ACT" } });
	const config = join(sensor.folder, "picket.yaml");
	const written = readFileSync(config, "utf8");
	const reload = (list: readonly string[]): Promise<{ out: string; err: string; status: number | null }> => {
		const consoles = `consoles: [${[entry(hq.address), ...list].join(", ")}]\n`;
		writeFileSync(config, written.replace(/^consoles:.*\n/m, consoles));
		return picket("rules", "reload", "--socket", sensor.socket);
	};
	const refused = await reload([`{name: broken, addresses: ["127.0.0.1:1"], ca: ${folder}/none.pem}`]);
	expect(refused).toMatchObject({ status: 1, out: expect.stringContaining("consoles[1].ca") });
	expect((await statusFrom(sensor)).sinks?.map(({ name }) => name)).not.toContain("console:broken");
	expect((await reload(more)).out).toMatch(/^In force/);
	await sensor.until("the new console", () => loud.sensors().length === 1);
	act("whispered", true);
	act("shouted");
	await sensor.until("the alert at the first", () => strict.records.some(isAlert("shouted")));
	await sensor.until("the alert at the second", () => loud.records.some(isAlert("shouted")));
	const store = (): string =>
		existsSync(join(folder, "store.jsonl")) ? readFileSync(join(folder, "store.jsonl"), "utf8") : "";
	await sensor.until("it at the one in Python", () => store().includes(`${folder}/loud/shouted`));
	expect(strict.records.some(isAlert("whispered"))).toBe(true);
	expect(store()).toContain(`${folder}/low/whispered`);
	expect(loud.records.map(({ alert }) => alert?.rule)).toEqual(["Marked program"]);
	expect([strict.streams(), strict.ends]).toEqual([1, []]);
	// Whom it reports to now is not blocked any more; the same command again is not another one.
	expect((await block("b-2")).action).toMatchObject({ outcome: "OUTCOME_REFUSED" });
	const before = sensor.records.filter(({ action }) => action?.kind === "KIND_BLOCK").length;
	const again = await block("b-1");
	expect(again).toMatchObject({ accepted: true, message: would.message });
	expect(sensor.records.filter(({ action }) => action?.kind === "KIND_BLOCK")).toHaveLength(before);

	// Metrics come from the process without rights; when it is killed, the next one takes over where it was.
	const { uplink } = await untilStatus(sensor, "all connected", ({ sinks = [] }) =>
		["console:hq", "console:python", "console:loud"].every((name) =>
			sinks.some((sink) => sink.name === name && sink.connected),
		),
	);
	expect(statusOf(uplink?.pid ?? 0, "Uid")).not.toMatch(/\b0\b/);
	const ask = async (path: string): Promise<string> =>
		(await fetch(`http://127.0.0.1:${syslog.free}${path}`)).text();
	expect(await ask("/metrics")).toMatch(/^picket_\w+/m);
	expect(await ask("/healthz")).not.toBe("");
	const listener = readFileSync("/proc/net/tcp", "latin1")
		.split("\n")
		.find((line) =>
			line.includes(`:${syslog.free.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`),
		);
	expect(Number(listener?.trim().split(/\s+/)[7])).toBeGreaterThan(0);
	process.kill(uplink?.pid ?? 0, "SIGKILL");
	act("while there was none");
	await sensor.until("it at all three", () =>
		[strict, loud].every(({ records }) => records.some(isAlert("while there was none"))),
	);
	await sensor.until("it at the one in Python", () =>
		store().includes(`${folder}/loud/while there was none`),
	);
	expect((await statusFrom(sensor)).uplink).toMatchObject({ restarts: 1 });
	expect(sensor.messages).toContain("the uplink ended (SIGKILL)");
	for (const word of ["shouted", "while there was none"])
		expect([strict, loud].map(({ records }) => records.filter(isAlert(word)).length)).toEqual([1, 1]);

	// One that is taken out gets nothing more.
	await reload([]);
	await sensor.until("the end of its stream", () => loud.sensors().length === 0);
	expect((await statusFrom(sensor)).sinks?.map(({ name }) => name)).not.toContain("console:loud");
});
