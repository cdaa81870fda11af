// Chooses of a rule's plan the checks one of which must be true for the rule to match, the rarest there are. Asking
// for these first, for all rules at once, is what makes an event that matches nothing cheap.
import { type EventKind, EventKind as Kind } from "../model/event.ts";
import { frequencyOf, soughtOf } from "./literals.ts";
import { lookupFor } from "./lookup.ts";
import type { Plan, Predicates } from "./plan.ts";
import type { Predicate } from "./predicate.ts";

/** Predicates by index: the plan is false when they all are. Undefined when nothing of the sort is known. */
export type Guard = readonly number[] | undefined;

export function guardOf(plan: Plan, predicates: Predicates, kind: EventKind): Guard {
	return choose(plan, false, predicates, kind)?.tests;
}

interface Choice {
	readonly tests: readonly number[];
	/** How often one of them is true, roughly, in no unit. */
	readonly share: number;
}

function choose(plan: Plan, negated: boolean, predicates: Predicates, kind: EventKind): Choice | undefined {
	if (typeof plan === "boolean") return plan === negated ? { tests: [], share: 0 } : undefined;
	switch (plan.is) {
		case "test":
			return negated ? undefined : { tests: [plan.index], share: shareOf(predicates.at(plan.index), kind) };
		case "not":
			return choose(plan.plan, !negated, predicates, kind);
		case "and":
		case "or": {
			const choices = plan.plans.map((each) => choose(each, negated, predicates, kind));
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

/** Fields that differ from event to event. Of other texts there are few: a protocol, a user, a container. */
const manifold =
	/^(proc\.|fd\.(name|nameraw|directory|filename)$|fs\.path\.|evt\.(raw)?arg\.(name|path|pathname|filename|oldpath|newpath|linkpath|target)$)/;
/** Texts so long that they may hold anything. */
const long = /^proc\.(args|p?cmdline|p?exeline)$/;

function shareOf(predicate: Predicate, kind: EventKind): number {
	const { field, values } = predicate;
	const sought = soughtOf(predicate);
	if (sought) {
		if (!manifold.test(sought.fieldName)) return 3000;
		// Arguments are long, ancestors are many. Of a new program the arguments are looked through anyhow.
		const room = long.test(sought.fieldName) ? (kind === Kind.exec ? 2 : 16) : sought.field.some ? 4 : 1;
		return room * frequencyOf(sought.literals);
	}
	if (!field || predicate.check.left.is !== "field") return 5000;
	if (field.type === "bool") return 1000;
	if (field.type === "number") return lookupFor(predicate) ? 20 * values.length : 2000;
	if (field.type === "address") return (lookupFor(predicate) ? 5 : 100) * values.length;
	return 3000;
}
