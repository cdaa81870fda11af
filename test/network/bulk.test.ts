// Many addresses at a time, each seen from outside: 2,000, and 10,000 with PICKET_SOAK.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { verifyAudit } from "../../agent/respond/audit-read.ts";
import type { HostResponder } from "../../agent/respond/responder.ts";
import { byHand, responderIn, runnerIn } from "./host.ts";
import { addresses, createNetwork, type Network, port } from "./namespaces.ts";

const soak = process.env.PICKET_SOAK === "1";
const count = soak ? 10_000 : 2000;
/** Every so many-th is tried from outside. */
const stride = soak ? 1 : 10;
const published = 8080;
const settings = { actionsPerMinute: 1e6, ruleTargetsPerMinute: 1e6 };
const sources = {
	v4: Array.from({ length: count }, (_, index) => `10.9.${index >> 8}.${index & 255}`).slice(1),
	v6: Array.from({ length: count }, (_, index) => `fd09::${(index + 1).toString(16)}`).slice(1),
};
/** Never blocked. */
const free = { v4: "10.9.255.7", v6: "fd09::ffff" };
let network: Network;
let root = "";
let responder: HostResponder;
let commands = 0;

beforeAll(async () => {
	network = await createNetwork();
	root = mkdtempSync(join(tmpdir(), "picket-network-"));
	const { near, inner } = addresses;
	// near answers for, and speaks as, every address of two networks.
	network.run("near", "ip", "route", "add", "local", "10.9.0.0/16", "dev", "lo");
	network.run("near", "ip", "-6", "route", "add", "local", "fd09::/64", "dev", "lo");
	network.run("near", "sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1");
	network.run("host", "ip", "route", "add", "10.9.0.0/16", "via", near.v4);
	network.run("host", "ip", "-6", "route", "add", "fd09::/64", "via", near.v6);
	for (const [tool, to] of [
		["iptables", `${inner.v4}:${port}`],
		["ip6tables", `[${inner.v6}]:${port}`],
	] as const) {
		const rule = ["-p", "tcp", "--dport", String(published), "-j", "DNAT", "--to-destination", to];
		network.run("host", tool, "-t", "nat", "-A", "PREROUTING", ...rule);
	}
});

afterEach(async () => {
	await responder.release();
	await responder.close();
});

afterAll(async () => {
	await network?.destroy();
	rmSync(root, { recursive: true, force: true });
});

describe.each(["v4", "v6"] as const)(`${count} addresses (%s)`, (family) => {
	it("are blocked together, each one, and let back together", async () => {
		const run = runnerIn(network);
		responder = responderIn(network, mkdtempSync(join(root, "responder-")), {
			settings,
			stateDir: join(root, family),
			run: (...call) => {
				commands++;
				return run(...call);
			},
		});
		const { host } = addresses;
		const tried = [...sources[family].filter((_, index) => index % stride === 0), free[family]];
		/** Those that reached it; all of one, of many the last three. */
		const reach = async (to: number) => {
			const reached = new Set(await network.connectsFrom("near", tried, host[family], to));
			return { reached: [...reached].slice(-3), count: reached.size };
		};
		const none = { reached: [free[family]], count: 1 };
		expect(await reach(port)).toMatchObject({ count: tried.length });

		commands = 0;
		const begun = performance.now();
		const blocked = await Promise.all(
			sources[family].map((address) => responder.order({ kind: "block", address, ttlSeconds: 600 }, byHand)),
		);
		const took = (performance.now() - begun) / 1000;
		const inForce = Math.max(...blocked.map(({ secondsToEffect = Number.NaN }) => secondsToEffect));
		process.stdout.write(
			`${blocked.length} ${family} addresses in force in ${inForce.toFixed(2)} s, told in ${took.toFixed(2)} s, ${commands} commands\n`,
		);
		expect(new Set(blocked.map(({ outcome }) => outcome))).toEqual(new Set(["OUTCOME_VERIFIED"]));
		// The cost does not grow with the number of addresses.
		expect(commands).toBeLessThan(count / 10);
		for (const to of [port, published]) expect(await reach(to)).toEqual(none);
		const rules = network.run("host", family === "v4" ? "iptables-save" : "ip6tables-save");
		expect(
			rules.split("\n").filter((line) => line.startsWith("-A") && line.includes("PICKET-")),
		).toHaveLength(4);

		commands = 0;
		const released = await Promise.all(
			sources[family].map((address) => responder.order({ kind: "unblock", address }, byHand)),
		);
		expect(new Set(released.map(({ outcome }) => outcome))).toEqual(new Set(["OUTCOME_VERIFIED"]));
		expect(commands).toBeLessThan(count / 10);
		expect(await reach(published)).toMatchObject({ count: tried.length });
		expect(responder.active()).toEqual([]);

		const audit = readFileSync(join(root, family, "audit.jsonl"), "utf8");
		expect(verifyAudit(audit)).toMatchObject({ entries: 4 * sources[family].length, broken: undefined });
	}, 300_000);
});
