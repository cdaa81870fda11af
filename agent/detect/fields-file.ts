// fd.* of files and descriptors in general, and fs.path.*.
import { EventFlag, EventKind, type EventView, type Observation, Text } from "../model/event.ts";
import { syscallName } from "../model/syscalls.ts";
import { containerId, type Field, type Fields, number, type TextField, text } from "./field.ts";
import { socketDescriptor, socketName, sockets, typeCharOfSocket, typeOfSocket } from "./fields-socket.ts";
import type { Range } from "./text.ts";

const { open, memfd, chmod, chown, truncate, setxattr, rename, unlink, rmdir, mkdir } = EventKind;
const { mknod, link, symlink, chroot, mount, umount } = EventKind;

/** Kinds about a file by a descriptor. fchmod and its like have one, chmod has not: see hasDescriptor. */
const files: readonly EventKind[] = [open, memfd, chmod, chown, truncate, setxattr];
const descriptors: readonly EventKind[] = [...files, ...sockets];
const isSocket = new Set<EventKind>(sockets);
const opens: readonly EventKind[] = [open];

const slash = 0x2f;
const directoryFlag = process.arch === "arm64" ? 0o40000 : 0o200000;

function hasDescriptor(event: EventView): boolean {
	if (event.kind === open || event.kind === memfd) return true;
	return byDescriptor.has(syscallName(event.syscall, process.arch === "arm64" ? "arm64" : "x64") ?? "");
}
const byDescriptor = new Set(["fchmod", "fchown", "ftruncate", "fsetxattr", "fremovexattr"]);

/** The place of the file's name; false where it has to be put together: see fileName. */
function pathRange({ event }: Observation, out: Range): boolean {
	const size = event.textSize(Text.path);
	if (size === 0 || (event.flags & (EventFlag.pathIsBase | EventFlag.pathFromUser)) !== 0) return false;
	out.bytes = event.bytes;
	out.start = event.textStart(Text.path);
	out.size = size;
	return true;
}
function lastSlash(range: Range): number {
	for (let at = range.start + range.size - 1; at >= range.start; at--)
		if (range.bytes[at] === slash) return at;
	return -1;
}

/** Absolute and without `.`, `..` and `//`, by the text alone. */
function normalise(path: string): string {
	const parts: string[] = [];
	for (const part of path.split("/")) {
		if (part === "" || part === ".") continue;
		if (part === "..") parts.pop();
		else parts.push(part);
	}
	return `/${parts.join("/")}`;
}

/** What the caller wrote behind its working directory may hold `..`; what the kernel walked does not. */
const roundabout = /\/\.{0,2}(\/|$)/;
function straight(path: string): string {
	return path.startsWith("/") && roundabout.test(path) ? normalise(path) : path;
}

/** The file's own name, else what the caller asked for, made absolute. */
export function fileName(event: EventView): string | undefined {
	if ((event.flags & EventFlag.pathIsBase) === 0) {
		if (event.textSize(Text.path) === 0) return undefined;
		const path = event.text(Text.path);
		return (event.flags & EventFlag.pathFromUser) === 0 ? path : straight(path);
	}
	const raw = event.text(Text.raw);
	return raw.startsWith("/") ? normalise(raw) : normalise(`${event.text(Text.path)}/${raw}`);
}

/** The other name of a rename or a link, in the same form. */
export function targetName(event: EventView): string | undefined {
	const name = event.text(Text.target) || undefined;
	return name === undefined || (event.flags & EventFlag.targetFromUser) === 0 ? name : straight(name);
}

function recordedText(event: EventView, side: Text): string | undefined {
	if (side === Text.path) return fileName(event);
	return side === Text.target ? targetName(event) : event.text(side) || undefined;
}

/** The place of a text of the record; false where it has to be put together, as recordedText does. */
function recordedRange(side: Text, observation: Observation, out: Range): boolean {
	if (side === Text.path) return pathRange(observation, out);
	const { event } = observation;
	if (side === Text.target && (event.flags & EventFlag.targetFromUser) !== 0) return false;
	out.bytes = event.bytes;
	out.start = event.textStart(side);
	out.size = event.textSize(side);
	return out.size > 0;
}

/** A text of the record as a field, wherever it is looked up under several names. */
export function recordedField(side: Text): TextField {
	return {
		type: "text",
		range: (observation, out) => recordedRange(side, observation, out),
		get: ({ event }) => recordedText(event, side),
	};
}

/** "memfd:x", as the file of a memfd_create is called once it is run or mapped. */
export function memfdName(event: EventView): string {
	const given = event.text(Text.name) || event.text(Text.raw) || event.text(Text.path);
	return given.startsWith("memfd:") ? given : `memfd:${given}`;
}

function descriptorName(event: EventView): string | undefined {
	if (event.kind === memfd) return memfdName(event);
	return hasDescriptor(event) ? fileName(event) : undefined;
}

function isDirectory(event: EventView): boolean {
	if (event.kind === open) return (event.openFlags & directoryFlag) !== 0;
	return (event.mode & 0o170000) === 0o040000;
}

const descriptorFields: Fields = {
	"fd.name": {
		type: "text",
		kinds: descriptors,
		range: (observation, out) =>
			(observation.event.kind === open || observation.event.family === 1) && pathRange(observation, out),
		get: ({ event }) => (isSocket.has(event.kind) ? socketName(event) : descriptorName(event)),
	},
	"fd.nameraw": {
		type: "text",
		kinds: descriptors,
		range: ({ event }, out) => {
			if (event.kind !== open) return false;
			out.bytes = event.bytes;
			out.start = event.textStart(Text.raw);
			out.size = event.textSize(Text.raw);
			return out.size > 0;
		},
		get: ({ event }) => {
			if (event.kind === open) return event.text(Text.raw);
			return isSocket.has(event.kind) ? socketName(event) : descriptorName(event);
		},
	},
	"fd.directory": {
		type: "text",
		kinds: files,
		range: (observation, out) => {
			if (observation.event.kind !== open || !pathRange(observation, out)) return false;
			const at = lastSlash(out);
			if (at < 0) return false;
			out.size = Math.max(1, at - out.start);
			return true;
		},
		get: ({ event }) => {
			const name = descriptorName(event) ?? "";
			const at = name.lastIndexOf("/");
			return at < 0 ? undefined : name.slice(0, Math.max(1, at));
		},
	},
	// A failed open has no file, so in the language no file name either; its fd.name is what was asked for.
	"fd.filename": {
		type: "text",
		kinds: files,
		range: (observation, out) => {
			const { event } = observation;
			if (event.kind !== open || event.result < 0 || !pathRange(observation, out)) return false;
			const at = lastSlash(out);
			if (at < 0) return true; // "memfd:x" is a name as it is
			out.size -= at + 1 - out.start;
			out.start = at + 1;
			return true;
		},
		get: ({ event }) => (event.result < 0 ? undefined : descriptorName(event)?.replace(/^.*\//s, "")),
	},
	"fd.num": number([open, memfd, ...sockets], ({ event }) =>
		isSocket.has(event.kind) ? socketDescriptor(event) : Math.max(-1, event.result),
	),
	"fd.typechar": text(descriptors, ({ event }) => {
		if (isSocket.has(event.kind)) return typeCharOfSocket(event);
		if (event.kind === memfd) return "m";
		if (!hasDescriptor(event)) return undefined;
		return isDirectory(event) ? "d" : "f";
	}),
	"fd.type": text(descriptors, ({ event }) => typeOf(event)),
	// All descriptors of one of our events are of one type.
	"fd.types": text(descriptors, ({ event }) => typeOf(event)),
	"fd.uid": text([open, memfd, ...sockets], ({ event }) => {
		const descriptor = isSocket.has(event.kind) ? socketDescriptor(event) : event.result;
		return descriptor < 0 ? undefined : `${event.tid}${descriptor}`;
	}),
	"fd.dev": number(opens, ({ event }) => event.device),
	"fd.dev.major": number(opens, ({ event }) => event.device >>> 20),
	"fd.dev.minor": number(opens, ({ event }) => event.device & 0xfffff),
	"fd.ino": number(opens, ({ event }) => event.inode),
};

function typeOf(event: EventView): string | undefined {
	if (isSocket.has(event.kind)) return typeOfSocket(event);
	if (event.kind === memfd) return "memfd";
	if (!hasDescriptor(event)) return undefined;
	return isDirectory(event) ? "directory" : "file";
}

/** What a side is is a text of the record; `path` made absolute. */
type Side = Text;
const { path, raw, target, targetRaw, source } = Text;

type Sides = ReadonlyMap<EventKind, { readonly shown: Side; readonly asPassed: Side }>;
const one = [open, unlink, rmdir, mkdir, mknod, chmod, chown, truncate, setxattr, chroot, umount] as const;
const names: Sides = new Map(one.map((kind) => [kind, { shown: path, asPassed: raw }]));
// A link is the source and what it leads to the target, as the language has it.
const sources: Sides = new Map([
	[rename, { shown: path, asPassed: raw }],
	[link, { shown: target, asPassed: targetRaw }],
	[symlink, { shown: path, asPassed: raw }],
	[mount, { shown: source, asPassed: source }],
]);
const targets: Sides = new Map([
	[rename, { shown: target, asPassed: targetRaw }],
	[link, { shown: path, asPassed: raw }],
	[symlink, { shown: targetRaw, asPassed: targetRaw }],
	[mount, { shown: path, asPassed: raw }],
]);

const newName: Sides = new Map([[rename, { shown: target, asPassed: targetRaw }]]);
const changed: Sides = new Map([...names, ...sources, ...newName]);

/** Only of what succeeded: a failed call has touched no path. */
function sideField(sides: Sides, which: "shown" | "asPassed"): TextField {
	const get: TextField["get"] = ({ event }) => {
		const side = event.result < 0 ? undefined : sides.get(event.kind)?.[which];
		return side === undefined ? undefined : recordedText(event, side);
	};
	const range: TextField["range"] = (observation, out) => {
		const { kind, result } = observation.event;
		const side = result < 0 ? undefined : sides.get(kind)?.[which];
		return side !== undefined && recordedRange(side, observation, out);
	};
	return { ...text([...sides.keys()], get), range, recorded: (kind) => sides.get(kind)?.[which] };
}

/** "container:what", with "host" for none. */
function inContainer(field: Field | undefined): TextField {
	if (field?.type !== "text") throw new Error("only a text can be told with its container");
	return text(descriptors, (observation, context) => {
		const value = field.get(observation, context);
		const id = observation.process && containerId(observation.process);
		return value === undefined || id === undefined ? undefined : `${id}:${value}`;
	});
}

export const fileFields: Fields = {
	...descriptorFields,
	"fd.containername": inContainer(descriptorFields["fd.name"]),
	"fd.containerdirectory": { ...inContainer(descriptorFields["fd.directory"]), kinds: files },
	"fs.path.name": sideField(names, "shown"),
	"fs.path.nameraw": sideField(names, "asPassed"),
	"fs.path.source": sideField(sources, "shown"),
	"fs.path.sourceraw": sideField(sources, "asPassed"),
	"fs.path.target": sideField(targets, "shown"),
	"fs.path.targetraw": sideField(targets, "asPassed"),
	// The name that a change leaves, or has taken away: of a rename the new one. Not a name of Falco's.
	"fs.path.changed": sideField(changed, "shown"),
};
