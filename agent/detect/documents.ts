// The YAML of Sigma files: one document a rule, a correlation or a filter, several in one file. Scalars are text, as in
// Falco files, except null. What a document means is decided by whoever compiles it.
import {
	isAlias,
	isMap,
	isScalar,
	isSeq,
	LineCounter,
	type Node,
	parseAllDocuments,
	type Document as YamlDocument,
} from "yaml";
import type { Problem } from "../model/verdict.ts";
import { asText, offsetIn, type Place, type Value } from "./rule-file.ts";

export interface Document {
	readonly is: "sigma" | "correlation" | "filter";
	readonly file: string;
	readonly place: Place;
	readonly values: Readonly<Record<string, Value>>;
	/**
	 * Of the value at that path of keys and indexes, or of the nearest one above it that is there; of a text, of what
	 * stands in it behind `skip` characters that are no space.
	 */
	placeOf(path: readonly (string | number)[], skip?: number): Place;
}

/** What a file is, by how its first document begins: Falco's are lists, Sigma's are maps. */
export function languageOf(text: string): "falco" | "sigma" {
	for (const line of text.replace(/^\uFEFF/, "").split("\n")) {
		const content = line.replace(/^---(?=\s|$)/, "").trim();
		if (content === "" || content.startsWith("#") || content.startsWith("%")) continue;
		return /^(-(\s|$)|\[)/.test(content) ? "falco" : "sigma";
	}
	return "falco";
}

/** Aliases let a few lines stand for any number of values. */
const mostValues = 20_000;
const deepest = 50;

/** A mistake in the YAML as such. */
class Refusal extends Error {
	readonly node: unknown;
	readonly remedy: string;
	constructor(message: string, node: unknown, remedy: string) {
		super(message);
		this.node = node;
		this.remedy = remedy;
	}
}

class Reader {
	readonly #document: YamlDocument;
	#left = mostValues;

	constructor(document: YamlDocument) {
		this.#document = document;
	}

	/** Throws Refusal. */
	plain(node: unknown, depth = 0): Value {
		if (--this.#left < 0)
			throw new Refusal(`more than ${mostValues} values`, node, "write fewer, and no alias of an alias");
		if (depth > deepest) throw new Refusal("nested too deeply", node, `use at most ${deepest} levels`);
		if (isAlias(node)) {
			const target = node.resolve(this.#document);
			if (!target)
				throw new Refusal(
					`*${node.source} refers to nothing`,
					node,
					`write &${node.source} at what it means`,
				);
			return this.plain(target, depth + 1);
		}
		if (isScalar(node)) return scalar(node.value, node.type);
		if (isSeq(node)) return node.items.map((each) => this.plain(each, depth + 1));
		if (isMap(node)) {
			return Object.fromEntries(
				node.items.map(({ key, value }) => {
					const name = asText(this.plain(key, depth + 1));
					if (name === "<<")
						throw new Refusal("<< is not read", key, "write out the keys that it would put in");
					return [name, this.plain(value, depth + 1)];
				}),
			);
		}
		return null;
	}

	child(node: unknown, key: string | number): unknown {
		const target = isAlias(node) ? node.resolve(this.#document) : node;
		if (isSeq(target)) return target.items[Number(key)];
		if (!isMap(target)) return undefined;
		const pair = target.items.find((each) => isScalar(each.key) && String(each.key.value) === key);
		return pair?.value ?? pair?.key;
	}
}

function scalar(value: unknown, type: string | undefined): Value {
	const text = String(value ?? "");
	return type === "PLAIN" && /^(~|null|Null|NULL)?$/.test(text) ? null : text;
}

/** Every document of the file that can be read; what cannot be is told in `problems`. */
export function readDocuments(file: string, text: string, problems: Problem[]): readonly Document[] {
	const counter = new LineCounter();
	// Null, numbers and switches are told by how they are written: "null" in quotes is a text.
	const parsed = parseAllDocuments(text, { schema: "failsafe", lineCounter: counter, uniqueKeys: true });
	const at = (offset: number): Place => {
		const { line, col } = counter.linePos(offset);
		return { line, column: col };
	};
	const placeOfNode = (node: unknown): Place | undefined => {
		const range = (node as Node | null | undefined)?.range;
		return range ? at(range[0]) : undefined;
	};
	const report = (place: Place, message: string, remedy: string): void => {
		problems.push({ file, ...place, where: "", message, remedy, level: "error" });
	};
	const documents: Document[] = [];
	for (const document of Array.isArray(parsed) ? parsed : []) {
		const root = document.contents;
		const place = placeOfNode(root) ?? { line: 1, column: 1 };
		for (const error of document.errors) {
			const [first = error.message] = error.message.split("\n");
			report(at(error.pos[0]), first, "mend the YAML; check indentation and quotes");
		}
		if (document.errors.length > 0 || root === null) continue;
		if (!isMap(root)) {
			if (!isScalar(root) || scalar(root.value, root.type) !== null)
				report(place, "a Sigma document is a map", "begin it with title:, and put --- between documents");
			continue;
		}
		const reader = new Reader(document as YamlDocument);
		try {
			const values = reader.plain(root) as Record<string, Value>;
			documents.push({
				is: "correlation" in values ? "correlation" : "filter" in values ? "filter" : "sigma",
				file,
				place,
				values,
				placeOf: (path, skip = 0) => {
					let found = place;
					let node: unknown = root;
					for (const key of path) {
						node = reader.child(node, key);
						found = placeOfNode(node) ?? found;
					}
					return skip > 0 && isScalar(node) ? at(offsetIn(text, node, skip)) : found;
				},
			});
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			report(placeOfNode(error.node) ?? place, error.message, error.remedy);
		}
	}
	return documents;
}
