// The form of what rule authors write, for their editors: rule files, samples files and correlation documents as JSON
// schemas. The loaders read the files by themselves and say more; a test holds the two together.
import { z } from "zod";
import { type Priority, priorities, severities } from "../model/verdict.ts";
import { comparisonNames, correlationTypes } from "./correlation/condition.ts";
import { samplesFileSchema, samplesSchema } from "./sample-schema.ts";
import { listOperators, signs, textOperators } from "./syntax.ts";

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const text = (words: string) => z.string().min(1).describe(words);
const switched = (words: string) =>
	z.union([z.boolean(), z.enum(["true", "false", "yes", "no", "on", "off"])]).describe(words);
const names = Object.keys(priorities) as Priority[];
const priority = z
	.enum([
		...names,
		...names.map((name) => name.toUpperCase()),
		...names.map((name) => name.toLowerCase()),
		...["Info", "INFO", "info"],
	] as [string, ...string[]])
	.describe(
		"How bad it is, from Emergency to Debug: Emergency, Alert and Critical are critical, Error is high, …",
	);

const condition = text("When it matches: checks of fields, macros, and, or, not, ( ).");
const output = text("The words of the alert; %field is filled in.");
const tags = z
	.array(z.string())
	.describe("Words to find it by: mitre_credential_access, T1003.008, container, …");
const operator = z.enum([...signs, ...textOperators, ...listOperators] as [string, ...string[]]);
const someTexts = z.union([scalar, z.array(scalar)]);
const exception = z.strictObject({
	name: text("Name of the exception: further values go to the one of this name."),
	fields: z
		.union([z.string(), z.array(z.string())])
		.optional()
		.describe("A field, or several that hold together."),
	comps: z
		.union([operator, z.array(operator)])
		.optional()
		.describe("How each is compared; = when left out, in for a single field."),
	values: z
		.array(z.union([scalar, z.array(someTexts)]))
		.optional()
		.describe("Rows of values, one a field; of a single field, values."),
});
const exceptions = z.array(exception).describe("When it does not match after all: any row of any of these.");
const others = {
	tags: tags.optional(),
	enabled: switched("false: not evaluated.").optional(),
	exceptions: exceptions.optional(),
	source: z.string().optional().describe("Where its events come from; syscall when left out."),
	warn_evttypes: scalar.optional(),
	"skip-if-unknown-filter": switched("true: not an error when a field is unknown here.").optional(),
	capture: scalar.optional(),
	capture_duration: scalar.optional(),
	picket_samples: samplesSchema.optional(),
	picket_false_positives: z.array(z.string()).optional().describe("What is harmless and may look the same."),
};
const name = (what: string) => text(`Name of the ${what}.`);
const way = z.enum(["append", "replace"]);
const ways = <K extends string>(keys: readonly K[]) =>
	z
		.strictObject(
			Object.fromEntries(keys.map((key) => [key, way.optional()])) as Record<K, z.ZodOptional<typeof way>>,
		)
		.describe("Of each key given, whether it is put behind what is there or instead of it.");
const append = switched("true: put behind what is there.");

const rule = z
	.strictObject({
		rule: name("rule"),
		desc: z.string().optional().describe("For the reader of the alert: what happened, and what to do."),
		condition,
		output,
		priority,
		...others,
	})
	.describe("A rule.");
const ruleKeys = [
	"desc",
	"condition",
	"output",
	"priority",
	"tags",
	"enabled",
	"exceptions",
	"source",
] as const;
const change = {
	rule: name("rule that is changed"),
	desc: z.string().optional(),
	condition: condition.optional(),
	output: output.optional(),
	priority: priority.optional(),
	...others,
};
const changes = [
	z.strictObject({ ...change, append }).describe("More for a rule that was defined before."),
	z
		.strictObject({
			...change,
			override: ways([...ruleKeys, "warn_evttypes", "skip-if-unknown-filter", "capture", "capture_duration"]),
		})
		.describe("A change of a rule that was defined before."),
	z
		.strictObject({ rule: change.rule, enabled: others.enabled.unwrap() })
		.describe("A rule that was defined before, switched on or off."),
] as const;
const macro = z
	.strictObject({
		macro: name("macro"),
		condition,
		append: append.optional(),
		override: ways(["condition"]).optional(),
	})
	.describe("A part of conditions under a name.");
const list = z
	.strictObject({
		list: name("list"),
		items: z.array(scalar).describe("Values, and names of other lists."),
		append: append.optional(),
		override: ways(["items"]).optional(),
	})
	.describe("Values under a name.");
const engine = z
	.strictObject({ required_engine_version: z.union([z.string(), z.number()]) })
	.describe("The least version of Falco's engine that the file is written for.");
const plugins = z.strictObject({ required_plugin_versions: z.unknown() }).describe("Of no use here.");

/** Falco's rule files, with what our own signatures add. */
export const ruleFileSchema = z.array(z.union([rule, ...changes, macro, list, engine, plugins]));

const comparison = Object.fromEntries(comparisonNames.map((each) => [each, z.number().optional()])) as Record<
	(typeof comparisonNames)[number],
	z.ZodOptional<z.ZodNumber>
>;

/** Sigma's correlation documents. */
export const correlationSchema = z.strictObject({
	title: text("Its name."),
	id: z.string().optional(),
	name: z.string().optional().describe("A short name for other documents to refer to."),
	status: z.string().optional(),
	description: z.string().optional(),
	license: z.string().optional(),
	author: z.string().optional(),
	references: z.union([z.string(), z.array(z.string())]).optional(),
	reference: z.string().optional(),
	date: scalar.optional(),
	modified: scalar.optional(),
	related: z.unknown().optional(),
	tags: tags.optional(),
	level: z
		.enum(severities as [string, ...string[]])
		.optional()
		.describe("Severity; medium when left out."),
	falsepositives: z.union([z.string(), z.array(z.string())]).optional(),
	fields: z.array(z.string()).optional(),
	taxonomy: z.string().optional(),
	scope: z.unknown().optional(),
	generate: switched("true: the listed rules alert by themselves, too.").optional(),
	correlation: z
		.strictObject({
			type: z.enum(correlationTypes as [string, ...string[]]),
			rules: z
				.union([z.string().min(1), z.array(z.string().min(1)).min(1)])
				.describe("Ids, names or titles of the rules whose matches are joined."),
			"group-by": z
				.union([z.string(), z.array(z.string())])
				.optional()
				.describe("Matches are joined that are equal in these fields."),
			timespan: z
				.string()
				.regex(/^\d{1,9}[smhd]$/)
				.describe("Within this time: 30s, 5m, 2h, 1d."),
			condition: z
				.strictObject({
					...comparison,
					field: z
						.union([z.string(), z.array(z.string())])
						.optional()
						.describe("Of value_…: whose values."),
					percentile: z.number().min(0).max(100).optional(),
				})
				.optional()
				.describe("How many it takes: {gte: 10}. temporal and temporal_ordered can do without."),
			aliases: z
				.record(z.string(), z.record(z.string(), z.string()))
				.optional()
				.describe("Names for fields that are called differently in each rule: {alias: {rule: field}}."),
			generate: switched("true: the listed rules alert by themselves, too.").optional(),
		})
		.describe("What is joined."),
	picket_samples: samplesSchema.optional(),
	picket_false_positives: z.array(z.string()).optional(),
});

const schemas = {
	rules: ruleFileSchema,
	samples: samplesFileSchema,
	correlation: correlationSchema,
} as const;
export type SchemaName = keyof typeof schemas;
export const schemaNames = Object.keys(schemas) as SchemaName[];
const titles: Readonly<Record<SchemaName, string>> = {
	rules: "Picket rule file, in the Falco language",
	samples: "Picket samples file: NAME.samples.yaml beside NAME.yaml",
	correlation: "Sigma correlation document",
};

/** The JSON schema of that name, draft 7, which editors know best. */
export function jsonSchema(schema: SchemaName): Record<string, unknown> {
	const { $schema, ...rest } = z.toJSONSchema(schemas[schema], {
		target: "draft-7",
		io: "input",
		reused: "inline",
		unrepresentable: "any",
	});
	return { $schema, title: titles[schema], ...rest };
}
