// The bytes of a bundle and of the file it travels in. Reads protobuf of whoever wrote it: loaded only by the process
// in which content is tried, by the console and by the commands of authors, never by the core.
import type * as wire from "../model/picket.v1.ts";
import { errorText } from "../report/errors.ts";
import { codecOf } from "../report/protojson.ts";
import {
	type Bundle,
	ContentRefusal,
	contentKinds,
	filePattern,
	futureMs,
	highestVersion,
	largestBundle,
	largestFile,
	mostFiles,
} from "./model.ts";

const contentCodec = codecOf<wire.Content>("Content");
const applyCodec = codecOf<wire.ApplyContent>("ApplyContent");

/** Throws ContentRefusal with the first thing that is wrong. `now` in Unix ms. */
export function readBundle(bytes: Buffer, now: number): Bundle {
	let content: wire.Content;
	try {
		content = contentCodec.decode(bytes);
	} catch (error) {
		throw new ContentRefusal(`the content cannot be read: ${errorText(error)}`);
	}
	return checkBundle(content, now);
}

function checkBundle(content: wire.Content, now: number): Bundle {
	const { kind: word = "", author = "", files = [] } = content;
	const kind = contentKinds.find((each) => each === word);
	if (!kind)
		throw new ContentRefusal(
			`there is no kind of content "${shown(word)}"; known: ${contentKinds.join(", ")}`,
		);
	const version = Number(content.version ?? 0);
	if (!Number.isSafeInteger(version) || version < 1)
		throw new ContentRefusal(
			`its version ${content.version ?? 0} is not a number from 1 to ${highestVersion}`,
		);
	const created = Date.parse(content.created ?? "");
	if (!(created >= 0)) throw new ContentRefusal("it does not say when it was made");
	if (created > now + futureMs)
		throw new ContentRefusal(
			`it was made in the future, at ${content.created}: compare the clocks of this host and of its author`,
		);
	if (author.length > 200) throw new ContentRefusal("the author's name is longer than 200 characters");
	if (files.length === 0) throw new ContentRefusal("there is no file in it");
	if (files.length > mostFiles)
		throw new ContentRefusal(`there are ${files.length} files in it; ${mostFiles} are the most`);
	const names = new Set<string>();
	const checked = files.map(({ name = "", text = "" }) => {
		if (!filePattern.test(name) || !/\.ya?ml$/.test(name))
			throw new ContentRefusal(
				`"${shown(name)}" is no plain file name: letters, digits, ".", "_" and "-", ending in .yaml or .yml`,
			);
		if (names.has(name)) throw new ContentRefusal(`there are two files ${name} in it`);
		names.add(name);
		if (text.length > largestFile || Buffer.byteLength(text) > largestFile)
			throw new ContentRefusal(`the file ${name} is larger than ${largestFile >> 20} MiB`);
		return { name, text };
	});
	return { kind, version, created, author, files: checked };
}

function shown(text: string): string {
	return text.slice(0, 100);
}

/** Throws ContentRefusal where a host would refuse it. */
export function writeBundle(bundle: Bundle): Buffer {
	const content: wire.Content = {
		...bundle,
		version: String(bundle.version),
		created: new Date(bundle.created).toISOString(),
		files: [...bundle.files],
	};
	checkBundle(content, bundle.created);
	const bytes = contentCodec.encode(content);
	if (bytes.length > largestBundle)
		throw new ContentRefusal(`all files together have ${bytes.length} bytes; ${largestBundle} are the most`);
	return bytes;
}

/** What a bundle travels in from its author to a console: a serialized ApplyContent. */
export function writeEnvelope(content: Buffer, signature: Buffer): Buffer {
	return applyCodec.encode({
		content: content.toString("base64"),
		signature: signature.toString("base64"),
	});
}

/** Throws ReportError when it is none. */
export function readEnvelope(bytes: Buffer): wire.ApplyContent {
	return applyCodec.decode(bytes);
}
