// The consoles that this host is enrolled with: <state>/consoles/NAME/. NAME is a link to a folder with everything of one
// moment (".NAME.<random>"), so that certificate, key and authority change in one step and a crash leaves the old or the
// new. What lies there is not parsed here: the uplink does that; a digest tells whether it is what was stored.
import { createHash, randomBytes } from "node:crypto";
import {
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	readlinkSync,
	renameSync,
	rmSync,
	statSync,
	symlinkSync,
	unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { syncFolder, writeNewFile } from "../durable.ts";
import { CommandError } from "../failure.ts";
import type { TlsTexts } from "../model/delivery.ts";

export interface EnrolledConsole {
	readonly name: string;
	readonly addresses: readonly string[];
	readonly tls: TlsTexts & { readonly ca: string; readonly cert: string; readonly key: string };
	readonly hostId: string;
	/** Of this host's certificate, Unix ms. */
	readonly issued: number;
	readonly expires: number;
}

export interface EnrolledConsoles {
	readonly consoles: readonly EnrolledConsole[];
	/** One sentence a console that cannot be used, with place and remedy. */
	readonly problems: readonly string[];
}

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const form = z.object({
	version: z.literal(1),
	hostId: z.string().min(1).max(64),
	addresses: z.array(z.string().min(1).max(300)).min(1).max(8),
	serverName: z.string().max(253),
	/** ISO 8601. */
	issued: z.iso.datetime(),
	expires: z.iso.datetime(),
	sha256: z.object({ "cert.pem": digest, "key.pem": digest, "ca.pem": digest }),
});
const maxFileBytes = 256 * 1024;
export const consoleName = /^[a-z0-9][a-z0-9-]{0,31}$/;

export function consolesFolder(stateDir: string): string {
	return join(stateDir, "consoles");
}

/** Never throws: what cannot be used is a problem, and the others are there. */
export function readEnrolled(stateDir: string): EnrolledConsoles {
	const folder = consolesFolder(stateDir);
	let names: string[];
	try {
		names = readdirSync(folder).filter((name) => !name.startsWith("."));
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return { consoles: [], problems: [] };
		return { consoles: [], problems: [`${folder}: ${textOf(error)}; make it readable for root`] };
	}
	const consoles: EnrolledConsole[] = [];
	const problems: string[] = [];
	for (const name of names.sort()) {
		try {
			consoles.push(readConsole(folder, name));
		} catch (error) {
			problems.push(
				`${join(folder, name)}: ${textOf(error)}; nothing is sent to this console until the host is enrolled ` +
					`again: picket enrol --remove ${name}, then picket enrol TOKEN --name ${name}`,
			);
		}
	}
	return { consoles, problems };
}

function readConsole(folder: string, name: string): EnrolledConsole {
	if (!consoleName.test(name)) throw new Error("its name is none that picket enrol gives");
	// Resolved once: all files are of one moment, also while a renewal puts another there.
	const at = join(folder, isLink(join(folder, name)) ? readlinkSync(join(folder, name)) : name);
	const read = (file: string): string => {
		const path = join(at, file);
		const { size, uid, mode } = statSync(path);
		if (size > maxFileBytes) throw new Error(`${file} has ${size} bytes, ${maxFileBytes} are the most`);
		if ((mode & 0o022) !== 0 || (uid !== 0 && uid !== process.getuid?.())) {
			throw new Error(`${file} could be written by others than root`);
		}
		return readFileSync(path, "utf8");
	};
	let parsed: z.infer<typeof form>;
	try {
		parsed = form.parse(JSON.parse(read("console.json")));
	} catch (error) {
		if (error instanceof SyntaxError || error instanceof z.ZodError)
			throw new Error("console.json is damaged");
		throw error;
	}
	const whole = (file: keyof typeof parsed.sha256): string => {
		const text = read(file);
		if (digestOf(text) !== parsed.sha256[file]) throw new Error(`${file} is damaged: not what was stored`);
		return text;
	};
	const crl = readIfThere(() => read("crl.pem"));
	return {
		name,
		addresses: parsed.addresses,
		hostId: parsed.hostId,
		issued: Date.parse(parsed.issued),
		expires: Date.parse(parsed.expires),
		tls: {
			ca: whole("ca.pem"),
			cert: whole("cert.pem"),
			key: whole("key.pem"),
			...(crl === "" ? {} : { crl }),
			...(parsed.serverName === "" ? {} : { serverName: parsed.serverName }),
		},
	};
}

/**
 * Puts this in the place of what is there under the name, in one step and on the disk. Throws CommandError when the
 * state folder cannot be written; then what was there is still there.
 */
export function writeEnrolled(stateDir: string, enrolled: EnrolledConsole): void {
	const folder = consolesFolder(stateDir);
	const { name, tls } = enrolled;
	const fresh = `.${name}.${randomBytes(6).toString("hex")}`;
	const link = join(folder, `.${name}.link`);
	try {
		mkdirSync(folder, { recursive: true, mode: 0o700 });
		mkdirSync(join(folder, fresh), { mode: 0o700 });
		const put = (file: string, text: string): void => writeNewFile(join(folder, fresh, file), text);
		put("key.pem", tls.key);
		put("cert.pem", tls.cert);
		put("ca.pem", tls.ca);
		put("crl.pem", tls.crl ?? "");
		put("console.json", jsonOf(enrolled));
		syncFolder(join(folder, fresh));
		rmSync(link, { force: true });
		symlinkSync(fresh, link);
		renameSync(link, join(folder, name));
		syncFolder(folder);
	} catch (error) {
		rmSync(join(folder, fresh), { recursive: true, force: true });
		throw new CommandError(
			`${folder}: ${textOf(error)}`,
			"make the state directory writable for root (paths.state), with some space left",
		);
	}
	sweep(folder, name);
}

/** False when there is none of that name. Throws CommandError when it cannot be removed. */
export function removeEnrolled(stateDir: string, name: string): boolean {
	const folder = consolesFolder(stateDir);
	try {
		if (!exists(join(folder, name))) return false;
		if (isLink(join(folder, name))) unlinkSync(join(folder, name));
		else rmSync(join(folder, name), { recursive: true });
		syncFolder(folder);
	} catch (error) {
		throw new CommandError(`${join(folder, name)}: ${textOf(error)}`, "run it as root");
	}
	sweep(folder, name);
	return true;
}

/** What a crash or the last change has left over. */
function sweep(folder: string, name: string): void {
	try {
		const present = isLink(join(folder, name)) ? readlinkSync(join(folder, name)) : "";
		const ours = new RegExp(`^\\.${name}\\.([0-9a-f]{12}|link)$`);
		for (const file of readdirSync(folder)) {
			if (ours.test(file) && file !== present) rmSync(join(folder, file), { recursive: true, force: true });
		}
	} catch {
		// The next change tries again.
	}
}

export function exists(path: string): boolean {
	return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isLink(path: string): boolean {
	return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}

function jsonOf({ hostId, addresses, tls, issued, expires }: EnrolledConsole): string {
	const value: z.infer<typeof form> = {
		version: 1,
		hostId,
		addresses: [...addresses],
		serverName: tls.serverName ?? "",
		issued: new Date(issued).toISOString(),
		expires: new Date(expires).toISOString(),
		sha256: { "cert.pem": digestOf(tls.cert), "key.pem": digestOf(tls.key), "ca.pem": digestOf(tls.ca) },
	};
	return `${JSON.stringify(value, null, "\t")}\n`;
}

function digestOf(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}

function readIfThere(read: () => string): string {
	try {
		return read();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
		throw error;
	}
}

function textOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
