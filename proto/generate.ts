// Writes agent/model/picket.v1.ts: the canonical proto3 JSON form of every message as TypeScript types.
// Run by `npm run generate`; a test runs it again and compares.
import { readdirSync, writeFileSync } from "node:fs";
import protobuf from "protobufjs";

const root = new URL("./", import.meta.url).pathname;
const files = readdirSync(`${root}picket/v1`)
	.filter((f) => f.endsWith(".proto"))
	.sort();

const scalar: Record<string, string> = {
	double: "number",
	float: "number",
	int32: "number",
	uint32: "number",
	sint32: "number",
	// Canonical JSON writes 64-bit integers as decimal strings.
	int64: "string",
	uint64: "string",
	bool: "boolean",
	string: "string",
	bytes: "string",
	"google.protobuf.Timestamp": "string",
};

function flatName(type: protobuf.ReflectionObject): string {
	const names: string[] = [];
	for (let at: protobuf.ReflectionObject | null = type; at; at = at.parent) {
		if (at instanceof protobuf.Type || at instanceof protobuf.Enum) names.unshift(at.name);
	}
	return names.join("");
}

function fieldType(field: protobuf.Field): string {
	const known = scalar[field.type];
	if (known) return known;
	field.resolve();
	if (!field.resolvedType) throw new Error(`${field.fullName}: unknown type ${field.type}`);
	return flatName(field.resolvedType);
}

function declare(field: protobuf.Field): string {
	const type = fieldType(field);
	if (field instanceof protobuf.MapField) return `\t${field.name}?: Record<string, ${type}>;`;
	return `\t${field.name}?: ${type}${field.repeated ? "[]" : ""};`;
}

function emit(type: protobuf.ReflectionObject, out: string[]): void {
	if (type instanceof protobuf.Enum) {
		const names = Object.keys(type.values).map((v) => `"${v}"`);
		out.push(`export type ${flatName(type)} =\n\t| ${names.join("\n\t| ")};\n`);
	} else if (type instanceof protobuf.Type) {
		const fields = type.fieldsArray.map(declare);
		out.push(`export interface ${flatName(type)} {\n${fields.join("\n")}\n}\n`);
		for (const nested of type.nestedArray) emit(nested, out);
	}
}

export function generate(): string {
	const schema = new protobuf.Root();
	schema.resolvePath = (_from, target) => (target.startsWith("google/") ? target : `${root}${target}`);
	schema.loadSync(files.map((f) => `picket/v1/${f}`));
	schema.resolveAll();
	const out = [
		"// Generated from proto/ by `npm run generate`. Canonical proto3 JSON: 64-bit integers and times are",
		"// strings, enums are names, fields at their default may be absent.\n",
	];
	for (const object of schema.lookup("picket.v1") instanceof protobuf.Namespace
		? (schema.lookup("picket.v1") as protobuf.Namespace).nestedArray
		: []) {
		emit(object, out);
	}
	// The message named Record would hide TypeScript's own Record<K, V>.
	return out
		.join("\n")
		.replace("export interface Record {", "export interface OutputRecord {")
		.replaceAll("records?: Record[]", "records?: OutputRecord[]");
}

if (import.meta.main) writeFileSync(`${root}../agent/model/picket.v1.ts`, generate());
