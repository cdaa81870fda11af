// Who the uplink runs as.
import { readFileSync } from "node:fs";
import { CommandError } from "./failure.ts";
import type { Identity } from "./uplink-launch.ts";

/**
 * `wanted`: "" for picket-uplink when there is one, else nobody. Undefined when we are not root and can be nobody else.
 * Throws CommandError for a user that is not there or that is root.
 */
export function uplinkIdentity(
	wanted: string,
	passwd = readFileSync("/etc/passwd", "latin1"),
): Identity | undefined {
	if (process.getuid?.() !== 0) return undefined;
	const users = new Map(
		passwd.split("\n").map((line) => {
			const [name = "", , uid, gid] = line.split(":");
			return [name, { user: name, uid: Number(uid), gid: Number(gid) }] as const;
		}),
	);
	const names = wanted === "" ? ["picket-uplink", "nobody"] : [wanted];
	const found = names.map((name) => users.get(name)).find((user) => user !== undefined);
	if (found === undefined)
		throw new CommandError(
			`uplink.user: there is no user ${names.join(" or ")} in /etc/passwd`,
			"make one: useradd --system --no-create-home --shell /usr/sbin/nologin picket-uplink",
		);
	if (!(found.uid > 0 && found.gid > 0))
		throw new CommandError(
			`uplink.user: ${found.user} has root's user or group id`,
			"name a user without any rights",
		);
	return found;
}
