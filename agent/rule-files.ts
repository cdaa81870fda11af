// Rule and policy files on disk: which ones there are, their text within bounds, and how a running sensor reads them
// again. What has become unreadable or is no YAML any more is replaced by what was last in force of it, and told with
// its place. A file that is taken away from its folder is gone.
import { isUtf8 } from "node:buffer";
import {
	closeSync,
	constants,
	type Dirent,
	existsSync,
	fstatSync,
	openSync,
	readdirSync,
	readSync,
	type Stats,
	statSync,
} from "node:fs";
import { join } from "node:path";
import { LineCounter, parseAllDocuments } from "yaml";
import type { RuleFile } from "./detect/load.ts";
import { isSamplesFile } from "./detect/samples.ts";
import { yamlErrors } from "./detect/yaml-values.ts";
import type { Problem } from "./model/verdict.ts";

export interface Reading {
	readonly files: readonly RuleFile[];
	readonly problems: readonly Problem[];
	/** Of these the last good version was taken. */
	readonly kept: readonly string[];
}

/** Hidden ones are no rules: editors' locks, and the second name of every file in a mounted ConfigMap. */
const isYaml = (name: string) => /\.ya?ml$/.test(name) && !/(^|\/)\./.test(name);

/** A path that is a folder, or will be one once it is there. */
export function isFolder(path: string): boolean {
	try {
		return statSync(path).isDirectory();
	} catch {
		return !/\.ya?ml$/.test(path);
	}
}

/** The largest rules in public take a tenth of one file; reading YAML takes a hundred times its size for a moment. */
const largestFile = 2 << 20;
const largestSum = 16 << 20;
/** Of a folder and all below it: a path such as / must not be walked to its end. */
const mostEntries = 100_000;

/**
 * The YAML files below a folder, or the file itself; nothing is read. Links to folders are followed, and no folder is
 * entered twice. Throws what the file system says.
 */
export function yamlPaths(path: string): string[] {
	if (!statSync(path).isDirectory()) return [path];
	const found: string[] = [];
	const entered = new Set<string>();
	let left = mostEntries;
	const walk = (below: string): void => {
		const { dev, ino } = statSync(join(path, below), { bigint: true });
		if (entered.has(`${dev} ${ino}`)) return;
		entered.add(`${dev} ${ino}`);
		const entries = readdirSync(join(path, below), { withFileTypes: true });
		left -= entries.length;
		if (left < 0) throw refusal(`there are more than ${mostEntries} files in it`);
		for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
			const name = join(below, entry.name);
			if (isYaml(name)) found.push(name);
			else if (!entry.name.startsWith(".") && isFolderEntry(entry, join(path, name))) walk(name);
		}
	};
	walk("");
	return found.sort().map((name) => join(path, name));
}

function isFolderEntry(entry: Dirent, path: string): boolean {
	if (!entry.isSymbolicLink()) return entry.isDirectory();
	return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** /dev/null, by which people say that there is nothing. */
const nullDevice = 0x103;

/** An error as the file system has them, with `code` as the reason. */
function refusal(code: string): Error {
	return Object.assign(new Error(code), { code });
}

/**
 * The text of an ordinary file, or of /dev/null, of at most `most` bytes of UTF-8. Throws an Error whose `code` says why there is none:
 * nothing is waited for (a pipe), set going (a device) or read to an end that may not come.
 */
export function readTextFile(path: string, most = largestFile): string {
	const check = (stats: Stats): void => {
		if (stats.isDirectory()) throw refusal("EISDIR");
		if (!stats.isFile() && stats.rdev !== nullDevice) throw refusal("it is no ordinary file");
		if (stats.size > most) throw tooLarge(most);
	};
	check(statSync(path));
	// Another one may have taken its place meanwhile.
	const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
	try {
		check(fstatSync(file));
		const bytes = Buffer.concat([...chunks(file, most)]);
		if (!isUtf8(bytes)) throw refusal("it is no UTF-8");
		return bytes.toString("utf8");
	} finally {
		closeSync(file);
	}
}

/** It may grow while it is read. */
function* chunks(file: number, most: number): Generator<Buffer> {
	for (let left = most; ; ) {
		const chunk = Buffer.allocUnsafe(65_536);
		const size = readSync(file, chunk);
		if (size === 0) return;
		left -= size;
		if (left < 0) throw tooLarge(most);
		yield chunk.subarray(0, size);
	}
}

function tooLarge(most: number): Error {
	if (most < largestFile) return refusal(`all files together are larger than ${largestSum >> 20} MiB`);
	return refusal(`it is larger than ${largestFile >> 20} MiB`);
}

/** Reads files one after another, as long as all together are not too large. Throws as readTextFile does. */
export function createReader(): (path: string) => string {
	let left = largestSum;
	return (path) => {
		const text = readTextFile(path, Math.min(left, largestFile));
		left -= Buffer.byteLength(text);
		return text;
	};
}

/** Those that are rules: samples of rules lie beside them. */
export function rulePaths(path: string): string[] {
	return yamlPaths(path).filter((each) => !isSamplesFile(each));
}

/** Reads again what lies at `paths`, where `good` is what is in force; in steps of a file each. Never throws. */
export function* readAgain(paths: readonly string[], good: readonly RuleFile[]): Generator<void, Reading> {
	const problems: Problem[] = [];
	const kept: string[] = [];
	const files: RuleFile[] = [];
	const read = createReader();
	const known = new Map(good.map((file) => [file.path, file]));
	const keep = (file: RuleFile, problem: Problem): void => {
		kept.push(file.path);
		files.push(file);
		problems.push(problem);
	};
	for (const path of paths) {
		const before = good.filter((file) => file.path === path || file.path.startsWith(`${path}/`));
		let found: string[];
		try {
			found = rulePaths(path);
		} catch (error) {
			if (before.length === 0 && isFolder(path) && !existsSync(path)) continue; // it may come later
			problems.push(unreadable(path, error, before.length > 0));
			kept.push(...before.map((file) => file.path));
			files.push(...before);
			continue;
		}
		for (const each of found) {
			const old = known.get(each);
			let text: string;
			try {
				text = read(each);
			} catch (error) {
				if (old) keep(old, unreadable(each, error, true));
				else problems.push(unreadable(each, error, false));
				continue;
			}
			const broken = old !== undefined && old.text !== text ? brokenYaml(each, text) : undefined;
			if (old && broken) keep(old, broken);
			else files.push({ path: each, text, origin: "falco" });
			yield;
		}
	}
	return { files, problems, kept };
}

function unreadable(file: string, error: unknown, stays: boolean): Problem {
	const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
	return {
		file,
		line: 0,
		column: 0,
		where: "",
		message: `cannot be read (${code})${stays ? "; what was in force of it stays in force" : ""}`,
		remedy: "check the path and its permissions, or take it out of rules.files",
		level: "error",
	};
}

/** The mistake that costs a whole file; undefined when there is none. */
function brokenYaml(file: string, text: string): Problem | undefined {
	const lineCounter = new LineCounter();
	const documents = parseAllDocuments(text, { schema: "failsafe", lineCounter, uniqueKeys: true });
	const [error] = "empty" in documents ? [] : documents.flatMap(yamlErrors);
	if (!error) return undefined;
	const { line, col } = lineCounter.linePos(error.offset);
	return {
		file,
		line,
		column: col,
		where: "",
		message: `${error.message}; what was in force of this file stays in force`,
		remedy: error.remedy,
		level: "error",
	};
}
