// Which kernel hooks carry file changes: rename … setxattr.
import type { Capability } from "./hooks.ts";

export const changes: readonly Capability[] = [];
