// Captured bytes (latin1 strings) as text that people and JSON can carry, so that two different names never
// look alike; and the last guard before a terminal.
import { isUtf8 } from "node:buffer";

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII without the backslash, controls included
const plain = /^[\x00-\x5b\x5d-\x7f]*$/;
const backslashes = /\\[x\\]/;
/** Not captured: text of a rule file around captured text. */
const foreign = /([^\0-\xff]+)/;

/**
 * Valid UTF-8 is decoded. If there are stray bytes, or if the text holds `\x` or `\\` itself, every stray byte
 * becomes `\xHH` and every backslash `\\`. So what holds neither is the name itself, and what holds one can
 * be read back: no two names are shown the same.
 */
export function showText(latin1: string): string {
	if (plain.test(latin1)) return latin1;
	// Captured and foreign by turns. As bytes: a text is as long as an attacker wants, and taking it apart letter by
	// letter makes a piece of garbage of each.
	const parts = latin1
		.split(foreign)
		.map((part, index) => (index % 2 === 0 ? Buffer.from(part, "latin1") : part));
	const valid = (part: string | Buffer) => typeof part === "string" || isUtf8(part);
	const escaping = backslashes.test(latin1) || !parts.every(valid);
	return parts
		.map((part) => (typeof part === "string" ? part : (escaping ? escaped(part) : part).toString("utf8")))
		.join("");
}

const backslash = 0x5c;
const hex = Buffer.from("0123456789abcdef");

function escaped(bytes: Buffer): Buffer {
	const out = Buffer.allocUnsafe(4 * bytes.length);
	let to = 0;
	for (let at = 0; at < bytes.length; ) {
		const byte = bytes[at] as number;
		const size = byte < 0x80 ? 1 : sequenceSize(bytes, at, byte);
		if (size === 0) {
			out[to++] = backslash;
			out[to++] = 0x78;
			out[to++] = hex[byte >> 4] as number;
			out[to++] = hex[byte & 15] as number;
			at++;
			continue;
		}
		if (byte === backslash) out[to++] = backslash;
		for (const end = at + size; at < end; at++) out[to++] = bytes[at] as number;
	}
	return out.subarray(0, to);
}

/** Length of the well-formed UTF-8 sequence (Unicode 15, table 3-7) that starts here, 0 for none. */
function sequenceSize(bytes: Buffer, at: number, byte: number): number {
	let size: number;
	let low = 0x80;
	let high = 0xbf;
	if (byte >= 0xc2 && byte <= 0xdf) size = 2;
	else if (byte >= 0xe0 && byte <= 0xef) {
		size = 3;
		if (byte === 0xe0) low = 0xa0;
		if (byte === 0xed) high = 0x9f;
	} else if (byte >= 0xf0 && byte <= 0xf4) {
		size = 4;
		if (byte === 0xf0) low = 0x90;
		if (byte === 0xf4) high = 0x8f;
	} else return 0;
	if (at + size > bytes.length) return 0;
	const second = bytes[at + 1] as number;
	if (second < low || second > high) return 0;
	for (let index = at + 2; index < at + size; index++) {
		const next = bytes[index] as number;
		if (next < 0x80 || next > 0xbf) return 0;
	}
	return size;
}

// Controls, invisible format characters (which turn the direction of writing or hide), separators of lines and
// paragraphs, lone surrogates.
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const safeAscii = /^[\x20-\x7e]*$/;

/** Text that cannot move the cursor, colour, erase, ring or start a line: such characters are spelled out. */
export function neutralise(text: string): string {
	if (safeAscii.test(text)) return text;
	return text.replace(unsafe, (character) => {
		const code = character.codePointAt(0) ?? 0;
		if (code === 0x0a) return "\\n";
		if (code === 0x09) return "\\t";
		if (code === 0x0d) return "\\r";
		return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
	});
}
