// A regular expression as a table of all states it can be in: one look a letter, whatever the expression and the text.
import type { Bits } from "./regex-bits.ts";
import type { Positions } from "./regex-positions.ts";

/** Cells of a table, 4 bytes each. */
const mostCells = 1 << 17;
/** States that an expression of any size may have; more than that, and twice its places, is the way to 2^places. */
const mostStates = 2000;

/** Rows of what cannot match any more, and of what has matched whatever follows. */
const dead = 0;
const matched = 1;

export class Table {
	readonly #classes: Uint8Array;
	readonly #width: number;
	/** The next row's place by a row's place and a class. */
	readonly #next: Int32Array;
	/** By row: does it match when the text ends here? */
	readonly #final: Uint8Array;
	readonly #start: number;
	/** Operations a letter takes. */
	readonly cost = 1;

	private constructor(classes: Uint8Array, rows: readonly Row[], start: number) {
		this.#classes = classes;
		this.#width = rows[dead]?.next.length ?? 1;
		this.#next = new Int32Array(rows.length * this.#width);
		this.#final = new Uint8Array(rows.length);
		for (const [index, { next, final }] of rows.entries()) {
			for (let column = 0; column < next.length; column++)
				this.#next[index * this.#width + column] = (next[column] as number) * this.#width;
			this.#final[index] = final ? 1 : 0;
		}
		this.#start = start * this.#width;
	}

	/** Undefined when it would be too large. `bits` is used to make it. */
	static of(positions: Positions, bits: Bits, whole: boolean): Table | undefined {
		const { classes, takes } = positions;
		const width = takes.length;
		const most = Math.min(Math.max(mostStates, 2 * positions.count), mostCells / width);
		const letters = takes.map((_, column) => classes.indexOf(column));
		const all = (row: number): number[] => letters.map(() => row);
		const rows: Row[] = [
			{ next: all(dead), final: false },
			{ next: all(matched), final: true },
		];
		const states = new States(whole);
		bits.begin();
		const start = states.rowOf(bits);
		for (let row = matched + 1; row < states.count; row++) {
			if (states.count > most) return undefined;
			const next: number[] = [];
			for (const letter of letters) {
				states.restore(bits, row);
				next.push(bits.letter(letter) ? matched : states.rowOf(bits));
			}
			states.restore(bits, row);
			rows.push({ next, final: bits.ends() });
		}
		return new Table(classes, rows, start);
	}

	/** Bytes that it takes. */
	get size(): number {
		return this.#next.byteLength + this.#final.byteLength + this.#classes.byteLength;
	}

	/** Latin1. */
	string(text: string): boolean {
		const next = this.#next;
		const classes = this.#classes;
		const width = this.#width;
		let at = this.#start;
		for (let i = 0; i < text.length; i++) {
			at = next[at + (classes[text.charCodeAt(i) & 0xff] as number)] as number;
			if (at <= width) return at === width;
		}
		return this.#final[at / width] === 1;
	}

	bytes(bytes: Uint8Array, start: number, size: number): boolean {
		const next = this.#next;
		const classes = this.#classes;
		const width = this.#width;
		const end = start + size;
		let at = this.#start;
		for (let i = start; i < end; i++) {
			at = next[at + (classes[bytes[i] as number] as number)] as number;
			if (at <= width) return at === width;
		}
		return this.#final[at / width] === 1;
	}
}

interface Row {
	/** By class. */
	readonly next: readonly number[];
	readonly final: boolean;
}

/** States found so far, by row. */
class States {
	readonly #sets: (Int32Array | undefined)[] = [undefined, undefined];
	readonly #sides: number[] = [0, 0];
	readonly #byHash = new Map<number, number[]>();
	readonly #whole: boolean;

	constructor(whole: boolean) {
		this.#whole = whole;
	}

	get count(): number {
		return this.#sets.length;
	}

	restore(bits: Bits, row: number): void {
		bits.restore(this.#sets[row] as Int32Array, this.#sides[row] as number);
	}

	rowOf({ now, side }: Bits): number {
		let hash = side;
		let some = 0;
		for (let i = 0; i < now.length; i++) {
			hash = Math.imul(hash ^ (now[i] as number), 0x01000193) ^ (hash >>> 15);
			some |= now[i] as number;
		}
		if (some === 0 && this.#whole) return dead;
		const known = this.#byHash.get(hash) ?? [];
		const found = known.find((row) => this.#sides[row] === side && same(this.#sets[row] as Int32Array, now));
		if (found !== undefined) return found;
		const row = this.#sets.push(now.slice()) - 1;
		this.#sides.push(side);
		known.push(row);
		this.#byHash.set(hash, known);
		return row;
	}
}

function same(a: Int32Array, b: Int32Array): boolean {
	for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
	return true;
}
