// Which kernel hooks carry what is asked for through io_uring.
import type { Capability, Way } from "./hooks.ts";

const remedy =
	"a kernel from 5.19 with BTF; or kernel.io_uring_disabled=2 (from 6.6), which nothing here needs";

/** The tracepoint in which a request begins was renamed in 6.4. */
const ways: readonly Way[] = [
	{ program: "on_uring_issue", tier: "fentry", also: ["on_uring_begins"] },
	{ program: "on_uring_complete", tier: "tracepoint", also: ["on_uring_submit"] },
	{ program: "on_uring_complete", tier: "tracepoint", also: ["on_uring_submit_sqe"] },
];

export const uring: readonly Capability[] = [
	{
		name: "io_uring_open",
		kind: "open",
		ways,
		required: false,
		lost: "file opens through io_uring",
		remedy,
	},
	{
		name: "io_uring_connect",
		kind: "connect",
		ways,
		required: false,
		lost: "outgoing connections through io_uring",
		remedy,
	},
];
