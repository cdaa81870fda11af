// Which kernel hooks carry acts on processes, identities, namespaces, mounts, modules, memory.
import type { Capability } from "./hooks.ts";

export const acts: readonly Capability[] = [];
