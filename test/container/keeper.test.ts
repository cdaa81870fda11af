// Behind a dead sensor, on a real engine: what it paused and disconnected is undone by plain shell in time.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { type Entry, openLedger } from "../../agent/respond/ledger.ts";
import { type Engine, startEngine } from "./engine.ts";

const script = new URL("../../packaging/release.sh", import.meta.url).pathname;
const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
const later = { timeout: 60_000, interval: 100 };
let engine: Engine;

beforeAll(async () => {
	engine = await startEngine({ bridge: true });
});

afterAll(async () => {
	await engine?.stop();
});

function keep(...entries: Entry[]) {
	const state = mkdtempSync(join(tmpdir(), "picket-keeper-"));
	openLedger(state, bootId).putAll(entries);
	const args = [script, "keep", "--state-dir", state, "--docker-socket", engine.socketPath];
	const child = spawn("sh", args, { stdio: "ignore" });
	const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
	onTestFinished(async () => {
		child.kill("SIGKILL");
		await ended;
		rmSync(state, { recursive: true, force: true });
	});
	return { ended, left: () => openLedger(state, bootId).entries() };
}

function entryOf(kind: Entry["kind"], target: string, expires: number, more: Partial<Entry> = {}): Entry {
	const who = { actionId: "1", requester: "policy", reason: "", alertId: "" };
	return { kind, target, targetName: target, ...who, since: Date.now(), expires, ...more };
}

const shown = async (id: string, what: string) =>
	engine.docker("inspect", "--format", `{{json ${what}}}`, id);

it("resumes a paused container at its deadline and leaves no other trace in it", async () => {
	const id = await engine.run("-d", engine.image);
	const before = await shown(id, ".HostConfig");
	await engine.docker("pause", id);
	const expires = Date.now() + 3000;
	const { ended, left } = keep(entryOf("pause", id, expires));
	await expect.poll(() => shown(id, ".State.Paused"), later).toBe("false");
	expect(Date.now()).toBeGreaterThanOrEqual(expires - 50);
	expect(await ended).toBe(0);
	expect(left()).toEqual([]);
	expect(await shown(id, ".HostConfig")).toBe(before);
});

it("puts a disconnected container back on its network with its address and names", async () => {
	await engine.docker("network", "create", "--subnet", "10.88.0.0/24", "shop");
	const id = await engine.run(
		"-d",
		"--network",
		"shop",
		"--ip",
		"10.88.0.7",
		"--network-alias",
		"till",
		engine.image,
	);
	const network = await engine.docker("network", "inspect", "--format", "{{.Id}}", "shop");
	await engine.docker("network", "disconnect", "shop", id);
	expect(await shown(id, ".NetworkSettings.Networks")).toBe("{}");
	const networks = [{ network, ipv4: "10.88.0.7", ipv6: "", aliases: ["till"] }];
	const { ended, left } = keep(entryOf("disconnect", id, Date.now() - 1000, { networks }));
	expect(await ended).toBe(0);
	expect(left()).toEqual([]);
	const again = JSON.parse(await shown(id, ".NetworkSettings.Networks")) as Record<
		string,
		Record<string, unknown>
	>;
	expect(again.shop).toMatchObject({ IPAddress: "10.88.0.7", Aliases: expect.arrayContaining(["till"]) });
	await engine.docker("rm", "-f", id);
	await engine.docker("network", "rm", "shop");
});

it("waits for an engine that is down", async () => {
	const id = await engine.run("-d", engine.image);
	await engine.docker("pause", id);
	await engine.stopDaemon();
	const { ended, left } = keep(entryOf("disconnect", id, Date.now() - 1000, { networks: [] }));
	const early = await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 2000, "waits"))]);
	expect(early).toBe("waits");
	expect(left()).toHaveLength(1);
	await engine.startDaemon();
	expect(await ended).toBe(0);
	expect(left()).toEqual([]);
});
