// What to watch at all, put into the kernel's tables.
import { readdirSync, readFileSync, statSync } from "node:fs";
import * as layout from "../model/layout.ts";
import type { Sensor } from "./addon.ts";
import { CaptureError } from "./capture-error.ts";
import { cgroupKey, pidKey, scopePathKeys } from "./tables.ts";

export interface Scope {
	/** Watch these processes and all they start from now on. */
	readonly pids: readonly number[];
	/** Watch these cgroups (paths below the cgroup2 mount) and all below them. */
	readonly cgroups: readonly string[];
	/** Report opens below these paths only. */
	readonly paths: readonly string[];
}

/** Writes the tables and returns the bits of `settings.scope`. Throws CaptureError for what is not there. */
export function applyScope(
	sensor: Pick<Sensor, "mapUpdate">,
	{ pids, cgroups, paths }: Scope,
	cgroupRoot: string,
): number {
	const put = (table: string, key: Buffer) => sensor.mapUpdate(table, key, new Uint8Array([1]));
	let bits = 0;
	if (pids.length > 0) {
		bits |= layout.scope.SCOPE_PIDS;
		for (const pid of withDescendants(new Set(pids))) put("scope_pids", pidKey(pid));
	}
	if (cgroups.length > 0) {
		bits |= layout.scope.SCOPE_CGROUPS;
		for (const path of cgroups) put("scope_cgroups", cgroupKey(cgroupId(cgroupRoot, path)));
	}
	if (paths.length > 0) {
		bits |= layout.scope.SCOPE_PATHS;
		for (const key of paths.flatMap(scopePathKeys)) put("scope_paths", key);
	}
	return bits;
}

function cgroupId(root: string, path: string): number {
	try {
		return statSync(`${root}/${path}`).ino;
	} catch {
		throw new CaptureError(
			"UNSUPPORTED",
			`there is no cgroup ${path}`,
			"name it as in /proc/PID/cgroup after 0::",
		);
	}
}

/** The processes below the given ones, as /proc knows them now, the given ones included. */
function withDescendants(roots: ReadonlySet<number>): Set<number> {
	const parents = new Map<number, number>();
	for (const entry of readdirSync("/proc")) {
		if (!/^\d+$/.test(entry)) continue;
		try {
			const stat = readFileSync(`/proc/${entry}/stat`, "latin1");
			parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
		} catch {
			// gone meanwhile
		}
	}
	for (const pid of roots) {
		if (parents.has(pid)) continue;
		throw new CaptureError(
			"UNSUPPORTED",
			`there is no process ${pid}`,
			"look for it with `ps` and name it again",
		);
	}
	const out = new Set(roots);
	for (let grown = true; grown; ) {
		grown = false;
		for (const [pid, parent] of parents) {
			if (out.has(parent) && !out.has(pid)) {
				out.add(pid);
				grown = true;
			}
		}
	}
	return out;
}
