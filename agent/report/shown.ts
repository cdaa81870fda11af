// Captured bytes (latin1 strings) as text that people and JSON can carry, so that two different names never
// look alike; and the last guard before a terminal.

// biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII without the backslash, controls included
const plain = /^[\x00-\x5b\x5d-\x7f]*$/;
const backslashes = /\\[x\\]/;

/**
 * Valid UTF-8 is decoded. If there are stray bytes, or if the text holds `\x` or `\\` itself, every stray byte
 * becomes `\xHH` and every backslash `\\`. So what holds neither is the name itself, and what holds one can
 * be read back: no two names are shown the same.
 */
export function showText(latin1: string): string {
	if (plain.test(latin1)) return latin1;
	if (!backslashes.test(latin1)) {
		const decoded = decode(latin1, false);
		if (decoded !== undefined) return decoded;
	}
	return decode(latin1, true) ?? "";
}

/** Undefined when there is a stray byte and escaping is off. */
function decode(latin1: string, escaping: boolean): string | undefined {
	let text = "";
	let at = 0;
	while (at < latin1.length) {
		const byte = latin1.charCodeAt(at);
		if (byte < 0x80) {
			text += escaping && byte === 0x5c ? "\\\\" : latin1.charAt(at);
			at++;
			continue;
		}
		const size = sequenceSize(latin1, at, byte);
		if (size > 0) {
			text += String.fromCodePoint(codePoint(latin1, at, byte, size));
			at += size;
		} else if (byte > 0xff) {
			// Not captured: text of a rule file around captured text.
			text += latin1.charAt(at);
			at++;
		} else if (escaping) {
			text += `\\x${byte.toString(16)}`;
			at++;
		} else {
			return undefined;
		}
	}
	return text;
}

/** Length of the well-formed UTF-8 sequence (Unicode 15, table 3-7) that starts here, 0 for none. */
function sequenceSize(latin1: string, at: number, byte: number): number {
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
	if (at + size > latin1.length) return 0;
	const second = latin1.charCodeAt(at + 1);
	if (second < low || second > high) return 0;
	for (let index = at + 2; index < at + size; index++) {
		const next = latin1.charCodeAt(index);
		if (next < 0x80 || next > 0xbf) return 0;
	}
	return size;
}

function codePoint(latin1: string, at: number, first: number, size: number): number {
	let point = first & (0xff >> (size + 1));
	for (let index = at + 1; index < at + size; index++) {
		point = (point << 6) | (latin1.charCodeAt(index) & 0x3f);
	}
	return point;
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
