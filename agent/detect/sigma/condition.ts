// The condition of a Sigma rule: names of selections, and/or/not, parentheses, "1 of", "all of".
import { SyntaxProblem } from "../syntax.ts";

export type Condition =
	| { readonly is: "and" | "or"; readonly of: readonly Condition[] }
	| { readonly is: "not"; readonly of: Condition }
	| { readonly is: "selection"; readonly name: string };

const deepest = 100;
const token = /\s*([()|]|[^\s()|]+)/y;

/** `names` are those of the selections. Throws SyntaxProblem. */
export function parseSigmaCondition(text: string, names: readonly string[]): Condition {
	return new Parser(text, names).whole();
}

interface Token {
	readonly text: string;
	readonly at: number;
}

class Parser {
	readonly #tokens: Token[] = [];
	readonly #names: readonly string[];
	readonly #length: number;
	#next = 0;
	#depth = 0;

	constructor(text: string, names: readonly string[]) {
		this.#names = names;
		this.#length = text.trimEnd().length;
		token.lastIndex = 0;
		for (let found = token.exec(text); found; found = token.exec(text)) {
			const [whole, part = ""] = found;
			this.#tokens.push({ text: part, at: found.index + whole.length - part.length });
		}
	}

	whole(): Condition {
		const condition = this.#or();
		const rest = this.#tokens[this.#next];
		if (rest?.text === "|")
			throw new SyntaxProblem(
				"| and what follows it are no part of a Sigma condition any more",
				rest.at,
				"count and near are written as a correlation document",
			);
		if (rest)
			throw new SyntaxProblem(
				`unexpected ${JSON.stringify(rest.text)}`,
				rest.at,
				"join selections with and, or; close every parenthesis",
			);
		return condition;
	}

	#take(word: string): boolean {
		if (this.#tokens[this.#next]?.text.toLowerCase() !== word) return false;
		this.#next++;
		return true;
	}
	#join(is: "and" | "or", part: () => Condition): Condition {
		const of = [part()];
		while (this.#take(is)) of.push(part());
		return of.length === 1 ? (of[0] as Condition) : { is, of };
	}
	#or(): Condition {
		return this.#join("or", () => this.#join("and", () => this.#not()));
	}
	#deeper(): void {
		if (++this.#depth <= deepest) return;
		const { at = this.#length } = this.#tokens[this.#next] ?? {};
		throw new SyntaxProblem("nested too deeply", at, `use at most ${deepest} levels`);
	}
	#not(): Condition {
		this.#deeper();
		const condition: Condition = this.#take("not") ? { is: "not", of: this.#not() } : this.#operand();
		this.#depth--;
		return condition;
	}
	#operand(): Condition {
		const found = this.#tokens[this.#next++];
		if (!found || found.text === ")" || found.text === "|" || /^(and|or|of|them)$/i.test(found.text))
			throw new SyntaxProblem(
				`a selection is missing ${found ? `before ${JSON.stringify(found.text)}` : "at the end of the condition"}`,
				found?.at ?? this.#length,
				`known: ${this.#names.join(", ")}`,
			);
		if (found.text === "(") {
			const condition = this.#or();
			if (!this.#take(")")) {
				const { at = this.#length } = this.#tokens[this.#next] ?? {};
				throw new SyntaxProblem(") is missing", at, "add the )");
			}
			return condition;
		}
		if (this.#tokens[this.#next]?.text.toLowerCase() === "of") return this.#several(found);
		if (this.#names.includes(found.text)) return { is: "selection", name: found.text };
		throw new SyntaxProblem(
			`no selection is named ${found.text}`,
			found.at,
			found.text.includes("*")
				? `write 1 of ${found.text} or all of ${found.text}`
				: `known: ${this.#names.join(", ")}`,
		);
	}

	/** "1 of them", "all of selection_*". */
	#several(count: Token): Condition {
		const word = count.text.toLowerCase();
		if (!["1", "any", "all"].includes(word))
			throw new SyntaxProblem(`${count.text} of is not known`, count.at, "write 1 of, any of or all of");
		this.#next++;
		const pattern = this.#tokens[this.#next++];
		const known = pattern ? this.#matching(pattern.text) : [];
		if (!pattern || known.length === 0)
			throw new SyntaxProblem(
				pattern ? `no selection is named ${pattern.text}` : `of what? nothing follows ${count.text} of`,
				pattern?.at ?? this.#length,
				`write them or a pattern; known: ${this.#names.join(", ")}`,
			);
		const of = known.map((name): Condition => ({ is: "selection", name }));
		return of.length === 1 ? (of[0] as Condition) : { is: word === "all" ? "and" : "or", of };
	}
	/** Names that begin with _ are only meant by patterns that do. */
	#matching(pattern: string): readonly string[] {
		const open = this.#names.filter((name) => !name.startsWith("_"));
		if (pattern.toLowerCase() === "them") return open;
		const parts = pattern.split("*");
		const names = pattern.startsWith("_") || !pattern.includes("*") ? this.#names : open;
		return names.filter((name) => matches(name, parts));
	}
}

/** `parts` stand in that order, the first at the begin and the last at the end. */
function matches(name: string, parts: readonly string[]): boolean {
	const [first = "", ...rest] = parts;
	const last = rest.pop();
	if (last === undefined) return name === first;
	if (!name.startsWith(first)) return false;
	let at = first.length;
	for (const part of rest) {
		const found = name.indexOf(part, at);
		if (found < 0) return false;
		at = found + part.length;
	}
	return name.length - last.length >= at && name.endsWith(last);
}
