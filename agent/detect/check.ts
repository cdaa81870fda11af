// A check of a condition, what tests it, and what can be wrong with it.
import type { Observation } from "../model/event.ts";
import type { FieldContext } from "./field.ts";
import { fieldRemedy } from "./suggest.ts";
import type { FieldRef, Node } from "./syntax.ts";

export type Check = Extract<Node, { is: "check" }>;

/** Stands for a place in a condition's text: the check comes from the rule's exceptions. */
export const inExceptions = -1;

export type Test = (observation: Observation, context: FieldContext) => boolean;

/** A check that can never be evaluated as written. */
export class CheckProblem extends Error {
	readonly remedy: string;
	/** Place in the text it is about, from 0; undefined when the check at hand is the place. */
	readonly at: number | undefined;
	/** It names a field or an event that nobody here knows: a rule may ask to be passed over then. */
	readonly unknown: boolean;
	constructor(message: string, remedy: string, at?: number, unknown = false) {
		super(message);
		this.remedy = remedy;
		this.at = at;
		this.unknown = unknown;
	}
}

export function unknownField({ name, argument }: FieldRef): CheckProblem {
	const shown = argument === undefined ? name : `${name}[${argument}]`;
	return new CheckProblem(`there is no field ${shown}`, fieldRemedy(name), undefined, true);
}
