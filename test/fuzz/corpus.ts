// Public rule files. They are no part of the repository: they are taken where they lie beside it, or where
// PICKET_RULES_CORPUS names their folder.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const beside = new URL("../../../shared/rules-corpus", import.meta.url).pathname;

/** Texts of all files of a language; none when they are not there. */
export function corpus(language: "falco" | "sigma"): string[] {
	const folder = join(process.env.PICKET_RULES_CORPUS ?? beside, language);
	if (!existsSync(folder)) return [];
	return readdirSync(folder, { recursive: true, encoding: "utf8" })
		.filter((name) => /\.ya?ml$/.test(name))
		.sort()
		.map((name) => readFileSync(join(folder, name), "utf8"));
}
