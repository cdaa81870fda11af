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

/** Of one byte. */
export function asciiLower(sign: number): number {
	return sign >= 0x41 && sign <= 0x5a ? sign + 0x20 : sign;
}

/** Where a field's bytes lie in the event; one object a field, reused. */
export interface Range {
	bytes: Buffer;
	start: number;
	size: number;
}

/** A value of a rule file, as the bytes a kernel would have. */
export function asLatin1(text: string): string {
	return Buffer.from(text, "utf8").toString("latin1");
}

/** What captured bytes spell in UTF-8. */
export function fromLatin1(text: string): string {
	return ascii.test(text) ? text : Buffer.from(text, "latin1").toString("utf8");
}
/** The bytes of a latin1 string, at the begin of a buffer that is longer and good until the next call. */
export function latin1Bytes(text: string): Uint8Array {
	if (scratch.length < text.length) scratch = Buffer.allocUnsafe(2 * text.length);
	scratch.write(text, "latin1");
	return scratch;
}
let scratch = Buffer.allocUnsafe(4096);

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

/** A small number by which few texts are told apart quickly; its lowest bits serve as a place in a table. */
export function slotOf(text: string): number {
	const { length } = text;
	let sum = length;
	// Paths differ at their end, names of programs anywhere.
	for (let i = length > 5 ? length - 5 : 0; i < length; i++) sum = (31 * sum + text.charCodeAt(i)) & 0xffffff;
	return length === 0 ? 0 : sum + text.charCodeAt(length >> 1);
}
