// Events about files as JSON: opens, changes of names and attributes, mounts, modules.
import { posix } from "node:path";
import { EventFlag, EventKind, type EventView, Text } from "../model/event.ts";
import { flagNames } from "../model/flag-names.ts";
import { type Architecture, openFlagNames } from "../model/kernel-names.ts";
import { fileEvent, moduleEvent, mountEvent } from "../model/layout.ts";
import type * as wire from "../model/picket.v1.ts";
import { showText } from "./shown.ts";
import { fileOf, resultOf } from "./wire-result.ts";

export function openToWire(event: EventView, architecture: Architecture): wire.Open {
	const path = openedPath(event);
	const open: wire.Open = path === "" ? {} : { path: showText(path) };
	if (event.textSize(Text.raw) > 0) open.rawPath = showText(event.text(Text.raw));
	open.flags = openFlagNames(event.openFlags, architecture);
	if (event.mode !== 0) open.mode = event.mode;
	Object.assign(open, fileOf(event), resultOf(event));
	if (event.repeats > 0) open.repeats = event.repeats;
	if ((event.flags & EventFlag.created) !== 0) open.created = true;
	if ((event.flags & EventFlag.pathFromUser) !== 0) open.pathUnverified = true;
	return open;
}

/**
 * Path of an open, latin1: the kernel's own; for a failed open what was asked for, made absolute. "" when
 * that cannot be told, rather than a directory passed off as the file.
 */
export function openedPath(event: EventView): string {
	const path = event.text(Text.path);
	if ((event.flags & EventFlag.pathIsBase) === 0) return path;
	const raw = event.text(Text.raw);
	if (raw === "") return (event.flags & EventFlag.rawUnreadable) === 0 ? path : "";
	if (raw.startsWith("/")) return posix.normalize(raw);
	return path === "" ? "" : posix.join(path, raw);
}

const unchanged = 0xffff_ffff;
const takesMode: ReadonlySet<EventKind> = new Set([EventKind.chmod, EventKind.mkdir, EventKind.mknod]);

export function fileChangeToWire(event: EventView): wire.FileChange {
	const change: wire.FileChange = {};
	putText(change, "path", event, Text.path);
	putText(change, "rawPath", event, Text.raw);
	putText(change, "targetPath", event, Text.target);
	putText(change, "rawTargetPath", event, Text.targetRaw);
	putText(change, "name", event, Text.name);
	Object.assign(change, fileOf(event));
	if (event.mode !== 0) change.mode = event.mode;
	if (takesMode.has(event.kind)) change.newMode = event.word(fileEvent.newMode);
	if (event.kind === EventKind.chown) {
		const uid = event.word(fileEvent.newUid);
		const gid = event.word(fileEvent.newGid);
		if (uid !== unchanged) change.newUid = uid;
		if (gid !== unchanged) change.newGid = gid;
	}
	if (event.kind === EventKind.truncate) change.size = String(event.big(fileEvent.size));
	const flags = flagNames(flagTable(event.kind), event.word(fileEvent.callFlags));
	if (flags.length > 0) change.flags = flags;
	Object.assign(change, resultOf(event));
	if ((event.flags & EventFlag.pathFromUser) !== 0) change.pathUnverified = true;
	if ((event.flags & EventFlag.targetFromUser) !== 0) change.targetUnverified = true;
	return change;
}

function flagTable(kind: EventKind): "rename" | "memfd" | "xattr" | "at" {
	if (kind === EventKind.rename) return "rename";
	if (kind === EventKind.memfd) return "memfd";
	return kind === EventKind.setxattr ? "xattr" : "at";
}

export function mountToWire(event: EventView): wire.Mount {
	const mount: wire.Mount = {};
	putText(mount, "path", event, Text.path);
	putText(mount, "rawPath", event, Text.raw);
	putText(mount, "source", event, Text.source);
	putText(mount, "filesystem", event, Text.filesystem);
	putText(mount, "options", event, Text.options);
	const table = event.kind === EventKind.mount ? "mount" : "umount";
	const flags = flagNames(table, event.word(mountEvent.callFlags));
	if (flags.length > 0) mount.flags = flags;
	if (event.device !== 0) mount.device = event.device;
	Object.assign(mount, resultOf(event));
	if ((event.flags & EventFlag.pathFromUser) !== 0) mount.pathUnverified = true;
	return mount;
}

export function moduleToWire(event: EventView): wire.ModuleLoad {
	const removed = event.word(moduleEvent.operation) === 2;
	const module: wire.ModuleLoad = { operation: removed ? "OPERATION_REMOVED" : "OPERATION_LOADED" };
	putText(module, "name", event, Text.name);
	putText(module, "path", event, Text.path);
	Object.assign(module, fileOf(event));
	putText(module, "args", event, Text.args);
	// delete_module takes O_NONBLOCK and O_TRUNC, which say nothing of the module.
	const flags = removed ? [] : flagNames("moduleInit", event.word(moduleEvent.callFlags));
	if (flags.length > 0) module.flags = flags;
	return Object.assign(module, resultOf(event));
}

/** Leaves an empty text out. */
function putText<Key extends string>(
	into: { [key in Key]?: string },
	key: Key,
	event: EventView,
	text: Text,
): void {
	if (event.textSize(text) > 0) into[key] = showText(event.text(text));
}
