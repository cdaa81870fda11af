// Whoever stands between a host and its console learns nothing: the host knows the console before it speaks.
import { randomBytes, X509Certificate } from "node:crypto";
import { connect } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { issueServer, makeAuthority, makeKey } from "../../../agent/enrol/certificates.ts";
import { decodeToken, encodeToken } from "../../../agent/enrol/token.ts";
import { consoleWithAuthority, enrolHere } from "./rig.ts";

const period = { from: Date.now(), until: Date.now() + 3_600_000 };

/** A TLS server that takes whatever it is sent. */
async function middle(cert: string, key: string): Promise<{ address: string; heard: () => Buffer }> {
	const heard: Buffer[] = [];
	const sockets = new Set<TLSSocket>();
	const server = createServer({ cert, key, ALPNProtocols: ["h2"] }, (socket) => {
		sockets.add(socket);
		socket.on("data", (chunk) => void heard.push(chunk));
		socket.on("error", () => {});
	});
	server.on("tlsClientError", () => {});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	onTestFinished(() => {
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const bound = server.address();
	const port = typeof bound === "object" ? bound?.port : 0;
	return { address: `127.0.0.1:${port}`, heard: () => Buffer.concat(heard) };
}

test("another authority, though of the same name, is seen by its fingerprint, and nothing is sent", async () => {
	const console = await consoleWithAuthority();
	const token = decodeToken(console.token());
	const caKey = makeKey();
	const name = new X509Certificate(console.authority.issuer.cert).subject.replace("CN=", "");
	const ca = await makeAuthority(caKey, name, period);
	const key = makeKey();
	const leaf = await issueServer({ cert: ca, key: caKey }, key, ["hq.test"], period);
	const between = await middle(`${leaf}\n${ca}`, key);
	await expect(
		enrolHere(encodeToken({ ...token, addresses: [between.address] }), "host-1"),
	).rejects.toMatchObject({
		message: expect.stringMatching(/is not the console of the token.*Nothing was sent/),
		remedy: expect.stringContaining("somebody stands between"),
	});
	expect(between.heard()).toHaveLength(0);
});

test("the true authority shown beside a certificate of one's own does not help", async () => {
	const console = await consoleWithAuthority();
	const token = decodeToken(console.token());
	const { cert: ca } = console.authority.issuer;
	const key = makeKey();
	// Same names all over, but signed by another key.
	const leaf = await issueServer({ cert: ca, key: makeKey() }, key, ["hq.test"], period);
	const between = await middle(`${leaf}\n${ca}`, key);
	await expect(enrolHere(encodeToken({ ...token, addresses: [between.address] }), "host-1")).rejects.toThrow(
		/is not the console of the token|not signed by|signature|no console of the token/,
	);
	expect(between.heard()).toHaveLength(0);
	// And the token was not used up by the try.
	expect((await enrolHere(encodeToken(token), "host-1")).hostId).toBe("host-1");
});

test("a certificate of the authority for another name is refused", async () => {
	const console = await consoleWithAuthority();
	const token = decodeToken(console.token());
	const key = makeKey();
	const leaf = await issueServer(console.authority.issuer, key, ["elsewhere.test"], period);
	const between = await middle(`${leaf}\n${console.authority.issuer.cert}`, key);
	await expect(enrolHere(encodeToken({ ...token, addresses: [between.address] }), "host-1")).rejects.toThrow(
		/is for another name/,
	);
	expect(between.heard()).toHaveLength(0);
});

test("a console whose certificate is of another time names both clocks", async () => {
	const console = await consoleWithAuthority();
	const token = decodeToken(console.token());
	for (const [from, word] of [
		[Date.now() + 86_400_000, "set this host's clock"],
		[Date.now() - 86_400_000, "is this host's clock right"],
	] as const) {
		const key = makeKey();
		const leaf = await issueServer(console.authority.issuer, key, ["hq.test"], {
			from,
			until: from + 3_600_000,
		});
		const between = await middle(`${leaf}\n${console.authority.issuer.cert}`, key);
		await expect(
			enrolHere(encodeToken({ ...token, addresses: [between.address] }), "host-1"),
		).rejects.toMatchObject({
			message: expect.stringMatching(/holds from .*Z to .*Z, and this host's clock says .*Z/),
			remedy: expect.stringContaining(word),
		});
	}
});

test("rubbish on the console's port harms neither it nor the next host", async () => {
	const console = await consoleWithAuthority();
	const [host = "", port = ""] = console.address.split(":");
	for (let count = 0; count < 20; count++) {
		await new Promise<void>((resolve) => {
			const socket = connect(Number(port), host, () => socket.end(randomBytes(2000)));
			socket.on("error", () => {});
			socket.on("close", () => resolve());
			socket.resume();
		});
	}
	expect((await enrolHere(console.token(), "host-1")).hostId).toBe("host-1");
});
