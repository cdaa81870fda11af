// Why a condition held for an event, or did not: its tree with every check's answer and what the event really has.
import type { Observation } from "../model/event.ts";
import { computed } from "./computed.ts";
import type { FieldContext } from "./field.ts";
import { addressField } from "./fields-socket.ts";
import type { Bound, Predicates } from "./plan.ts";
import type { Predicate } from "./predicate.ts";
import { checkText } from "./show.ts";

/** `decides`: were this part's answer the other one, the whole's could be, too. */
export type Trace =
	| {
			readonly is: "and" | "or" | "not";
			readonly holds: boolean;
			readonly decides: boolean;
			readonly parts: readonly Trace[];
	  }
	| {
			readonly is: "check";
			readonly holds: boolean;
			readonly decides: boolean;
			readonly text: string;
			/** What the field is, latin1; several where any of them counts. Undefined: the event does not have it. */
			readonly actual: readonly string[] | undefined;
	  };

export function traceOf(
	bound: Bound,
	predicates: Predicates,
	observation: Observation,
	context: FieldContext,
): Trace {
	return marked(traced(bound, predicates, observation, context), true);
}

function traced(
	bound: Bound,
	predicates: Predicates,
	observation: Observation,
	context: FieldContext,
): Trace {
	const inner = (each: Bound): Trace => traced(each, predicates, observation, context);
	switch (bound.is) {
		case "test": {
			const predicate = predicates.at(bound.index);
			const holds = predicate.constant(observation.event.kind) ?? predicate.test(observation, context);
			const actual = actualOf(predicate, observation, context);
			return { is: "check", holds, decides: false, text: checkText(predicate.check), actual };
		}
		case "not": {
			const part = inner(bound.node);
			return { is: "not", holds: !part.holds, decides: false, parts: [part] };
		}
		case "and":
		case "or": {
			const parts = bound.nodes.map(inner);
			const holds = bound.is === "and" ? parts.every((each) => each.holds) : parts.some((each) => each.holds);
			return { is: bound.is, holds, decides: false, parts };
		}
	}
}

/** The false parts decide an "and" that is false, the true ones an "or" that is true, all of them otherwise. */
function marked(trace: Trace, decides: boolean): Trace {
	if (trace.is === "check") return { ...trace, decides };
	return {
		...trace,
		decides,
		parts: trace.parts.map((each) =>
			marked(each, decides && (trace.is === "not" || each.holds === trace.holds)),
		),
	};
}

function actualOf(
	{ field, check: { left } }: Predicate,
	observation: Observation,
	context: FieldContext,
): readonly string[] | undefined {
	if (left.is !== "field") return computed(left)(observation, context);
	if (!field || (field.kinds && !field.kinds.includes(observation.event.kind))) return undefined;
	const one = (text: string | undefined) => (text === undefined ? undefined : [text]);
	if (field.type === "address") return one(addressField(field)(observation, context));
	if (field.type !== "text") {
		const value = field.get(observation, context);
		return one(value === undefined || field.type === "number" ? value?.toString() : String(value === 1));
	}
	if (field.names) return field.names(observation, context);
	if (!field.some) return one(field.get(observation, context));
	const found: string[] = [];
	field.some(observation, (text) => {
		found.push(text);
		return false;
	});
	return found.length > 0 ? found : undefined;
}

/** Checks that decide: how far an event is from the other answer, roughly. */
export function distanceOf(trace: Trace): number {
	if (!trace.decides) return 0;
	if (trace.is === "check") return 1;
	const parts = trace.parts.filter((each) => each.decides).map(distanceOf);
	// To turn an "or" that is false, or an "and" that is true, one part would do.
	return trace.is !== "not" && (trace.is === "or") !== trace.holds
		? Math.min(...parts)
		: parts.reduce((sum, each) => sum + each, 0);
}
