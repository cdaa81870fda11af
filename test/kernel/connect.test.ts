// Connections: TCP, UDP and Unix sockets, both families, success and failure, all on loopback.
import { createSocket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as wire from "../../agent/model/picket.v1.ts";
import { buildTrigger, Harness, run } from "./harness.ts";

const trigger = buildTrigger();
let harness: Harness;
let server: Server;
let port: number;

beforeAll(async () => {
	harness = new Harness({ kinds: ["connect", "exit"] });
	server = createServer((socket) => socket.on("error", () => {}).end());
	await new Promise<void>((resolve) => server.listen({ port: 0, host: "::", ipv6Only: false }, resolve));
	port = (server.address() as { port: number }).port;
});
afterAll(() => {
	server.close();
	harness.close();
});

async function connected(args: string[]): Promise<{ connect: wire.Connect; said: Record<string, number> }> {
	const ran = await run(trigger, ["connect", ...args]);
	const connects = (await harness.of(ran.pid)).flatMap((event) => (event.connect ? [event.connect] : []));
	expect(connects).toHaveLength(1);
	return { connect: connects[0] as wire.Connect, said: ran.said[0] ?? {} };
}

/** A port of loopback on which nobody listens. */
async function closedPort(): Promise<number> {
	const probe = createServer();
	await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
	const { port: free } = probe.address() as { port: number };
	await new Promise<void>((resolve) => probe.close(() => resolve()));
	return free;
}

describe("a connection", () => {
	it.each([
		["tcp4", "ipv4", "tcp", "127.0.0.1"],
		["tcp6", "ipv6", "tcp", "::1"],
		["udp4", "ipv4", "udp", "127.0.0.1"],
		["udp6", "ipv6", "udp", "::1"],
	])("by %s is reported once with both ends", async (how, family, protocol, address) => {
		const { connect, said } = await connected([how, address, String(port)]);
		expect(connect).toEqual({
			family,
			protocol,
			sourceAddress: address,
			sourcePort: said.localPort,
			destinationAddress: address,
			destinationPort: port,
			result: "SUCCESS",
			returnValue: 0,
		});
	});

	it("that is refused is reported once with the reason, its destination marked as the caller's word", async () => {
		const free = await closedPort();
		const { connect, said } = await connected(["tcp4", "127.0.0.1", String(free)]);
		expect(said.result).toBe(-111);
		expect(connect).toMatchObject({
			destinationAddress: "127.0.0.1",
			destinationPort: free,
			result: "ECONNREFUSED",
			returnValue: -111,
			destinationUnverified: true,
		});
	});

	it("that does not wait is reported as in progress, with the kernel's own destination", async () => {
		const { connect } = await connected(["tcp4", "127.0.0.1", String(port), "nonblock"]);
		expect(connect).toMatchObject({
			destinationAddress: "127.0.0.1",
			destinationPort: port,
			result: "EINPROGRESS",
		});
		expect(connect.destinationUnverified).toBeUndefined();
	});

	it("to IPv4 in the clothes of IPv6 is reported as IPv4", async () => {
		const { connect } = await connected(["tcp6", "::ffff:127.0.0.1", String(port)]);
		expect(connect).toMatchObject({ family: "ipv4", destinationAddress: "127.0.0.1", destinationPort: port });
	});

	it("to a Unix socket carries the socket's own path", async () => {
		const path = join(harness.folder, "socket");
		const unix = createServer((socket) => socket.end());
		await new Promise<void>((resolve) => unix.listen(path, resolve));
		const { connect } = await connected(["unix", path]);
		expect(connect).toMatchObject({ family: "unix", path, result: "SUCCESS" });
		unix.close();
		const missing = await connected(["unix", join(harness.folder, "no-socket")]);
		expect(missing.connect).toMatchObject({
			path: join(harness.folder, "no-socket"),
			result: "ENOENT",
			destinationUnverified: true,
		});
	});

	it("to an abstract Unix socket shows its name with an @", async () => {
		const name = `picket-test-${process.pid}`;
		const unix = createServer((socket) => socket.end());
		await new Promise<void>((resolve) => unix.listen(`\0${name}`, resolve));
		const { connect } = await connected(["abstract", name]);
		expect(connect).toMatchObject({ family: "unix", path: `@${name}`, result: "SUCCESS" });
		unix.close();
	});

	it("of a datagram socket that nobody answers still names the peer", async () => {
		const probe = createSocket("udp4");
		await new Promise<void>((resolve) => probe.bind(0, "127.0.0.1", resolve));
		const free = probe.address().port;
		await new Promise<void>((resolve) => probe.close(() => resolve()));
		const { connect } = await connected(["udp4", "127.0.0.1", String(free)]);
		expect(connect).toMatchObject({ protocol: "udp", destinationPort: free, result: "SUCCESS" });
	});
});
