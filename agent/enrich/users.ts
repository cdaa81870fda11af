// Names of the host's users, from its passwd file, or of its groups, from its group file: both have name and number in
// the same places. What a container calls the same number is not known here.
import { readFileSync, statSync } from "node:fs";

export interface Users {
	/** Name as latin1, undefined when the file has none or could never be read. */
	name(uid: number): string | undefined;
	readonly size: number;
}

export interface UsersOptions {
	/** Unix ms. */
	readonly clock: () => number;
	readonly file?: string;
	readonly limit?: number;
}

/** ms between two looks at the file. */
const interval = 1000;
const maxBytes = 8 << 20;

export function createUsers(options: UsersOptions): Users {
	const { clock } = options;
	const file = options.file ?? "/etc/passwd";
	const limit = options.limit ?? 65_536;
	let names = new Map<number, string>();
	let looked = Number.NEGATIVE_INFINITY;
	let seen = "";

	return {
		name: (uid) => {
			const now = clock();
			// A clock set back must not stop us from looking until it has caught up.
			if (now - looked >= interval || now < looked) look(now);
			return names.get(uid);
		},
		get size() {
			return names.size;
		},
	};

	// While the file cannot be read, or is half written, the names read last stay in force.
	function look(now: number): void {
		looked = now;
		try {
			const stat = statSync(file, { bigint: true });
			const version = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`;
			if (version === seen || !stat.isFile() || stat.size > maxBytes) return;
			names = parse(readFileSync(file, "latin1"), limit);
			seen = version;
		} catch {
			// No names is an answer here: the number is always shown.
		}
	}
}

function parse(text: string, limit: number): Map<number, string> {
	const names = new Map<number, string>();
	for (const line of text.split("\n")) {
		const [name, , digits] = line.split(":", 4);
		if (name === undefined || name === "" || name.startsWith("#")) continue;
		// "+" and "-" lines pull in NIS and name no user.
		if (digits === undefined || !/^\d{1,10}$/.test(digits) || /^[+-]/.test(name)) continue;
		const uid = Number(digits);
		// As getpwuid: the first line of a number wins.
		if (uid > 0xffff_ffff || names.has(uid)) continue;
		if (names.size >= limit) break;
		names.set(uid, name);
	}
	return names;
}
