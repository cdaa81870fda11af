// What rules cost in CPU time. Measured on one event in 32 on average, and only of the rules that the index lets through:
// the clock is asked twice a rule there and never on the other events. What rules have in common is charged to the one
// that asked first, which is what would be saved without it only when no other asks: so one rule is judged at a time.

/** Estimated from what was measured. */
export interface RuleCost {
	readonly rule: string;
	readonly ms: number;
	readonly evaluations: number;
}

/** One event in so many is measured. */
export const every = 32;
/** ms. No rule takes longer for an event: the thread stood still meanwhile, and that is nothing the rule has cost. */
const longest = 10;

export class Costs {
	#left = every;
	#seed = 1;
	readonly #rules: readonly string[];
	readonly #ms: Float64Array;
	readonly #evaluations: Float64Array;

	/** A rule is named by its place in this list. */
	constructor(rules: readonly string[]) {
		this.#rules = rules;
		this.#ms = new Float64Array(rules.length);
		this.#evaluations = new Float64Array(rules.length);
	}

	/** Whether this event is measured. */
	begin(): boolean {
		if (--this.#left > 0) return false;
		// From 1 to 63 events later: a program whose events come in turns would else have only one kind of them measured.
		this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
		this.#left = 1 + ((this.#seed >> 8) % (2 * every - 1));
		return true;
	}

	/** A rule was looked at in that time, ms. */
	add(rule: number, ms: number): void {
		this.#ms[rule] = (this.#ms[rule] as number) + Math.min(ms, longest) * every;
		this.#evaluations[rule] = (this.#evaluations[rule] as number) + every;
	}

	/** Of the rules that have cost anything since this was last asked. */
	take(): RuleCost[] {
		const costs = this.#rules.flatMap((rule, index) => {
			const evaluations = this.#evaluations[index] as number;
			return evaluations > 0 ? [{ rule, ms: this.#ms[index] as number, evaluations }] : [];
		});
		this.#ms.fill(0);
		this.#evaluations.fill(0);
		return costs;
	}
}
