// The policy file: text in, compiled policy out. Every line of a list keeps the line of the file it stands on,
// so that a violation can name what decided it. Reading the file is the caller's.
import { parseYaml } from "../config/yaml.ts";
import { coveredTactics, coveredTechniques } from "../model/attack.ts";
import type { Problem, Response, Severity } from "../model/verdict.ts";
import { type Glob, nameGlob, pathGlob } from "./glob.ts";
import { type Peer, parsePeer } from "./peer.ts";
import { type PolicyFile, policySchema, ttlSeconds } from "./schema.ts";

/** One line of a list: what was written, where, and what it is matched with. */
export interface Line<T> {
	readonly text: string;
	/** 1-based. */
	readonly line: number;
	readonly match: T;
}

/** Undefined: no such list, so no restriction. An empty allow list allows nothing. */
export type List<T> = readonly Line<T>[] | undefined;

export interface Executable {
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
	readonly line: number;
	readonly where: "host" | "containers";
	readonly selector: Selector;
	readonly user: Who | undefined;
	readonly severity: Severity;
	readonly processes: { readonly allow: List<Executable>; readonly deny: List<Executable> };
	readonly reads: { readonly allow: List<Glob>; readonly deny: List<Glob> };
	readonly writes: { readonly allow: List<Glob>; readonly deny: List<Glob> };
	readonly peers: { readonly allow: List<Peer>; readonly deny: List<Peer> };
	readonly users: { readonly allow: List<Who>; readonly deny: List<Who> };
}

export interface ResponseRule {
	readonly line: number;
	readonly rule: Glob | undefined;
	readonly severity: Severity | undefined;
	/** Under today's names, whatever version of ATT&CK the file was written for. */
	readonly techniques: readonly string[] | undefined;
	readonly tactics: readonly string[] | undefined;
	readonly tag: string | undefined;
	readonly scope: "container" | "host" | undefined;
	readonly responses: readonly Response[];
}

export interface Policy {
	readonly file: string;
	/** Undefined: the configuration's. */
	readonly mode: "observe" | "enforce" | undefined;
	readonly scopes: readonly Scope[];
	readonly responses: readonly ResponseRule[];
	readonly console: { readonly may: readonly string[] };
}

/** `policy` is undefined when a problem is an error; the last good one then stays in force. */
export function loadPolicy(text: string, file: string): { policy: Policy | undefined; problems: Problem[] } {
	const { value, problems, lineOf } = parseYaml(policySchema, text, file);
	if (value === undefined) return { policy: undefined, problems };
	const scopes = value.scopes.map((scope, index) => compileScope(scope, index, lineOf));
	problems.push(...duplicates(scopes, file));
	const responses = value.responses.map((response, index) => ({
		line: lineOf(["responses", index]),
		rule: response.when.rule === undefined ? undefined : nameGlob(response.when.rule),
		severity: response.when.severity,
		techniques:
			response.when.technique === undefined ? undefined : coveredTechniques(response.when.technique),
		tactics: response.when.tactic === undefined ? undefined : coveredTactics(response.when.tactic),
		tag: response.when.tag,
		scope: response.when.scope,
		responses: compileResponses(response.do),
	}));
	return { policy: { file, mode: value.mode, scopes, responses, console: value.console }, problems };
}

/** What is in force without any file: nothing is forbidden, everything found is told. */
export function defaultPolicy(): Policy {
	const { console } = policySchema.parse({});
	return { file: "", mode: undefined, scopes: [], responses: [], console };
}

/** A policy may hold back what the configuration permits, never the other way round. */
export function effectiveMode(config: "observe" | "enforce", policy: Policy): "observe" | "enforce" {
	return policy.mode === "observe" ? "observe" : config;
}

/** Why a console may not have that done here; undefined when it may, and for everybody who is no console. */
export function consoleRefusal(policy: Policy, requester: string, act: string): string | undefined {
	if (!requester.startsWith("console:") || policy.console.may.includes(act)) return undefined;
	const granted = policy.console.may.join(", ") || "nothing";
	return `${policy.file} does not let a console ask for ${act}, only for ${granted}`;
}

type ScopeFile = PolicyFile["scopes"][number];
type LineOf = (path: readonly (string | number)[]) => number;

function compileScope(scope: ScopeFile, index: number, lineOf: LineOf): Scope {
	const base = ["scopes", index] as const;
	function lines<T>(
		section: string,
		key: string,
		values: readonly (string | number)[] | undefined,
		to: (text: string) => T,
	): List<T> {
		return values?.map((value, at) => {
			const text = String(value);
			return { text, line: lineOf([...base, section, key, at]), match: to(text) };
		});
	}
	const { processes, files, peers, users } = scope;
	return {
		name: scope.name ?? String(index + 1),
		line: lineOf(base),
		where: scope.scope === "host" ? "host" : "containers",
		selector: compileSelector(scope.scope),
		user: scope.user === undefined ? undefined : whoOf(scope.user),
		severity: scope.severity,
		processes: {
			allow: lines("processes", "allow", processes?.allow, executableOf),
			deny: lines("processes", "deny", processes?.deny, executableOf),
		},
		reads: {
			allow: lines("files", "allow_read", files?.allow_read, pathGlob),
			deny: lines("files", "deny_read", files?.deny_read, pathGlob),
		},
		writes: {
			allow: lines("files", "allow_write", files?.allow_write, pathGlob),
			deny: lines("files", "deny_write", files?.deny_write, pathGlob),
		},
		peers: {
			allow: lines("peers", "allow", peers?.allow, peerOf),
			deny: lines("peers", "deny", peers?.deny, peerOf),
		},
		users: {
			allow: lines("users", "allow", users?.allow, whoOf),
			deny: lines("users", "deny", users?.deny, whoOf),
		},
	};
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

function executableOf(text: string): Executable {
	const byName = !text.includes("/");
	return { glob: byName ? nameGlob(text) : pathGlob(text), byName };
}

function whoOf(text: string): Who {
	const uid = text === "root" ? 0 : /^\d+$/.test(text) ? Number(text) : undefined;
	return { name: text, uid };
}

function peerOf(text: string): Peer {
	const peer = parsePeer(text);
	if (peer === undefined) throw new Error(`${text} passed the schema and is no peer`);
	return peer;
}

/** An alert is always sent: an act that nobody is told of would be a riddle. */
function compileResponses(given: PolicyFile["responses"][number]["do"]): Response[] {
	const acts = given.flatMap((one): Response[] => {
		if (one === "alert") return [];
		if (one === "block") return [{ act: "block", ttlSeconds: 0, direction: "both" }];
		if (one === "pause") return [{ act: "pause", ttlSeconds: 0 }];
		if (typeof one === "string") return [{ act: one }];
		const ttl = one.block.ttl === undefined ? 0 : (ttlSeconds(one.block.ttl) ?? 0);
		return [{ act: "block", ttlSeconds: ttl, direction: "both" }];
	});
	return [{ act: "alert" }, ...acts];
}

function duplicates(scopes: readonly Scope[], file: string): Problem[] {
	const seen = new Set<string>();
	return scopes.flatMap((scope) => {
		const again = seen.has(scope.name);
		seen.add(scope.name);
		if (!again) return [];
		const message = `two scopes are named "${scope.name}": their alerts cannot be told apart`;
		return [
			{
				file,
				line: scope.line,
				column: 1,
				where: "scopes",
				message,
				remedy: "rename one",
				level: "warning" as const,
			},
		];
	});
}
