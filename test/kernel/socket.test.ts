// accept, bind, listen, socket, dup: the real act on loopback, success and failure.
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EventName } from "../../agent/model/event.ts";
import { noInterest } from "../../agent/model/interest.ts";
import { asking, buildTrigger, Harness, run } from "./harness.ts";
import { Witness } from "./witness.ts";

const trigger = buildTrigger("socket");
const witness = new Witness();
const interest = asking("accept", "bind", "listen", "send", "socket", "dup", "connect");
let harness: Harness;
let server: Server;
let port: number;

beforeAll(async () => {
	harness = new Harness({ kinds: ["exit"], interest, detectors: [witness] });
	server = createServer((socket) => socket.on("error", () => {}).resume());
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	({ port } = server.address() as { port: number });
});
afterAll(() => {
	server.close();
	harness.close();
});

async function act(...args: string[]) {
	const ran = await run(trigger, args);
	expect(ran.status).toBe(0);
	await harness.of(ran.pid);
	return { pid: ran.pid, said: ran.said };
}

/** Its number here; the contract has both architectures'. */
const syscalls =
	process.arch === "arm64"
		? { accept: 202, accept4: 242, bind: 200, listen: 201, socket: 198 }
		: { accept: 43, accept4: 288, bind: 49, listen: 50, socket: 41 };

describe("a server", () => {
	it.each([
		["127.0.0.1", "127.0.0.1", 2, "127.0.0.1", "127.0.0.1"],
		["::1", "::1", 10, "::1", "::1"],
		["::", "127.0.0.1", 2, "::", "127.0.0.1"],
	])(
		"on %s, called from %s, is seen to bind, to listen and to accept",
		async (at, from, family, bound, peer) => {
			const { pid, said } = await act("serve", at, from);
			const [first, second] = said;
			const common = { pid, descriptor: first?.fd, localPort: first?.port, protocol: 6, type: 1, flags: [] };
			const own = { ...common, family: at === "127.0.0.1" ? 2 : 10, local: bound, result: 0, remotePort: 0 };
			expect(witness.of("bind", pid)).toEqual([expect.objectContaining({ ...own, syscall: syscalls.bind })]);
			expect(witness.of("listen", pid)).toEqual([
				expect.objectContaining({ ...own, argument: 7, syscall: syscalls.listen }),
			]);
			const accepted = { ...common, family, local: peer, remote: peer };
			expect(witness.of("accept", pid)).toEqual([
				expect.objectContaining({
					...accepted,
					result: first?.accept,
					remotePort: first?.clientPort,
					syscall: syscalls.accept,
				}),
				expect.objectContaining({
					...accepted,
					result: second?.accept,
					remotePort: second?.clientPort,
					syscall: syscalls.accept4,
				}),
			]);
		},
	);

	it("on a Unix socket is named by its path, an abstract one by its name", async () => {
		const path = join(harness.folder, "server");
		for (const [name, shown] of [
			[path, path],
			[`@picket-${process.pid}`, `\0picket-${process.pid}`],
		] as const) {
			const { pid, said } = await act("serve", name, name);
			const own = { family: 1, path: shown, flags: [], type: 1 };
			expect(witness.of("bind", pid)).toEqual([expect.objectContaining({ ...own, result: 0 })]);
			expect(witness.of("listen", pid)).toEqual([expect.objectContaining({ ...own, argument: 7 })]);
			expect(witness.of("accept", pid)).toEqual(
				said.map(({ accept }) => expect.objectContaining({ ...own, result: accept })),
			);
		}
	});

	it("on a Unix socket is not seen to accept where nobody asks for Unix peers", async () => {
		const { kinds, connects } = interest;
		harness.capture.setInterest({ ...noInterest, kinds, connects: { ...connects, unix: false } });
		try {
			const name = `@picket-quiet-${process.pid}`;
			const { pid, said } = await act("serve", name, name);
			expect(said[1]?.accept).toBeGreaterThan(0);
			expect(["bind", "listen", "accept"].map((kind) => witness.of(kind as EventName, pid).length)).toEqual([
				1, 1, 0,
			]);
		} finally {
			harness.capture.setInterest(interest);
		}
	});

	it("that may not is seen with the reason, and with the address it asked for as its own word", async () => {
		const { pid, said } = await act("fail", "192.0.2.1", "80");
		expect(said[0]).toMatchObject({ bind: -99, accept: -22, listen: -95 });
		expect(witness.of("bind", pid)).toEqual([
			expect.objectContaining({
				result: -99,
				family: 2,
				local: "192.0.2.1",
				localPort: 80,
				remote: "0.0.0.0",
				remotePort: 0,
				flags: ["peerFromUser"],
			}),
		]);
		expect(witness.of("accept", pid)).toEqual([
			expect.objectContaining({ result: -22, descriptor: said[0]?.fd, family: 2, remotePort: 0 }),
		]);
		expect(witness.of("listen", pid)).toEqual([
			expect.objectContaining({ result: -95, descriptor: said[0]?.datagram, type: 2, argument: 3 }),
		]);
	});
});

describe("a socket", () => {
	it.each([
		["raw", 2, 3, 1],
		["raw IPv6", 10, 3, 58],
		["packet", 17, 3, 0x300],
	])(
		"of a %s sort is seen with family, type and protocol, made or refused",
		async (_, family, type, protocol) => {
			const args = ["socket", String(family), String(type | 0o2000000), String(protocol)];
			for (const more of [[], ["65534"]]) {
				const { pid, said } = await act(...args, ...more);
				expect((said[0]?.result ?? 0) < 0).toBe(more.length > 0);
				expect(witness.of("socket", pid)).toEqual([
					expect.objectContaining({
						family,
						type,
						protocol,
						result: said[0]?.result,
						descriptor: -1,
						syscall: syscalls.socket,
					}),
				]);
			}
		},
	);

	it("of an unknown or everyday sort is refused with its reason, or no event", async () => {
		const unknown = await act("socket", "45", "5", "0");
		expect(witness.of("socket", unknown.pid)).toEqual([
			expect.objectContaining({ family: 45, type: 5, result: unknown.said[0]?.result }),
		]);
		for (const [family, type] of [
			["1", "1"],
			["2", "1"],
			["10", "2"],
			["16", "3"],
		]) {
			const everyday = await act("socket", family as string, type as string, "0");
			expect(everyday.said[0]?.result).toBeGreaterThan(2);
			expect(witness.of("socket", everyday.pid)).toEqual([]);
		}
	});

	it("put onto standard input is seen with its peer, by every call that can do it", async () => {
		const { pid, said } = await act("dup", "127.0.0.1", String(port));
		const dup = {
			family: 2,
			remote: "127.0.0.1",
			remotePort: port,
			local: "127.0.0.1",
			localPort: said[0]?.port,
			descriptor: said[0]?.fd,
			result: 0,
			protocol: 6,
			type: 1,
		};
		const calls = process.arch === "arm64" ? [24, 23, 25, 25] : [33, 292, 32, 72, 72];
		const found = witness.of("dup", pid).filter(({ family }) => family === 2);
		expect(found).toEqual(calls.map((syscall) => expect.objectContaining({ ...dup, syscall })));
	});
});

describe("a datagram", () => {
	it.each([
		["127.0.0.1", 2, "127.0.0.1"],
		["::1", 10, "::1"],
		["::ffff:127.0.0.1", 2, "127.0.0.1"],
	])(
		"to %s is seen when its peer is another than the one before, whichever the call",
		async (to, family, remote) => {
			const { pid, said } = await act("send", to, "7", "9");
			expect(said[0]?.sent).toBe(6);
			const found = witness.of("send", pid);
			// The kernel names the peer of a connected IPv6 socket anew for each IPv4 datagram.
			const connected = to.startsWith("::ffff:") ? [9] : [];
			expect(found.map(({ remotePort }) => remotePort)).toEqual([7, 9, 7, ...connected]);
			for (const each of found)
				expect(each).toMatchObject({
					family,
					remote,
					localPort: said[0]?.port,
					protocol: 17,
					type: 2,
					result: 0,
					descriptor: -1,
					flags: [],
				});
		},
	);

	it("that no route leads to is seen all the same", async () => {
		const lonely = await run("unshare", ["-n", trigger, "send", "192.0.2.1", "7", "9"]);
		await harness.of(lonely.pid);
		expect(lonely.said[0]?.sent).toBe(-1); // sendmmsg's
		expect(witness.of("send", lonely.pid)).toEqual([
			expect.objectContaining({ remote: "192.0.2.1", remotePort: 7 }),
			expect.objectContaining({ remote: "192.0.2.1", remotePort: 9 }),
			expect.objectContaining({ remote: "192.0.2.1", remotePort: 7 }),
		]);
	});
});
