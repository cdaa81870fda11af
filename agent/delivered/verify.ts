// Who may decide over content: Ed25519 signatures over the bytes as they came, before anything looks into them. The
// keys are read at every use, so that one that is taken away counts for nothing from then on.
import {
	createPrivateKey,
	createPublicKey,
	generateKeyPairSync,
	type KeyObject,
	sign,
	verify,
} from "node:crypto";
import { failureText } from "../failure.ts";
import { readTextFile } from "../rule-files.ts";
import { ContentRefusal, largestBundle } from "./model.ts";

/** Says what is signed, so that no signature of another purpose can be passed off as one of content. */
const purpose = Buffer.from("picket content v1\n", "latin1");
const signatureBytes = 64;
const largestKey = 64 * 1024;

function publicKey(path: string): KeyObject {
	let key: KeyObject;
	try {
		const pem = readTextFile(path, largestKey);
		// A private key would do, too, but it has no business on this host.
		if (pem.includes("PRIVATE KEY")) throw new Error("it is a private key; give the public one (.pub)");
		key = createPublicKey(pem);
	} catch (error) {
		throw new ContentRefusal(
			`the key ${path} in content.trust cannot be used: ${failureText(error).message}`,
		);
	}
	if (key.asymmetricKeyType !== "ed25519")
		throw new ContentRefusal(
			`the key ${path} in content.trust is no Ed25519 key but ${key.asymmetricKeyType}`,
		);
	return key;
}

/**
 * Throws ContentRefusal unless one of the keys at `trust` has signed these bytes; returns that key's path. A key that
 * cannot be read keeps no other from counting, but is told when none fits.
 */
export function verifyContent(bytes: Buffer, signature: Buffer, trust: readonly string[]): string {
	if (trust.length === 0)
		throw new ContentRefusal(
			"this host trusts nobody's content: content.trust in its picket.yaml names no key",
		);
	if (bytes.length === 0 || bytes.length > largestBundle)
		throw new ContentRefusal(`the content has ${bytes.length} bytes; 1 to ${largestBundle} are taken`);
	if (signature.length !== signatureBytes)
		throw new ContentRefusal(
			signature.length === 0
				? "the content is not signed"
				: `the signature has ${signature.length} bytes, one of Ed25519 has ${signatureBytes}`,
		);
	const signed = Buffer.concat([purpose, bytes]);
	const unusable: string[] = [];
	for (const path of trust) {
		try {
			if (verify(null, signed, publicKey(path), signature)) return path;
		} catch (error) {
			unusable.push(failureText(error).message);
		}
	}
	const reasons = [
		"the signature is of none of the keys in content.trust, or the content was changed",
		...unusable,
	];
	throw new ContentRefusal(reasons.join("; "));
}

/** `key`: PEM of an Ed25519 private key. Throws Error when it is none. */
export function signContent(bytes: Buffer, key: string): Buffer {
	const made = createPrivateKey(key);
	if (made.asymmetricKeyType !== "ed25519")
		throw new Error(`it is no Ed25519 key but ${made.asymmetricKeyType}`);
	return sign(null, Buffer.concat([purpose, bytes]), made);
}

/** A new pair, PEM. */
export function makeKeys(): { readonly privateKey: string; readonly publicKey: string } {
	return generateKeyPairSync("ed25519", {
		privateKeyEncoding: { type: "pkcs8", format: "pem" },
		publicKeyEncoding: { type: "spki", format: "pem" },
	});
}
