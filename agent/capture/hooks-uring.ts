// Which kernel hooks carry what is asked for through io_uring.
import type { Capability } from "./hooks.ts";

export const uring: readonly Capability[] = [];
