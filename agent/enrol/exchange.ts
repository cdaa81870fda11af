// The host's end of an enrolment: knows the console by the fingerprint in the token before it says anything secret. Runs
// in a child without rights.
import { createHash, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { callEnrol } from "../grpc/client.ts";
import { parseEndpoint } from "../report/address.ts";
import { errorText, ReportError } from "../report/errors.ts";
import { iso } from "./inspect.ts";
import type { Token } from "./token.ts";

export interface Exchanged {
	/** PEM. */
	readonly certificate: string;
	readonly authorities: string;
	readonly addresses: readonly string[];
	readonly serverName: string;
	/** Of the addresses in the token the one that answered. */
	readonly address: string;
}

/** What went wrong, with its remedy. */
class ExchangeError extends Error {
	readonly remedy: string;
	constructor(message: string, remedy: string) {
		super(message);
		this.remedy = remedy;
	}
}

const answerMs = 10_000;

/** Throws ExchangeError. An address that does not answer gives way to the next; a console that refuses has spoken. */
export async function exchange(
	token: Token,
	request: { readonly request: string; readonly hostId: string; readonly host: string },
	now: () => number,
): Promise<Exchanged> {
	if (now() > token.expires + 5 * 60_000) {
		throw new ExchangeError(
			`the token ended at ${iso(token.expires)}, and this host's clock says ${iso(now())}`,
			'make a new one with "picket console token", or set the clock that is wrong',
		);
	}
	const unreachable: string[] = [];
	for (const address of token.addresses) {
		let presented: X509Certificate[];
		try {
			presented = await presentedBy(address, token.serverName);
		} catch (error) {
			unreachable.push(`${address}: ${errorText(error)}`);
			continue;
		}
		const ca = knownAuthority(presented, token, address);
		checkClock(presented[0] ?? ca, now());
		try {
			// A connection of its own: OpenSSL itself checks all of it, with nobody else to trust.
			const answer = await callEnrol(
				address,
				{ ca: ca.toString(), serverName: token.serverName },
				{ ...request, token: token.secret },
				answerMs,
			);
			return {
				certificate: answer.certificate ?? "",
				authorities: answer.authorities || ca.toString(),
				addresses: answer.addresses?.length ? answer.addresses : token.addresses,
				serverName: answer.serverName || token.serverName,
				address,
			};
		} catch (error) {
			if (error instanceof ReportError && error.code === "REFUSED") {
				throw new ExchangeError(
					`console ${address} refused: ${error.message}`,
					'if that is not how it should be, make a new token there with "picket console token"',
				);
			}
			unreachable.push(errorText(error));
		}
	}
	throw new ExchangeError(
		`no console of the token could be used: ${unreachable.join("; ")}`,
		"is it running, and is its port open from here? The same token can be tried again until it ends",
	);
}

/** The certificates that whoever listens there shows, its own first. Nothing is said to it but a TLS hello. */
function presentedBy(address: string, serverName: string): Promise<X509Certificate[]> {
	const endpoint = parseEndpoint(address, "token");
	const place =
		endpoint.kind === "unix" ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port };
	return new Promise((resolve, reject) => {
		const socket: TLSSocket = connect({
			...place,
			...(isIP(serverName) === 0 ? { servername: serverName } : {}),
			minVersion: "TLSv1.3",
			ALPNProtocols: ["h2"],
			// Whoever it is, the fingerprint is compared next, and nothing is sent before.
			rejectUnauthorized: false,
		});
		const late = setTimeout(() => fail(new Error(`no answer within ${answerMs / 1000} s`)), answerMs);
		const fail = (error: Error): void => {
			clearTimeout(late);
			socket.destroy();
			reject(error);
		};
		socket.once("error", fail);
		socket.once("close", () =>
			fail(new Error("the connection was closed before it was made; is that a console?")),
		);
		socket.once("secureConnect", () => {
			const chain: X509Certificate[] = [];
			let at = socket.getPeerX509Certificate();
			while (at !== undefined && chain.length < 5) {
				chain.push(at);
				at = at.issuerCertificate;
			}
			clearTimeout(late);
			socket.removeAllListeners("close");
			socket.destroy();
			resolve(chain);
		});
	});
}

function knownAuthority(
	presented: readonly X509Certificate[],
	token: Token,
	address: string,
): X509Certificate {
	const seen = presented.map((certificate) => createHash("sha256").update(certificate.raw).digest("hex"));
	const at = seen.indexOf(token.fingerprint);
	const found = presented[at];
	if (found !== undefined) return found;
	throw new ExchangeError(
		`${address}: whoever answers there is not the console of the token: its authority has the fingerprint ` +
			`${seen.at(-1) ?? "(none)"}, the token says ${token.fingerprint}. Nothing was sent`,
		"either the token is of another console, or somebody stands between: compare with what " +
			'"picket console hosts" says there, and make a token on the right one',
	);
}

function checkClock(certificate: X509Certificate, now: number): void {
	const from = certificate.validFromDate.getTime();
	const until = certificate.validToDate.getTime();
	if (now >= from && now < until) return;
	throw new ExchangeError(
		`the console's certificate holds from ${iso(from)} to ${iso(until)}, and this host's clock says ${iso(now)}`,
		now < from
			? "set this host's clock (or the console's)"
			: "is this host's clock right? If so, restart the console: it makes itself a new certificate",
	);
}
