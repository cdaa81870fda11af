// Which rule costs more than it may. Only CPU time counts, never how often a rule matches, and only rules whose single
// look is dear: an attacker who makes events by the million makes cheap rules add up, too, and must not get them
// switched off by that. What a flood of events costs is bounded in the kernel (capture.bulk_rate).
import type { RuleCost } from "./cost.ts";

/** Looks in a minute: a rule that has used up a minute's budget does not go on until the minute ends. */
export const looksPerMinute = 6;

/** ms of one look at a rule on average. An ordinary one takes 0.001; beyond this it is the rule that is dear, not the flood. */
const dear = 0.02;

export interface OverBudget {
	readonly rule: string;
	/** Of one core, in the last minute. */
	readonly percent: number;
	/** Mean of one evaluation. */
	readonly ms: number;
}

export class Budget {
	readonly #percent: number;
	readonly #looks: RuleCost[][] = [];

	/** `percent` of one core, over a minute. */
	constructor(percent: number) {
		this.#percent = percent;
	}

	/** The costs since the last look, six a minute; gives the rules above the budget, the dearest first. */
	look(costs: readonly RuleCost[]): OverBudget[] {
		this.#looks.push([...costs]);
		if (this.#looks.length > looksPerMinute) this.#looks.shift();
		const sums = new Map<string, { ms: number; evaluations: number }>();
		for (const { rule, ms, evaluations } of this.#looks.flat()) {
			const sum = sums.get(rule) ?? { ms: 0, evaluations: 0 };
			sums.set(rule, { ms: sum.ms + ms, evaluations: sum.evaluations + evaluations });
		}
		return [...sums]
			.map(([rule, { ms, evaluations }]) => ({ rule, percent: ms / 600, ms: ms / evaluations }))
			.filter(({ percent, ms }) => percent > this.#percent && ms > dear)
			.sort((a, b) => b.percent - a.percent);
	}

	/** What was measured before counts no more. */
	forget(): void {
		this.#looks.length = 0;
	}
}
