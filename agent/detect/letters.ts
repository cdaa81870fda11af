// Captured texts are bytes; regular expressions, and the ? of Sigma, are about characters. Where a text has others than
// ASCII's, each of its characters becomes one letter. Those that a pattern does not tell apart become the same one, so
// that 256 letters are enough for every pattern.
import type { Regex } from "./regex.ts";
import { latin1Bytes } from "./text.ts";

/** What is no UTF-8 counts as this one, as in most programs. */
const replacement = 0xfffd;
const firstLetter = 0x80;
const noAscii = /[^\0-\x7f]/;

export class Letters {
	/** Characters from which on another letter stands for them, the first one of them 0x80. */
	readonly #starts: readonly number[];
	readonly #letters: readonly number[];

	/**
	 * `borders`: where characters begin that may differ from those before; `wordOf`: the same for characters that do not
	 * differ. Undefined when there are too many different ones.
	 */
	static of(borders: Iterable<number>, wordOf: (code: number) => string): Letters | undefined {
		const beyond = [...borders, firstLetter, replacement, replacement + 1].filter(
			(code) => code >= firstLetter,
		);
		const starts = [...new Set(beyond)].sort((a, b) => a - b);
		const words = new Map<string, number>();
		const letters = starts.map((code) => {
			const word = wordOf(code);
			if (!words.has(word)) words.set(word, firstLetter + words.size);
			return words.get(word) as number;
		});
		return words.size <= 256 - firstLetter ? new Letters(starts, letters) : undefined;
	}

	private constructor(starts: readonly number[], letters: readonly number[]) {
		this.#starts = starts;
		this.#letters = letters;
	}

	/** A character that the letter stands for. */
	codeOf(letter: number): number {
		if (letter < firstLetter) return letter;
		return this.#starts[Math.max(0, this.#letters.indexOf(letter))] as number;
	}

	letterOf(code: number): number {
		if (code < firstLetter) return code;
		let [low, high] = [0, this.#starts.length - 1];
		while (low < high) {
			const middle = (low + high + 1) >>> 1;
			if ((this.#starts[middle] as number) <= code) low = middle;
			else high = middle - 1;
		}
		return this.#letters[low] as number;
	}

	/** The same search over texts of UTF-8. */
	over(search: Regex): Regex {
		const bytes = (from: Uint8Array, start: number, size: number): boolean => {
			for (let i = start; i < start + size; i++)
				if ((from[i] as number) >= firstLetter)
					return search.bytes(scratch, 0, this.#read(from, start, size));
			return search.bytes(from, start, size);
		};
		return {
			cost: search.cost,
			string: (text) => (noAscii.test(text) ? bytes(latin1Bytes(text), 0, text.length) : search.string(text)),
			bytes,
		};
	}

	/** Letters of the text into `scratch`; returns how many. */
	#read(from: Uint8Array, start: number, size: number): number {
		if (scratch.length < size) scratch = Buffer.allocUnsafe(2 * size);
		const end = start + size;
		let count = 0;
		for (let at = start; at < end; count++) {
			const first = from[at] as number;
			if (first < firstLetter) {
				scratch[count] = first;
				at++;
				continue;
			}
			const more = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
			let code = first & (0x3f >> more);
			// Longer forms than needed, surrogates and what is beyond Unicode are no characters.
			let least = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
			let most = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
			let taken = 1;
			for (; taken <= more && at + taken < end; taken++) {
				const next = from[at + taken] as number;
				if (next < least || next > most) break;
				code = (code << 6) | (next & 0x3f);
				[least, most] = [0x80, 0xbf];
			}
			scratch[count] = this.letterOf(more > 0 && taken > more ? code : replacement);
			at += taken;
		}
		return count;
	}
}
let scratch = Buffer.allocUnsafe(4096);
