// The YAML of Sigma files: one document a rule, a correlation or a filter, several in one file. Scalars are text, as in
// Falco files, except null. What a document means is decided by whoever compiles it.
import { isMap, isNode, isScalar, isSeq, type Node, type Scalar } from "yaml";
import type { Priority, Problem } from "../model/verdict.ts";
import { offsetIn, type Place, placesIn, type Spot, spotOf } from "./rule-file.ts";
import { parseYaml } from "./yaml-steps.ts";
import { type Value, YamlReader, YamlRefusal, yamlErrors } from "./yaml-values.ts";

/** Keys and places in lists that lead to a value. */
export type Path = readonly (string | number)[];

export interface Document {
	readonly is: "sigma" | "correlation" | "filter";
	readonly file: string;
	readonly place: Place;
	readonly values: Readonly<Record<string, Value>>;
	/**
	 * Of the value at that path of keys and indexes, or of the nearest one above it that is there; of a text, of what
	 * stands in it behind `skip` characters that are no space.
	 */
	placeOf(path: Path, skip?: number): Place;
}

/** A mistake in a document, and where in it. */
export class DocumentProblem extends Error {
	readonly path: Path;
	readonly remedy: string;
	/** Signs of the text there that come before the place and are no space. */
	readonly skip: number;
	constructor(message: string, path: Path, remedy: string, skip = 0) {
		super(message);
		this.path = path;
		this.remedy = remedy;
		this.skip = skip;
	}
}

/** What Sigma's levels are among Falco's priorities. */
export const levels: ReadonlyMap<string, Priority> = new Map([
	["informational", "Informational"],
	["low", "Notice"],
	["medium", "Warning"],
	["high", "Error"],
	["critical", "Critical"],
]);

/** What a file is, by how its first document begins: Falco's are lists, Sigma's are maps. */
export function languageOf(text: string): "falco" | "sigma" {
	for (const line of text.replace(/^\uFEFF/, "").split("\n")) {
		const content = line.replace(/^---(?=\s|$)/, "").trim();
		if (content === "" || content.startsWith("#") || content.startsWith("%")) continue;
		return /^(-(\s|$)|\[)/.test(content) ? "falco" : "sigma";
	}
	return "falco";
}

function scalar({ value, type }: Scalar): Value {
	const text = String(value ?? "");
	return (type === "PLAIN" || type === undefined) && /^(~|null|Null|NULL)?$/.test(text) ? null : text;
}

/** Where a document's values stand. */
interface Spots extends Spot {
	/** Of a map and of a list, by key or index. */
	readonly inner: ReadonlyMap<string, Spots>;
}

function spotsOf(reader: YamlReader, node: unknown): Spots {
	const target = reader.target(node);
	const inner = new Map<string, Spots>();
	const add = (key: string, value: unknown): void => {
		if (isNode(value) && !inner.has(key)) inner.set(key, spotsOf(reader, value));
	};
	if (isSeq(target)) for (const [index, each] of target.items.entries()) add(String(index), each);
	for (const { key, value } of isMap(target) ? target.items : [])
		if (isScalar(key)) add(String(key.value), value ?? key);
	return { ...spotOf(node), inner };
}

/** Apart from what reads the file: a closure made in there would keep its syntax tree in memory. */
function placesOf(text: string, root: Spots, at: (offset: number) => Place): Document["placeOf"] {
	return (path, skip = 0) => {
		let spot = root;
		for (const key of path) {
			const next = spot.inner.get(String(key));
			if (!next) return at(spot.start);
			spot = next;
		}
		return at(skip > 0 && spot.type ? offsetIn(text, spot, skip) : spot.start);
	};
}

/** Every document of the file that can be read; what cannot be is told in `problems`. In steps of some milliseconds. */
export function* readDocuments(
	file: string,
	text: string,
	problems: Problem[],
): Generator<void, readonly Document[]> {
	// Null, numbers and switches are told by how they are written: "null" in quotes is a text.
	const { documents: parsed, lines } = yield* parseYaml(text, true);
	const at = placesIn(lines);
	const placeOfNode = (node: unknown): Place | undefined => {
		const range = (node as Node | null | undefined)?.range;
		return range ? at(range[0]) : undefined;
	};
	const report = (place: Place, message: string, remedy: string): void => {
		problems.push({ file, ...place, where: "", message, remedy, level: "error" });
	};
	const documents: Document[] = [];
	for (const document of parsed) {
		const root = document.contents;
		const place = placeOfNode(root) ?? { line: 1, column: 1 };
		for (const { offset, message, remedy } of yamlErrors(document)) report(at(offset), message, remedy);
		if (document.errors.length > 0 || root === null) continue;
		if (!isMap(root)) {
			if (!isScalar(root) || scalar(root) !== null)
				report(place, "a Sigma document is a map", "begin it with title:, and put --- between documents");
			continue;
		}
		const reader = new YamlReader(document, scalar, () => {});
		try {
			const values = reader.plain(root) as Record<string, Value>;
			documents.push({
				is: "correlation" in values ? "correlation" : "filter" in values ? "filter" : "sigma",
				file,
				place,
				values,
				placeOf: placesOf(text, spotsOf(reader, root), at),
			});
		} catch (error) {
			if (!(error instanceof YamlRefusal)) throw error;
			report(placeOfNode(error.node) ?? place, error.message, error.remedy);
		}
	}
	return documents;
}
