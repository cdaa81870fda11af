// Looks into a zod schema: which keys does it know at a path, what does it say about them, what is the default.
import { z } from "zod";

/** The schema below default, optional and the like. */
export function unwrap(schema: z.ZodType): z.ZodType {
	if (
		schema instanceof z.ZodDefault ||
		schema instanceof z.ZodPrefault ||
		schema instanceof z.ZodOptional ||
		schema instanceof z.ZodNullable ||
		schema instanceof z.ZodReadonly
	) {
		return unwrap(schema.unwrap() as z.ZodType);
	}
	if (schema instanceof z.ZodPipe) return unwrap(schema.in as z.ZodType);
	return schema;
}

/** One step down: by key into an object or record, by index into a list, through a union's first that has it. */
export function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
	const [step, ...rest] = path;
	if (step === undefined) return schema;
	const inner = childOf(unwrap(schema), step);
	return inner === undefined ? undefined : schemaAt(inner, rest);
}

function childOf(schema: z.ZodType, step: PropertyKey): z.ZodType | undefined {
	if (schema instanceof z.ZodObject) return schema.shape[String(step)] as z.ZodType | undefined;
	if (schema instanceof z.ZodArray) return schema.element as z.ZodType;
	if (schema instanceof z.ZodRecord) return schema.valueType as z.ZodType;
	if (schema instanceof z.ZodUnion) {
		for (const option of schema.options as z.ZodType[]) {
			const inner = childOf(unwrap(option), step);
			if (inner !== undefined) return inner;
		}
	}
	return undefined;
}

export function isSection(schema: z.ZodType): boolean {
	return unwrap(schema) instanceof z.ZodObject;
}

/** Keys of the object at this schema; of a union, those of its objects. */
export function keysOf(schema: z.ZodType): string[] {
	const inner = unwrap(schema);
	if (inner instanceof z.ZodObject) return Object.keys(inner.shape);
	if (inner instanceof z.ZodUnion) return (inner.options as z.ZodType[]).flatMap(keysOf);
	return [];
}

/** Its sentence, "" when it has none. */
export function describe(schema: z.ZodType): string {
	if (schema.description !== undefined) return schema.description;
	const inner = unwrap(schema);
	return inner === schema ? "" : (inner.description ?? "");
}

/** What it becomes when not given; undefined when there is no default. */
export function defaultOf(schema: z.ZodType): unknown {
	const result = schema.safeParse(undefined);
	return result.success ? result.data : undefined;
}
