// What the kernel has to send so that a set of rules can match: kinds of events, and of opens which ones.
import { type EventKind, type EventName, eventNames, EventKind as Kind } from "../model/event.ts";
import {
	type ConnectInterest,
	fileChangeKinds,
	type Interest,
	type OpenInterest,
} from "../model/interest.ts";
import { type Assume, type Bound, fold, type Plan, type Predicates } from "./plan.ts";
import type { Predicate } from "./predicate.ts";
import type { Operator } from "./syntax.ts";
import { asLatin1 } from "./text.ts";

type Scenario = "read" | "write" | "failed";

/** What is known of an open of that sort, whatever the file. "read" is what the kernel calls so: neither writes nor makes. */
function knownOf(scenario: Scenario): Assume {
	return (predicate) => {
		const fixed = predicate.constant(Kind.open);
		if (fixed !== undefined) return fixed;
		const { operator } = predicate.check;
		const [value = ""] = predicate.values;
		// Only of a comparison with one constant is anything known beforehand.
		if (predicate.values.length !== 1 || predicate.check.right.length !== 1) return undefined;
		const equality = operator === "=" || operator === "in";
		if (predicate.field?.type === "bool" && !equality && operator !== "!=") return undefined;
		const wanted = (value === "true") !== (operator === "!=");
		switch (predicate.fieldName) {
			case "evt.is_open_write":
				// A "write" may be a read-only open that makes the file.
				return scenario === "read" ? !wanted : undefined;
			case "evt.is_open_read":
				return scenario === "read" ? wanted : undefined;
			case "evt.is_open_exec":
				// Only an open that makes the file is one.
				return scenario === "read" ? !wanted : undefined;
			case "evt.is_open_create":
				// An open that fails makes nothing.
				return scenario === "write" ? undefined : !wanted;
			case "evt.failed":
				return wanted === (scenario === "failed");
			case "evt.rawres":
			case "fd.num":
				return signOf(operator, value, scenario === "failed");
			case "evt.res":
				if (value !== "SUCCESS" || (!equality && operator !== "!=")) return undefined;
				return equality === (scenario !== "failed");
			case "evt.arg.flags":
				return scenario === "read" &&
					operator === "contains" &&
					/^O_(CREAT|TRUNC|WRONLY|RDWR|TMPFILE)$/.test(value)
					? false
					: undefined;
			default:
				return undefined;
		}
	};
}

function signOf(operator: string, value: string, failed: boolean): boolean | undefined {
	if (operator === ">=" && value === "0") return !failed;
	if (operator === "<" && value === "0") return failed;
	return undefined;
}

interface Paths {
	exact: string[];
	prefixes: string[];
	names: string[];
	suffixes: string[];
}
const nothing = (): Paths => ({ exact: [], prefixes: [], names: [], suffixes: [] });
/** How much a bound lets through, roughly: whole names are rarer than folders, and ends of names than long ones. */
const widthOf = (paths: Paths) =>
	10 * (paths.exact.length + paths.names.length) + 11 * paths.prefixes.length + 12 * paths.suffixes.length;

function sum(all: readonly Paths[]): Paths {
	return {
		exact: all.flatMap((each) => each.exact),
		prefixes: all.flatMap((each) => each.prefixes),
		names: all.flatMap((each) => each.names),
		suffixes: all.flatMap((each) => each.suffixes),
	};
}

type PathsOf = (predicate: Predicate) => Paths | undefined;

/** Paths one of which the file must have for the plan to hold; undefined when there is no such bound. */
function boundOf(plan: Plan, predicates: Predicates, pathsOf: PathsOf): Paths | undefined {
	if (plan === false) return nothing();
	if (plan === true) return undefined;
	switch (plan.is) {
		case "test":
			return pathsOf(predicates.at(plan.index));
		case "not":
			return undefined;
		case "or": {
			const bounds = plan.plans.map((each) => boundOf(each, predicates, pathsOf));
			return bounds.some((each) => each === undefined) ? undefined : sum(bounds as Paths[]);
		}
		case "and": {
			const bounds = plan.plans
				.map((each) => boundOf(each, predicates, pathsOf))
				.filter((each) => each !== undefined);
			return bounds.sort((a, b) => widthOf(a) - widthOf(b))[0];
		}
	}
}

/** Of an open. Paths as captured: latin1. */
function openPaths(predicate: Predicate): Paths | undefined {
	const { fieldName } = predicate;
	return pathsOf(predicate, fieldName === "fs.path.name" ? "fd.name" : fieldName);
}

/** Fields that hold one of a changed file's two names, made absolute or as it was passed: the kernel looks up all four. */
const changedName =
	/^fd\.name$|^fs\.path\.(name|source|target|changed)(raw)?$|^evt\.(raw)?arg\.(path|pathname|filename|name|oldpath|newpath|linkpath|target)$/;

/** Of a file change. */
function changePaths(kind: EventName): PathsOf {
	return (predicate) => {
		const { fieldName, check } = predicate;
		// An attribute's name.
		if (kind === "setxattr" && /arg\.name$/.test(fieldName)) return undefined;
		if (!changedName.test(fieldName))
			return fieldName.startsWith("fd.") ? pathsOf(predicate, fieldName) : undefined;
		// pmatch compares parts: a relative name is no beginning of the path it stands for.
		return check.operator === "pmatch" && fieldName !== "fd.name" ? undefined : pathsOf(predicate, "fd.name");
	};
}

const casedOperators: Partial<Record<Operator, Operator>> = {
	iequals: "=",
	istartswith: "startswith",
	iendswith: "endswith",
	like: "glob",
};

/** What a check on a field bounds, taken as if it were on the one of that meaning. */
function pathsOf({ check, values: written }: Predicate, fieldName: string): Paths | undefined {
	const { match, right } = check;
	// On Linux a name in other letters is another file: the kernel is asked for the one that is written.
	const operator = casedOperators[check.operator] ?? check.operator;
	// allof () holds for everything; a value computed from another field can be anything.
	if ((match === "all" && written.length !== 1) || written.length !== right.length) return undefined;
	const values = written.map(asLatin1);
	const equal = operator === "=" || operator === "in" || operator === "intersects";
	if (fieldName === "fd.name") {
		if (equal) return { ...nothing(), exact: [...values] };
		if (operator === "startswith") return { ...nothing(), prefixes: [...values] };
		// Only the root's own name ends in a slash.
		if (operator === "endswith" && values.some((value) => value.endsWith("/"))) return undefined;
		if (operator === "endswith") return { ...nothing(), suffixes: [...values] };
		if (operator === "pmatch" || operator === "glob")
			return sumOrNone(values.map((value) => globBound(value, operator === "pmatch")));
	}
	if (fieldName === "fd.directory") {
		const within = (value: string) => `${value.replace(/\/+$/, "")}/`;
		if (equal) return { ...nothing(), prefixes: values.map(within) };
		if (operator === "startswith") return { ...nothing(), prefixes: [...values] };
		if (operator === "pmatch") return sumOrNone(values.map((value) => globBound(value, true)));
	}
	if (fieldName === "fd.filename") {
		if (equal) return values.includes("") ? undefined : { ...nothing(), names: [...values] };
		if (operator === "endswith") return { ...nothing(), suffixes: [...values] };
	}
	return undefined;
}
function sumOrNone(bounds: readonly (Paths | undefined)[]): Paths | undefined {
	return bounds.some((each) => each === undefined) ? undefined : sum(bounds as Paths[]);
}

/** The literal beginning of a glob, else its literal end. `below`: of a pmatch, for which only the parts count. */
function globBound(glob: string, below: boolean): Paths | undefined {
	const pattern = below ? `/${glob.split("/").filter(Boolean).join("/")}` : glob;
	const special = pattern.search(/[*?[\\]/);
	if (special < 0) {
		return below
			? { ...nothing(), exact: [pattern], prefixes: [`${pattern.replace(/\/+$/, "")}/`] }
			: { ...nothing(), exact: [pattern] };
	}
	const begin = pattern.slice(0, special);
	const end = pattern.slice(Math.max(...["*", "?", "]"].map((sign) => pattern.lastIndexOf(sign))) + 1);
	const name = end.slice(end.lastIndexOf("/") + 1);
	if (!below && end.includes("/") && name !== "" && !end.includes("\\"))
		return { ...nothing(), names: [name] };
	if (begin.length > 1) return { ...nothing(), prefixes: [begin] };
	return !below && end !== "" && !end.includes("\\") ? { ...nothing(), suffixes: [end] } : undefined;
}

type Family = "ip" | "unix";
const portFields = new Set(["fd.sport", "fd.rport"]);

/** What is known of a connection of that family, whoever the peer is. */
function knownOfFamily(family: Family): Assume {
	return (predicate) => {
		const fixed = predicate.constant(Kind.connect);
		if (fixed !== undefined) return fixed;
		const { fieldName, values, check } = predicate;
		// A socket without an address has no such field, and no comparison with one holds.
		if (family === "unix" && /^fd\.(ip|net|[sclr](ip|net|port|proto)|port|l4proto)$/.test(fieldName ?? ""))
			return false;
		if (values.length !== check.right.length) return undefined;
		const letters = family === "unix" ? ["u"] : ["4", "6"];
		const is = check.operator === "=" || check.operator === "in";
		if (fieldName === "fd.typechar" && is && !values.some((value) => letters.includes(value))) return false;
		if (fieldName === "fd.typechar" && is && letters.every((letter) => values.includes(letter))) return true;
		return undefined;
	};
}

/** Remote ports one of which the peer must have; undefined when there is no such bound. */
function portsOf(plan: Plan, predicates: Predicates): number[] | undefined {
	if (plan === false) return [];
	if (plan === true) return undefined;
	switch (plan.is) {
		case "test": {
			const { fieldName, check, values } = predicates.at(plan.index);
			const equal = check.operator === "=" || check.operator === "in";
			if (!portFields.has(fieldName ?? "") || !equal || values.length !== check.right.length)
				return undefined;
			const ports = values.map(Number);
			return ports.every((port) => Number.isInteger(port) && port >= 0 && port < 65536) ? ports : undefined;
		}
		case "not":
			return undefined;
		case "or": {
			const bounds = plan.plans.map((each) => portsOf(each, predicates));
			return bounds.some((each) => each === undefined) ? undefined : (bounds as number[][]).flat();
		}
		case "and":
			return plan.plans
				.map((each) => portsOf(each, predicates))
				.filter((each) => each !== undefined)
				.sort((a, b) => a.length - b.length)[0];
	}
}

function changesOf(plans: Plans, predicates: Predicates, kinds: ReadonlySet<EventName>): OpenInterest {
	const asked = fileChangeKinds.filter((kind) => kinds.has(kind));
	if (asked.length === 0) return "none";
	const all = sumOrNone(
		asked.map((kind) => boundOf(plans.get(Kind[kind]) ?? false, predicates, changePaths(kind))),
	);
	if (all === undefined) return "all";
	const once = (texts: readonly string[]) => [...new Set(texts)];
	return {
		exact: once(all.exact),
		prefixes: once(all.prefixes),
		names: once(all.names),
		suffixes: once(all.suffixes),
	};
}

export type RuleInterest = Interest;

type Plans = ReadonlyMap<EventKind, Plan>;

/** `plans` are what `bound` comes to for each kind of event that can satisfy it. */
export function interestOfRule(bound: Bound, plans: Plans, predicates: Predicates): RuleInterest {
	const kinds = new Set(eventNames.filter((name) => plans.has(Kind[name] as EventKind)));
	const opens = (scenario: Scenario) =>
		kinds.has("open") ? fold(bound, predicates, knownOf(scenario)) : false;
	const paths = (plan: Plan): OpenInterest =>
		plan === false ? "none" : (boundOf(plan, predicates, openPaths) ?? "all");
	const connects = (family: Family) =>
		kinds.has("connect") ? fold(bound, predicates, knownOfFamily(family)) : false;
	const ip = connects("ip");
	return {
		kinds,
		writeOpens: paths(opens("write")),
		readOpens: paths(opens("read")),
		failedOpens: opens("failed") !== false,
		fileChanges: changesOf(plans, predicates, kinds),
		connects: {
			ip: ip === false ? "none" : (portsOf(ip, predicates) ?? "all"),
			unix: connects("unix") !== false,
		} satisfies ConnectInterest,
	};
}
