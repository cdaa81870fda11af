import { afterAll, beforeAll, expect, it } from "vitest";
import { crashRounds } from "./crash-rounds.ts";
import { createNetwork, type Network } from "./namespaces.ts";

let network: Network;

beforeAll(async () => {
	network = await createNetwork();
});

afterAll(async () => {
	await network?.destroy();
});

it("after a kill -9 anywhere between audit and outcome, ledger, audit and kernel agree", async () => {
	const rounds = process.env.PICKET_SOAK === "1" ? 200 : 15;
	const tally = await crashRounds(network, rounds, Number(process.env.PICKET_SEED ?? 1));
	process.stdout.write(
		`${rounds} kills: ${tally.interrupted} acts interrupted, ${tally.verified} in force, ${tally.takenBack} taken back; slowest ${tally.slowestMs.toFixed(0)} ms\n`,
	);
	expect(tally.interrupted).toBeGreaterThan(rounds / 4);
	expect(tally.verified).toBeGreaterThan(0);
	expect(tally.takenBack).toBeGreaterThan(0);
}, 1_800_000);
