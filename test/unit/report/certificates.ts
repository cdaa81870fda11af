// Certificates made by openssl for one test run.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Pair {
	readonly cert: string;
	readonly key: string;
}

export interface Authority extends Pair {
	issue(name: string, subjectAltName: string): Pair;
	/** A list of these as revoked, PEM. */
	crl(...revoked: Pair[]): string;
}

function openssl(...args: string[]): void {
	execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** A certificate authority in a directory of its own; `remove` deletes it. */
export function makeAuthority(name: string): Authority & { remove(): void } {
	const folder = mkdtempSync(join(tmpdir(), "picket-ca-"));
	const path = (file: string): string => join(folder, file);
	const read = (file: string): string => readFileSync(path(file), "utf8");
	const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
	openssl(
		"req",
		"-x509",
		...curve,
		"-days",
		"2",
		"-subj",
		`/CN=${name}`,
		"-keyout",
		path("ca.key"),
		"-out",
		path("ca.pem"),
	);
	let count = 0;
	return {
		cert: read("ca.pem"),
		key: read("ca.key"),
		issue(subject, subjectAltName) {
			const base = `leaf${count++}`;
			writeFileSync(path(`${base}.ext`), `subjectAltName=${subjectAltName}\n`);
			openssl(
				"req",
				...curve,
				"-subj",
				`/CN=${subject}`,
				"-keyout",
				path(`${base}.key`),
				"-out",
				path(`${base}.csr`),
			);
			openssl(
				"x509",
				"-req",
				"-in",
				path(`${base}.csr`),
				"-CA",
				path("ca.pem"),
				"-CAkey",
				path("ca.key"),
				"-CAcreateserial",
				"-days",
				"2",
				"-extfile",
				path(`${base}.ext`),
				"-out",
				path(`${base}.pem`),
			);
			return { cert: read(`${base}.pem`), key: read(`${base}.key`) };
		},
		crl(...revoked) {
			const base = `crl${count++}`;
			const settings = ["[ca]", "default_ca=d", "[d]", `database=${path(base)}.txt`, "default_md=sha256"];
			writeFileSync(path(`${base}.cnf`), [...settings, "default_crl_days=2", ""].join("\n"));
			writeFileSync(path(`${base}.txt`), "");
			const ca = ["ca", "-config", path(`${base}.cnf`), "-cert", path("ca.pem"), "-keyfile", path("ca.key")];
			for (const { cert } of revoked) {
				writeFileSync(path("revoked.pem"), cert);
				openssl(...ca, "-revoke", path("revoked.pem"));
			}
			openssl(...ca, "-gencrl", "-out", path(`${base}.pem`));
			return read(`${base}.pem`);
		},
		remove: () => rmSync(folder, { recursive: true, force: true }),
	};
}
