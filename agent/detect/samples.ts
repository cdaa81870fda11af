// Samples with the places they stand at: out of rule files, where they are picket_samples, and out of samples files,
// NAME.samples.yaml, for rules whose files stay as they came.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseAllDocuments } from "yaml";
import type { z } from "zod";
import { explainIssue, type Path, pathText } from "../config/issues.ts";
import type { Problem } from "../model/verdict.ts";
import type { Step } from "./correlation/sample.ts";
import type { Place } from "./rule-file.ts";
import type { Sample } from "./sample.ts";
import { samplesFileSchema, samplesSchema } from "./sample-schema.ts";

export interface PlacedSample extends Place {
	/** Name of the rule, or its title or id. */
	readonly rule: string;
	readonly is: "positive" | "negative";
	/** From 1, among those of its sort. */
	readonly number: number;
	readonly file: string;
	/** An event, or acts one after another. */
	readonly sample: Sample | readonly Step[];
}

export function isSamplesFile(path: string): boolean {
	return /\.samples\.ya?ml$/.test(path);
}

/** The samples of a file; what is wrong with them goes to `problems`. What is no YAML has none. */
export function readSamples(file: string, text: string, problems: Problem[]): PlacedSample[] {
	const lines = new LineCounter();
	const documents = parseAllDocuments(text, { schema: "failsafe", lineCounter: lines });
	if (!Array.isArray(documents)) return [];
	const placeOf = (node: Node | null | undefined): Place => {
		const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
		return { line, column: col };
	};
	const report = (node: Node | null | undefined, where: string, message: string, remedy: string): void => {
		problems.push({ file, ...placeOf(node), where, message, remedy, level: "error" });
	};
	/** Says what is wrong with what stands at `node`. */
	const isSound = (schema: z.ZodType, node: Node, where: string): boolean => {
		const value: unknown = (node as { toJSON(): unknown }).toJSON();
		const result = schema.safeParse(value);
		if (result.success) return true;
		for (const issue of result.error.issues) {
			for (const { path, key, message, remedy } of explainIssue(schema, issue, value)) {
				const at = key === undefined ? nodeAt(node, path) : keyAt(nodeAt(node, path), key);
				const which = pathText(key === undefined ? path : [...path, key]);
				report(at, where, which === "" ? message : `${which}: ${message}`, remedy);
			}
		}
		return false;
	};
	const samplesOf = (rule: string, node: Node): PlacedSample[] =>
		(["positive", "negative"] as const).flatMap((is) => {
			const found = nodeAt(node, [is]);
			if (!isSeq(found) || found === node) return [];
			return found.items.map((item, index) => ({
				...{ rule, is, number: index + 1, file, ...placeOf(item as Node) },
				sample: (item as { toJSON(): unknown }).toJSON() as PlacedSample["sample"],
			}));
		});
	/** A rule, with its samples in it. */
	const ofRule = (item: unknown): PlacedSample[] => {
		if (!isMap(item)) return [];
		const name = ["rule", "title", "name"].map((key) => textAt(item, key)).find((each) => each !== "");
		const samples = item.get("picket_samples", true) as Node | undefined;
		if (name === undefined || samples === undefined) return [];
		return isSound(samplesSchema, samples, `rule ${name}`) ? samplesOf(name, samples) : [];
	};
	return documents.flatMap(({ contents, errors }) => {
		if (contents === null || errors.length > 0) {
			const [error] = errors;
			// Of a rule file it is told when its rules are loaded.
			if (error && isSamplesFile(file)) {
				const { line, col } = lines.linePos(error.pos[0]);
				const [message = error.message] = error.message.split("\n");
				const remedy = "mend the YAML; check indentation and quotes";
				problems.push({ file, line, column: col, where: "", message, remedy, level: "error" });
			}
			return [];
		}
		if (isSamplesFile(file)) {
			if (!isSound(samplesFileSchema, contents as Node, "") || !isMap(contents)) return [];
			const items = contents.get("samples", true);
			return isSeq(items) ? items.items.flatMap((item) => samplesOf(textAt(item, "rule"), item as Node)) : [];
		}
		return isSeq(contents) ? contents.items.flatMap(ofRule) : ofRule(contents);
	});
}

function textAt(node: unknown, key: string): string {
	const value = isMap(node) ? node.get(key, true) : undefined;
	return isScalar(value) ? String(value.value ?? "") : "";
}

/** What stands at the path, or what it would have to be in when it is missing. */
function nodeAt(node: Node, path: Path): Node {
	let at = node;
	for (const step of path) {
		const inner = isMap(at) || isSeq(at) ? (at.get(step, true) as Node | undefined) : undefined;
		if (!inner) break;
		at = inner;
	}
	return at;
}

function keyAt(node: Node, key: string): Node {
	const pair = isMap(node)
		? node.items.find((each) => isScalar(each.key) && each.key.value === key)
		: undefined;
	return (pair?.key as Node | undefined) ?? node;
}
