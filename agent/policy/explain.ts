// The policy in sentences, each with the line it stands on: for people who want to know what is in force.
import { responseText } from "../model/verdict.ts";
import type { Lists, Place, Policy, ResponseRule, Ruling, Scope } from "./policy.ts";

export interface Sentence {
	/** Undefined: of the policy as a whole. */
	readonly place: Place | undefined;
	readonly text: string;
}

export function explainPolicy(policy: Policy): Sentence[] {
	const words = {
		off: "This policy is off: nothing is judged by it.",
		observe: "Nothing is acted on: this policy only observes.",
	};
	const mode =
		policy.mode === undefined || policy.mode === "enforce"
			? []
			: [{ place: undefined, text: words[policy.mode] }];
	return [...mode, ...policy.scopes.flatMap(explainScope), ...policy.responses.map(explainResponse)];
}

/** "the host outside containers, user www-data". */
export function scopeWords({ where, selector, onlyUsers, onlyPrograms }: Scope): string {
	const parts = [
		selector.image && `image ${selector.image.text}`,
		selector.name && `name ${selector.name.text}`,
		...selector.labels.map(({ key, value }) => `label ${key}=${value.text}`),
	].filter((part) => part !== undefined);
	const containers = parts.length === 0 ? "all containers" : `containers with ${parts.join(" and ")}`;
	const user = onlyUsers && `user ${onlyUsers.map(({ name }) => name).join(" or ")}`;
	const program = onlyPrograms && `program ${onlyPrograms.map(({ text }) => text).join(" or ")}`;
	const place = where === "host" ? "the host outside containers" : containers;
	return [place, user, program].filter((part) => part !== undefined).join(", ");
}

function explainScope(scope: Scope): Sentence[] {
	const mode = { off: " Off: not judged.", observe: " Only observed.", enforce: "" }[scope.mode];
	return [
		{ place: scope.place, text: `Scope "${scope.name}": ${scopeWords(scope)}.${mode}` },
		...explainLists(scope.processes, "may be executed"),
		...explainFlag(scope.notFromImage, "what is not from the image may be executed"),
		...explainLists(scope.reads, "may be read"),
		...explainLists(scope.writes, "may be written"),
		...explainLists(scope.peers, "may be connected to"),
		...explainLists(scope.incoming, "may be connected from, or on a port of here"),
		...explainLists(scope.listening, "may be waited on for others"),
		...explainLists(scope.users, "may execute anything"),
		...explainLists(scope.capabilities, "may a program be executed with"),
		...explainLists(scope.images, "may be a container's image"),
		...explainLists(scope.mounts, "may be mounted from the host"),
		...explainFlag(scope.privileged, "a container may be privileged"),
		...explainFlag(scope.hostNamespaces, "a container may share the host's namespaces"),
	];
}

function explainLists({ deny, alert, leftOut }: Lists<unknown>, may: string): Sentence[] {
	return [
		...(deny ?? []).map(({ text, place }) => ({ place, text: `${text} never ${may}.` })),
		...(alert ?? []).map(({ text, place }) => ({ place, text: `${text} ${may}, and is told.` })),
		...(leftOut ? [{ place: leftOut.place, text: `Only ${leftOut.text} ${may}.` }] : []),
	];
}

function explainFlag(ruling: Ruling | undefined, may: string): Sentence[] {
	if (ruling === undefined) return [];
	const text = ruling.tier === "deny" ? `Never: ${may}.` : `Told: ${may}.`;
	return [{ place: ruling.place, text }];
}

function explainResponse(rule: ResponseRule): Sentence {
	const { rules, severities, techniques, tactics, tags, scopes, counted, mode } = rule;
	const any = (words: readonly string[] | undefined) => words?.join(" or ");
	const places = { container: "in a container", host: "outside containers" };
	const conditions = [
		rules && `rule ${any(rules.map(({ text }) => text))}`,
		severities && `severity ${any(severities)}${severities.length === 1 ? " or above" : ""}`,
		techniques && `technique ${any(techniques)}`,
		tactics && `tactic ${any(tactics)}`,
		tags && `tag ${any(tags)}`,
		scopes && any(scopes.map((scope) => places[scope])),
		counted && `${counted.count} in ${counted.withinSeconds} s by ${counted.by}`,
	].filter((part) => part !== undefined);
	const acts = rule.responses.map(responseText).join(", ");
	const held = { off: " (off)", observe: " (only told what would be done)", enforce: "" }[mode];
	return { place: rule.place, text: `On ${conditions.join(", ") || "anything else"}: ${acts}${held}.` };
}
