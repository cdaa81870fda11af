// Writes the JSON schemas of rule files, samples files, correlation documents and policies for editors; run by
// `npm run generate`, and a test compares.
import { writeFileSync } from "node:fs";
import { jsonSchema, schemaNames } from "../../agent/detect/rule-schema.ts";
import { policyJsonSchema } from "../../agent/policy/schema.ts";

/** Text of each committed schema, by the name of its file. */
export const schemaTexts: ReadonlyMap<string, string> = new Map([
	...schemaNames.map((name) => [`${name}.schema.json`, textOf(jsonSchema(name))] as const),
	["policy.schema.json", textOf(policyJsonSchema())],
]);

function textOf(schema: Record<string, unknown>): string {
	return `${JSON.stringify(schema, null, 1)}\n`;
}

if (import.meta.main) {
	for (const [file, text] of schemaTexts) writeFileSync(new URL(file, import.meta.url), text);
}
