// Prints the folder of the pinned Node runtime (bin/, include/): the addon is built against its headers.
import { createRequire } from "node:module";
import { dirname } from "node:path";

const require = createRequire(import.meta.url);
const name = `node-linux-${process.arch === "arm64" ? "arm64" : "x64"}`;
process.stdout.write(`${dirname(require.resolve(`${name}/package.json`))}\n`);
