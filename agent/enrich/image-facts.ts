// The facts of one image, as an exec, /proc, or a change of identity or namespaces tells them. A host has thousands of
// images, and most say the same of their file, user, session and namespaces: those parts are pooled.
import { EventFlag, type ProcessEventView, Text } from "../model/event.ts";
import { execEvent, identityEvent, namespaceEvent } from "../model/layout.ts";
import type { Namespaces, Process, StandardStream } from "../model/process.ts";
import { Pool } from "./pool.ts";
import type { ProcessFacts } from "./proc.ts";

/** Who a process is for the kernel's checks. */
export type Identity = Pick<
	Process,
	"uid" | "gid" | "euid" | "egid" | "capabilities" | "capabilitiesPermitted" | "capabilitiesInheritable"
>;

type Session = Pick<Process, "loginUid" | "sessionId" | "tty" | "sessionLeader">;

type ImageFile = Pick<
	Process,
	| "device"
	| "inode"
	| "fileMode"
	| "fileUid"
	| "fileGid"
	| "fileChanged"
	| "fileModified"
	| "upperLayer"
	| "fromMemfd"
	| "unlinked"
>;

export interface ImageFacts
	extends Pick<Process, "comm" | "exe" | "args" | "argsTruncated" | "argsBytes" | "cwd" | "environment">,
		Pick<Process, "rawPath" | "interpreter" | "previousExe" | "execTime" | "processGroup"> {
	readonly identity: Identity;
	readonly session: Session;
	readonly file: ImageFile;
	readonly namespaces: Readonly<Namespaces>;
	readonly streams: readonly StandardStream[];
}

const nothing: readonly never[] = [];
const longText = 256;

export const unknownImage: ImageFacts = {
	comm: "",
	exe: "",
	args: nothing,
	argsTruncated: false,
	argsBytes: 0,
	cwd: "",
	environment: nothing,
	rawPath: "",
	interpreter: "",
	previousExe: "",
	execTime: 0,
	processGroup: 0,
	identity: {
		uid: 0,
		gid: 0,
		euid: 0,
		egid: 0,
		capabilities: 0n,
		capabilitiesPermitted: 0n,
		capabilitiesInheritable: 0n,
	},
	session: { loginUid: -1, sessionId: -1, tty: 0, sessionLeader: 0 },
	file: {
		device: 0,
		inode: 0n,
		fileMode: 0,
		fileUid: 0,
		fileGid: 0,
		fileChanged: 0,
		fileModified: 0,
		upperLayer: false,
		fromMemfd: false,
		unlinked: false,
	},
	namespaces: { mount: 0, pid: 0, network: 0, user: 0, uts: 0, ipc: 0, cgroup: 0 },
	streams: nothing,
};

/** Makes facts, each part of them once as long as it is in use. */
export class FactsReader {
	readonly #texts = new Pool<string>(8192);
	readonly #identities = new Pool<Identity>(1024);
	readonly #sessions = new Pool<Session>(1024);
	readonly #files = new Pool<ImageFile>(1024);
	readonly #namespaces = new Pool<Namespaces>(1024);
	readonly #streams = new Pool<readonly StandardStream[]>(1024);

	ofExec(event: ProcessEventView, before: ImageFacts): ImageFacts {
		const { flags } = event;
		return {
			comm: this.#text(event.text(Text.comm)),
			exe: this.#text(event.text(Text.path)),
			args: listOf(event.text(Text.args)),
			argsTruncated: (flags & EventFlag.argsTruncated) !== 0,
			argsBytes: event.argsBytes,
			cwd: this.#text(event.text(Text.cwd)),
			environment: listOf(event.text(Text.environment)),
			rawPath: this.#text(event.text(Text.raw)),
			interpreter: this.#text(event.text(Text.interpreter)),
			previousExe: before.exe,
			execTime: event.time,
			processGroup: event.processGroup,
			identity: this.#identity(event),
			session: this.#session(event),
			file: this.#file({
				device: event.device,
				inode: event.big(execEvent.inode),
				fileMode: event.fileMode,
				fileUid: event.fileUid,
				fileGid: event.fileGid,
				fileChanged: event.fileChanged,
				fileModified: event.fileModified,
				upperLayer: (flags & EventFlag.upperLayer) !== 0,
				fromMemfd: (flags & EventFlag.fromMemfd) !== 0,
				unlinked: (flags & EventFlag.unlinked) !== 0,
			}),
			namespaces: this.#space(event.namespaces()),
			streams: this.#stream(event.streams()),
		};
	}

	/** A process as /proc shows it. */
	ofProc(facts: ProcessFacts): ImageFacts {
		return {
			...unknownImage,
			comm: this.#text(facts.comm),
			exe: this.#text(facts.exe),
			args: facts.args,
			argsBytes: facts.args.reduce((sum, arg) => sum + arg.length + 1, 0),
			cwd: this.#text(facts.cwd),
			execTime: facts.start,
			processGroup: facts.processGroup,
			identity: this.#identity(identityOfProc(facts)),
			session: this.#session(facts),
			file: this.#file({ ...facts, inode: BigInt(facts.inode), upperLayer: false, fromMemfd: false }),
			namespaces: this.#space(facts.namespaces),
			streams: this.#stream(facts.streams),
		};
	}

	/** `identity` and `namespaces` in place of those in `before`, which it is itself when they are the same. */
	changed(before: ImageFacts, identity: Identity, namespaces: Readonly<Namespaces>): ImageFacts {
		if (
			identityKey(identity) === identityKey(before.identity) &&
			namespacesKey(namespaces) === namespacesKey(before.namespaces)
		) {
			return before;
		}
		return { ...before, identity: this.#identity(identity), namespaces: this.#space(namespaces) };
	}

	/** A long one is rarely met twice, and would make the pool large. */
	#text(text: string): string {
		return text.length > longText || text === "" ? text : this.#texts.get(text, () => text);
	}

	#identity(from: Identity): Identity {
		const { uid, gid, euid, egid, capabilities, capabilitiesPermitted, capabilitiesInheritable } = from;
		return this.#identities.get(identityKey(from), () => ({
			uid,
			gid,
			euid,
			egid,
			capabilities,
			capabilitiesPermitted,
			capabilitiesInheritable,
		}));
	}

	#session({ loginUid, sessionId, tty, sessionLeader }: Session): Session {
		const key = `${loginUid} ${sessionId} ${tty} ${sessionLeader}`;
		return this.#sessions.get(key, () => ({ loginUid, sessionId, tty, sessionLeader }));
	}

	#file(from: ImageFile): ImageFile {
		const { device, inode, fileMode, fileUid, fileGid, fileChanged, fileModified } = from;
		const { upperLayer, fromMemfd, unlinked } = from;
		const key = `${device} ${inode} ${fileMode} ${fileUid} ${fileGid} ${fileChanged} ${fileModified} ${upperLayer} ${fromMemfd} ${unlinked}`;
		return this.#files.get(key, () => ({
			device,
			inode,
			fileMode,
			fileUid,
			fileGid,
			fileChanged,
			fileModified,
			upperLayer,
			fromMemfd,
			unlinked,
		}));
	}

	#space(from: Readonly<Namespaces>): Namespaces {
		return this.#namespaces.get(namespacesKey(from), () => from);
	}

	#stream(from: readonly StandardStream[]): readonly StandardStream[] {
		return this.#streams.get(from.map(streamKey).join(), () => from);
	}
}

function identityKey(of: Identity): string {
	const sets = `${of.capabilities} ${of.capabilitiesPermitted} ${of.capabilitiesInheritable}`;
	return `${of.uid} ${of.gid} ${of.euid} ${of.egid} ${sets}`;
}

function namespacesKey({ mount, pid, network, user, uts, ipc, cgroup }: Readonly<Namespaces>): string {
	return `${mount} ${pid} ${network} ${user} ${uts} ${ipc} ${cgroup}`;
}

function streamKey(stream: StandardStream): string {
	const { type, inode, family, remotePort, localPort, remoteAddress } = stream;
	return `${type} ${inode} ${family} ${remotePort} ${localPort} ${remoteAddress?.toString("latin1")}`;
}

export function identityOfProc({ uid, gid, euid, egid, ...sets }: ProcessFacts): Identity {
	return {
		uid,
		gid,
		euid,
		egid,
		capabilities: BigInt(`0x${sets.capabilities}`),
		capabilitiesPermitted: BigInt(`0x${sets.capabilitiesPermitted}`),
		capabilitiesInheritable: BigInt(`0x${sets.capabilitiesInheritable}`),
	};
}

/** Of setuid, setgid or capset, whose record tells what holds afterwards. */
export function identityAfter(event: ProcessEventView): Identity {
	return {
		uid: event.word(identityEvent.uid),
		gid: event.word(identityEvent.gid),
		euid: event.word(identityEvent.euid),
		egid: event.word(identityEvent.egid),
		capabilities: event.big(identityEvent.capabilities),
		capabilitiesPermitted: event.big(identityEvent.permittedCapabilities),
		capabilitiesInheritable: event.big(identityEvent.inheritableCapabilities),
	};
}

/** Of unshare or setns. A new pid namespace is its children's: its own stays `pid`. */
export function namespacesAfter(event: ProcessEventView, pid: number): Namespaces {
	return {
		mount: event.word(namespaceEvent.mountNamespace),
		pid,
		network: event.word(namespaceEvent.networkNamespace),
		user: event.word(namespaceEvent.userNamespace),
		uts: event.word(namespaceEvent.utsNamespace),
		ipc: event.word(namespaceEvent.ipcNamespace),
		cgroup: event.word(namespaceEvent.cgroupNamespace),
	};
}

/** NUL-separated, with or without a NUL at the end. */
function listOf(text: string): readonly string[] {
	if (text === "") return nothing;
	return (text.endsWith("\0") ? text.slice(0, -1) : text).split("\0");
}
