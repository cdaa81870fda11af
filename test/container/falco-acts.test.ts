// Falco's stable rules about containers, each by the real act in a container of a real engine: what a rule is written
// for fires it, what is close to it does not. With rules of our own always, with Falco's file where it is at hand.
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, it } from "vitest";
import { buildTrigger } from "../kernel/harness.ts";
import { inContainer, publicRules, RuleActs } from "../sensor/rule-acts.ts";
import { type Engine, startEngine } from "./engine.ts";

const trigger = buildTrigger("rule");
const acts = new RuleActs(new URL("../sensor/acts.yaml", import.meta.url).pathname);
let engine: Engine;

beforeAll(async () => {
	engine = await startEngine();
	await acts.start({
		prefix: ["nsenter", `--net=/run/netns/${engine.namespace}`],
		config: `docker: {socket: ${engine.socketPath}}\n`,
	});
	await acts.sensor.until("the engine", () => !acts.sensor.messages.includes("DOCKER_DOWN"));
});
afterAll(async () => {
	await acts.stop();
	await engine?.stop();
});

interface Contained {
	/** Of `docker run`. */
	readonly options?: readonly string[];
	readonly command: readonly string[];
}
/** In a container of its own, to its end. */
async function run({ options = [], command }: Contained): Promise<ReturnType<typeof inContainer>> {
	const id = await engine.run("-d", "-v", `${trigger}:/rule`, ...options, engine.image, ...command);
	await engine.docker("wait", id);
	return inContainer(id);
}
const rule = (act: string): Contained => ({ command: ["/rule", act] });
const sh = (script: string, ...options: string[]): Contained => ({ options, command: ["sh", "-c", script] });
// What the engine says of a container is known a moment after its start.
const debug = "ln -s /bin/busybox /tmp/debugfs; sleep 1; /tmp/debugfs; :";

/** A privileged container gets every capability: where this host lacks one, none can be started. */
function hasEveryCapability(): boolean {
	const [, digits = "0"] = /^CapBnd:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
	const last = BigInt(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8").trim());
	return BigInt(`0x${digits}`) === (1n << (last + 1n)) - 1n;
}

interface Act {
	/** Why it cannot be done on this host; test/unit/detect/falco-acts.test.ts has the event. */
	readonly impossible?: string | undefined;
	/** Of Falco's stable file, and of ours. */
	readonly rule: string;
	readonly own: string;
	readonly act: Contained;
	readonly near: Contained;
}
const table: readonly Act[] = [
	{
		rule: "Terminal shell in container",
		own: "terminal in a container",
		act: sh("true; true", "-t"),
		near: sh("true; true"),
	},
	{
		rule: "Netcat Remote Code Execution in Container",
		own: "netcat with a program",
		act: { command: ["nc", "-w", "1", "127.0.0.1", "9", "-e", "/bin/true"] },
		near: { command: ["nc", "-w", "1", "127.0.0.1", "9"] },
	},
	{
		rule: "Packet socket created in container",
		own: "packet socket",
		act: rule("packet"),
		near: rule("raw"),
	},
	{
		rule: "Redirect STDOUT/STDIN to Network Connection in Container",
		own: "network as standard input",
		act: rule("connected"),
		near: rule("pair"),
	},
	{
		// The file is no module, so nothing is loaded.
		rule: "Linux Kernel Module Injection Detected",
		own: "module from a container",
		impossible: existsSync("/proc/modules") ? undefined : "this kernel has no modules",
		act: sh("insmod /etc/passwd; :", "--cap-add=SYS_MODULE"),
		near: sh("insmod /etc/passwd; :"),
	},
	{
		rule: "Debugfs Launched in Privileged Container",
		own: "debugger of file systems",
		impossible: hasEveryCapability() ? undefined : "no container can be privileged here",
		act: sh(debug, "--privileged"),
		near: sh(debug),
	},
	{
		rule: "Detect release_agent File Container Escapes",
		own: "release agent",
		act: sh("echo x > /tmp/release_agent", "--cap-add=SYS_ADMIN"),
		near: sh("echo x > /tmp/release_agent"),
	},
	{
		rule: "Drop and execute new binary in container",
		own: "dropped and run",
		act: sh("cp /bin/busybox /tmp/true; /tmp/true; :"),
		near: sh("/bin/true; :"),
	},
];

describe("an act in a container of Falco's rule", () => {
	it.for(table)("$rule fires it and ours, and what is close to it neither", async (each, { skip }) => {
		const { rule, own, act, near, impossible } = each;
		if (impossible !== undefined) skip(impossible);
		const rules = publicRules === undefined ? [own] : [own, rule];
		await acts.expectAlone(rules, { near: () => run(near), act: () => run(act) });
	});
});
