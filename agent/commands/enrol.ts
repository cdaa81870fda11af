// `picket enrol`: makes this host known to a console, lists and forgets such consoles. Everything that comes from the
// console is read by a child without rights; this process makes the files.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { readConfig } from "../content.ts";
import { replaceFile } from "../durable.ts";
import { iso } from "../enrol/inspect.ts";
import { renewalTime } from "../enrol/renewal.ts";
import {
	consoleName,
	consolesFolder,
	exists,
	readEnrolled,
	removeEnrolled,
	writeEnrolled,
} from "../enrol/store.ts";
import { decodeToken } from "../enrol/token.ts";
import { runJob } from "../enrol/unprivileged.ts";
import { CommandError } from "../failure.ts";
import { readOrMake } from "../host-id.ts";
import { parseEndpoint } from "../report/address.ts";
import { errorText } from "../report/errors.ts";
import { neutralise } from "../report/shown.ts";
import type { Outcome } from "./rules.ts";

export interface EnrolFlags {
	readonly name: string;
	readonly list?: boolean;
	readonly remove?: string;
	readonly config?: string;
	readonly stateDir?: string;
}

/** Throws CommandError. */
export async function enrol(tokenText: string | undefined, flags: EnrolFlags): Promise<Outcome> {
	const state = flags.stateDir ?? readConfig(flags.config).config.paths.state;
	if (flags.list === true) return list(state);
	if (flags.remove !== undefined) return remove(state, flags.remove);
	if (tokenText === undefined) {
		throw new CommandError(
			"no token",
			'get one from the console, "picket console token --authority FOLDER", and give it here',
		);
	}
	const token = decodeToken(tokenText === "-" ? readFileSync(0, "utf8") : tokenText);
	const { name } = flags;
	checkName(name);
	const folder = consolesFolder(state);
	if (exists(join(folder, name))) {
		throw new CommandError(
			`this host is enrolled with a console "${name}" already (${join(folder, name)})`,
			`another console gets another name (--name hq); the same one anew: picket enrol --remove ${name} first`,
		);
	}
	const hostId = hostIdIn(state);
	const pending = join(folder, `.${name}.pending`);
	const { key, request } = await keyFor(pending, tokenText, hostId);
	const answer = await runJob({ job: "exchange", token, request, hostId, host: hostname().slice(0, 255) });
	for (const address of answer.addresses) parseEndpoint(address, "address that the console gave");
	const { certificate, authorities } = answer;
	const { issued, expires } = await runJob({ job: "inspect", certificate, authorities, key, hostId });
	writeEnrolled(state, {
		name,
		hostId,
		issued,
		expires,
		addresses: answer.addresses,
		tls: { ca: authorities, cert: certificate, key, serverName: answer.serverName },
	});
	rmSync(pending, { force: true });
	const text = [
		`enrolled with console "${name}" at ${answer.address} as host ${hostId}`,
		`files: ${join(folder, name)}`,
		`the certificate holds until ${iso(expires)}; the sensor renews it by itself from ${iso(renewalTime({ issued, expires }))} on`,
		"a running sensor reports there after: systemctl reload picket (or kill -HUP its pid)",
	];
	return { text: text.map(neutralise).join("\n"), status: 0 };
}

const pendingForm = z.object({ token: z.string(), hostId: z.string(), key: z.string(), request: z.string() });

/**
 * Key and request are kept until the answer is: when that is lost on its way, the same token works for the same request
 * once more.
 */
async function keyFor(
	pending: string,
	tokenText: string,
	hostId: string,
): Promise<{ readonly key: string; readonly request: string }> {
	const token = createHash("sha256").update(tokenText.trim()).digest("hex");
	try {
		const kept = pendingForm.parse(JSON.parse(readFileSync(pending, "utf8")));
		if (kept.token === token && kept.hostId === hostId) return kept;
	} catch {
		// The first try, or one that is damaged.
	}
	const made = await runJob({ job: "request", hostId });
	replaceFile(pending, `${JSON.stringify({ token, hostId, ...made })}\n`);
	return made;
}

function hostIdIn(state: string): string {
	try {
		mkdirSync(consolesFolder(state), { recursive: true, mode: 0o700 });
		// Proof that it can be written, before a token is used.
		replaceFile(join(consolesFolder(state), ".probe"), "");
		rmSync(join(consolesFolder(state), ".probe"), { force: true });
	} catch (error) {
		throw new CommandError(
			`${state} cannot be written: ${errorText(error)}`,
			"run it as root, or name the sensor's state folder with --state-dir",
		);
	}
	return readOrMake(join(state, "host-id"));
}

function list(state: string): Outcome {
	const { consoles, problems } = readEnrolled(state);
	const lines = consoles.map(({ name, addresses, expires }) => {
		const ended = expires <= Date.now();
		const until = ended ? `ENDED at ${iso(expires)}: enrol again` : `until ${iso(expires)}`;
		return `${name}  ${addresses.join(", ")}  certificate ${until}`;
	});
	const none = lines.length + problems.length === 0 ? ["this host is enrolled with no console"] : [];
	return {
		text: [...lines, ...problems, ...none].map(neutralise).join("\n"),
		status: problems.length > 0 ? 1 : 0,
	};
}

function remove(state: string, name: string): Outcome {
	checkName(name);
	const pending = join(consolesFolder(state), `.${name}.pending`);
	const tried = exists(pending);
	if (tried) rmSync(pending, { force: true });
	if (!removeEnrolled(state, name) && !tried) {
		throw new CommandError(
			`this host is enrolled with no console "${name}"`,
			"picket enrol --list shows them",
		);
	}
	const text = `forgotten: console "${name}". A running sensor stops reporting there after: systemctl reload picket. Have the console revoke it, too: picket console revoke HOST_ID`;
	return { text, status: 0 };
}

function checkName(name: string): void {
	if (consoleName.test(name)) return;
	throw new CommandError(
		`--name ${name}: not a name`,
		"1 to 32 small letters, digits and '-', beginning with a letter or digit",
	);
}
