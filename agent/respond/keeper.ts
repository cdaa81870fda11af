// Sees to it that what the kernel cannot end by itself (a paused, stopped or disconnected container) ends in time
// even when this process is dead: a little shell script beside it, which waits and does nothing while we live.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import type { Entry, EntryKind } from "./ledger-file.ts";
import { readIdentity } from "./procfs.ts";

export interface KeeperOptions {
	/** The container engine's socket; "" for its usual place. */
	readonly socket: string;
	/** Taken away from the cgroup of this process, with which a service manager would end it. */
	readonly leaveCgroup: boolean;
}

export interface KeeperDeps extends KeeperOptions {
	readonly stateDir: string;
	/** Where /proc lies below. */
	readonly root: string;
	readonly self: number;
	readonly entries: () => readonly Entry[];
	readonly logger: Logger;
}

const script = fileURLToPath(new URL("../../packaging/release.sh", import.meta.url));
const needed: ReadonlySet<EntryKind> = new Set<EntryKind>(["pause", "disconnect", "stop"]);

/** Does the end of this entry need somebody who lives? */
export function needsKeeper({ kind, expires }: Pick<Entry, "kind" | "expires">): boolean {
	return expires > 0 && needed.has(kind);
}

/** The returned function has the script watch over what is in the ledger; call it when something is put there. */
export function createKeeper(deps: KeeperDeps): () => void {
	const { stateDir, root, self, socket, leaveCgroup, logger } = deps;
	let child: ChildProcess | undefined;

	/** The script leaves alone what belongs to a living sensor; a pid alone would soon be another's. */
	function sign(): void {
		const start = readIdentity(root, self)?.startTicks ?? 0;
		mkdirSync(stateDir, { recursive: true, mode: 0o700 });
		const file = join(stateDir, "sensor.pid");
		writeFileSync(`${file}.new`, `${self} ${start}\n`, { mode: 0o600 });
		renameSync(`${file}.new`, file);
	}

	function guard(): void {
		if (child !== undefined) return;
		try {
			sign();
		} catch (error) {
			logger.warn({ err: error }, "the keeper cannot be told that the sensor lives");
			return;
		}
		const args = [script, "keep", "--state-dir", stateDir];
		if (socket !== "") args.push("--docker-socket", socket);
		if (leaveCgroup) args.push("--leave-cgroup");
		// A session of its own: it must outlive us, whatever ends us.
		child = spawn("/bin/sh", args, { detached: true, stdio: "ignore", cwd: "/" });
		child.on("error", (error) => gone(error));
		child.on("exit", (code) => gone(code === 0 ? undefined : new Error(`it ended with ${code}`)));
		child.unref();
	}

	/** It ends when nothing is left, which may have changed while it did. */
	function gone(error: Error | undefined): void {
		child = undefined;
		if (error !== undefined) {
			logger.warn({ err: error }, "the keeper does not run: what is paused ends only while the sensor lives");
		} else if (deps.entries().some(needsKeeper)) {
			guard();
		}
	}

	return guard;
}
