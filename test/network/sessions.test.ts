// A real SSH daemon on a port of its own, in namespaces made here: whoever is connected to it is not cut off.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { parseNetwork } from "../../agent/model/address.ts";
import { readIdentity } from "../../agent/respond/procfs.ts";
import { createProtection, type Protection } from "../../agent/respond/protect.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

const port = 4422;
const connect = `require("node:net").connect(${port}, process.argv[1]);`;
let network: Network;
let folder = "";
let daemon: ChildProcess | undefined;
let client: ChildProcess | undefined;
let protection: Protection;

function inside(of: "host" | "near", file: string, ...args: string[]): ChildProcess {
	return spawn("nsenter", [`--net=/run/netns/${network.name(of)}`, file, ...args], {
		stdio: ["pipe", "ignore", "ignore"],
	});
}

beforeAll(async () => {
	network = await createNetwork();
	folder = mkdtempSync(join(tmpdir(), "picket-sessions-"));
	const key = join(folder, "key");
	execFileSync("dropbearkey", ["-t", "ed25519", "-f", key], { stdio: "ignore" });
	daemon = inside(
		"host",
		"/usr/sbin/dropbear",
		"-F",
		"-r",
		key,
		"-p",
		String(port),
		"-P",
		join(folder, "pid"),
	);
	await vi.waitUntil(() => existsSync(join(folder, "pid")), { timeout: 30_000 });

	// All of the real /proc, but with the network of the namespace.
	mkdirSync(join(folder, "proc"));
	for (const pid of readdirSync("/proc").filter((name) => /^(\d+|self)$/.test(name))) {
		symlinkSync(`/proc/${pid}`, join(folder, "proc", pid));
	}
	symlinkSync(`/proc/${daemon.pid}/net`, join(folder, "proc/net"));
	protection = createProtection({
		root: folder,
		self: process.pid,
		extra: () => ({ addresses: [], containers: [], processes: [] }),
		resolve: async () => [],
		blocked: () => [],
		clock: Date.now,
	});
});

afterAll(async () => {
	client?.kill("SIGKILL");
	daemon?.kill("SIGKILL");
	await network?.destroy();
	rmSync(folder, { recursive: true, force: true });
});

const why = (address: string) => protection.address(parseNetwork(address));

it("who is connected to the daemon's own port is protected, by IPv4 and IPv6, and others are not", async () => {
	for (const version of ["v4", "v6"] as const) {
		const [near, host] = [addresses.near[version], addresses.host[version]];
		expect(await why(near)).toBeUndefined();
		const other = await network.open("other", host);
		expect(await other.echoes(5000)).toBe(true);
		client = inside("near", process.execPath, "-e", connect, host);
		await expect.poll(() => why(near), { timeout: 10_000 }).toContain("the far end of an SSH session");
		expect(await why(addresses.other[version])).toBeUndefined();
		client.kill("SIGKILL");
	}
});

it("the daemon is never killed, and a program that took its name is", async () => {
	const identity = readIdentity(folder, daemon?.pid ?? 0);
	if (identity === undefined) throw new Error("no daemon");
	expect(protection.process(identity)).toContain("keeps this host reachable");
	const fake = join(folder, "dropbear");
	execFileSync("cp", ["/bin/sleep", fake]);
	const child = spawn(fake, ["60"]);
	try {
		await expect.poll(() => readIdentity("/", child.pid ?? 0)?.comm).toBe("dropbear");
		symlinkSync(`/proc/${child.pid}`, join(folder, "proc", String(child.pid)));
		const named = readIdentity(folder, child.pid ?? 0);
		if (named === undefined) throw new Error("no process");
		expect(protection.process(named)).toBeUndefined();
	} finally {
		child.kill("SIGKILL");
	}
});
