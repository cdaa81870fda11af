// Globs, matched in linear time on bytes where they lie: `*` any run of characters but "/", `**` any run at all,
// `?` one character but "/". In names (images, containers, rules) "/" is a character like any other.

export interface Glob {
	readonly text: string;
	/** Characters; below zero the wildcards. */
	readonly tokens: Int16Array;
	/** Text before the first wildcard. */
	readonly literal: string;
	/** No wildcard at all. */
	readonly exact: boolean;
	/** The NFA's states, reused. */
	readonly states: Uint8Array;
}

const anyOne = -1;
const anyRun = -2;
const anyRunAndSlash = -3;
const slash = 47;

/** A path ending in "/" means everything below it. */
export function pathGlob(text: string): Glob {
	return compile(text.endsWith("/") ? `${text}**` : text, false);
}

export function nameGlob(text: string): Glob {
	return compile(text, true);
}

function compile(text: string, isName: boolean): Glob {
	const bytes = Buffer.from(text, "utf8");
	const tokens: number[] = [];
	for (let index = 0; index < bytes.length; index++) {
		const char = bytes[index] ?? 0;
		if (char === 0x2a) {
			const double = bytes[index + 1] === 0x2a;
			if (double) index++;
			const token = double || isName ? anyRunAndSlash : anyRun;
			// "***" and "**" after "**" say nothing new.
			if (!(token === anyRunAndSlash && tokens.at(-1) === anyRunAndSlash)) tokens.push(token);
		} else {
			tokens.push(char === 0x3f ? anyOne : char);
		}
	}
	const first = tokens.findIndex((token) => token < 0);
	const literal = Buffer.from(tokens.slice(0, first < 0 ? tokens.length : first)).toString("latin1");
	return {
		text,
		tokens: Int16Array.from(tokens),
		literal,
		exact: first < 0,
		states: new Uint8Array(tokens.length + 1),
	};
}

/** Does `bytes[start..end)` match as a whole? Work is at most its length times that of the glob. */
export function matchesBytes(glob: Glob, bytes: Uint8Array, start: number, end: number): boolean {
	const { tokens, literal, states } = glob;
	const size = end - start;
	if (size < literal.length || (glob.exact && size !== literal.length)) return false;
	for (let index = 0; index < literal.length; index++) {
		if (bytes[start + index] !== tokens[index]) return false;
	}
	if (glob.exact) return true;
	// "/etc/**" and its like, the most common form.
	const rest = literal.length;
	if (rest === tokens.length - 1 && tokens[rest] === anyRunAndSlash) return true;
	return simulate(tokens, rest, states, bytes, start + rest, end);
}

/** All states of the automaton at once; state i: the tokens before i have matched. */
function simulate(
	tokens: Int16Array,
	from: number,
	states: Uint8Array,
	bytes: Uint8Array,
	start: number,
	end: number,
): boolean {
	const last = tokens.length;
	states.fill(0);
	states[from] = 1;
	for (let index = from; index < last && (tokens[index] ?? 0) <= anyRun; index++) states[index + 1] = 1;
	for (let at = start; at < end; at++) {
		const char = bytes[at] ?? 0;
		let alive = false;
		// From the back, so that a state is read before it is overwritten by the one before it.
		for (let state = last; state >= from; state--) {
			const own = tokens[state];
			const stays = states[state] === 1 && state < last && own !== undefined && holds(own, char);
			const token = state > from ? (tokens[state - 1] ?? 0) : 0;
			const moves =
				state > from && states[state - 1] === 1 && (token === char || (token === anyOne && char !== slash));
			states[state] = stays || moves ? 1 : 0;
			if (stays || moves) alive = true;
		}
		if (!alive) return false;
		for (let state = from; state < last; state++) {
			if (states[state] === 1 && (tokens[state] ?? 0) <= anyRun) states[state + 1] = 1;
		}
	}
	return states[last] === 1;
}

function holds(token: number, char: number): boolean {
	return token === anyRunAndSlash || (token === anyRun && char !== slash);
}

let scratch = Buffer.alloc(8192);

/** The same for captured text, a latin1 string, from character `from` on. */
export function matchesText(glob: Glob, text: string, from = 0): boolean {
	if (text.length > scratch.length) scratch = Buffer.alloc(text.length * 2);
	const size = scratch.write(text, 0, "latin1");
	return matchesBytes(glob, scratch, Math.min(from, size), size);
}

/** The same for text that is not captured: names of rules, images, labels. */
export function matchesName(glob: Glob, name: string): boolean {
	const bytes = Buffer.from(name, "utf8");
	return matchesBytes(glob, bytes, 0, bytes.length);
}
