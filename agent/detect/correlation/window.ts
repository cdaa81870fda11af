// The matches of one group within one timespan of event time, and what is measured of them. The window ends at the
// newest match; a match exactly one timespan older is still inside.
import type { Entry, Measure } from "./measure.ts";

export class Window {
	/** In order of their time; those that came first, first. What stands before #first is gone. */
	#entries: Entry[] = [];
	#first = 0;
	#lastNumber = -1;
	/** Matches in the window by rule. */
	readonly #counts: number[];
	readonly #measure: Measure;
	readonly #timespan: number;
	readonly #once: boolean;
	/** ns since boot; -Infinity while there was none. */
	newest = Number.NEGATIVE_INFINITY;

	/** `positions`: rules listed. `timespan`: ns. `once`: an event counts once, however many of them it matches. */
	constructor(measure: Measure, positions: number, timespan: number, once: boolean) {
		this.#counts = new Array<number>(positions).fill(0);
		this.#measure = measure;
		this.#timespan = timespan;
		this.#once = once;
	}

	get size(): number {
		return this.#entries.length - this.#first;
	}

	/** False when it is the same event again. It must not be older than the window. */
	add(entry: Entry): boolean {
		if (this.#once && entry.number === this.#lastNumber) return false;
		this.#lastNumber = entry.number;
		this.#counts[entry.position] = (this.#counts[entry.position] ?? 0) + 1;
		if (entry.time >= this.newest) {
			this.newest = entry.time;
			this.#entries.push(entry);
			this.#measure.add(entry);
			this.#expire();
			return true;
		}
		this.#insert(entry);
		return true;
	}

	/** For lack of room: of the rule that matched most, so that a flood of one does not push out another's match. */
	shrink(): void {
		const most = this.#counts.indexOf(Math.max(...this.#counts));
		let at = this.#first;
		while (this.#entries[at]?.position !== most) at++;
		this.#forget(this.#entries[at] as Entry);
		// The few before it move up: that costs less than moving all behind it down.
		for (; at > this.#first; at--) this.#entries[at] = this.#entries[at - 1] as Entry;
		this.#cut(this.#first + 1);
	}

	value(): number {
		return this.#measure.value(this.newest - this.#timespan);
	}

	/** What made up the value, oldest first. */
	chosen(): readonly Entry[] {
		return this.#measure.chosen?.(this.newest - this.#timespan) ?? this.#entries.slice(this.#first);
	}

	#expire(): void {
		const since = this.newest - this.#timespan;
		while (this.size > 0 && (this.#entries[this.#first] as Entry).time < since) {
			this.#forget(this.#entries[this.#first] as Entry);
			this.#cut(this.#first + 1);
		}
	}

	/** What stands before `first` is gone. */
	#cut(first: number): void {
		this.#first = first;
		if (first < 32 || first * 2 < this.#entries.length) return;
		this.#entries = this.#entries.slice(first);
		this.#first = 0;
	}

	#forget(entry: Entry): void {
		this.#counts[entry.position] = (this.#counts[entry.position] ?? 0) - 1;
		this.#measure.remove(entry);
	}

	/** Events of several processors come a little out of order: the place is near the end. */
	#insert(entry: Entry): void {
		let at = this.#entries.length;
		while (at > this.#first && (this.#entries[at - 1] as Entry).time > entry.time) at--;
		this.#entries.splice(at, 0, entry);
		if (!this.#measure.restart) {
			this.#measure.add(entry);
			return;
		}
		this.#measure.restart();
		for (let i = this.#first; i < this.#entries.length; i++) this.#measure.add(this.#entries[i] as Entry);
	}
}
