// Committed files that a program writes are what that program writes today.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { generateLayout } from "../../../bpf/generate-layout.ts";
import { generate } from "../../../proto/generate.ts";

const committed = (name: string) =>
	readFileSync(new URL(`../../../agent/model/${name}`, import.meta.url), "utf8");
const remedy = "run `npm run generate` and commit what it changes";

it("the types of the wire format are those of the .proto files", () => {
	expect(committed("picket.v1.ts"), remedy).toBe(generate());
});

it("the layout of the records is that of the built BPF object", () => {
	expect(committed("layout.ts"), remedy).toBe(generateLayout());
});
