// Rule and policy files as a running sensor reads them again: what has become unreadable or is no YAML any more is
// replaced by what was last in force of it, and told with its place. A file that is taken away from its folder is gone.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { LineCounter, parseAllDocuments } from "yaml";
import type { RuleFile } from "./detect/load.ts";
import type { Problem } from "./model/verdict.ts";

export interface Reading {
	readonly files: readonly RuleFile[];
	readonly problems: readonly Problem[];
	/** Of these the last good version was taken. */
	readonly kept: readonly string[];
}

/** Hidden ones are no rules: editors' locks, and the second name of every file in a mounted ConfigMap. */
const isRuleFile = (name: string) => /\.ya?ml$/.test(name) && !/(^|\/)\./.test(name);

/** A path that is a folder, or will be one once it is there. */
export function isFolder(path: string): boolean {
	try {
		return statSync(path).isDirectory();
	} catch {
		return !/\.ya?ml$/.test(path);
	}
}

/** The rule files below a folder, or the file itself; nothing is read. Throws what the file system says. */
export function rulePaths(path: string): string[] {
	if (!statSync(path).isDirectory()) return [path];
	return readdirSync(path, { recursive: true, encoding: "utf8" })
		.filter(isRuleFile)
		.sort()
		.map((name) => join(path, name));
}

/** Reads again what lies at `paths`, where `good` is what is in force. Never throws. */
export function readAgain(paths: readonly string[], good: readonly RuleFile[]): Reading {
	const problems: Problem[] = [];
	const kept: string[] = [];
	const files: RuleFile[] = [];
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
				text = readFileSync(each, "utf8");
			} catch (error) {
				if (old) keep(old, unreadable(each, error, true));
				else problems.push(unreadable(each, error, false));
				continue;
			}
			const broken = old !== undefined && old.text !== text ? brokenYaml(each, text) : undefined;
			if (old && broken) keep(old, broken);
			else files.push({ path: each, text, origin: "falco" });
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
	const [error] = "empty" in documents ? [] : documents.flatMap((each) => each.errors);
	if (!error) return undefined;
	const { line, col } = lineCounter.linePos(error.pos[0]);
	const [first = ""] = error.message.split("\n");
	return {
		file,
		line,
		column: col,
		where: "",
		message: `${first.replace(/ at line \d+, column \d+:?$/, "")}; what was in force of this file stays in force`,
		remedy: "mend the YAML; check indentation and quotes",
		level: "error",
	};
}
