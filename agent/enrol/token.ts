// The one-time token of an enrolment as it is handed from the console's admin to the host's: where the console is, how
// to know it, and a secret that it takes once.
import { createHash } from "node:crypto";
import { z } from "zod";
import { CommandError } from "../failure.ts";
import { parseEndpoint } from "../report/address.ts";

const form = z.strictObject({
	/** "host:port", tried in order. */
	addresses: z.array(z.string().min(1).max(300)).min(1).max(8),
	/** SHA-256 of the authority's certificate, hex. */
	fingerprint: z.string().regex(/^[0-9a-f]{64}$/),
	/** In the console's certificate. */
	serverName: z.string().min(1).max(253),
	/** Names the token at the console, and the secret. */
	secret: z.string().regex(/^[0-9a-f]{16}\.[\w-]{43}$/),
	/** Unix ms, of the console's clock. */
	expires: z.number().int().positive(),
});
export type Token = Readonly<z.infer<typeof form>>;

const prefix = "picket1.";
const checkBytes = 4;
/** Far above any that we make. */
const maxLength = 8192;

export function encodeToken(token: Token): string {
	const body = Buffer.from(JSON.stringify(token));
	return prefix + Buffer.concat([checkOf(body), body]).toString("base64url");
}

/** Throws CommandError: what is wrong with the text and what to do. */
export function decodeToken(text: string): Token {
	const trimmed = text.trim();
	const again = 'copy it whole from what "picket console token" printed';
	if (!trimmed.startsWith(prefix)) {
		const newer = /^picket\d+\./.test(trimmed);
		throw new CommandError(
			newer ? "the token is of another version of Picket" : `the token does not begin with "${prefix}"`,
			newer ? "use the same version here and at the console" : again,
		);
	}
	const bytes = Buffer.from(trimmed.slice(prefix.length), "base64url");
	const body = bytes.subarray(checkBytes);
	const whole = trimmed.length <= maxLength && checkOf(body).equals(bytes.subarray(0, checkBytes));
	const parsed = whole ? form.safeParse(parseJson(body)) : undefined;
	if (parsed?.success !== true) throw new CommandError("the token is damaged or was cut", again);
	for (const address of parsed.data.addresses) parseEndpoint(address, "token");
	return parsed.data;
}

/** Not against forgery, which the console sees: so that a part of a token is not taken for a whole one. */
function checkOf(body: Buffer): Buffer {
	return createHash("sha256").update(body).digest().subarray(0, checkBytes);
}

function parseJson(body: Buffer): unknown {
	try {
		return JSON.parse(body.toString("utf8"));
	} catch {
		return undefined;
	}
}
