// A host gets its certificate from a console with a one-time token, over real TLS.
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { enrol } from "../../../agent/commands/enrol.ts";
import { revokeHost, serverCertificate } from "../../../agent/console/authority.ts";
import { hostIdForm } from "../../../agent/console/authority-files.ts";
import { makeRevocations, serialOf } from "../../../agent/enrol/certificates.ts";
import { readEnrolled } from "../../../agent/enrol/store.ts";
import { decodeToken, encodeToken } from "../../../agent/enrol/token.ts";
import { callEnrol, checkHealth } from "../../../agent/grpc/client.ts";
import { connectAs, consoleWithAuthority, enrolHere, folder, refusalOf, requestFor, until } from "./rig.ts";

test("picket enrol: the host gets a certificate of its own, and the console lets it in by that", async () => {
	const console = await consoleWithAuthority();
	const state = folder();
	const { text, status } = await enrol(console.token(), { name: "hq", stateDir: state });
	expect(status).toBe(0);
	expect(text).toContain(`enrolled with console "hq" at ${console.address}`);
	const { consoles, problems } = readEnrolled(state);
	expect(problems).toEqual([]);
	const [hq] = consoles;
	if (hq === undefined) throw new Error("no console was stored");
	expect(hq.expires - Date.now()).toBeGreaterThan(89 * 86_400_000);
	const live = connectAs(console.address, hq.tls, hq.hostId);
	await until(live.welcomed);
	for (const file of ["key.pem", "cert.pem", "ca.pem", "crl.pem", "console.json"]) {
		expect(statSync(join(state, "consoles/hq", file)).mode & 0o777).toBe(0o600);
	}
	expect(existsSync(join(state, "consoles/.hq.pending"))).toBe(false);
	expect((await enrol(undefined, { name: "hq", list: true, stateDir: state })).text).toMatch(
		/^hq {2}127\.0\.0\.1/,
	);

	await expect(enrol(console.token(), { name: "hq", stateDir: state })).rejects.toMatchObject({
		message: expect.stringContaining('enrolled with a console "hq" already'),
		remedy: expect.stringContaining("picket enrol --remove hq"),
	});
	await enrol(undefined, { name: "x", remove: "hq", stateDir: state });
	expect(readEnrolled(state)).toEqual({ consoles: [], problems: [] });
	await expect(enrol(undefined, { name: "x", remove: "hq", stateDir: state })).rejects.toThrow(
		/no console "hq"/,
	);
});

test("the same request again gets the same answer; another with the same token is refused", async () => {
	const console = await consoleWithAuthority();
	const token = console.token();
	const kept = await requestFor("host-1");
	const first = await enrolHere(token, "host-1", kept);
	const again = await enrolHere(token, "host-1", kept);
	expect(again.tls.cert).toBe(first.tls.cert);
	await expect(enrolHere(token, "host-1")).rejects.toThrow(/the token was used at .* by host host-1/);
	await expect(enrolHere(token, "host-2", kept)).rejects.toThrow(/the token was used/);
	expect(console.authority.files.certificates("host-1")).toHaveLength(1);
});

test("of hosts that use one token at the same moment one gets in", async () => {
	const console = await consoleWithAuthority();
	const token = console.token();
	const made = await Promise.allSettled([1, 2, 3, 4, 5].map((number) => enrolHere(token, `host-${number}`)));
	expect(made.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
	expect(console.authority.files.hosts().filter((host) => host !== "console")).toHaveLength(1);
});

test("nor do two consoles that share an authority take one token twice", async () => {
	const directory = folder();
	const both = [await consoleWithAuthority({ directory }), await consoleWithAuthority({ directory })];
	const token = decodeToken(both[0]?.token() ?? "");
	const made = await Promise.allSettled(
		both.map(({ address }, at) => enrolHere(encodeToken({ ...token, addresses: [address] }), `host-${at}`)),
	);
	expect(made.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test("a token that has ended is refused, and both clocks are named", async () => {
	const console = await consoleWithAuthority();
	const token = console.token({ ttlMs: 1 });
	await new Promise((resolve) => setTimeout(resolve, 5));
	await expect(enrolHere(token, "host-1")).rejects.toMatchObject({
		message: expect.stringMatching(/the token ended at .*Z, and the console's clock says .*Z/),
	});
	// One that has ended long ago is not even sent.
	const old = encodeToken({
		...decodeToken(token),
		expires: Date.now() - 600_000,
		addresses: ["127.0.0.1:1"],
	});
	await expect(enrolHere(old, "host-1")).rejects.toThrow(/the token ended at .* this host's clock says/);
	expect(console.authority.files.hosts()).toEqual(["console"]);
});

test("a token that is forged or of another console is refused, and guessing is slowed down", async () => {
	const console = await consoleWithAuthority();
	const token = decodeToken(console.token());
	const forged = (secret: string): string => encodeToken({ ...token, secret });
	const [id] = token.secret.split(".");
	await expect(enrolHere(forged(`${id}.${"A".repeat(43)}`), "host-1")).rejects.toThrow(/knows no such token/);
	await expect(enrolHere(forged(`${"0".repeat(16)}.${"A".repeat(43)}`), "host-1")).rejects.toThrow(
		/knows no such token/,
	);
	const { request } = await requestFor("host-1");
	const tls = { ca: console.authority.issuer.cert, serverName: "hq.test" };
	const said: string[] = [];
	for (let count = 0; count < 12; count++) {
		const guess = { token: `${id}.${count}`, request, hostId: "host-1", host: "" };
		said.push(await callEnrol(console.address, tls, guess, 5000).then(String, (error) => String(error)));
	}
	expect(said[0]).toMatch(/knows no such token/);
	expect(said.at(-1)).toMatch(/too many attempts/);
	expect(console.authority.files.hosts()).toEqual(["console"]);
});

test("what is no token says so before anything is done", async () => {
	const token = encodeToken({
		addresses: ["127.0.0.1:1"],
		fingerprint: "a".repeat(64),
		serverName: "hq",
		secret: `${"0".repeat(16)}.${"A".repeat(43)}`,
		expires: 1,
	});
	expect(decodeToken(` ${token}\n`).serverName).toBe("hq");
	for (let cut = 8; cut < token.length; cut++) {
		expect(() => decodeToken(token.slice(0, cut))).toThrow(/damaged or was cut/);
	}
	expect(() => decodeToken("")).toThrow(/does not begin with "picket1."/);
	expect(() => decodeToken(token.replace("picket1", "picket2"))).toThrow(/another version/);
	await expect(enrol(undefined, { name: "hq", stateDir: folder() })).rejects.toMatchObject({
		message: "no token",
	});
	await expect(enrol(token, { name: "../x", stateDir: folder() })).rejects.toThrow(/not a name/);
});

test("a console that does not answer is named with each address, and the token stays good", async () => {
	const console = await consoleWithAuthority();
	const token = decodeToken(console.token());
	const away = encodeToken({ ...token, addresses: ["127.0.0.1:1", "127.0.0.1:2"] });
	await expect(enrolHere(away, "host-1")).rejects.toMatchObject({
		message: expect.stringMatching(/127\.0\.0\.1:1: .*ECONNREFUSED.*; 127\.0\.0\.1:2: .*ECONNREFUSED/),
		remedy: expect.stringContaining("is it running"),
	});
	const second = encodeToken({ ...token, addresses: ["127.0.0.1:1", console.address] });
	expect((await enrolHere(second, "host-1")).hostId).toBe("host-1");
});

test("a host that is enrolled is not replaced by whoever has its id, unless the token is for that", async () => {
	const console = await consoleWithAuthority();
	const first = await enrolHere(console.token(), "host-1");
	await expect(enrolHere(console.token(), "host-1")).rejects.toThrow(/enrolled already.*--replace host-1/);
	const token = console.token({ replaces: "host-1" });
	await expect(enrolHere(token, "host-2")).rejects.toThrow(/only for host host-1/);
	const second = await enrolHere(token, "host-1");
	await until(() => refusedSerial(console.service, first.tls.cert));
	expect(await refusalOf(console.address, first.tls, "host-1")).toMatch(/has been revoked/);
	expect(await refusalOf(console.address, second.tls, "host-1")).toBe("");
});

function refusedSerial(service: { identify(der: Buffer): unknown }, cert: string): boolean {
	try {
		service.identify(Buffer.from(cert.replace(/-----[A-Z ]+-----/g, ""), "base64"));
		return false;
	} catch {
		return true;
	}
}

test("without a certificate of the authority a host can do nothing but enrol", async () => {
	const console = await consoleWithAuthority();
	const other = await consoleWithAuthority();
	const { ca } = (await enrolHere(console.token(), "host-1")).tls;
	const stranger = (await enrolHere(other.token(), "host-1")).tls;
	const tls = { ca, serverName: "hq.test" };
	expect(await refusalOf(console.address, tls, "host-1")).toMatch(/asks for a certificate/);
	await expect(checkHealth(console.address, tls)).rejects.toThrow(/asks for a certificate/);
	const { cert, key } = stranger;
	expect(await refusalOf(console.address, { ...tls, cert, key }, "host-1")).toMatch(/asks for a certificate/);
	// The console's own certificate is not one for a host.
	const server = await serverCertificate(console.authority, ["hq.test"], Date.now());
	expect(await refusalOf(console.address, { ...tls, ...pick(server) }, "host-1")).toMatch(
		/asks for a certificate/,
	);
	expect(console.running.sensors()).toEqual([]);
});

function pick({ cert, key }: { cert: string; key: string }): { cert: string; key: string } {
	return { cert, key };
}

test("a host cannot speak for another: hello must name the host of the certificate", async () => {
	const console = await consoleWithAuthority();
	const { tls } = await enrolHere(console.token(), "host-1");
	expect(await refusalOf(console.address, tls, "host-2")).toMatch(/is not the one in the certificate/);
	expect(await refusalOf(console.address, tls, "host-1")).toBe("");
});

test("a host that is revoked loses its stream and stays out, while others stay; no restart", async () => {
	const console = await consoleWithAuthority();
	const [one, two] = [await enrolHere(console.token(), "host-1"), await enrolHere(console.token(), "host-2")];
	const first = connectAs(console.address, one.tls, "host-1");
	const second = connectAs(console.address, two.tls, "host-2");
	await until(() => first.welcomed() && second.welcomed());
	expect(await revokeHost(console.authority, "host-1", Date.now())).toBe(1);
	await until(() => first.problem() !== undefined);
	expect(first.problem()).toContain("has been revoked");
	expect(await refusalOf(console.address, one.tls, "host-1")).toMatch(/has been revoked/);
	second.beat();
	await until(() => second.beats() > 0);
	expect(second.problem()).toBeUndefined();
	// A list that cannot be read changes nothing.
	writeFileSync(console.authority.files.path("crl.pem"), "no list");
	await new Promise((resolve) => setTimeout(resolve, 100));
	expect(await refusalOf(console.address, one.tls, "host-1")).toMatch(/has been revoked/);
	await expect(revokeHost(console.authority, "../host-1", Date.now())).rejects.toThrow(
		/no certificate was given/,
	);
	expect(hostIdForm.test("..")).toBe(false);
});

test("a console whose certificate is revoked makes a new one, and a host with the list refuses the old", async () => {
	const console = await consoleWithAuthority();
	const { tls } = await enrolHere(console.token(), "host-1");
	const { issuer } = console.authority;
	const old = await serverCertificate(console.authority, ["hq.test"], Date.now());
	const crl = await makeRevocations(issuer, [serialOf(old.cert)], Date.now());
	expect(await refusalOf(console.address, { ...tls, crl }, "host-1")).toMatch(/revoked/);
	const empty = await makeRevocations(issuer, [], Date.now());
	expect(await refusalOf(console.address, { ...tls, crl: empty }, "host-1")).toBe("");
	await revokeHost(console.authority, "console", Date.now());
	await until(() => console.service.context().cert !== old.cert);
	const list = readFileSync(console.authority.files.path("crl.pem"), "utf8");
	expect(await refusalOf(console.address, { ...tls, crl: list }, "host-1")).toBe("");
});

test("a console that is started again knows tokens, hosts and revocations as before", async () => {
	const directory = folder();
	const before = await consoleWithAuthority({ directory });
	const enrolled = await enrolHere(before.token(), "host-1");
	const revoked = await enrolHere(before.token(), "host-2");
	await revokeHost(before.authority, "host-2", Date.now());
	before.service.close();
	await before.running.close();
	// Marks count, not the list: it is made anew.
	writeFileSync(join(directory, "crl.pem"), "damaged");
	const after = await consoleWithAuthority({ directory });
	expect(after.authority.fingerprint).toBe(before.authority.fingerprint);
	expect(await refusalOf(after.address, enrolled.tls, "host-1")).toBe("");
	expect(await refusalOf(after.address, revoked.tls, "host-2")).toMatch(/has been revoked/);
	// Neither key nor secret lies open.
	expect(statSync(join(directory, "ca-key.pem")).mode & 0o777).toBe(0o600);
	const token = decodeToken(after.token());
	const [id = "", secret = ""] = token.secret.split(".");
	expect(readFileSync(join(directory, `tokens/${id}.json`), "utf8")).not.toContain(secret);
});

test("a directory that cannot hold an authority is refused with its place and the way out", async () => {
	const open = folder();
	chmodSync(open, 0o755);
	await expect(consoleWithAuthority({ directory: open })).rejects.toThrow(
		`--authority ${open}: others than you`,
	);
	const file = join(folder(), "file");
	writeFileSync(file, "");
	await expect(consoleWithAuthority({ directory: file })).rejects.toMatchObject({
		remedy: expect.stringContaining("a directory of your own"),
	});
	const damaged = folder();
	writeFileSync(join(damaged, "ca.pem"), "nonsense");
	writeFileSync(join(damaged, "ca-key.pem"), "nonsense");
	await expect(consoleWithAuthority({ directory: damaged })).rejects.toMatchObject({
		message: expect.stringContaining("ca.pem and ca-key.pem cannot be used"),
		remedy: expect.stringContaining("put both back from a copy"),
	});
	await expect(consoleWithAuthority({ names: ["hq one"] })).rejects.toThrow(/--name hq one/);
});
