// What users write: configuration, policy and rule files, found on disk and handed to the stages that understand
// them. Says every problem with its place; decides which ones keep the sensor from starting.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { type Config, defaultConfig, loadConfig } from "./config/load.ts";
import { loadRules, type RuleFile, type RuleSet } from "./detect/load.ts";
import { isSamplesFile } from "./detect/samples.ts";
import { CommandError, problemText } from "./failure.ts";
import type { Problem } from "./model/verdict.ts";
import { defaultPolicy, loadPolicy } from "./policy/load.ts";
import type { Policy } from "./policy/policy.ts";
import { createReader, readTextFile, yamlPaths } from "./rule-files.ts";

export const defaultConfigPath = "/etc/picket/picket.yaml";
const signatureFolder = new URL("detect/signatures/", import.meta.url).pathname;

function read(path: string, what: string, readText: (path: string) => string = readTextFile): string {
	try {
		return readText(path);
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

export interface CheckedPolicy {
	/** Undefined when it has an error. */
	readonly loaded: LoadedPolicy | undefined;
	readonly problems: readonly Problem[];
	/** Every file that was read for it, with its text. */
	readonly texts: ReadonlyMap<string, string>;
}

/** A policy from text, for consoles and files. Without `readIncluded` it can include templates alone. */
export function checkPolicy(
	text: string,
	file: string,
	readIncluded?: (path: string) => string,
): CheckedPolicy {
	const { policy, problems, texts } = loadPolicy(text, file, readIncluded ? { read: readIncluded } : {});
	const hash = sha256([...texts.values()].join("\0"));
	return { loaded: policy && { policy, problems, hash }, problems, texts };
}

/** The same from a file. Throws CommandError when it cannot be read. */
export function checkPolicyFile(path: string): CheckedPolicy {
	const reader = createReader();
	return checkPolicy(read(path, "the policy", reader), path, reader);
}

/** The policy at `path`; a missing standard file means the default policy. Throws CommandError. */
export function readPolicy(path: string, mustExist: boolean): LoadedPolicy {
	if (!mustExist && !existsSync(path)) return { policy: defaultPolicy(), problems: [], hash: sha256("") };
	const { loaded, problems } = checkPolicyFile(path);
	if (!loaded) refuse(`the policy ${path}`, problems);
	return loaded;
}

/** YAML files at a path: itself, or what lies in that folder, in order. */
export function yamlFilesAt(path: string): string[] {
	try {
		return yamlPaths(path);
	} catch {
		// Whoever reads it says why it cannot be read.
		return [path];
	}
}

/** Samples of rules lie beside them and are none. */
function ruleFilesAt(
	path: string,
	origin: RuleFile["origin"],
	readText: (path: string) => string,
): RuleFile[] {
	return yamlFilesAt(path)
		.filter((each) => !isSamplesFile(each))
		.map((each) => ({ path: each, text: read(each, "the rule file", readText), origin }));
}

/** Text of a file with samples. Throws CommandError. */
export function readSamplesFile(path: string): string {
	return read(path, "the samples file");
}

/** Our own signatures (unless left out) and the files given. Throws CommandError for a path that cannot be read. */
export function readRuleFiles(paths: readonly string[], withDefaults: boolean): RuleFile[] {
	const readText = createReader();
	return [
		...(withDefaults ? ruleFilesAt(signatureFolder, "picket", readText) : []),
		...paths.flatMap((path) => ruleFilesAt(path, "falco", readText)),
	];
}

/** The same, compiled. */
export function readRules(paths: readonly string[], withDefaults: boolean): RuleSet {
	return loadRules(readRuleFiles(paths, withDefaults));
}

function sha256(text: string): string {
	return createHash("sha256").update(text).digest("hex");
}
