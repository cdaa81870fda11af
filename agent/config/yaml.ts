// YAML to a checked value, for every file a user writes: the schema validates and defaults, the document keeps
// the places, and each mistake becomes a Problem with line, column and the way out. Knows no particular file.
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import type { z } from "zod";
import type { Problem } from "../model/verdict.ts";
import { explainIssue, type Path, pathText } from "./issues.ts";
import { isSection, schemaAt } from "./shape.ts";

export interface Parsed<T> {
	/** Undefined when there is an error among the problems. */
	readonly value: T | undefined;
	readonly problems: Problem[];
	/** Line of the value at a path such as ["scopes", 0, "files"], 1-based; 0 when it is not in the text. */
	lineOf(path: Path): number;
	/** The same with its column, 1-based; of the nearest value around it when it is not in the text. */
	placeOf(path: Path): { readonly line: number; readonly column: number };
}

/** Far above any file written by hand; a console may send one. */
const maxBytes = 1024 * 1024;

/** Reads `text` (`file` is only for messages). Never throws for what the text holds. An empty file is `{}`. */
export function parseYaml<S extends z.ZodType>(schema: S, text: string, file: string): Parsed<z.output<S>> {
	const problems: Problem[] = [];
	const report = (line: number, column: number, where: string, message: string, remedy: string) =>
		problems.push({ file, line, column, where, message, remedy, level: "error" });
	const failed = { value: undefined, problems, lineOf: () => 0, placeOf: () => ({ line: 0, column: 0 }) };

	if (Buffer.byteLength(text) > maxBytes) {
		report(0, 0, "", `the file is larger than ${maxBytes} bytes`, "split it or remove what is not needed");
		return failed;
	}
	const lines = new LineCounter();
	const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
	for (const error of document.errors) {
		const { line, col } = lines.linePos(error.pos[0]);
		report(
			line,
			col,
			"",
			`not valid YAML: ${firstSentence(error.message)}`,
			"check indentation and quotes there",
		);
	}
	if (problems.length > 0) return failed;

	let raw: unknown;
	try {
		raw = document.toJS({ maxAliasCount: 100 }) ?? {};
	} catch (error) {
		report(
			0,
			0,
			"",
			error instanceof Error ? error.message : String(error),
			"write the values out, without aliases",
		);
		return failed;
	}
	const result = schema.safeParse(fillSections(schema, raw));
	const at = (node: Node | undefined) => {
		const offset = node?.range?.[0];
		return offset === undefined ? { line: 0, col: 0 } : lines.linePos(offset);
	};
	const lineOf = (path: Path) => at(nodeAt(document, path)).line;
	const placeOf = (path: Path) => {
		const { line, col } = at(nearestNode(document, path));
		return { line, column: col };
	};
	if (result.success) return { value: result.data, problems, lineOf, placeOf };

	for (const issue of result.error.issues) {
		for (const { path, key, message, remedy } of explainIssue(schema, issue, raw)) {
			const place = at(key === undefined ? nearestNode(document, path) : keyNode(document, path, key));
			report(place.line, place.col, pathText(key === undefined ? path : [...path, key]), message, remedy);
		}
	}
	return { value: undefined, problems, lineOf, placeOf };
}

/** `docker:` with all its keys commented out is null in YAML and an empty section to whoever wrote it. */
function fillSections(schema: z.ZodType, raw: unknown): unknown {
	if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return raw;
	const entries = Object.entries(raw).map(([key, value]) => {
		const inner = schemaAt(schema, [key]);
		if (inner === undefined) return [key, value];
		return [key, value === null && isSection(inner) ? {} : fillSections(inner, value)];
	});
	return Object.fromEntries(entries);
}

function nodeAt(document: Document, path: Path): Node | undefined {
	const node = path.length === 0 ? document.contents : document.getIn(path, true);
	return (node ?? undefined) as Node | undefined;
}

/** The value itself, or what it would have to be in when it is missing. */
function nearestNode(document: Document, path: Path): Node | undefined {
	for (let length = path.length; length >= 0; length--) {
		const node = nodeAt(document, path.slice(0, length));
		if (node !== undefined) return node;
	}
	return undefined;
}

function keyNode(document: Document, path: Path, key: string): Node | undefined {
	const map = nodeAt(document, path);
	if (!isMap(map)) return map;
	const found = map.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
	return (found?.key ?? map) as Node;
}

function firstSentence(message: string): string {
	return message.split("\n")[0] ?? message;
}
