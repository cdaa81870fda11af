// The shortened form is test/network/lockout.test.ts.
import { it } from "vitest";
import { tryLockouts } from "../network/lockout.ts";

it("1,000 orders with 300 attempts to lock out touch nothing protected, and a session on port 22 loses no packet", async () => {
	await tryLockouts({ orders: 1000, lockouts: 300, seed: Number(process.env.PICKET_SEED ?? 2) });
}, 1_800_000);
