// `picket console token`, `hosts` and `revoke`: the admin's end of enrolment, beside a running console or without.
import { listHosts, makeToken, openAuthority, revokeHost } from "../console/authority.ts";
import { iso } from "../enrol/inspect.ts";
import { CommandError } from "../failure.ts";
import { neutralise } from "../report/shown.ts";
import type { Outcome } from "./rules.ts";

interface AuthorityFlags {
	readonly authority?: string;
}

function directoryOf({ authority }: AuthorityFlags): string {
	if (authority !== undefined) return authority;
	throw new CommandError("which authority is not said", "add --authority FOLDER, as for picket console");
}

export async function token(
	flags: AuthorityFlags & { readonly addresses?: string; readonly ttl: string; readonly replace?: string },
): Promise<Outcome> {
	const authority = await openAuthority(directoryOf(flags), Date.now());
	const addresses = flags.addresses?.split(",").map((address) => address.trim());
	const text = makeToken(authority, Date.now(), {
		ttlMs: ttlMs(flags.ttl),
		...(addresses === undefined ? {} : { addresses }),
		...(flags.replace === undefined ? {} : { replaces: flags.replace }),
	});
	return { text, status: 0 };
}

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A token that lies around for longer than a month is a key under the mat. */
function ttlMs(text: string): number {
	const [, count = "", unit = ""] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
	const time = Number(count) * (units[unit] ?? 0);
	if (time > 0 && time <= 31 * 86_400_000) return time;
	throw new CommandError(`--ttl ${text}: no time between 1m and 31d`, "write 30m, 1h or 2d");
}

export async function hosts(flags: AuthorityFlags & { readonly json?: boolean }): Promise<Outcome> {
	const authority = await openAuthority(directoryOf(flags), Date.now());
	const now = Date.now();
	const known = listHosts(authority).filter(({ hostId }) => hostId !== "console");
	if (flags.json === true) {
		return { text: JSON.stringify({ fingerprint: authority.fingerprint, hosts: known }), status: 0 };
	}
	const lines = known.map(({ hostId, certificates }) => {
		const good = certificates.filter((one) => !one.revoked && one.expires > now);
		const last = Math.max(...good.map(({ expires }) => expires));
		const state =
			good.length > 0
				? `certificate until ${iso(last)}`
				: certificates.some(({ revoked }) => revoked)
					? "revoked"
					: "certificate ended";
		return neutralise(`${hostId}  ${certificates.at(-1)?.host || "?"}  ${state}`);
	});
	const none = lines.length === 0 ? ["no host is enrolled; picket console token makes a token for one"] : [];
	return { text: [`authority ${authority.fingerprint}`, ...lines, ...none].join("\n"), status: 0 };
}

export async function revoke(hostId: string, flags: AuthorityFlags): Promise<Outcome> {
	const authority = await openAuthority(directoryOf(flags), Date.now());
	const count = await revokeHost(authority, hostId, Date.now());
	const text =
		count === 0
			? `${hostId}: all its certificates were revoked already`
			: `${hostId}: ${count} certificate${count === 1 ? "" : "s"} revoked; a running console refuses ` +
				`${hostId === "console" ? "to use them and makes a new one" : "the host"} within 2 s`;
	return { text, status: 0 };
}
