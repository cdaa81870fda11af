// What is not wrong in a policy and yet does nothing: lines that others cover, and rules that can never apply.

import { contains } from "../model/address.ts";
import type { Problem, Response } from "../model/verdict.ts";
import { type Glob, matchesName, matchesText } from "./glob.ts";
import type { Peer } from "./peer.ts";
import type { Executable, Line, List, Lists, Place, Policy, ResponseRule, Scope } from "./policy.ts";
import { listedSections, restricts } from "./policy.ts";
import { judgesContainer } from "./select.ts";

export function adviceOf(policy: Policy): Problem[] {
	return [...policy.scopes.flatMap(ofScope), ...ofResponses(policy)];
}

function warning(place: Place, where: string, message: string, remedy: string): Problem {
	return { ...place, where, message, remedy, level: "warning" };
}

function ofScope(scope: Scope): Problem[] {
	const { place, name } = scope;
	const anything =
		listedSections.some((section) => restricts(scope[section])) ||
		[scope.notFromImage, scope.privileged, scope.hostNamespaces].some((flag) => flag !== undefined);
	const empty = anything
		? []
		: [warning(place, "scopes", `the scope "${name}" says nothing`, "give it a list, or take it out")];
	const wrongPlace =
		scope.where === "host" && (judgesContainer(scope) || scope.notFromImage !== undefined)
			? [
					warning(
						place,
						"scopes",
						`images, mounts, container and not_from_image in "${name}" can never apply: its scope is the host`,
						"give it a scope of containers",
					),
				]
			: [];
	return [
		...empty,
		...wrongPlace,
		...shadowed(scope.processes, coversProgram),
		...shadowed(scope.reads, coversGlob),
		...shadowed(scope.writes, coversGlob),
		...shadowed(scope.mounts, coversGlob),
		...shadowed(scope.images, coversGlob),
		...shadowed(scope.peers, coversPeer),
		...shadowed(scope.incoming, coversPeer),
		...shadowed(scope.listening, coversPeer),
		...shadowed(scope.users, (line, by) => line.name === by.name),
		...shadowed(scope.capabilities, (line, by) => line === by),
	];
}

/** Lines that an earlier line of the same list covers, or a list that is asked before. */
function shadowed<T>({ deny, alert, allow }: Lists<T>, covers: (line: T, by: T) => boolean): Problem[] {
	const before: Line<T>[] = [];
	return [deny, alert, allow].flatMap((list: List<T>) =>
		(list ?? []).flatMap((line) => {
			const by = before.find(({ match }) => covers(line.match, match));
			before.push(line);
			if (by === undefined) return [];
			const message = `${line.text} never counts: ${by.text} in ${by.list} at line ${by.place.line} covers it`;
			return [warning(line.place, line.list, message, "take one of them out")];
		}),
	);
}

function coversProgram(line: Executable, by: Executable): boolean {
	if (by.text === line.text) return true;
	if (!line.glob.exact || line.byName !== by.byName) {
		const name = line.glob.literal;
		return line.glob.exact && by.byName && matchesText(by.glob, name, name.lastIndexOf("/") + 1);
	}
	return matchesText(by.glob, line.glob.literal);
}

function coversGlob(line: Glob, by: Glob): boolean {
	return by.text === line.text || (line.exact && matchesText(by, line.literal));
}

function coversPeer(line: Peer, by: Peer): boolean {
	if (line.lowPort < by.lowPort || line.highPort > by.highPort) return false;
	return by.network === undefined || (line.network !== undefined && contains(by.network, line.network));
}

function ofResponses({ responses, scopes }: Policy): Problem[] {
	let decided: ResponseRule | undefined;
	return responses.flatMap((rule) => {
		const { place } = rule;
		const found: Problem[] = [];
		const say = (message: string, remedy: string) => found.push(warning(place, "responses", message, remedy));
		if (decided !== undefined)
			say(
				`never asked: line ${decided.place.line} fits everything`,
				"move it up, or give that one a condition",
			);
		if (decided === undefined && fitsEverything(rule)) decided = rule;
		for (const glob of rule.rules ?? [])
			if (glob.text.startsWith("policy/") && !scopes.some((scope) => couldName(glob, scope)))
				say(`${glob.text} names no scope of this policy`, "write policy/<scope>/<list>, or policy/*");
		const onlyHost = rule.scopes?.every((scope) => scope === "host") ?? false;
		const ofContainer = rule.responses.find(actsOnContainer);
		if (onlyHost && ofContainer)
			say(`${ofContainer.act} never applies outside containers`, "take it out, or scope: container");
		if (onlyHost && rule.counted?.by === "container")
			say("by: container counts nothing outside containers", "write by: host");
		return found;
	});
}

function fitsEverything(rule: ResponseRule): boolean {
	const { rules, severities, techniques, tactics, tags, scopes, counted, mode } = rule;
	const conditions = [rules, severities, techniques, tactics, tags, scopes, counted];
	return mode !== "off" && conditions.every((condition) => condition === undefined);
}

/** Could the glob match a violation of that scope? Its own wildcards stand for any list. */
function couldName(glob: Glob, { name }: Scope): boolean {
	const [, wanted = ""] = glob.text.split("/");
	return (
		wanted.includes("*") ||
		glob.text === `policy/${name}` ||
		matchesName(glob, `policy/${name}/`) ||
		glob.text.startsWith(`policy/${name}/`)
	);
}

function actsOnContainer({ act }: Response): boolean {
	return ["pause", "disconnect", "refuseEgress", "stop", "restart", "remove"].includes(act);
}
