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
		const trie = new Trie();
		for (const [{ text, begin, end }, value] of entries) {
			const letters = [...Buffer.from(text, "latin1")].map((sign) => this.#classes[sign] as number);
			trie.add([...(begin ? [beginClass] : []), ...letters, ...(end ? [endClass] : [])], value);
		}
		const { order, firstFinal } = trie.link();
		const rows = new Map(order.map((state, row) => [state, row * width]));
		this.#next = new Int32Array(order.length * width);
		// By depth: what a state fails to is nearer to the root and has its row already.
		for (const state of trie.byDepth) {
			const row = rows.get(state) as number;
			const fallback = rows.get(state.fail) as number;
			for (let letter = 0; letter < width; letter++) {
				const next = state.next.get(letter);
				const otherwise = state === trie.root ? root : (this.#next[fallback + letter] as number);
				this.#next[row + letter] = next ? (rows.get(next) as number) : otherwise;
			}
		}
		this.#firstFinal = firstFinal * width;
		this.#found = order.slice(firstFinal).map(({ values }) => Int32Array.from(values));
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

interface State {
	readonly next: Map<number, State>;
	fail: State;
	values: Set<number>;
}

class Trie {
	readonly root: State = { next: new Map(), fail: undefined as unknown as State, values: new Set() };
	/** After `link`: every state, the root first. */
	readonly byDepth: State[] = [this.root];

	add(letters: readonly number[], value: number): void {
		let at = this.root;
		for (const letter of letters) {
			let next = at.next.get(letter);
			if (!next) {
				next = { next: new Map(), fail: this.root, values: new Set() };
				at.next.set(letter, next);
			}
			at = next;
		}
		at.values.add(value);
	}

	/** Finds where each state goes on when a letter does not fit; returns the states, final ones last. */
	link(): { order: State[]; firstFinal: number } {
		const { root: top, byDepth } = this;
		top.fail = top;
		// Grows while it is walked: breadth first.
		for (const state of byDepth) {
			for (const [letter, next] of state.next) {
				let fail = state.fail;
				while (fail !== top && !fail.next.has(letter)) fail = fail.fail;
				next.fail = state === top ? top : (fail.next.get(letter) ?? top);
				byDepth.push(next);
			}
			for (const value of state.fail.values) state.values.add(value);
		}
		const plain = byDepth.filter(({ values }) => values.size === 0);
		return {
			order: [...plain, ...byDepth.filter(({ values }) => values.size > 0)],
			firstFinal: plain.length,
		};
	}
}
