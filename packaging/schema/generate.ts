// Writes the JSON schemas of rule files, samples files and correlation documents for editors; run by `npm run generate`,
// and a test compares.
import { writeFileSync } from "node:fs";
import { jsonSchema, type SchemaName, schemaNames } from "../../agent/detect/rule-schema.ts";

export function schemaText(name: SchemaName): string {
	return `${JSON.stringify(jsonSchema(name), null, 1)}\n`;
}

if (import.meta.main) {
	for (const name of schemaNames)
		writeFileSync(new URL(`${name}.schema.json`, import.meta.url), schemaText(name));
}
