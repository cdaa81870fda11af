// The trace of a condition for people: of each part whether it holds, of each check what the event really had.
import type { Trace } from "../detect/trace.ts";
import { showText } from "../report/shown.ts";
import type { Span } from "../report/terminal-theme.ts";
import { shortened } from "./rules-explain.ts";

const heads = { and: "all of", or: "any of" } as const;
const negatedHeads = { and: "not all of", or: "none of" } as const;
const longestValue = 200;

/** Lines from `depth` on; without `whole` only what decides, and how much else there is. */
export function traceLines(trace: Trace, depth: number, whole: boolean): Span[][] {
	return lines(trace, depth, whole, false);
}

function lines(trace: Trace, depth: number, whole: boolean, negated: boolean): Span[][] {
	const holds = trace.holds !== negated;
	const mark: Span = {
		text: holds ? "yes " : "no  ",
		style: trace.decides ? (holds ? "good" : "bad") : "dim",
	};
	const indent: Span = { text: "  ".repeat(depth), style: "plain" };
	if (trace.is === "not") return trace.parts.flatMap((each) => lines(each, depth, whole, !negated));
	if (trace.is === "check") {
		return [
			[
				indent,
				mark,
				{ text: `${negated ? "not " : ""}${shortened(trace.text)}`, style: trace.decides ? "bold" : "plain" },
				{ text: `   ${actualText(trace.actual)}`, style: "plain" },
			],
		];
	}
	const head: Span = { text: (negated ? negatedHeads : heads)[trace.is], style: "plain" };
	const shown = whole ? trace.parts : trace.parts.filter((each) => each.decides);
	const left = trace.parts.length - shown.length;
	const rest: Span = {
		text: `${"  ".repeat(depth + 1)}and ${left} that ${trace.holds ? (left === 1 ? "does not hold" : "do not hold") : left === 1 ? "holds" : "hold"}`,
		style: "dim",
	};
	return [
		[indent, mark, head],
		...shown.flatMap((each) => lines(each, depth + 1, whole, false)),
		...(left > 0 ? [[rest]] : []),
	];
}

function actualText(actual: readonly string[] | undefined): string {
	if (actual === undefined) return "the event has none";
	const values = actual.map((value) => {
		const shown = showText(value);
		return JSON.stringify(shown.length > longestValue ? `${shown.slice(0, longestValue)}…` : shown);
	});
	return `it is ${values.join(", ")}`;
}

/** Captured text as JSON can carry it. */
export function readable(trace: Trace): Trace {
	if (trace.is !== "check") return { ...trace, parts: trace.parts.map(readable) };
	return { ...trace, actual: trace.actual?.map(showText) };
}
