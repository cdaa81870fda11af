// Committed files that a program writes are what that program writes today.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { generateLayout, layouts } from "../../../bpf/generate-layout.ts";
import { generateReference } from "../../../packaging/docs/generate.ts";
import { schemaTexts } from "../../../packaging/schema/generate.ts";
import { generate } from "../../../proto/generate.ts";

const committed = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), "utf8");
const remedy = "run `npm run generate` and commit what it changes";

it("the types of the wire format are those of the .proto files", () => {
	expect(committed("agent/model/picket.v1.ts"), remedy).toBe(generate());
});

it.each(layouts)("$path is the layout of the built BPF object", (layout) => {
	expect(committed(layout.path), remedy).toBe(generateLayout(layout));
});

it("the page of events and fields is that of the messages, the hooks and the fields", () => {
	expect(committed("packaging/docs/events.md"), remedy).toBe(generateReference());
});

it.each([...schemaTexts])("the JSON schema %s is that of the code", (file, text) => {
	expect(committed(`packaging/schema/${file}`), remedy).toBe(text);
});

it("every member of every message of an event is described", () => {
	expect(generateReference().match(/^\| `\w+` \| [\w ]+ \| *\|$/gm)).toBeNull();
});
