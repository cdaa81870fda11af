// A console's own certificate authority: made on first use, kept in a directory. Gives out the console's certificate,
// tokens for hosts and revocations; authority-service.ts answers the hosts.
import { createHash, randomBytes } from "node:crypto";
import { chmodSync } from "node:fs";
import { claimFile } from "../durable.ts";
import {
	fingerprintOf,
	type Issuer,
	issueServer,
	makeAuthority,
	makeKey,
	makeRevocations,
	revokedSerials,
	serialOf,
} from "../enrol/certificates.ts";
import { encodeToken } from "../enrol/token.ts";
import { CommandError } from "../failure.ts";
import { parseEndpoint } from "../report/address.ts";
import { errorText } from "../report/errors.ts";
import {
	type AuthorityFiles,
	hostIdForm,
	type IssuedCertificate,
	openAuthorityFiles,
} from "./authority-files.ts";

const day = 86_400_000;
const authorityMs = 3650 * day;
const serverMs = 365 * day;
const hourMs = 3_600_000;

export interface Authority {
	readonly files: AuthorityFiles;
	readonly issuer: Issuer;
	/** SHA-256 of its certificate, hex. */
	readonly fingerprint: string;
}

/** Opens it, and makes one where none is. Throws CommandError. */
export async function openAuthority(directory: string, now: number): Promise<Authority> {
	const files = openAuthorityFiles(directory);
	if (files.read("ca.pem") === "") {
		// The key first: whoever claims it makes the certificate for it; a crash between leaves a key to be used.
		claimFile(files.path("ca-key.pem"), makeKey());
		const name = `Picket authority ${randomBytes(4).toString("hex")}`;
		const until = now + authorityMs;
		claimFile(
			files.path("ca.pem"),
			await makeAuthority(files.read("ca-key.pem"), name, { from: now, until }),
		);
	}
	chmodSync(files.path("ca-key.pem"), 0o600);
	const issuer = { cert: files.read("ca.pem"), key: files.read("ca-key.pem") };
	try {
		const authority = { files, issuer, fingerprint: fingerprintOf(issuer.cert) };
		// What is marked counts; a list that is missing or damaged is written anew from that.
		await revokedSerials(files.read("crl.pem"), issuer.cert).catch(() => writeRevocations(authority, now));
		return authority;
	} catch (error) {
		if (error instanceof CommandError) throw error;
		throw new CommandError(
			`--authority ${directory}: ca.pem and ca-key.pem cannot be used: ${errorText(error)}`,
			"put both back from a copy; with new ones every host must be enrolled again",
		);
	}
}

/**
 * The console's own certificate with its chain, and its key, for these names; made anew when they change, and from two
 * thirds of its time on.
 */
export async function serverCertificate(
	{ files, issuer }: Authority,
	names: readonly string[],
	now: number,
	lifeMs = serverMs,
): Promise<{ cert: string; key: string; renewAt: number }> {
	const wanted = JSON.stringify(names);
	const kept = parseKept(files.read("server.json"));
	const revoked = await revokedSerials(files.read("crl.pem"), issuer.cert);
	if (kept?.names === wanted && now < kept.renewAt && now >= kept.from && !revoked.has(serialOf(kept.cert))) {
		return kept;
	}
	const key = makeKey();
	const leaf = await issueServer(issuer, key, names, { from: now, until: now + lifeMs });
	const fresh = {
		names: wanted,
		from: now,
		renewAt: now + Math.floor((lifeMs * 2) / 3),
		key,
		// With the authority itself: a host that enrols finds its fingerprint there.
		cert: leaf + (leaf.endsWith("\n") ? "" : "\n") + issuer.cert,
	};
	files.addCertificate("console", serialOf(leaf), {
		host: names[0] ?? "",
		issued: now,
		expires: now + lifeMs,
		by: "console",
	});
	files.replace("server.json", `${JSON.stringify(fresh)}\n`);
	return fresh;
}

interface Kept {
	readonly names: string;
	readonly from: number;
	readonly renewAt: number;
	readonly cert: string;
	readonly key: string;
}

function parseKept(text: string): Kept | undefined {
	try {
		const value = JSON.parse(text) as Kept;
		return typeof value.cert === "string" && typeof value.key === "string" ? value : undefined;
	} catch {
		return undefined;
	}
}

export interface TokenOptions {
	/** "host:port"; the running console's when left out. */
	readonly addresses?: readonly string[];
	readonly ttlMs?: number;
	/** Host id that may take a new certificate in place of those it has. */
	readonly replaces?: string;
}

/** The text to hand over. Throws CommandError. */
export function makeToken(authority: Authority, now: number, options: TokenOptions = {}): string {
	const { files, fingerprint } = authority;
	const listening = files.listening();
	if (listening === undefined) {
		throw new CommandError(
			`${files.directory}: no console has run with this authority yet`,
			`start it first: picket console --authority ${files.directory} --listen ADDRESS --name NAME`,
		);
	}
	const serverName = listening.names[0] ?? "console";
	const addresses = options.addresses ?? [defaultAddress(listening.listen, serverName)];
	for (const address of addresses) parseEndpoint(address, "--addresses");
	if (options.replaces !== undefined && !hostIdForm.test(options.replaces)) {
		throw new CommandError(`--replace ${options.replaces}: no host id`, '"picket console hosts" lists them');
	}
	const id = randomBytes(8).toString("hex");
	const secret = randomBytes(32).toString("base64url");
	const expires = now + (options.ttlMs ?? hourMs);
	files.forgetTokens(now - 7 * day);
	files.addToken(id, {
		hash: hashOf(secret),
		created: now,
		expires,
		addresses: [...addresses],
		serverName,
		replaces: options.replaces ?? "",
	});
	return encodeToken({
		addresses: [...addresses],
		fingerprint,
		serverName,
		secret: `${id}.${secret}`,
		expires,
	});
}

export function hashOf(secret: string): string {
	return createHash("sha256").update(secret).digest("hex");
}

/** A console that listens on every address is reached by its name. */
function defaultAddress(listen: string, serverName: string): string {
	return listen.replace(/^(0\.0\.0\.0|\[::\]):/, `${serverName}:`);
}

/**
 * Revokes all certificates of a host ("console": those of consoles); they are in the list when this resolves. How many
 * they were. Throws CommandError for a host that is not known.
 */
export async function revokeHost(authority: Authority, hostId: string, now: number): Promise<number> {
	const { files } = authority;
	const known = hostIdForm.test(hostId) ? files.certificates(hostId) : [];
	if (known.length === 0) {
		throw new CommandError(
			`${hostId}: no certificate was given to a host of this id`,
			`picket console hosts --authority ${files.directory} lists them`,
		);
	}
	let count = 0;
	// A renewal may be under way: it looks for the mark of the old one after it has written the new one.
	for (let round = 0; round < 2; round++) {
		for (const { serial, revoked } of files.certificates(hostId)) {
			if (revoked) continue;
			files.markRevoked(hostId, serial, now);
			count++;
		}
	}
	await writeRevocations(authority, now);
	return count;
}

/** Writes what is marked; once more when another has marked some meanwhile. */
async function writeRevocations({ files, issuer }: Authority, now: number): Promise<void> {
	const marked = (): string[] =>
		files
			.hosts()
			.flatMap((host) => files.certificates(host).flatMap(({ serial, revoked }) => (revoked ? serial : [])));
	for (let round = 0; round < 5; round++) {
		const before = marked();
		files.replace("crl.pem", await makeRevocations(issuer, before, now));
		if (marked().length === before.length) return;
	}
}

export interface KnownHost {
	readonly hostId: string;
	readonly certificates: readonly IssuedCertificate[];
}

export function listHosts({ files }: Authority): KnownHost[] {
	return files.hosts().map((hostId) => ({ hostId, certificates: files.certificates(hostId) }));
}
