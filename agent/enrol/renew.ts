// The uplink's part of a renewal: asks the console over mutual TLS, then uses what came on a connection of its own, so
// that only a certificate that works takes the place of the one in force.
import { callRenew, checkHealth } from "../grpc/client.ts";
import type { FromUplink, TlsTexts } from "../model/delivery.ts";
import { errorText, ReportError } from "../report/errors.ts";

export type Renewed = Omit<Extract<FromUplink, { type: "renewed" }>, "type" | "outlet">;

const unimplemented = 12;
const maxBytes = 64 * 1024;

/** Never rejects. `tls`: what is in force now. The addresses are tried in order. */
export async function renew(options: {
	readonly addresses: readonly string[];
	readonly tls: TlsTexts;
	/** PEM: the new key and the signing request for it. */
	readonly key: string;
	readonly request: string;
	readonly timeoutMs?: number;
}): Promise<Renewed> {
	const { tls, key, request } = options;
	const timeoutMs = options.timeoutMs ?? 10_000;
	const problems: string[] = [];
	for (const address of options.addresses) {
		try {
			const answer = await callRenew(address, tls, { request }, timeoutMs);
			const { certificate = "", authorities = "", revoked = "" } = answer;
			if (certificate.length > maxBytes || authorities.length > maxBytes || revoked.length > 4 * maxBytes) {
				throw new Error(`console ${address}: what it sent is far too long for certificates`);
			}
			const fresh = { certificate, authorities: authorities || (tls.ca ?? ""), revoked };
			await tryOut(
				address,
				{
					...tls,
					key,
					cert: certificate,
					ca: fresh.authorities,
					...(revoked === "" ? {} : { crl: revoked }),
				},
				timeoutMs,
			);
			return { ...fresh, problem: "" };
		} catch (error) {
			problems.push(errorText(error));
		}
	}
	const problem = problems.join("; ").slice(0, 1000) || "the console has no address";
	return { certificate: "", authorities: "", revoked: "", problem };
}

async function tryOut(address: string, tls: TlsTexts, timeoutMs: number): Promise<void> {
	try {
		await checkHealth(address, tls, timeoutMs);
	} catch (error) {
		// It has answered, and so TLS has accepted the certificate: a console need not have this service.
		if (error instanceof ReportError && (error.cause as { code?: number })?.code === unimplemented) return;
		throw new Error(`the new certificate does not work: ${errorText(error)}`);
	}
}
