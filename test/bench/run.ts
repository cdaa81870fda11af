// `npm run bench`: every benchmark beside this file, one after the other.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const folder = new URL(".", import.meta.url).pathname;
for (const name of readdirSync(folder).sort()) {
	if (!name.endsWith(".ts") || ["run.ts", "streams.ts", "rules.ts", "hostile.ts"].includes(name)) continue;
	process.stdout.write(`\n== ${name.slice(0, -3)}\n`);
	const { status } = spawnSync(process.execPath, [join(folder, name)], { stdio: "inherit" });
	if (status !== 0) process.exitCode = 1;
}
