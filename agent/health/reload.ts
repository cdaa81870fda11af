// What a reload has done, as text for `picket rules reload`.
import type * as wire from "../model/picket.v1.ts";
import { printable } from "../report/terminal-text.ts";
import { counted } from "../report/terminal-units.ts";

/** Several lines of plain text without an end of line at its end. */
export function renderReload(reload: wire.Reload): string {
	const { came = [], went = [], changed = [], kept = [], problems = [] } = reload;
	const lines = [verdict(reload)];
	for (const [word, names] of [
		["came", came],
		["went", went],
		["changed", changed],
	] as const) {
		if (names.length > 0) lines.push(`  ${word}: ${names.join(", ")}`);
	}
	for (const problem of problems) lines.push(`  ! ${problem}`);
	for (const file of kept) lines.push(`  the last good version of ${file} stays in force`);
	return lines.map(printable).join("\n");
}

function verdict(reload: wire.Reload): string {
	const { outcome, message, seconds, came = [], went = [], changed = [], problems = [] } = reload;
	if (outcome === "OUTCOME_UNCHANGED")
		return `Nothing has changed: what is on disk is in force${problems.length > 0 ? ", but for this:" : "."}`;
	if (outcome === "OUTCOME_REFUSED") return `Refused: ${message ?? ""}; what was in force stays in force.`;
	const rules = came.length + went.length + changed.length;
	return `In force after ${(seconds ?? 0).toFixed(1)} s: ${counted(rules, "rule")} came, went or changed.`;
}
