// Output templates: "…%proc.name…" with the fields of the event filled in. Text in and out is latin1.
import type { Observation } from "../model/event.ts";
import { CheckProblem } from "./check.ts";
import { computed } from "./computed.ts";
import type { FieldContext } from "./field.ts";
import { findField } from "./fields.ts";
import { addressField } from "./fields-socket.ts";
import { isKnownField } from "./known-fields.ts";
import { fieldRemedy } from "./suggest.ts";
import { type FieldRef, parseTermAt, SyntaxProblem, type Term } from "./syntax.ts";
import { asLatin1 } from "./text.ts";

type Getter = (observation: Observation, context: FieldContext) => string | undefined;
type Part =
	| { readonly text: string }
	| {
			readonly name: string;
			/** Signs it is cut or filled up to; 0 for as it is. */
			readonly width: number;
			readonly get: Getter;
	  };

export interface Template {
	/** Summary and the fields in it. A field that is missing reads <NA>. */
	render(
		observation: Observation,
		context: FieldContext,
	): { summary: string; fields: Record<string, string> };
	/** Fields it names, as often as it does; not those within calls. */
	readonly fields: readonly FieldRef[];
	/** Named in the template, carried by no event here. */
	readonly missing: readonly string[];
}

const missingText = "<NA>";

/** A field's value as text; undefined for a name that no event of ours has. */
export function textOf(name: string, argument: string | undefined): Getter | undefined {
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

/** The field's name, or that in front of a dot which belongs to the text: "%proc.name.old". */
function knownPart(name: string): string | undefined {
	for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) {
		const part = name.slice(0, end);
		if (findField(part, undefined) || isKnownField(part)) return part;
	}
	return undefined;
}

class TemplateParser {
	readonly parts: Part[] = [];
	readonly missing: string[] = [];
	readonly fields: FieldRef[] = [];
	readonly #text: string;
	#at: number;

	constructor(text: string) {
		this.#text = text;
		// A leading * means "leave the output out when a field is missing"; alerts are never left out.
		this.#at = /^\s*\*?/.exec(text)?.[0].length ?? 0;
	}

	parse(): void {
		for (;;) {
			const sign = this.#text.indexOf("%", this.#at);
			this.#say(this.#text.slice(this.#at, sign < 0 ? undefined : sign));
			if (sign < 0) return;
			this.#at = sign + 1;
			if (this.#text[this.#at] === "%") {
				this.#say("%");
				this.#at++;
			} else this.#field(sign);
		}
	}

	#say(text: string): void {
		if (text !== "") this.parts.push({ text: asLatin1(text) });
	}

	#field(sign: number): void {
		const [digits = ""] = /^\d*/.exec(this.#text.slice(this.#at, this.#at + 9)) ?? [];
		const width = Number(digits);
		this.#at += digits.length;
		const begin = this.#at;
		const { term, end } = this.#term(sign);
		this.#at = end;
		if (term.is !== "field") {
			const get = computed(term);
			const shown = this.#text.slice(begin, end);
			this.parts.push({ name: shown, width, get: (...given) => get(...given)?.join(" ") });
			return;
		}
		const { name, argument } = term.field;
		if (name === "container.info" && argument === undefined) {
			// Not a field, but what Falco puts in for it.
			this.#put("container.name", undefined, width);
			this.#say(" (id=");
			this.#put("container.id", undefined, 0);
			this.#say(")");
			return;
		}
		const found = argument === undefined ? knownPart(name) : name;
		if (found === undefined || (!findField(found, argument) && !isKnownField(found))) {
			const shown = argument === undefined ? name : `${name}[${argument}]`;
			throw new CheckProblem(
				`the output names ${shown}, and there is no such field`,
				fieldRemedy(name),
				sign,
				true,
			);
		}
		this.#at -= name.length - found.length;
		this.#put(found, argument, width);
	}

	#put(name: string, argument: string | undefined, width: number): void {
		const shown = argument === undefined ? name : `${name}[${argument}]`;
		const get = textOf(name, argument);
		this.fields.push({ name, argument });
		if (!get) this.missing.push(shown);
		this.parts.push({ name: shown, width, get: get ?? (() => undefined) });
	}

	#term(sign: number): { term: Term; end: number } {
		let found: ReturnType<typeof parseTermAt>;
		try {
			found = parseTermAt(this.#text, this.#at);
		} catch (error) {
			if (error instanceof SyntaxProblem) throw new CheckProblem(error.message, error.remedy, sign);
			throw error;
		}
		if (found) return found;
		const [word = ""] = /^\S{0,24}/.exec(this.#text.slice(sign)) ?? [];
		throw new CheckProblem(
			`no field stands behind % in the output (${word})`,
			"name a field such as %proc.name, or write %% for the sign itself",
			sign,
		);
	}
}

/** Throws CheckProblem for a field that does not exist. */
export function parseTemplate(text: string): Template {
	const parser = new TemplateParser(text);
	parser.parse();
	const { parts, missing, fields } = parser;
	return {
		fields,
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
				summary += part.width === 0 ? value : value.slice(0, part.width).padEnd(part.width);
			}
			return { summary, fields };
		},
	};
}
