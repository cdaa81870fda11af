// Freezes what runs in one cgroup, by the kernel's own freezer: cgroup.freeze of version 2, freezer.state of
// version 1. Finds the cgroup of a container by the id in its name. Whose it may be is decided elsewhere, except
// that a cgroup with the sensor in it is never frozen.
import { type Dirent, readFileSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeError, RespondError } from "./failure.ts";

export interface Freezer {
	/** Directory of the cgroup, below the root. */
	readonly directory: string;
	readonly version: 1 | 2;
}

interface Hierarchy {
	readonly version: 1 | 2;
	/** Where it is mounted, below the root. */
	readonly mount: string;
	/** The path of the mount's top as /proc/PID/cgroup has it, "" for the whole hierarchy. */
	readonly top: string;
}

/** Bounds of the search for a container's cgroup: levels below the mount, and directories in all. */
const deepest = 12;
const mostDirectories = 50_000;
/** The kernel freezes within milliseconds what is not stuck in a driver. */
const settleMs = 1000;

/**
 * The freezers of container `id` (64 hex digits), version 2 first; on a host with both hierarchies there are two.
 * `pid` of its first process, 0 when it is not known, saves the search. Empty when there is none.
 */
export async function freezersOf(root: string, id: string, pid: number): Promise<Freezer[]> {
	const found: Freezer[] = [];
	for (const hierarchy of hierarchies(root)) {
		const direct = pid > 0 ? cgroupOf(root, pid, hierarchy) : undefined;
		const directory = upTo(direct ?? "", id) ?? (await search(join(root, hierarchy.mount), id));
		if (directory !== undefined)
			found.push({ directory: withoutRoot(root, directory), version: hierarchy.version });
	}
	return found;
}

/** The cgroup (version 2) that a process is in; undefined for the topmost one and when it cannot be told. */
export function ownFreezer(root: string, pid: number): Freezer | undefined {
	const hierarchy = hierarchies(root).find(({ version }) => version === 2);
	const directory = hierarchy && cgroupOf(root, pid, hierarchy);
	if (hierarchy === undefined || directory === undefined) return undefined;
	if (directory === join(root, hierarchy.mount)) return undefined;
	return { directory: withoutRoot(root, directory), version: 2 };
}

/** Does the kernel say that everything in it is frozen? False when it is gone. */
export async function isFrozen(root: string, freezer: Freezer): Promise<boolean> {
	if (freezer.version === 2) return /^frozen 1$/m.test(await textOf(root, freezer, "cgroup.events"));
	return (await textOf(root, freezer, "freezer.state")).trim() === "FROZEN";
}

/**
 * Freezes or thaws and waits for the kernel's word; false when that does not come. `self` is the sensor's pid. Throws
 * RespondError.
 */
export async function setFrozen(
	{ root, self }: { root: string; self: number },
	freezer: Freezer,
	frozen: boolean,
): Promise<boolean> {
	if (frozen && (await processesIn(root, freezer)).includes(self)) {
		throw new RespondError(
			"PICKET_TARGET_PROTECTED",
			`the sensor runs in ${freezer.directory}`,
			"none: it stays running",
		);
	}
	const [file, value] =
		freezer.version === 2
			? ["cgroup.freeze", frozen ? "1" : "0"]
			: ["freezer.state", frozen ? "FROZEN" : "THAWED"];
	try {
		// Without O_CREAT: a cgroup that is gone must not become a file.
		await writeFile(join(root, freezer.directory, file), value, { flag: "r+" });
	} catch (error) {
		// What is not there any more is not frozen.
		if (!frozen && (error as NodeJS.ErrnoException).code === "ENOENT") return true;
		throw new RespondError(
			"PICKET_RUNTIME_FAILED",
			`${freezer.directory}/${file}: ${describeError(error)}`,
			"see whether the container still runs and the sensor may write to its cgroup",
		);
	}
	for (let waited = 0; waited < settleMs; ) {
		if ((await isFrozen(root, freezer)) === frozen) return true;
		const pause = waited < 20 ? 1 : 20;
		await new Promise((resolve) => setTimeout(resolve, pause));
		waited += pause;
	}
	return (await isFrozen(root, freezer)) === frozen;
}

/** Every process in the cgroup and in those below it. */
export async function processesIn(root: string, freezer: Freezer): Promise<number[]> {
	const pids: number[] = [];
	for (const directory of await directoriesBelow(join(root, freezer.directory))) {
		const text = await readFile(join(directory, "cgroup.procs"), "latin1").catch(() => "");
		pids.push(
			...text
				.split("\n")
				.filter((line) => line !== "")
				.map(Number),
		);
	}
	return pids;
}

/** Is it the cgroup of this container, and not that of its monitor (libpod-conmon-ID.scope)? */
export function isCgroupOf(name: string, id: string): boolean {
	if (!/^[0-9a-f]{64}$/.test(id)) return false;
	const before = name.slice(0, name.indexOf(id));
	return name.includes(id) && /^(?:.*:)?$|^(?:docker|libpod|cri-containerd|nerdctl|crio)-$/.test(before);
}

/** From /proc/self/mountinfo: the version 2 hierarchy and version 1's freezer, as far as they are mounted. */
function hierarchies(root: string): Hierarchy[] {
	const found: Hierarchy[] = [];
	for (const line of readSoft(join(root, "proc/self/mountinfo")).split("\n")) {
		const [place = "", source = ""] = line.split(" - ", 2);
		const [type, , options = ""] = source.split(" ");
		const [, , , top = "", mount = ""] = place.split(" ");
		const version =
			type === "cgroup2" ? 2 : type === "cgroup" && options.split(",").includes("freezer") ? 1 : 0;
		if (version !== 0) found.push({ version, mount, top: top === "/" ? "" : top });
	}
	return found.sort((a, b) => b.version - a.version);
}

/** Where the cgroup of a process lies, as far as the mount shows it. */
function cgroupOf(root: string, pid: number, hierarchy: Hierarchy): string | undefined {
	for (const line of readSoft(join(root, "proc", String(pid), "cgroup")).split("\n")) {
		const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
		const meant =
			hierarchy.version === 2 ? line.startsWith("0::") : controllers.split(",").includes("freezer");
		if (!meant || !path.startsWith(hierarchy.top)) continue;
		const below = path.slice(hierarchy.top.length);
		if (below.split("/").includes("..")) return undefined;
		return join(root, hierarchy.mount, below);
	}
	return undefined;
}

/** The outermost directory of a path that is named after the container. */
function upTo(path: string, id: string): string | undefined {
	const segments = path.split("/");
	const index = segments.findIndex((segment) => isCgroupOf(segment, id));
	return index < 0 ? undefined : segments.slice(0, index + 1).join("/");
}

async function search(top: string, id: string): Promise<string | undefined> {
	for (const directory of await directoriesBelow(top))
		if (upTo(directory, id) !== undefined) return directory;
	return undefined;
}

/** The directory and all below it, upper ones first. */
async function directoriesBelow(top: string): Promise<string[]> {
	const all = [top];
	let level = [top];
	for (let depth = 0; depth < deepest && level.length > 0 && all.length < mostDirectories; depth++) {
		const next: string[] = [];
		for (const directory of level) {
			const entries = await readdir(directory, { withFileTypes: true }).catch((): Dirent[] => []);
			for (const entry of entries) if (entry.isDirectory()) next.push(join(directory, entry.name));
		}
		all.push(...next);
		level = next;
	}
	return all;
}

function withoutRoot(root: string, path: string): string {
	return root === "/" ? path : path.slice(root.length);
}

async function textOf(root: string, freezer: Freezer, file: string): Promise<string> {
	return readFile(join(root, freezer.directory, file), "latin1").catch(() => "");
}

function readSoft(file: string): string {
	try {
		return readFileSync(file, "latin1");
	} catch {
		return "";
	}
}
