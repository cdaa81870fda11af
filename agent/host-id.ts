// Who a host is and since when: its own id, random, made at the first start and kept; the id of its boot.
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const pattern = /^[0-9a-f-]{36}$/;

/**
 * Reads the id at `path`; makes a new one when there is none or it is damaged. Without a place to keep it, it lasts one
 * run.
 */
export function readOrMake(path: string): string {
	const kept = made.get(path);
	if (kept !== undefined) return kept;
	let id = "";
	try {
		id = readFileSync(path, "latin1").trim();
	} catch {
		// first start
	}
	if (!pattern.test(id)) {
		id = randomUUID();
		try {
			writeFileSync(path, `${id}\n`, { mode: 0o600 });
		} catch {
			// a read-only state directory: the id changes with every start
		}
	}
	made.set(path, id);
	return id;
}

const made = new Map<string, string>();

export function readBootId(): string {
	return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
