// What the kernel has to send so that a set of rules can match: kinds of events, and of opens which ones.
import { type EventKind, type EventName, eventNames, EventKind as Kind } from "../model/event.ts";
import type { Interest, PathInterest } from "../model/interest.ts";
import { type Assume, type Bound, fold, type Plan, type Predicates, planFor } from "./plan.ts";
import type { Predicate } from "./predicate.ts";
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
/** How much a bound lets through, roughly: a name is rarer than a folder, and an ending of names is in no table. */
const widthOf = (paths: Paths) =>
	10 * (paths.exact.length + paths.names.length + paths.suffixes.length) +
	11 * paths.prefixes.length +
	(isUnbounded(paths) ? 1e6 : 0);

/** Has the kernel to send every file opened for reading? The end of a name is more than its tables can say. */
export function isUnbounded(reads: Interest["readOpens"]): boolean {
	return reads === "all" || (reads !== "none" && reads.suffixes.some((suffix) => !suffix.includes("/")));
}

function sum(all: readonly Paths[]): Paths {
	return {
		exact: all.flatMap((each) => each.exact),
		prefixes: all.flatMap((each) => each.prefixes),
		names: all.flatMap((each) => each.names),
		suffixes: all.flatMap((each) => each.suffixes),
	};
}

/** Paths one of which the file must have for the plan to hold; undefined when there is no such bound. */
function boundOf(plan: Plan, predicates: Predicates): Paths | undefined {
	if (plan === false) return nothing();
	if (plan === true) return undefined;
	switch (plan.is) {
		case "test":
			return pathsOf(predicates.at(plan.index));
		case "not":
			return undefined;
		case "or": {
			const bounds = plan.plans.map((each) => boundOf(each, predicates));
			return bounds.some((each) => each === undefined) ? undefined : sum(bounds as Paths[]);
		}
		case "and": {
			const bounds = plan.plans.map((each) => boundOf(each, predicates)).filter((each) => each !== undefined);
			return bounds.sort((a, b) => widthOf(a) - widthOf(b))[0];
		}
	}
}

/** Paths as captured: latin1. */
function pathsOf({ fieldName, check, values: written }: Predicate): Paths | undefined {
	const { operator, match, right } = check;
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
	if (begin.length > 1) return { ...nothing(), prefixes: [begin] };
	const end = pattern.slice(Math.max(...["*", "?", "]"].map((sign) => pattern.lastIndexOf(sign))) + 1);
	return !below && end !== "" && !end.includes("\\") ? { ...nothing(), suffixes: [end] } : undefined;
}

export interface RuleInterest {
	readonly kinds: ReadonlySet<EventName>;
	readonly writeOpens: boolean;
	readonly failedOpens: boolean;
	readonly readOpens: Interest["readOpens"];
}

export function interestOfRule(bound: Bound, predicates: Predicates): RuleInterest {
	const kinds = new Set(
		eventNames.filter((name) => planFor(bound, predicates, Kind[name] as EventKind) !== false),
	);
	const opens = (scenario: Scenario) =>
		kinds.has("open") ? fold(bound, predicates, knownOf(scenario)) : false;
	const reads = opens("read");
	const bounds = reads === false ? undefined : boundOf(reads, predicates);
	return {
		kinds,
		writeOpens: opens("write") !== false,
		failedOpens: opens("failed") !== false,
		readOpens: reads === false ? "none" : bounds === undefined ? "all" : (bounds satisfies PathInterest),
	};
}
