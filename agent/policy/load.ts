// The policy file: text in, compiled policy out, with everything it includes. Reading the file itself is the caller's.
import { dirname, resolve } from "node:path";
import type { z } from "zod";
import { nearest } from "../config/issues.ts";
import { type Parsed, parseYaml } from "../config/yaml.ts";
import type { Mode, Problem } from "../model/verdict.ts";
import { compileResponse, compileScope, type Source } from "./compile.ts";
import { type ReadFile, readTemplate, templateNames } from "./include.ts";
import {
	type ConsoleGrant,
	type ConsoleGrants,
	mostCautious,
	type Place,
	type Policy,
	type PolicyMode,
	type ResponseRule,
	type Scope,
} from "./policy.ts";
import { type IncludeFile, type PolicyFile, policySchema, type ScopeFile, templateSchema } from "./schema.ts";
import { ttlSeconds } from "./ttl.ts";
import { type HostFiles, thisHost, vitalProblems } from "./vital.ts";

export interface LoadOptions {
	/** Reads included files; without it only templates can be included. */
	readonly read?: ReadFile;
	/** Whose vital programs a policy must leave alone; this one's when not given. */
	readonly host?: HostFiles;
}

export interface Loading {
	/** Undefined when a problem is an error; the last good one then stays in force. */
	readonly policy: Policy | undefined;
	readonly problems: readonly Problem[];
	/** Every file that was read for it, with its text, itself first. */
	readonly texts: ReadonlyMap<string, string>;
}

const includedSchema = policySchema.omit({ console: true });
/** Deeper nesting is a mistake; so are more files. */
const maxDepth = 8;
const maxFiles = 64;

export function loadPolicy(text: string, file: string, options: LoadOptions = {}): Loading {
	const loader = new Loader(options.read);
	const value = loader.file(policySchema, { text, file, mode: undefined, chain: [resolve(file)] });
	const { problems, texts, scopes, responses } = loader;
	if (value === undefined) return { policy: undefined, problems, texts };
	problems.push(...duplicates(scopes), ...vitalProblems(scopes, options.host ?? thisHost));
	if (problems.some(({ level }) => level === "error")) return { policy: undefined, problems, texts };
	const console = consoleGrants(value.console);
	return { policy: { file, mode: value.mode, scopes, responses, console }, problems, texts };
}

interface FileToLoad {
	readonly text: string;
	readonly file: string;
	/** Of whoever includes it. */
	readonly mode: PolicyMode | undefined;
	/** Paths of the files that led here, its own last. */
	readonly chain: readonly string[];
}

/** Why something is not included. */
class Refused extends Error {
	readonly remedy: string;
	constructor(message: string, remedy: string) {
		super(message);
		this.remedy = remedy;
	}
}

class Loader {
	readonly problems: Problem[] = [];
	readonly texts = new Map<string, string>();
	readonly scopes: Scope[] = [];
	readonly responses: ResponseRule[] = [];
	readonly #read: ReadFile | undefined;

	constructor(read: ReadFile | undefined) {
		this.#read = read;
	}

	/** Adds what the file says; undefined when it cannot be read as a policy. */
	file<S extends typeof policySchema | typeof includedSchema>(
		schema: S,
		given: FileToLoad,
	): z.output<S> | undefined {
		const { text, file, chain } = given;
		const parsed = this.#parse(schema, text, file);
		const value = parsed.value as z.output<typeof includedSchema> | undefined;
		if (value === undefined) return undefined;
		const mode = mostCautious(given.mode, value.mode);
		const placeOf = placesIn(parsed, file);
		value.include.forEach((include, index) => {
			this.#include(include, index, { ...given, mode, chain }, placeOf);
		});
		const source: Source = {
			placeOf,
			mode,
			parameter: () => undefined,
			problem: (place, where, message, remedy) => this.#error(place, where, message, remedy),
		};
		value.scopes.forEach((scope, index) => {
			const base = ["scopes", index];
			const head = {
				name: scope.name ?? String(index + 1),
				place: placeOf(base),
				scope: scope.scope,
			};
			this.scopes.push(compileScope(head, scope, base, source));
		});
		const own = value.responses.map((response, index) =>
			compileResponse(response, placeOf(["responses", index]), mode),
		);
		this.responses.unshift(...own);
		return parsed.value as z.output<S>;
	}

	#include(include: IncludeFile, index: number, from: FileToLoad, placeOf: Source["placeOf"]): void {
		const place = placeOf(["include", index]);
		const isPath = (text: string) => text.includes("/") || /\.ya?ml$/.test(text);
		if (typeof include === "string") {
			if (isPath(include)) this.#includeFile(include, undefined, from, place);
			else this.#includeTemplate({ template: include }, ["include", index], from, placeOf);
		} else if ("file" in include) {
			this.#includeFile(include.file, include.mode, from, place);
		} else {
			this.#includeTemplate(include, ["include", index], from, placeOf);
		}
	}

	#includeFile(path: string, mode: PolicyMode | undefined, from: FileToLoad, place: Place): void {
		const file = resolve(dirname(from.file), path);
		try {
			const text = this.#included(file, path, from.chain);
			const chain = [...from.chain, file];
			this.file(includedSchema, { text, file, mode: mostCautious(from.mode, mode), chain });
		} catch (error) {
			if (!(error instanceof Refused)) throw error;
			this.#error(place, "include", error.message, error.remedy);
		}
	}

	/** Text of a file that is to be included. Throws Refused. */
	#included(file: string, path: string, chain: readonly string[]): string {
		if (this.#read === undefined)
			throw new Refused(`${path} cannot be included here`, "write what it says into the policy itself");
		if (chain.includes(file)) {
			const way = [...chain.slice(chain.indexOf(file)), file].join(" → ");
			throw new Refused(`${path} includes itself: ${way}`, "take one of them out");
		}
		if (chain.length > maxDepth || this.texts.size >= maxFiles)
			throw new Refused(
				`more than ${maxDepth} files deep, or ${maxFiles} files`,
				"put some of them together",
			);
		try {
			return this.#read(file);
		} catch (error) {
			const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
			throw new Refused(`cannot read ${file}: ${reason}`, "check the path and its permissions");
		}
	}

	#includeTemplate(
		include: Exclude<Extract<IncludeFile, object>, { file: string }>,
		path: readonly (string | number)[],
		from: FileToLoad,
		placeOf: Source["placeOf"],
	): void {
		const place = placeOf(path);
		const wrong = (where: Place, message: string, remedy: string) =>
			this.#error(where, "include", message, remedy);
		const found = readTemplate(include.template);
		if (found === undefined) {
			const meant = nearest(include.template, templateNames());
			const remedy = meant ? `write "${meant}"` : `write one of ${templateNames().join(", ")}, or a path`;
			wrong(place, `there is no template "${include.template}"`, remedy);
			return;
		}
		const parsed = this.#parse(templateSchema, found.text, found.file);
		if (parsed.value === undefined) return;
		const { parameters, scopes } = parsed.value;
		const given = include.with ?? {};
		for (const name of Object.keys(given))
			if (!Object.hasOwn(parameters, name)) {
				const known = Object.keys(parameters).join(", ") || "none";
				wrong(
					placeOf([...path, "with", name]),
					`${include.template} has no parameter "${name}"`,
					`it has: ${known}`,
				);
			}
		for (const [name, meaning] of Object.entries(parameters))
			if (!Object.hasOwn(given, name))
				wrong(place, `${include.template} needs ${name}: ${meaning}`, `add with: {${name}: […]}`);
		const source: Source = {
			placeOf: placesIn(parsed, found.file),
			mode: mostCautious(from.mode, include.mode),
			// One that is missing has been told.
			parameter: (name) =>
				Object.hasOwn(parameters, name)
					? (given[name] ?? []).map((value, at) => ({
							text: String(value),
							place: placeOf([...path, "with", name, at]),
						}))
					: undefined,
			problem: (where, list, message, remedy) => this.#error(where, list, message, remedy),
		};
		const scope: ScopeFile["scope"] = include.scope ?? "containers";
		scopes.forEach(({ name, ...judgements }, index) => {
			const own =
				include.name === undefined ? name : [include.name, ...(index === 0 ? [] : [name])].join("/");
			const narrowed = {
				...judgements,
				user: include.user ?? judgements.user,
				severity: include.severity ?? judgements.severity,
			};
			this.scopes.push(compileScope({ name: own, place, scope }, narrowed, ["scopes", index], source));
		});
	}

	#parse<S extends z.ZodType>(schema: S, text: string, file: string): Parsed<z.output<S>> {
		this.texts.set(file, text);
		const parsed = parseYaml(schema, text, file);
		this.problems.push(...parsed.problems);
		return parsed;
	}

	#error({ file, line, column }: Place, where: string, message: string, remedy: string): void {
		this.problems.push({ file, line, column, where, message, remedy, level: "error" });
	}
}

function placesIn(parsed: Parsed<unknown>, file: string): Source["placeOf"] {
	return (path) => ({ file, ...parsed.placeOf(path) });
}

/** What is in force without any file: nothing is forbidden, everything found is told. */
export function defaultPolicy(): Policy {
	const { console } = policySchema.parse({});
	return { file: "", mode: undefined, scopes: [], responses: [], console: consoleGrants(console) };
}

/** A policy may hold back what the configuration permits, never the other way round. */
export function effectiveMode(config: Mode, policy: Policy): Mode {
	return mostCautious(config, policy.mode) === "enforce" ? "enforce" : "observe";
}

const longestTtlSeconds = 86_400;

function consoleGrants({ may, ttl, names }: PolicyFile["console"]): ConsoleGrants {
	const secondsOf = (wanted: typeof ttl) => (wanted === undefined ? undefined : ttlSeconds(wanted));
	const all = { may, ttlSeconds: secondsOf(ttl) ?? longestTtlSeconds };
	const own = Object.entries(names).map(([name, grant]): [string, ConsoleGrant] => [
		name,
		{ may: grant.may ?? all.may, ttlSeconds: secondsOf(grant.ttl) ?? all.ttlSeconds },
	]);
	return { ...all, names: new Map(own) };
}

const consolePrefix = "console:";

/** What the console of that name may ask for. */
export function grantOfConsole({ console }: Policy, name: string): ConsoleGrant {
	return console.names.get(name) ?? console;
}

/** Why a console may not have that done here; undefined when it may, and for everybody who is no console. */
export function consoleRefusal(policy: Policy, requester: string, act: string): string | undefined {
	if (!requester.startsWith(consolePrefix)) return undefined;
	const name = requester.slice(consolePrefix.length);
	const { may } = grantOfConsole(policy, name);
	if (may.some((grant) => grant === act)) return undefined;
	const where = policy.file || "the default policy";
	return `${where} does not let console ${name} ask for ${act}, only for ${may.join(", ") || "nothing"}`;
}

function duplicates(scopes: readonly Scope[]): Problem[] {
	const seen = new Set<string>();
	return scopes.flatMap((scope) => {
		const again = seen.has(scope.name);
		seen.add(scope.name);
		if (!again) return [];
		const message = `two scopes are named "${scope.name}": their alerts cannot be told apart`;
		return [{ ...scope.place, where: "scopes", message, remedy: "rename one", level: "warning" as const }];
	});
}
