// Is a certificate what we asked for? Runs in a child without rights: it reads what came from outside.
import { createPublicKey, X509Certificate } from "node:crypto";

export interface Inspected {
	/** When it was looked at, Unix ms: its own beginning is set back for clocks that are slow. */
	readonly issued: number;
	readonly expires: number;
}

const clientAuth = "1.3.6.1.5.5.7.3.2";

/**
 * Throws an Error that says what differs: not for our key, not for this host, not signed by one of `authorities`
 * (PEM, one or more), not meant for clients, or not valid at `now` (Unix ms).
 */
export function inspectCertificate(options: {
	readonly certificate: string;
	readonly authorities: string;
	readonly key: string;
	readonly hostId: string;
	readonly now: number;
}): Inspected {
	const { hostId, now } = options;
	const certificate = read(options.certificate, "the certificate");
	const ours = createPublicKey(options.key).export({ format: "der", type: "spki" });
	if (!certificate.publicKey.export({ format: "der", type: "spki" }).equals(ours)) {
		throw new Error("the certificate is for another key than ours");
	}
	const name = certificate.subject;
	if (name !== `CN=${hostId}`) {
		throw new Error(
			`the certificate is for ${JSON.stringify(name.slice(0, 100))}, not for this host (${hostId})`,
		);
	}
	const authorities = splitPem(options.authorities).map((text) => read(text, "the authority's certificate"));
	if (authorities.length === 0) throw new Error("no authority came with the certificate");
	const issuer = authorities.find(
		(authority) =>
			authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
	);
	if (issuer === undefined) throw new Error("the certificate is not signed by the console's authority");
	if (certificate.keyUsage !== undefined && !certificate.keyUsage.includes(clientAuth)) {
		throw new Error("the certificate is not meant for a sensor (no clientAuth)");
	}
	const from = certificate.validFromDate.getTime();
	const expires = certificate.validToDate.getTime();
	if (now < from || now >= expires) {
		throw new Error(
			`the certificate holds from ${iso(from)} to ${iso(expires)}, and this host's clock says ${iso(now)}`,
		);
	}
	return { issued: now, expires };
}

export function splitPem(text: string): string[] {
	return text.match(/-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----/g) ?? [];
}

function read(text: string, what: string): X509Certificate {
	try {
		return new X509Certificate(text);
	} catch {
		throw new Error(`${what} cannot be read`);
	}
}

export function iso(time: number): string {
	return new Date(time).toISOString().replace(/\.\d+Z$/, "Z");
}
