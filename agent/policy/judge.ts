// What one scope says about one event. Allocates nothing: a ruling is a line of the policy, which is there already.
// In each list an act is judged by deny first, then alert, then allow; lists do not know of each other. They are walked
// by index, which makes no iterator, whatever the optimiser does.
import { EventFlag, type EventView, EventKind as Kind, Text } from "../model/event.ts";
import type { Container, Process } from "../model/process.ts";
import { AF_INET, AF_INET6 } from "../model/remote.ts";
import { type Glob, matchesBytes, matchesName, matchesText } from "./glob.ts";
import { isLoopback, type Peer, peerMatches } from "./peer.ts";
import type { Executable, Line, Lists, Ruling, Scope, Who } from "./policy.ts";

export interface Names {
	/** Name of a user of this host. */
	userName(uid: number): string | undefined;
}

export type OnRuling = (scope: Scope, ruling: Ruling) => void;

const O_ACCMODE = 3;
const O_WRONLY = 1;
const O_TRUNC = 0x200;
const O_PATH = 0x200000;
const S_IFMT = 0xf000;
const S_IFDIR = 0x4000;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const capabilityBits = 41;

export function judge(scope: Scope, event: EventView, process: Process, names: Names, on: OnRuling): void {
	if (scope.onlyUsers !== undefined && !isOneOf(scope.onlyUsers, process.euid, names)) return;
	const { kind, result, protocol, localPort, remotePort } = event;
	if (kind === Kind.exec) {
		judgeExec(scope, process, names, on);
		return;
	}
	if (scope.onlyPrograms !== undefined && !isProgram(scope.onlyPrograms, process.exe, process.comm)) return;
	switch (kind) {
		case Kind.open:
			judgeOpen(scope, event, on);
			break;
		case Kind.connect:
			// The resolver connects UDP sockets to port 0 only to learn which source address would be used.
			if (protocol === IPPROTO_UDP && remotePort === 0) return;
			judgePeer(scope, scope.peers, event, event.remoteAddressStart, remotePort, on);
			break;
		case Kind.accept:
			if (result >= 0) judgePeer(scope, scope.incoming, event, event.remoteAddressStart, localPort, on);
			break;
		case Kind.bind:
			// A stream is waited on with listen; for port 0 any free one is given.
			if (result < 0 || protocol === IPPROTO_TCP || localPort === 0) return;
			judgePeer(scope, scope.listening, event, event.localAddressStart, localPort, on);
			break;
		case Kind.listen:
			if (result >= 0) judgePeer(scope, scope.listening, event, event.localAddressStart, localPort, on);
			break;
	}
}

/** The image of a container, once it is known. */
export function judgeImage(scope: Scope, container: Container, on: OnRuling): void {
	const { images } = scope;
	const ruling =
		findName(images.deny, container.image) ??
		findName(images.alert, container.image) ??
		(images.leftOut !== undefined && findName(images.allow, container.image) === undefined
			? images.leftOut
			: undefined);
	if (ruling !== undefined) on(scope, ruling);
}

/** How a container was made, once the runtime has told. */
export function judgeMaking(scope: Scope, container: Container, on: OnRuling): void {
	if (scope.privileged !== undefined && container.privileged === true) on(scope, scope.privileged);
	const { mounts } = scope;
	if (mounts.deny === undefined && mounts.alert === undefined && mounts.leftOut === undefined) return;
	for (const { source } of container.mounts) {
		const ruling =
			findName(mounts.deny, source) ??
			findName(mounts.alert, source) ??
			(mounts.leftOut !== undefined && findName(mounts.allow, source) === undefined
				? mounts.leftOut
				: undefined);
		if (ruling !== undefined) on(scope, ruling);
	}
}

/** Who executes is judged with the program it was; what it becomes, with what that program is. */
function judgeExec(scope: Scope, process: Process, names: Names, on: OnRuling): void {
	const { onlyPrograms, processes, notFromImage } = scope;
	if (onlyPrograms === undefined || isProgram(onlyPrograms, process.previousExe, "")) {
		const denied = findExecutable(processes.deny, process) ?? findExecutable(processes.alert, process);
		if (denied !== undefined) on(scope, denied);
		// A path that could not be read decides nothing: on doubt an act is permitted.
		else if (processes.leftOut !== undefined && process.exe !== "") {
			if (findExecutable(processes.allow, process) === undefined) on(scope, processes.leftOut);
		}
		if (notFromImage !== undefined && process.upperLayer) on(scope, notFromImage);
	}
	if (onlyPrograms !== undefined && !isProgram(onlyPrograms, process.exe, process.comm)) return;
	const user = decideUser(scope.users, process.euid, names);
	if (user !== undefined) on(scope, user);
	const capability = decideCapabilities(scope.capabilities, process);
	if (capability !== undefined) on(scope, capability);
}

function findExecutable(list: readonly Line<Executable>[] | undefined, process: Process): Ruling | undefined {
	if (list === undefined) return undefined;
	for (let index = 0; index < list.length; index++) {
		const line = list[index];
		if (line !== undefined && isExecutable(line.match, process.exe, process.comm)) return line;
	}
	return undefined;
}

/** A latin1 path, and the name of the thread. */
export function isExecutable({ glob, byName }: Executable, exe: string, comm: string): boolean {
	if (!byName) return matchesText(glob, exe);
	// comm is cut at 15 bytes and names the script, not its interpreter.
	return matchesText(glob, comm) || matchesText(glob, exe, exe.lastIndexOf("/") + 1);
}

function isProgram(programs: readonly Executable[], exe: string, comm: string): boolean {
	if (exe === "" && comm === "") return false;
	for (let index = 0; index < programs.length; index++) {
		const program = programs[index];
		if (program !== undefined && isExecutable(program, exe, comm)) return true;
	}
	return false;
}

function decideUser(users: Lists<Who>, uid: number, names: Names): Ruling | undefined {
	const told = findUser(users.deny, uid, names) ?? findUser(users.alert, uid, names);
	if (told !== undefined || users.leftOut === undefined) return told;
	return findUser(users.allow, uid, names) === undefined ? users.leftOut : undefined;
}

function findUser(list: readonly Line<Who>[] | undefined, uid: number, names: Names): Ruling | undefined {
	if (list === undefined) return undefined;
	for (let index = 0; index < list.length; index++) {
		const line = list[index];
		if (line !== undefined && isUser(line.match, uid, names)) return line;
	}
	return undefined;
}

function isOneOf(users: readonly Who[], uid: number, names: Names): boolean {
	for (let index = 0; index < users.length; index++) {
		const who = users[index];
		if (who !== undefined && isUser(who, uid, names)) return true;
	}
	return false;
}

function isUser(who: Who, uid: number, names: Names): boolean {
	return who.uid === undefined ? names.userName(uid) === who.name : who.uid === uid;
}

function decideCapabilities(lists: Lists<number>, process: Process): Ruling | undefined {
	const { deny, alert, allow, leftOut } = lists;
	if (deny === undefined && alert === undefined && leftOut === undefined) return undefined;
	// As two words: big integers, and doubles above 2^31, would be made anew for every bit.
	const effective = Number(process.capabilities);
	const permitted = Number(process.capabilitiesPermitted);
	const low = (effective % 2 ** 32) | (permitted % 2 ** 32);
	const high = (effective / 2 ** 32) | (permitted / 2 ** 32);
	const told = findCapability(deny, low, high) ?? findCapability(alert, low, high);
	if (told !== undefined || leftOut === undefined) return told;
	for (let bit = 0; bit < capabilityBits; bit++)
		if (holds(low, high, bit) && !isListed(allow, bit)) return leftOut;
	return undefined;
}

function findCapability(
	list: readonly Line<number>[] | undefined,
	low: number,
	high: number,
): Ruling | undefined {
	if (list === undefined) return undefined;
	for (let index = 0; index < list.length; index++) {
		const line = list[index];
		if (line !== undefined && holds(low, high, line.match)) return line;
	}
	return undefined;
}

function isListed(list: readonly Line<number>[] | undefined, bit: number): boolean {
	if (list === undefined) return false;
	for (let index = 0; index < list.length; index++) if (list[index]?.match === bit) return true;
	return false;
}

function holds(low: number, high: number, bit: number): boolean {
	return (((bit < 32 ? low : high) >>> (bit & 31)) & 1) === 1;
}

function judgeOpen(scope: Scope, event: EventView, on: OnRuling): void {
	const { result, openFlags } = event;
	if (result < 0 || (openFlags & O_PATH) !== 0) return;
	const access = openFlags & O_ACCMODE;
	if (access !== 0 || (openFlags & O_TRUNC) !== 0) {
		const ruling = decidePath(scope.writes, event);
		if (ruling !== undefined) on(scope, ruling);
	}
	// Listing a directory is not reading a file.
	if (access !== O_WRONLY && (event.mode & S_IFMT) !== S_IFDIR) {
		const ruling = decidePath(scope.reads, event);
		if (ruling !== undefined) on(scope, ruling);
	}
}

function decidePath(lists: Lists<Glob>, event: EventView): Ruling | undefined {
	const told = findPath(lists.deny, event) ?? findPath(lists.alert, event);
	if (told !== undefined || lists.leftOut === undefined || event.textSize(Text.path) === 0) return told;
	const partial = event.flags & (EventFlag.pathIncomplete | EventFlag.pathTruncated);
	return partial === 0 && findPath(lists.allow, event) === undefined ? lists.leftOut : undefined;
}

function findPath(list: readonly Line<Glob>[] | undefined, event: EventView): Ruling | undefined {
	if (list === undefined) return undefined;
	const size = event.textSize(Text.path);
	if (size === 0) return undefined;
	const start = event.textStart(Text.path);
	for (let index = 0; index < list.length; index++) {
		const line = list[index];
		if (line !== undefined && matchesBytes(line.match, event.bytes, start, start + size)) return line;
	}
	return undefined;
}

function judgePeer(
	scope: Scope,
	lists: Lists<Peer>,
	event: EventView,
	start: number,
	port: number,
	on: OnRuling,
): void {
	const { family, bytes } = event;
	if (family !== AF_INET && family !== AF_INET6) return;
	const told =
		findPeer(lists.deny, family, bytes, start, port) ?? findPeer(lists.alert, family, bytes, start, port);
	if (told !== undefined) {
		on(scope, told);
		return;
	}
	if (lists.leftOut === undefined || isLoopback(family, bytes, start)) return;
	if (findPeer(lists.allow, family, bytes, start, port) === undefined) on(scope, lists.leftOut);
}

function findPeer(
	list: readonly Line<Peer>[] | undefined,
	family: number,
	bytes: Buffer,
	start: number,
	port: number,
): Ruling | undefined {
	if (list === undefined) return undefined;
	for (let index = 0; index < list.length; index++) {
		const line = list[index];
		if (line !== undefined && peerMatches(line.match, family, bytes, start, port)) return line;
	}
	return undefined;
}

function findName(list: readonly Line<Glob>[] | undefined, name: string): Ruling | undefined {
	return list?.find(({ match }) => matchesName(match, name));
}
