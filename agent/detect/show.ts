// Conditions back into text: a check as it would be written in a rule, lists and macros put in.
import type { Check } from "./check.ts";
import type { FieldRef, Term } from "./syntax.ts";

const plainWord = /^[^()"'\s=,]+$/;

function quoted(text: string): string {
	return plainWord.test(text) ? text : `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

export function fieldText({ name, argument }: FieldRef): string {
	return argument === undefined ? name : `${name}[${argument}]`;
}

function termText(term: Term): string {
	if (term.is === "text") return quoted(term.text);
	if (term.is === "field") return fieldText(term.field);
	return `${term.name === "list" ? "" : term.name}(${term.terms.map(termText).join(", ")})`;
}

/** Of more than `most` values the first are shown, and how many there are. */
export function checkText({ left, operator, match, right }: Check, most = Number.POSITIVE_INFINITY): string {
	const subject = termText(left);
	if (operator === "exists") return `${subject} exists`;
	const shown = right.slice(0, right.length > most ? most - 1 : most).map(termText);
	const more = right.length > shown.length ? [`… ${right.length - shown.length} more`] : [];
	const list = `(${[...shown, ...more].join(", ")})`;
	const isList = operator === "in" || operator === "intersects" || operator === "pmatch";
	if (isList) return `${subject} ${operator} ${list}`;
	if (right.length === 1) return `${subject} ${operator} ${shown[0]}`;
	return `${subject} ${operator} ${match === "all" ? "allof" : "oneof"} ${list}`;
}
