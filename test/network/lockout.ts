// Orders at random, among them attempts to cut the host off from its owner, in real namespaces: an admin with open
// connections to port 22, a router, name, time and metadata servers, a Docker bridge. Used by two suites.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { pino } from "pino";
import { expect } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import type { Order } from "../../agent/model/verdict.ts";
import { createRunner } from "../../agent/respond/command.ts";
import { createResponder, type HostResponder } from "../../agent/respond/responder.ts";
import { fakeRefuser, fakeRuntime, web } from "../unit/respond/host.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

const admin = addresses.near;
const router = addresses.other;
/** Nobody may ever be in a set who is one of these. */
const protectedAddresses = [
	admin.v4,
	admin.v6,
	router.v4,
	router.v6,
	addresses.host.v4,
	addresses.host.v6,
	"127.0.0.1",
	"::1",
	"10.77.3.53", // name server
	"198.51.100.53", // name server behind the stub
	"198.51.100.123", // time server
	"198.51.100.70", // console
	"172.17.0.1",
	"172.17.0.5", // a container
	"169.254.169.254",
	"fd00:ec2::254",
	"168.63.129.16",
	"224.0.0.1",
	"255.255.255.255",
	"ff02::1",
];
const ownPids = [1, process.pid, process.ppid];

/** Answers on port 22 as fast as it can. */
const server = `
require("node:net").createServer((s) => { s.setNoDelay(true); s.on("error", () => {}); s.pipe(s); })
	.listen(22, "::", () => console.log("ready"));`;
/** Sends a byte as soon as the last one is back; says how many came back when asked, "closed" when it is cut. */
const probe = `
const s = require("node:net").connect(22, process.argv[1]);
let count = 0;
const end = () => { console.log("closed"); process.exit(); };
s.setNoDelay(true).on("error", end).on("close", end).on("connect", () => { s.write("x"); console.log("ready"); });
s.on("data", () => { count++; setTimeout(() => s.write("x"), 5); });
process.stdin.on("data", () => console.log(count));`;

export interface LockoutTrial {
	readonly orders: number;
	/** Of these orders. */
	readonly lockouts: number;
	readonly seed: number;
}

export async function tryLockouts({ orders, lockouts, seed }: LockoutTrial): Promise<void> {
	const network = await createNetwork();
	const root = mkdtempSync(join(tmpdir(), "picket-lockout-"));
	const children: ChildProcess[] = [];
	let responder: HostResponder | undefined;
	try {
		const ip = (...args: string[]) => network.run("host", "ip", ...args);
		ip("route", "add", "default", "via", router.v4);
		ip("-6", "route", "add", "default", "via", router.v6);
		ip("link", "add", "docker0", "type", "bridge");
		ip("addr", "add", "172.17.0.1/16", "dev", "docker0");
		ip("link", "set", "docker0", "up");
		const sshd = start(children, network.inside("host"), server);
		await sshd.says("ready");
		const probes = [addresses.host.v4, addresses.host.v6].map((address) =>
			start(children, network.inside("near"), probe, address),
		);
		for (const one of probes) await one.says("ready");

		makeHost(root, sshd.pid);
		const own = { ...web, self: true };
		const labelled = { ...web, id: "cd".repeat(32), name: "db", labels: { "picket.protected": "true" } };
		const engine = fakeRuntime(own, labelled);
		const kernel = fakeRefuser();
		const signals: number[] = [];
		responder = createResponder({
			mode: () => "enforce",
			stateDir: join(root, "state"),
			logger: pino({ level: "silent" }),
			clock: Date.now,
			runtimes: () => [engine.runtime],
			refusals: { refuser: kernel.refuser, cgroupsOf: () => [77] },
			processes: {
				open: (pid) => pid,
				signal: (pid) => void signals.push(pid),
				close() {},
				exited: () => false,
			},
			protectedExtra: () => ({ addresses: ["198.51.100.70:7000"], containers: [], processes: [] }),
			settings: { actionsPerMinute: 1_000_000, maxActiveBlocks: 100_000 },
			run: createRunner(["nsenter", `--net=/run/netns/${network.name("host")}`]),
			root,
			resolve: async () => [],
		});

		const random = createRandom(seed);
		const plan = shuffled(random, [
			...Array.from({ length: lockouts }, () => ({ order: lockout(random), hostile: true })),
			...Array.from({ length: orders - lockouts }, () => ({ order: ordinary(random), hostile: false })),
		]);
		const acted: wire.Action[] = [];
		for (let at = 0; at < plan.length; at += 5) {
			const batch = plan.slice(at, at + 5);
			const actions = await Promise.all(
				batch.map(({ order }) => (responder as HostResponder).order(order, byHand)),
			);
			for (const [index, action] of actions.entries()) {
				const told = `seed ${seed}, order ${at + index}: ${JSON.stringify(batch[index]?.order)}\n${action.steps?.join("\n")}`;
				if (batch[index]?.hostile === true) {
					expect(action.outcome, told).toBe("OUTCOME_REFUSED");
					expect(told).toMatch(/PICKET_(TARGET_PROTECTED|ORDER_INVALID)/);
				} else expect(["OUTCOME_VERIFIED", "OUTCOME_UNCHANGED"], told).toContain(action.outcome);
				if (action.kind === "KIND_BLOCK" && action.outcome === "OUTCOME_VERIFIED") acted.push(action);
			}
		}

		expect(signals, `seed ${seed}`).toEqual([]);
		expect(engine.calls, `seed ${seed}`).toEqual([]);
		expect(kernel.rules.size, `seed ${seed}`).toBe(0);
		expect(acted.length).toBeGreaterThan((orders - lockouts) / 2);
		expect(held(network, protectedAddresses), `seed ${seed}`).toEqual([]);
		expect(dropped(network), `seed ${seed}`).toBe(0);
		for (const one of probes) {
			const before = await one.count();
			await expect.poll(one.count, { timeout: 10_000, message: `seed ${seed}` }).toBeGreaterThan(before);
			expect(before, `seed ${seed}`).toBeGreaterThan(orders);
		}

		// The same looks do see a block where there is one.
		const { v4 } = addresses.inner;
		await responder.order({ kind: "block", address: v4, ttlSeconds: 60 }, byHand);
		expect(held(network, [v4])).toEqual([v4]);
		expect(await network.connects("inner", addresses.host.v4)).toBe(false);
		expect(dropped(network)).toBeGreaterThan(0);
	} finally {
		await responder?.close();
		await Promise.all(children.map(ended));
		await network.destroy();
		rmSync(root, { recursive: true, force: true });
	}
}

const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };

/** A root whose /proc/net is that of the namespace, and in which this process and its parents are known. */
function makeHost(root: string, pid: number): void {
	const files: Record<string, string> = {
		"proc/sys/kernel/random/boot_id": "boot-1\n",
		"etc/resolv.conf": "nameserver 127.0.0.53\nnameserver 10.77.3.53\n",
		"run/systemd/resolve/resolv.conf": "nameserver 198.51.100.53\n",
		"etc/chrony/chrony.conf": "server 198.51.100.123 iburst\n",
	};
	for (const one of ownPids) files[`proc/${one}/stat`] = readFileSync(`/proc/${one}/stat`, "latin1");
	for (const [path, text] of Object.entries(files)) {
		mkdirSync(dirname(join(root, path)), { recursive: true });
		writeFileSync(join(root, path), text);
	}
	symlinkSync(`/proc/${pid}/net`, join(root, "proc/net"));
}

type Random = (below: number) => number;

function createRandom(seed: number): Random {
	let state = seed >>> 0;
	return (below) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * below);
	};
}

function pick<T>(random: Random, from: readonly [T, ...T[]] | readonly T[]): T {
	return from[random(from.length)] as T;
}

function shuffled<T>(random: Random, items: T[]): T[] {
	for (let at = items.length - 1; at > 0; at--) {
		const other = random(at + 1);
		[items[at], items[other]] = [items[other] as T, items[at] as T];
	}
	return items;
}

/** Peers that are nobody's: their blocks succeed. */
function ordinary(random: Random): Order {
	const v4 = `44.${random(256)}.${random(256)}`;
	const prefix = 26 + random(6);
	const aligned = (random(256) >> (32 - prefix)) << (32 - prefix);
	const address = pick(random, [
		`${v4}.${random(256)}`,
		`203.0.113.${random(256)}`,
		`${v4}.${aligned}/${prefix}`,
		`::ffff:${v4}.${random(256)}`,
		`10.77.3.${100 + random(100)}`,
		`2001:db8:${random(65_536).toString(16)}::${random(65_536).toString(16)}`,
		`2001:db8:${random(65_536).toString(16)}::/48`,
		`64:ff9b::${v4}.${random(256)}`,
	]);
	if (random(8) === 0) return { kind: "unblock", address };
	const direction = pick(random, ["in", "out", "both"] as const);
	return { kind: "block", address, ttlSeconds: 60 + random(600), direction };
}

/** Whatever takes the owner's way in, or something the host lives by. */
function lockout(random: Random): Order {
	if (random(10) === 0) {
		const pid = pick(random, ownPids);
		const ticks = Number(
			readFileSync(`/proc/${pid}/stat`, "latin1")
				.replace(/^.*\) /, "")
				.split(" ")[19],
		);
		return { kind: "kill", pid, start: ticks * 10_000_000 };
	}
	if (random(10) === 0) {
		const container = pick(random, [web.id, web.name, "db"]);
		return pick<Order>(random, [
			{ kind: "pause", container },
			{ kind: "stop", container },
			{ kind: "refuseEgress", container, ttlSeconds: 60 },
			{ kind: "refuseExec", program: "any", container, ttlSeconds: 60 },
		]);
	}
	if (random(20) === 0) {
		const program = pick(random, ["/bin/sh", "/usr/sbin/sshd", "/usr/bin/runc", process.execPath]);
		return { kind: "refuseExec", program, container: "", ttlSeconds: 60 };
	}
	const target = pick(random, protectedAddresses);
	const address = target.includes(":") ? form6(random, target) : form4(random, target);
	if (random(8) === 0) return { kind: "cut", address };
	return { kind: "block", address, ttlSeconds: random(600), direction: pick(random, ["in", "out", "both"]) };
}

function form4(random: Random, target: string): string {
	const parts = target.split(".").map(Number);
	const [a = 0, b = 0, c = 0, d = 0] = parts;
	const word = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
	const prefix = random(32);
	const network = prefix === 0 ? 0 : ((word >>> (32 - prefix)) << (32 - prefix)) >>> 0;
	const text = (value: number) =>
		[value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".");
	const hex = (value: number) => value.toString(16);
	return pick(random, [
		target,
		`${target}/32`,
		`${text(network)}/${prefix}`,
		prefix < 16 ? `${a}.${b}.0.0/16` : `${text(network)}/${prefix}`,
		`${target}/${8 + random(16)}`,
		pick(random, ["0.0.0.0/1", "128.0.0.0/1", "0.0.0.0/0"]),
		parts.map((part) => `0${part.toString(8)}`).join("."),
		parts.map((part) => `0x${hex(part)}`).join("."),
		String(word),
		`${a}.${word & 0xffffff}`,
		`::ffff:${target}`,
		`::ffff:${hex(word >>> 16)}:${hex(word & 0xffff)}`,
		`::ffff:${text(network)}/${96 + prefix}`,
		`64:ff9b::${target}`,
		`64:ff9b::${text(network)}/${96 + prefix}`,
		`2002:${hex(word >>> 16)}:${hex(word & 0xffff)}::/48`,
		`2002:${hex(word >>> 16)}:${hex(word & 0xffff)}::${hex(1 + random(9))}`,
		`::${target}`,
		`${target}%eth0`,
		` ${target}`,
		`${target}\n`,
		`${target}\0`,
		target.replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
	]);
}

function form6(random: Random, target: string): string {
	return pick(random, [
		target,
		target.toUpperCase(),
		`${target}/128`,
		`${target}/64`,
		`${target}%v1`,
		` ${target}`,
		pick(random, ["::/0", "::/1", "8000::/1", "fc00::/7", "fd77::/16", "ff00::/8", "::/64"]),
		pick(random, [
			"fd77:1::/64",
			"fd77:1::/48",
			"fd77:1::/32",
			"fd77:2::/63",
			"fd77:2::/33",
			"fd00:ec2::/48",
		]),
		pick(random, ["::ffff:0:0/96", "64:ff9b::/96", "2002::/16", "64:ff9b:1::/48"]),
	]);
}

/** Which of the addresses are in a set of the host's namespace. */
function held(network: Network, wanted: readonly string[]): string[] {
	const sets = network.run("host", "ipset", "list", "-n").trim().split("\n");
	expect(sets.length).toBeGreaterThan(1);
	return wanted.filter((address) =>
		sets.some((set) => {
			try {
				network.run("host", "ipset", "test", set, address);
				return true;
			} catch {
				return false;
			}
		}),
	);
}

/** Packets that rules of ours dropped. */
function dropped(network: Network): number {
	const rules = ["iptables-save", "ip6tables-save"].flatMap((tool) =>
		network.run("host", tool, "-c").split("\n"),
	);
	const drops = rules.filter((rule) => rule.includes("PICKET") && rule.endsWith("-j DROP"));
	expect(drops.length).toBeGreaterThan(3);
	return drops.reduce((sum, rule) => sum + Number(/^\[(\d+):/.exec(rule)?.[1]), 0);
}

function start(children: ChildProcess[], inside: readonly string[], script: string, ...args: string[]) {
	const [program = "ip", ...rest] = inside;
	const child = spawn(program, [...rest, process.execPath, "-e", script, ...args], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	children.push(child);
	const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
	const next = async () => String((await lines.next()).value);
	return {
		pid: child.pid ?? 0,
		async says(wanted: string) {
			expect(await next()).toBe(wanted);
		},
		/** NaN when the connection was cut. */
		async count() {
			child.stdin.write("?");
			return Number(await next());
		},
	};
}

function ended(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
	return new Promise((resolve) => {
		child.once("exit", () => resolve());
		child.kill("SIGKILL");
	});
}
