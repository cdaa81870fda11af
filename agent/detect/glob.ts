// Globs in time linear to the text: between two * stands a run of signs, the first place of which is looked for with
// all its places at once, a bit each (Baeza-Yates and Gonnet's shift-and).
import { latin1Bytes } from "./text.ts";

/** Signs that stand next to each other. */
class Run {
	readonly size: number;
	/** Of 32 places each. */
	readonly words: number;
	/** By letter (× words) the places that take it. */
	readonly #takes: Int32Array;
	/** Places that the text so far ends at. */
	readonly #now: Int32Array;

	constructor(signs: readonly Uint8Array[]) {
		this.size = signs.length;
		this.words = Math.max(1, (signs.length + 31) >>> 5);
		this.#takes = new Int32Array(256 * this.words);
		this.#now = new Int32Array(this.words);
		for (const [place, sign] of signs.entries()) {
			for (let letter = 0; letter < 256; letter++) {
				const at = letter * this.words + (place >>> 5);
				if (sign[letter] === 1) this.#takes[at] = (this.#takes[at] as number) | (1 << (place & 31));
			}
		}
	}

	/** Does it stand there? The text must be that long. */
	standsAt(bytes: Uint8Array, start: number): boolean {
		for (let place = 0; place < this.size; place++) {
			const bits = this.#takes[(bytes[start + place] as number) * this.words + (place >>> 5)] as number;
			if (((bits >>> (place & 31)) & 1) === 0) return false;
		}
		return true;
	}

	/** Where its first place in the text from `start` to `end` ends; -1: nowhere. */
	find(bytes: Uint8Array, start: number, end: number): number {
		if (this.size === 0) return start;
		const now = this.#now.fill(0);
		const words = this.words;
		const takes = this.#takes;
		const last = 1 << ((this.size - 1) & 31);
		for (let at = start; at < end; at++) {
			const row = (bytes[at] as number) * words;
			let carry = 1;
			for (let i = 0; i < words; i++) {
				const before = now[i] as number;
				now[i] = ((before << 1) | carry) & (takes[row + i] as number);
				carry = before >>> 31;
			}
			if (((now[words - 1] as number) & last) !== 0) return at + 1;
		}
		return -1;
	}
}

/** fnmatch(3) without flags: `*` and `?` match `/` and leading dots too. Patterns are latin1, as texts are. */
export class Glob {
	/** What stands between the *; one of them when there is no *. */
	readonly #runs: readonly Run[];
	/** Of all runs together. */
	readonly #least: number;
	/** Operations a letter of the text takes at most. */
	readonly cost: number;

	constructor(pattern: string, ignoreCase = false) {
		const runs = runsOf(Buffer.from(pattern, "latin1"), ignoreCase);
		this.#runs = runs.map((signs) => new Run(signs));
		this.#least = runs.reduce((sum, { length }) => sum + length, 0);
		this.cost = 3 * Math.max(...this.#runs.slice(1, -1).map(({ words }) => words), 1);
	}

	/** Latin1. */
	string(text: string): boolean {
		return this.bytes(latin1Bytes(text), 0, text.length);
	}

	bytes(bytes: Uint8Array, start: number, size: number): boolean {
		const runs = this.#runs;
		const first = runs[0] as Run;
		const last = runs[runs.length - 1] as Run;
		if (size < this.#least || !first.standsAt(bytes, start)) return false;
		if (runs.length === 1) return size === first.size;
		const end = start + size - last.size;
		if (!last.standsAt(bytes, end)) return false;
		let at = start + first.size;
		for (let i = 1; i < runs.length - 1 && at >= 0; i++) at = (runs[i] as Run).find(bytes, at, end);
		return at >= 0;
	}
}

/** Of each run its signs, each as the set of letters that it stands for. */
function runsOf(bytes: Uint8Array, ignoreCase: boolean): Uint8Array[][] {
	const runs: Uint8Array[][] = [[]];
	for (let i = 0; i < bytes.length; ) {
		const sign = bytes[i] as number;
		if (sign === 0x2a) {
			i++;
			if (runs.length === 1 || runs.at(-1)?.length !== 0) runs.push([]);
			continue;
		}
		const set = new Uint8Array(256);
		if (sign === 0x3f) {
			set.fill(1);
			i++;
		} else if (sign === 0x5b) {
			i = bracket(bytes, i, set, ignoreCase);
		} else {
			if (sign === 0x5c && i + 1 < bytes.length) i++;
			set[bytes[i] as number] = 1;
			i++;
		}
		if (ignoreCase && sign !== 0x5b) foldCase(set);
		runs.at(-1)?.push(set);
	}
	return runs;
}

/** Fills `set` from "[a-z]" at `from`; returns where it ends. A [ without ] is an ordinary sign. */
function bracket(bytes: Uint8Array, from: number, set: Uint8Array, ignoreCase: boolean): number {
	let at = from + 1;
	const negated = bytes[at] === 0x21 || bytes[at] === 0x5e;
	if (negated) at++;
	const first = at;
	const chosen = new Uint8Array(256);
	for (; at < bytes.length; at++) {
		let low = bytes[at] as number;
		if (low === 0x5d && at > first) {
			if (ignoreCase) foldCase(chosen); // before the negation: [!a] takes neither a nor A
			for (let i = 0; i < 256; i++) set[i] = (chosen[i] === 1) !== negated ? 1 : 0;
			return at + 1;
		}
		if (low === 0x5c && at + 1 < bytes.length) low = bytes[++at] as number;
		if (bytes[at + 1] === 0x2d && at + 2 < bytes.length && bytes[at + 2] !== 0x5d) {
			const high = bytes[at + 2] as number;
			for (let i = low; i <= high; i++) chosen[i] = 1;
			at += 2;
		} else chosen[low] = 1;
	}
	set[0x5b] = 1;
	return from + 1;
}

function foldCase(set: Uint8Array): void {
	for (let upper = 0x41; upper <= 0x5a; upper++) {
		const both = set[upper] === 1 || set[upper + 32] === 1 ? 1 : 0;
		set[upper] = both;
		set[upper + 32] = both;
	}
}

/** pmatch: is `path` the pattern's path or below it? Parts of the pattern may be globs. */
export class PathPattern {
	readonly #parts: readonly Glob[];
	readonly cost: number;

	constructor(pattern: string) {
		const parts = pattern.split("/").filter((part) => part !== "");
		this.#parts = parts.map((part) => new Glob(part));
		this.cost = Math.max(...this.#parts.map(({ cost }) => cost), 1);
	}

	/** Latin1. */
	matches(path: string): boolean {
		const bytes = latin1Bytes(path);
		let at = 0;
		for (const part of this.#parts) {
			while (bytes[at] === slash && at < path.length) at++;
			if (at === path.length) return false;
			const next = path.indexOf("/", at);
			const end = next < 0 ? path.length : next;
			if (!part.bytes(bytes, at, end - at)) return false;
			at = end;
		}
		return true;
	}
}
const slash = 0x2f;
