// The uplink as a process of the system: how it is started, how much memory it has, what it said when it died.
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { launcherPath } from "./capture/addon.ts";
import { neutralise } from "./report/shown.ts";
import { startProcess } from "./spawn.ts";

export interface Identity {
	readonly user: string;
	readonly uid: number;
	readonly gid: number;
}

const entryFile = new URL("./uplink/main.mjs", import.meta.url).pathname;
// Small, like the sensor's own (agent/main.mjs); the heap's bound ends a leak before the host feels it.
const nodeOptions = ["--v8-pool-size=1", "--max-semi-space-size=1", "--max-old-space-size=192"];
/** With the pipe to it as descriptor 3. It ends when that ends. Throws when no process can be had. */
export function launchUplink(identity: Identity | undefined): ChildProcess {
	const { uid, gid } = identity ?? {};
	return startProcess(
		launcherPath,
		[process.execPath, ...nodeOptions, entryFile, JSON.stringify({ uid, gid })],
		{
			stdio: ["ignore", "ignore", "pipe", "pipe"],
			cwd: "/",
			env: passed(["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"]),
		},
	);
}

/** Far above what the runtime says when it dies; not read any further, so that it cannot keep us busy with that. */
const mostWords = 256 * 1024;

/** What it said on stderr: the end of it, with anything strange in it made visible. */
export function lastWords({ stderr }: ChildProcess): () => string {
	let text = "";
	let size = 0;
	stderr?.setEncoding("utf8").on("data", (more: string) => {
		text = (text + more).slice(-4000);
		size += more.length;
		if (size > mostWords) stderr.destroy();
	});
	// Node ends an uncaught error's trace with its own version.
	const telling = () => text.split("\n").find((line) => /error/i.test(line)) ?? text.trim();
	return () => neutralise(telling()).slice(0, 300);
}

function passed(names: readonly string[]): Record<string, string> {
	return Object.fromEntries(
		names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
	);
}

/** 0 when it is gone. Asked of the kernel: what a process says of itself is not measured. */
export function residentBytes(pid: number | undefined): number {
	if (pid === undefined) return 0;
	try {
		const status = readFileSync(`/proc/${pid}/status`, "latin1");
		return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
	} catch {
		return 0;
	}
}
