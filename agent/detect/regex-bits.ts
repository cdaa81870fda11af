// Runs a regular expression by sets of places: every letter costs the same few operations, whatever the text. For
// expressions of which a table would be too large.
import type { Follow, Positions } from "./regex-positions.ts";
import { latin1Bytes } from "./text.ts";

/** Follow as the loop takes it. */
interface Flat {
	readonly next: Int32Array;
	/** Of each group: how many words of `from` follow, then how many of `to`; of each its place and its bits. */
	readonly code: Int32Array;
}

export class Bits {
	readonly #words: number;
	readonly #classes: Uint8Array;
	readonly #takes: readonly Int32Array[];
	readonly #sides: Uint8Array;
	readonly #sideCount: number;
	readonly #follow: readonly Flat[];
	readonly #whole: boolean;
	readonly #endWord: number;
	readonly #endBit: number;
	/** The places that the last letter stood at, and those that the next one may stand at. */
	readonly #now: Int32Array;
	readonly #then: Int32Array;
	#side = 0;
	/** Operations a letter takes at most. */
	readonly cost: number;

	constructor(positions: Positions, whole: boolean) {
		this.#words = positions.words;
		this.#classes = positions.classes;
		this.#takes = positions.takes;
		this.#sides = positions.sides;
		this.#sideCount = positions.sideCount;
		this.#follow = positions.follow.map(flatten);
		this.#whole = whole;
		this.#endWord = positions.end >>> 5;
		this.#endBit = 1 << (positions.end & 31);
		this.#now = new Int32Array(this.#words);
		this.#then = new Int32Array(this.#words);
		this.cost = 3 * this.#words + Math.max(...this.#follow.map(({ code }) => code.length));
	}

	/** Latin1. */
	string(text: string): boolean {
		return this.bytes(latin1Bytes(text), 0, text.length);
	}

	/** What `letter` does, for each of them; written out, since calls would cost twice as much as the work. */
	bytes(bytes: Uint8Array, start: number, size: number): boolean {
		this.begin();
		const now = this.#now;
		const more = this.#then.fill(0);
		const words = this.#words;
		const classes = this.#classes;
		const sides = this.#sides;
		const searched = this.#whole ? 0 : this.#endBit;
		const begin = this.#whole ? 0 : 1;
		const end = start + size;
		let before = this.#side;
		for (let at = start; at < end; at++) {
			const column = classes[bytes[at] as number] as number;
			const side = sides[column] as number;
			const { next, code } = this.#follow[before * this.#sideCount + side] as Flat;
			before = side;
			for (let i = 0; i < code.length; ) {
				const to = i + 2 + 2 * (code[i] as number);
				const last = to + 2 * (code[i + 1] as number);
				let some = 0;
				for (i += 2; i < to; i += 2) some |= (now[code[i] as number] as number) & (code[i + 1] as number);
				if (some !== 0)
					for (; i < last; i += 2)
						more[code[i] as number] = (more[code[i] as number] as number) | (code[i + 1] as number);
				i = last;
			}
			const takes = this.#takes[column] as Int32Array;
			let carry = 0;
			let left = 0;
			let then = 0;
			for (let i = 0; i < words; i++) {
				const some = (now[i] as number) & (next[i] as number);
				then = (some << 1) | carry | (more[i] as number);
				carry = some >>> 31;
				more[i] = 0;
				const fits = then & (takes[i] as number);
				now[i] = fits;
				left |= fits;
			}
			// The end is the last place, and so in the last word.
			if ((then & searched) !== 0) return true;
			if (left === 0 && begin === 0) return false;
			now[0] = (now[0] as number) | begin;
		}
		this.#side = before;
		return this.ends();
	}

	begin(): void {
		this.#now.fill(0);
		this.#now[0] = 1;
		this.#side = this.#sides[this.#sides.length - 1] as number;
	}

	/** Takes a letter; true when some part of the text before it matches, which settles a search. */
	letter(letter: number): boolean {
		const now = this.#now;
		const then = this.#then;
		const column = this.#classes[letter] as number;
		const side = this.#sides[column] as number;
		this.#cross(side);
		if (!this.#whole && ((then[this.#endWord] as number) & this.#endBit) !== 0) return true;
		const takes = this.#takes[column] as Int32Array;
		for (let i = 0; i < this.#words; i++) now[i] = (then[i] as number) & (takes[i] as number);
		if (!this.#whole) now[0] = (now[0] as number) | 1;
		this.#side = side;
		return false;
	}

	/** Does it match with the text's end here? */
	ends(): boolean {
		this.#cross(this.#sides[this.#sides.length - 1] as number);
		return ((this.#then[this.#endWord] as number) & this.#endBit) !== 0;
	}

	/** From the places before a gap to those after it. */
	#cross(side: number): void {
		const now = this.#now;
		const then = this.#then;
		const { next, code } = this.#follow[this.#side * this.#sideCount + side] as Flat;
		let carry = 0;
		for (let i = 0; i < this.#words; i++) {
			const some = (now[i] as number) & (next[i] as number);
			then[i] = (some << 1) | carry;
			carry = some >>> 31;
		}
		for (let i = 0; i < code.length; ) {
			let some = 0;
			const to = i + 2 + 2 * (code[i] as number);
			const end = to + 2 * (code[i + 1] as number);
			for (i += 2; i < to; i += 2) some |= (now[code[i] as number] as number) & (code[i + 1] as number);
			if (some !== 0) {
				for (; i < end; i += 2)
					then[code[i] as number] = (then[code[i] as number] as number) | (code[i + 1] as number);
			}
			i = end;
		}
	}

	/** The set of places that a letter may have stood at, to tell states apart. */
	get now(): Int32Array {
		return this.#now;
	}
	get side(): number {
		return this.#side;
	}
	restore(now: Int32Array, side: number): void {
		this.#now.set(now);
		this.#side = side;
	}
}

function flatten({ next, groups }: Follow): Flat {
	const code: number[] = [];
	const filled = (set: Int32Array): number[][] =>
		Array.from(set, (bits, word) => [word, bits]).filter(([, bits]) => bits !== 0);
	for (const { from, to } of groups) {
		const [source, target] = [filled(from), filled(to)];
		code.push(source.length, target.length, ...source.flat(), ...target.flat());
	}
	return { next, code: Int32Array.from(code) };
}
