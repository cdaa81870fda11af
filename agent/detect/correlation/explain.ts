// What `rules explain` says of a correlation, and of a rule that feeds one.
import type { LoadedRule } from "../load.ts";

/** `rules`: all that are loaded. */
export function correlationLines(rule: LoadedRule, rules: readonly LoadedRule[]): string[] {
	const above = rules.filter(({ correlation }) => correlation?.feeds.some((feed) => feed.rule === rule));
	return [
		...(rule.correlation?.feeds ?? []).map(
			({ rule: { name, condition } }) => `made of     ${name}: ${condition}`,
		),
		...(above.length > 0 ? [`feeds       ${above.map(({ name }) => name).join(", ")}`] : []),
		...(rule.silent ? ["alerts      none of its own: it is there for what it feeds"] : []),
	];
}
