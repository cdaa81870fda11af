// DNS through a translated address, as containers reach Docker's own name server: in a network of the test's own.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asking, buildTrigger, Harness, run } from "../kernel/harness.ts";
import { Witness } from "../kernel/witness.ts";

const trigger = buildTrigger("socket");
const witness = new Witness();
let harness: Harness;

beforeAll(() => {
	harness = new Harness({ kinds: ["exit"], interest: asking("dns"), detectors: [witness] });
});
afterAll(() => harness.close());

describe("a name server behind a translated port", () => {
	it.each([
		["connected", ["question", "answer"]],
		// The packet no longer says that it is a question; the answer repeats it.
		["unconnected", ["answer"]],
	])("is seen at its original one by a socket that is %s, with who asked", async (how, told) => {
		const text = `picket-${process.pid}-${how}`;
		const ran = await run(trigger, ["dns", "127.0.0.1", `translated-${how}`, "100", text]);
		expect(ran.status).toBe(0);
		await harness.of(ran.pid);
		const heard = witness.dns.filter(({ payload }) => payload.toString("latin1").startsWith(text));
		const kinds = heard.map(({ flags }) => (flags.includes("dnsResponse") ? "answer" : "question"));
		expect(kinds).toEqual(told);
		for (const each of heard)
			expect(each).toMatchObject({
				pid: ran.pid,
				remote: "127.0.0.1",
				remotePort: 53,
				localPort: ran.said[0]?.port,
			});
	});
});
