import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClientTls } from "../../../agent/tls.ts";
import { type Authority, makeAuthority, type Pair } from "../report/certificates.ts";
import { eventRecord } from "../report/samples.ts";
import { consoleAt, sensor, until } from "./rig.ts";

let authority: Authority & { remove(): void };
let stranger: Authority & { remove(): void };
let server: Pair;
let client: Pair;

beforeAll(() => {
	authority = makeAuthority("Test CA");
	stranger = makeAuthority("Other CA");
	server = authority.issue("console", "IP:127.0.0.1,DNS:console.test");
	client = authority.issue("host-1", "DNS:host-1");
});
afterAll(() => {
	authority.remove();
	stranger.remove();
});

async function problemOf(address: string, tls: ClientTls): Promise<string> {
	const sink = sensor(address, { tls });
	const first = sink.status().problem;
	await until(() => sink.status().problem !== first);
	expect(sink.status().connected).toBe(false);
	return sink.status().problem ?? "";
}

test("records travel over TLS to a console whose authority is known", async () => {
	const console = await consoleAt("127.0.0.1:0", { tls: server });
	const sink = sensor(console.address, { tls: { ca: authority.cert } });
	sink.push(eventRecord(1));
	await until(() => sink.status().acknowledged === "1");
	expect(console.records).toHaveLength(1);
});

test("a console signed by another authority is refused, and the problem says so", async () => {
	const console = await consoleAt("127.0.0.1:0", { tls: server });
	const problem = await problemOf(console.address, { ca: stranger.cert });
	expect(problem).toContain("not signed by the certificate authority (ca) in use here");
	expect(console.sensors()).toEqual([]);
});

test("the system's authorities do not vouch for a private console", async () => {
	const console = await consoleAt("127.0.0.1:0", { tls: server });
	expect(await problemOf(console.address, {})).toContain("not signed by the certificate authority");
});

test("a certificate for another name is refused, unless that name is expected", async () => {
	const other = authority.issue("elsewhere", "DNS:elsewhere.test");
	const console = await consoleAt("127.0.0.1:0", { tls: other });
	expect(await problemOf(console.address, { ca: authority.cert })).toContain("is for another name");
	const sink = sensor(console.address, { tls: { ca: authority.cert, serverName: "elsewhere.test" } });
	await until(() => sink.status().connected);
});

test("with mutual TLS a sensor gets in by its own certificate", async () => {
	const console = await consoleAt("127.0.0.1:0", { tls: { ...server, clientCa: authority.cert } });
	const sink = sensor(console.address, { tls: { ca: authority.cert, ...client } });
	sink.push(eventRecord(1));
	await until(() => sink.status().acknowledged === "1");
});

test("with mutual TLS a sensor without a certificate, or with a stranger's, stays out", async () => {
	const console = await consoleAt("127.0.0.1:0", { tls: { ...server, clientCa: authority.cert } });
	expect(await problemOf(console.address, { ca: authority.cert })).toMatch(
		/(does|may) not accept this sensor's certificate/,
	);
	const strange = stranger.issue("host-1", "DNS:host-1");
	expect(await problemOf(console.address, { ca: authority.cert, ...strange })).toMatch(
		/(does|may) not accept this sensor's certificate/,
	);
	expect(console.sensors()).toEqual([]);
});

test("a sensor with TLS does not talk to a console without, nor the other way round", async () => {
	const open = await consoleAt("127.0.0.1:0");
	expect(await problemOf(open.address, { ca: authority.cert })).toMatch(/not speak TLS/);
	const guarded = await consoleAt("127.0.0.1:0", { tls: server });
	const sink = sensor(guarded.address);
	await until(() => sink.status().problem?.includes("may expect TLS"));
});

test("clear text is refused towards any address but this host's own", async () => {
	for (const address of ["10.0.0.7:7443", "console.example.com:7443", "[2001:db8::1]:7443", "0.0.0.0:7443"]) {
		expect(() => sensor(address)).toThrow(expect.objectContaining({ code: "PLAINTEXT" }));
		await expect(consoleAt(address)).rejects.toThrow(/without TLS is refused.*certificate/);
	}
	for (const address of ["localhost:1", "127.9.9.9:1", "[::1]:1", "unix:/tmp/none.sock"]) {
		expect(() => sensor(address)).not.toThrow();
	}
});

test("an address or a certificate that cannot work is refused at once, with the way out", async () => {
	expect(() => sensor("console")).toThrow(/write "host:port"/);
	expect(() => sensor("unix:relative")).toThrow(/absolute path/);
	expect(() => sensor("127.0.0.1:70000")).toThrow(expect.objectContaining({ code: "ADDRESS" }));
	expect(() => sensor("127.0.0.1:1", { tls: { ca: "no pem" } })).toThrow(
		expect.objectContaining({ code: "CERTIFICATE" }),
	);
	const other = authority.issue("x", "DNS:x");
	expect(() => sensor("127.0.0.1:1", { tls: { cert: client.cert, key: other.key } })).toThrow(
		expect.objectContaining({ code: "CERTIFICATE" }),
	);
	await expect(consoleAt("127.0.0.1:0", { tls: { cert: "x", key: "y" } })).rejects.toThrow(
		expect.objectContaining({ code: "CERTIFICATE" }),
	);
});

test("an address that is taken gives a clear error", async () => {
	const console = await consoleAt("127.0.0.1:0");
	await expect(consoleAt(console.address)).rejects.toThrow(expect.objectContaining({ code: "LISTEN" }));
});
