// What a policy includes: templates that come with the sensor and other files of the user's. Reads templates; other
// files only through the reader it is given, so that a console cannot have files of the host read.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../packaging/policy/", import.meta.url));

/** Text of a file by its absolute path. Throws what the file system says. */
export type ReadFile = (path: string) => string;

let names: string[] | undefined;
const texts = new Map<string, string>();

/** Names of the templates there are. They come with the program and are read once. */
export function templateNames(): string[] {
	names ??= readdirSync(folder)
		.filter((name) => name.endsWith(".yaml"))
		.map((name) => name.slice(0, -".yaml".length))
		.sort();
	return names;
}

/** Undefined when there is no such template. */
export function readTemplate(name: string): { readonly file: string; readonly text: string } | undefined {
	if (!templateNames().includes(name)) return undefined;
	const file = `${folder}${name}.yaml`;
	const text = texts.get(name) ?? readFileSync(file, "utf8");
	texts.set(name, text);
	return { file, text };
}
