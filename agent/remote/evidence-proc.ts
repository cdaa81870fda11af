// What /proc says of one process, and of no other: everything is read through a descriptor of its folder, which leads
// nowhere once the process has been waited for, whoever has its pid by then. Each read is bounded in bytes and time.
import { createHash } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { showText } from "../report/shown.ts";
import { isSameStart } from "../respond/kill.ts";
import { readBounded, withFile } from "./bounded-read.ts";
import { findConnections } from "./connections.ts";

/** What could be read; what is missing stands in `problems`. Texts are shown as everywhere. */
export interface ProcFacts {
	executable?: {
		/** " (deleted)" behind it when it is gone from there. */
		path?: string;
		/** Of the file that runs, through /proc/PID/exe: what lies at its path may be another. */
		sha256?: string;
		bytes?: number;
		mode?: string;
		uid?: number;
		gid?: number;
		changed?: string;
		modified?: string;
		device?: number;
		inode?: number;
	};
	commandLine?: string[];
	/** Without their values, which often hold secrets. */
	environmentNames?: string[];
	workingDirectory?: string;
	root?: string;
	status?: string[];
	cgroup?: string[];
	namespaces?: Record<string, string>;
	descriptors?: { number: number; target: string }[];
	maps?: string[];
	connections?: wire.Connection[];
	problems: string[];
}

/** The process of that pid is another one, or there is none. */
export class NoSuchProcess extends Error {}

const readMs = 5000;
const hashMs = 30_000;
const hashChunk = 1024 * 1024;
/** Larger than any program worth running. */
const maxHashBytes = 1024 * 1024 * 1024;
const maxCommandBytes = 64 * 1024;
const maxEnvironmentBytes = 256 * 1024;
const maxNames = 1000;
const maxDescriptors = 4096;
const maxMapsBytes = 1024 * 1024;
const maxConnections = 2000;
const maxTextBytes = 64 * 1024;
const spaces = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] as const;

/** `start`: ns since boot. Throws NoSuchProcess; everything else that fails is in `problems`. */
export async function readProcFacts(pid: number, start: number, root = "/"): Promise<ProcFacts> {
	let fd: number;
	try {
		fd = openSync(join(root, "proc", String(pid)), constants.O_RDONLY | constants.O_DIRECTORY);
	} catch {
		throw new NoSuchProcess(`there is no process ${pid} any more`);
	}
	try {
		// From here on the pid may be given to another: this folder stays that of the one looked at.
		const folder = `/proc/self/fd/${fd}`;
		const stat = await readBounded(join(folder, "stat"), maxTextBytes, readMs).catch(() => undefined);
		const text = stat?.bytes.toString("latin1") ?? "";
		const ticks = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
		if (text === "" || Number.isNaN(ticks)) throw new NoSuchProcess(`there is no process ${pid} any more`);
		if (!isSameStart(start, ticks))
			throw new NoSuchProcess(`pid ${pid} belongs to another process now (started at tick ${ticks})`);
		return await readAll(folder, pid);
	} finally {
		closeSync(fd);
	}
}

async function readAll(folder: string, pid: number): Promise<ProcFacts> {
	const problems: string[] = [];
	const facts: ProcFacts = { problems };
	/** One after another: each takes a thread of the few there are. */
	const attempt = async (what: string, read: () => Promise<void>): Promise<void> => {
		try {
			await read();
		} catch (error) {
			problems.push(`${what}: ${errorText(error).replaceAll(folder, `/proc/${pid}`)}`);
		}
	};
	const read = async (name: string, most: number): Promise<string> => {
		const { bytes, truncated } = await readBounded(join(folder, name), most, readMs);
		if (truncated) problems.push(`${name}: cut at ${most} bytes`);
		return bytes.toString("latin1");
	};
	const link = async (name: string): Promise<string> =>
		showText(await readlink(join(folder, name), "latin1"));
	const lines = (text: string): string[] => text.split("\n").filter(Boolean).map(showText);

	// What a process that ends loses first comes first.
	await attempt("commandLine", async () => {
		facts.commandLine = listOf(await read("cmdline", maxCommandBytes)).map(showText);
	});
	await attempt("environmentNames", async () => {
		const names = listOf(await read("environ", maxEnvironmentBytes)).map((entry) =>
			entry.slice(0, Math.max(0, entry.indexOf("="))).slice(0, 200),
		);
		if (names.length > maxNames) problems.push(`environmentNames: ${maxNames} of ${names.length}`);
		facts.environmentNames = names.slice(0, maxNames).map(showText);
	});
	await attempt("workingDirectory", async () => {
		facts.workingDirectory = await link("cwd");
	});
	await attempt("root", async () => {
		facts.root = await link("root");
	});
	await attempt("executable.path", async () => {
		facts.executable = { path: await link("exe") };
	});
	await attempt("maps", async () => {
		const text = await read("maps", maxMapsBytes);
		facts.maps = lines(text.slice(0, text.lastIndexOf("\n") + 1));
	});
	await attempt("descriptors", async () => {
		const names = await readdir(join(folder, "fd"));
		if (names.length > maxDescriptors) problems.push(`descriptors: ${maxDescriptors} of ${names.length}`);
		facts.descriptors = [];
		for (const name of names.slice(0, maxDescriptors)) {
			// Closed meanwhile: no problem.
			const target = await link(`fd/${name}`).catch(() => undefined);
			if (target !== undefined) facts.descriptors.push({ number: Number(name), target });
		}
	});
	await attempt("status", async () => {
		facts.status = lines(await read("status", maxTextBytes));
	});
	await attempt("cgroup", async () => {
		facts.cgroup = lines(await read("cgroup", maxTextBytes));
	});
	await attempt("namespaces", async () => {
		const found: Record<string, string> = {};
		for (const name of spaces) found[name] = await link(`ns/${name}`).catch(() => "");
		facts.namespaces = found;
	});
	await attempt("connections", async () => {
		const found = await findConnections({ pid, folder, limit: maxConnections, holder: () => ({}) });
		if (found.truncated !== "") problems.push(`connections: ${found.truncated}`);
		facts.connections = found.connections;
	});
	await attempt("executable", async () => {
		facts.executable = { ...facts.executable, ...(await hashOf(join(folder, "exe"))) };
	});
	return facts;
}

/** Through the handle: the file that runs, even where it was deleted or replaced. In pieces, off the event loop. */
async function hashOf(path: string): Promise<NonNullable<ProcFacts["executable"]>> {
	return withFile(path, hashMs, async (file, given) => {
		const found = await file.stat();
		if (!found.isFile()) throw new Error("it is no ordinary file");
		const facts = {
			bytes: found.size,
			mode: (found.mode & 0o7777).toString(8).padStart(4, "0"),
			...{ uid: found.uid, gid: found.gid, device: found.dev, inode: found.ino },
			changed: found.ctime.toISOString(),
			modified: found.mtime.toISOString(),
		};
		if (found.size > maxHashBytes) return facts;
		const hash = createHash("sha256");
		const chunk = Buffer.allocUnsafe(hashChunk);
		// A file that grows while it is read has an end all the same.
		for (let read = 0; read <= maxHashBytes && !given.up; ) {
			const { bytesRead } = await file.read(chunk, 0, chunk.length, read);
			if (bytesRead === 0) return { ...facts, sha256: hash.digest("hex") };
			hash.update(chunk.subarray(0, bytesRead));
			read += bytesRead;
		}
		return facts;
	});
}

/** Of texts that each end in NUL. */
function listOf(text: string): string[] {
	return text === "" ? [] : text.replace(/\0$/, "").split("\0");
}
