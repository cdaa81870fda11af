// The uplink's beginning, as agent/main.mjs is the sensor's: the compile cache has to be on before any source is loaded.
import { enableCompileCache } from "node:module";

enableCompileCache(new URL("../../build/compile-cache", import.meta.url).pathname);
const { runUplink } = await import("./main.ts");
await runUplink(process.argv[2] ?? "{}");
