// The floor is looked at right before the act, and goes on being looked at afterwards.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseNetwork } from "../../../agent/model/address.ts";
import { watchFloor } from "../../../agent/respond/floor-watch.ts";
import { createProtection } from "../../../agent/respond/protect.ts";
import { byHand, makeResponder, makeRoot } from "./host.ts";

/** An admin at 203.0.113.6 logs in. */
function logIn(root: string): void {
	mkdirSync(join(root, "proc/net"), { recursive: true });
	writeFileSync(
		join(root, "proc/net/tcp"),
		"   0: 0A0200C0:0016 067100CB:D431 01 00000000:00000000 00:00000000 00000000     0        0 1\n",
	);
}

it("an order that waited for its turn is refused when an admin has logged in from there meanwhile", async () => {
	let now = Date.now();
	let first = true;
	let open = () => {};
	const gate = new Promise<void>((resolve) => {
		open = resolve;
	});
	const { responder, tools, root } = makeResponder({ clock: () => now });
	tools.overrides.set("ipset create", async () => {
		if (first) await gate;
		first = false;
		return { code: 0, stdout: "", stderr: "" };
	});
	tools.sets.set("picket4", new Set());
	const block = (address: string) => responder.order({ kind: "block", address, ttlSeconds: 60 }, byHand);
	const [one, two] = [block("203.0.113.5"), block("203.0.113.6")];
	await expect.poll(() => tools.calls.length).toBe(1);
	logIn(root);
	now += 1000;
	open();
	expect((await one).outcome).toBe("OUTCOME_VERIFIED");
	const action = await two;
	expect(action.outcome, action.steps?.join("\n")).toBe("OUTCOME_REFUSED");
	expect(action.steps?.join()).toContain("the far end of an SSH session");
	expect(tools.sets.get("picket4")).toEqual(new Set(["203.0.113.5"]));
	await responder.close();
});

it("a block of what the host has come to depend on is lifted", async () => {
	let now = 0;
	const root = makeRoot();
	const protection = createProtection({
		root,
		self: 1,
		extra: () => ({ addresses: [], containers: [], processes: [] }),
		resolve: async () => [],
		blocked: () => [],
		clock: () => now,
	});
	const lifted: string[] = [];
	const watch = watchFloor({
		protection,
		blocked: () => ["203.0.113.5", "203.0.113.0/28", "2001:db8::1"],
		lift: async (target, why) => void lifted.push(`${target}: ${why}`),
		failed: () => {},
	});
	await watch.look();
	expect(lifted).toEqual([]);
	logIn(root);
	now += 1000;
	await watch.look();
	expect(lifted).toEqual(["203.0.113.0/28: 203.0.113.6 is the far end of an SSH session"]);
	watch.close();
	expect(await protection.address(parseNetwork("203.0.113.6"))).toBeDefined();
});

it("an address that most clients come through is refused", async () => {
	const { responder } = makeResponder();
	const proxy = Uint8Array.of(203, 0, 113, 80);
	const order = { kind: "block", address: "203.0.113.80/31", ttlSeconds: 60 } as const;
	for (let index = 0; index < 20; index++) responder.inbound.count(2, proxy, 0, 443);
	const action = await responder.order(order, byHand);
	expect(action.outcome).toBe("OUTCOME_REFUSED");
	expect(action.steps?.join()).toContain("203.0.113.80 is where most recent connections come from");
	const other = await responder.order({ ...order, address: "203.0.113.82" }, byHand);
	expect(other.outcome).toBe("OUTCOME_VERIFIED");
	await responder.close();
});
