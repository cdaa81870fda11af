// Damaged bundles before a sensor's takeover: bytes changed on the way, and bytes changed by somebody who holds the key.
// The content in force stays, nothing throws, every refusal has its reason.
import { rmSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { signContent } from "../../agent/delivered/verify.ts";
import { bundleOf, keys, rule, takeoverRig } from "../unit/delivered/rig.ts";

const rounds = process.env.PICKET_SOAK === "1" ? 10_000 : 200;
const seed = Number(process.env.PICKET_SEED ?? 1);
const made = takeoverRig();
afterAll(() => {
	made.takeover.close(true);
	rmSync(made.rig.folder, { recursive: true, force: true });
});

/** Mulberry32: the same numbers for the same seed. */
function random(start: number): (below: number) => number {
	let state = start;
	return (below) => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
	};
}

function damaged(bytes: Buffer, pick: (below: number) => number): Buffer {
	const copy = Buffer.from(bytes);
	switch (pick(5)) {
		case 0:
			return copy.subarray(0, pick(copy.length));
		case 1:
			for (let i = 0; i <= pick(8); i++) copy[pick(copy.length)] = pick(256);
			return copy;
		case 2:
			return Buffer.concat([copy.subarray(0, pick(copy.length)), Buffer.from([pick(256), pick(256)]), copy]);
		case 3: {
			const at = pick(copy.length);
			return Buffer.concat([copy.subarray(0, at), copy.subarray(Math.min(copy.length, at + 1 + pick(20)))]);
		}
		default:
			// The head, where kinds, numbers and lengths are.
			copy[pick(Math.min(40, copy.length))] = pick(256);
			return copy;
	}
}

it(`${rounds} damaged bundles leave what is in force as it is`, async () => {
	const pick = random(seed);
	const { apply, rules, rig } = made;
	const first = bundleOf("rules", 5, rule("Kept", "evt.type = execve and proc.name = kept"));
	expect((await apply(first)).accepted).toBe(true);
	const base = [
		// Not above the one in force: whatever still reads well is refused for that.
		bundleOf("rules", 4, rule("Other", "evt.type = execve and proc.name = other")),
		bundleOf("rules", 5, { "a.yaml": "- list: a\n  items: [b]\n", "b.yaml": rule("B", "proc.name in (a)") }),
	];
	const reasons = new Map<string, number>();
	for (let round = 0; round < rounds; round++) {
		const { bytes, signature } = base[round % base.length] as (typeof base)[number];
		const changed = damaged(bytes, pick);
		const isSigned = pick(2) === 0 && changed.length > 0;
		const bad = isSigned
			? { bytes: changed, signature: signContent(changed, keys.privateKey) }
			: { bytes: changed, signature: pick(4) === 0 ? damaged(signature, pick) : signature };
		const { accepted, message = "" } = await apply(bad);
		// A signed one may by chance be another good one of a higher version; that it is signed is what counts.
		if (accepted) {
			expect(isSigned).toBe(true);
			await made.takeover.rollback(message.split(" ")[0] as "rules", { requester: "test", commandId: "" });
			continue;
		}
		expect(message).toMatch(/^refused: ./);
		const reason = (message.slice("refused: ".length).split(/["\d(]/)[0] as string).slice(0, 60);
		reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
		expect(rules()).toContain("Local");
	}
	expect(reasons.size).toBeGreaterThan(5);
	expect(rig.alerts).toEqual([]);
});
