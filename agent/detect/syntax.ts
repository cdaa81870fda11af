// The condition language's grammar: text in, tree out. Knows no field and no macro by name; what a name means is
// decided by whoever compiles the tree.

export interface FieldRef {
	readonly name: string;
	/** What stands in brackets: proc.aname[2]. */
	readonly argument: string | undefined;
}

/** Left or right of an operator. */
export type Term =
	| { readonly is: "field"; readonly field: FieldRef }
	| { readonly is: "text"; readonly text: string }
	| { readonly is: "call"; readonly name: string; readonly terms: readonly Term[] };

export type Node =
	| { readonly is: "and" | "or"; readonly nodes: readonly Node[] }
	| { readonly is: "not"; readonly node: Node }
	| { readonly is: "name"; readonly name: string; readonly at: number }
	| {
			readonly is: "check";
			readonly left: Term;
			readonly operator: Operator;
			/** "all": every value must hold (allof); else any of them. */
			readonly match: "any" | "all";
			readonly right: readonly Term[];
			readonly at: number;
	  };

export const textOperators = [
	"bstartswith",
	"startswith",
	"endswith",
	"icontains",
	"bcontains",
	"contains",
	"iglob",
	"glob",
	"regex",
] as const;
export const listOperators = ["intersects", "pmatch", "in"] as const;
export const signs = ["<=", ">=", "!=", "==", "=", "<", ">"] as const;
/**
 * Not of the Falco language: what other front ends compile to. `like` is iglob, `search` a regular expression that
 * matches some part of the text.
 */
export const innerOperators = ["iequals", "istartswith", "iendswith", "like", "search"] as const;
export type Operator =
	| (typeof innerOperators)[number]
	| (typeof textOperators)[number]
	| (typeof listOperators)[number]
	| Exclude<(typeof signs)[number], "==">
	| "exists";

const calls = ["tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt", "val"] as const;

/** `at` is the place in the condition's text, from 0. */
export class SyntaxProblem extends Error {
	readonly at: number;
	readonly remedy: string;
	constructor(message: string, at: number, remedy: string) {
		super(message);
		this.at = at;
		this.remedy = remedy;
	}
}

const deepest = 200;
const fieldPattern = /[a-zA-Z]+[a-zA-Z0-9_]*(?:\.[a-zA-Z]+[a-zA-Z0-9_]*)+/y;
const namePattern = /[a-zA-Z]+[a-zA-Z0-9_]*/y;
const barePattern = /[^()"'\s=,]+/y;
const argumentPattern = /[^\][\\"'\s]+/y;
const spacePattern = /[\s\b]*/y;

/** Throws SyntaxProblem. */
export function parseCondition(text: string): Node {
	const parser = new Parser(text);
	return parser.whole();
}

class Parser {
	readonly #text: string;
	#at = 0;
	#depth = 0;

	constructor(text: string) {
		this.#text = text;
	}

	whole(): Node {
		const node = this.#or();
		this.#space();
		if (this.#at < this.#text.length) {
			throw this.#problem(
				`unexpected ${this.#here()}`,
				"join conditions with and, or; close every parenthesis",
			);
		}
		return node;
	}

	#problem(message: string, remedy: string): SyntaxProblem {
		return new SyntaxProblem(message, this.#at, remedy);
	}
	#here(): string {
		const rest = this.#text.slice(this.#at, this.#at + 24);
		return rest === "" ? "end of the condition" : JSON.stringify(rest);
	}
	#match(pattern: RegExp): string | undefined {
		pattern.lastIndex = this.#at;
		const found = pattern.exec(this.#text);
		if (!found) return undefined;
		this.#at += found[0].length;
		return found[0];
	}
	#space(): void {
		this.#match(spacePattern);
	}
	#take(word: string): boolean {
		if (!this.#text.startsWith(word, this.#at)) return false;
		this.#at += word.length;
		return true;
	}
	/** A word that must be followed by space or an opening parenthesis. */
	#keyword(word: string): boolean {
		if (!this.#text.startsWith(word, this.#at)) return false;
		if (!/[\s(\b]/.test(this.#text[this.#at + word.length] ?? "")) return false;
		this.#at += word.length;
		return true;
	}

	#join(is: "and" | "or", part: () => Node): Node {
		const nodes = [part()];
		for (;;) {
			this.#space();
			if (!this.#keyword(is)) return nodes.length === 1 ? (nodes[0] as Node) : { is, nodes };
			nodes.push(part());
		}
	}
	#deeper(): void {
		if (++this.#depth > deepest) throw this.#problem("nested too deeply", `use at most ${deepest} levels`);
	}
	#or(): Node {
		this.#deeper();
		const node = this.#join("or", () => this.#join("and", () => this.#not()));
		this.#depth--;
		return node;
	}
	#not(): Node {
		let negated = false;
		this.#space();
		while (this.#keyword("not")) {
			negated = !negated;
			this.#space();
		}
		const node = this.#check();
		return negated ? { is: "not", node } : node;
	}

	#check(): Node {
		if (this.#take("(")) {
			const node = this.#or();
			this.#close(")");
			return node;
		}
		const at = this.#at;
		const left = this.#fieldOrCall();
		if (!left) {
			const name = this.#match(namePattern);
			if (!name)
				throw this.#problem(`a condition is missing at ${this.#here()}`, "write a field, a macro or ( here");
			return { is: "name", name, at };
		}
		this.#space();
		return this.#operator(left, at);
	}
	#close(sign: string): void {
		this.#space();
		if (!this.#take(sign))
			throw this.#problem(`${sign} is missing before ${this.#here()}`, `add the ${sign}`);
	}

	#fieldOrCall(): Term | undefined {
		const name = this.#match(fieldPattern);
		if (name !== undefined) return { is: "field", field: { name, argument: this.#argument() } };
		for (const call of calls) {
			const begin = this.#at;
			if (!this.#take(call)) continue;
			this.#space();
			if (!this.#take("(")) {
				this.#at = begin;
				continue;
			}
			const terms: Term[] = [];
			for (;;) {
				this.#space();
				if (this.#take(")")) break;
				if (this.#take(",")) continue;
				terms.push(this.#callTerm());
			}
			// An index behind a call picks from its list; only getopt has one, and takes it as its last argument.
			const index = this.#argument();
			return {
				is: "call",
				name: call,
				terms: index === undefined ? terms : [...terms, { is: "text", text: index }],
			};
		}
		return undefined;
	}
	#callTerm(): Term {
		this.#deeper();
		let term: Term | undefined;
		if (this.#take("(")) {
			const terms: Term[] = [];
			for (;;) {
				this.#space();
				if (this.#take(")")) break;
				if (this.#take(",")) continue;
				terms.push(this.#callTerm());
			}
			term = { is: "call", name: "list", terms };
		}
		term ??= this.#fieldOrCall() ?? { is: "text", text: this.#value() };
		this.#depth--;
		return term;
	}
	#argument(): string | undefined {
		if (!this.#take("[")) return undefined;
		const quoted = this.#quoted();
		const text = quoted ?? this.#match(argumentPattern);
		if (text === undefined) throw this.#problem("an argument is missing in [ ]", "write a number or a name");
		if (!this.#take("]")) throw this.#problem(`] is missing before ${this.#here()}`, "add the ]");
		return text;
	}

	#operator(left: Term, at: number): Node {
		const check = (operator: Operator, right: readonly Term[], match: "any" | "all" = "any"): Node => ({
			is: "check",
			left,
			operator,
			match,
			right,
			at,
		});
		if (this.#take("exists")) return check("exists", []);
		for (const sign of signs) {
			if (!this.#take(sign)) continue;
			this.#space();
			const operator = sign === "==" ? "=" : sign;
			const many = operator === "=" || operator === "!=" ? this.#many() : undefined;
			return many ? check(operator, this.#list(), many) : check(operator, [this.#term()]);
		}
		for (const word of textOperators) {
			if (!this.#text.startsWith(word, this.#at) || !/\s/.test(this.#text[this.#at + word.length] ?? ""))
				continue;
			this.#at += word.length;
			this.#space();
			const many = this.#many();
			return many ? check(word, this.#list(), many) : check(word, [this.#term()]);
		}
		for (const word of listOperators) {
			if (this.#keyword(word)) return check(word, this.#list());
		}
		throw this.#problem(
			`an operator is missing before ${this.#here()}`,
			`known: exists ${[...signs, ...textOperators, ...listOperators].join(" ")}`,
		);
	}
	/** Does a list of values come, and must all of them hold? */
	#many(): "any" | "all" | undefined {
		if (this.#keyword("oneof") || this.#keyword("anyof")) return "any";
		return this.#keyword("allof") ? "all" : undefined;
	}
	#term(): Term {
		return this.#fieldTerm() ?? { is: "text", text: this.#value() };
	}
	/** On the right, a bare word is a value, even one that looks like a field; only calls count (val(field)). */
	#fieldTerm(): Term | undefined {
		for (const call of calls) if (this.#text.startsWith(`${call}(`, this.#at)) return this.#fieldOrCall();
		return undefined;
	}
	#list(): Term[] {
		this.#space();
		const single = this.#fieldTerm();
		if (single) return [single];
		if (!this.#take("(")) {
			const begin = this.#at;
			const name = this.#match(namePattern);
			this.#at = begin;
			throw this.#problem(
				name ? `no list is named ${name}` : `a list is missing at ${this.#here()}`,
				"define the list before this place, or write (a, b)",
			);
		}
		const terms: Term[] = [];
		for (;;) {
			this.#space();
			if (this.#take(")")) return terms;
			if (terms.length > 0) {
				if (!this.#take(","))
					throw this.#problem(`, or ) is missing before ${this.#here()}`, "separate values with ,");
				this.#space();
			}
			terms.push({ is: "text", text: this.#value() });
		}
	}
	#value(): string {
		const text = this.#quoted() ?? this.#match(barePattern);
		if (text === undefined)
			throw this.#problem(`a value is missing before ${this.#here()}`, "quote values with spaces");
		return text;
	}

	/** Only the same quote needs escaping inside; `\ ` stands for one backslash (a quirk files rely on). */
	#quoted(): string | undefined {
		const quote = this.#text[this.#at];
		if (quote !== '"' && quote !== "'") return undefined;
		const begin = this.#at++;
		let out = "";
		for (;;) {
			const sign = this.#text[this.#at++];
			if (sign === undefined) {
				this.#at = begin;
				throw this.#problem("a quoted value has no end", `add the closing ${quote}`);
			}
			if (sign === quote) return out;
			out += sign === "\\" ? this.#escape(quote) : sign;
		}
	}
	#escape(quote: string): string {
		const sign = this.#text[this.#at++] ?? "";
		if (sign === quote) return quote;
		if (sign === "x") {
			const digits = this.#text.slice(this.#at, this.#at + 2);
			if (/^[0-9a-fA-F]{2}$/.test(digits)) {
				this.#at += 2;
				return String.fromCharCode(Number.parseInt(digits, 16));
			}
		}
		const known = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", "\\": "\\", "/": "/", " ": "\\" }[sign];
		if (known === undefined) {
			throw this.#problem(
				`unknown escape \\${sign} in a quoted value`,
				"known: \\b \\f \\n \\r \\t \\\\ \\/ \\xHH and the quote",
			);
		}
		return known;
	}
}
