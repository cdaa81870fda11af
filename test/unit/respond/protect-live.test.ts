// The floor is looked at right before the act, and goes on being looked at afterwards.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseNetwork } from "../../../agent/model/address.ts";
import type { RunCommand } from "../../../agent/respond/command.ts";
import { watchFloor } from "../../../agent/respond/floor-watch.ts";
import { createProtection } from "../../../agent/respond/protect.ts";
import { byHand, fakeTools, makeResponder, makeRoot } from "./host.ts";

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
	const tools = fakeTools();
	const run: RunCommand = async (file, args, input) => {
		if (file === "ipset" && args.includes("restore") && first) {
			first = false;
			await gate;
		}
		return tools.run(file, args, input);
	};
	const { responder, root } = makeResponder({ clock: () => now, run });
	const block = (address: string) => responder.order({ kind: "block", address, ttlSeconds: 60 }, byHand);
	const one = block("203.0.113.5");
	await expect.poll(() => first).toBe(false);
	const [two, three] = [block("203.0.113.6"), block("203.0.113.7")];
	await expect.poll(() => responder.active().length).toBe(3);
	logIn(root);
	now += 1000;
	open();
	expect((await one).outcome).toBe("OUTCOME_VERIFIED");
	const action = await two;
	expect(action.outcome, action.steps?.join("\n")).toBe("OUTCOME_REFUSED");
	expect(action.steps?.join()).toContain("the far end of an SSH session");
	expect((await three).outcome).toBe("OUTCOME_VERIFIED");
	for (const set of ["picket4-in", "picket4-out"]) {
		expect(tools.sets.get(set)).toEqual(new Set(["203.0.113.5", "203.0.113.7"]));
	}
	expect(responder.active().map(({ target }) => target)).toEqual(["203.0.113.5", "203.0.113.7"]);
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
