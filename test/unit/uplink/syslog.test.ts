// Syslog over the network against a real rsyslog, and against receivers that misbehave.
import { createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { addon } from "../../../agent/capture/addon.ts";
import type { OutletState } from "../../../agent/model/delivery.ts";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { createSyslogOutlet, type SyslogOutletOptions } from "../../../agent/uplink/syslog.ts";
import { makeAuthority } from "../report/certificates.ts";
import { type MemorySource, memorySource } from "./memory-source.ts";
import { makeRsyslog, type Received, type Rsyslog } from "./rsyslog.ts";

const waiting = { timeout: 20_000, interval: 20 };
const authority = makeAuthority("log authority");
const stranger = makeAuthority("stranger");
let rsyslog: Rsyslog;

beforeAll(async () => {
	const pair = authority.issue("localhost", "DNS:localhost");
	rsyslog = await makeRsyslog({ ...pair, ca: authority.cert });
	await rsyslog.start();
}, 60_000);
afterAll(async () => {
	await rsyslog?.remove();
	authority.remove();
	stranger.remove();
});

const undo: (() => unknown)[] = [];
afterEach(async () => {
	for (const each of undo.splice(0).toReversed()) await each();
});

type Config = SyslogOutletOptions["config"];

interface Rig {
	readonly source: MemorySource;
	readonly states: OutletState[];
	readonly logs: string[];
	state(): OutletState | undefined;
	close(): Promise<void>;
}

function outletTo(
	address: string,
	more: Partial<Config> = {},
	options: Partial<SyslogOutletOptions> = {},
): Rig {
	const source = memorySource();
	const states: OutletState[] = [];
	const logs: string[] = [];
	const outlet = createSyslogOutlet({
		config: {
			id: 1,
			kind: "syslog",
			name: "logs",
			address,
			facility: "local3",
			form: "text",
			maxMessageBytes: 8192,
			...more,
		},
		source,
		onState: (state) => states.push(state),
		log: (level, message) => logs.push(`${level} ${message}`),
		unconfirmed: (descriptor) => addon().socketUnconfirmed(descriptor),
		pid: 42,
		times: { settle: 100, firstRetry: 20, lastRetry: 100, close: 1000 },
		...options,
	});
	undo.push(outlet.close);
	return { source, states, logs, state: () => states.at(-1), close: outlet.close };
}

function alertOf(number: number, summary: string, more: wire.Alert = {}): wire.OutputRecord {
	const alert: wire.Alert = { id: `a${number}`, rule: "Shell", severity: "SEVERITY_HIGH", summary, ...more };
	return { time: "2026-11-21T10:00:00.123456789Z", host: "web-1", sequence: String(number), alert };
}
let used = 0;
/** A word that no other test's messages hold. */
const marker = (): string => `mark${++used}x${process.pid}`;
const linesWith = (mark: string): string[] => rsyslog.lines().filter((line) => line.includes(mark));
const withMark = (mark: string): Received[] => linesWith(mark).map((line) => JSON.parse(line) as Received);

describe.each([
	["udp", "127.0.0.1"],
	["tcp", "127.0.0.1"],
	["tls", "localhost"],
] as const)("over %s rsyslog gets", (over, host) => {
	const address = () => `${over}:${host}:${over === "tls" ? rsyslog.tlsPort : rsyslog.port}`;
	const tls = over === "tls" ? { tls: { ca: authority.cert } } : {};

	it("text with facility, severity, time, host, name, kind and number where they belong", async () => {
		const mark = marker();
		let asked = 0;
		const unconfirmed = (descriptor: number): number => {
			asked++;
			return addon().socketUnconfirmed(descriptor);
		};
		const { source, state } = outletTo(address(), tls, { unconfirmed });
		source.push(alertOf(7, `${mark} caf\u00e9 "q" ] \\`));
		await expect.poll(() => withMark(mark), waiting).toHaveLength(1);
		const [got] = withMark(mark);
		expect(got).toMatchObject({
			pri: String(19 * 8 + 3),
			facility: "local3",
			severity: "err",
			host: "web-1",
			app: "picket",
			pid: "42",
			id: "alert",
			data: '[meta sequenceId="8"]',
			time: "2026-11-21T10:00:00.123456Z",
		});
		expect(got?.message).toContain(`Shell: ${mark} caf\u00e9 "q" ] \\`);
		await expect.poll(() => source.acknowledged, waiting).toBe(1);
		await expect.poll(state, waiting).toMatchObject({
			connected: true,
			address: address(),
			sent: 1,
			acknowledged: 1,
			problem: "",
		});
		// Also behind TLS it is the socket itself that is asked.
		expect(asked > 0).toBe(over !== "udp");
	});

	it("JSON that is the record", async () => {
		const mark = marker();
		const { source } = outletTo(address(), { ...tls, form: "json" });
		const record = alertOf(9, `${mark} \u202egnp.exe \ud83d\ude00\n<34>1`, { severity: "SEVERITY_CRITICAL" });
		source.push(record);
		await expect.poll(() => withMark(mark), waiting).toHaveLength(1);
		const [got] = withMark(mark);
		expect(got?.severity).toBe("crit");
		expect(JSON.parse(got?.message ?? "")).toEqual(record);
	});
});

describe("over TLS", () => {
	it.each([
		["an authority that is not trusted", () => ({ tls: { ca: stranger.cert } }), "localhost"],
		["another name", () => ({ tls: { ca: authority.cert, serverName: "other.example" } }), "localhost"],
		["a name where an address was asked for", () => ({ tls: { ca: authority.cert } }), "127.0.0.1"],
	])("nothing goes to a receiver with %s", async (_, tls, host) => {
		const mark = marker();
		const { source, state } = outletTo(`tls:${host}:${rsyslog.tlsPort}`, tls());
		source.push(alertOf(1, mark));
		await expect.poll(() => state()?.problem, waiting).toMatch(/certificate|altnames/i);
		expect(source.taken).toEqual([]);
		expect(source.acknowledged).toBe(0);
	});
});

describe("many messages", () => {
	const long = process.env.PICKET_SOAK === "1";
	const count = long ? 100_000 : 6000;

	it(`${count} arrive in order over TCP, and none is lost when rsyslog is restarted meanwhile`, async () => {
		const mark = marker();
		const { source, state } = outletTo(`tcp:127.0.0.1:${rsyslog.port}`);
		for (let i = 1; i <= count; i++) source.push(alertOf(i, `${mark} number ${i} ends`));
		for (const share of long ? [0.1, 0.3, 0.5, 0.7] : [0.3]) {
			await expect.poll(() => linesWith(mark).length, waiting).toBeGreaterThan(count * share);
			await rsyslog.stop();
			await new Promise((resolve) => setTimeout(resolve, 100));
			await rsyslog.start();
		}
		await expect.poll(() => source.acknowledged, { ...waiting, timeout: 150_000 }).toBe(count);
		const numbers = withMark(mark).map(({ message }) => Number(/number (\d+) ends/.exec(message)?.[1]));
		const first = new Set<number>();
		const inOrder = numbers.filter((number) => !first.has(number) && first.add(number));
		expect(inOrder).toEqual(Array.from({ length: count }, (__, index) => index + 1));
		process.stdout.write(`syslog: ${count} messages, ${numbers.length - count} of them twice\n`);
		expect(source.rewinds).toBeGreaterThan(0);
		await expect.poll(state, waiting).toMatchObject({ connected: true, acknowledged: count, problem: "" });
	}, 300_000);
});

async function receiver(onConnection: (socket: Socket) => void, port = 0): Promise<number> {
	const sockets = new Set<Socket>();
	const server: Server = createServer((socket) => {
		sockets.add(socket);
		socket.on("error", () => {});
		onConnection(socket);
	});
	await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
	undo.push(async () => {
		for (const socket of sockets) socket.destroy();
		await new Promise((resolve) => server.close(resolve));
	});
	return (server.address() as { port: number }).port;
}

describe("a receiver that", () => {
	it("takes a message and hangs up at once gets it again", async () => {
		let connections = 0;
		let text = "";
		const port = await receiver((socket) => {
			const early = ++connections < 4;
			socket.on("data", (data) => {
				text += String(data);
				if (early) socket.destroy();
			});
		});
		const { source } = outletTo(`tcp:127.0.0.1:${port}`);
		source.push(alertOf(1, "one"));
		await expect.poll(() => source.acknowledged, waiting).toBe(1);
		expect(text.split("Shell: one").length - 1).toBe(4);
		expect(connections).toBe(4);
	});

	it("stops reading is left, and what its kernel did not take does not count as arrived", async () => {
		const port = await receiver((socket) => socket.pause());
		const { source, states } = outletTo(
			`tcp:127.0.0.1:${port}`,
			{ form: "json", maxMessageBytes: 100_000 },
			{ times: { settle: 50, stall: 300, firstRetry: 20, lastRetry: 50, close: 100 } },
		);
		for (let i = 1; i <= 400; i++) source.push(alertOf(i, "x".repeat(60_000)));
		await expect
			.poll(() => states.map(({ problem }) => problem).join("\n"), waiting)
			.toMatch(/has (taken|confirmed) nothing for 0.3 s/);
		expect(source.acknowledged).toBeLessThan(400);
	});

	it("confirms nothing, as behind a cable that was cut, is left, and nothing counts as arrived", async () => {
		const port = await receiver((socket) => socket.resume());
		const asked: number[] = [];
		const { source, states } = outletTo(
			`tcp:127.0.0.1:${port}`,
			{},
			{
				unconfirmed: (descriptor) => {
					asked.push(addon().socketUnconfirmed(descriptor));
					return 1000;
				},
				times: { settle: 20, stall: 200, firstRetry: 20, lastRetry: 50, close: 100 },
			},
		);
		source.push(alertOf(1, "one"));
		await expect
			.poll(() => states.map(({ problem }) => problem).join("\n"), waiting)
			.toContain("has confirmed nothing for 0.2 s");
		expect(source.acknowledged).toBe(0);
		expect(asked.length).toBeGreaterThan(0);
	});

	it("is not there is tried again and told of once", async () => {
		const port = await receiver(() => {});
		for (const each of undo.splice(0)) await each();
		const { source, logs, state } = outletTo(`tcp:127.0.0.1:${port}`);
		source.push(alertOf(1, "waits"));
		await expect.poll(() => source.rewinds, waiting).toBeGreaterThan(3);
		expect(state()).toMatchObject({ connected: false, address: "" });
		expect(logs).toEqual([expect.stringContaining("ECONNREFUSED")]);
		let text = "";
		await receiver((socket) => {
			socket.on("data", (data) => {
				text += String(data);
			});
		}, port);
		await expect.poll(() => text, waiting).toContain("waits");
		await expect.poll(() => logs.at(-1), waiting).toBe("info syslog receiver logs takes messages again");
	});

	it("is asked less and less often, at random times up to the longest pause", async () => {
		const pauses: number[] = [];
		const port = await receiver((socket) => socket.destroy());
		const times = { settle: 20, firstRetry: 10, lastRetry: 80, close: 100 };
		let calls = 0;
		const random = (): number => {
			pauses.push(performance.now());
			return ++calls % 2;
		};
		outletTo(`tcp:127.0.0.1:${port}`, {}, { times, random });
		await expect.poll(() => calls, waiting).toBeGreaterThan(9);
		const gaps = pauses.map((at, index) => at - (pauses[index - 1] ?? at));
		// Behind a pause of the whole limit: 10, 40, 80, 80 ms.
		expect(gaps[9]).toBeGreaterThanOrEqual(79);
		expect(gaps[1]).toBeLessThan(79);
	});

	it("listens on no UDP port is no reason to forget anything", async () => {
		const { source, states } = outletTo("udp:127.0.0.1:9");
		source.push(alertOf(1, "one"));
		await expect.poll(() => states.some(({ problem }) => /ECONNREFUSED/.test(problem)), waiting).toBe(true);
		expect(source.acknowledged).toBe(0);
	});
});

describe("a record that", () => {
	it("cannot be read is set aside, the others arrive", async () => {
		const mark = marker();
		const { source, logs } = outletTo(`tcp:127.0.0.1:${rsyslog.port}`);
		source.push(alertOf(1, `${mark} first`));
		source.pushBytes(Buffer.from([0xff, 0xff, 0xff]));
		source.pushBytes(Buffer.alloc(0));
		source.push(alertOf(2, `${mark} second`));
		await expect.poll(() => withMark(mark), waiting).toHaveLength(2);
		await expect.poll(() => source.acknowledged, waiting).toBe(4);
		expect(source.quarantined.map(({ position }) => position)).toEqual([2, 3]);
		expect(logs.filter((line) => line.startsWith("error"))).toHaveLength(2);
	});

	it("is larger than a datagram can be goes without its details, not round and round", async () => {
		const mark = marker();
		const { source } = outletTo(`udp:127.0.0.1:${rsyslog.port}`, {
			form: "json",
			maxMessageBytes: 1_048_576,
		});
		source.push(alertOf(1, mark, { fields: { "proc.cmdline": "y".repeat(200_000) } }));
		await expect.poll(() => withMark(mark), waiting).toHaveLength(1);
		await expect.poll(() => source.acknowledged, waiting).toBe(1);
	});
});

it("on its way to the end hands over what was taken, and takes nothing new", async () => {
	const mark = marker();
	const { source, close } = outletTo(`tcp:127.0.0.1:${rsyslog.port}`);
	for (let i = 1; i <= 100; i++) source.push(alertOf(i, mark));
	await expect.poll(() => source.taken.length, waiting).toBe(100);
	await close();
	expect(source.acknowledged).toBe(100);
	source.push(alertOf(101, mark));
	expect(source.taken).toHaveLength(100);
	expect(withMark(mark)).toHaveLength(100);
});

it("a connection that lives is well also while there is nothing to send, and after it was lost", async () => {
	const sockets: Socket[] = [];
	const port = await receiver((socket) => sockets.push(socket));
	const { states, state } = outletTo(`tcp:127.0.0.1:${port}`);
	await expect.poll(state, waiting).toMatchObject({ connected: true, problem: "" });
	sockets[0]?.destroy();
	await expect.poll(() => states.some(({ problem }) => /ended|RESET/.test(problem)), waiting).toBe(true);
	await expect.poll(state, waiting).toMatchObject({ connected: true, problem: "" });
});

it("leads nowhere but over a network", () => {
	expect(() => outletTo("unix:/dev/log")).toThrow("no syslog receiver on a network");
});
