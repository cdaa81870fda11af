// The last words of `picket run` and `picket start`: what it saw, and what it leaves behind.
import type * as wire from "../model/picket.v1.ts";

export function farewell(
	status: wire.Status,
	{ undone, kept }: { undone: readonly wire.Action[]; kept: number },
	withCounts: boolean,
): string {
	const sum = (key: "delivered" | "lost") =>
		(status.counters ?? []).reduce((total, counter) => total + Number(counter[key] ?? 0), 0);
	const failed = undone.filter(
		(action) => action.outcome !== "OUTCOME_VERIFIED" && action.outcome !== "OUTCOME_UNCHANGED",
	);
	const left =
		kept > 0 && failed.length === 0
			? `${kept} responses stay in force until their time; \`picket release --all\` undoes them`
			: failed.length > 0
				? `could not undo: ${failed.map((action) => action.target).join(", ")}; run \`picket release --all\``
				: `nothing left attached or blocked${undone.length > 0 ? ` (${undone.length} undone)` : ""}`;
	const counts = withCounts
		? `${sum("delivered")} events seen, ${sum("lost")} lost, ${status.alerts ?? 0} alerts; `
		: "";
	return `picket: stopped; ${counts}${left}\n`;
}
