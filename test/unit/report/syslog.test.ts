// Syslog messages as other programs take them apart, and their way over real sockets.
import { createSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import type * as wire from "../../../agent/model/picket.v1.ts";
import { parseSyslogAddress, type SyslogAddress } from "../../../agent/model/syslog.ts";
import type { Sink } from "../../../agent/report/sinks.ts";
import { type MessageForm, syslogMessage } from "../../../agent/report/syslog.ts";
import { createSyslogSink } from "../../../agent/report/syslog-sink.ts";
import { makeAuthority } from "./certificates.ts";
import { silent } from "./samples.ts";

const text: MessageForm = { facility: "authpriv", form: "text", pid: 42, maxBytes: 8192 };
const json: MessageForm = { ...text, form: "json" };

function alertOf(summary: string, more: wire.Alert = {}, sequence = "7"): wire.OutputRecord {
	const alert = {
		id: "a1",
		rule: "Reverse shell",
		severity: "SEVERITY_HIGH",
		summary,
		...more,
	} as wire.Alert;
	return { time: "2026-11-21T10:00:00.123456789Z", host: "web 1", sequence, alert };
}

/** RFC 5424's grammar, as far as a receiver needs it to find the message. */
const grammar =
	/^<(\d{1,3})>1 (\S+) ([\x21-\x7e]{1,255}) ([\x21-\x7e]{1,48}) ([\x21-\x7e]{1,128}) ([\x21-\x7e]{1,32}) (-|\[[^\]]*\]) (.*)$/s;

function parts(message: string): string[] {
	const match = grammar.exec(message);
	if (match === null) throw new Error(`no syslog message: ${message}`);
	return match.slice(1);
}

describe("a message", () => {
	it("has facility, severity, time, host, process, kind and number where receivers look for them", () => {
		const [priority, time, host, name, pid, kind, data, body] = parts(
			syslogMessage(alertOf("nc calls out"), text),
		);
		expect(priority).toBe(String(10 * 8 + 3));
		expect([time, host, name, pid, kind]).toEqual([
			"2026-11-21T10:00:00.123456Z",
			"web_1",
			"picket",
			"42",
			"alert",
		]);
		expect(data).toBe('[meta sequenceId="8"]');
		expect(body).toContain("Reverse shell: nc calls out");
	});

	it.each([
		["SEVERITY_CRITICAL", 2],
		["SEVERITY_MEDIUM", 4],
		["SEVERITY_LOW", 5],
		["SEVERITY_INFORMATIONAL", 6],
	] as const)("of %s has the severity %i", (severity, number) => {
		const message = syslogMessage(alertOf("x", { severity }), { ...text, facility: "local7" });
		expect(parts(message)[0]).toBe(String(23 * 8 + number));
	});

	it("in JSON is the record, in ASCII", () => {
		const record = alertOf("caf\u00e9 \u202egnp.exe \ud83d\ude00");
		const body = parts(syslogMessage(record, json))[7] ?? "";
		expect(body).toMatch(/^[\x20-\x7e]*$/);
		expect(JSON.parse(body)).toEqual(record);
	});

	it("marks text that is not ASCII as UTF-8", () => {
		expect(parts(syslogMessage(alertOf("café"), text))[7]).toMatch(/^\ufeff/);
		expect(parts(syslogMessage(alertOf("cafe"), text))[7]).not.toMatch(/^\ufeff/);
	});

	it.each([
		["a line end", "x\n<34>1 2026-01-01T00:00:00Z other su - - - root logged in"],
		["a carriage return", "x\r<34>1 - other su - - - y"],
		["a NUL", "x\0y"],
		["an escape sequence", "\x1b]0;title\x07\x1b[2J"],
		["a C1 control", "\u009b31m"],
		["line separators", "a\u2028b\u2029c\u0085d"],
		["turned writing", "\u202egnp.exe\u2066"],
		["an end of structured data", '"] injected ["'],
	])("cannot be forged by %s in a name", (_, evil) => {
		const record = alertOf(evil, { rule: evil });
		record.host = evil;
		for (const form of [text, json]) {
			const message = syslogMessage(record, form);
			// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
			expect(message).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/);
			expect(parts(message).slice(3, 7)).toEqual(["picket", "42", "alert", '[meta sequenceId="8"]']);
		}
	});

	it("is never longer than asked for: text is cut within no character, JSON loses its details", () => {
		const record = alertOf("é".repeat(5000), { fields: { "proc.cmdline": "x".repeat(9000) }, dedupKey: "k" });
		for (const maxBytes of [480, 1000, 4001, 8192]) {
			const message = syslogMessage(record, { ...text, maxBytes });
			expect(Buffer.byteLength(message)).toBeLessThanOrEqual(maxBytes);
			expect(message).not.toContain("\ufffd");
		}
		const small = JSON.parse(
			parts(syslogMessage(record, { ...json, maxBytes: 8192 }))[7] ?? "",
		) as typeof record;
		expect(small.alert).toMatchObject({ id: "a1", rule: "Reverse shell", dedupKey: "k" });
		expect(small.alert?.fields).toBeUndefined();
	});
});

it.each([
	["unix:/dev/log", { over: "unix", path: "/dev/log" }],
	["udp:loghost:514", { over: "udp", host: "loghost", port: 514 }],
	["tls:[2001:db8::1]:6514", { over: "tls", host: "2001:db8::1", port: 6514 }],
	["tcp:host", undefined],
	["http:host:80", undefined],
	["udp:host:0", undefined],
	["udp:host:70000", undefined],
	["unix:relative", undefined],
])("the address %s is %j", (address, meant) => {
	expect(parseSyslogAddress(address)).toEqual(meant);
});

let undo: (() => void)[] = [];
afterEach(async () => {
	for (const each of undo.toReversed()) await each();
	undo = [];
});

const waiting = { timeout: 10_000, interval: 20 };

function sinkTo(address: SyslogAddress, more: Partial<Parameters<typeof createSyslogSink>[0]> = {}): Sink {
	const sink = createSyslogSink({
		name: "syslog",
		address,
		facility: "authpriv",
		form: "text",
		maxMessageBytes: 8192,
		unixDatagram: () => false,
		clock: Date.now,
		logger: silent,
		report: () => undefined,
		retryMs: 50,
		...more,
	});
	undo.push(() => void sink.close());
	return sink;
}

/** Takes frames apart as RFC 6587 says; throws on what is none. */
function collector(): { messages: string[]; take(socket: Socket): void } {
	const messages: string[] = [];
	return {
		messages,
		take(socket) {
			let rest = Buffer.alloc(0);
			socket.on("error", () => {});
			socket.on("data", (chunk) => {
				rest = Buffer.concat([rest, chunk as Buffer]);
				for (;;) {
					const space = rest.indexOf(0x20);
					if (space < 0) return;
					const length = Number(rest.subarray(0, space).toString());
					if (!Number.isInteger(length)) throw new Error("no frame");
					if (rest.length < space + 1 + length) return;
					messages.push(rest.subarray(space + 1, space + 1 + length).toString());
					rest = rest.subarray(space + 1 + length);
				}
			});
		},
	};
}

async function listen(server: Server, port = 0): Promise<number> {
	await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
	undo.push(() => void server.close());
	return (server.address() as { port: number }).port;
}

describe("over the network", () => {
	it("arrives in datagrams", async () => {
		const receiver = createSocket("udp4");
		const got: string[] = [];
		receiver.on("message", (bytes) => got.push(bytes.toString()));
		await new Promise<void>((resolve) => receiver.bind(0, "127.0.0.1", resolve));
		undo.push(() => void receiver.close());
		const sink = sinkTo({ over: "udp", host: "127.0.0.1", port: receiver.address().port });
		sink.push(alertOf("first"));
		sink.push(alertOf("second"));
		await expect.poll(() => got.length, waiting).toBe(2);
		expect(got.map((message) => parts(message)[7])).toEqual([
			expect.stringContaining("first"),
			expect.stringContaining("second"),
		]);
		expect(sink.status().connected).toBe(true);
	});

	it("arrives whole and in order in counted frames, also what came while nobody listened", async () => {
		const away = createServer();
		const port = await listen(away);
		await new Promise((resolve) => away.close(resolve));
		const sink = sinkTo({ over: "tcp", host: "127.0.0.1", port });
		for (let i = 0; i < 100; i++) sink.push(alertOf(`number ${i} ends; é`, {}, String(i)));
		await expect.poll(() => sink.status().problem, waiting).toMatch(/ECONNREFUSED/);
		const { messages, take } = collector();
		await listen(createServer(take), port);
		await expect.poll(() => messages.length, waiting).toBe(100);
		messages.forEach((message, index) => {
			expect(parts(message)[7]).toContain(`number ${index} ends; é`);
		});
		expect(sink.status()).toMatchObject({ connected: true, problem: "", lost: "0" });
	});

	it("goes on over a new connection when the receiver ends one", async () => {
		const { messages, take } = collector();
		const sockets: Socket[] = [];
		const server = createServer((socket) => {
			sockets.push(socket);
			take(socket);
		});
		const sink = sinkTo({ over: "tcp", host: "127.0.0.1", port: await listen(server) });
		sink.push(alertOf("before"));
		await expect.poll(() => messages.length, waiting).toBe(1);
		sockets[0]?.destroy();
		await expect.poll(() => sockets[0]?.destroyed).toBe(true);
		await new Promise((resolve) => setTimeout(resolve, 50));
		sink.push(alertOf("after"));
		await expect.poll(() => messages.at(-1), waiting).toContain("after");
		expect(sockets.length).toBe(2);
	});

	it("is encrypted, to the receiver whose certificate is trusted and to no other", async () => {
		const authority = makeAuthority("log authority");
		const stranger = makeAuthority("stranger");
		undo.push(authority.remove, stranger.remove);
		const pair = authority.issue("localhost", "DNS:localhost,IP:127.0.0.1");
		const { messages, take } = collector();
		const server = createTlsServer(pair, take);
		const port = await listen(server);
		const to = { over: "tls", host: "localhost", port } as const;
		const wrong = sinkTo(to, { name: "wrong", tls: () => ({ ca: Buffer.from(stranger.cert) }) });
		wrong.push(alertOf("must not arrive"));
		await expect.poll(() => wrong.status().problem, waiting).toMatch(/certificate/);
		const sink = sinkTo(to, { tls: () => ({ ca: Buffer.from(authority.cert) }) });
		sink.push(alertOf("arrives"));
		await expect.poll(() => messages.length, waiting).toBe(1);
		expect(messages[0]).toContain("arrives");
	});

	it("to a local daemon waits until somebody takes it", async () => {
		let there = false;
		const got: string[] = [];
		const sink = sinkTo(
			{ over: "unix", path: "/dev/log" },
			{
				unixDatagram: (path, message) => {
					if (there) got.push(`${path} ${message}`);
					return there;
				},
			},
		);
		sink.push(alertOf("kept"));
		await expect.poll(() => sink.status().problem, waiting).toBe("nobody takes messages at /dev/log");
		there = true;
		await expect.poll(() => got.length, waiting).toBe(1);
		expect(got[0]).toContain("/dev/log <83>1 ");
	});
});
