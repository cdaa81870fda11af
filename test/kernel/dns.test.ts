// DNS over UDP, in a network of the test's own: who asked, who is answered, what the messages are.
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { asking, buildTrigger, Harness, run } from "./harness.ts";
import { type SeenDns, Witness } from "./witness.ts";

const trigger = buildTrigger("socket");
const witness = new Witness();
let harness: Harness;

beforeAll(() => {
	harness = new Harness({
		kinds: ["exit"],
		interest: asking("dns", "send", "connect"),
		detectors: [witness],
	});
});
afterAll(() => harness.close());

let asked = 0;

/** Runs the trigger; gives what was told of the text it sent, and the text. */
async function ask(address: string, how: string, bytes: number) {
	const question = `picket-${process.pid}-${++asked}`;
	const ran = await run(trigger, ["dns", address, how, String(bytes), question]);
	expect(ran.status).toBe(0);
	await harness.of(ran.pid);
	const [said] = ran.said;
	expect(said?.got).toBe(bytes);
	const heard = witness.dns.filter(({ payload }) => payload.toString("latin1").startsWith(`${question}`));
	return { question, said, heard };
}

/** What must be the same of a question and its answer. */
function ends({ pid, tid, start, cgroupId, family, local, localPort, remote, remotePort }: SeenDns) {
	return { pid, tid, start, cgroupId, family, local, localPort, remote, remotePort };
}

describe("a DNS message", () => {
	it.each([
		["127.0.0.1", "connected", 2],
		["127.0.0.1", "unconnected", 2],
		["::1", "connected", 10],
		["::1", "unconnected", 10],
	])(
		"to and from %s on a socket that is %s belongs to the process that asked",
		async (address, how, family) => {
			const { question, said, heard } = await ask(address, how, 100);
			const [query, response] = heard;
			expect(heard).toHaveLength(2);
			expect(query).toMatchObject({
				pid: said?.pid,
				tid: said?.pid,
				family,
				local: address,
				localPort: said?.port,
				remote: address,
				remotePort: 53,
				flags: [],
				payloadBytes: question.length,
			});
			expect(query?.payload.toString()).toBe(question);
			expect(query?.start).toBeGreaterThan(0);
			expect(response && ends(response)).toEqual(query && ends(query));
			expect(response).toMatchObject({ flags: ["dnsResponse"], payloadBytes: 100 });
			expect(response?.payload).toEqual(
				Buffer.concat([Buffer.from(question), Buffer.alloc(100 - question.length)]),
			);
		},
	);

	it.each([
		[128, []],
		[129, []],
		[512, []],
		[513, ["payloadTruncated"]],
		[1400, ["payloadTruncated"]],
	])("of %i bytes comes with up to 512 of them and its true length", async (bytes, flags) => {
		const { heard } = await ask("127.0.0.1", "connected", bytes);
		expect(heard[1]).toMatchObject({ payloadBytes: bytes, flags: ["dnsResponse", ...flags] });
		expect(heard[1]?.payload).toHaveLength(Math.min(bytes, 512));
	});

	it("that is none, by its port, is not told", async () => {
		const { heard } = await ask("127.0.0.1", "other", 100);
		expect(heard).toEqual([]);
	});

	it("that nobody asked for is out of a scope, and nobody's without one", async () => {
		expect((await ask("127.0.0.1", "unasked", 100)).heard).toEqual([]);
		const everywhere = new Witness();
		const second = new Harness({
			kinds: ["exit"],
			detectors: [everywhere],
			scope: { pids: [], cgroups: [], paths: [] },
			interest: asking("dns"),
		});
		try {
			const { question } = await ask("127.0.0.1", "unasked", 100);
			for (let waited = 0; waited < 10_000 && everywhere.dns.length === 0; waited += 5) await pause(5);
			expect(everywhere.dns.length).toBeGreaterThan(0);
			const [answer] = everywhere.dns.filter(({ payload }) => payload.toString().startsWith(question));
			expect(answer).toMatchObject({
				pid: 0,
				tid: 0,
				start: 0,
				flags: ["kernelActor", "dnsResponse"],
				remotePort: 53,
			});
			expect(answer?.cgroupId).toBeGreaterThan(0);
		} finally {
			second.close();
		}
	});
});
