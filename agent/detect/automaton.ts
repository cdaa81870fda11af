// Finds which of many literals a text holds in one pass over it (Aho-Corasick), however many they are. The two ends
// of a text are letters of their own, so that a prefix, a suffix and the whole text are literals like any other.

export interface Literal {
	/** Latin1. Not empty unless both ends are asked for. */
	readonly text: string;
	/** Only at the text's begin; only at its end. */
	readonly begin: boolean;
	readonly end: boolean;
}

const root = 0;
/** Letters that no literal has share a class. */
const otherClass = 0;
const beginClass = 1;
const endClass = 2;

/** What a text is fed to, in one piece or in several. */
export interface Scan {
	/** A new text begins. */
	begin(): void;
	string(text: string): void;
	bytes(bytes: Uint8Array, start: number, size: number): void;
	end(): void;
}

export class Automaton implements Scan {
	readonly #classes = new Uint16Array(256);
	readonly #width: number;
	/** Next state by state and class; a state is its row's place in here. */
	readonly #next: Int32Array;
	/** States from here on are the end of some literal. */
	readonly #firstFinal: number;
	/** What each final state has found, from `firstFinal` on. */
	readonly #found: readonly Int32Array[];
	readonly #onFound: (values: Int32Array) => void;
	#state = root;

	/**
	 * `onFound` gets the values of the literals that end at a place; the same one may come again. With `ignoreCase` a
	 * letter of ASCII is the same in either case.
	 */
	constructor(
		entries: readonly (readonly [literal: Literal, value: number])[],
		onFound: (values: Int32Array) => void,
		ignoreCase = false,
	) {
		this.#onFound = onFound;
		let width = endClass + 1;
		const same = (sign: number): number => (ignoreCase && sign >= 0x41 && sign <= 0x5a ? sign + 0x20 : sign);
		for (const [{ text }] of entries)
			for (const sign of Buffer.from(text, "latin1"))
				if (this.#classes[same(sign)] === otherClass) this.#classes[same(sign)] = width++;
		for (let sign = 0; sign < 256; sign++) this.#classes[sign] = this.#classes[same(sign)] as number;
		this.#width = width;
		const trie = new Trie(entries.reduce((sum, [{ text }]) => sum + text.length + 2, 1));
		for (const [literal, value] of entries) trie.add(literal, this.#classes, value);
		const byDepth = trie.link();
		const isFinal = (state: number): boolean => trie.values[state] !== undefined;
		const finals = byDepth.filter(isFinal);
		const order = [...byDepth.filter((state) => !isFinal(state)), ...finals];
		const rows = new Int32Array(trie.size);
		for (let place = 0; place < order.length; place++) rows[order[place] as number] = place * width;
		const next = new Int32Array(trie.size * width);
		// By depth: what a state fails to is nearer to the root and has its row already.
		for (const state of byDepth) {
			const row = rows[state] as number;
			const fallback = rows[trie.fail[state] as number] as number;
			next.copyWithin(row, fallback, fallback + width);
			for (const child of trie.children(state))
				next[row + (trie.letter[child] as number)] = rows[child] as number;
		}
		this.#next = next;
		this.#firstFinal = (order.length - finals.length) * width;
		const made = new Map<readonly number[], Int32Array>();
		this.#found = Array.from(finals, (state) => {
			const values = trie.values[state] as readonly number[];
			const found = made.get(values) ?? Int32Array.from(values);
			made.set(values, found);
			return found;
		});
	}

	/** Bytes its table takes. */
	get size(): number {
		return this.#next.byteLength;
	}

	begin(): void {
		this.#state = this.#next[beginClass] as number;
		if (this.#state >= this.#firstFinal) this.#report(this.#state);
	}

	string(text: string): void {
		const next = this.#next;
		const classes = this.#classes;
		const final = this.#firstFinal;
		let state = this.#state;
		for (let i = 0; i < text.length; i++) {
			const sign = text.charCodeAt(i);
			state = next[state + (sign < 256 ? (classes[sign] as number) : otherClass)] as number;
			if (state >= final) this.#report(state);
		}
		this.#state = state;
	}

	bytes(bytes: Uint8Array, start: number, size: number): void {
		const next = this.#next;
		const classes = this.#classes;
		const final = this.#firstFinal;
		let state = this.#state;
		const end = start + size;
		for (let i = start; i < end; i++) {
			state = next[state + (classes[bytes[i] as number] as number)] as number;
			if (state >= final) this.#report(state);
		}
		this.#state = state;
	}

	end(): void {
		this.#state = this.#next[this.#state + endClass] as number;
		if (this.#state >= this.#firstFinal) this.#report(this.#state);
	}

	#report(state: number): void {
		this.#onFound(this.#found[(state - this.#firstFinal) / this.#width] as Int32Array);
	}
}

/** States by number. The root is 0, which as a child, a sibling or a failure's target of others says that there is none. */
class Trie {
	size = 1;
	/** By which a state is reached from its parent. */
	readonly letter: Uint16Array;
	/** After `link`: where a state goes on when a letter does not fit. */
	readonly fail: Int32Array;
	/** What has been found in a state; after `link` also what is found in those that it fails to. */
	readonly values: (readonly number[] | undefined)[] = [];
	readonly #child: Int32Array;
	readonly #sibling: Int32Array;

	constructor(mostStates: number) {
		this.letter = new Uint16Array(mostStates);
		this.fail = new Int32Array(mostStates);
		this.#child = new Int32Array(mostStates);
		this.#sibling = new Int32Array(mostStates);
	}

	add({ text, begin, end }: Literal, classes: Uint16Array, value: number): void {
		let at = begin ? this.#step(root, beginClass) : root;
		for (let i = 0; i < text.length; i++) at = this.#step(at, classes[text.charCodeAt(i) & 0xff] as number);
		if (end) at = this.#step(at, endClass);
		this.values[at] = [...(this.values[at] ?? []), value];
	}

	#step(from: number, letter: number): number {
		const known = this.#next(from, letter);
		if (known !== 0) return known;
		const made = this.size++;
		this.letter[made] = letter;
		this.#sibling[made] = this.#child[from] as number;
		this.#child[from] = made;
		return made;
	}

	#next(from: number, letter: number): number {
		let at = this.#child[from] as number;
		while (at !== 0 && this.letter[at] !== letter) at = this.#sibling[at] as number;
		return at;
	}

	*children(state: number): Generator<number> {
		for (let at = this.#child[state] as number; at !== 0; at = this.#sibling[at] as number) yield at;
	}

	/** Returns every state, those nearer to the root first. */
	link(): Int32Array {
		const { fail, letter, values } = this;
		const byDepth = new Int32Array(this.size);
		let count = 1;
		for (const state of byDepth) {
			for (const child of this.children(state)) {
				let at = fail[state] as number;
				while (at !== root && this.#next(at, letter[child] as number) === 0) at = fail[at] as number;
				fail[child] = state === root ? root : this.#next(at, letter[child] as number);
				byDepth[count++] = child;
			}
			const own = values[state];
			const inherited = values[fail[state] as number];
			values[state] = own && inherited ? [...new Set([...own, ...inherited])] : (own ?? inherited);
		}
		return byDepth;
	}
}
