// What a sensor is started with: everything that users wrote, read and judged, and the one lock of a run directory.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Logger } from "pino";
import { addon } from "../capture/addon.ts";
import { type Config, defaultConfig } from "../config/load.ts";
import { defaultConfigPath, readConfig, readPolicy, readRuleFiles } from "../content.ts";
import { nothingDelivered } from "../delivered/join.ts";
import type { OpenedContent } from "../delivered/start.ts";
import { loadRules } from "../detect/load.ts";
import { finish } from "../detect/steps.ts";
import { CommandError, problemText } from "../failure.ts";
import type { Problem } from "../model/verdict.ts";
import { isFolder, type Reading, readAgain } from "../rule-files.ts";
import type { SensorOptions } from "../sensor-contract.ts";
import { type CaptureFlags, eventKindsOf, mergeFlags } from "../settings.ts";

export interface Prepared {
	readonly config: Config;
	readonly sensor: Omit<SensorOptions, "recorder" | "activity">;
}

/** Reads everything users wrote and says what is wrong with it; throws CommandError where it cannot start. */
export function prepare(
	flags: CaptureFlags,
	logger: (config: Config) => Logger,
	deliveredOf?: (config: Config, logger: Logger) => OpenedContent,
): Prepared {
	const { config: read, problems } = readConfig(flags.config);
	const config = mergeFlags(read, flags);
	const policyOf = (path: string, mustExist: boolean) =>
		readPolicy(path, mustExist || path !== defaultConfig().policy);
	const policy = policyOf(config.policy, false);
	const log = logger(config);
	const own = readRuleFiles([], true);
	const delivered = deliveredOf?.(config, log);
	const arrived = delivered?.store.inForce() ?? nothingDelivered;
	const reading = readPresent(config, log);
	const files = [...(config.rules.default ? own : []), ...arrived.files, ...reading.files];
	const rules = loadRules(files);
	const say = (problem: Problem) => log[problem.level === "error" ? "error" : "warn"](problemText(problem));
	for (const problem of [...problems, ...policy.problems, ...reading.problems]) say(problem);
	for (const problem of rules.problems) if (problem.level === "error") say(problem);
	return {
		config,
		sensor: {
			config,
			rules,
			policy,
			...(delivered && { delivered }),
			reload: {
				files,
				problems: reading.problems,
				sources: {
					own,
					...(delivered && { delivered: delivered.store.inForce }),
					files: [flags.config ?? defaultConfigPath],
					config: () => mergeFlags(readConfig(flags.config).config, flags),
					// One that was there and is gone is a mistake, not the wish for none.
					policy: (wanted) => policyOf(wanted.policy, policy.policy.file !== ""),
				},
			},
			eventKinds: eventKindsOf(config, flags),
			simulateLoss: flags.simulateLoss ?? 0,
			off: flags.off ?? [],
			logger: log,
		},
	};
}

/**
 * The rules that are there. A folder may come later, and one bad file in it must not keep the sensor from starting with
 * the others; a path that the configuration names itself has to be readable. Throws CommandError.
 */
function readPresent({ rules }: Config, log: Logger): Reading {
	for (const path of rules.files) {
		if (!existsSync(path) && isFolder(path))
			log.warn(`there is no folder ${path} yet; its rules are loaded once it is there`);
	}
	const reading = finish(readAgain(rules.files, []));
	const named = reading.problems.find(({ file }) => rules.files.includes(file));
	if (named) throw new CommandError(`the rule file ${named.file} ${named.message}`, named.remedy);
	return reading;
}

/** One sensor a run directory: takes the lock or says who has it. */
export function takeLock(runDir: string): void {
	try {
		mkdirSync(runDir, { recursive: true, mode: 0o755 });
		if (addon().lockFile(join(runDir, "picket.lock")) >= 0) return;
	} catch (error) {
		const reason = error instanceof Error ? error.message : String(error);
		throw new CommandError(
			`cannot use the run directory ${runDir}: ${reason}`,
			"start as root, or set paths.run",
		);
	}
	throw new CommandError(
		`another sensor is running (it holds ${join(runDir, "picket.lock")})`,
		"look at it with `picket status` or `picket watch`, or stop it first",
		1,
	);
}
