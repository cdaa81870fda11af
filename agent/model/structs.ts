// Which struct of bpf/event.h each kind of event comes as. Offsets within it are for EventView's `word()` and its like.
import type { EventName } from "./event.ts";
import * as layout from "./layout.ts";

/** Offsets of a struct's members, and its size. */
export type Struct = { readonly bytes: number } & Readonly<Record<string, number>>;

const { fileEvent, socketEvent, identityEvent, namespaceEvent, targetEvent, mountEvent, callEvent } = layout;

export const structs: Readonly<Record<EventName, Struct>> = {
	exec: layout.execEvent,
	fork: layout.forkEvent,
	exit: layout.exitEvent,
	open: layout.openEvent,
	connect: socketEvent,
	cgroup: layout.cgroupEvent,
	execFailed: layout.execFailedEvent,
	rename: fileEvent,
	unlink: fileEvent,
	rmdir: fileEvent,
	mkdir: fileEvent,
	mknod: fileEvent,
	link: fileEvent,
	symlink: fileEvent,
	chmod: fileEvent,
	chown: fileEvent,
	truncate: fileEvent,
	setxattr: fileEvent,
	accept: socketEvent,
	bind: socketEvent,
	listen: socketEvent,
	send: socketEvent,
	socket: socketEvent,
	dup: socketEvent,
	dns: layout.dnsEvent,
	setuid: identityEvent,
	setgid: identityEvent,
	capset: identityEvent,
	unshare: namespaceEvent,
	setns: namespaceEvent,
	ptrace: targetEvent,
	vmWrite: targetEvent,
	kill: targetEvent,
	mount: mountEvent,
	umount: mountEvent,
	pivotRoot: fileEvent,
	chroot: fileEvent,
	module: layout.moduleEvent,
	bpf: layout.bpfEvent,
	memfd: fileEvent,
	userfaultfd: callEvent,
	protect: layout.protectEvent,
	ioUring: callEvent,
};
