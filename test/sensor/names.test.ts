// The names of peers as a user meets them: a program looks a name up and connects, in a network of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess } from "./process.ts";

const name = "web.picket.example";
const address = "127.0.0.9";

/** Serves names and connections on loopback, asks for the name and connects to the answer. */
const program = `
const { execFileSync } = require("node:child_process");
const { createSocket } = require("node:dgram");
const { connect, createServer } = require("node:net");
const { Resolver } = require("node:dns").promises;
execFileSync("ip", ["link", "set", "lo", "up"]);
const names = createSocket("udp4").on("message", (asked, { port, address }) => {
	const header = Buffer.from([asked[0], asked[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
	const question = asked.subarray(12, asked.indexOf(0, 12) + 5);
	const answer = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 9]);
	names.send(Buffer.concat([header, question, answer]), port, address);
});
names.bind(53, "127.0.0.1", () => {
	const server = createServer((client) => client.destroy()).listen(8080, "${address}", async () => {
		const resolver = new Resolver();
		resolver.setServers(["127.0.0.1"]);
		const [found] = await resolver.resolve4("${name}");
		connect(8080, found).on("close", () => { names.close(); server.close(); }).resume();
	});
});`;

let folder: string;
let rules: string;
const sensors: SensorProcess[] = [];

beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-names-"));
	rules = join(folder, "rules.yaml");
	const rule = `- rule: Named peer
  desc: A connection to a name.
  condition: evt.type = connect and fd.sip.name = "${name}"
  output: "to %fd.sip.name"
  priority: NOTICE
`;
	writeFileSync(rules, rule);
});
afterEach(async () => {
	for (const sensor of sensors.splice(0)) await sensor.dispose();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function lookUpAndConnect(): Promise<void> {
	const child = spawn("unshare", ["--net", process.execPath, "-e", program], { stdio: "inherit" });
	expect(await new Promise((resolve) => child.on("close", resolve))).toBe(0);
}

function watching(command: "run" | "record", config: string, ...args: string[]) {
	const scope = ["--scope-pid", String(process.pid), "--no-default-rules", "--rules", rules];
	const sensor = new SensorProcess({ command, config, args: [...scope, ...args] });
	sensors.push(sensor);
	return sensor;
}
const isConnect = ({ event }: wire.OutputRecord) => event?.connect?.destinationAddress === address;

describe("a connection to an address that was just looked up", () => {
	it("carries the name, in its event and for rules", async () => {
		const sensor = watching("run", "", "--events", "connect");
		await sensor.ready();
		await lookUpAndConnect();
		const { event } = await sensor.record("the connection", isConnect);
		expect(event?.connect?.destinationName).toBe(name);
		const { alert } = await sensor.record("the alert", (record) => record.alert !== undefined);
		expect(alert).toMatchObject({ rule: "Named peer", summary: `to ${name}` });
		expect(sensor.records.filter((record) => record.event?.dns)).toEqual([]);
	});

	it("carries none when names are not to be captured", async () => {
		const sensor = watching("run", "capture: {dns: false}\n", "--events", "connect");
		await sensor.ready();
		await lookUpAndConnect();
		const { event } = await sensor.record("the connection", isConnect);
		expect(event?.connect).toMatchObject({ destinationPort: 8080 });
		expect(event?.connect).not.toHaveProperty("destinationName");
	});

	it("carries it in a replay, too", async () => {
		const file = join(folder, "names.rec");
		const sensor = watching("record", "", "-o", file);
		await sensor.until("start", () => sensor.messages.includes("recording to"));
		await lookUpAndConnect();
		await sensor.record("the connection", isConnect);
		expect(await sensor.interrupt()).toBe(0);
		const again = ["replay", file, "--no-default-rules", "--rules", rules, "--output", "json"];
		const { out } = await picket(...again, "--events", "connect");
		const records = out
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as wire.OutputRecord);
		expect(records.find(isConnect)?.event?.connect?.destinationName).toBe(name);
		expect(records.filter(({ alert }) => alert).map(({ alert }) => alert?.summary)).toEqual([`to ${name}`]);
	});
});
