// Looks for one text in another in time linear to both, whatever they are (Knuth, Morris, Pratt). What the language
// has for that takes the product of both on texts that repeat themselves.
import { asciiLower, lowerCase } from "./text.ts";

/** Up to here the language's own search is as good in the worst case, and better in all others. */
const short = 64;

/** Several checks of one text follow each other: it is folded once. */
let lastText = "";
let lastLower = "";
function lowerOf(text: string): string {
	if (text !== lastText) {
		lastText = text;
		lastLower = lowerCase(text);
	}
	return lastLower;
}

export class Needle {
	readonly #text: string;
	readonly #bytes: Uint8Array;
	readonly #ignoreCase: boolean;
	/** By how many letters fit: how many of them still do when the next one does not. */
	readonly #border: Int32Array;

	/** With `ignoreCase` a letter of ASCII is the same in either case. */
	constructor(value: Buffer, ignoreCase: boolean) {
		const text = value.toString("latin1");
		this.#ignoreCase = ignoreCase;
		this.#text = ignoreCase ? lowerCase(text) : text;
		this.#bytes = Buffer.from(this.#text, "latin1");
		const bytes = this.#bytes;
		this.#border = new Int32Array(bytes.length + 1);
		this.#border[0] = -1;
		for (let i = 0, fits = -1; i < bytes.length; ) {
			while (fits >= 0 && bytes[i] !== bytes[fits]) fits = this.#border[fits] as number;
			this.#border[++i] = ++fits;
		}
	}

	/** Latin1. */
	string(text: string): boolean {
		if (this.#bytes.length <= short)
			return this.#ignoreCase ? lowerOf(text).includes(this.#text) : text.includes(this.#text);
		let fits = 0;
		for (let i = 0; i < text.length && fits < this.#bytes.length; i++)
			fits = this.#next(fits, text.charCodeAt(i));
		return fits === this.#bytes.length;
	}

	bytes(bytes: Uint8Array, start: number, size: number): boolean {
		const end = start + size;
		let fits = 0;
		for (let i = start; i < end && fits < this.#bytes.length; i++)
			fits = this.#next(fits, bytes[i] as number);
		return fits === this.#bytes.length;
	}

	#next(before: number, sign: number): number {
		const letter = this.#ignoreCase ? asciiLower(sign) : sign;
		let fits = before;
		while (fits >= 0 && this.#bytes[fits] !== letter) fits = this.#border[fits] as number;
		return fits + 1;
	}
}
