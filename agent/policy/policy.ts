// A policy as it is in force: scopes with their lists, and what is done about alerts. Every line keeps its place, so that
// a violation can name what decided it.
import type { Grant } from "../model/grants.ts";
import type { Response, Severity } from "../model/verdict.ts";
import type { Glob } from "./glob.ts";
import type { Peer } from "./peer.ts";

export interface Place {
	readonly file: string;
	/** 1-based. */
	readonly line: number;
	readonly column: number;
}

/** deny: forbidden. alert: permitted and told. allow: permitted; where there is such a list, only what it holds. */
export type Tier = "deny" | "alert" | "allow";

/** Most cautious first. */
export const policyModes = ["off", "observe", "enforce"] as const;
export type PolicyMode = (typeof policyModes)[number];

/** The most cautious of them; undefined ones hold nothing back. */
export function mostCautious(...modes: readonly (PolicyMode | undefined)[]): PolicyMode {
	return policyModes.find((mode) => modes.includes(mode)) ?? "enforce";
}

type Listed =
	| "processes"
	| "peers"
	| "incoming"
	| "listening"
	| "users"
	| "capabilities"
	| "images"
	| "mounts";
export type ListName =
	| `${Listed}.${Tier}`
	| `files.${Tier}_${"read" | "write"}`
	| "processes.not_from_image"
	| "container.privileged"
	| "container.host_namespaces";

/** What decided about an act. */
export interface Ruling {
	readonly list: ListName;
	/** "allow": it is missing from that list. */
	readonly tier: Tier;
	/** As written; of an allow list, all of it. */
	readonly text: string;
	readonly place: Place;
}

export interface Line<T> extends Ruling {
	readonly match: T;
}

/** Undefined: no such list, so no restriction. An empty allow list allows nothing. */
export type List<T> = readonly Line<T>[] | undefined;

export interface Lists<T> {
	readonly deny: List<T>;
	readonly alert: List<T>;
	readonly allow: List<T>;
	/** What decides about an act that is in none of them; there when there is an allow list. */
	readonly leftOut: Ruling | undefined;
}

export interface Executable {
	readonly text: string;
	readonly glob: Glob;
	/** Matched with the name (comm) when the glob holds no "/". */
	readonly byName: boolean;
}

export interface Who {
	readonly name: string;
	/** Undefined when it is only known by name. */
	readonly uid: number | undefined;
}

export interface Selector {
	readonly image: Glob | undefined;
	readonly name: Glob | undefined;
	readonly labels: readonly { readonly key: string; readonly value: Glob }[];
}

export interface Scope {
	readonly name: string;
	readonly place: Place;
	readonly where: "host" | "containers";
	readonly selector: Selector;
	/** Undefined: whoever. */
	readonly onlyUsers: readonly Who[] | undefined;
	/** Undefined: whatever program. */
	readonly onlyPrograms: readonly Executable[] | undefined;
	readonly severity: Severity;
	/** With what the policy and includes hold back; without the configuration. */
	readonly mode: PolicyMode;
	readonly processes: Lists<Executable>;
	readonly notFromImage: Ruling | undefined;
	readonly reads: Lists<Glob>;
	readonly writes: Lists<Glob>;
	/** Outgoing. */
	readonly peers: Lists<Peer>;
	/** Address of the other end, port of this one. */
	readonly incoming: Lists<Peer>;
	readonly listening: Lists<Peer>;
	readonly users: Lists<Who>;
	/** Bits. */
	readonly capabilities: Lists<number>;
	readonly images: Lists<Glob>;
	readonly mounts: Lists<Glob>;
	readonly privileged: Ruling | undefined;
	readonly hostNamespaces: Ruling | undefined;
}

export type CountBy = "host" | "container" | "source" | "rule";

export interface CountCondition {
	readonly count: number;
	readonly withinSeconds: number;
	readonly by: CountBy;
}

/** Of each that is given one has to hold. */
export interface ResponseRule {
	readonly place: Place;
	readonly mode: PolicyMode;
	readonly rules: readonly Glob[] | undefined;
	readonly severities: readonly Severity[] | undefined;
	/** Under today's names, whatever version of ATT&CK the file was written for. */
	readonly techniques: readonly string[] | undefined;
	readonly tactics: readonly string[] | undefined;
	readonly tags: readonly string[] | undefined;
	readonly scopes: readonly ("container" | "host")[] | undefined;
	readonly counted: CountCondition | undefined;
	/** Always holds an alert. */
	readonly responses: readonly Response[];
}

export interface Policy {
	readonly file: string;
	/** Undefined: the configuration's. */
	readonly mode: PolicyMode | undefined;
	/** Included ones first. */
	readonly scopes: readonly Scope[];
	/** Included ones last: the first that fits decides. */
	readonly responses: readonly ResponseRule[];
	readonly console: ConsoleGrants;
}

/** What consoles may ask for at most. */
export interface ConsoleGrants extends ConsoleGrant {
	/** Of consoles for which something else holds. */
	readonly names: ReadonlyMap<string, ConsoleGrant>;
}

export interface ConsoleGrant {
	readonly may: readonly Grant[];
	/** Longest time a block or pause of its may last. */
	readonly ttlSeconds: number;
}

/** The sections of a scope that hold three lists each. */
export const listedSections = [
	"processes",
	"reads",
	"writes",
	"peers",
	"incoming",
	"listening",
	"users",
	"capabilities",
	"images",
	"mounts",
] as const;

export function restricts(lists: Lists<unknown>): boolean {
	return lists.allow !== undefined || lists.alert !== undefined || lists.deny !== undefined;
}
