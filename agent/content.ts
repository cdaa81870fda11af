// What users write: configuration, policy and rule files, found on disk and handed to the stages that understand
// them. Says every problem with its place; decides which ones keep the sensor from starting.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { type Config, defaultConfig, loadConfig } from "./config/load.ts";
import { loadRules, type RuleFile, type RuleSet } from "./detect/load.ts";
import { CommandError, problemText } from "./failure.ts";
import type { Problem } from "./model/verdict.ts";
import { defaultPolicy, loadPolicy, type Policy } from "./policy/load.ts";
import { rulePaths } from "./rule-files.ts";

export const defaultConfigPath = "/etc/picket/picket.yaml";
const signatureFolder = new URL("detect/signatures/", import.meta.url).pathname;

function read(path: string, what: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
		throw new CommandError(`cannot read ${what} ${path}: ${reason}`, "check the path and its permissions");
	}
}

function refuse(what: string, problems: readonly Problem[]): never {
	const errors = problems.filter((problem) => problem.level === "error");
	throw new CommandError(
		`${what} has ${errors.length === 1 ? "an error" : `${errors.length} errors`}:\n${errors.map((each) => `  ${problemText(each)}`).join("\n")}`,
		"mend what is named above",
	);
}

/** The configuration at `path`; without a path the standard one, if there is any. Throws CommandError. */
export function readConfig(path: string | undefined): { config: Config; problems: Problem[] } {
	if (path === undefined && !existsSync(defaultConfigPath)) return { config: defaultConfig(), problems: [] };
	const file = path ?? defaultConfigPath;
	const { config, problems } = loadConfig(read(file, "the configuration"), file);
	if (!config) refuse(`the configuration ${file}`, problems);
	return { config, problems };
}

export interface LoadedPolicy {
	readonly policy: Policy;
	readonly problems: readonly Problem[];
	readonly hash: string;
}

/** A policy from text, for consoles and files. `policy` is undefined when it has an error. */
export function checkPolicy(
	text: string,
	file: string,
): { loaded: LoadedPolicy | undefined; problems: readonly Problem[] } {
	const { policy, problems } = loadPolicy(text, file);
	return { loaded: policy && { policy, problems, hash: sha256(text) }, problems };
}

/** The policy at `path`; a missing standard file means the default policy. Throws CommandError. */
export function readPolicy(path: string, mustExist: boolean): LoadedPolicy {
	if (!mustExist && !existsSync(path)) return { policy: defaultPolicy(), problems: [], hash: sha256("") };
	const { loaded, problems } = checkPolicy(read(path, "the policy"), path);
	if (!loaded) refuse(`the policy ${path}`, problems);
	return loaded;
}

/** Rule files at a path: itself, or what lies in that folder. */
function ruleFilesAt(path: string, origin: RuleFile["origin"]): RuleFile[] {
	let paths = [path];
	try {
		paths = rulePaths(path);
	} catch {
		// read() below says it with the reason
	}
	return paths.map((each) => ({ path: each, text: read(each, "the rule file"), origin }));
}

/** Our own signatures (unless left out) and the files given. Throws CommandError for a path that cannot be read. */
export function readRuleFiles(paths: readonly string[], withDefaults: boolean): RuleFile[] {
	return [
		...(withDefaults ? ruleFilesAt(signatureFolder, "picket") : []),
		...paths.flatMap((path) => ruleFilesAt(path, "falco")),
	];
}

/** The same, compiled. */
export function readRules(paths: readonly string[], withDefaults: boolean): RuleSet {
	return loadRules(readRuleFiles(paths, withDefaults));
}

function sha256(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
