// What a block reaches, seen from outside: ports of the host, published ports with Docker's kind of rules, the time to
// live with its author dead, open connections of the host and of what runs in namespaces behind it.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { describeFirewall } from "../../agent/respond/backend.ts";
import type { HostResponder } from "../../agent/respond/responder.ts";
import { byHand, responderIn, runnerIn, stateOf } from "./host.ts";
import { addresses, type Connection, createNetwork, type Network, port } from "./namespaces.ts";

const { near, host, inner, other } = addresses;
const published = 8080;
let network: Network;
let root = "";
let responder: HostResponder;
let before = "";

/** What Docker lays out for a port that inner publishes: DNAT, its own chains first in FORWARD, ACCEPT for the port. */
function publish(family: "v4" | "v6"): void {
	const tool = family === "v4" ? "iptables" : "ip6tables";
	const to = family === "v4" ? `${inner.v4}:${port}` : `[${inner.v6}]:${port}`;
	const iptables = (...args: string[]) => network.run("host", tool, ...args);
	for (const chain of ["DOCKER", "DOCKER-USER", "DOCKER-FORWARD"]) iptables("-N", chain);
	iptables("-A", "DOCKER-USER", "-j", "RETURN");
	iptables("-I", "FORWARD", "-j", "DOCKER-FORWARD");
	iptables("-I", "FORWARD", "-j", "DOCKER-USER");
	iptables("-A", "DOCKER-FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT");
	iptables("-A", "DOCKER-FORWARD", "-j", "DOCKER");
	iptables("-A", "DOCKER", "-p", "tcp", "--dport", String(port), "-j", "ACCEPT");
	iptables("-P", "FORWARD", "DROP");
	for (const source of [inner[family]]) iptables("-A", "DOCKER-FORWARD", "-s", source, "-j", "ACCEPT");
	iptables("-t", "nat", "-N", "DOCKER");
	iptables("-t", "nat", "-A", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "DOCKER");
	iptables(
		"-t",
		"nat",
		"-A",
		"DOCKER",
		"-p",
		"tcp",
		"--dport",
		String(published),
		"-j",
		"DNAT",
		"--to-destination",
		to,
	);
	iptables("-t", "nat", "-A", "POSTROUTING", "-s", inner[family], "-j", "MASQUERADE");
}

/** docker-proxy: a process of the host that takes the connection and makes another to the container. */
function proxy(listen: number): ChildProcess {
	const script = `
		const net = require("node:net");
		net.createServer((from) => {
			const to = net.connect(${port}, "${inner.v4}");
			from.on("error", () => to.destroy());
			to.on("error", () => from.destroy());
			from.pipe(to).pipe(from);
		}).listen(${listen}, "::", () => console.log("ready"));`;
	const [file = "ip", ...args] = network.inside("host");
	return spawn(file, [...args, process.execPath, "-e", script], { stdio: ["ignore", "pipe", "ignore"] });
}

async function end(child: ChildProcess): Promise<void> {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const gone = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGKILL");
	await gone;
}

let opened: Connection[] = [];

async function open(...args: Parameters<Network["open"]>): Promise<Connection> {
	const connection = await network.open(...args);
	opened.push(connection);
	return connection;
}

async function verified(given: Parameters<HostResponder["order"]>[0]): Promise<string> {
	const action = await responder.order(given, byHand);
	expect(action.outcome, action.steps?.join("\n")).toBe("OUTCOME_VERIFIED");
	return (action.steps ?? []).join("\n");
}

beforeAll(async () => {
	network = await createNetwork();
	root = mkdtempSync(join(tmpdir(), "picket-network-"));
	for (const family of ["v4", "v6"] as const) publish(family);
	before = stateOf(network);
});

beforeEach(() => {
	responder = responderIn(network, root);
});

afterEach(async () => {
	await responder.release();
	await responder.close();
	// Their ends can part only now that nothing is dropped.
	await Promise.all(opened.map((one) => one.close()));
	opened = [];
	expect(stateOf(network)).toBe(before);
});

afterAll(async () => {
	await network?.destroy();
	rmSync(root, { recursive: true, force: true });
});

describe.each(["v4", "v6"] as const)("a blocked address (%s)", (family) => {
	it("reaches no port of the host, none that is published, and is not reached from behind", async () => {
		const reached = async () => [
			await network.connects("near", host[family]),
			await network.connects("near", host[family], published),
			await network.connects("host", near[family]),
			await network.connects("inner", near[family]),
		];
		expect(await reached()).toEqual([true, true, true, true]);
		await verified({ kind: "block", address: near[family], ttlSeconds: 600 });
		expect(await reached()).toEqual([false, false, false, false]);
		expect(await network.connects("other", host[family])).toBe(true);
		expect(await network.connects("inner", other[family])).toBe(true);
		await verified({ kind: "unblock", address: near[family] });
		expect(await reached()).toEqual([true, true, true, true]);
	});

	it("loses an open connection within a second, to the host and through a published port; another address keeps its own", async () => {
		const source = family === "v4" ? "10.77.1.3" : "fd77:1::3";
		const width = family === "v4" ? "24" : "64";
		network.run(
			"near",
			"ip",
			"addr",
			"add",
			`${source}/${width}`,
			"dev",
			"eth0",
			...(family === "v6" ? ["nodad"] : []),
		);
		try {
			const at = (to: number, from: string) => open("near", host[family], to, from);
			const [direct, through, apart, apartThrough] = await Promise.all([
				at(port, near[family]),
				at(published, near[family]),
				at(port, source),
				at(published, source),
			]);
			for (const one of [direct, through, apart, apartThrough]) expect(await one.echoes(5000)).toBe(true);
			const said = await verified({ kind: "block", address: near[family], ttlSeconds: 600 });
			expect(said).toMatch(/ss -K: [1-9]\d* sockets closed\nconntrack -D: [1-9]\d* flows forgotten/);
			expect(await Promise.all([direct, through].map((one) => one.echoes(1000)))).toEqual([false, false]);
			for (const one of [apart, apartThrough]) expect(await one.echoes(5000)).toBe(true);
			// Not only silent: the host's side has gone, the other's has not.
			const sockets = network.run("host", "ss", "-Htn", "state", "established", "sport", "=", `:${port}`);
			expect(sockets).toContain(source);
			expect(sockets).not.toMatch(new RegExp(`${near[family].replaceAll(".", "\\.")}\\]?:`));
		} finally {
			network.run("near", "ip", "addr", "del", `${source}/${width}`, "dev", "eth0");
		}
	});

	it("comes back at the end of its time, two seconds more or less, with the process dead that blocked it", async () => {
		const ttl = 6;
		const script = join(root, "block.mjs");
		const here = new URL(".", import.meta.url).href;
		writeFileSync(
			script,
			`const { createFirewall } = await import("${here}../../agent/respond/firewall.ts");
			const { createRunner } = await import("${here}../../agent/respond/command.ts");
			const firewall = createFirewall({ run: createRunner(${JSON.stringify(network.inside("host"))}) });
			const block = { target: "${near[family]}", ttlSeconds: ${ttl}, direction: "both" };
			if (await firewall.block(block, [])) console.log(Date.now());
			setInterval(() => {}, 1000);`,
		);
		const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
		try {
			const since = await new Promise<number>((resolve, reject) => {
				child.stdout.once("data", (data) => resolve(Number(data)));
				child.once("exit", () => reject(new Error("it did not block")));
			});
			child.removeAllListeners("exit");
			await end(child);
			const reaches = async () => [
				await network.connects("near", host[family]),
				await network.connects("near", host[family], published),
			];
			expect(await reaches()).toEqual([false, false]);
			let back = 0;
			// Each try has begun before it succeeds: what counts is the kernel's own word.
			await expect
				.poll(
					() => {
						const set = network.run("host", "ipset", "list", family === "v4" ? "picket4-in" : "picket6-in");
						if (back === 0 && !set.includes(near[family])) back = Date.now();
						return back;
					},
					{ timeout: 20_000, interval: 100 },
				)
				.not.toBe(0);
			expect(Math.abs(back - since - ttl * 1000)).toBeLessThan(2000);
			expect(await reaches()).toEqual([true, true]);
		} finally {
			await end(child);
		}
	});
});

it("reaches a port that a proxy of the host serves neither", async () => {
	const child = proxy(9090);
	try {
		await new Promise((resolve) => child.stdout?.once("data", resolve));
		expect(await network.connects("near", host.v4, 9090)).toBe(true);
		await verified({ kind: "block", address: near.v4, ttlSeconds: 600 });
		expect(await network.connects("near", host.v4, 9090)).toBe(false);
		expect(await network.connects("other", host.v4, 9090)).toBe(true);
	} finally {
		await end(child);
	}
});

it("an address that only a container talks to is dropped behind a rewritten destination too", async () => {
	const rule = ["-t", "nat", "PREROUTING", "-d", "198.51.100.1", "-j", "DNAT", "--to-destination", near.v4];
	const iptables = (act: string) => network.run("host", "iptables", "-t", "nat", act, ...rule.slice(2));
	iptables("-A");
	try {
		expect(await network.connects("inner", "198.51.100.1")).toBe(true);
		await verified({ kind: "block", address: near.v4, ttlSeconds: 600, direction: "out" });
		expect(await network.connects("inner", "198.51.100.1")).toBe(false);
	} finally {
		iptables("-D");
	}
});

it("leaves the neighbour discovery of others alone", async () => {
	network.run("near", "ip", "-6", "neigh", "flush", "dev", "eth0");
	await verified({ kind: "block", address: "2001:db8::/32", ttlSeconds: 600 });
	await verified({ kind: "block", address: near.v6, ttlSeconds: 600 });
	network.run("host", "ip", "-6", "neigh", "flush", "dev", "v2");
	expect(await network.connects("other", host.v6)).toBe(true);
	expect(await network.connects("inner", other.v6)).toBe(true);
});

it("cuts open connections with an address without blocking it, and says when there are none", async () => {
	const none = await responder.order({ kind: "cut", address: "192.0.2.1" }, byHand);
	expect(none.outcome).toBe("OUTCOME_UNCHANGED");
	const connection = await open("near", host.v4);
	const kept = await open("other", host.v4);
	expect(await connection.echoes(5000)).toBe(true);
	await verified({ kind: "cut", address: near.v4 });
	expect(await connection.echoes(1000)).toBe(false);
	expect(await kept.echoes(5000)).toBe(true);
	expect(await network.connects("near", host.v4)).toBe(true);
});

it("cuts the connections of a container in the namespace where its sockets are", async () => {
	await responder.close();
	const [file = "ip", ...args] = network.inside("inner");
	const container = spawn(file, [...args, "sleep", "600"], { stdio: "ignore" });
	// ip has executed sleep by now, or will in a moment: its pid stays.
	try {
		responder = responderIn(network, root, {
			containerPids: () => [container.pid ?? 0],
			root: "/",
			stateDir: join(root, "state"),
		});
		const inward = await open("near", host.v4, published);
		const outward = await open("inner", near.v4);
		const kept = await open("other", host.v4, published);
		for (const one of [inward, outward, kept]) expect(await one.echoes(5000)).toBe(true);
		const sockets = () => network.run("inner", "ss", "-Htn", "state", "established", "dst", near.v4);
		await expect.poll(() => sockets().trim().split("\n").length, { timeout: 10_000 }).toBe(2);
		await verified({ kind: "cut", address: near.v4 });
		expect(await Promise.all([inward, outward].map((one) => one.echoes(1000)))).toEqual([false, false]);
		expect(sockets()).toBe("");
		expect(await kept.echoes(5000)).toBe(true);
	} finally {
		await end(container);
	}
});

it("a permanent block is for the admin of the host only, and widens with a second order", async () => {
	const order = { kind: "block", address: near.v4, ttlSeconds: 0, permanent: true } as const;
	const policy = await responder.order(order, { ...byHand, requester: "policy" });
	expect(policy.outcome).toBe("OUTCOME_REFUSED");
	expect(policy.steps?.join()).toContain("for the admin of this host");
	const half = await responder.order({ ...order, direction: "in" }, byHand);
	expect(half).toMatchObject({ outcome: "OUTCOME_VERIFIED" });
	expect(half.expires).toBeUndefined();
	expect(network.run("host", "ipset", "save", "picket4-in")).toContain(`${near.v4} timeout 0`);
	expect(network.run("host", "ipset", "save", "picket4-out")).not.toContain(near.v4);
	const said = await verified({ kind: "block", address: near.v4, ttlSeconds: 60, direction: "out" });
	expect(said).toContain("from now on in both");
	expect(network.run("host", "ipset", "save", "picket4-out")).toContain(`${near.v4} timeout 0`);
	expect(responder.active()).toMatchObject([{ target: near.v4, expires: 0, direction: "both" }]);
});

it("what the host has is described: backend, Docker, nothing amiss", async () => {
	const report = await describeFirewall(runnerIn(network));
	expect(report).toMatchObject({ backend: "nft", others: ["docker"], problems: [] });
	expect(report.version).toMatch(/^iptables v\d/);
	expect(stateOf(network)).toBe(before);
	expect(execFileSync("iptables", ["-V"], { encoding: "utf8" })).toContain("nf_tables");
});
