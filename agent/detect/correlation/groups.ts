// The groups of one correlation: bounded in number and in what they hold, the one longest without a match goes first.
// What had to go while it still counted is itself counted.
import type { Window } from "./window.ts";

export interface Group {
	/** Values of the group-by fields. */
	readonly values: readonly string[];
	readonly window: Window;
	/** ns since boot: alerted already, and told again only then. */
	quietUntil: number;
	/** Digits of the number that was told last. */
	digits: number;
}

export interface Limits {
	/** Groups of one correlation. */
	readonly groups: number;
	/** Matches held in one group. */
	readonly groupEntries: number;
	/** Matches held in all groups of one correlation. */
	readonly entries: number;
}

export class Groups {
	/** Those with the oldest match first. */
	readonly #groups = new Map<string, Group>();
	readonly #limits: Limits;
	readonly #timespan: number;
	readonly #make: () => Window;
	/** Matches held. */
	entries = 0;
	/** Groups forgotten while their window was open. */
	evicted = 0;
	/** Matches forgotten while they were in the window. */
	dropped = 0;

	constructor(limits: Limits, timespan: number, makeWindow: () => Window) {
		this.#limits = limits;
		this.#timespan = timespan;
		this.#make = makeWindow;
	}

	get size(): number {
		return this.#groups.size;
	}
	get entryCapacity(): number {
		return this.#limits.entries;
	}

	/** Runs `change` on the group's window and keeps to the limits. `now`: ns since boot of this event. */
	use(values: readonly string[], now: number, change: (window: Window) => boolean): Group | undefined {
		const key = keyOf(values);
		const known = this.#groups.get(key);
		const group = known ?? {
			values,
			window: this.#make(),
			quietUntil: Number.NEGATIVE_INFINITY,
			digits: 0,
		};
		const { window } = group;
		const before = window.size;
		const changed = change(window);
		if (known) this.#groups.delete(key);
		this.#groups.set(key, group);
		if (window.size > this.#limits.groupEntries) {
			window.shrink();
			this.dropped++;
		}
		this.entries += window.size - before;
		this.#makeRoom(now);
		return changed ? group : undefined;
	}

	#makeRoom(now: number): void {
		for (const [key, group] of this.#groups) {
			const over = this.#groups.size > this.#limits.groups || this.entries > this.#limits.entries;
			const ended = group.window.newest + this.#timespan < now;
			if (!over && !ended) return;
			// The one in use is the last, and it fits by itself.
			if (this.#groups.size === 1) return;
			this.#groups.delete(key);
			this.entries -= group.window.size;
			if (!ended) this.evicted++;
		}
	}
}

/** The lengths keep the values apart whatever they hold. */
export function keyOf(values: readonly string[]): string {
	const [only = ""] = values;
	return values.length < 2 ? only : values.map((value) => `${value.length}:${value}`).join("");
}
