// The directory of a console's authority. Files are only added, each whole, or replaced in one step, so that
// `picket console token` and `revoke` can work beside a running console:
//   ca.pem, ca-key.pem          the authority
//   server.pem, server-key.pem  the console's own certificate
//   crl.pem                     what is revoked
//   console.json                where the running console listens
//   tokens/ID.json              a token: hash of its secret, never the secret
//   tokens/ID.used.json         who used it, and the answer
//   hosts/HOST/SERIAL.json      a certificate that was given out, and SERIAL.revoked
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { claimFile, replaceFile } from "../durable.ts";
import { CommandError } from "../failure.ts";
import { errorText } from "../report/errors.ts";

const hash = z.string().regex(/^[0-9a-f]{64}$/);
const time = z.number().int().positive();
const tokenForm = z.object({
	hash,
	created: time,
	expires: time,
	addresses: z.array(z.string()),
	serverName: z.string(),
	/** The only host that may use it, in place of the certificates it has; "" for any new one. */
	replaces: z.string(),
});
const useForm = z.object({
	digest: hash,
	hostId: z.string(),
	host: z.string(),
	time,
	certificate: z.string(),
});
const certificateForm = z.object({ host: z.string(), issued: time, expires: time, by: z.string() });
const listenForm = z.object({ listen: z.string(), names: z.array(z.string()).min(1) });

export type StoredToken = z.infer<typeof tokenForm>;
export type TokenUse = z.infer<typeof useForm>;
export type IssuedCertificate = z.infer<typeof certificateForm> & {
	readonly serial: string;
	readonly revoked: boolean;
};

export const tokenId = /^[0-9a-f]{16}$/;
/** As a common name and as a folder. */
export const hostIdForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const serialForm = /^[0-9a-f]{2,40}$/;

export interface AuthorityFiles {
	readonly directory: string;
	path(name: string): string;
	/** "" when it is not there. */
	read(name: string): string;
	replace(name: string, text: string): void;
	token(id: string): StoredToken | undefined;
	addToken(id: string, token: StoredToken): void;
	use(id: string): TokenUse | undefined;
	/** False when somebody else was first. */
	claim(id: string, use: TokenUse): boolean;
	usedTokens(): string[];
	/** Tokens that ended before this time. */
	forgetTokens(before: number): void;
	hosts(): string[];
	certificates(hostId: string): IssuedCertificate[];
	addCertificate(hostId: string, serial: string, certificate: z.infer<typeof certificateForm>): void;
	/** Those that ended before this time, but for the newest. */
	forgetCertificates(hostId: string, before: number): void;
	markRevoked(hostId: string, serial: string, time: number): void;
	listening(): z.infer<typeof listenForm> | undefined;
}

/** Makes the folders. Throws CommandError when that is not possible, or others could change them. */
export function openAuthorityFiles(directory: string): AuthorityFiles {
	const path = (name: string): string => join(directory, name);
	try {
		for (const folder of ["", "tokens", "hosts"]) mkdirSync(path(folder), { recursive: true, mode: 0o700 });
		const { uid, mode } = statSync(directory);
		if ((mode & 0o077) !== 0 || uid !== process.getuid?.()) {
			throw new Error("others than you could read or change it (chmod 700, chown to yourself)");
		}
	} catch (error) {
		throw new CommandError(
			`--authority ${directory}: ${errorText(error)}`,
			"name a directory of your own for the console's authority",
		);
	}
	const read = (name: string): string => {
		try {
			return readFileSync(path(name), "utf8");
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
			throw damaged(name, errorText(error));
		}
	};
	const damaged = (name: string, why: string): CommandError =>
		new CommandError(`${path(name)}: ${why}`, "put it back from a copy, or remove that one file");
	const parse = <T>(name: string, form: z.ZodType<T>): T | undefined => {
		const text = read(name);
		if (text === "") return undefined;
		try {
			return form.parse(JSON.parse(text));
		} catch {
			throw damaged(name, "it is damaged");
		}
	};
	const list = (folder: string): string[] => {
		try {
			return readdirSync(path(folder)).sort();
		} catch {
			return [];
		}
	};
	const json = (value: unknown): string => `${JSON.stringify(value)}\n`;
	const certificates = (hostId: string): IssuedCertificate[] =>
		list(`hosts/${hostId}`).flatMap((file) => {
			const serial = file.replace(/\.json$/, "");
			if (!serialForm.test(serial)) return [];
			const found = parse(`hosts/${hostId}/${file}`, certificateForm);
			const revoked = read(`hosts/${hostId}/${serial}.revoked`) !== "";
			return found === undefined ? [] : [{ ...found, serial, revoked }];
		});
	return {
		directory,
		path,
		read,
		replace: (name, text) => replaceFile(path(name), text),
		token: (id) => parse(`tokens/${id}.json`, tokenForm),
		addToken(id, token) {
			if (!claimFile(path(`tokens/${id}.json`), json(token)))
				throw damaged(`tokens/${id}.json`, "it is there");
		},
		use: (id) => parse(`tokens/${id}.used.json`, useForm),
		claim: (id, use) => claimFile(path(`tokens/${id}.used.json`), json(use)),
		usedTokens: () =>
			list("tokens").flatMap((file) =>
				file.endsWith(".used.json") ? [file.slice(0, -".used.json".length)] : [],
			),
		forgetTokens(before) {
			for (const file of list("tokens")) {
				const id = file.split(".")[0] ?? "";
				if (!tokenId.test(id)) continue;
				const token = parse(`tokens/${id}.json`, tokenForm);
				if (token !== undefined && token.expires >= before) continue;
				for (const end of [".used.json", ".json"]) rmSync(path(`tokens/${id}${end}`), { force: true });
			}
		},
		hosts: () => list("hosts").filter((name) => hostIdForm.test(name)),
		certificates,
		addCertificate(hostId, serial, certificate) {
			mkdirSync(path(`hosts/${hostId}`), { recursive: true, mode: 0o700 });
			claimFile(path(`hosts/${hostId}/${serial}.json`), json(certificate));
		},
		forgetCertificates(hostId, before) {
			const all = certificates(hostId).sort((a, b) => a.expires - b.expires);
			for (const { serial, expires } of all.slice(0, -1)) {
				if (expires >= before) continue;
				for (const end of ["json", "revoked"])
					rmSync(path(`hosts/${hostId}/${serial}.${end}`), { force: true });
			}
		},
		markRevoked(hostId, serial, time) {
			claimFile(path(`hosts/${hostId}/${serial}.revoked`), json({ time }));
		},
		listening: () => parse("console.json", listenForm),
	};
}
