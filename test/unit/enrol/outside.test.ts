// Enrolment looked at from outside: by OpenSSL's own tool, by /proc, by the words the commands print.
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { hosts, revoke, token } from "../../../agent/commands/authority.ts";
import { decodeToken, encodeToken } from "../../../agent/enrol/token.ts";
import { runJob } from "../../../agent/enrol/unprivileged.ts";
import { childrenOf, expectConfined, statusOf } from "../confined.ts";
import { consoleWithAuthority, enrolHere, folder, requestFor, until } from "./rig.ts";

function openssl(...args: string[]): string {
	try {
		return execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
	} catch (error) {
		return String((error as { stderr?: string }).stderr);
	}
}

test("OpenSSL finds certificates and revocations as they should be, strictly", async () => {
	const console = await consoleWithAuthority();
	const { files } = console.authority;
	const one = await enrolHere(console.token(), "host-1");
	const at = folder();
	const path = (name: string): string => join(at, name);
	writeFileSync(path("host.pem"), one.tls.cert);
	writeFileSync(path("console.pem"), console.service.context().cert);
	const trust = [
		"-x509_strict",
		"-CAfile",
		files.path("ca.pem"),
		"-crl_check",
		"-CRLfile",
		files.path("crl.pem"),
	];
	expect(openssl("verify", ...trust, "-purpose", "sslclient", path("host.pem"))).toContain("OK");
	expect(openssl("verify", ...trust, "-purpose", "sslserver", path("host.pem"))).toMatch(
		/purpose|unsuitable/,
	);
	expect(openssl("verify", ...trust, "-purpose", "sslserver", path("console.pem"))).toContain("OK");
	expect(openssl("verify", ...trust, "-purpose", "sslclient", path("console.pem"))).toMatch(
		/purpose|unsuitable/,
	);
	const text = openssl("x509", "-in", path("host.pem"), "-noout", "-subject", "-text");
	expect(text).toMatch(/CN ?= ?host-1/);
	expect(text).toContain("P-256");
	await revoke("host-1", { authority: files.directory });
	expect(openssl("verify", ...trust, path("host.pem"))).toMatch(/revoked/);
});

test("a request whose key is of another kind, or not its own, gets no certificate", async () => {
	const console = await consoleWithAuthority();
	const at = folder();
	const rsa = [
		"req",
		"-new",
		"-newkey",
		"rsa:2048",
		"-nodes",
		"-subj",
		"/CN=host-1",
		"-keyout",
		join(at, "k"),
	];
	openssl(...rsa, "-out", join(at, "rsa.csr"));
	const { key, request } = await requestFor("host-1");
	/** With one bit changed, so many bytes before its end. */
	const tampered = (back: number): string => {
		const bytes = Buffer.from(request.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");
		bytes[bytes.length - back] = (bytes[bytes.length - back] ?? 0) ^ 1;
		const body = bytes.toString("base64");
		return `-----BEGIN CERTIFICATE REQUEST-----\n${body}\n-----END CERTIFICATE REQUEST-----\n`;
	};
	for (const [csr, words] of [
		[readFileSync(join(at, "rsa.csr"), "utf8"), /must be ECDSA P-256/],
		[tampered(1), /not signed by its own key/],
		[tampered(90), /no point of the curve|not signed by its own key/],
		["nonsense", /cannot be read/],
		["x".repeat(9000), /too long/],
	] as const) {
		await expect(enrolHere(console.token(), "host-1", { key, request: csr })).rejects.toThrow(words);
	}
	expect(console.authority.files.hosts()).toEqual(["console"]);
});

test("the commands of the console's admin: token, hosts, revoke", async () => {
	const console = await consoleWithAuthority();
	const authority = console.authority.files.directory;
	const made = await token({ authority, ttl: "30m", addresses: `${console.address}, hq.example:7443` });
	const read = decodeToken(made.text);
	expect(read.addresses).toEqual([console.address, "hq.example:7443"]);
	expect(read.expires - Date.now()).toBeGreaterThan(29 * 60_000);
	expect((await hosts({ authority })).text).toMatch(/^authority [0-9a-f]{64}\nno host is enrolled/);
	await enrolHere(made.text, "host-1");
	expect((await hosts({ authority })).text).toMatch(/host-1 {2}host-1\.test {2}certificate until 20/);
	expect((await revoke("host-1", { authority })).text).toMatch(/^host-1: 1 certificate revoked/);
	expect((await revoke("host-1", { authority })).text).toMatch(/revoked already/);
	expect((await hosts({ authority })).text).toMatch(/host-1 {2}host-1\.test {2}revoked/);
	await expect(token({ authority, ttl: "1y" })).rejects.toThrow(/--ttl 1y/);
	await expect(token({ authority, ttl: "1h", addresses: "hq" })).rejects.toThrow(/--addresses: "hq"/);
	await expect(token({ ttl: "1h" })).rejects.toMatchObject({
		remedy: expect.stringContaining("--authority"),
	});
	await expect(token({ authority: folder(), ttl: "1h" })).rejects.toThrow(/no console has run/);
});

/** Takes connections and says nothing. */
async function blackHole(): Promise<{ readonly sockets: Set<Socket>; readonly address: string }> {
	const sockets = new Set<Socket>();
	const silent = createServer((socket) => void sockets.add(socket.on("error", () => {})));
	await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
	onTestFinished(() => {
		for (const socket of sockets) socket.destroy();
		silent.close();
	});
	const bound = silent.address();
	return { sockets, address: `127.0.0.1:${typeof bound === "object" ? bound?.port : 0}` };
}

async function exchangeJob(address: string) {
	const console = await consoleWithAuthority();
	const token = decodeToken(encodeToken({ ...decodeToken(console.token()), addresses: [address] }));
	const { request } = await requestFor("host-1");
	return { job: "exchange", token, request, hostId: "host-1", host: "web-1" } as const;
}

// Another than root has no rights to give up.
test.skipIf(process.getuid?.() !== 0)("the child that speaks with a console has no rights", async () => {
	const { sockets, address } = await blackHole();
	const ended = runJob(await exchangeJob(address)).then(String, (error) => String(error));
	await until(() => sockets.size > 0, 30_000);
	const children = childrenOf(process.pid, "enrol/worker.ts");
	expect(children).toHaveLength(1);
	expectConfined(children[0] ?? 0);
	for (const socket of sockets) socket.destroy();
	expect(await ended).toMatch(/no console of the token could be used/);
});

test("the child that speaks with a console ends with whoever started it, whatever that dies of", async () => {
	const { sockets, address } = await blackHole();
	const module = new URL("../../../agent/enrol/unprivileged.ts", import.meta.url).href;
	const job = JSON.stringify(await exchangeJob(address));
	const program = `import { runJob } from ${JSON.stringify(module)}; await runJob(${job});`;
	const parent = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "ignore" });
	onTestFinished(() => void parent.kill("SIGKILL"));
	await until(() => sockets.size > 0, 30_000);
	const [child = 0] = childrenOf(parent.pid ?? 0, "enrol/worker.ts");
	expect(child).toBeGreaterThan(0);
	parent.kill("SIGKILL");
	// By itself it would wait ten seconds for an answer.
	await until(() => ["", "Z (zombie)"].includes(statusOf(child, "State")), 4000);
});
