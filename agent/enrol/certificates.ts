// Makes keys, requests, certificates and revocation lists. The only file that loads the X.509 library (22 MB): used by
// the console's authority and by short-lived children, never in the sensor's core.
import "reflect-metadata";
import {
	createHash,
	createPrivateKey,
	createPublicKey,
	generateKeyPairSync,
	randomBytes,
	webcrypto,
} from "node:crypto";
import { isIP } from "node:net";
import {
	AuthorityKeyIdentifierExtension,
	BasicConstraintsExtension,
	ExtendedKeyUsage,
	ExtendedKeyUsageExtension,
	KeyUsageFlags,
	KeyUsagesExtension,
	Pkcs10CertificateRequest,
	Pkcs10CertificateRequestGenerator,
	SubjectAlternativeNameExtension,
	SubjectKeyIdentifierExtension,
	X509Certificate,
	X509CertificateGenerator,
	X509Crl,
	X509CrlGenerator,
} from "@peculiar/x509";

const algorithm = { name: "ECDSA", namedCurve: "P-256" };
const signing = { name: "ECDSA", hash: "SHA-256" };
const subtle = webcrypto.subtle;
/** Clocks of hosts may be slow by so much, in ms. */
const backdatedMs = 5 * 60_000;

export interface Issuer {
	/** PEM. */
	readonly cert: string;
	readonly key: string;
}

export interface Period {
	/** Unix ms. */
	readonly from: number;
	readonly until: number;
}

/** ECDSA P-256, PKCS #8 PEM. */
export function makeKey(): string {
	const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	return privateKey.export({ format: "pem", type: "pkcs8" }).toString();
}

/** A certificate signing request, PEM. */
export async function makeRequest(key: string, commonName: string): Promise<string> {
	const keys = { privateKey: await privateKeyOf(key), publicKey: await publicKeyOf(key) };
	const request = await Pkcs10CertificateRequestGenerator.create({
		name: nameOf(commonName),
		keys,
		signingAlgorithm: signing,
	});
	return request.toString("pem");
}

export async function makeAuthority(key: string, commonName: string, period: Period): Promise<string> {
	const publicKey = await publicKeyOf(key);
	const certificate = await X509CertificateGenerator.create({
		serialNumber: makeSerial(),
		subject: nameOf(commonName),
		issuer: nameOf(commonName),
		...dates(period),
		signingAlgorithm: signing,
		publicKey,
		signingKey: await privateKeyOf(key),
		extensions: [
			new BasicConstraintsExtension(true, 0, true),
			new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
			await SubjectKeyIdentifierExtension.create(publicKey),
		],
	});
	return certificate.toString("pem");
}

/** For a console: `names` are host names and addresses, the first is its common name. */
export async function issueServer(
	issuer: Issuer,
	key: string,
	names: readonly string[],
	period: Period,
): Promise<string> {
	const alternatives = names.map((value) => ({
		type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const),
		value,
	}));
	return issue(issuer, await publicKeyOf(key), names[0] ?? "console", period, [
		new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth], true),
		new SubjectAlternativeNameExtension(alternatives),
	]);
}

/**
 * For a host, from its request: only the key is taken from that. Throws an Error that says what is wrong with the
 * request: not one, not signed by its own key, or another key than ECDSA P-256.
 */
export async function issueClient(
	issuer: Issuer,
	request: string,
	hostId: string,
	period: Period,
): Promise<string> {
	let parsed: Pkcs10CertificateRequest;
	try {
		parsed = new Pkcs10CertificateRequest(request);
	} catch {
		throw new Error("the certificate signing request cannot be read");
	}
	const { namedCurve } = parsed.publicKey.algorithm as { namedCurve?: string };
	if (namedCurve !== "P-256") throw new Error("the request's key must be ECDSA P-256");
	const publicKey = await parsed.publicKey.export().catch(() => {
		throw new Error("the request's key is no point of the curve");
	});
	if (!(await parsed.verify())) throw new Error("the request is not signed by its own key");
	return issue(issuer, publicKey, hostId, period, [
		new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth], true),
	]);
}

async function issue(
	issuer: Issuer,
	publicKey: webcrypto.CryptoKey,
	commonName: string,
	period: Period,
	extensions: (ExtendedKeyUsageExtension | SubjectAlternativeNameExtension)[],
): Promise<string> {
	const authority = new X509Certificate(issuer.cert);
	const certificate = await X509CertificateGenerator.create({
		serialNumber: makeSerial(),
		subject: nameOf(commonName),
		issuer: authority.subjectName,
		...dates(period),
		signingAlgorithm: signing,
		publicKey,
		signingKey: await privateKeyOf(issuer.key),
		extensions: [
			new BasicConstraintsExtension(false, undefined, true),
			new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
			await SubjectKeyIdentifierExtension.create(publicKey),
			await AuthorityKeyIdentifierExtension.create(await publicKeyOf(issuer.key)),
			...extensions,
		],
	});
	return certificate.toString("pem");
}

/** `serials` as in serialOf. It holds as long as the authority: an old list must not lock everybody out. */
export async function makeRevocations(
	issuer: Issuer,
	serials: Iterable<string>,
	now: number,
): Promise<string> {
	const authority = new X509Certificate(issuer.cert);
	const list = await X509CrlGenerator.create({
		issuer: authority.subjectName,
		thisUpdate: new Date(now - backdatedMs),
		nextUpdate: authority.notAfter,
		entries: [...serials].map((serialNumber) => ({ serialNumber, revocationDate: new Date(now) })),
		signingAlgorithm: signing,
		signingKey: await privateKeyOf(issuer.key),
	});
	// The library says "CRL", OpenSSL reads "X509 CRL" alone.
	return list.toString("pem").replaceAll(/(BEGIN|END) CRL/g, "$1 X509 CRL");
}

/** Serial numbers in a revocation list that this authority signed. Throws an Error for any other. */
export async function revokedSerials(list: string, authority: string): Promise<Set<string>> {
	const body = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END/.exec(list)?.[1];
	if (body === undefined) throw new Error("it is no list of revocations");
	const parsed = new X509Crl(Buffer.from(body, "base64"));
	if (!(await parsed.verify({ publicKey: new X509Certificate(authority) }))) {
		throw new Error("it is not signed by this authority");
	}
	return new Set(parsed.entries.map((entry) => entry.serialNumber.toLowerCase()));
}

/** Hex in lower case, as file names have it. */
export function serialOf(certificate: string): string {
	return new X509Certificate(certificate).serialNumber.toLowerCase();
}

/** SHA-256 over its DER form, hex. */
export function fingerprintOf(certificate: string): string {
	return createHash("sha256")
		.update(Buffer.from(new X509Certificate(certificate).rawData))
		.digest("hex");
}

/** 127 bits: positive, and never beginning with a zero that some writers leave out. */
function makeSerial(): string {
	const bytes = randomBytes(16);
	bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
	return bytes.toString("hex");
}

function dates({ from, until }: Period): { notBefore: Date; notAfter: Date } {
	return { notBefore: new Date(from - backdatedMs), notAfter: new Date(until) };
}

/** Given apart, no character of it is syntax. */
function nameOf(commonName: string): { CN: string[] }[] {
	return [{ CN: [commonName] }];
}

function privateKeyOf(pem: string): Promise<webcrypto.CryptoKey> {
	const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
	return subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}

function publicKeyOf(privatePem: string): Promise<webcrypto.CryptoKey> {
	const der = createPublicKey(privatePem).export({ format: "der", type: "spki" });
	return subtle.importKey("spki", der, algorithm, true, ["verify"]);
}
