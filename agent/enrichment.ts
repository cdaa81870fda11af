// The enrich stage put together: tree, cgroups, containers, users, and what a recording keeps of their look-ups.
// Live and in a replay alike; only where the facts come from differs.
import type { Fact } from "./capture/recording.ts";
import { type Cgroups, createCgroups } from "./enrich/cgroups.ts";
import { type Containers, createContainers } from "./enrich/containers.ts";
import { type ProcessFacts, readProcess, readProcesses } from "./enrich/proc.ts";
import { ProcessTree } from "./enrich/tree.ts";
import { createUsers } from "./enrich/users.ts";
import type { Cgroup, ContainerFacts } from "./model/process.ts";

export interface EnrichmentOptions {
	readonly processes: number;
	readonly containers: number;
	/** Unix ms. */
	readonly clock: () => number;
	/** Told of everything looked up outside the events: a recording keeps it. */
	readonly onFact: (name: string, value: unknown) => void;
	/** False for a replay: facts come from the recording only. */
	readonly live: boolean;
}

export interface Enrichment {
	readonly tree: ProcessTree;
	readonly cgroups: Pick<Cgroups, "lookup" | "created" | "removed"> & { readonly size: number };
	readonly containers: Containers;
	/** Where the unified hierarchy is mounted, "" when it is not. */
	readonly cgroupMount: string;
	userName(uid: number): string | undefined;
	/** Reads what runs now. Call it after capture has started, so that nothing falls between. */
	seed(): void;
	/** After lost events: brings the tree back to what /proc says. */
	repair(): void;
	/** What the container runtime told. */
	containerFacts(facts: ContainerFacts): void;
	/** A fact out of a recording. */
	replay(fact: Fact): void;
}

export function createEnrichment(options: EnrichmentOptions): Enrichment {
	const { onFact, live, clock } = options;
	const containers = createContainers({ clock, limit: options.containers });
	const cgroups = createCgroups({ containers, clock, ...(live ? {} : { proc: "/nonexistent" }) });
	const users = createUsers({ clock });
	const recordedUsers = new Map<number, string>();
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
	});
	const cgroupIdOf = (facts: ProcessFacts): number => {
		if (!live) return facts.cgroupId;
		facts.cgroupId = cgroups.ofProcess(facts.pid)?.id ?? 0;
		return facts.cgroupId;
	};
	const add = (facts: ProcessFacts, newer = false): void => tree.seed(facts, cgroupIdOf(facts), newer);

	return {
		tree,
		containers,
		cgroupMount: cgroups.status().mount,
		cgroups: {
			lookup,
			created: cgroups.created,
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
		containerFacts(facts) {
			containers.facts(facts);
			onFact("container", facts);
		},
		replay({ name, value }) {
			// Written by us and guarded by the layout hash; a value of another shape harms this replay only.
			if (name === "process") add(value as ProcessFacts);
			else if (name === "container") containers.facts(value as ContainerFacts);
			else if (name === "cgroup") {
				const { id, path } = value as { id: number; path: string };
				cgroups.created(id, path);
			} else if (name === "user") {
				const { uid, name: user } = value as { uid: number; name: string };
				recordedUsers.set(uid, user);
			}
		},
	};
}
