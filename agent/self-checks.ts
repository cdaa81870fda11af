// The sensor's watch over itself: the canary that has to come back, and who touches what it is made of. What they find
// becomes alerts.
import type { Logger } from "pino";
import { startableCanary } from "./canary.ts";
import type { LiveCapture } from "./capture/live.ts";
import type { Config } from "./config/load.ts";
import type { Enrichment } from "./enrichment.ts";
import { tamperRule, tamperWords } from "./health/tamper.ts";
import { canaryRule } from "./model/canary.ts";
import type * as wire from "./model/picket.v1.ts";
import { showText } from "./report/shown.ts";
import { selfAlert } from "./self-alert.ts";
import { createTampering, type Tampering, type TamperingDeps } from "./tampering.ts";

export interface SelfCheckOptions
	extends Pick<TamperingDeps, "refusalDamages" | "contentFiles" | "contentGeneration"> {
	readonly config: Config;
	readonly capture: LiveCapture;
	/** All events are reported, those of the canary like any other. */
	readonly shown: boolean;
	/** Some events are dropped on purpose. */
	readonly simulated: boolean;
	readonly enrichment: Pick<Enrichment, "tree" | "cgroupMount">;
	readonly alert: (alert: wire.Alert) => unknown;
	readonly logger: Logger;
	readonly clock: () => number;
}

export interface SelfChecks {
	/** Undefined when the configuration wants none. */
	readonly canary: ReturnType<typeof startableCanary>;
	readonly tampering: Tampering | undefined;
}

/** Canaries in a row that are told as an alert. */
const mostMissed = 2;

/** For a sensor that only records. */
export const noSelfChecks: SelfChecks = { canary: undefined, tampering: undefined };

export function createSelfChecks(options: SelfCheckOptions): SelfChecks {
	const { config, capture, enrichment, alert, logger, clock } = options;
	const canary = startableCanary({
		config,
		capture,
		shown: options.shown,
		simulated: options.simulated,
		onMissed(inARow, problem) {
			logger.error(`canary: ${problem}`);
			if (inARow !== mostMissed) return;
			alert(
				selfAlert({
					rule: canaryRule,
					severity: "critical",
					summary: `the sensor does not see what it executes itself: ${problem}`,
					description:
						"Programs of its own did not come back through kernel and rules, so that others may go unseen " +
						"as well. Look at `picket status`, restart the sensor, and find out who has changed it.",
					key: "missed",
				}),
			);
		},
		onBack: () => logger.info("canary: it comes back again"),
		clock,
	});
	const tampering = createTampering({
		config,
		capture,
		refusalDamages: options.refusalDamages,
		contentFiles: options.contentFiles,
		contentGeneration: options.contentGeneration,
		cgroupMount: enrichment.cgroupMount ?? "",
		processName(pid) {
			const process = enrichment.tree.get(pid);
			return `${showText(process?.exe || process?.comm || "a process")} (pid ${pid})`;
		},
		alert: (sign) =>
			alert(
				selfAlert({
					rule: tamperRule,
					severity: sign.severity,
					...tamperWords(sign),
					key: sign.key,
				}),
			),
		logger,
	});
	return { canary, tampering };
}
