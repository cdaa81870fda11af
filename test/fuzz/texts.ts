// Changes in one text, of which most stay close to what somebody may have written.
import { Document, isMap, isPair, isScalar, isSeq, visit } from "yaml";
import type { Random } from "../unit/detect/rig.ts";

/** Pieces taken out, put in, repeated or moved, `most` of them at most. */
export function mutateText(random: Random, text: string, tokens: readonly string[], most = 4): string {
	let out = text;
	for (let times = 1 + random.below(most); times > 0; times--) {
		const at = random.below(out.length + 1);
		const size = random.below(random.pick([2, 8, 60]));
		const piece = out.slice(at, at + size);
		const to = random.below(out.length + 1);
		out = random.pick([
			() => out.slice(0, at) + out.slice(at + size),
			() => out.slice(0, at) + random.pick(tokens) + out.slice(at),
			() => out.slice(0, at) + random.pick(tokens) + out.slice(at + size),
			() => out.slice(0, to) + piece + out.slice(to),
			() => out.slice(0, at) + String.fromCharCode(random.below(256)) + out.slice(at + 1),
			() => out.slice(0, at) + piece.repeat(random.below(20)) + out.slice(at),
		])();
	}
	return out;
}

/** The same values written otherwise: quotes, indentation, brackets for lists, comments, empty lines. */
export function restyle(random: Random, value: unknown): string {
	const document = new Document(value);
	visit(document, (place, node) => {
		if (isScalar(node)) {
			// Without quotes only where that makes no null and no number of it; the library sees to the rest.
			if (typeof node.value === "string")
				node.type = random.pick([
					...(["QUOTE_DOUBLE", "QUOTE_SINGLE", "PLAIN"] as const),
					// The library counts the indentation of a text that begins with spaces wrongly.
					...(place === "key" || node.value.startsWith(" ") ? [] : (["BLOCK_LITERAL"] as const)),
				]);
			if (!String(node.type).startsWith("BLOCK") && random.chance(0.1)) node.comment = " a: [note]";
		} else if ((isMap(node) || isSeq(node)) && random.chance(0.1)) node.flow = true;
		else if (isPair(node) && isScalar(node.key) && random.chance(0.1)) node.key.commentBefore = " - rule: x";
	});
	return document.toString({ indent: random.pick([2, 4]), lineWidth: random.pick([0, 120]) });
}

/** One letter of the word is another, is missing, or stands there twice. */
export function misspelt(random: Random, word: string): string {
	const at = random.below(word.length);
	const letter = String.fromCharCode(0x61 + random.below(26));
	const put = random.pick(["", letter, `${word[at]}${word[at]}`]);
	const out = word.slice(0, at) + put + word.slice(at + 1);
	return out === word || out === "" ? `${word}x` : out;
}
