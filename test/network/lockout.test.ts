// Nobody is locked out, whatever is ordered. In full length: test/soak/lockout.test.ts.
import { it } from "vitest";
import { tryLockouts } from "./lockout.ts";

it("150 orders with 45 attempts to lock out touch nothing protected, and a session on port 22 loses no packet", async () => {
	await tryLockouts({ orders: 150, lockouts: 45, seed: Number(process.env.PICKET_SEED ?? 1) });
}, 300_000);
