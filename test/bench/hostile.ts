// Patterns and texts that are meant to take forever on each other.
const words = (count: number): string[] =>
	Array.from({ length: count }, (_, index) => `${index.toString(36)}x`);

/** Regular expressions; what is too much is refused when a rule file is read. */
export const hostileRegexes: readonly string[] = [
	...[
		"(a+)+b",
		"^(a+)+$b",
		"(a*)*b",
		"(a|a)*b",
		"(a|aa)+$",
		"(.*a){20}",
		"(a?){30}a{30}",
		"([a-z]+)*[0-9]{3,20}z",
	],
	...[".*".repeat(50), "(a|b)*a(a|b){12}", "(a|b)*a(a|b){150}", "a.{100}b", "(?i)iex.{0,100}downloadstring"],
	...[
		"\\b(\\w+\\b.*){40}$",
		"(\\w+\\s?)*\\s(\\w+\\s?)*!",
		"https?://[^\\s]{120,}",
		"(?m)^(a|ab|b)*$\\b",
		"a{1000}",
	],
	...["((a{9}){9}){9}b", "(?:a{1,100}b{1,100}){1,5}c", words(150).join("|"), `(${words(150).join("|")})*!`],
];
export const refusedRegexes: readonly string[] = [
	...["((a{30}){30}){30}", "(?:a{100}){100}", words(5000).join("|"), "(?:.{0,50}a.{0,50}b){1,9}.{400}c"],
	...["(?i)iex.{0,900}downloadstring", "(?:[ab]*a[ab]{30}|[bc]*b[bc]{40}|[cd]*c[cd]{50}){9}"],
];
export const hostileGlobs: readonly string[] = [
	`${"*a".repeat(40)}*b`,
	`*${"a?".repeat(190)}b*`,
	`*${"?".repeat(380)}b*`,
	`*${"[a-z]".repeat(300)}b*`,
	`${"*".repeat(1000)}b`,
	`*a*${"a".repeat(380)}b*`,
];
export const hostilePaths: readonly string[] = [`/${"*a".repeat(40)}*b`, `${"/*".repeat(500)}/b`, "/a/b/*"];
export const hostileTexts: readonly string[] = [
	...[
		"a".repeat(4000),
		`${"a".repeat(2000)}b${"a".repeat(2000)}`,
		`${"ab".repeat(900)}aa${"ab".repeat(900)}`,
	],
];

/** Texts of that many bytes. */
export function longTexts(size: number): readonly string[] {
	const all = [
		"a",
		"ab",
		"aab",
		"a b1",
		"abc de_1/",
		"/a",
		"/",
		"\n",
		"iex",
		"0x1x2x3x",
		"\xe9\xff",
		"!a\xc3",
	];
	return all.map((text) => text.repeat(Math.ceil(size / text.length)).slice(0, size));
}
