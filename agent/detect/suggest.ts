// What somebody may have meant who named a field that does not exist.
import { fieldNames } from "./fields.ts";
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
