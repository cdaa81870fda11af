// What somebody may have meant who named a field that does not exist.
import { fieldNames } from "./fields.ts";
import { deliveredTypes, knownTypes } from "./known-event-types.ts";
import { knownNames } from "./known-fields.ts";

/** Edits from one word to the other: a sign more, less or other, or two neighbours swapped. */
function distance(from: string, to: string): number {
	let before: number[] = [];
	let row = Array.from({ length: to.length + 1 }, (_, index) => index);
	for (let i = 1; i <= from.length; i++) {
		const next = [i];
		for (let j = 1; j <= to.length; j++) {
			const same = from[i - 1] === to[j - 1];
			let best = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
			if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
				best = Math.min(best, (before[j - 2] ?? 0) + 1);
			next.push(best);
		}
		before = row;
		row = next;
	}
	return row.at(-1) ?? 0;
}

/** Of `known` those that somebody may have meant by `word`, the likeliest first; capitals do not count. */
export function nearNames(word: string, known: readonly string[], most = 5): string[] {
	const wanted = word.toLowerCase();
	const limit = Math.max(2, Math.floor(word.length / 4));
	const ranked = known.map((name) => {
		const lower = name.toLowerCase();
		const near = Math.abs(lower.length - wanted.length) <= limit ? distance(wanted, lower) : limit + 1;
		// A part of the name comes behind a slip of the keyboard.
		return { name, edits: near <= limit ? near : lower.includes(wanted) ? limit + 1 : limit + 2 };
	});
	return ranked
		.filter(({ edits }) => edits <= limit + 1)
		.sort((a, b) => a.edits - b.edits)
		.slice(0, most)
		.map(({ name }) => name);
}

/** The remedy for an unknown field; says so when the name itself is right and what stands in brackets is not. */
export function fieldRemedy(name: string): string {
	const names = [...fieldNames, ...knownNames];
	if (names.includes(name)) return "correct or leave out what stands in [ ] behind it";
	const near = nearest(name, names);
	return near === "" ? "see Falco's list of fields" : `did you mean ${near}?`;
}

/** The one of `names` that is at most two edits away; "" when there is none. */
export function nearest(name: string, names: Iterable<string>): string {
	let [found, least] = ["", 3];
	for (const each of names) {
		if (Math.abs(each.length - name.length) >= least) continue;
		const edits = distance(name, each);
		if (edits < least) [found, least] = [each, edits];
	}
	return found;
}

/** The remedy for an unknown evt.type. */
export function eventRemedy(name: string): string {
	// Those that are captured are likelier to be meant than another that is as near.
	const near = nearest(name, [...deliveredTypes, ...knownTypes]);
	return near === "" ? "see Falco's list of events" : `did you mean ${near}?`;
}
