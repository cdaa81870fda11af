// Comparing text without making any: a field of the event is a range of its bytes, a field of a process is a string
// that exists already. Both are latin1: a character is a byte.

/** Case as strcasestr(3) and tolower(3) in the C locale see it: letters of ASCII, no other byte. */
export function lowerCase(text: string): string {
	return ascii.test(text) ? text.toLowerCase() : text.replace(/[A-Z]+/g, (part) => part.toLowerCase());
}
export function upperCase(text: string): string {
	return ascii.test(text) ? text.toUpperCase() : text.replace(/[a-z]+/g, (part) => part.toUpperCase());
}
const ascii = /^[\0-\x7f]*$/;

/** Where a field's bytes lie in the event; one object a field, reused. */
export interface Range {
	bytes: Buffer;
	start: number;
	size: number;
}

/** A value of a rule file, as the bytes a kernel would have. */
export function asBytes(text: string): Buffer {
	return Buffer.from(text, "utf8");
}
export function asLatin1(text: string): string {
	return Buffer.from(text, "utf8").toString("latin1");
}

/** What captured bytes spell in UTF-8. */
export function fromLatin1(text: string): string {
	return ascii.test(text) ? text : Buffer.from(text, "latin1").toString("utf8");
}

export function sameAt(range: Range, offset: number, value: Uint8Array): boolean {
	const { bytes } = range;
	const start = range.start + offset;
	for (let i = 0; i < value.length; i++) if (bytes[start + i] !== value[i]) return false;
	return true;
}
export function equals(range: Range, value: Uint8Array): boolean {
	return range.size === value.length && sameAt(range, 0, value);
}
export function startsWith(range: Range, value: Uint8Array): boolean {
	return range.size >= value.length && sameAt(range, 0, value);
}
export function endsWith(range: Range, value: Uint8Array): boolean {
	return range.size >= value.length && sameAt(range, range.size - value.length, value);
}
export function contains(range: Range, value: Uint8Array): boolean {
	const last = range.size - value.length;
	for (let offset = 0; offset <= last; offset++) if (sameAt(range, offset, value)) return true;
	return false;
}
export function hash(range: Range): number {
	let state = 0x811c9dc5;
	const end = range.start + range.size;
	for (let i = range.start; i < end; i++) state = Math.imul(state ^ (range.bytes[i] as number), 0x01000193);
	return state; // signed: what does not fit a small integer would be an object
}

/** A set of byte strings, asked by range. */
export class ByteSet {
	readonly #buckets = new Map<number, Buffer[]>();
	constructor(values: readonly Buffer[]) {
		for (const bytes of values) {
			const key = hash({ bytes, start: 0, size: bytes.length });
			const bucket = this.#buckets.get(key);
			if (bucket) bucket.push(bytes);
			else this.#buckets.set(key, [bytes]);
		}
	}
	has(range: Range, key: number): boolean {
		const bucket = this.#buckets.get(key);
		if (!bucket) return false;
		for (const value of bucket) if (equals(range, value)) return true;
		return false;
	}
}

/** Something whose bytes can be asked for one by one. */
interface Sequence {
	readonly size: number;
	at(index: number): number;
}
export class RangeSequence implements Sequence {
	range: Range = { bytes: Buffer.alloc(0), start: 0, size: 0 };
	get size(): number {
		return this.range.size;
	}
	at(index: number): number {
		return this.range.bytes[this.range.start + index] as number;
	}
}
export class StringSequence implements Sequence {
	text = "";
	get size(): number {
		return this.text.length;
	}
	at(index: number): number {
		return this.text.charCodeAt(index);
	}
}

/** One element of a glob: any run, one character of UTF-8, one byte, or a set of bytes. */
type Piece = { readonly is: "run" | "character" } | { readonly is: "set"; readonly set: Uint8Array };

/** Bytes of the character that begins there; what is no UTF-8 is one byte. */
function characterSize(text: Sequence, at: number): number {
	const first = text.at(at);
	const size = first < 0xc2 || first > 0xf4 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (at + size > text.size) return 1;
	for (let i = 1; i < size; i++) if ((text.at(at + i) & 0xc0) !== 0x80) return 1;
	return size;
}

/** fnmatch(3) without flags: `*` and `?` match `/` and leading dots too. Time is pieces × bytes at worst. */
export class Glob {
	readonly #pieces: Piece[] = [];

	/** `characters`: ? is one of UTF-8, and no byte. */
	constructor(pattern: string, { ignoreCase = false, characters = false } = {}) {
		const bytes = asBytes(pattern);
		for (let i = 0; i < bytes.length; ) {
			const sign = bytes[i] as number;
			if (sign === 0x2a) {
				if (this.#pieces.at(-1)?.is !== "run") this.#pieces.push({ is: "run" });
				i++;
				continue;
			}
			if (sign === 0x3f && characters) {
				this.#pieces.push({ is: "character" });
				i++;
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
			this.#pieces.push({ is: "set", set });
		}
	}

	matches(text: Sequence): boolean {
		const pieces = this.#pieces;
		let piece = 0;
		let at = 0;
		let runPiece = -1;
		let runAt = 0;
		while (at < text.size) {
			const next = pieces[piece];
			if (next?.is === "run") {
				runPiece = piece++;
				runAt = at;
			} else if (next?.is === "set" && next.set[text.at(at)] === 1) {
				piece++;
				at++;
			} else if (next?.is === "character") {
				piece++;
				at += characterSize(text, at);
			} else if (runPiece >= 0) {
				piece = runPiece + 1;
				at = ++runAt;
			} else return false;
		}
		while (pieces[piece]?.is === "run") piece++;
		return piece === pieces.length;
	}
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
	readonly #parts: Glob[];
	constructor(pattern: string) {
		this.#parts = partsOf(pattern).map((part) => new Glob(part));
	}
	matches(path: string): boolean {
		const parts = partsOf(path);
		const sequence = new StringSequence();
		return (
			parts.length >= this.#parts.length &&
			this.#parts.every((part, index) => {
				sequence.text = parts[index] ?? "";
				return part.matches(sequence);
			})
		);
	}
}
function partsOf(path: string): string[] {
	return path.split("/").filter((part) => part !== "");
}
