// The documented example of picket.yaml, written from the schema so that the two cannot part.
import { stringify } from "yaml";
import { z } from "zod";
import { configSchema } from "./schema.ts";
import { defaultOf, describe, unwrap } from "./shape.ts";

const width = 100;

/** Every key with its sentence and its default: loading it changes nothing. */
export function exampleConfig(): string {
	const head = "# /etc/picket/picket.yaml: every key with its default. Keep only what you change.";
	return `${head}\n\n${section(configSchema, "")}`;
}

function section(schema: z.ZodType, indent: string): string {
	const inner = unwrap(schema);
	if (!(inner instanceof z.ZodObject)) return "";
	const keys = Object.entries(inner.shape as Record<string, z.ZodType>);
	return keys.map(([key, value]) => entry(key, value, indent)).join(indent === "" ? "\n" : "");
}

function entry(key: string, schema: z.ZodType, indent: string): string {
	const comment = wrap(describe(schema), width - indent.length - 2)
		.map((line) => `${indent}# ${line}\n`)
		.join("");
	if (unwrap(schema) instanceof z.ZodObject)
		return `${comment}${indent}${key}:\n${section(schema, `${indent}  `)}`;
	const value = stringify(defaultOf(schema), { collectionStyle: "flow" }).trim();
	return `${comment}${indent}${key}: ${value}\n`;
}

function wrap(text: string, columns: number): string[] {
	const lines: string[] = [];
	for (const word of text.split(" ").filter((one) => one !== "")) {
		const last = lines.at(-1);
		if (last === undefined || last.length + 1 + word.length > columns) lines.push(word);
		else lines[lines.length - 1] = `${last} ${word}`;
	}
	return lines;
}
