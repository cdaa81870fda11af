// Cgroup id → cgroup and its container. Filled at start from the cgroup2 mount (a directory's inode number is
// the cgroup's id), then by cgroup events; /proc/PID/cgroup answers for an id that neither has told of.
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Cgroup, Container } from "../model/process.ts";
import {
	below,
	type CgroupMode,
	candidateOfPath,
	containerOfPath,
	findMounts,
	normal,
	podOfPath,
} from "./cgroup-path.ts";
import type { Containers } from "./containers.ts";

export type { CgroupMode };

export interface CgroupStatus {
	readonly mode: CgroupMode;
	/** The cgroup2 mount, empty when there is none. */
	readonly mount: string;
	/** Empty when every event's cgroup id says enough. */
	readonly problem: string;
	readonly remedy: string;
}

export interface Cgroups {
	/** `id` as an event carries it. A known id is one map look-up; `pid` is where to ask for another. */
	lookup(id: number, pid: number): Cgroup | undefined;
	/**
	 * From /proc/PID/cgroup, v1 controllers included. For hosts where the id says little (`mode` is not
	 * "unified"): call it once per process, never per event. The id is 0 when only v1 knows the container.
	 */
	ofProcess(pid: number): Cgroup | undefined;
	/** Ids of the uppermost cgroups of each container, those of all below go along. Looks at all cgroups. */
	ofContainers(): Map<Container, number[]>;
	/** `path` from the root of the cgroup2 hierarchy, latin1. */
	created(id: number, path: string): void;
	/** Kept for the grace time, since events of its processes are still on their way. */
	removed(id: number): void;
	status(): CgroupStatus;
	readonly size: number;
	/** How many were given up because of the limit; they are found again through /proc. */
	readonly evicted: number;
}

export interface CgroupsOptions {
	readonly containers: Containers;
	/** Unix ms. */
	readonly clock: () => number;
	readonly limit?: number;
	/** ms. */
	readonly grace?: number;
	/** For tests: where procfs is mounted. */
	readonly proc?: string;
}

/** Where cgroup2 is mounted, undefined when it is not. */
export function cgroupMount(proc = "/proc"): string | undefined {
	return findMounts(readText(`${proc}/self/mountinfo`) ?? "").mount;
}

interface Entry {
	readonly id: number;
	readonly path: string;
	container: Container | undefined;
}

const maxDepth = 64;
// How long (ms) and for how many ids "not found" is remembered: an unknown id must not cost a read per event.
const missTime = 1000;
const maxMisses = 1024;

export function createCgroups(options: CgroupsOptions): Cgroups {
	const { containers, clock } = options;
	const proc = options.proc ?? "/proc";
	const limit = options.limit ?? 16_384;
	const grace = options.grace ?? 60_000;
	const { mount, prefix, mode } = findMounts(readText(`${proc}/self/mountinfo`) ?? "");
	const byId = new Map<number, Entry>();
	/** Known to /proc only (v1): by path, since they have no id of the one hierarchy. */
	const byPath = new Map<string, Entry>();
	const removedAt = new Map<number, number>();
	const misses = new Map<number, number>();
	/** Entries that wait for Docker to say whether their id is a container's. */
	const candidates = new Map<string, Set<Entry>>();
	let evicted = 0;

	containers.onKnown((container) => {
		if (container.runtime !== "docker") return;
		for (const entry of candidates.get(container.id) ?? []) entry.container = container;
	});
	if (mount !== undefined) walk(mount);

	return {
		lookup: (id, pid) => byId.get(id) ?? lookupUnknown(id, pid),
		ofProcess,
		ofContainers() {
			const own = new Map<string, Entry>();
			for (const entry of byId.values())
				if (entry.container && !removedAt.has(entry.id)) own.set(entry.path, entry);
			const found = new Map<Container, number[]>();
			for (const { id, path, container } of own.values()) {
				if (!container || above(path).some((parent) => own.get(parent)?.container === container)) continue;
				const ids = found.get(container);
				if (ids) ids.push(id);
				else found.set(container, [id]);
			}
			return found;
		},
		created: (id, path) => {
			forgetRemoved();
			add(id, path);
		},
		removed: (id) => {
			forgetRemoved();
			if (byId.has(id) && !removedAt.has(id)) removedAt.set(id, clock() + grace);
		},
		status,
		get size() {
			return byId.size;
		},
		get evicted() {
			return evicted;
		},
	};

	/** Breadth first, so that a limit costs the leaves. Synchronous: it runs once, before the first event. */
	function walk(top: string): void {
		let level = [""];
		for (let depth = 0; depth < maxDepth && level.length > 0; depth++) {
			const next: string[] = [];
			for (const path of level) {
				const id = inode(`${top}${path}`);
				if (id === undefined) continue;
				if (byId.size >= limit) return;
				add(id, normal(`${prefix}${path}`));
				for (const name of directories(`${top}${path}`)) next.push(`${path}/${name}`);
			}
			level = next;
		}
	}

	function lookupUnknown(id: number, pid: number): Cgroup | undefined {
		const now = clock();
		const missed = misses.get(id);
		if (missed !== undefined && Math.abs(now - missed) < missTime) return undefined;
		forgetRemoved();
		const path = mount === undefined ? undefined : paths(pid)?.unified;
		// The process may have moved on since the event: only the directory's own id proves the path is right.
		if (path !== undefined && mount !== undefined && inode(`${mount}${below(path, prefix)}`) === id) {
			return add(id, normal(path));
		}
		if (misses.size >= maxMisses) misses.clear();
		misses.set(id, now);
		return undefined;
	}

	function ofProcess(pid: number): Cgroup | undefined {
		const found = paths(pid);
		if (found === undefined) return undefined;
		const { unified, legacy } = found;
		if (unified !== undefined && (mode === "unified" || containerOfPath(unified) !== undefined)) {
			const known = named(unified);
			if (known !== undefined) return known;
		}
		// runc before 1.1 puts a container into the v1 hierarchies only, and cgroup2 shows the engine's service.
		const path = legacy.find((candidate) => containerOfPath(candidate) !== undefined);
		if (path !== undefined) return v1(path);
		if (unified !== undefined) return named(unified);
		const any = legacy.find((candidate) => candidateOfPath(candidate) !== undefined) ?? legacy[0];
		return any === undefined ? undefined : v1(any);
	}

	/** A path of the cgroup2 hierarchy, which may have gone since. */
	function named(path: string): Cgroup | undefined {
		const id = mount === undefined ? undefined : inode(`${mount}${below(path, prefix)}`);
		if (id === undefined) return v1(path);
		const known = byId.get(id);
		return known !== undefined && known.path === normal(path) ? known : add(id, normal(path));
	}

	function v1(path: string): Cgroup {
		const known = byPath.get(path);
		if (known !== undefined) return known;
		if (byPath.size >= limit) {
			const oldest = byPath.entries().next().value;
			if (oldest !== undefined) {
				byPath.delete(oldest[0]);
				release(oldest[1]);
				evicted++;
			}
		}
		const entry = make(0, path);
		byPath.set(path, entry);
		return entry;
	}

	/** The path lines of /proc/PID/cgroup: "0::" is cgroup2's, the others belong to v1 controllers. */
	function paths(pid: number): { unified: string | undefined; legacy: string[] } | undefined {
		const text = readText(`${proc}/${pid}/cgroup`);
		if (text === undefined) return undefined;
		let unified: string | undefined;
		const legacy: string[] = [];
		for (const line of text.split("\n")) {
			const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
			// A cgroup that is removed already is shown with this word after its path.
			const path = match?.[3]?.replace(/ \(deleted\)$/, "");
			if (path === undefined) continue;
			if (match?.[1] === "0") unified = path;
			else legacy.push(path);
		}
		return { unified, legacy };
	}

	function add(id: number, path: string): Entry {
		const before = byId.get(id);
		if (before !== undefined) drop(before);
		if (byId.size >= limit) evict();
		const entry = make(id, path);
		byId.set(id, entry);
		misses.delete(id);
		return entry;
	}

	function make(id: number, path: string): Entry {
		const name = containerOfPath(path);
		if (name !== undefined) {
			return { id, path, container: containers.get(name.id, name.runtime, podOfPath(path)) };
		}
		const entry: Entry = { id, path, container: undefined };
		const candidate = candidateOfPath(path);
		if (candidate !== undefined) {
			const known = containers.find(candidate);
			if (known?.known && known.runtime === "docker") entry.container = known;
			const waiting = candidates.get(candidate) ?? new Set();
			candidates.set(candidate, waiting.add(entry));
		}
		return entry;
	}

	function drop(entry: Entry): void {
		byId.delete(entry.id);
		removedAt.delete(entry.id);
		release(entry);
	}

	function release(entry: Entry): void {
		const candidate = candidateOfPath(entry.path);
		const waiting = candidate === undefined ? undefined : candidates.get(candidate);
		if (candidate === undefined || waiting === undefined) return;
		waiting.delete(entry);
		if (waiting.size === 0) candidates.delete(candidate);
	}

	function evict(): void {
		const id = removedAt.keys().next().value ?? byId.keys().next().value;
		const entry = id === undefined ? undefined : byId.get(id);
		if (entry === undefined) return;
		drop(entry);
		evicted++;
	}

	function forgetRemoved(): void {
		const now = clock();
		for (const [id, deadline] of removedAt) {
			if (deadline > now) return;
			const entry = byId.get(id);
			if (entry === undefined) removedAt.delete(id);
			else drop(entry);
		}
	}

	function status(): CgroupStatus {
		const at = { mode, mount: mount ?? "" };
		switch (mode) {
			case "unified":
				return { ...at, problem: "", remedy: "" };
			case "hybrid":
				return {
					...at,
					problem:
						"cgroup v1 controllers are mounted beside cgroup2: a runtime older than runc 1.1 shows its " +
						"containers only there, and they are read from /proc once per process",
					remedy: "boot with systemd.unified_cgroup_hierarchy=1",
				};
			case "legacy":
				return {
					...at,
					problem:
						"no cgroup2 hierarchy is mounted: the container is read from /proc once per process, and a " +
						"process that ends at once may be taken for the host's",
					remedy: "boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2",
				};
		}
	}
}

// Paths are latin1 here and bytes to the file system: a name that is not UTF-8 stays one name.
function bytes(path: string): Buffer {
	return Buffer.from(path, "latin1");
}

function inode(path: string): number | undefined {
	try {
		return statSync(bytes(path)).ino;
	} catch {
		return undefined;
	}
}

function directories(path: string): string[] {
	try {
		const entries = readdirSync(bytes(path), { withFileTypes: true, encoding: "buffer" });
		return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name.toString("latin1"));
	} catch {
		return [];
	}
}

function readText(path: string): string | undefined {
	try {
		return readFileSync(path, "latin1");
	} catch {
		return undefined;
	}
}

/** The paths of all cgroups that it lies below, but for the root. */
function above(path: string): string[] {
	const found: string[] = [];
	for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1))
		found.push(path.slice(0, end));
	return found;
}
