// What a later item may change of an earlier one, and how: `append: true`, `override` with a word for each key, or a
// bare `enabled`. Says what is wrong with such an item; the changing itself is done in collect.ts.
import type { Item, Place } from "./rule-file.ts";
import { asMap, asText, type Value } from "./yaml-values.ts";

export interface ItemProblem {
	readonly key: string;
	readonly message: string;
	readonly remedy: string;
	/** Of the mistake; the key's when left out. */
	readonly place?: Place & { readonly file: string };
}

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const changeable: Readonly<
	Record<string, { readonly append: ReadonlySet<string>; readonly replace: ReadonlySet<string> }>
> = {
	rule: {
		append: words("condition output desc tags exceptions"),
		replace: words(
			"condition output desc priority tags exceptions enabled warn_evttypes skip-if-unknown-filter capture capture_duration",
		),
	},
	macro: { append: words("condition"), replace: words("condition") },
	list: { append: words("items"), replace: words("items") },
};

/** YAML 1.1 knows more words for no and yes than one. */
export function isNo(value: Value | undefined): boolean {
	return /^(false|no|off|n)$/i.test(asText(value));
}
export function isYes(value: Value | undefined): boolean {
	return /^(true|yes|on|y)$/i.test(asText(value));
}

/** Is the key appended to? `append: true` says it of all that can be joined, override of each key by itself. */
export function appends({ values }: Item, key: string): boolean {
	const word = asMap(values.override)[key];
	return word === undefined ? isYes(values.append) : word === "append";
}

/** Only says whether a rule is on. */
export function isSwitch({ values }: Item): boolean {
	const telling = ["condition", "output", "desc", "priority", "append", "override"];
	return values.enabled !== undefined && telling.every((key) => values[key] === undefined);
}

export function changes({ values }: Item): boolean {
	return isYes(values.append) || values.override !== undefined;
}

/** Keys that the item carries and that change nothing; what `append: true` takes is fixed by the language. */
export function withoutEffect(item: Item): readonly string[] {
	const { is, values } = item;
	const own = new Set([is, "append", "override"]);
	const given = Object.keys(values).filter((key) => !own.has(key) && !key.startsWith("picket_"));
	if (isSwitch(item)) return given.filter((key) => key !== "enabled");
	if (is !== "rule" || !isYes(values.append)) return [];
	return given.filter((key) => key !== "condition" && key !== "exceptions");
}

export function changeProblem(item: Item): ItemProblem | undefined {
	const { is, values } = item;
	const problem = (key: string, message: string, remedy: string): ItemProblem => ({ key, message, remedy });
	for (const key of ["append", "enabled", "warn_evttypes", "skip-if-unknown-filter"]) {
		const value = values[key];
		if (value !== undefined && !isYes(value) && !isNo(value))
			return problem(
				key,
				`${key} is ${asText(value) || "no word"}, neither true nor false`,
				"write true or false",
			);
	}
	if (isYes(values.append) && values.override !== undefined)
		return problem("append", "append and override do not go together", "use override alone");
	if (
		is === "rule" &&
		isYes(values.append) &&
		values.condition === undefined &&
		values.exceptions === undefined
	)
		return problem("append", "there is nothing to append", "add a condition or exceptions, or use override");
	if (values.override === undefined) return undefined;
	const can = changeable[is];
	if (!can || typeof values.override !== "object" || Array.isArray(values.override))
		return problem("override", "override is no map", "write override: { condition: append }");
	const override = asMap(values.override);
	for (const [key, word] of Object.entries(override)) {
		if (word !== "append" && word !== "replace")
			return problem("override", `${key}: ${asText(word)} is no way to override`, "write append or replace");
		if (!can[word].has(key))
			return problem(
				"override",
				word === "append" && can.replace.has(key)
					? `${key} cannot be appended to`
					: `${key} is nothing that can be overridden`,
				word === "append" && can.replace.has(key)
					? `write ${key}: replace`
					: `known: ${[...can.replace].join(", ")}`,
			);
		if (values[key] === undefined)
			return problem("override", `override names ${key}, and the item has none`, `add ${key}: to the item`);
	}
	const silent = [...can.replace].find((key) => values[key] !== undefined && override[key] === undefined);
	return silent === undefined
		? undefined
		: problem(
				silent,
				`override does not say what becomes of ${silent}`,
				`add ${silent}: replace to override`,
			);
}
