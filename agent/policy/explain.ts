// The policy in sentences, each with the line it stands on: for people who want to know what is in force.
import { responseText } from "../model/verdict.ts";
import type {
	ConsoleGrant,
	ConsoleGrants,
	List,
	Lists,
	Place,
	Policy,
	ResponseRule,
	Ruling,
	Scope,
} from "./policy.ts";

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
	return [
		...mode,
		...policy.scopes.flatMap(explainScope),
		...policy.responses.map(explainResponse),
		...explainConsoles(policy.console),
	];
}

function explainConsoles(console: ConsoleGrants): Sentence[] {
	const sentence = (who: string, { may, ttlSeconds }: ConsoleGrant): Sentence => {
		const lasting = may.some((grant) => grant === "block" || grant === "pause");
		const most = lasting ? ` What it blocks or pauses lasts at most ${ttlSeconds} s.` : "";
		const list = may.length === 0 ? "nothing" : `${may.join(", ")}, and for nothing else`;
		return { place: undefined, text: `${who} may ask for ${list}.${most}` };
	};
	return [
		sentence(console.names.size === 0 ? "A console" : "Any other console", console),
		...[...console.names].map(([name, grant]) => sentence(`Console ${name}`, grant)),
	];
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
		...explainLists(scope.processes, "be executed"),
		...explainFlag(scope.notFromImage, "what is not from its image be executed"),
		...explainLists(scope.reads, "be read"),
		...explainLists(scope.writes, "be written"),
		...explainLists(scope.peers, "be connected to"),
		...explainLists(scope.incoming, "come in"),
		...explainLists(scope.listening, "be listened on"),
		...explainLists(scope.users, "execute anything"),
		...explainLists(scope.capabilities, "be held by what is executed"),
		...explainLists(scope.images, "be run as a container"),
		...explainLists(scope.mounts, "be mounted into a container"),
		...explainFlag(scope.privileged, "a container be privileged"),
		...explainFlag(scope.hostNamespaces, "a container share namespaces with the host"),
	];
}

function explainLists({ deny, alert, leftOut }: Lists<unknown>, verb: string): Sentence[] {
	return [
		...byPlace(deny).map(({ place, text }) => ({ place, text: `${text} may never ${verb}.` })),
		...byPlace(alert).map(({ place, text }) => ({ place, text: `${text} may ${verb}, which is told.` })),
		...(leftOut ? [{ place: leftOut.place, text: `Only ${leftOut.text} may ${verb}.` }] : []),
	];
}

/** What stands on one line is one sentence. */
function byPlace(list: List<unknown>): Sentence[] {
	const lines = Map.groupBy(list ?? [], ({ place }) => placeText(place));
	return [...lines.values()].map((those) => ({
		place: those[0]?.place,
		text: those.map(({ text }) => text).join(", "),
	}));
}

/** "policy.yaml:7". */
export const placeText = ({ file, line }: Place): string => `${file}:${line}`;

function explainFlag(ruling: Ruling | undefined, what: string): Sentence[] {
	if (ruling === undefined) return [];
	const text = ruling.tier === "deny" ? `Never may ${what}.` : `When ${what}, it is told.`;
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
