// What a running console answers to hosts that enrol or renew, and who it lets in. Every refusal says why and what to do.
import { createHash, timingSafeEqual, X509Certificate } from "node:crypto";
import { statSync } from "node:fs";
import { isIP } from "node:net";
import type { Logger } from "pino";
import { issueClient, revokedSerials, serialOf } from "../enrol/certificates.ts";
import { iso } from "../enrol/inspect.ts";
import { CommandError } from "../failure.ts";
import type { PeerIdentity, ServerAuthority } from "../grpc/streams.ts";
import type * as wire from "../model/picket.v1.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { type Authority, hashOf, revokeHost, serverCertificate } from "./authority.ts";
import { hostIdForm, type StoredToken, type TokenUse, tokenId } from "./authority-files.ts";
import { createGuessLimit } from "./guess-limit.ts";

const day = 86_400_000;
/** A host needs two; one that asks all the time must not fill the disk. */
const maxValid = 20;

export interface AuthorityServiceOptions {
	readonly authority: Authority;
	/** In the console's certificate. */
	readonly names: readonly string[];
	readonly logger: Logger;
	/** Unix ms. */
	readonly clock: () => number;
	/** Of a host's certificate, ms; 90 days by default. */
	readonly lifeMs?: number;
	/** How often the list of revocations is looked at, ms; 1 s by default. */
	readonly lookMs?: number;
}

export interface AuthorityService extends ServerAuthority {
	onRevoked(listener: (serials: ReadonlySet<string>) => void): void;
	/** For tokens that name no address. */
	listensOn(address: string): void;
	close(): void;
}

/** Throws CommandError or ReportError when the directory cannot be used. */
export async function startAuthorityService(options: AuthorityServiceOptions): Promise<AuthorityService> {
	const { authority, names, logger, clock } = options;
	const { files, issuer } = authority;
	for (const name of names) {
		if (isIP(name) === 0 && !/^[A-Za-z0-9][\w.-]{0,252}$/.test(name)) {
			throw new CommandError(
				`--name ${name}: no host name and no address`,
				"write it as hosts know this console",
			);
		}
	}
	const lifeMs = options.lifeMs ?? 90 * day;
	const limit = createGuessLimit(clock);
	const renewalLimit = createGuessLimit(clock);
	let server = await serverCertificate(authority, names, clock());
	let revoked: ReadonlySet<string> = await revokedSerials(files.read("crl.pem"), issuer.cert);
	let seen = stamp();
	let changed = (): void => {};
	let onRevoked: (serials: ReadonlySet<string>) => void = () => {};
	let looking = false;
	const busy = new Map<string, Promise<unknown>>();
	for (const id of files.usedTokens()) finish(id, files.use(id));

	const timer = setInterval(() => {
		if (looking) return;
		looking = true;
		look()
			.catch((error) =>
				logger.error({ problem: errorText(error) }, "the last good revocations stay in force"),
			)
			.finally(() => {
				looking = false;
			});
	}, options.lookMs ?? 1000).unref();

	async function look(): Promise<void> {
		const now = stamp();
		if (now !== seen) {
			seen = now;
			revoked = await revokedSerials(files.read("crl.pem"), issuer.cert);
			onRevoked(revoked);
		}
		const fresh = await serverCertificate(authority, names, clock());
		if (fresh.cert === server.cert) return;
		server = fresh;
		changed();
		logger.info("the console has a new certificate");
	}
	function stamp(): string {
		const { ino, mtimeNs, size } = statSync(files.path("crl.pem"), { bigint: true });
		return `${ino} ${mtimeNs} ${size}`;
	}

	/** A crash may have come between the token's use and the host's entry: without that it could not be revoked. */
	function finish(id: string, use: TokenUse | undefined): void {
		if (use === undefined) return;
		const { validFromDate, validToDate } = new X509Certificate(use.certificate);
		files.addCertificate(use.hostId, serialOf(use.certificate), {
			host: use.host,
			issued: validFromDate.getTime(),
			expires: validToDate.getTime(),
			by: `token ${id}`,
		});
	}

	function checkToken(secretText: string, peer: string): { id: string; token: StoredToken } {
		const [id = "", secret = ""] = secretText.split(".");
		const token = tokenId.test(id) ? files.token(id) : undefined;
		// As long for a token that is not there as for one with another secret.
		const hash = Buffer.from(hashOf(secret), "hex");
		const same = timingSafeEqual(hash, Buffer.from(token?.hash ?? "0".repeat(64), "hex"));
		if (token === undefined || !same) {
			limit.failed(peer);
			logger.warn({ peer }, "a token that is not one of ours");
			throw refused("this console knows no such token; make one here with: picket console token");
		}
		if (clock() >= token.expires) {
			throw refused(
				`the token ended at ${iso(token.expires)}, and the console's clock says ${iso(clock())}; make a new one ` +
					"(--ttl 4h for a longer one), or set the clock that is wrong",
			);
		}
		return { id, token };
	}

	async function enrol(request: wire.EnrolRequest, peer: string): Promise<wire.EnrolResponse> {
		limit.check(peer);
		const { token: secret = "", request: csr = "", hostId = "", host = "" } = request;
		const { id, token } = checkToken(secret.slice(0, 200), peer);
		if (!hostIdForm.test(hostId))
			throw refused("the host id must have 1 to 64 letters, digits, '.', '_' or '-'");
		if (hostId === "console") throw refused('"console" is no host id');
		if (csr.length > 8192 || host.length > 255) throw refused("the request is too long");
		return oneAtATime(id, async () => {
			const digest = createHash("sha256")
				.update(JSON.stringify([csr, hostId]))
				.digest("hex");
			const use = files.use(id) ?? (await useToken(id, token, { csr, hostId, host, digest }));
			if (use.digest !== digest) {
				limit.failed(peer);
				logger.warn({ peer, hostId, token: id }, "a token was to be used twice");
				throw refused(
					`the token was used at ${iso(use.time)} by host ${use.hostId}; each is good for one host: make another`,
				);
			}
			finish(id, use);
			logger.info({ peer, hostId, host: use.host, token: id }, "host enrolled");
			const { addresses, serverName } = token;
			return { certificate: use.certificate, authorities: issuer.cert, addresses, serverName };
		});
	}

	async function useToken(
		id: string,
		token: StoredToken,
		asked: { csr: string; hostId: string; host: string; digest: string },
	): Promise<TokenUse> {
		const { csr, hostId, host, digest } = asked;
		const valid = files.certificates(hostId).filter((one) => !one.revoked && one.expires > clock());
		if (token.replaces !== "" && token.replaces !== hostId) {
			throw refused(`the token is only for host ${token.replaces}, this is ${hostId}`);
		}
		if (token.replaces === "" && valid.length > 0) {
			throw refused(
				`host ${hostId} (${valid[0]?.host}) is enrolled already. If this is the same host, make a token with ` +
					`--replace ${hostId}; if it is a copy of it, remove host-id from its state directory`,
			);
		}
		const time = clock();
		const certificate = await certify(csr, hostId, time);
		if (valid.length > 0) await revokeHost(authority, hostId, time);
		const use = { digest, hostId, host, time, certificate };
		return files.claim(id, use) ? use : (files.use(id) ?? use);
	}

	async function certify(csr: string, hostId: string, time: number): Promise<string> {
		try {
			return await issueClient(issuer, csr, hostId, { from: time, until: time + lifeMs });
		} catch (error) {
			throw refused(errorText(error));
		}
	}

	function identify(certificate: Buffer | undefined): PeerIdentity {
		if (certificate === undefined) {
			throw refused(
				"this console asks for a certificate of its own authority that is still valid; enrol this host: " +
					"picket enrol TOKEN",
			);
		}
		const parsed = new X509Certificate(certificate);
		const serial = parsed.serialNumber.toLowerCase();
		if (revoked.has(serial))
			throw refused("this host's certificate has been revoked; enrol it again if that is right");
		// A long stream, or a session that was resumed: TLS has looked at it some time ago.
		if (parsed.validToDate.getTime() <= clock())
			throw refused("this host's certificate has ended; enrol it again");
		const hostId = parsed.subject.replace(/^CN=/, "");
		if (!hostIdForm.test(hostId)) throw refused("the certificate names no host");
		return { hostId, serial };
	}

	/** One token is not used by two requests that come together. */
	function oneAtATime<T>(key: string, run: () => Promise<T>): Promise<T> {
		const mine = (busy.get(key) ?? Promise.resolve()).then(run, run);
		busy.set(key, mine);
		const done = (): void => {
			if (busy.get(key) === mine) busy.delete(key);
		};
		mine.then(done, done);
		return mine;
	}

	return {
		context: () => ({ cert: server.cert, key: server.key, ca: issuer.cert }),
		onContext(listener) {
			changed = listener;
		},
		onRevoked(listener) {
			onRevoked = listener;
		},
		identify,
		enrol: (request, peer) => tellLog(enrol(request, peer)),
		renew: (request, identity) =>
			tellLog(
				(async () => {
					renewalLimit.check(identity.hostId);
					// Each counts: renewals are rare.
					renewalLimit.failed(identity.hostId);
					const { hostId, serial } = identity;
					const csr = request.request ?? "";
					if (csr.length > 8192) throw refused("the request is too long");
					const time = clock();
					files.forgetCertificates(hostId, time - day);
					const known = files.certificates(hostId);
					if (known.filter((one) => !one.revoked && one.expires > time).length >= maxValid) {
						throw refused(
							`this host has ${maxValid} certificates that are valid; have it revoked and enrol it again`,
						);
					}
					const certificate = await certify(csr, hostId, time);
					const host = known.at(-1)?.host ?? "";
					const fresh = { host, issued: time, expires: time + lifeMs, by: `renewal of ${serial}` };
					files.addCertificate(hostId, serialOf(certificate), fresh);
					if (files.certificates(hostId).some((one) => one.serial === serial && one.revoked)) {
						await revokeHost(authority, hostId, time);
						throw refused("this host's certificate has been revoked; enrol it again if that is right");
					}
					logger.info({ hostId }, "certificate renewed");
					return { certificate, authorities: issuer.cert, revoked: files.read("crl.pem") };
				})(),
			),
		listensOn: (address) => files.replace("console.json", `${JSON.stringify({ listen: address, names })}\n`),
		close: () => clearInterval(timer),
	};

	/** Hosts are not told of what goes wrong here; the log is. */
	async function tellLog<T>(work: Promise<T>): Promise<T> {
		try {
			return await work;
		} catch (error) {
			if (!(error instanceof ReportError))
				logger.error({ problem: errorText(error) }, "enrolment failed here");
			throw error;
		}
	}
}

function refused(message: string): ReportError {
	return new ReportError("REFUSED", message);
}
