// Which kinds of events the tests of a file are about. On one kernel they are run again in another setting only where
// that changes the programs which report these kinds; a file that is not named here is run in every setting.
import type { EventName } from "../../agent/model/event.ts";

/** About our own tables and counters: on the kernel at hand. */
export const ownTables: readonly string[] = ["interest", "loss", "share"];
/** The same programs on all kernels: on the oldest and the newest; those in between have verified them. */
export const alike: readonly string[] = [
	...["act", "change", "dns", "evade", "forms", "life", "ring", "socket", "stop", "truth"],
];
/** Of those: on the oldest, besides the kernel at hand. */
export const oldest: readonly string[] = ["dns", "evade", "forms", "ring", "stop"];
/** About processes as every kernel has them, and with tools that a virtual machine lacks. */
export const elsewhere: readonly string[] = ["kill"];

export const about: Readonly<Record<string, readonly EventName[]>> = {
	"act.test.ts": [
		"setuid",
		"unshare",
		"ptrace",
		"vmWrite",
		"kill",
		"mount",
		"module",
		"bpf",
		"protect",
		"execFailed",
	],
	"change.test.ts": ["rename", "unlink", "mkdir", "link", "chmod", "chown", "truncate", "setxattr", "memfd"],
	"connect.test.ts": ["connect"],
	"dns.test.ts": ["dns"],
	"evade.test.ts": ["connect"],
	"exec.test.ts": ["exec"],
	"file.test.ts": ["open"],
	"forms.test.ts": ["open"],
	"interest.test.ts": ["open", "connect"],
	"loss.test.ts": ["exec"], // what becomes of a record is the same code in all programs
	"process.test.ts": ["exec", "fork", "exit"],
	"ring.test.ts": ["exec"],
	"share.test.ts": ["exec"],
	"socket.test.ts": ["accept", "bind", "listen", "send", "socket", "dup"],
	"stop.test.ts": ["exec"],
	"truth.test.ts": ["open"],
	"uring.test.ts": ["open", "connect"],
};
