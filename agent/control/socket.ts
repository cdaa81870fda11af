// The socket file: taking its path over from a dead sensor, leaving it to a live one, and giving it away.
import { chmod, chown, link, lstat, mkdir, mkdtemp, readFile, rm, unlink } from "node:fs/promises";
import type { Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { callControl } from "./client.ts";
import { ControlError } from "./protocol.ts";

/** Bytes that fit into sun_path, without its closing NUL (unix(7)). */
const maxPathBytes = 107;

/** ms for the sensor that holds the socket to say its pid. */
const askMs = 1000;

function errorCode(error: unknown): string {
	return error instanceof Error && "code" in error ? String(error.code) : "";
}

/**
 * Listens on `path`, for root alone (0600) or for the members of a group, too (0660). Missing directories are made
 * with 0755. Throws a ControlError ALREADY_RUNNING, NOT_PERMITTED or SOCKET_PATH. Resolves to what takes the file away
 * again.
 */
export async function listenAt(
	server: Server,
	path: string,
	group: number | undefined,
): Promise<() => Promise<void>> {
	// Bound under another name in a directory of its own (0700) and linked into place when its mode is right:
	// so nobody can connect before that, and of two sensors that start at once one finds the name taken.
	const directory = dirname(path);
	if (Buffer.byteLength(path) > maxPathBytes - 8) {
		throw new ControlError(
			"SOCKET_PATH",
			`the path of the control socket is longer than ${maxPathBytes - 8} bytes: ${path}`,
			"Choose a shorter one.",
		);
	}
	let room: string;
	try {
		await mkdir(directory, { recursive: true, mode: 0o755 });
		await leaveToLive(path);
		room = await mkdtemp(join(directory, ".s"));
	} catch (error) {
		throw explain(error, path);
	}
	const first = join(room, "s");
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(first, () => {
				server.off("error", reject);
				resolve();
			});
		});
		if (group === undefined) await chmod(first, 0o600);
		else {
			// The group first: it must not be the process's own that gets the right.
			await chown(first, process.getuid?.() ?? 0, group);
			await chmod(first, 0o660);
		}
		const { ino } = await lstat(first);
		await putInPlace(first, path);
		return async () => {
			const now = await lstat(path).catch(() => undefined);
			// A sensor that was started meanwhile has put its own there.
			if (now?.ino === ino) await unlink(path).catch(() => {});
		};
	} catch (error) {
		server.close();
		throw explain(error, path);
	} finally {
		await rm(room, { recursive: true, force: true });
	}
}

/** Number of a group of this host, undefined when there is none of that name. */
export async function groupNumber(name: string): Promise<number | undefined> {
	const text = await readFile("/etc/group", "utf8").catch(() => "");
	const found = text.split("\n").find((line) => line.startsWith(`${name}:`));
	const number = Number(found?.split(":")[2] || Number.NaN);
	return Number.isInteger(number) ? number : undefined;
}

async function putInPlace(from: string, path: string): Promise<void> {
	try {
		await link(from, path);
	} catch (error) {
		if (errorCode(error) !== "EEXIST") throw error;
		await leaveToLive(path);
		const stale = await lstat(path).catch(() => undefined);
		if (stale !== undefined) await unlink(path);
		await link(from, path);
	}
}

/** Throws when a live sensor answers at `path`, or when something lies there that is no socket. */
async function leaveToLive(path: string): Promise<void> {
	const there = await lstat(path).catch(() => undefined);
	if (there === undefined) return;
	if (!there.isSocket()) {
		throw new ControlError(
			"SOCKET_PATH",
			`${path} exists and is not a socket`,
			`Move it away, or choose another path for ${basename(path)}.`,
		);
	}
	let pid: unknown;
	try {
		const answer = await callControl(path, "ping", {}, askMs);
		if (typeof answer === "object" && answer !== null && "pid" in answer) pid = answer.pid;
	} catch (error) {
		if (error instanceof ControlError && error.code === "NOT_RUNNING") return;
		if (error instanceof ControlError && error.code === "NOT_PERMITTED") throw error;
		// Whoever is there, it listens: full, stuck or of another version.
	}
	throw new ControlError(
		"ALREADY_RUNNING",
		typeof pid === "number"
			? `a sensor is already running on this host (pid ${pid}, socket ${path})`
			: `a sensor is already running on this host (socket ${path})`,
		"Look at it with `picket status` or `picket watch`, or stop it first: `systemctl stop picket`" +
			(typeof pid === "number" ? ` or \`kill ${pid}\`.` : "."),
	);
}

function explain(error: unknown, path: string): unknown {
	if (error instanceof ControlError) return error;
	const code = errorCode(error);
	if (code === "EACCES" || code === "EPERM") {
		return new ControlError("NOT_PERMITTED", `${path} cannot be made (${code})`, "Run it as root.", error);
	}
	if (code === "EEXIST") {
		return new ControlError(
			"ALREADY_RUNNING",
			`another sensor took ${path} at the same moment`,
			"Look at it with `picket status`.",
			error,
		);
	}
	return new ControlError(
		"SOCKET_PATH",
		`the control socket ${path} cannot be made: ${error instanceof Error ? error.message : String(error)}`,
		"See that its directory exists and can be written.",
		error,
	);
}
