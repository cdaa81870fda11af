// Processes that know they are watched: what they change while a call waits may cost a detail, never the event.
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

const evade = buildTrigger("evade");
let harness: Harness;
let server: Server;
let port: number;

beforeAll(async () => {
	harness = new Harness({ kinds: ["connect", "exit"] });
	server = createServer((socket) => socket.on("error", () => {}).end());
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	port = (server.address() as { port: number }).port;
});
afterAll(() => {
	server.close();
	harness.close();
});

async function connects(...args: string[]): Promise<{ pid: number; seen: wire.Connect[] }> {
	const { pid, status } = await run(evade, args);
	expect(status).toBe(0);
	return { pid, seen: (await harness.of(pid)).flatMap((event) => (event.connect ? [event.connect] : [])) };
}

describe("a connection by somebody who hides it", () => {
	it("is reported when the register of the length has rubbish above the number", async () => {
		const { seen } = await connects("length", String(port));
		expect(seen).toMatchObject([{ family: "ipv4", destinationPort: port, result: "SUCCESS" }]);
		expect(seen[0]?.destinationUnverified).toBeUndefined();
	});

	it("is reported with the kernel's peer when the address is overwritten while the call waits", async () => {
		const { pid, seen } = await connects("family");
		expect(seen).toHaveLength(2);
		expect(seen[1]).toMatchObject({ family: "unix", path: `@picket-evade-${pid}`, result: "SUCCESS" });
	});

	it("is reported by the caller's word when its descriptor has become another file", async () => {
		const { pid, seen } = await connects("descriptor");
		expect(seen).toHaveLength(2);
		expect(seen[1]).toMatchObject({ path: `@picket-evade-${pid}`, destinationUnverified: true });
	});

	it("is reported even when both are gone", async () => {
		const { seen } = await connects("both");
		expect(seen).toHaveLength(2);
		expect(seen[1]).toMatchObject({ result: "SUCCESS", destinationUnverified: true });
	});
});
