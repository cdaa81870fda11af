// Sigma rules judged as plainly and slowly as can be, read from the YAML by itself: nothing here is the product's.
import { BlockList } from "node:net";
import { RE2JS } from "re2js";
import { type Document, isAlias, isMap, isScalar, isSeq, parseAllDocuments } from "yaml";

export type Plain = string | null | readonly Plain[] | { readonly [key: string]: Plain };

/** The rule is none, by what this reading of the specification says. */
export class NoRule extends Error {}
/** What this evaluator has no opinion about. */
export class NoOpinion extends Error {}

/** Values of the documents; undefined for one that is no YAML. */
export function plainDocuments(text: string): (Plain | undefined)[] {
	const documents = parseAllDocuments(text, { schema: "failsafe" });
	return (Array.isArray(documents) ? documents : []).map((each) =>
		each.errors.length > 0 ? undefined : plainOf(each, each.contents, 0),
	);
}

function plainOf(document: Document.Parsed, node: unknown, depth: number): Plain {
	if (depth > 60) throw new NoOpinion("deep");
	if (isAlias(node)) return plainOf(document, node.resolve(document), depth + 1);
	if (isSeq(node)) return node.items.map((each) => plainOf(document, each, depth + 1));
	if (isMap(node))
		return Object.fromEntries(
			node.items.map(({ key, value }) => [
				String(plainOf(document, key, depth + 1) ?? ""),
				plainOf(document, value, depth + 1),
			]),
		);
	if (!isScalar(node)) return null;
	const text = String(node.value ?? "");
	return node.type === "PLAIN" && /^(~|null|Null|NULL)?$/.test(text) ? null : text;
}

export const isText = (value: Plain | undefined): value is string => typeof value === "string";
export function mapOf(value: Plain | undefined): Readonly<Record<string, Plain>> {
	return value !== null && typeof value === "object" && !Array.isArray(value)
		? (value as Record<string, Plain>)
		: {};
}
export function listOf(value: Plain | undefined): readonly Plain[] {
	if (Array.isArray(value)) return value;
	return value === undefined || value === null ? [] : [value];
}

/** An event as a log would have it: Sigma's fields, and the text that keywords are looked for in. */
export interface LogRecord {
	readonly fields: Readonly<Record<string, string | number>>;
	readonly text: string;
}

/** Does the document's detection hold for the record? Throws NoRule and NoOpinion. */
export function holdsPlainly(
	detection: Plain | undefined,
	others: readonly string[],
	record: LogRecord,
): boolean {
	const { condition, ...rest } = mapOf(detection);
	const names = Object.keys(rest).filter((name) => !others.includes(name));
	const answers = new Map(names.map((name) => [name, selected(rest[name] as Plain, record)]));
	const conditions = Array.isArray(condition) ? condition : [condition];
	if (conditions.length === 0) throw new NoRule("no condition");
	return conditions.map((each) => new Condition(each, answers).value()).some(Boolean);
}

class Condition {
	readonly #words: string[];
	readonly #answers: ReadonlyMap<string, boolean>;

	constructor(text: Plain | undefined, answers: ReadonlyMap<string, boolean>) {
		if (!isText(text)) throw new NoRule("no condition");
		this.#words = text.match(/[()|]|[^\s()|]+/g) ?? [];
		this.#answers = answers;
	}
	value(): boolean {
		const value = this.#any();
		if (this.#words.length > 0) throw new NoRule(`${this.#words.join(" ")} is left`);
		return value;
	}
	#is(word: string): boolean {
		if (this.#words[0]?.toLowerCase() !== word) return false;
		this.#words.shift();
		return true;
	}
	#any(): boolean {
		const values = [this.#all()];
		while (this.#is("or")) values.push(this.#all());
		return values.includes(true);
	}
	#all(): boolean {
		const values = [this.#one()];
		while (this.#is("and")) values.push(this.#one());
		return !values.includes(false);
	}
	#one(): boolean {
		if (this.#is("not")) return !this.#one();
		if (this.#is("(")) {
			const value = this.#any();
			if (!this.#is(")")) throw new NoRule("no )");
			return value;
		}
		const word = this.#words.shift() ?? "";
		if (!this.#is("of")) {
			const answer = this.#answers.get(word);
			if (answer === undefined) throw new NoRule(`no selection ${word}`);
			return answer;
		}
		const pattern = this.#words.shift() ?? "";
		const all = pattern.toLowerCase() === "them";
		const form = new RegExp(`^${pattern.split("*").map(quoted).join(".*")}$`, "su");
		const found = [...this.#answers].filter(
			([name]) =>
				(all || form.test(name)) &&
				(!name.startsWith("_") || pattern.startsWith("_") || (!all && !pattern.includes("*"))),
		);
		if (found.length === 0) throw new NoRule(`nothing is ${pattern}`);
		const values = found.map(([, answer]) => answer);
		if (/^(1|any)$/i.test(word)) return values.includes(true);
		if (/^all$/i.test(word)) return !values.includes(false);
		throw new NoRule(`${word} of`);
	}
}

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

function selected(value: Plain, record: LogRecord): boolean {
	if (Array.isArray(value)) {
		if (value.length === 0) throw new NoRule("empty");
		const words = value.filter((each) => each === null || isText(each));
		const maps = value.filter((each) => each !== null && !isText(each));
		return [
			...(words.length > 0 ? [item("", words, record)] : []),
			...maps.map((each) => selected(each, record)),
		].includes(true);
	}
	if (value === null || isText(value)) return item("", [value], record);
	const entries = Object.entries(mapOf(value));
	if (entries.length === 0) throw new NoRule("empty");
	return !entries
		.map(([key, each]) => {
			if (each !== null && typeof each === "object" && !Array.isArray(each))
				throw new NoRule("a map in a map");
			const values = Array.isArray(each) ? each : [each];
			if (values.length === 0) throw new NoRule("no value");
			return item(key, values, record);
		})
		.includes(false);
}

const plainWords = new Set(
	"contains startswith endswith all re i m s cased cidr lt lte gt gte exists neq base64 base64offset".split(
		" ",
	),
);
const knownWords = new Set([
	...plainWords,
	..."fieldref wide utf16le utf16be utf16 windash expand minute hour day week month year ignorecase multiline dotall".split(
		" ",
	),
]);

function item(key: string, values: readonly Plain[], record: LogRecord): boolean {
	const [name = "", ...words] = key.split("|");
	for (const word of words) if (!knownWords.has(word)) throw new NoRule(`the modifier ${word}`);
	if (words.some((word) => !plainWords.has(word))) throw new NoOpinion(words.join());
	for (const value of values) if (value !== null && !isText(value)) throw new NoRule("no single value");
	const has = (word: string): boolean => words.includes(word);
	if (name !== "" && Object.hasOwn(undecided, name)) throw new NoOpinion(name);
	const given =
		name === "" ? record.text : Object.hasOwn(record.fields, name) ? record.fields[name] : undefined;
	const answers = (values as readonly (string | null)[]).map((value) => {
		if (has("exists")) return (given !== undefined) === /^(true|yes)$/i.test(value ?? "");
		if (value === null) return has("neq") ? given !== undefined : given === undefined;
		if (given === undefined) return false;
		return one(given, value, words, name) !== has("neq");
	});
	return has("all") ? !answers.includes(false) : answers.includes(true);
}

/** Fields of which the records here say nothing. */
const undecided = Object.fromEntries(
	"UtcTime CreationUtcTime Computer SourceIp SourcePort SourceHostname DestinationHostname ParentProcessId ProcessId LogonId pid ppid cwd uid UID euid EUID auid AUID egid USER SYSCALL success exit type name nametype"
		.split(" ")
		.map((name) => [name, true]),
);

function one(given: string | number, value: string, words: readonly string[], name: string): boolean {
	const has = (word: string): boolean => words.includes(word);
	const flags = words.filter((word) => /^[ims]$/.test(word)).join("");
	if (has("re")) {
		try {
			return RE2JS.compile(flags === "" ? value : `(?${flags})${value}`)
				.matcher(String(given))
				.find();
		} catch {
			throw new NoRule("no regular expression");
		}
	}
	if (has("cidr")) {
		const [, network = "", bits = ""] = /^(\d+\.\d+\.\d+\.\d+)\/(\d\d?)$/.exec(value) ?? [];
		if (bits === "" || typeof given === "number") throw new NoOpinion(value);
		const list = new BlockList();
		try {
			list.addSubnet(network, Number(bits));
		} catch {
			throw new NoRule("no network");
		}
		return list.check(given);
	}
	for (const [word, compare] of Object.entries(comparisons)) {
		if (!has(word)) continue;
		if (!/^-?\d+$/.test(value)) throw new NoOpinion(value);
		return compare(Number(given), Number(value));
	}
	if (has("base64") || has("base64offset")) {
		if (/[*?\\]/.test(value)) throw new NoOpinion(value);
		const bytes = Buffer.from(value);
		const texts = has("base64") ? [bytes.toString("base64")] : [0, 1, 2].map((shift) => seenAt(bytes, shift));
		return texts.some((text) => fits(String(given), text, words, name, quoted(text)));
	}
	if (typeof given === "number") {
		if (words.length > 0 || !/^\d+$/.test(value)) throw new NoOpinion(value);
		return given === Number(value);
	}
	return fits(given, value, words, name);
}

const comparisons = {
	lt: (a: number, b: number) => a < b,
	lte: (a: number, b: number) => a <= b,
	gt: (a: number, b: number) => a > b,
	gte: (a: number, b: number) => a >= b,
};

/** Base64 of bytes that stand behind `shift` others, without the signs in which neighbours have bits. */
function seenAt(bytes: Buffer, shift: number): string {
	const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
	const first = (6 - ((shift * 8) % 6)) % 6;
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	return (bits.slice(first).match(/.{6}/g) ?? []).map((six) => letters[Number.parseInt(six, 2)]).join("");
}

/** A text with * and ? in it, by regular expression, anchored as the modifiers say. */
function fits(given: string, value: string, words: readonly string[], name: string, ready?: string): boolean {
	const body =
		ready ??
		value.replace(/\\[*?\\]|[\s\S]/g, (sign) =>
			sign === "*" ? ".*" : sign === "?" ? "." : quoted(sign.replace(/^\\(?=.)/, "")),
		);
	const keyword = name === "";
	const [begins, ends] = [words.includes("startswith"), words.includes("endswith")];
	const within = keyword || words.includes("contains");
	// A folder is the same with and without a slash behind it.
	const isFolder = name === "CurrentDirectory" && !words.includes("contains") && !begins;
	if (isFolder && /[*?\\]/.test(value)) throw new NoOpinion(value);
	const slash = isFolder ? "/?" : "";
	const form = new RegExp(
		`${within || ends ? "" : "^"}${body}${slash}${within || begins ? "" : "$"}`,
		words.includes("cased") ? "su" : "isu",
	);
	return form.test(given);
}
