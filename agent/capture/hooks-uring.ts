// Which kernel hooks carry what is asked for through io_uring.
import type { EventName } from "../model/event.ts";
import type { Capability, Way } from "./hooks.ts";

const remedy =
	"a kernel from 5.19 with BTF; or kernel.io_uring_disabled=2 (from 6.6), which nothing here needs";

const lost =
	"which file was opened where nobody is told of the success, and for sure where results wait to be fetched";

/** The tracepoint in which a request begins was renamed in 6.4. */
const ways: readonly Way[] = [
	{ program: "on_uring_issue", tier: "fentry", also: ["on_uring_begins"] },
	{ program: "on_uring_complete", tier: "tracepoint", also: ["on_uring_submit"], lost },
	{ program: "on_uring_complete", tier: "tracepoint", also: ["on_uring_submit_sqe"], lost },
];

const through = (kind: EventName, lost: string): Capability => ({
	name: `io_uring_${kind}`,
	kind,
	ways,
	required: false,
	lost: `${lost} through io_uring`,
	remedy,
});

export const uring: readonly Capability[] = [
	through("open", "file opens"),
	through("connect", "outgoing connections"),
	through("rename", "files renamed"),
	through("unlink", "files removed"),
	through("rmdir", "directories removed"),
	through("mkdir", "directories made"),
	through("symlink", "symbolic links made"),
	through("link", "hard links made"),
];
