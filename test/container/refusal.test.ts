// Refusals from end to end: a real sensor with a policy in enforce mode, a real engine, and orders by hand through the
// CLI. What is refused in one container goes on everywhere else, and ends with the sensor.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { picket, SensorProcess } from "../sensor/process.ts";
import { type Engine, startEngine } from "./engine.ts";

let engine: Engine;
let sensor: SensorProcess;
let listener: ChildProcess;
/** What reached the machine beside the engine's, as "address text". */
let heard = "";
const own = randomBytes(3).toString("hex");
const beside = `pk${own}`;
const forbidden = "203.0.113.7";
const allowed = "203.0.113.8";
const port = 4444;
/** In the policy's scope, and beside it. */
const guarded = `guarded-${own}`;
const free = `free-${own}`;

const policy = `
scopes:
  - name: shop
    scope: {name: "${guarded}"}
    severity: high
    processes: {deny: [nc]}
    peers: {deny: ["${forbidden}"]}
`;

function ip(...args: string[]): void {
	execFileSync("ip", args);
}

beforeAll(async () => {
	engine = await startEngine({ bridge: true });
	ip("netns", "add", beside);
	ip("-n", beside, "link", "add", "wire0", "type", "veth", "peer", "name", "beside0");
	ip("-n", beside, "link", "set", "beside0", "netns", engine.namespace);
	for (const address of [forbidden, allowed])
		ip("-n", beside, "addr", "add", `${address}/24`, "dev", "wire0");
	ip("-n", beside, "link", "set", "wire0", "up");
	ip("-n", engine.namespace, "addr", "add", "203.0.113.1/24", "dev", "beside0");
	ip("-n", engine.namespace, "link", "set", "beside0", "up");
	const script = `require("node:net").createServer((s)=>s.on("error",()=>{})
.on("data",(text)=>console.log(s.localAddress,String(text).trim()))).listen(${port},"0.0.0.0",()=>console.log("ready"))`;
	listener = spawn("ip", ["netns", "exec", beside, process.execPath, "-e", script], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	listener.stdout?.setEncoding("utf8").on("data", (text: string) => {
		heard += text;
	});
	await new Promise((resolve) => listener.stdout?.once("data", resolve));
	for (const name of [guarded, free]) {
		await engine.run("-d", "--name", name, engine.image, "sleep", "600");
		// A file of its own, as in an image that has the program; in the engine's image it is a link to BusyBox.
		await engine.docker("exec", name, "ln", "-f", "/bin/busybox", "/bin/nc");
	}
	sensor = new SensorProcess({
		prefix: ["nsenter", `--net=/run/netns/${engine.namespace}`],
		config: `mode: enforce\ndocker: {socket: ${engine.socketPath}}\n`,
		policy,
	});
	await sensor.ready();
});
afterAll(async () => {
	await sensor?.dispose();
	listener?.kill("SIGKILL");
	await engine?.stop();
	try {
		ip("netns", "del", beside);
	} catch {
		// was never made
	}
});

/** Says a word to a peer with this program; how that ended. */
async function say(container: string, program: string, address: string, word: string): Promise<string> {
	const command = `echo ${word} | ${program} -w 2 ${address} ${port} 2>&1; echo "status $?"`;
	return engine.docker("exec", container, "sh", "-c", command);
}
const arrived = (address: string, word: string) => heard.includes(`${address} ${word}\n`);

const alertsOf = (rule: string) =>
	sensor.records.flatMap(({ alert }) => (alert?.rule === rule ? [alert] : []));
const actionsOf = (kind: wire.Action["kind"]) =>
	sensor.records.flatMap(({ action }) => (action?.kind === kind ? [action] : []));

async function byHand(...args: string[]): Promise<string> {
	const { status, out, err } = await picket(...args, "--socket", sensor.socket);
	expect(status, out + err).toBe(0);
	return out;
}

describe("a policy in enforce mode", () => {
	it("ends a program that is denied before it acts, lets others run, and tells it once", async () => {
		const direct = engine.docker("exec", guarded, "nc", "-w", "2", allowed, String(port));
		await expect(direct).rejects.toThrow();
		expect(await say(guarded, "/bin/nc", allowed, "denied")).toMatch(/status (137|126)/);
		expect(await say(guarded, "busybox nc", allowed, "other")).toContain("status 0");
		expect(await say(free, "/bin/nc", allowed, "elsewhere")).toContain("status 0");
		await expect.poll(() => arrived(allowed, "other") && arrived(allowed, "elsewhere")).toBe(true);
		expect(arrived(allowed, "denied")).toBe(false);

		const rule = "policy/shop/processes.deny";
		await sensor.until("the refusal", () => actionsOf("KIND_REFUSE_EXEC").length > 0);
		const alerts = alertsOf(rule);
		// By the agent or by the kernel, not by both.
		const pids = alerts.map(({ event }) => event?.process?.pid);
		expect(new Set(pids).size, alerts.map(({ summary }) => summary).join("\n")).toBe(pids.length);
		const [alert] = alerts;
		expect(alert).toMatchObject({ severity: "SEVERITY_HIGH", event: { container: { name: guarded } } });
		const [action] = actionsOf("KIND_REFUSE_EXEC");
		expect(action).toMatchObject({
			outcome: "OUTCOME_VERIFIED",
			requester: "policy",
			reason: rule,
			alertId: alert?.id,
		});
		expect(action?.target).toBe(`${alert?.event?.container?.id} /bin/nc`);
		expect(action?.targetName).toContain(`in container ${guarded}`);
		expect(action?.steps?.join()).toContain("refused in the kernel before its first instruction");
	});

	it("refuses a peer that is denied, lets others be reached, and tells it", async () => {
		const refused = await say(guarded, "busybox nc", forbidden, "forbidden");
		expect(refused).toContain("Operation not permitted");
		expect(await say(guarded, "busybox nc", allowed, "permitted")).toContain("status 0");
		expect(await say(free, "busybox nc", forbidden, "unguarded")).toContain("status 0");
		await expect.poll(() => arrived(allowed, "permitted") && arrived(forbidden, "unguarded")).toBe(true);
		expect(arrived(forbidden, "forbidden")).toBe(false);

		await sensor.until("the refusal", () => actionsOf("KIND_REFUSE_EGRESS").length > 0);
		const alerts = alertsOf("policy/shop/peers.deny");
		expect(alerts.map(({ summary }) => summary)).toHaveLength(1);
		const [action] = actionsOf("KIND_REFUSE_EGRESS");
		expect(action).toMatchObject({ outcome: "OUTCOME_VERIFIED", alertId: alerts[0]?.id });
		expect(action?.target).toBe(`${alerts[0]?.event?.container?.id} ${forbidden}:${port}`);
		expect(action?.targetName).toContain(`in container ${guarded}`);
		expect(action?.steps?.join()).toContain("refused in the kernel at its socket");
	});

	it("holds in a container that is made later from its first moment", async () => {
		await engine.docker("rm", "-f", guarded);
		await engine.run("-d", "--name", guarded, engine.image, "sleep", "600");
		await engine.docker("exec", guarded, "ln", "-f", "/bin/busybox", "/bin/nc");
		await expect(engine.docker("exec", guarded, "nc", "-w", "2", allowed, String(port))).rejects.toThrow();
	});
});

describe("by hand", () => {
	it("an established flow of a container is cut, and sends again once that is undone", async () => {
		const beat = "while :; do echo beat; sleep 0.05; done";
		await engine.docker("exec", "-d", free, "sh", "-c", `${beat} | busybox nc ${allowed} ${port}`);
		const beats = () => heard.split("beat").length;
		await expect.poll(beats, { timeout: 10_000 }).toBeGreaterThan(5);
		await byHand("refuse-egress", free, "--ttl", "1m");
		// What was under way has arrived.
		await new Promise((resolve) => setTimeout(resolve, 300));
		const then = beats();
		await new Promise((resolve) => setTimeout(resolve, 1000));
		expect(beats()).toBe(then);
		expect(await byHand("actions")).toMatch(new RegExp(`refuseEgress +container ${free} .* until `));
		expect(await say(guarded, "busybox nc", allowed, "untouched")).toContain("status 0");

		await byHand("undo", free);
		await expect.poll(beats, { timeout: 20_000 }).toBeGreaterThan(then);
		expect(await byHand("actions")).toContain("nothing is in force");
	});

	it("a process ends with all it has started, and nothing else", async () => {
		const script = "sleep 7771 & (sleep 7772 &) ; setsid sleep 7773 & wait";
		await engine.docker("exec", "-d", free, "sh", "-c", script);
		const lines = async () =>
			(await engine.docker("top", free, "-eo", "pid,args")).split("\n").map((line) => line.trim());
		const tree = async () => (await lines()).filter((line) => line.includes("sleep 777"));
		await expect.poll(async () => (await tree()).length, { timeout: 10_000 }).toBe(4);
		const top = (await tree()).find((line) => line.includes("sh -c")) ?? "";
		await byHand("kill", top.split(" ")[0] ?? "", "--tree");
		expect(await tree()).toEqual([]);
		expect((await lines()).some((line) => line.endsWith("sleep 600"))).toBe(true);
	});

	it("a container that is paused runs again when its time is over", async () => {
		const paused = async () => engine.docker("inspect", "-f", "{{.State.Paused}}", free);
		await byHand("pause", free, "--ttl", "2");
		expect(await paused()).toBe("true");
		expect(await byHand("actions")).toMatch(new RegExp(`pause +${free} until `));
		const { action } = await sensor.record(
			"the end of it",
			(record) => record.action?.kind === "KIND_RESUME",
		);
		expect(action).toMatchObject({ outcome: "OUTCOME_VERIFIED", requester: "expiry" });
		expect(await paused()).toBe("false");
	});
});

describe("a sensor that is ended", () => {
	it("refuses nothing any more", async () => {
		expect(await sensor.interrupt()).toBe(0);
		expect(sensor.messages).toContain("nothing left attached or blocked");
		expect(await say(guarded, "/bin/nc", forbidden, "afterwards")).toContain("status 0");
		await expect.poll(() => arrived(forbidden, "afterwards")).toBe(true);
	});
});
