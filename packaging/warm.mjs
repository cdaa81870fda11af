// Fills the compile cache (see agent/main.mjs) with all that a command may load, so that the first start has it.
import { readdirSync } from "node:fs";
import { enableCompileCache } from "node:module";

const agent = new URL("../agent/", import.meta.url);
enableCompileCache(new URL("../build/compile-cache", agent).pathname);
for (const name of readdirSync(new URL("commands/", agent)))
	await import(new URL(`commands/${name}`, agent).href);
for (const name of ["uplink/main.ts", "console/console.ts", "delivered/examine.ts"])
	await import(new URL(name, agent).href);
await import("dockerode");
await import("commander");
