// Orders from beginning to end on the real firewall, inside namespaces made here.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { verifyAudit } from "../../agent/respond/audit.ts";
import { createRunner } from "../../agent/respond/command.ts";
import { createResponder, type HostResponder, type ResponderDeps } from "../../agent/respond/responder.ts";
import { addresses, createNetwork, type Network } from "./namespaces.ts";

const byHand = { requester: "cli", reason: "test", alertId: "", eventTime: undefined };
let network: Network;
let root = "";
let responder: HostResponder;

function make(more: Partial<ResponderDeps> = {}): HostResponder {
	return createResponder({
		mode: () => "enforce",
		stateDir: join(root, "state"),
		logger: pino({ level: "silent" }),
		clock: Date.now,
		runtimes: () => [],
		processes: { open: () => 0, signal: () => {}, close: () => {}, exited: () => true },
		protectedExtra: () => ({ addresses: [], containers: [], processes: [] }),
		run: createRunner(network.inside("host")),
		// An empty /proc: this test's own addresses are not those of the namespace.
		root,
		...more,
	});
}

beforeAll(async () => {
	network = await createNetwork();
	root = mkdtempSync(join(tmpdir(), "picket-network-"));
});

afterEach(async () => {
	await responder.release();
	await responder.close();
});

afterAll(async () => {
	await network?.destroy();
	rmSync(root, { recursive: true, force: true });
});

it("a block cuts the peer off, ends when its time is over, and the audit tells all of it", async () => {
	const ended: wire.Action[] = [];
	responder = make({ onAction: (action) => ended.push(action) });
	const { near, host } = addresses;
	expect(await network.connects("near", host.v4)).toBe(true);
	const action = await responder.order({ kind: "block", address: near.v4, ttlSeconds: 3 }, byHand);
	expect(action.outcome, action.steps?.join("\n")).toBe("OUTCOME_VERIFIED");
	expect(action.secondsToEffect).toBeLessThan(2);
	expect(await network.connects("near", host.v4)).toBe(false);
	await expect.poll(() => ended.length, { timeout: 15_000 }).toBe(1);
	expect(ended[0]).toMatchObject({ requester: "expiry", outcome: "OUTCOME_VERIFIED", target: near.v4 });
	expect(await network.connects("near", host.v4)).toBe(true);
	const audit = readFileSync(join(root, "state", "audit.jsonl"), "utf8");
	expect(verifyAudit(audit)).toEqual({ entries: 4, torn: [], broken: undefined });
});

it("a repeated block is unchanged by the kernel's word, and done again when somebody took the entry away", async () => {
	responder = make();
	const order = { kind: "block", address: addresses.near.v6, ttlSeconds: 60 } as const;
	expect((await responder.order(order, byHand)).outcome).toBe("OUTCOME_VERIFIED");
	expect((await responder.order(order, byHand)).outcome).toBe("OUTCOME_UNCHANGED");
	network.run("host", "ipset", "flush", "picket6");
	expect((await responder.order(order, byHand)).outcome).toBe("OUTCOME_VERIFIED");
	expect(await network.connects("near", addresses.host.v6)).toBe(false);
});

it("a later process releases what a dead one left", async () => {
	const dead = make();
	await dead.order({ kind: "block", address: addresses.near.v4, ttlSeconds: 600 }, byHand);
	await dead.order({ kind: "block", address: "10.77.2.0/24", ttlSeconds: 600 }, byHand);
	expect(await network.connects("other", addresses.host.v4)).toBe(false);
	responder = make({ mode: () => "observe" });
	expect(responder.active()).toHaveLength(2);
	const actions = await responder.release();
	expect(actions.map(({ outcome }) => outcome)).toEqual(["OUTCOME_VERIFIED", "OUTCOME_VERIFIED"]);
	expect(await network.connects("other", addresses.host.v4)).toBe(true);
	expect(network.run("host", "ipset", "list", "-n")).toBe("");
	for (const tool of ["iptables", "ip6tables"])
		expect(network.run("host", `${tool}-save`)).not.toContain("PICKET");
	await dead.close();
});

it("observe mode leaves the firewall as it is", async () => {
	responder = make({ mode: () => "observe" });
	const action = await responder.order({ kind: "block", address: addresses.near.v4, ttlSeconds: 60 }, byHand);
	expect(action.outcome).toBe("OUTCOME_WOULD_ACT");
	expect(network.run("host", "ipset", "list", "-n")).toBe("");
	expect(await network.connects("near", addresses.host.v4)).toBe(true);
});
