// Which kernel hooks carry accept, bind, listen, datagrams, sockets with powers of their own, DNS.
import type { Capability } from "./hooks.ts";

export const sockets: readonly Capability[] = [];
