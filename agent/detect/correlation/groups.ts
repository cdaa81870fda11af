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
	readonly key: string;
	/** Neighbours in the order of the last match. */
	older: Group | undefined;
	newer: Group | undefined;
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
	readonly #groups = new Map<string, Group>();
	readonly #limits: Limits;
	readonly #timespan: number;
	readonly #make: () => Window;
	/** Ends of the order. A Map's own order would do, but finding its first is slow after many were deleted. */
	#oldest: Group | undefined;
	#latest: Group | undefined;
	/** Time of the newest event of all groups. */
	#newest = Number.NEGATIVE_INFINITY;
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

	/**
	 * The group, once `change` has been done to its window. Undefined when nothing was changed, or when the event, of
	 * `time` ns since boot, is older than one timespan before the newest: it comes too late.
	 */
	use(values: readonly string[], time: number, change: (window: Window) => boolean): Group | undefined {
		if (time < this.#newest - this.#timespan) return undefined;
		this.#newest = Math.max(this.#newest, time);
		const key = keyOf(values);
		const group = this.#groups.get(key) ?? this.#begin(key, values);
		const { window } = group;
		const before = window.size;
		const changed = change(window);
		this.#moveUp(group);
		if (window.size > this.#limits.groupEntries) {
			window.shrink();
			this.dropped++;
		}
		this.entries += window.size - before;
		this.#makeRoom();
		return changed ? group : undefined;
	}

	#begin(key: string, values: readonly string[]): Group {
		const group: Group = {
			key,
			values,
			window: this.#make(),
			quietUntil: Number.NEGATIVE_INFINITY,
			digits: 0,
			older: undefined,
			newer: undefined,
		};
		this.#groups.set(key, group);
		return group;
	}

	#moveUp(group: Group): void {
		if (group === this.#latest) return;
		this.#takeOut(group);
		group.older = this.#latest;
		if (this.#latest) this.#latest.newer = group;
		this.#latest = group;
		this.#oldest ??= group;
	}

	#takeOut(group: Group): void {
		const { older, newer } = group;
		if (older) older.newer = newer;
		if (newer) newer.older = older;
		if (group === this.#oldest) this.#oldest = newer;
		if (group === this.#latest) this.#latest = older;
		group.older = undefined;
		group.newer = undefined;
	}

	#makeRoom(): void {
		// No event that is still taken looks further back.
		const ended = this.#newest - 2 * this.#timespan;
		// The one in use is the latest, and it fits by itself.
		for (let group = this.#oldest; group && group !== this.#latest; group = this.#oldest) {
			const over = this.#groups.size > this.#limits.groups || this.entries > this.#limits.entries;
			if (!over && group.window.newest >= ended) return;
			this.#forget(group);
		}
	}

	/** Forgets the group longest without a match, unless it is the only one. */
	forgetOldest(): void {
		if (this.#oldest && this.#oldest !== this.#latest) this.#forget(this.#oldest);
	}

	#forget(group: Group): void {
		this.#takeOut(group);
		this.#groups.delete(group.key);
		this.entries -= group.window.size;
		if (group.window.newest >= this.#newest - this.#timespan) this.evicted++;
	}
}

/** The lengths keep the values apart whatever they hold. */
export function keyOf(values: readonly string[]): string {
	const [only = ""] = values;
	return values.length < 2 ? only : values.map((value) => `${value.length}:${value}`).join("");
}
