// Opens at the start what consoles have delivered, decides what a series of crashes leaves of it, and joins the takeover
// to the sensor that runs.
import type { Logger } from "pino";
import type { Config } from "../config/load.ts";
import type { Detection } from "../detection.ts";
import type * as wire from "../model/picket.v1.ts";
import { consoleRefusal } from "../policy/load.ts";
import type { Policy } from "../policy/policy.ts";
import type { Reloader } from "../reload.ts";
import { type Audit, openAudit } from "../respond/audit.ts";
import { auditFile } from "../respond/journal.ts";
import { openStarts, type Starts } from "./starts.ts";
import { contentFolder, openStore, type Store } from "./store.ts";
import { afterCrashes, createTakeover, type Takeover } from "./takeover.ts";
import { runTrial } from "./trial-run.ts";

export interface OpenedContent {
	readonly store: Store;
	readonly starts: Starts;
}

/** Of the one sensor that runs: writes down that it starts. Never throws. */
export function openDelivered(
	{ paths, content }: Config,
	logger: Logger,
	clock: () => number,
): OpenedContent {
	const store = openStore(contentFolder(paths.state), content.trust);
	const starts = openStarts(paths.state, clock);
	const done = afterCrashes(store, starts, clock());
	if (done !== "") logger.error(done);
	if (starts.captureOnly() !== "")
		logger.error(`CAPTURE ONLY: ${starts.captureOnly()}; nothing acts, and the kernel refuses nothing`);
	for (const problem of store.problems()) logger.error(problem);
	starts.begun(store.describe());
	return { store, starts };
}

export interface SensorParts {
	readonly config: Config;
	readonly reloader: Reloader;
	readonly detection: Pick<Detection, "current">;
	policy(): Policy;
	/** Judged since the start. */
	events(): number;
	alert(alert: wire.Alert): void;
	changed(): void;
	onAccepted(): void;
	readonly logger: Logger;
	readonly clock: () => number;
}

export function startTakeover({ store, starts }: OpenedContent, parts: SensorParts): Takeover {
	const { config, reloader, detection, policy, logger, clock } = parts;
	let audit: Audit | undefined;
	return createTakeover({
		...{ store, starts, logger, clock },
		trust: config.content.trust,
		local: reloader.local,
		refused: (grant, requester) => consoleRefusal(policy(), requester, grant),
		reload: reloader.deliver,
		trial: runTrial,
		audit(entry) {
			audit ??= openAudit(auditFile(config.paths.state), clock);
			audit.append(entry);
		},
		alert: parts.alert,
		changed: parts.changed,
		onAccepted: parts.onAccepted,
		load() {
			const { user, system } = process.cpuUsage();
			return {
				cpuSeconds: (user + system) / 1e6,
				events: parts.events(),
				matches: matchesOf(detection, store),
			};
		},
	});
}

/** Of delivered rules, and all violations: of a policy that is joined from two nobody can tell whose they are. */
function matchesOf(detection: Pick<Detection, "current">, store: Store): number {
	const { rules, engine, policyEngine } = detection.current();
	const delivered = new Set(store.inForce().files.map(({ path }) => path));
	let sum = 0;
	if (delivered.size > 0)
		for (const { name, file } of rules.rules) if (delivered.has(file)) sum += engine.matches.get(name) ?? 0;
	return sum + policyEngine.found;
}
