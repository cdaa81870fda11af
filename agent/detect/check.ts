// A check of a condition, what tests it, and what can be wrong with it.
import type { Observation } from "../model/event.ts";
import type { FieldContext } from "./fields.ts";
import type { FieldRef, Node } from "./syntax.ts";

export type Check = Extract<Node, { is: "check" }>;

export type Test = (observation: Observation, context: FieldContext) => boolean;

/** A check that can never be evaluated as written. */
export class CheckProblem extends Error {
	readonly remedy: string;
	constructor(message: string, remedy: string) {
		super(message);
		this.remedy = remedy;
	}
}

export function unknownField({ name, argument }: FieldRef): CheckProblem {
	const shown = argument === undefined ? name : `${name}[${argument}]`;
	return new CheckProblem(`there is no field ${shown}`, "see the list of fields in the README");
}
