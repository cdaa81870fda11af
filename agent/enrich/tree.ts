// The process tree: who runs, as which image, started by whom. Fed by exec, fork and exit events and seeded from
// /proc; gives every other event its process. Bounded. Main thread, on the hot path: an event of a known process
// makes no object here.
import { EventFlag, EventKind, type ProcessEventView, Text } from "../model/event.ts";
import type { Cgroup, Namespaces, Process, StandardStream } from "../model/process.ts";
import type { ProcessFacts } from "./proc.ts";

/** A start time from /proc is rounded down to 10 ms. */
const startTolerance = 10_000_000;

/** A process through all its images. */
interface Node {
	readonly pid: number;
	start: number;
	/** The parent it has now: its maker, or whoever inherited it (an init, a subreaper, a container's shim). */
	parent: Node | undefined;
	parentPid: number;
	/** Made when there is one. */
	children: Set<Node> | undefined;
	namespacePid: number;
	cgroupId: number;
	cgroup: Cgroup | undefined;
	image: Image;
	fromProc: boolean;
	exited: number;
	/** Something came of it since the eviction last looked. */
	recent: boolean;
}

/** One image of a process: replaced, never changed, by exec, so that what refers to it stays true. A fork shares its facts. */
class Image implements Process {
	readonly #node: Node;
	readonly #facts: ImageFacts;

	constructor(node: Node, facts: ImageFacts) {
		this.#node = node;
		this.#facts = facts;
	}

	/** The same image in the process that `node` has just been forked as. */
	fork(node: Node): Image {
		return new Image(node, this.#facts);
	}

	get comm(): string {
		return this.#facts.comm;
	}
	get exe(): string {
		return this.#facts.exe;
	}
	get args(): readonly string[] {
		return this.#facts.args;
	}
	get argsTruncated(): boolean {
		return this.#facts.argsTruncated;
	}
	get argsBytes(): number {
		return this.#facts.argsBytes;
	}
	get cwd(): string {
		return this.#facts.cwd;
	}
	get uid(): number {
		return this.#facts.uid;
	}
	get gid(): number {
		return this.#facts.gid;
	}
	get euid(): number {
		return this.#facts.euid;
	}
	get egid(): number {
		return this.#facts.egid;
	}
	get loginUid(): number {
		return this.#facts.loginUid;
	}
	get sessionId(): number {
		return this.#facts.sessionId;
	}
	get tty(): number {
		return this.#facts.tty;
	}
	get capabilities(): bigint {
		return this.#facts.capabilities;
	}
	get namespaces(): Readonly<Namespaces> {
		return this.#facts.namespaces;
	}
	get device(): number {
		return this.#facts.device;
	}
	get inode(): number {
		return this.#facts.inode;
	}
	get sessionLeader(): number {
		return this.#facts.sessionLeader;
	}
	get processGroup(): number {
		return this.#facts.processGroup;
	}
	get capabilitiesPermitted(): bigint {
		return this.#facts.capabilitiesPermitted;
	}
	get capabilitiesInheritable(): bigint {
		return this.#facts.capabilitiesInheritable;
	}
	get streams(): readonly StandardStream[] {
		return this.#facts.streams;
	}
	get environment(): readonly string[] {
		return this.#facts.environment;
	}
	get fileMode(): number {
		return this.#facts.fileMode;
	}
	get fileUid(): number {
		return this.#facts.fileUid;
	}
	get fileGid(): number {
		return this.#facts.fileGid;
	}
	get fileChanged(): number {
		return this.#facts.fileChanged;
	}
	get fileModified(): number {
		return this.#facts.fileModified;
	}
	get upperLayer(): boolean {
		return this.#facts.upperLayer;
	}
	get fromMemfd(): boolean {
		return this.#facts.fromMemfd;
	}
	get unlinked(): boolean {
		return this.#facts.unlinked;
	}
	get rawPath(): string {
		return this.#facts.rawPath;
	}
	get interpreter(): string {
		return this.#facts.interpreter;
	}
	get previousExe(): string {
		return this.#facts.previousExe;
	}
	get execTime(): number {
		return this.#facts.execTime;
	}
	get pid(): number {
		return this.#node.pid;
	}
	get start(): number {
		return this.#node.start;
	}
	get parent(): Process | undefined {
		return this.#node.parent?.image;
	}
	get parentPid(): number {
		return this.#node.parentPid;
	}
	get namespacePid(): number {
		return this.#node.namespacePid;
	}
	get ttyName(): string {
		return terminalName(this.tty);
	}
	get cgroup(): Cgroup | undefined {
		return this.#node.cgroup;
	}
	get fromProc(): boolean {
		return this.#node.fromProc;
	}
	get exited(): number {
		return this.#node.exited;
	}
}

type ImageFacts = Omit<
	Process,
	"pid" | "start" | "parent" | "parentPid" | "namespacePid" | "ttyName" | "cgroup" | "fromProc" | "exited"
>;

const unknownImage: ImageFacts = {
	comm: "",
	exe: "",
	args: [],
	argsTruncated: false,
	argsBytes: 0,
	cwd: "",
	uid: 0,
	gid: 0,
	euid: 0,
	egid: 0,
	loginUid: -1,
	sessionId: -1,
	tty: 0,
	capabilities: 0n,
	namespaces: { mount: 0, pid: 0, network: 0, user: 0, uts: 0, ipc: 0, cgroup: 0 },
	device: 0,
	inode: 0,
	sessionLeader: 0,
	processGroup: 0,
	capabilitiesPermitted: 0n,
	capabilitiesInheritable: 0n,
	streams: [],
	environment: [],
	fileMode: 0,
	fileUid: 0,
	fileGid: 0,
	fileChanged: 0,
	fileModified: 0,
	upperLayer: false,
	fromMemfd: false,
	unlinked: false,
	rawPath: "",
	interpreter: "",
	previousExe: "",
	execTime: 0,
};

/** "pts/3", "tty1", "ttyS0"; "major:minor" for others; "" for none. Numbers as in Documentation/admin-guide/devices.txt. */
export function terminalName(device: number): string {
	if (device === 0) return "";
	const major = device >>> 20;
	const minor = device & 0xfffff;
	if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
	if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
	return `${major}:${minor}`;
}

export interface TreeOptions {
	/** Most processes remembered at a time. */
	readonly limit: number;
	cgroup(id: number, pid: number): Cgroup | undefined;
	/** Asked for a process that no event has told of; undefined when it has gone. */
	read(pid: number): ProcessFacts | undefined;
	/** Told what `read` has answered: a recording keeps it. */
	onRead(facts: ProcessFacts): void;
}

export class ProcessTree {
	readonly #options: TreeOptions;
	readonly #nodes = new Map<number, Node>();
	/** Forgotten because the tree was full. */
	evicted = 0;

	constructor(options: TreeOptions) {
		this.#options = options;
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

	/** Adds a process that was there before us. What events have told already wins, unless `newer`. */
	seed(facts: ProcessFacts, cgroupId: number, newer = false): void {
		const found = this.#nodes.get(facts.pid);
		const known = found && isSame(found, facts.start, true) ? found : undefined;
		if (known && (!newer || known.image.exe === facts.exe) && known.image.exe !== "") {
			if (!known.parent) this.#setParent(known, facts.parentPid);
			return;
		}
		// The same process gets a new image, not a new node: its children hold on to the node.
		const node = known ?? this.#add(facts.pid, facts.start, facts.parentPid);
		if (!node.parent || node.parentPid !== facts.parentPid) this.#setParent(node, facts.parentPid);
		node.fromProc = true;
		node.namespacePid = facts.namespacePid;
		if (cgroupId !== 0) this.#enter(node, cgroupId);
		const argsBytes = facts.args.reduce((sum, arg) => sum + arg.length + 1, 0);
		node.image = new Image(node, {
			...unknownImage,
			...facts,
			argsBytes,
			capabilities: BigInt(`0x${facts.capabilities}`),
			execTime: facts.start,
		});
	}

	/** Is this process in the tree, with this image? */
	knows(facts: ProcessFacts): boolean {
		const known = this.#nodes.get(facts.pid);
		return known !== undefined && isSame(known, facts.start, true) && known.image.exe === facts.exe;
	}

	/** After a gap: forgets every process that is not among `running` and corrects the parents of the others. */
	retain(running: readonly ProcessFacts[]): void {
		const facts = new Map(running.map((each) => [each.pid, each]));
		for (const [pid, node] of this.#nodes) {
			const found = facts.get(pid);
			if (!found || !isSame(node, found.start, true)) this.#lose(node);
			else if (node.parentPid !== found.parentPid) this.#setParent(node, found.parentPid);
		}
	}

	/** Parents that came after their children in the seed. */
	linkParents(): void {
		for (const node of this.#nodes.values()) if (!node.parent) this.#setParent(node, node.parentPid);
	}

	#setParent(node: Node, pid: number, parent = this.#nodes.get(pid)): void {
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
		if (event.kind === EventKind.fork) this.#fork(event, node);
		else if (event.kind === EventKind.exec) this.#exec(event, node);
		else if (event.kind === EventKind.exit) node.exited = event.time;
		return node.image;
	}

	/** The process of an exit event has been dealt with: it goes, its children find their new parent. */
	forget(event: ProcessEventView): void {
		const node = this.#nodes.get(event.pid);
		if (!node) return;
		// Out first: it must not inherit its own children, even if the record says so.
		this.#remove(node);
		if (node.children) for (const child of node.children) this.#setParent(child, event.reaperPid);
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
			this.evicted++;
			return;
		}
	}

	#enter(node: Node, cgroupId: number): void {
		node.cgroupId = cgroupId;
		node.cgroup = this.#options.cgroup(cgroupId, node.pid);
	}

	#fork(event: ProcessEventView, maker: Node): void {
		const known = this.#nodes.get(event.childPid);
		if (known && isSame(known, event.childStart)) {
			// Seeded from /proc, or seen acting, before its fork came out of the ring.
			if (!known.parent) this.#setParent(known, event.childParentPid);
			known.start = event.childStart;
			return;
		}
		const child = this.#add(event.childPid, event.childStart, event.childParentPid);
		child.namespacePid = event.childNamespacePid;
		child.image = maker.image.fork(child);
		if (maker.cgroupId === event.childCgroupId) {
			child.cgroupId = maker.cgroupId;
			child.cgroup = maker.cgroup;
		} else this.#enter(child, event.childCgroupId);
	}

	#exec(event: ProcessEventView, node: Node): void {
		const previous = node.image;
		node.namespacePid = event.namespacePid;
		// An exit was lost, or came through another thread: the kernel's word is right.
		if (node.parentPid !== event.parentPid || !node.parent) this.#setParent(node, event.parentPid);
		node.image = new Image(node, {
			comm: event.text(Text.comm),
			exe: event.text(Text.path),
			args: argumentsOf(event.text(Text.args)),
			argsTruncated: (event.flags & EventFlag.argsTruncated) !== 0,
			argsBytes: event.argsBytes,
			cwd: event.text(Text.cwd),
			uid: event.uid,
			gid: event.gid,
			euid: event.euid,
			egid: event.egid,
			loginUid: event.loginUid,
			sessionId: event.sessionId,
			tty: event.tty,
			capabilities: event.capabilities,
			namespaces: event.namespaces(),
			device: event.device,
			inode: event.inode,
			sessionLeader: event.sessionLeader,
			processGroup: event.processGroup,
			capabilitiesPermitted: event.capabilitiesPermitted,
			capabilitiesInheritable: event.capabilitiesInheritable,
			streams: event.streams(),
			environment: argumentsOf(event.text(Text.environment)),
			fileMode: event.fileMode,
			fileUid: event.fileUid,
			fileGid: event.fileGid,
			fileChanged: event.fileChanged,
			fileModified: event.fileModified,
			upperLayer: (event.flags & EventFlag.upperLayer) !== 0,
			fromMemfd: (event.flags & EventFlag.fromMemfd) !== 0,
			unlinked: (event.flags & EventFlag.unlinked) !== 0,
			rawPath: event.text(Text.raw),
			interpreter: event.text(Text.interpreter),
			previousExe: previous.exe,
			execTime: event.time,
		});
	}
}

/** NUL-separated, with or without a NUL at the end. */
function argumentsOf(text: string): string[] {
	return text === "" ? [] : (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0");
}

/** `rough`: the given start comes from /proc, or the node's own does. */
function isSame(node: Node, start: number, rough = node.fromProc): boolean {
	return node.start === start || (rough && Math.abs(node.start - start) <= startTolerance);
}
