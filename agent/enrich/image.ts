// What a process is: one image of it after the other. Images are never changed; a fork shares the facts of its maker's.
import type { Cgroup, Namespaces, Process, StandardStream, StartedBy } from "../model/process.ts";
import type { ImageFacts } from "./image-facts.ts";

/** A process through all its images. */
export interface Node {
	readonly pid: number;
	start: number;
	/** The parent it has now: its maker, or whoever inherited it (an init, a subreaper, a container's shim). */
	parent: Node | undefined;
	parentPid: number;
	/** Made when there is one. */
	children: Set<Node> | undefined;
	/** Who forked it, as it was then. */
	origin: Image | undefined;
	/** It has forked: somebody may have it as origin. */
	forked: boolean;
	startedBy: StartedBy | undefined;
	namespacePid: number;
	cgroupId: number;
	cgroup: Cgroup | undefined;
	image: Image;
	fromProc: boolean;
	exited: number;
	/** Something came of it since the eviction last looked. */
	recent: boolean;
}

/** Replaced, never changed, by an exec or another identity, so that what refers to it stays true. */
export class Image implements Process {
	readonly #node: Node;
	readonly #facts: ImageFacts;

	constructor(node: Node, facts: ImageFacts) {
		this.#node = node;
		this.#facts = facts;
	}

	/** Of the process, through all its images. */
	setStartedBy(by: StartedBy | undefined): void {
		this.#node.startedBy = by;
	}

	get facts(): ImageFacts {
		return this.#facts;
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
		return this.#facts.identity.uid;
	}
	get gid(): number {
		return this.#facts.identity.gid;
	}
	get euid(): number {
		return this.#facts.identity.euid;
	}
	get egid(): number {
		return this.#facts.identity.egid;
	}
	get loginUid(): number {
		return this.#facts.session.loginUid;
	}
	get sessionId(): number {
		return this.#facts.session.sessionId;
	}
	get tty(): number {
		return this.#facts.session.tty;
	}
	get capabilities(): bigint {
		return this.#facts.identity.capabilities;
	}
	get namespaces(): Readonly<Namespaces> {
		return this.#facts.namespaces;
	}
	get device(): number {
		return this.#facts.file.device;
	}
	get inode(): bigint {
		return this.#facts.file.inode;
	}
	get sessionLeader(): number {
		return this.#facts.session.sessionLeader;
	}
	get processGroup(): number {
		return this.#facts.processGroup;
	}
	get capabilitiesPermitted(): bigint {
		return this.#facts.identity.capabilitiesPermitted;
	}
	get capabilitiesInheritable(): bigint {
		return this.#facts.identity.capabilitiesInheritable;
	}
	get streams(): readonly StandardStream[] {
		return this.#facts.streams;
	}
	get environment(): readonly string[] {
		return this.#facts.environment;
	}
	get fileMode(): number {
		return this.#facts.file.fileMode;
	}
	get fileUid(): number {
		return this.#facts.file.fileUid;
	}
	get fileGid(): number {
		return this.#facts.file.fileGid;
	}
	get fileChanged(): number {
		return this.#facts.file.fileChanged;
	}
	get fileModified(): number {
		return this.#facts.file.fileModified;
	}
	get upperLayer(): boolean {
		return this.#facts.file.upperLayer;
	}
	get fromMemfd(): boolean {
		return this.#facts.file.fromMemfd;
	}
	get unlinked(): boolean {
		return this.#facts.file.unlinked;
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
	get origin(): Process | undefined {
		const { startedBy, origin, parent } = this.#node;
		return startedBy?.client ?? origin ?? parent?.image;
	}
	get startedBy(): StartedBy | undefined {
		return this.#node.startedBy;
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

/** "pts/3", "tty1", "ttyS0"; "major:minor" for others; "" for none. Numbers as in Documentation/admin-guide/devices.txt. */
export function terminalName(device: number): string {
	if (device === 0) return "";
	const major = device >>> 20;
	const minor = device & 0xfffff;
	if (major >= 136 && major <= 143) return `pts/${(major - 136) * 256 + minor}`;
	if (major === 4) return minor < 64 ? `tty${minor}` : `ttyS${minor - 64}`;
	return `${major}:${minor}`;
}
