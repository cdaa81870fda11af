// Content that consoles deliver: what a bundle holds once it has been read, its bounds, and the words for it. Shared by
// the core, the process in which it is tried, and the commands of its authors.
import { z } from "zod";

export const contentKinds = ["rules", "policy", "intel"] as const;
export type ContentKind = (typeof contentKinds)[number];

/** Of the signed bytes: signature and envelope have to fit into a message of 4 MiB, too. */
export const largestBundle = 4 * 1024 * 1024 - 4096;
export const mostFiles = 200;
export const largestFile = 2 * 1024 * 1024;
/** The greatest number that JSON and JavaScript carry unharmed. */
export const highestVersion = Number.MAX_SAFE_INTEGER;
/** Clocks differ; more than this is a mistake or a trick. */
export const futureMs = 24 * 3_600_000;

/** Neither hidden, nor in a folder, nor an option. */
export const filePattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

const text = z.string().max(largestFile);
const fileSchema = z.strictObject({ name: z.string().regex(filePattern), text });

/** Plain data, whoever it comes from: the trial's answer and what lies on the disk are both checked by it. */
export const bundleSchema = z.strictObject({
	kind: z.enum(contentKinds),
	version: z.int().min(1).max(highestVersion),
	/** Unix ms. */
	created: z.int().min(0).max(8.64e15),
	author: z.string().max(200),
	files: z
		.array(fileSchema)
		.min(1)
		.max(mostFiles)
		.refine((files) => new Set(files.map(({ name }) => name)).size === files.length, "names twice"),
});
export type Bundle = z.output<typeof bundleSchema>;
export type BundleFile = Bundle["files"][number];

/** The words for it in `console.may`. */
export type ContentGrant = `apply_${ContentKind}`;

/** Content that is not taken, and why, in words for whoever sent it. */
export class ContentRefusal extends Error {}

/** Of a command: the signed bytes and the signature, which canonical JSON has in base64. */
export function bytesOf(command: {
	readonly content?: string;
	readonly signature?: string;
}): [Buffer, Buffer] {
	return [Buffer.from(command.content ?? "", "base64"), Buffer.from(command.signature ?? "", "base64")];
}
