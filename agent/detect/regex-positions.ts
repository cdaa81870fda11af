// A regular expression as the places in it that take a letter, and which of them may follow which (Glushkov's
// automaton), each set of places as bits. Made of the program that the library compiles an expression to; running that
// program as the library does takes from ten to a thousand times as long.

import { Letters } from "./letters.ts";

/** An instruction of a program, as Go's regexp/syntax numbers and names them. A test holds this against the library. */
interface Instruction {
	readonly op: number;
	/** Where it goes on. */
	readonly out: number;
	/** The other way of an alternative; what an empty-width instruction asks for. */
	readonly arg: number;
	/** Letters, or ranges of letters, that it takes. */
	readonly runes: ArrayLike<number>;
	matchRune(letter: number): boolean;
}
export interface Program {
	readonly inst: readonly Instruction[];
	readonly start: number;
}

const op = {
	alternative: 1,
	alternativeMatch: 2,
	capture: 3,
	emptyWidth: 4,
	match: 6,
	nop: 7,
	rune: 8,
	lastRune: 11,
};
/** What an empty-width instruction may ask for of the gap between two letters. */
const gap = { beginLine: 1, endLine: 2, beginText: 4, endText: 8, wordBoundary: 16, noWordBoundary: 32 };
const lineFeed = 0x0a;

/** Steps that making one may take, some 10 ns each. */
const mostSteps = 1 << 22;

export class TooLarge extends Error {}

/** Sets of places, `words` each: which may stand after a gap when these stood before it. */
export interface Follow {
	/** Places that the next one may follow, among others. */
	readonly next: Int32Array;
	/** What else may follow, the same for several places. */
	readonly groups: readonly { readonly from: Int32Array; readonly to: Int32Array }[];
}

/** What a letter is to the gaps beside it; -1 is the text's begin and end. */
type Side = number;

export class Positions {
	/** 32-bit words of a set. Place 0 is the begin, the last one the end. */
	readonly words: number;
	readonly count: number;
	/** Of each letter its class: letters in one class are the same to all places. */
	readonly classes = new Uint8Array(256);
	/** By class the places that take it. */
	readonly takes: readonly Int32Array[];
	/** By class what it is to the gaps beside it; one more for the text's ends. */
	readonly sides: Uint8Array;
	/** What `sides` tells apart. */
	readonly sideCount: number;
	/** By the sides before and after a gap (before × sideCount + after). */
	readonly follow: readonly Follow[];

	readonly #program: Program;
	readonly #alphabet: Letters;
	readonly #places: readonly number[];
	readonly #placeOf: Int32Array;
	readonly #seen: Uint32Array;
	#walk = 0;
	#steps = 0;

	/** Throws TooLarge. */
	constructor(program: Program, letters: Letters) {
		this.#program = program;
		this.#alphabet = letters;
		const { inst } = program;
		this.#seen = new Uint32Array(inst.length);
		this.#places = inst.flatMap((each, pc) => (isLetter(each) ? [pc] : []));
		this.count = this.#places.length + 2;
		this.words = (this.count + 31) >>> 5;
		this.#placeOf = new Int32Array(inst.length).fill(-1);
		for (const [index, pc] of this.#places.entries()) this.#placeOf[pc] = index + 1;
		for (const [pc, { op: kind }] of inst.entries())
			if (kind === op.match) this.#placeOf[pc] = this.count - 1;

		const asked = inst.reduce((all, each) => (each.op === op.emptyWidth ? all | each.arg : all), 0);
		const kindsOfLetters = this.#classify(asked);
		this.takes = kindsOfLetters.map((letter) =>
			this.#set(this.#places.flatMap((pc, index) => (this.#takes(pc, letter) ? [index + 1] : []))),
		);
		// Gaps beside letters that differ in nothing that is asked for are the same.
		const kinds: Side[] = [];
		const sideOf = (letter: Side): number => {
			const same = kinds.findIndex((each) =>
				[-1, 0x0a, 0x61].every((other) => alike(each, letter, other, asked)),
			);
			return same >= 0 ? same : kinds.push(letter) - 1;
		};
		this.sides = Uint8Array.from([...kindsOfLetters, -1], sideOf);
		this.sideCount = kinds.length;
		this.follow = kinds.flatMap((before) => kinds.map((after) => this.#follow(holding(before, after))));
	}

	get end(): number {
		return this.count - 1;
	}

	#at(pc: number): Instruction {
		return this.#program.inst[pc] as Instruction;
	}

	#takes(pc: number, letter: number): boolean {
		return this.#at(pc).matchRune(this.#alphabet.codeOf(letter));
	}

	#set(places: Iterable<number>): Int32Array {
		const set = new Int32Array(this.words);
		for (const place of places) set[place >>> 5] = (set[place >>> 5] as number) | (1 << (place & 31));
		return set;
	}

	/** Fills in the classes; returns one letter of each. */
	#classify(asked: number): number[] {
		const { classes } = this;
		let count = 1;
		const split = (holds: (letter: number) => boolean): void => {
			const of = new Map<number, number>();
			for (let letter = 0; letter < 256; letter++) {
				const key = 2 * (classes[letter] as number) + (holds(letter) ? 1 : 0);
				if (!of.has(key)) of.set(key, of.size);
				classes[letter] = of.get(key) as number;
			}
			count = of.size;
		};
		const known = new Set<string>();
		for (const pc of this.#places) {
			const each = this.#at(pc);
			const key = `${each.arg} ${Array.from(each.runes).join()}`;
			if (!known.has(key)) split((letter) => this.#takes(pc, letter));
			known.add(key);
		}
		if ((asked & (gap.beginLine | gap.endLine)) !== 0) split((letter) => letter === lineFeed);
		if ((asked & (gap.wordBoundary | gap.noWordBoundary)) !== 0) split(isWord);
		return Array.from({ length: count }, (_, index) => classes.indexOf(index));
	}

	#follow(held: number): Follow {
		const next = new Int32Array(this.words);
		const groups = new Map<string, { readonly from: Int32Array; readonly to: Int32Array }>();
		for (let place = 0; place < this.end; place++) {
			const pc = place === 0 ? this.#program.start : this.#at(this.#places[place - 1] as number).out;
			const after = this.#reach(pc, held);
			const [bit, word] = [1 << (place & 31), place >>> 5];
			const others = after.filter((each) => each !== place + 1);
			if (others.length < after.length) next[word] = (next[word] as number) | bit;
			if (others.length === 0) continue;
			const key = others.join();
			const group = groups.get(key) ?? { from: new Int32Array(this.words), to: this.#set(others) };
			group.from[word] = (group.from[word] as number) | bit;
			groups.set(key, group);
		}
		return { next, groups: [...groups.values()] };
	}

	/** The places that one gets to from an instruction without a letter, in a gap of which so much holds. */
	#reach(from: number, held: number): number[] {
		const found: number[] = [];
		const stack = [from];
		this.#walk++;
		for (let pc = stack.pop(); pc !== undefined; pc = stack.pop()) {
			if (this.#seen[pc] === this.#walk) continue;
			if (++this.#steps > mostSteps) throw new TooLarge();
			this.#seen[pc] = this.#walk;
			const { op: kind, out, arg } = this.#at(pc);
			const place = this.#placeOf[pc] as number;
			if (place >= 0) found.push(place);
			else if (kind === op.alternative || kind === op.alternativeMatch) stack.push(arg, out);
			else if (kind === op.capture || kind === op.nop) stack.push(out);
			else if (kind === op.emptyWidth && (arg & ~held) === 0) stack.push(out);
		}
		return found.sort((a, b) => a - b);
	}
}

/** The alphabet of a program: characters that no instruction tells apart are one letter. Throws TooLarge. */
export function lettersOf({ inst }: Program): Letters {
	const distinct = new Map<string, Instruction>();
	for (const each of inst.filter(isLetter))
		distinct.set(`${each.op} ${each.arg} ${Array.from(each.runes).join()}`, each);
	const all = [...distinct.values()];
	const borders = all.flatMap(({ runes }) => {
		const ends = Array.from(runes);
		// One alone may be taken in all its cases; of ranges every second number is the last one.
		const codes = ends.length === 1 ? casesOf(ends[0] as number) : ends;
		return codes.flatMap((code) => [code, code + 1]);
	});
	const letters = Letters.of(borders, (code) =>
		all.map((each) => (each.matchRune(code) ? "1" : "0")).join(""),
	);
	if (!letters) throw new TooLarge();
	return letters;
}

/** Characters that are the same where case does not count, and perhaps some more. */
function casesOf(code: number): number[] {
	const sign = String.fromCodePoint(code);
	const cases = [sign, sign.toLowerCase(), sign.toUpperCase(), sign.toUpperCase().toLowerCase()];
	const more = [0xb5, 0x17f, 0x3bc, 0x1e9e, 0x2126, 0x212a, 0x212b];
	return [...cases.map((each) => each.codePointAt(0) ?? code), ...more];
}

function isLetter({ op: kind }: Instruction): boolean {
	return kind >= op.rune && kind <= op.lastRune;
}

/** What holds of the gap between two letters. */
function holding(before: Side, after: Side): number {
	return (
		(before === -1 ? gap.beginText | gap.beginLine : before === lineFeed ? gap.beginLine : 0) |
		(after === -1 ? gap.endText | gap.endLine : after === lineFeed ? gap.endLine : 0) |
		(isWord(before) === isWord(after) ? gap.noWordBoundary : gap.wordBoundary)
	);
}

function alike(one: Side, two: Side, other: Side, asked: number): boolean {
	return (
		((holding(one, other) ^ holding(two, other)) & asked) === 0 &&
		((holding(other, one) ^ holding(other, two)) & asked) === 0
	);
}

function isWord(letter: Side): boolean {
	return (
		(letter >= 0x30 && letter <= 0x39) ||
		(letter >= 0x41 && letter <= 0x5a) ||
		letter === 0x5f ||
		(letter >= 0x61 && letter <= 0x7a)
	);
}
