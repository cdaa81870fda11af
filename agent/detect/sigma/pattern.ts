// Sigma's texts: * and ? are wildcards, and a backslash before one of these or before another makes them ordinary.

/** Runs of ordinary text between wildcards. */
export type Part = { readonly text: string } | "*" | "?";
export type Pattern = readonly Part[];

export function parsePattern(text: string): Pattern {
	const parts: Part[] = [];
	let run = "";
	const endRun = () => {
		if (run !== "") parts.push({ text: run });
		run = "";
	};
	for (let i = 0; i < text.length; i++) {
		const sign = text[i] as string;
		const next = text[i + 1];
		if (sign === "\\" && (next === "*" || next === "?" || next === "\\")) {
			run += next;
			i++;
		} else if (sign === "*" || sign === "?") {
			endRun();
			if (sign === "?" || parts.at(-1) !== "*") parts.push(sign);
		} else run += sign;
	}
	endRun();
	return parts;
}

/** The text of a pattern without wildcards; undefined for one with some. */
export function literalOf(pattern: Pattern): string | undefined {
	const texts = pattern.map((part) => (typeof part === "string" ? undefined : part.text));
	return texts.includes(undefined) ? undefined : texts.join("");
}

export type Position = "equals" | "contains" | "startswith" | "endswith" | "glob";

/** What a pattern asks for in the simplest words; "" anywhere is what every text satisfies. */
export function positionOf(pattern: Pattern): { readonly position: Position; readonly text: string } {
	const begin = pattern[0] === "*";
	const end = pattern.length > 1 && pattern.at(-1) === "*";
	const inner = pattern.slice(begin ? 1 : 0, end ? -1 : undefined);
	const text = literalOf(inner);
	if (text === undefined) return { position: "glob", text: globOf(pattern) };
	if (begin) return { position: end || text === "" ? "contains" : "endswith", text };
	return { position: end ? "startswith" : "equals", text };
}

/** As fnmatch(3) writes it. */
function globOf(pattern: Pattern): string {
	return pattern.map((part) => (typeof part === "string" ? part : ordinary(part.text))).join("");
}
/** A text as a glob that is nothing but itself. */
export function ordinary(text: string): string {
	return text.replace(/[*?[\\]/g, "\\$&");
}

const foreign = /[^\0-\x7f]+/g;
/** Has it letters whose other case only Unicode knows? */
export function hasForeignCase(text: string): boolean {
	return (text.match(foreign) ?? []).some((run) => run.toLowerCase() !== run.toUpperCase());
}

/** A glob as a regular expression for a text as a whole, in any case of any script. */
export function regexOfGlob(glob: string): string {
	const parts = [...glob.matchAll(/\\(.)|(.)/gsu)].map(([, escaped, sign = ""]) => {
		if (escaped === undefined && sign === "*") return ".*";
		if (escaped === undefined && sign === "?") return ".";
		return (escaped ?? sign).replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
	});
	return `(?is)^${parts.join("")}$`;
}

export function surrounded(pattern: Pattern, begin: boolean, end: boolean): Pattern {
	return [
		...(begin && pattern[0] !== "*" ? (["*"] as const) : []),
		...pattern,
		...(end && pattern.at(-1) !== "*" ? (["*"] as const) : []),
	];
}

export type Encoding = "utf8" | "utf16le" | "utf16be" | "utf16";

export function encoded(text: string, encoding: Encoding): Buffer {
	if (encoding === "utf8") return Buffer.from(text, "utf8");
	const bytes = Buffer.from(text, "utf16le");
	if (encoding === "utf16be") return bytes.swap16();
	return encoding === "utf16" ? Buffer.concat([Buffer.from([0xff, 0xfe]), bytes]) : bytes;
}

/** The parts of a base64 text that bytes within it are seen as, by where they begin: at each place in a group of three. */
export function base64Offsets(bytes: Buffer): string[] {
	const begins = [0, 2, 3];
	return begins.map((begin, offset) => {
		const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
		const rest = (bytes.length + offset) % 3;
		// The signs that also hold bits of what follows.
		return text.slice(begin, rest === 0 ? undefined : rest === 1 ? -3 : -2);
	});
}

const dashes = ["-", "/", "\u2013", "\u2014", "\u2015"];
const dash = /\B[-/]\b/g;
const mostDashes = 4;

/** Every way to write the options of a Windows command line; undefined when there are too many. */
export function dashed(text: string): string[] | undefined {
	const places = [...text.matchAll(dash)].map(({ index }) => index);
	if (places.length > mostDashes) return undefined;
	return places.reduce<string[]>(
		(texts, place) =>
			texts.flatMap((each) => dashes.map((sign) => `${each.slice(0, place)}${sign}${each.slice(place + 1)}`)),
		[text],
	);
}
