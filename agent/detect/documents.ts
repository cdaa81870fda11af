// The YAML of Sigma files: one document a rule, a correlation or a filter, several in one file. Scalars are text, as in
// Falco files, except null. What a document means is decided by whoever compiles it.
import {
	isMap,
	isScalar,
	isSeq,
	LineCounter,
	type Node,
	parseAllDocuments,
	type Scalar,
	type Document as YamlDocument,
} from "yaml";
import type { Problem } from "../model/verdict.ts";
import { offsetIn, type Place } from "./rule-file.ts";
import { type Value, YamlReader, YamlRefusal, yamlErrors } from "./yaml-values.ts";

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

function scalar({ value, type }: Scalar): Value {
	const text = String(value ?? "");
	return (type === "PLAIN" || type === undefined) && /^(~|null|Null|NULL)?$/.test(text) ? null : text;
}

/** The value at a key or an index; undefined when there is none. */
function childOf(reader: YamlReader, node: unknown, key: string | number): unknown {
	const target = reader.target(node);
	if (isSeq(target)) return target.items[Number(key)];
	if (!isMap(target)) return undefined;
	const pair = target.items.find((each) => isScalar(each.key) && String(each.key.value) === key);
	return pair?.value ?? pair?.key;
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
		for (const { offset, message, remedy } of yamlErrors(document)) report(at(offset), message, remedy);
		if (document.errors.length > 0 || root === null) continue;
		if (!isMap(root)) {
			if (!isScalar(root) || scalar(root) !== null)
				report(place, "a Sigma document is a map", "begin it with title:, and put --- between documents");
			continue;
		}
		const reader = new YamlReader(document as YamlDocument, scalar, () => {});
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
						node = childOf(reader, node, key);
						found = placeOfNode(node) ?? found;
					}
					return skip > 0 && isScalar(node) ? at(offsetIn(text, node, skip)) : found;
				},
			});
		} catch (error) {
			if (!(error instanceof YamlRefusal)) throw error;
			report(placeOfNode(error.node) ?? place, error.message, error.remedy);
		}
	}
	return documents;
}
