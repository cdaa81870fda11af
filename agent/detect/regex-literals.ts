// Literals of which every match of a regular expression holds one: by them the rules are found that an event can match
// at all. Knows the common part of RE2's syntax and says nothing about the rest.

/** A text matches only if it holds one of these; undefined: nothing is known. */
type Required = readonly string[] | undefined;

/** One of these is in every text that matches; undefined when there is no such bound. */
export function regexLiterals(pattern: string): Required {
	// What these flags change, signs and ends of lines, is in no literal.
	const parser = new Parser(pattern.replace(/^\(\?[ms]+\)/, ""));
	const found = parser.alternation();
	return parser.failed || !parser.done ? undefined : found;
}

/** The stronger of two bounds: long literals are rare, few of them rarer. */
function better(a: Required, b: Required): Required {
	if (!a || !b) return a ?? b;
	const score = (each: readonly string[]) => Math.min(...each.map(({ length }) => length)) - each.length / 8;
	return score(b) > score(a) ? b : a;
}

class Parser {
	readonly #text: string;
	#at = 0;
	/** Something is written that this does not know. */
	failed = false;

	constructor(text: string) {
		this.#text = text;
	}

	get done(): boolean {
		return this.#at >= this.#text.length;
	}
	#take(sign: string): boolean {
		if (this.#text[this.#at] !== sign) return false;
		this.#at++;
		return true;
	}

	alternation(): Required {
		const branches = [this.#sequence()];
		while (this.#take("|")) branches.push(this.#sequence());
		return branches.some((each) => each === undefined) ? undefined : branches.flatMap((each) => each ?? []);
	}

	#sequence(): Required {
		let best: Required;
		let run = "";
		const endRun = () => {
			if (run !== "") best = better(best, [run]);
			run = "";
		};
		while (!this.done && !this.failed && this.#text[this.#at] !== "|" && this.#text[this.#at] !== ")") {
			const item = this.#item();
			const [least, most] = this.#quantifier();
			if (item.letter !== undefined && least === 1 && most === 1) {
				run += item.letter;
				continue;
			}
			// "ab+c": what was before and one b go together, what comes after begins anew.
			if (item.letter !== undefined && least > 0) run += item.letter;
			endRun();
			if (item.letter === undefined && least > 0) best = better(best, item.required);
		}
		endRun();
		return best;
	}

	#item(): { readonly letter?: string; readonly required?: Required } {
		const sign = this.#text[this.#at++] as string;
		switch (sign) {
			case "(": {
				if (this.#take("?") && !this.#take(":")) this.failed = true; // flags and names
				const required = this.failed ? undefined : this.alternation();
				if (!this.#take(")")) this.failed = true;
				return { required };
			}
			case "[": {
				// "[.]" is a way to write a dot.
				const from = this.#at;
				this.#set();
				const within = this.#text.slice(from, this.#at - 1);
				return within.length === 1 && within !== "^" ? { letter: within } : {};
			}
			case ".":
			case "^":
			case "$":
				return {};
			case "*":
			case "+":
			case "?":
			case "{":
				this.failed = true;
				return {};
			case "\\":
				return this.#escape();
			default:
				return { letter: sign };
		}
	}

	#escape(): { readonly letter?: string } {
		const sign = this.#text[this.#at++] ?? "";
		if (/[^a-zA-Z0-9]/.test(sign)) return { letter: sign };
		if (!/[dDsSwWbB]/.test(sign)) this.failed = true;
		return {};
	}

	/** Past a bracket expression. */
	#set(): void {
		this.#take("^");
		this.#take("]");
		for (; !this.done && this.#text[this.#at] !== "]"; this.#at++) {
			if (this.#text[this.#at] === "\\") this.#at++;
			// "[:alpha:]" within the brackets.
			else if (this.#text[this.#at] === "[" && this.#text[this.#at + 1] === ":") this.failed = true;
		}
		if (!this.#take("]")) this.failed = true;
	}

	/** How often at least and at most the item before may stand there. */
	#quantifier(): [least: number, most: number] {
		let found: [number, number] = [1, 1];
		if (this.#take("*")) found = [0, 2];
		else if (this.#take("+")) found = [1, 2];
		else if (this.#take("?")) found = [0, 1];
		else if (this.#text[this.#at] === "{") {
			const counted = /^\{(\d+)(,?)(\d*)\}/.exec(this.#text.slice(this.#at));
			if (!counted) {
				this.failed = true;
				return found;
			}
			const [whole, least = "", comma, most = ""] = counted;
			this.#at += whole.length;
			found = [Number(least), comma === "" ? Number(least) : most === "" ? 2 + Number(least) : Number(most)];
		} else return found;
		this.#take("?"); // as few as possible: the same texts match
		return found;
	}
}
