// The enrich stage put together: tree, cgroups, containers, users, and what a recording keeps of their look-ups.
// Live and in a replay alike; only where the facts come from differs.
import { basename } from "node:path";
import type { Fact } from "./capture/recording.ts";
import { type Cgroups, createCgroups } from "./enrich/cgroups.ts";
import { createContainerExecs } from "./enrich/container-execs.ts";
import { createContainerFiles } from "./enrich/container-files.ts";
import { type Containers, createContainers } from "./enrich/containers.ts";
import { type ProcessFacts, readProcess, readProcesses } from "./enrich/proc.ts";
import { ProcessTree } from "./enrich/tree.ts";
import { createUsers } from "./enrich/users.ts";
import type { Cgroup, ContainerExec, ContainerFacts } from "./model/process.ts";

export interface EnrichmentOptions {
	readonly processes: number;
	readonly containers: number;
	/** Unix ms. */
	readonly clock: () => number;
	/** Told of everything looked up outside the events: a recording keeps it. */
	readonly onFact: (name: string, value: unknown) => void;
	/** Told of a container's file that is there and cannot be used; of each sort of trouble once. */
	readonly complain?: (file: string, what: string) => void;
	/** Path of the container engine's socket as far as its name counts: whoever connects to it may be its client. */
	readonly engineSocket?: string;
	/** False for a replay: facts come from the recording only. */
	readonly live: boolean;
}

export interface Enrichment {
	readonly tree: ProcessTree;
	readonly cgroups: Pick<Cgroups, "lookup" | "created" | "removed" | "ofContainers"> & {
		readonly size: number;
	};
	readonly containers: Containers;
	/** Where the unified hierarchy is mounted, "" when it is not. */
	readonly cgroupMount: string;
	userName(uid: number): string | undefined;
	groupName(gid: number): string | undefined;
	/** Reads what runs now. Call it after capture has started, so that nothing falls between. */
	seed(): void;
	/** After lost events: brings the tree back to what /proc says. */
	repair(): void;
	/** What the container runtime told. */
	containerFacts(facts: ContainerFacts): void;
	/** What the container runtime told of a process it starts in a container. */
	containerExec(exec: ContainerExec): void;
	/** A fact out of a recording. */
	replay(fact: Fact): void;
}

export function createEnrichment(options: EnrichmentOptions): Enrichment {
	const { onFact, live, clock } = options;
	const containers = createContainers({ clock, limit: options.containers });
	const complained = new Set<string>();
	const files = createContainerFiles({
		complain(file, what) {
			if (complained.has(what) || complained.size > 100) return;
			complained.add(what);
			options.complain?.(file, what);
		},
	});
	// Before the cgroups, which show the first containers as they are made.
	containers.onUnknown(({ id, runtime }) => {
		const facts = live ? files(id, runtime) : undefined;
		if (facts) containerFacts(facts);
	});
	const cgroups = createCgroups({ containers, clock, ...(live ? {} : { proc: "/nonexistent" }) });
	// A container sees it under a path of its own choice.
	const socketName = `/${basename(options.engineSocket ?? "docker.sock")}`;
	const users = createUsers({ clock });
	const groups = createUsers({ clock, file: "/etc/group" });
	const recordedUsers = new Map<number, string>();
	const recordedGroups = new Map<number, string>();
	/** Cgroups and users a recording has been told of. */
	const told = new Set<string>();

	const once = (name: string, key: number, value: unknown): void => {
		const word = `${name} ${key}`;
		if (told.has(word)) return;
		if (told.size > 100_000) told.clear();
		told.add(word);
		onFact(name, value);
	};
	const lookup = (id: number, pid: number): Cgroup | undefined => {
		const found = cgroups.lookup(id, pid);
		if (found && live) once("cgroup", id, { id, path: found.path });
		return found;
	};
	const tree = new ProcessTree({
		limit: options.processes,
		cgroup: lookup,
		read: (pid) => (live ? readProcess(pid) : undefined),
		onRead: (facts) => onFact("process", facts),
		executed: (process) => execs.executed(process),
		connected: (process, bytes, start, size) => {
			const name = bytes.toString("latin1", start + Math.max(0, size - socketName.length), start + size);
			if (name === socketName) execs.connected(process);
		},
	});
	const execs = createContainerExecs({
		clock,
		find: (pid) => tree.get(pid),
		assign: (process, by) => tree.setStartedBy(process, by),
	});
	const cgroupIdOf = (facts: ProcessFacts): number => {
		if (!live) return facts.cgroupId;
		facts.cgroupId = cgroups.ofProcess(facts.pid)?.id ?? 0;
		return facts.cgroupId;
	};
	const add = (facts: ProcessFacts, newer = false): void => tree.seed(facts, cgroupIdOf(facts), newer);

	function containerFacts(facts: ContainerFacts): void {
		containers.facts(facts);
		onFact("container", facts);
	}

	return {
		tree,
		containers,
		cgroupMount: cgroups.status().mount,
		cgroups: {
			lookup,
			created: cgroups.created,
			ofContainers: cgroups.ofContainers,
			removed: cgroups.removed,
			get size() {
				return cgroups.size;
			},
		},
		userName(uid) {
			if (!live) return recordedUsers.get(uid);
			const name = users.name(uid);
			if (name !== undefined) once("user", uid, { uid, name });
			return name;
		},
		groupName(gid) {
			if (!live) return recordedGroups.get(gid);
			const name = groups.name(gid);
			if (name !== undefined) once("group", gid, { gid, name });
			return name;
		},
		seed() {
			for (const facts of readProcesses()) {
				add(facts);
				onFact("process", facts);
			}
			tree.linkParents();
		},
		repair() {
			const running = readProcesses();
			tree.retain(running);
			for (const facts of running) {
				if (tree.knows(facts)) continue;
				add(facts, true);
				onFact("process", facts);
			}
			tree.linkParents();
		},
		containerFacts,
		containerExec(exec) {
			execs.told(exec);
			onFact("container exec", exec);
		},
		replay({ name, value }) {
			// Written by us and guarded by the layout hash; a value of another shape harms this replay only.
			if (name === "process") add(value as ProcessFacts);
			else if (name === "container") containers.facts(value as ContainerFacts);
			else if (name === "container exec") execs.told(value as ContainerExec);
			else if (name === "cgroup") {
				const { id, path } = value as { id: number; path: string };
				cgroups.created(id, path);
			} else if (name === "user") {
				const { uid, name: user } = value as { uid: number; name: string };
				recordedUsers.set(uid, user);
			} else if (name === "group") {
				const { gid, name: group } = value as { gid: number; name: string };
				recordedGroups.set(gid, group);
			}
		},
	};
}
