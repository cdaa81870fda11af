// Prints the folder of the pinned Node runtime (bin/, include/): the addon is built against its headers.
import { createRequire } from "node:module";

const _require = createRequire(import.meta.url);
