// Whose content counts.
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { makeKeys, signContent, verifyContent } from "../../../agent/delivered/verify.ts";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "picket-verify-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const keys = makeKeys();
const bytes = Buffer.from("some content");
const signature = signContent(bytes, keys.privateKey);
function key(name: string, pem: string): string {
	writeFileSync(join(folder, name), pem);
	return join(folder, name);
}

it("content that a trusted key has signed counts, and says which key", () => {
	const other = key("other.pub", makeKeys().publicKey);
	const mine = key("mine.pub", keys.publicKey);
	expect(verifyContent(bytes, signature, [other, mine])).toBe(mine);
	rmSync(mine);
	expect(() => verifyContent(bytes, signature, [other, mine])).toThrow(
		/none of the keys.*mine\.pub.*ENOENT|none of the keys.*mine\.pub/,
	);
});

it("nothing counts without a key", () => {
	expect(() => verifyContent(bytes, signature, [])).toThrow(/trusts nobody's content: content\.trust/);
});

it("no signature, a short one, another purpose's, another key's and changed bytes do not count", () => {
	const trust = [key("mine.pub", keys.publicKey)];
	expect(() => verifyContent(bytes, Buffer.alloc(0), trust)).toThrow("is not signed");
	expect(() => verifyContent(bytes, signature.subarray(1), trust)).toThrow("63 bytes");
	expect(() => verifyContent(bytes, signContent(bytes, makeKeys().privateKey), trust)).toThrow(
		/none of the keys/,
	);
	expect(() => verifyContent(Buffer.from("some_content"), signature, trust)).toThrow(/none of the keys/);
	expect(() => verifyContent(Buffer.alloc(0), signature, trust)).toThrow("0 bytes");
	expect(() => verifyContent(Buffer.alloc(4 << 20), signature, trust)).toThrow(/4194304 bytes/);
	const nested = Buffer.concat([Buffer.from("picket content v1\n"), bytes]);
	expect(() => verifyContent(nested, signature, trust)).toThrow(/none of the keys/);
});

it("a key that is none, private or of another sort is told", () => {
	const rsa = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
		type: "spki",
		format: "pem",
	});
	const told = (pem: string) => () => verifyContent(bytes, signature, [key("bad.pub", pem)]);
	expect(told("nonsense")).toThrow(/bad\.pub in content\.trust cannot be used/);
	expect(told(keys.privateKey)).toThrow(/private key; give the public one/);
	expect(told(String(rsa))).toThrow(/no Ed25519 key but ec/);
});
