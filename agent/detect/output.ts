// Output templates: "…%proc.name…" with the fields of the event filled in. Text in and out is latin1.
import type { Observation } from "../model/event.ts";
import { CheckProblem } from "./check.ts";
import type { FieldContext } from "./field.ts";
import { findField } from "./fields.ts";
import { addressField } from "./fields-socket.ts";
import { isKnownField } from "./known-fields.ts";
import { fieldRemedy } from "./suggest.ts";
import { asLatin1 } from "./text.ts";

type Part =
	| { readonly text: string }
	| { readonly name: string; get(observation: Observation, context: FieldContext): string | undefined };

export interface Template {
	/** Summary and the fields in it. A field that is missing reads <NA>. */
	render(
		observation: Observation,
		context: FieldContext,
	): { summary: string; fields: Record<string, string> };
	/** Named in the template, carried by no event here. */
	readonly missing: readonly string[];
}

const token = /%([a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+)(?:\[([^\]]*)\])?/g;
const missingText = "<NA>";

/** A field's value as text; undefined for a name that no event of ours has. */
export function textOf(
	name: string,
	argument: string | undefined,
): Extract<Part, { name: string }>["get"] | undefined {
	const field = findField(name, argument);
	if (!field) return undefined;
	if (field.type === "address") return addressField(field);
	const { get, kinds, type } = field;
	return (observation, context) => {
		if (kinds && !kinds.includes(observation.event.kind)) return undefined;
		const value = get(observation, context);
		if (value === undefined) return undefined;
		return type === "bool" ? String(value === 1) : String(value);
	};
}

/** Throws CheckProblem for a field that does not exist. */
export function parseTemplate(text: string): Template {
	const parts: Part[] = [];
	const missing: string[] = [];
	// A leading * means "leave the output out when a field is missing"; alerts are never left out.
	const own = text.trim().replace(/^\*/, "");
	const skipped = text.indexOf(own);
	// Not a field, but what Falco puts in for it.
	const source = own.replace(/%container\.info\b/g, "%container.name (id=%container.id)");
	let at = 0;
	for (const found of source.matchAll(token)) {
		const [whole, name = "", argument] = found;
		parts.push({ text: asLatin1(source.slice(at, found.index)) });
		at = found.index + whole.length;
		const shown = whole.slice(1);
		const get = textOf(name, argument);
		if (!get) {
			if (!isKnownField(name))
				throw new CheckProblem(
					`the output names ${shown}, and there is no such field`,
					fieldRemedy(name),
					skipped + found.index,
				);
			missing.push(shown);
		}
		parts.push({ name: shown, get: get ?? (() => undefined) });
	}
	parts.push({ text: asLatin1(source.slice(at)) });
	return {
		missing,
		render(observation, context) {
			const fields: Record<string, string> = {};
			let summary = "";
			for (const part of parts) {
				if ("text" in part) {
					summary += part.text;
					continue;
				}
				const value = part.get(observation, context) ?? missingText;
				fields[part.name] = value;
				summary += value;
			}
			return { summary, fields };
		},
	};
}
