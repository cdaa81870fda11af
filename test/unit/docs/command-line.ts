// The source of the whole command line, to be compared with what the pages say.
import { readdirSync, readFileSync } from "node:fs";

export function commandLine(): string {
	const agent = new URL("../../../agent/", import.meta.url);
	const families = readdirSync(new URL("cli/", agent)).map((name) => `cli/${name}`);
	return ["cli.ts", ...families].map((name) => readFileSync(new URL(name, agent), "utf8")).join("\n");
}
