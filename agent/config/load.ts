// The configuration file: text in, checked configuration out. Reading the file is the caller's.
import type { Problem } from "../model/verdict.ts";
import { type Config, configSchema } from "./schema.ts";
import { parseYaml } from "./yaml.ts";

export type { Config } from "./schema.ts";

/** `config` is undefined when a problem is an error; the last good one then stays in force. */
export function loadConfig(text: string, file: string): { config: Config | undefined; problems: Problem[] } {
	const { value, problems } = parseYaml(configSchema, text, file);
	return { config: value, problems };
}

/** What is in force without any file. */
export function defaultConfig(): Config {
	return configSchema.parse({});
}
