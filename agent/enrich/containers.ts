// The containers this host has shown us: one mutable object per id, made at first sight (a cgroup, or word of
// the runtime, whichever comes first) and filled in as facts arrive. Asks no runtime itself.
import type { Container, ContainerFacts } from "../model/process.ts";

export interface Containers {
	/** The one object of this id, made when it is new. `runtime` and `podUid` count only then. */
	get(id: string, runtime: string, podUid?: string): Container;
	/** Undefined when never seen; makes nothing. */
	find(id: string): Container | undefined;
	/** By name as the runtime gives it; one that still exists before one that was removed. Scans. */
	findByName(name: string): Container | undefined;
	/** Takes over what is told and leaves the rest. */
	facts(facts: ContainerFacts): Container;
	/** The runtime removed it: kept for the grace time, since events are still on their way. */
	destroyed(id: string): void;
	/** Called once for each that a cgroup has shown and no runtime has told of, before anybody gets it. */
	onUnknown(listener: (container: Container) => void): void;
	/** Called when name, image and labels have become known, and after every later change of a fact. */
	onKnown(listener: (container: Container) => void): void;
	values(): Iterable<Container>;
	readonly size: number;
	/** How many were given up because of the limit. */
	readonly evicted: number;
}

export interface ContainersOptions {
	/** Unix ms. */
	readonly clock: () => number;
	readonly limit?: number;
	/** ms. */
	readonly grace?: number;
}

export function createContainers(options: ContainersOptions): Containers {
	const { clock } = options;
	const limit = options.limit ?? 4096;
	const grace = options.grace ?? 300_000;
	const byId = new Map<string, Container>();
	/** Removed ones with their deadline, and those without facts: each in the order they came to be so. */
	const removed = new Map<string, number>();
	const unknown = new Set<string>();
	const listeners: ((container: Container) => void)[] = [];
	const unknownListeners: ((container: Container) => void)[] = [];
	let evicted = 0;

	return {
		get: (id, runtime, podUid = "") => {
			const known = byId.get(id);
			if (known !== undefined) return known;
			const container = make(id, runtime, podUid);
			for (const listener of unknownListeners) listener(container);
			return container;
		},
		find: (id) => byId.get(id),
		findByName,
		facts,
		destroyed,
		onUnknown: (listener) => {
			unknownListeners.push(listener);
		},
		onKnown: (listener) => {
			listeners.push(listener);
		},
		values: () => byId.values(),
		get size() {
			return byId.size;
		},
		get evicted() {
			return evicted;
		},
	};

	function make(id: string, runtime: string, podUid: string): Container {
		forgetRemoved();
		if (byId.size >= limit) evict();
		const container: Container = {
			id,
			runtime,
			name: "",
			image: "",
			imageId: "",
			labels: {},
			podName: "",
			podNamespace: "",
			podUid,
			privileged: undefined,
			mounts: [],
			created: 0,
			known: false,
		};
		byId.set(id, container);
		unknown.add(id);
		return container;
	}

	function facts(told: ContainerFacts): Container {
		const container = byId.get(told.id) ?? make(told.id, told.runtime, "");
		const before = { ...container };
		container.runtime = told.runtime;
		if (told.name !== undefined) container.name = told.name;
		if (told.image !== undefined) container.image = told.image;
		if (told.imageId !== undefined) container.imageId = told.imageId;
		if (told.labels !== undefined && !sameLabels(told.labels, container.labels)) {
			container.labels = told.labels;
			// The same labels whoever made the container: the kubelet gives them to every runtime.
			container.podName = told.labels["io.kubernetes.pod.name"] ?? container.podName;
			container.podNamespace = told.labels["io.kubernetes.pod.namespace"] ?? container.podNamespace;
			container.podUid = told.labels["io.kubernetes.pod.uid"] ?? container.podUid;
		}
		if (told.privileged !== undefined) container.privileged = told.privileged;
		if (told.mounts !== undefined && !sameMounts(told.mounts, container.mounts)) {
			container.mounts = told.mounts;
		}
		if (told.created !== undefined) container.created = told.created;
		if (told.image !== undefined && told.labels !== undefined && told.name !== undefined) {
			container.known = true;
			unknown.delete(told.id);
		}
		const changed = Object.entries(before).some(
			([key, value]) => container[key as keyof Container] !== value,
		);
		if (container.known && changed) for (const listener of listeners) listener(container);
		return container;
	}

	function destroyed(id: string): void {
		forgetRemoved();
		if (!byId.has(id)) return;
		// Set anew, so that the map stays in the order of deadlines.
		removed.delete(id);
		removed.set(id, clock() + grace);
	}

	function findByName(name: string): Container | undefined {
		if (name === "") return undefined;
		let gone: Container | undefined;
		for (const container of byId.values()) {
			if (container.name !== name) continue;
			if (!removed.has(container.id)) return container;
			gone = container;
		}
		return gone;
	}

	function forgetRemoved(): void {
		const now = clock();
		for (const [id, deadline] of removed) {
			if (deadline > now) return;
			drop(id);
		}
	}

	// A removed one first, then one no runtime has told of (cgroups can be named to look like a container's).
	function evict(): void {
		const id = removed.keys().next().value ?? unknown.values().next().value ?? byId.keys().next().value;
		if (id === undefined) return;
		drop(id);
		evicted++;
	}

	function drop(id: string): void {
		byId.delete(id);
		removed.delete(id);
		unknown.delete(id);
	}
}

function sameLabels(a: Container["labels"], b: Container["labels"]): boolean {
	const keys = Object.keys(a);
	return (
		keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key])
	);
}

function sameMounts(a: Container["mounts"], b: Container["mounts"]): boolean {
	return a.length === b.length && a.every((mount, index) => sameMount(mount, b[index]));
}

type Mount = Container["mounts"][number];

function sameMount(a: Mount, b: Mount | undefined): boolean {
	return a.source === b?.source && a.destination === b.destination && a.writable === b.writable;
}
