// Why a console cannot be reached, in words that say what to do.

// Status codes of gRPC.
const unimplemented = 12;
const unavailable = 14;

// What OpenSSL and Node say, and what a person can do about it.
const remedies: readonly (readonly [RegExp, string])[] = [
	[
		/certificate revoked|CERT_REVOKED/i,
		"one of the two certificates is revoked: renew it, or enrol this host again (picket enrol)",
	],
	[
		/CRL has expired|get certificate CRL|UNABLE_TO_GET_CRL|CRL_/i,
		"the list of revoked certificates is too old or of another authority: the console's admin makes a new one",
	],
	[
		/self[- ]signed certificate|unable to (verify|get)|UNABLE_TO_|issuer certificate/i,
		"the console's certificate is not signed by the certificate authority (ca) in use here",
	],
	[
		/ERR_TLS_CERT_ALTNAME_INVALID|altnames/i,
		"the console's certificate is for another name: use that name as address, or set the server name",
	],
	[/certificate has expired|CERT_HAS_EXPIRED/i, "the console's certificate has expired"],
	[/alert protocol version|unsupported protocol|version too low/i, "the console does not speak TLS 1.3"],
	[
		/certificate required|handshake failure|unknown ca|bad certificate/i,
		"the console does not accept this sensor's certificate",
	],
	[/wrong version number|packet length too long/i, "the console does not speak TLS at this address"],
	[/ECONNREFUSED|ENOENT/, "nothing listens there"],
	[
		/EACCES/,
		"the uplink, which has no rights, may not go there: let its user (picket-uplink or nobody) into folder and socket",
	],
	[/ENOTFOUND|EAI_AGAIN|Name resolution failed/, "its name cannot be resolved"],
];

/** `error`: as gRPC gives it, with its status code. One cause always gives the same text. */
export function explainProblem(
	error: { code?: number; details?: string; message?: string },
	address: string,
	tls: boolean,
): string {
	// Without grpc-js's own frame and its times of day, which differ each time.
	const said = String(error.details || error.message || "no reason given")
		.replace(/^No connection established\. Last error: /, "")
		.replace(/\. Resolution note: .*$/, "")
		.replace(/[\dA-F]{8,}:error:/, "error:")
		.replace(/\s+/g, " ")
		.replace(/ ?\(?\d{4}-\d\d-\d\dT[\d:.]+Z\)?/g, "")
		.slice(0, 300);
	const remedy = remedies.find(([pattern]) => pattern.test(said))?.[1];
	if (remedy !== undefined) return `console ${address}: ${remedy} (${said})`;
	if (error.code === unimplemented) return `console ${address}: that is no Picket console (${said})`;
	// In TLS 1.3 a refused client certificate shows only as a connection that is closed.
	if (error.code === unavailable && /Failed to connect|ECONNRESET|ended|closed|dropped/i.test(said)) {
		const cause = tls ? "it may not accept this sensor's certificate, or not speak TLS" : "it may expect TLS";
		return `console ${address}: the connection was closed as soon as it was made: ${cause} (${said})`;
	}
	return `console ${address}: ${said}`;
}
