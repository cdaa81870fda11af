// Alerts about the sensor itself.
import { randomUUID } from "node:crypto";
import type * as wire from "./model/picket.v1.ts";
import type { Severity } from "./model/verdict.ts";

export interface SelfAlert {
	/** "picket/tamper", "picket/canary". */
	readonly rule: string;
	readonly severity: Severity;
	/** What was seen. */
	readonly summary: string;
	/** What it means, and what to do. */
	readonly description: string;
	/** The same for the same story. */
	readonly key: string;
}

/** Falco's words for severities. */
export const priorities: Readonly<Record<Severity, string>> = {
	critical: "Critical",
	high: "Error",
	medium: "Warning",
	low: "Notice",
	informational: "Informational",
};

/** ATT&CK's "disable or modify tools": T1685 in its present edition, T1562.001 before. */
export function selfAlert({ rule, severity, summary, description, key }: SelfAlert): wire.Alert {
	return {
		id: randomUUID(),
		rule,
		origin: "ORIGIN_PICKET",
		severity: `SEVERITY_${severity.toUpperCase()}` as NonNullable<wire.Alert["severity"]>,
		priority: priorities[severity],
		summary,
		description,
		tactics: ["defense-impairment"],
		techniques: ["T1685"],
		tags: ["sensor", "T1562", "T1562.001"],
		dedupKey: `${rule} ${key}`,
		count: 1,
	};
}
