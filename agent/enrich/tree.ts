// The process tree: who runs, as which image, started by whom. Fed by exec, fork and exit events and seeded from
// /proc; gives every other event its process. Bounded. Main thread, on the hot path: an event of a known process
// makes no object here.
import { EventFlag, EventKind, type ProcessEventView, Text } from "../model/event.ts";
import type { Cgroup, Namespaces, Process, StartedBy } from "../model/process.ts";
import { Image, type Node } from "./image.ts";
import {
	FactsReader,
	type Identity,
	identityAfter,
	identityOfProc,
	namespacesAfter,
	unknownImage,
} from "./image-facts.ts";
import type { ProcessFacts } from "./proc.ts";

/** A start time from /proc is rounded down to 10 ms. */
const startTolerance = 10_000_000;
const unixFamily = 1;

export interface TreeOptions {
	/** Most processes remembered at a time. */
	readonly limit: number;
	cgroup(id: number, pid: number): Cgroup | undefined;
	/** Asked for a process that no event has told of; undefined when it has gone. */
	read(pid: number): ProcessFacts | undefined;
	/** Told what `read` has answered: a recording keeps it. */
	onRead(facts: ProcessFacts): void;
	/** Told of a process with a new image, and of one that has connected to a Unix socket, `size` bytes at `start`. */
	executed?(process: Process): void;
	connected?(process: Process, bytes: Buffer, start: number, size: number): void;
}

export class ProcessTree {
	readonly #options: TreeOptions;
	readonly #facts = new FactsReader();
	readonly #nodes = new Map<number, Node>();
	/** Gone, oldest first, and perhaps still somebody's origin. */
	readonly #departed = new Set<Node>();
	readonly #maxDeparted: number;
	/** Forgotten because the tree was full. */
	evicted = 0;

	constructor(options: TreeOptions) {
		this.#options = options;
		this.#maxDeparted = Math.ceil(options.limit / 16);
	}

	get size(): number {
		return this.#nodes.size;
	}

	get(pid: number): Process | undefined {
		return this.#nodes.get(pid)?.image;
	}

	processes(): Iterable<Process> {
		return this.#nodes.values().map((node) => node.image);
	}

	/** Who had this process of the tree, which may have ended, started through a runtime's API. */
	setStartedBy(process: Process, by: StartedBy | undefined): void {
		if (process instanceof Image) process.setStartedBy(by);
	}

	/** Adds a process that was there before us. What events have told already wins, unless `newer`. */
	seed(facts: ProcessFacts, cgroupId: number, newer = false): void {
		const found = this.#nodes.get(facts.pid);
		const known = found && isSame(found, facts.start, true) ? found : undefined;
		if (known && known.image.exe !== "" && (!newer || sameExe(known.image, facts))) {
			if (!known.parent) this.#adopt(known, facts.parentPid);
			if (newer && facts.exe !== "") {
				this.#alter(known, identityOfProc(facts), facts.namespaces);
			}
			return;
		}
		// The same process gets a new image, not a new node: its children hold on to the node.
		const node = known ?? this.#add(facts.pid, facts.start, facts.parentPid);
		if (!node.parent || node.parentPid !== facts.parentPid) this.#adopt(node, facts.parentPid);
		node.fromProc = true;
		node.namespacePid = facts.namespacePid;
		if (cgroupId !== 0) this.#enter(node, cgroupId);
		node.image = new Image(node, this.#facts.ofProc(facts));
	}

	/** Is this process in the tree, with this image and identity, in these namespaces? */
	knows(facts: ProcessFacts): boolean {
		const known = this.#nodes.get(facts.pid);
		if (known === undefined || !isSame(known, facts.start, true)) return false;
		if (facts.exe === "") return true;
		const { facts: have } = known.image;
		return (
			have.exe === facts.exe && this.#facts.changed(have, identityOfProc(facts), facts.namespaces) === have
		);
	}

	/** After a gap: forgets every process that is not among `running` and corrects the parents of the others. */
	retain(running: readonly ProcessFacts[]): void {
		const facts = new Map(running.map((each) => [each.pid, each]));
		for (const [pid, node] of this.#nodes) {
			const found = facts.get(pid);
			if (!found || !isSame(node, found.start, true)) this.#lose(node);
			else if (node.parentPid !== found.parentPid) this.#adopt(node, found.parentPid);
		}
	}

	/** Parents that came after their children in the seed. */
	linkParents(): void {
		for (const node of this.#nodes.values()) if (!node.parent) this.#adopt(node, node.parentPid);
	}

	/** By whoever has this pid now. */
	#adopt(node: Node, pid: number): void {
		this.#setParent(node, pid, this.#nodes.get(pid));
	}

	#setParent(node: Node, pid: number, parent: Node | undefined): void {
		node.parentPid = pid;
		node.parent?.children?.delete(node);
		node.parent = parent === node ? undefined : parent;
		if (!parent || parent === node) return;
		parent.children ??= new Set();
		parent.children.add(node);
	}

	#remove(node: Node): void {
		this.#nodes.delete(node.pid);
		node.parent?.children?.delete(node);
		if (node.forked) this.#depart(node);
	}

	/**
	 * It lives on as the origin of what it started. Nothing here knows who still refers to it, so a chain of makers
	 * that have all gone is cut where it left this queue: what it started keeps it, and no more.
	 */
	#depart(node: Node): void {
		this.#departed.add(node);
		if (this.#departed.size <= this.#maxDeparted) return;
		for (const oldest of this.#departed) {
			this.#departed.delete(oldest);
			oldest.origin = undefined;
			oldest.parent = undefined;
			return;
		}
	}

	/** It has gone and nobody said who inherited its children: better none than a wrong parent. */
	#lose(node: Node): void {
		this.#remove(node);
		if (node.children) for (const child of node.children) child.parent = undefined;
		node.children = undefined;
	}

	/**
	 * Takes in one event and returns the process that acted: after an exec its new image. An exit is taken in
	 * by `forget`, once everybody has seen the event.
	 */
	apply(event: ProcessEventView): Process {
		const node = this.#acting(event);
		node.recent = true;
		const cgroupId = event.cgroupId;
		if (node.cgroupId !== cgroupId) this.#enter(node, cgroupId);
		// Identity and namespaces are a thread's own; the process is taken for its first one, as /proc does.
		if (event.tid === event.pid) this.#followUser(event, node);
		this.#change(event, node);
		return node.image;
	}

	/** Every record says who acted, so a change of user is seen by the next act, whether or not its call was captured. */
	#followUser(event: ProcessEventView, node: Node): void {
		const { identity, namespaces } = node.image.facts;
		const uid = event.user;
		const euid = event.effectiveUser;
		if ((uid === identity.uid && euid === identity.euid) || uid < 0 || euid < 0) return;
		if (tellsNoUser(event)) return;
		this.#alter(node, { ...identity, uid, euid }, namespaces);
	}

	#change(event: ProcessEventView, node: Node): void {
		switch (event.kind) {
			case EventKind.fork:
				this.#fork(event, node);
				break;
			case EventKind.exec:
				this.#exec(event, node);
				this.#options.executed?.(node.image);
				break;
			case EventKind.connect:
				if (event.family === unixFamily && event.result === 0) {
					const start = event.textStart(Text.path);
					this.#options.connected?.(node.image, event.bytes, start, event.textSize(Text.path));
				}
				break;
			case EventKind.exit:
				node.exited = event.time;
				break;
			case EventKind.setuid:
			case EventKind.setgid:
			case EventKind.capset:
				if (event.tid === event.pid) this.#alter(node, identityAfter(event), node.image.namespaces);
				break;
			case EventKind.unshare:
			case EventKind.setns:
				if (event.tid === event.pid) {
					const { facts } = node.image;
					this.#alter(node, facts.identity, namespacesAfter(event, facts.namespaces.pid));
				}
				break;
		}
	}

	/** The process of an exit event has been dealt with: it goes, its children find their new parent. */
	forget(event: ProcessEventView): void {
		const node = this.#nodes.get(event.pid);
		if (!node) return;
		// Out first: it must not inherit its own children, even if the record says so.
		this.#remove(node);
		if (node.children) for (const child of node.children) this.#adopt(child, event.reaperPid);
	}

	#acting(event: ProcessEventView): Node {
		const known = this.#nodes.get(event.pid);
		if (known && isSame(known, event.start)) {
			if (known.fromProc) known.start = event.start; // from now on to the nanosecond
			return known;
		}
		return this.#recover(event);
	}

	/** No event told of this process: lost, or older than the sensor. */
	#recover(event: ProcessEventView): Node {
		const facts = event.kind === EventKind.exec ? undefined : this.#options.read(event.pid);
		if (facts && Math.abs(facts.start - event.start) <= startTolerance) {
			this.#options.onRead(facts);
			this.seed(facts, event.cgroupId);
			const node = this.#nodes.get(event.pid);
			if (node) {
				node.start = event.start;
				return node;
			}
		}
		return this.#add(event.pid, event.start, 0);
	}

	#add(pid: number, start: number, parentPid: number): Node {
		// Remove first: a reused pid goes to the young end of the map, where eviction does not look.
		const former = this.#nodes.get(pid);
		if (former) this.#lose(former);
		const parent = this.#nodes.get(parentPid); // which may be the one that is evicted
		if (this.#nodes.size >= this.#options.limit) this.#evict();
		const node: Node = {
			pid,
			start,
			parent: undefined,
			parentPid,
			children: undefined,
			origin: undefined,
			forked: false,
			startedBy: undefined,
			namespacePid: pid,
			cgroupId: -1,
			cgroup: undefined,
			image: undefined as unknown as Image,
			fromProc: false,
			exited: 0,
			recent: false,
		};
		node.image = new Image(node, unknownImage);
		this.#nodes.set(pid, node);
		this.#setParent(node, parentPid, parent);
		return node;
	}

	/**
	 * The one that was silent longest, roughly: who did something since the last look gets another round. Its children
	 * keep it, for they have no other; what was above it goes, so that no chain grows without end.
	 */
	#evict(): void {
		let looks = 0;
		for (const [pid, node] of this.#nodes) {
			if (node.recent && looks++ < 64) {
				node.recent = false;
				this.#nodes.delete(pid);
				this.#nodes.set(pid, node);
				continue;
			}
			this.#remove(node);
			node.parent = undefined;
			node.origin = undefined;
			this.evicted++;
			return;
		}
	}

	#enter(node: Node, cgroupId: number): void {
		node.cgroupId = cgroupId;
		node.cgroup = this.#options.cgroup(cgroupId, node.pid);
	}

	#alter(node: Node, identity: Identity, namespaces: Readonly<Namespaces>): void {
		const { facts } = node.image;
		const now = this.#facts.changed(facts, identity, namespaces);
		if (now !== facts) node.image = new Image(node, now);
	}

	#fork(event: ProcessEventView, maker: Node): void {
		maker.forked = true;
		const known = this.#nodes.get(event.childPid);
		if (known && isSame(known, event.childStart)) {
			// Seeded from /proc, or seen acting, before its fork came out of the ring.
			if (!known.parent) this.#adopt(known, event.childParentPid);
			known.origin ??= maker.image;
			known.start = event.childStart;
			return;
		}
		const child = this.#add(event.childPid, event.childStart, event.childParentPid);
		child.namespacePid = event.childNamespacePid;
		child.origin = maker.image;
		child.image = new Image(child, maker.image.facts);
		const { namespaces, facts } = maker.image;
		const pid = event.childPidNamespace;
		if (pid !== 0 && pid !== namespaces.pid) this.#alter(child, facts.identity, { ...namespaces, pid });
		if (maker.cgroupId === event.childCgroupId) {
			child.cgroupId = maker.cgroupId;
			child.cgroup = maker.cgroup;
		} else this.#enter(child, event.childCgroupId);
	}

	#exec(event: ProcessEventView, node: Node): void {
		node.namespacePid = event.namespacePid;
		this.#correctParent(event, node);
		node.image = new Image(node, this.#facts.ofExec(event, node.image.facts));
	}

	/** An exit was lost, or came through another thread: the kernel's word is right, also on a pid used again. */
	#correctParent(event: ProcessEventView, node: Node): void {
		const parent = this.#nodes.get(event.parentPid);
		const right = parent && (event.parentStart === 0 || isSame(parent, event.parentStart));
		if (!right) {
			if (parent || node.parentPid !== event.parentPid) this.#setParent(node, event.parentPid, undefined);
		} else if (node.parent !== parent) this.#setParent(node, event.parentPid, parent);
	}
}

/**
 * A ring may act with credentials that it was given; packets are seen on their way, where nobody's are at hand; and an
 * exec or a change of identity tells more itself.
 */
function tellsNoUser({ kind, flags }: ProcessEventView): boolean {
	if ((flags & (EventFlag.kernelActor | EventFlag.ioUring)) !== 0) return true;
	switch (kind) {
		case EventKind.exec:
		case EventKind.setuid:
		case EventKind.setgid:
		case EventKind.capset:
		case EventKind.send:
		case EventKind.dns:
			return true;
		default:
			return false;
	}
}

/** `rough`: the given start comes from /proc, or the node's own does. */
function isSame(node: Node, start: number, rough = node.fromProc): boolean {
	return node.start === start || (rough && Math.abs(node.start - start) <= startTolerance);
}

/** One that has ended and waits for its parent shows no image any more. */
function sameExe(image: Image, facts: ProcessFacts): boolean {
	return image.exe === facts.exe || facts.exe === "";
}
