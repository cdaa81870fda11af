// Chooses of a rule's plan the checks one of which must be true for the rule to match, the rarest there are. Asking
// for these first, for all rules at once, is what makes an event that matches nothing cheap.
import type { Literal } from "./automaton.ts";
import { literalsOf } from "./literals.ts";
import { lookupFor } from "./lookup.ts";
import type { Plan, Predicates } from "./plan.ts";
import type { Predicate } from "./predicate.ts";

/** Predicates by index: the plan is false when they all are. Undefined when nothing of the sort is known. */
export type Guard = readonly number[] | undefined;

export function guardOf(plan: Plan, predicates: Predicates): Guard {
	return choose(plan, false, predicates)?.tests;
}

interface Choice {
	readonly tests: readonly number[];
	/** How often one of them is true, roughly, in no unit. */
	readonly share: number;
}

function choose(plan: Plan, negated: boolean, predicates: Predicates): Choice | undefined {
	if (typeof plan === "boolean") return plan === negated ? { tests: [], share: 0 } : undefined;
	switch (plan.is) {
		case "test":
			return negated ? undefined : { tests: [plan.index], share: shareOf(predicates.at(plan.index)) };
		case "not":
			return choose(plan.plan, !negated, predicates);
		case "and":
		case "or": {
			const choices = plan.plans.map((each) => choose(each, negated, predicates));
			const known = choices.filter((each) => each !== undefined);
			if ((plan.is === "and") !== negated) return known.sort((a, b) => a.share - b.share)[0];
			if (known.length < choices.length) return undefined;
			return {
				tests: [...new Set(known.flatMap(({ tests }) => tests))],
				share: known.reduce((sum, { share }) => sum + share, 0),
			};
		}
	}
}

/** Programs that run, and places that files lie in, all day on most hosts: to see one of them sorts little out. */
const commonPrograms = new Set(
	"sh bash dash cat cp curl env find git grep ls make mv node perl php python python3 rm ruby sed tar".split(
		" ",
	),
);
const commonPlace =
	/^(\/usr)?(\/s?bin|\/lib(64|exec)?|\/share|\/include|\/local)?\/?$|^\/(dev|etc|home|opt|proc|root|run|snap|srv|sys|tmp|var|var\/lib|var\/tmp)\/?$/;

function isCommon({ text }: Literal): boolean {
	return commonPlace.test(text) || commonPrograms.has(text.replace(/^\//, ""));
}

function shareOf(predicate: Predicate): number {
	const { field, fieldName, values } = predicate;
	if (!field || predicate.check.left.is !== "field") return 5000;
	if (field.type === "bool") return 1000;
	if (field.type === "number") return lookupFor(predicate) ? 20 * values.length : 2000;
	if (field.type === "address") return (lookupFor(predicate) ? 5 : 100) * values.length;
	const literals = literalsOf(predicate.check);
	// Of other texts there are few different ones: a protocol, a user, a container with all it does.
	if (!literals || !/^(proc\.|fd\.(name|nameraw|directory|filename)$|evt\.arg\.name$)/.test(fieldName))
		return 3000;
	// Arguments are long, ancestors are many.
	const room = /^proc\.(args|p?cmdline|p?exeline)$/.test(fieldName)
		? 2
		: field.type === "text" && field.some
			? 4
			: 1;
	return literals.reduce((sum, literal) => {
		if (isCommon(literal)) return sum + 100;
		if (literal.begin && literal.end) return sum + 1;
		const { length } = literal.text;
		return sum + room * (length > 5 ? 2 : length > 3 ? 4 : length > 2 ? 16 : 200);
	}, 0);
}
