import { describe, expect, it } from "vitest";
import { formatNetwork, parseNetwork } from "../../../agent/model/address.ts";
import { createBlockedShare } from "../../../agent/respond/width.ts";
import { byHand, makeResponder } from "./host.ts";

function share(standing: string[] = []) {
	let now = 0;
	const ask = createBlockedShare(
		() => standing,
		() => now,
	);
	return {
		standing,
		ask: (text: string) => ask(parseNetwork(text)),
		advance: (ms: number) => {
			now += ms;
		},
	};
}

describe("all blocks together", () => {
	it("are at most two networks of the widest kind, v4 and v6 each for itself", () => {
		const { ask } = share();
		expect(ask("44.1.0.0/16")).toBeUndefined();
		expect(ask("44.2.0.0/17")).toBeUndefined();
		expect(ask("44.2.128.0/17")).toBeUndefined();
		expect(ask("44.3.0.1")).toContain("more than 2 networks of /16");
		expect(ask("2001:db8::/32")).toBeUndefined();
		expect(ask("2001:db9::/32")).toBeUndefined();
		expect(ask("2001:dba::1")).toContain("/32");
	});

	it("count what stands, and a repeated block once", () => {
		const { ask } = share(["44.1.0.0/16"]);
		for (let index = 0; index < 5; index++) expect(ask("44.1.0.0/16")).toBeUndefined();
		expect(ask("44.2.0.0/16")).toBeUndefined();
		expect(ask("44.3.0.0/16")).toBeDefined();
	});

	it("make room again when something ended", () => {
		const { ask, standing, advance } = share(["44.1.0.0/16", "44.2.0.0/16"]);
		expect(ask("44.3.0.0/16")).toBeDefined();
		standing.pop();
		advance(1000);
		expect(ask("44.3.0.0/16")).toBeUndefined();
	});

	it("take 10,000 single addresses", () => {
		const { ask } = share();
		for (let index = 0; index < 10_000; index++) {
			const network = { family: 4, words: [0x2c000000 + index * 512], prefix: 32 } as const;
			expect(ask(formatNetwork(network))).toBeUndefined();
		}
	});

	it("are refused by the responder, with the reason", async () => {
		const { responder } = makeResponder();
		const outcomes: (string | undefined)[] = [];
		for (const address of ["44.1.0.0/16", "44.2.0.0/16", "44.3.0.0/16"]) {
			const action = await responder.order({ kind: "block", address, ttlSeconds: 60 }, byHand);
			outcomes.push(action.outcome);
			if (address === "44.3.0.0/16") expect(action.steps?.join()).toContain("with what is blocked already");
		}
		expect(outcomes).toEqual(["OUTCOME_VERIFIED", "OUTCOME_VERIFIED", "OUTCOME_REFUSED"]);
		await responder.close();
	});
});
