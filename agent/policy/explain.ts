// The policy in sentences, each with the line it stands on: for people who want to know what is in force.
import type { List, Policy, ResponseRule, Scope } from "./load.ts";

export interface Sentence {
	readonly line: number;
	readonly text: string;
}

export function explainPolicy(policy: Policy): Sentence[] {
	const mode =
		policy.mode === "observe" ? [{ line: 0, text: "Nothing is acted on: this policy only observes." }] : [];
	return [...mode, ...policy.scopes.flatMap(explainScope), ...policy.responses.map(explainResponse)];
}

function explainScope(scope: Scope): Sentence[] {
	const { selector } = scope;
	const parts = [
		selector.image && `image ${selector.image.text}`,
		selector.name && `name ${selector.name.text}`,
		...selector.labels.map(({ key, value }) => `label ${key}=${value.text}`),
	].filter((part) => part !== undefined);
	const containers = parts.length === 0 ? "all containers" : `containers with ${parts.join(" and ")}`;
	const user = scope.user === undefined ? "" : `, user ${scope.user.name}`;
	const head = `Scope "${scope.name}": ${scope.where === "host" ? "the host outside containers" : containers}${user}.`;
	const { processes, reads, writes, peers, users } = scope;
	return [
		{ line: scope.line, text: head },
		...explainLists(processes, "may be executed", scope.line),
		...explainLists(reads, "may be read", scope.line),
		...explainLists(writes, "may be written", scope.line),
		...explainLists(peers, "may be connected to", scope.line),
		...explainLists(users, "may execute anything", scope.line),
	];
}

function explainLists(
	lists: { allow: List<unknown>; deny: List<unknown> },
	may: string,
	scopeLine: number,
): Sentence[] {
	const denied = (lists.deny ?? []).map(({ text, line }) => ({ line, text: `${text} never ${may}.` }));
	if (lists.allow === undefined) return denied;
	const names = lists.allow.map(({ text }) => text).join(", ") || "nothing";
	return [...denied, { line: lists.allow[0]?.line ?? scopeLine, text: `Only ${names} ${may}.` }];
}

function explainResponse(rule: ResponseRule): Sentence {
	const conditions = [
		rule.rule && `rule ${rule.rule.text}`,
		rule.severity && `severity ${rule.severity} or above`,
		rule.techniques && `technique ${rule.techniques.join(" or ")}`,
		rule.tactics && `tactic ${rule.tactics.join(" or ")}`,
		rule.tag && `tag ${rule.tag}`,
		rule.scope && (rule.scope === "container" ? "in a container" : "outside containers"),
	].filter((part) => part !== undefined);
	const acts = rule.responses.map((one) =>
		one.act === "block" && one.ttlSeconds > 0 ? `block for ${one.ttlSeconds} s` : one.act,
	);
	return { line: rule.line, text: `On ${conditions.join(", ") || "anything else"}: ${acts.join(", ")}.` };
}
