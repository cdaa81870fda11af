// Writes agent/model/layout*.ts from the built objects' own type information. Run by `npm run setup` and
// `npm run generate`; a test runs it again and compares.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Layout } from "../native/index.d.ts";

const root = new URL("..", import.meta.url).pathname;

interface Describer {
	describeLayout(object: string): Layout;
}

function camel(name: string): string {
	return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** Which object holds the contract of which header, and where its layout goes. */
export const layouts = [
	{ object: "picket.bpf.o", header: "bpf/event.h", path: "agent/model/layout.ts" },
	{ object: "refuse.bpf.o", header: "bpf/refusal.h", path: "agent/model/layout-refusal.ts" },
] as const;

/** The whole text of a layout file. Throws when the addon or the object is not built. */
export function generateLayout({ object, header }: (typeof layouts)[number]): string {
	const addon = createRequire(import.meta.url)("../build/Release/picket.node") as Describer;
	const layout = addon.describeLayout(`${root}build/Release/${object}`);
	const lines = [
		"// Generated from the built BPF object's own type information by `npm run setup`: byte offsets of every",
		`// struct of ${header}, and its constants. Not edited by hand.`,
		"",
		`export const layoutHash = "${layout.hash}";`,
	];
	for (const { name, size, members } of layout.structs) {
		const fields = members.map((member) => `\t${camel(member.name)}: ${member.offset},`);
		lines.push("", `export const ${camel(name)} = {`, `\tbytes: ${size},`, ...fields, "} as const;");
	}
	for (const { name, values } of layout.enums) {
		const fields = Object.entries(values).map(([key, value]) => `\t${key}: ${value},`);
		lines.push("", `export const ${camel(name)} = {`, ...fields, "} as const;");
	}
	return `${lines.join("\n")}\n`;
}

if (import.meta.main) {
	for (const layout of layouts) {
		const path = `${root}${layout.path}`;
		const text = generateLayout(layout);
		// An unchanged file keeps its time, so that nothing is built again because of it.
		if (!existsSync(path) || readFileSync(path, "utf8") !== text) writeFileSync(path, text);
	}
}
