// Versions of TLS, revoked and renewed certificates, on real connections.
import { createSecureServer } from "node:http2";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { consoleAt, hello, until } from "../console/rig.ts";
import { type Authority, makeAuthority, type Pair } from "../report/certificates.ts";
import { type Rig, rig } from "./stream-rig.ts";

let authority: Authority & { remove(): void };
let server: Pair;
let client: Pair;
let other: Pair;

beforeAll(() => {
	authority = makeAuthority("Test CA");
	server = authority.issue("console", "IP:127.0.0.1");
	client = authority.issue("host-1", "DNS:host-1");
	other = authority.issue("host-2", "DNS:host-2");
});
afterAll(() => authority.remove());

const base = { id: 1, kind: "console", name: "test" } as const;
function sensor(address: string, pair: Pair, hostId: string, crl?: string): Rig {
	return rig([address], {
		config: {
			...base,
			addresses: [address],
			tls: { ca: authority.cert, ...pair, ...(crl !== undefined && { crl }) },
		},
		hello: () => ({ ...hello, hostId }),
	});
}

test("nothing below TLS 1.3 is spoken, on either side", async () => {
	const old = createSecureServer({ ...server, maxVersion: "TLSv1.2" }).listen(0, "127.0.0.1");
	await new Promise((resolve) => old.once("listening", resolve));
	onTestFinished(() => void old.close());
	const address = old.address();
	const one = sensor(`127.0.0.1:${typeof address === "object" ? address?.port : 0}`, client, "host-1");
	await until(() => one.stream.state.problem.includes("does not speak TLS 1.3"));

	const console = await consoleAt("127.0.0.1:0", { tls: { ...server, clientCa: authority.cert } });
	const port = Number(console.address.split(":")[1]);
	const refusal = await new Promise<string>((resolve) => {
		const socket = connectTls({ port, host: "127.0.0.1", maxVersion: "TLSv1.2", rejectUnauthorized: false });
		onTestFinished(() => void socket.destroy());
		socket.on("secureConnect", () => resolve(`spoke ${socket.getProtocol()}`));
		socket.on("error", (error) => resolve(error.message));
	});
	expect(refusal).toMatch(/protocol version/);
});

test("a console whose certificate is revoked is refused, also when the list comes while it is connected", async () => {
	const console = await consoleAt("127.0.0.1:0", { tls: server });
	const one = sensor(console.address, client, "host-1", authority.crl(other));
	await until(() => one.stream.state.connected);
	one.stream.reconfigure({
		...base,
		addresses: [console.address],
		tls: { ca: authority.cert, ...client, crl: authority.crl(server) },
	});
	await until(() => one.stream.state.problem.includes("is revoked"));
	one.push(1);
	expect(one.stream.state.connected).toBe(false);
	expect(console.records).toEqual([]);
});

test("a sensor that is revoked while it is connected is sent away and stays out; the others come back", async () => {
	const tls = { ...server, clientCa: authority.cert };
	const console = await consoleAt("127.0.0.1:0", { tls: { ...tls, crl: authority.crl() } });
	const bad = sensor(console.address, client, "host-1");
	const good = sensor(console.address, other, "host-2");
	await until(() => console.sensors().length === 2);
	console.renewTls({ ...tls, crl: authority.crl(client) });
	await until(() => !bad.stream.state.connected);
	good.push(1);
	await until(() => good.source.held === 0);
	await until(() => console.sensors().length === 1);
	expect(console.sensors()[0]?.hostId).toBe("host-2");
	expect(bad.stream.state.connected).toBe(false);
	expect(bad.stream.state.problem).toMatch(/revoked|not accept this sensor's certificate/);
	// What cannot work changes nothing.
	expect(() => console.renewTls({ ...tls, crl: "no list" })).toThrow(/cannot be used/);
	good.push(2);
	await until(() => good.source.held === 0);
});

test("a new certificate of the sensor is used when the old one ends, and until then nothing is cut", async () => {
	const start = Date.now();
	const console = await consoleAt("127.0.0.1:0", { tls: { ...server, clientCa: authority.cert } });
	const { certificateEnd } = await import("../../../agent/tls.ts");
	const end = certificateEnd(client.cert) ?? 0;
	const left = 2500;
	// The sensor's clock: the certificate is about to end.
	const one = rig([console.address], {
		config: { ...base, addresses: [console.address], tls: { ca: authority.cert, ...client } },
		clock: () => end - left + (Date.now() - start),
	});
	await until(() => one.stream.state.connected);
	const before = console.sensors()[0]?.connectedAt ?? 0;
	const tls = { ca: authority.cert, ...authority.issue("host-1", "DNS:host-1") };
	one.stream.reconfigure({ ...base, addresses: [console.address], tls });
	one.push(1);
	await until(() => one.source.held === 0);
	expect(console.sensors()[0]?.connectedAt).toBe(before);
	await until(() => (console.sensors()[0]?.connectedAt ?? before) > before);
	expect(one.logs).toContain("connecting again with the new certificate");
	expect(() => one.stream.reconfigure({ ...base, addresses: [console.address], tls: { ca: "?" } })).toThrow(
		/cannot be used/,
	);
	one.push(2);
	await until(() => one.source.held === 0);
});
