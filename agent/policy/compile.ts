// From the keys of a policy file to what the engine works with. A template's entry "$name" is replaced by what the
// including file gives for it, and keeps that file's place.

import { coveredTactics, coveredTechniques } from "../model/attack.ts";
import { capabilityBit } from "../model/capabilities.ts";
import type { Act, Response } from "../model/verdict.ts";
import { nameGlob, pathGlob } from "./glob.ts";
import { type Peer, parsePeer } from "./peer.ts";
import {
	type CountCondition,
	type Executable,
	type Line,
	type ListName,
	type Lists,
	mostCautious,
	type Place,
	type PolicyMode,
	type ResponseRule,
	type Ruling,
	type Scope,
	type Selector,
	type Tier,
	type Who,
} from "./policy.ts";
import { isParameter, type Judgements, type ResponseFile, type ScopeFile } from "./schema.ts";
import { ttlSeconds } from "./ttl.ts";

type Path = readonly (string | number)[];

/** What a scope is compiled in. */
export interface Source {
	placeOf(path: Path): Place;
	/** Holds back what the scope says. */
	readonly mode: PolicyMode | undefined;
	/** What is given for "$name"; undefined when there is no such parameter. */
	parameter(name: string): readonly { readonly text: string; readonly place: Place }[] | undefined;
	problem(place: Place, where: string, message: string, remedy: string): void;
}

interface Entry {
	readonly text: string;
	readonly place: Place;
}

export interface ScopeHead {
	readonly name: string;
	readonly place: Place;
	readonly scope: ScopeFile["scope"];
}

/** `base`: where the judgements lie in their file. */
export function compileScope(head: ScopeHead, given: Judgements, base: Path, source: Source): Scope {
	const { placeOf } = source;

	function entries(path: Path, values: readonly (string | number)[]): Entry[] {
		return values.flatMap((value, at) => {
			const text = String(value);
			const place = placeOf([...path, at]);
			if (!isParameter(text)) return [{ text, place }];
			const found = source.parameter(text.slice(1));
			if (found) return found;
			source.problem(place, path.join("."), `${text} is no parameter`, "write the entry itself");
			return [];
		});
	}

	function lists<T>(
		section: keyof Judgements,
		to: (text: string) => T | undefined,
		keyOf: (tier: Tier) => string = (tier) => tier,
	): Lists<T> {
		const values = given[section] as
			| Readonly<Record<string, readonly (string | number)[] | undefined>>
			| undefined;
		const list = (tier: Tier): Line<T>[] | undefined => {
			const key = keyOf(tier);
			const name = `${section}.${key}` as ListName;
			const path = [...base, section, key];
			const written = values?.[key];
			if (written === undefined) return undefined;
			return entries(path, written).flatMap(({ text, place }) => {
				const match = to(text);
				if (match !== undefined) return [{ list: name, tier, text, place, match }];
				source.problem(place, name, `"${text}" does not fit into ${name}`, "see `picket policy schema`");
				return [];
			});
		};
		const allow = list("allow");
		const key = keyOf("allow");
		const leftOut: Ruling | undefined = allow && {
			list: `${section}.${key}` as ListName,
			tier: "allow",
			text: allow.map(({ text }) => text).join(", ") || "nothing",
			place: allow[0]?.place ?? placeOf([...base, section, key]),
		};
		return { deny: list("deny"), alert: list("alert"), allow, leftOut };
	}

	function flag(section: "processes" | "container", key: string): Ruling | undefined {
		const tier = (given[section] as Readonly<Record<string, unknown>> | undefined)?.[key];
		if (tier !== "deny" && tier !== "alert") return undefined;
		const place = placeOf([...base, section, key]);
		return { list: `${section}.${key}` as ListName, tier, text: `${key}: ${tier}`, place };
	}

	return {
		name: head.name,
		place: head.place,
		where: head.scope === "host" ? "host" : "containers",
		selector: compileSelector(head.scope),
		onlyUsers: many(given.user)?.map(whoOf),
		onlyPrograms: many(given.program)?.map(executableOf),
		severity: given.severity,
		mode: mostCautious(source.mode, given.mode),
		processes: lists("processes", executableOf),
		notFromImage: flag("processes", "not_from_image"),
		reads: lists("files", pathGlob, (tier) => `${tier}_read`),
		writes: lists("files", pathGlob, (tier) => `${tier}_write`),
		peers: lists<Peer>("peers", parsePeer),
		incoming: lists<Peer>("incoming", parsePeer),
		listening: lists<Peer>("listening", parsePeer),
		users: lists("users", whoOf),
		capabilities: lists("capabilities", (text) => {
			const bit = capabilityBit(text);
			return bit < 0 ? undefined : bit;
		}),
		images: lists("images", nameGlob),
		// "/" is the whole host here, not all that is below it.
		mounts: lists("mounts", (text) => (text === "/" ? nameGlob(text) : pathGlob(text))),
		privileged: flag("container", "privileged"),
		hostNamespaces: flag("container", "host_namespaces"),
	};
}

function many<T>(given: T | readonly T[] | undefined): readonly T[] | undefined {
	if (given === undefined) return undefined;
	return Array.isArray(given) ? given : [given as T];
}

function compileSelector(given: ScopeFile["scope"]): Selector {
	if (typeof given === "string") return { image: undefined, name: undefined, labels: [] };
	const glob = (text: string | undefined) => (text === undefined ? undefined : nameGlob(text));
	// Compose tells its project and service in labels of the container.
	const compose = { project: given.compose_project, service: given.compose_service };
	const labels = [
		...Object.entries(given.labels ?? {}),
		...Object.entries(compose).flatMap(([key, value]) =>
			value === undefined ? [] : [[`com.docker.compose.${key}`, value] as const],
		),
	];
	return {
		image: glob(given.image),
		name: glob(given.name),
		labels: labels.map(([key, value]) => ({ key, value: nameGlob(value) })),
	};
}

export function executableOf(text: string): Executable {
	const byName = !text.includes("/");
	return { text, glob: byName ? nameGlob(text) : pathGlob(text), byName };
}

function whoOf(text: string): Who {
	const uid = text === "root" ? 0 : /^\d+$/.test(text) ? Number(text) : undefined;
	return { name: text, uid };
}

/** `fileMode` holds back what the entry says. */
export function compileResponse(
	{ when, do: acts, mode }: ResponseFile,
	place: Place,
	fileMode: PolicyMode | undefined,
): ResponseRule {
	const effective = mostCautious(fileMode, mode);
	const responses = compileActs(acts);
	return {
		place,
		mode: effective,
		rules: many(when.rule)?.map(nameGlob),
		severities: many(when.severity),
		techniques: many(when.technique)?.flatMap(coveredTechniques),
		tactics: many(when.tactic)?.flatMap(coveredTactics),
		tags: many(when.tag),
		scopes: many(when.scope),
		counted: compileCount(when, responses),
		responses: effective === "observe" ? responses.map(held) : responses,
	};
}

const defaultWithinSeconds = 600;

function compileCount(
	{ count, within, by }: ResponseFile["when"],
	responses: readonly Response[],
): CountCondition | undefined {
	if (count === undefined) return undefined;
	const withinSeconds = within === undefined ? defaultWithinSeconds : (ttlSeconds(within) ?? 0);
	return { count, withinSeconds, by: by ?? targetOf(responses) };
}

/** What the first act is done to. */
function targetOf(responses: readonly Response[]): CountCondition["by"] {
	const act = responses.find((one) => one.act !== "alert")?.act;
	if (act === undefined || act === "kill" || act === "killTree") return "host";
	return act === "block" ? "source" : "container";
}

/** The same, only told. */
export function held(response: Response): Response {
	return response.act === "alert" ? response : { ...response, mode: "observe" };
}

/** An alert is always sent: an act that nobody is told of would be a riddle. */
function compileActs(given: ResponseFile["do"]): Response[] {
	return [{ act: "alert" }, ...given.flatMap((one) => actOf(one) ?? [])];
}

function actOf(one: ResponseFile["do"][number]): Act | undefined {
	const [name, options] = typeof one === "string" ? [one, {}] : (Object.entries(one)[0] ?? ["alert", {}]);
	const { ttl, direction = "both" } = options as { ttl?: string | number; direction?: "in" | "out" | "both" };
	const seconds = ttl === undefined ? 0 : (ttlSeconds(ttl) ?? 0);
	switch (name) {
		case "block":
			return { act: "block", ttlSeconds: seconds, direction };
		case "pause":
		case "disconnect":
			return { act: name, ttlSeconds: seconds };
		case "refuse_egress":
			return { act: "refuseEgress", ttlSeconds: seconds };
		case "refuse_exec":
			return { act: "refuseExec", ttlSeconds: seconds };
		case "stop":
		case "restart":
		case "remove":
		case "kill":
			return { act: name };
		case "kill_tree":
			return { act: "killTree" };
		default:
			return undefined;
	}
}
