// TLS of the stream, both ends: version 1.3 only, certificates checked against authorities and revocation lists.
// Takes PEM texts; files are read elsewhere.
import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import { errorText, ReportError } from "./report/errors.ts";

/** PEM texts, not paths. */
export interface ClientTls {
	/** Who signed the console's certificate; the system's authorities when left out. */
	readonly ca?: string | Buffer;
	/** This sensor's own, for mutual TLS; both or neither. */
	readonly cert?: string | Buffer;
	readonly key?: string | Buffer;
	/** Revoked certificates of consoles; a list of each authority on the way must be there then. */
	readonly crl?: string | Buffer;
	/** Name to expect in the certificate instead of the address's host. */
	readonly serverName?: string;
}

export interface ServerTls {
	readonly cert: string | Buffer;
	readonly key: string | Buffer;
	/** When given, only sensors with a certificate signed by it get in. */
	readonly clientCa?: string | Buffer;
	/** Revoked certificates of sensors. */
	readonly crl?: string | Buffer;
}

const versions = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;

/** Throws ReportError CERTIFICATE. */
export function clientContext(tls: ClientTls): SecureContext {
	return checked(tls.ca, () => {
		if ((tls.cert === undefined) !== (tls.key === undefined)) {
			throw new Error("a certificate needs its key, and a key its certificate");
		}
		const { ca, cert, key, crl } = tls;
		return createSecureContext({ ...versions, ...given({ ca, cert, key, crl }) });
	});
}

/** Throws ReportError CERTIFICATE. */
export function serverContext(tls: ServerTls): SecureContextOptions {
	return checked(tls.clientCa, () => {
		const { clientCa: ca, cert, key, crl } = tls;
		const options = { ...versions, ...given({ ca, cert, key, crl: ca === undefined ? undefined : crl }) };
		createSecureContext(options);
		return options;
	});
}

function checked<T>(ca: string | Buffer | undefined, make: () => T): T {
	try {
		// OpenSSL passes over what is no certificate in a list of authorities, and would then trust nobody.
		if (ca !== undefined) new X509Certificate(ca);
		return make();
	} catch (error) {
		throw new ReportError(
			"CERTIFICATE",
			`certificate or key cannot be used: ${errorText(error)}. Give PEM files, and the key that belongs to the certificate`,
			error,
		);
	}
}

function given(options: { readonly [K in keyof SecureContextOptions]: SecureContextOptions[K] | undefined }) {
	return Object.fromEntries(
		Object.entries(options).filter(([, value]) => value !== undefined),
	) as SecureContextOptions;
}

/** Unix ms at which a certificate ends; undefined without one. */
export function certificateEnd(cert: string | Buffer | undefined): number | undefined {
	return cert === undefined ? undefined : Date.parse(new X509Certificate(cert).validTo);
}
